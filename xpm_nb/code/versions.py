"""Whether what a definition was executed with is what a job would execute it with.

A class body, a decorator, a default are computed once, in the kernel; a name that they used may
stand for something else by now. The numbers of cells tell: whoever came first cannot have used what
came later.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from xpm_nb.code.binding import Meaning, refusal
from xpm_nb.code.bytecode import parse
from xpm_nb.code.canonical import declares_parameter, digest_of
from xpm_nb.code.cells import Cells, Statement
from xpm_nb.code.origin import Origins
from xpm_nb.code.pieces import Piece
from xpm_nb.errors import CarrierError


def check(
    pieces: Iterable[Piece], meanings: Mapping[str, list[Piece]], cells: Cells, origins: Origins
) -> None:
    """Refuse definitions that were executed with another version of what they used.

    Parameters
    ----------
    pieces
        What is carried.
    meanings
        What each global name stands for now.
    cells, origins
        Where statements are found.

    Raises
    ------
    CarrierError
        Naming the definition, and both versions.
    """
    judge = _Check(meanings, cells, origins)
    for piece in pieces:
        user = piece.statement
        # A value that a statement gives was made again, and compared.
        same = user is not None and isinstance(user.node, _VALUES) and user.binds
        if user is not None and not same and not piece.compared:
            judge.piece(piece, user)


@dataclass(frozen=True)
class _Check:
    meanings: Mapping[str, list[Piece]]
    cells: Cells
    origins: Origins

    def piece(self, piece: Piece, user: Statement) -> None:
        used = used_at_once(user.cell.text, user.index)
        decorators = decorated_with(user.cell.text, user.index)
        for name, wanted in piece.now.items():
            if name not in used or name in piece.witnesses:
                continue
            self._name(piece, user, name, wanted)
            for by in wanted if name in decorators else ():
                if by.statement is not None and by is not piece:
                    called = used_when_called(by.statement.cell.text, by.statement.index)
                    for other in sorted(called & self.meanings.keys()):
                        self._name(piece, user, other, self.meanings[other])

    def _name(self, piece: Piece, user: Statement, name: str, wanted: Iterable[Piece]) -> None:
        for now in (p.statement for p in wanted if p.statement is not None):
            before = version_before(name, user, now, self.cells)
            if before is None:
                continue
            meaning = Meaning(name, piece.space.get(name), piece.space)
            if refusal(meaning, before.as_compiled(meaning.value), self.origins) is not None:
                raise CarrierError(
                    f"{piece.root} cannot be carried into a job: {user.place} was executed with "
                    f"the `{name}` of {before.place}, and a job would execute it with that of "
                    f"{now.place}. Run {user.cell.name} again."
                )


_VALUES = (ast.Assign, ast.AnnAssign)


@lru_cache(maxsize=4096)
def used_at_once(text: str, index: int) -> frozenset[str]:
    """Give the names whose values a definition takes in while it is executed.

    Left out are annotations, whose meaning nothing depends on in a job, and the values of
    parameters of configurations, which reach it by another way.
    """
    return frozenset(_names(parse(text)[index]))


@lru_cache(maxsize=4096)
def decorated_with(text: str, index: int) -> frozenset[str]:
    """Give the names in the decorators of a definition, and of those inside its body."""
    stack, found = [parse(text)[index]], set[str]()
    while stack:
        node = stack.pop()
        for decorator in getattr(node, "decorator_list", ()):
            found.update(_names(decorator))
        if isinstance(node, ast.ClassDef):
            stack += node.body
    return frozenset(found)


@lru_cache(maxsize=4096)
def used_when_called(text: str, index: int) -> frozenset[str]:
    """Give the names that a function takes the values of when it is called, not later."""
    node = parse(text)[index]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return frozenset()
    return frozenset(name for part in node.body for name in _names(part))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            yield node.id
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts: list[ast.AST | None] = [*node.decorator_list, *node.args.defaults]
        parts += node.args.kw_defaults
    elif isinstance(node, ast.Lambda):
        parts = [*node.args.defaults, *node.args.kw_defaults]
    elif isinstance(node, ast.AnnAssign):
        parts = [] if declares_parameter(node.annotation) else [node.value]
    else:
        parts = list(ast.iter_child_nodes(node))
    for part in parts:
        if part is not None:
            yield from _names(part)


def version_before(name: str, user: Statement, now: Statement, cells: Cells) -> Statement | None:
    """Give the statement whose value of a name another one has used, if it is not that of now.

    None where that is not so, or cannot be told.
    """
    if now.order <= user.order or now.key == user.key:
        return None
    scripts = {s.cell.name for s in (user, now) if s.cell.number == 0}
    earlier = [s for s in cells.binders(name) if s.order < user.order]
    if not earlier or (scripts and {s.cell.name for s in (user, now, earlier[-1])} != scripts):
        return None
    before = earlier[-1]
    if before.key == now.key or says(before) == says(now):
        return None
    return before


def says(statement: Statement) -> str:
    """Give what a statement says, however it is written."""
    return _digest(statement.cell.text, statement.index)


@lru_cache(maxsize=4096)
def _digest(text: str, index: int) -> str:
    return digest_of([parse(text)[index]])
