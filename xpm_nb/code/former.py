"""Classes that were defined anew while something still has the former one.

A notebook keeps both: a configuration has the class that it was made of, a derived class its bases,
a parameter the enum that it was declared with; functions look a name up when they are called, and
find the latest. A job has one class of each name. So a former class is carried, and said to be one,
as long as nothing that is carried too would look its name up and find the other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

from xpm_nb.code.cells import Statement
from xpm_nb.code.drift import Refused
from xpm_nb.code.origin import Origins
from xpm_nb.code.pieces import Piece
from xpm_nb.code.versions import says
from xpm_nb.errors import CarrierError


def check(pieces: Iterable[Piece], given: Mapping[str, type], origins: Origins) -> None:
    """Refuse code that uses a name for another class than the one that is carried.

    Parameters
    ----------
    pieces
        What is carried.
    given
        By their names, the classes that configurations have, whatever these names mean by now.
    origins
        Where statements are found.

    Raises
    ------
    CarrierError
        Naming both classes, and what to run again.
    """
    pieces = list(pieces)
    for piece in pieces:
        user = piece.statement
        if user is None:
            continue
        for name, line in user.reads.later.items():
            cls = given.get(name)
            mine = None if cls is None else origins.of_class(cls)
            if cls is None or mine is None or piece.space.get(name, cls) is cls:
                continue
            if (now := _now(cls, piece.space, origins)) is None or says(now) != says(mine):
                place = "something else" if now is None else f"that of {now.place}"
                raise CarrierError(
                    f"{piece.root} cannot be carried into a job: {user.cell.place(line)} uses "
                    f"`{name}`, which is {place} by now, and a job would have that of "
                    f"{mine.place}. If the new one is meant, {_way(cls, pieces)}."
                )


def doubts(made: Mapping[type, Piece], pieces: Iterable[Piece], origins: Origins) -> Iterator[str]:
    """Say which classes a job has that are not any more what their names mean in the notebook.

    Parameters
    ----------
    made
        The classes that pieces define.
    pieces
        All that is carried.
    origins
        Where statements are found.
    """
    pieces = list(pieces)
    for cls, piece in made.items():
        mine, now = origins.of_class(cls), anew(cls, piece.space, origins)
        if mine is not None and now is not None:
            yield (
                f"{cls.__qualname__} was defined anew by {now.place}, and the job still has that of"
                f" {mine.place}. If the new one is meant, {_way(cls, pieces)}."
            )


def anew(cls: type, space: Mapping[str, Any], origins: Origins) -> Statement | None:
    """Give the statement by which a class was defined anew, None if it says the same, or was not.

    Raises
    ------
    Refused
        The class itself cannot be found.
    """
    mine, now = origins.of_class(cls), _now(cls, space, origins)
    return now if mine is not None and now is not None and says(now) != says(mine) else None


def _now(cls: type, space: Mapping[str, Any], origins: Origins) -> Statement | None:
    """Give the statement of the class that the name of a class means by now."""
    live = space.get(cls.__qualname__.partition(".")[0])
    if isinstance(live, type):
        with suppress(Refused):
            return origins.of_class(live)
    return None


def _way(cls: type, pieces: Iterable[Piece]) -> str:
    """Say what to do so that nothing has a former class any more."""
    users = [
        piece.statement.cell
        for piece in pieces
        if piece.statement is not None
        and (piece.witnesses.get(cls.__name__) is cls or _declares(piece.statement, cls))
    ]
    if not users:
        return f"make the configurations of {cls.__qualname__} again"
    names = dict.fromkeys(cell.name for cell in sorted(users, key=lambda cell: cell.number))
    return f"run {' and '.join(names)} again"


def _declares(user: Statement, cls: type) -> bool:
    """Tell whether a statement names an enum where it declares parameters."""
    name = cls.__qualname__.partition(".")[0]
    if not issubclass(cls, Enum) or not isinstance(user.node, ast.ClassDef) or name in user.binds:
        return False
    return name in user.reads.now or name in user.reads.hints
