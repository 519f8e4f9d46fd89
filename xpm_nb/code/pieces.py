"""What is on its way into a script, and the order in which it can be executed there.

The order is that of execution (cell number, then line), but for what a statement needs while it is
executed, which comes first. The names are then followed once more through that order: where a name
was given a new meaning in between, each user must find the one it had in the kernel.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from xpm_nb.code.cells import Statement
from xpm_nb.code.imports import bound_by, package_of
from xpm_nb.code.modules import absolute_module
from xpm_nb.errors import CarrierError


@dataclass(eq=False)
class Piece:
    """A statement on its way into a script, or lines that no statement has.

    Attributes
    ----------
    statement
        What is carried, None for lines made up here.
    text
        The import made up here, or the lines of a class that is pickled.
    header
        What `text` stands under.
    root
        The class that it was first needed for.
    space
        The globals that its names stand for.
    witnesses
        Objects that it is known to have read under these names, whatever they stand for now.
    used
        Without a statement, or for an import: the names that are needed of those it binds.
    now, later
        What it needs: while it is executed, by name; at any time after.
    registered
        What comes to it from outside, whatever the order.
    settled
        Names of `now` that are known, whatever they stand for now.
    compared
        Whether what it gives was made again, and compared with what there is.
    """

    root: str
    space: Mapping[str, Any]
    statement: Statement | None = None
    text: str = ""
    header: str = "imported"
    witnesses: dict[str, type] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    now: dict[str, list[Piece]] = field(default_factory=dict)
    later: list[Piece] = field(default_factory=list)
    registered: list[Piece] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    compared: bool = False

    @cached_property
    def order(self) -> tuple[int, int, str, int, str]:
        """Where it stands among the others, if nothing asks for another place."""
        if self.statement is None:
            return (-1, 0, "", 0, self.text)
        return (*self.statement.order, "")

    @property
    def place(self) -> str:
        """Where people find it."""
        if self.statement is None:
            return self.text.strip() if self.header == "imported" else self.root
        return self.statement.place

    @property
    def binds(self) -> set[str]:
        """The names that it gives a value to in the script."""
        if self.statement is None or isinstance(self.statement.node, ast.Import | ast.ImportFrom):
            return self.used
        return set(self.statement.binds)

    @property
    def source(self) -> str:
        """Its text; of an import the names that are needed."""
        if self.statement is None:
            return self.text
        node = self.statement.node
        if not isinstance(node, ast.Import | ast.ImportFrom):
            return self.statement.source
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names = [ast.alias(name) for name in sorted(self.used)]
        else:
            names = [a for a in node.names if bound_by(node, a) in self.used]
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        if len(names) == len(node.names) and names[0] is node.names[0] and not relative:
            return self.statement.source
        if isinstance(node, ast.Import):
            return ast.unparse(ast.Import(names)) + "\n"
        module = absolute_module(node, package_of(self.space))
        return ast.unparse(ast.ImportFrom(module, names, 0)) + "\n"


def in_order(pieces: Iterable[Piece], meanings: Mapping[str, list[Piece]]) -> list[Piece]:
    """Give pieces in an order in which they can be executed.

    Parameters
    ----------
    pieces
        All of them.
    meanings
        What each global name has to stand for when all are executed.

    Raises
    ------
    CarrierError
        When two versions of one name are needed, and no order gives each user its own.
    """
    done: dict[Piece, None] = {}
    visiting: set[Piece] = set()
    for piece in sorted(pieces, key=lambda p: p.order):
        _visit(piece, done, visiting)
    _follow(list(done), meanings)
    return list(done)


def _follow(order: list[Piece], meanings: Mapping[str, list[Piece]]) -> None:
    """Check that each name means in the script what it means in the kernel."""
    meaning: dict[str, Piece] = {}
    so_far: set[Piece] = set()
    for piece in order:
        for name, wanted in piece.now.items():
            others = [p for p in wanted if p is not piece]
            if others and (not so_far.issuperset(others) or meaning[name] not in others):
                raise _two_versions(piece, name, others[0], meaning.get(name))
        so_far.add(piece)
        meaning.update((name, piece) for name in piece.binds)
    for name, wanted in meanings.items():
        if wanted and meaning[name] not in wanted:
            raise _two_versions(wanted[0], name, wanted[0], meaning[name])


def _visit(piece: Piece, done: dict[Piece, None], visiting: set[Piece]) -> None:
    """Put a piece in order, after what it needs while it is executed."""
    if piece in done or piece in visiting:
        return
    visiting.add(piece)
    direct = {p for wanted in piece.now.values() for p in wanted}
    for other in sorted(_reach(direct, soon=False), key=lambda p: p.order):
        # What a decorator calls comes before its use, unless that in turn waits for this piece.
        if other in direct or not visiting & _reach([other], soon=True):
            _visit(other, done, visiting)
    visiting.discard(piece)
    done[piece] = None


def _reach(start: Iterable[Piece], *, soon: bool) -> set[Piece]:
    """Give all that pieces lead to; `soon`: only by what they need while they are executed."""
    found: set[Piece] = set()
    stack = list(start)
    while stack:
        piece = stack.pop()
        if piece not in found:
            found.add(piece)
            stack += [p for wanted in piece.now.values() for p in wanted]
            stack += [] if soon else piece.later
    return found


def _two_versions(user: Piece, name: str, wanted: Piece, other: Piece | None) -> CarrierError:
    places = f"that of {wanted.place}"
    if other is not None and other is not wanted:
        places += f" and that of {other.place}"
    return CarrierError(
        f"{user.root} cannot be carried into a job: two versions of `{name}` are needed at once, "
        f"{places}. Run the cells again that use `{name}`, {user.place} among them."
    )
