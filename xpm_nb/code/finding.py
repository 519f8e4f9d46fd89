"""What gives a global name its present value: the statements of cells, or an import.

A class or function is found by its code. A plain value is what statements make when they are
executed again, one alone or several together. What nothing makes again is refused.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from contextlib import suppress
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, Protocol

from xpm_nb.code import changes, own
from xpm_nb.code.binding import (
    DEFINITIONS,
    Meaning,
    changed_by,
    made_of_itself,
    refusal,
    unbound,
    unfit,
)
from xpm_nb.code.cells import Cells, Statement, functions_in
from xpm_nb.code.drift import Context, Refused, check_decorators, check_defaults
from xpm_nb.code.imports import import_gives, import_text, is_dotted, is_import
from xpm_nb.code.origin import Origins
from xpm_nb.code.pieces import Piece
from xpm_nb.code.versions import used_at_once
from xpm_nb.errors import CarrierError


class Ground(Protocol):
    """What findings are added to."""

    cells: Cells
    origins: Origins
    left: list[own.Left]

    def piece(
        self, statement: Statement, space: Mapping[str, Any], root: str, made: object = None
    ) -> Piece:
        """Give the piece of a statement, a new one or that which is known."""
        ...

    def import_of(self, user: Piece, text: str) -> Piece:
        """Give the piece of an import that no statement has."""
        ...

    def pickled(self, value: Any) -> Piece | None:
        """Give the piece of a class that is pickled, None if it is not."""
        ...

    def space_of(self, value: object, statement: Statement) -> Mapping[str, Any]:
        """Give the globals of a statement's functions."""
        ...

    def error(self, piece: Piece, name: str, line: int, refused: Refused) -> CarrierError:
        """Say why a name that a piece reads cannot be carried."""
        ...


class Finding:
    """Finds what gives global names their values.

    Parameters
    ----------
    ground
        What the statements found are added to.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def find(self, user: Piece, name: str, value: Any) -> list[Piece]:
        """Give the pieces that give a name its value, for a piece that reads it.

        Raises
        ------
        Refused
            Nothing makes it again.
        """
        pickled = self._ground.pickled(value)
        if pickled is not None:
            return [pickled]
        statement = self._by_object(name, value)
        if statement is not None:
            return [
                self._ground.piece(
                    statement, self._ground.space_of(value, statement), user.root, value
                )
            ]
        imports = [s for s in self._ground.cells.binders(name) if is_import(s)]
        stars = [s for s in self._ground.cells.binders("*") if is_import(s)]
        found = [s for s in (*imports, *stars) if import_gives(s.node, name, value, user.space)]
        if found:
            dotted = isinstance(value, ModuleType) and any(is_dotted(s.node, name) for s in found)
            return [self._imported(s, user, name) for s in (found if dotted else found[:1])]
        binders = [s for s in self._ground.cells.binders(name) if not is_import(s)]
        others = [s.as_compiled(value) for s in binders]
        refusals: list[Refused] = []
        meaning = Meaning(name, value, user.space)
        for statement in reversed(others):
            if not refusals and (remade := self._remade(user, name, value)):
                return remade
            refused = self._refusal(meaning, statement)
            # Behind a later statement, a decorated definition may be what that has wrapped.
            wrapped = refusals and isinstance(statement.node, DEFINITIONS)
            if refused is None and not wrapped:
                if isinstance(statement.node, ast.FunctionDef | ast.AsyncFunctionDef):
                    context = Context(user.space, self._ground.origins)
                    check_decorators(value, statement, statement.node, context)
                piece = self._ground.piece(statement, user.space, user.root, value)
                self._add_implementations(piece, value)
                return [piece]
            if refused is not None:
                filled = None if refusals else self._filled(user, name, value, statement)
                if filled is not None:
                    return [filled]
                if not refusals and self._begins(user, name, value, statement, refused):
                    return [self._ground.piece(statement, user.space, user.root)]
                refusals.append(self._said(meaning, statement, refused))
        if refusals:
            raise refusals[0]
        if _is_kernels(value) and name in vars(builtins):
            check_builtin(name)
            return []  # IPython puts its own `open` and `exit` before Python's
        return [self._made_up(user, name, value, changed=bool(imports))]

    def _refusal(self, meaning: Meaning, statement: Statement) -> Refused | None:
        """Say why a statement alone cannot have given a name its value; None if it can."""
        if changes.reads_itself(statement, meaning.name):
            again = made_of_itself(meaning, statement)
            if again is not None:
                return again
        return refusal(meaning, statement, self._ground.origins)

    def _said(self, meaning: Meaning, statement: Statement, refused: Refused) -> Refused:
        """Say why a value is not what a statement makes it; if others of its cell change it, that.

        To run the cell again would make it what it is now.
        """
        cell = statement.cell
        chain = changes.chain(self._ground.cells, meaning.name, meaning.space)
        after = [s for s in chain if s.cell == cell and s.order > statement.order]
        return changed_by(meaning, after[-1]) if after and chain[0] == statement else refused

    def _remade(self, user: Piece, name: str, value: Any) -> list[Piece]:
        """Give the pieces that make a plain value together; none if one alone does, or none do."""
        statements = changes.chain(self._ground.cells, name, user.space)
        if len(statements) < 2 or unfit(Meaning(name, value, user.space), statements):
            return []
        if not changes.reads_itself(statements[-1], name):
            alone = refusal(Meaning(name, value, user.space), statements[0], self._ground.origins)
            if alone is None and not any(
                changes.reads_itself(statement, name) for statement in statements
            ):
                return []
        if not changes.make(name, value, statements, user.space, self._ground.origins):
            return []
        made: list[Piece] = []
        names = {name, *(n for s in statements for n in s.binds if user.space.get(n) is value)}
        for statement in statements:
            piece = self._ground.piece(statement, user.space, user.root)
            piece.compared = True
            for other in names & {bound for before in made for bound in before.binds}:
                piece.now[other] = [*made]
                piece.settled.add(other)
            made.append(piece)
        return made

    def _begins(
        self, user: Piece, name: str, value: Any, statement: Statement, refused: Refused
    ) -> bool:
        """Tell whether functions may have changed a plain value since; see `_settle`."""
        assert user.statement is not None
        every = (s for cell in self._ground.cells.all for s in cell.statements())
        if not own.begins_plain(statement, name, user.space):
            return False
        if not any(own.changes_global(s, name) for s in every):
            return False
        reads = user.statement.reads
        line = {**reads.hints, **reads.later, **reads.now}.get(name, 0)
        said = self._said(Meaning(name, value, user.space), statement, refused)
        error = self._ground.error(user, name, line, said)
        self._ground.left.append(own.Left(value, name, "", refused, error))
        return True

    def _filled(self, user: Piece, name: str, value: Any, statement: Statement) -> Piece | None:
        """Give the piece of a global container, if decorators or base classes have filled it."""
        some = changes.since(self._ground.cells, name, statement)
        items = changes.added(value, statement, user.space)
        makers = [self._registering(item, name, user.space) for item in items]
        found = [maker for maker in makers if maker is not None]
        whole = len({maker.key for maker in found}) == len(items)
        if not items or not whole or any(t.name == name for s in some for t in s.touches):
            return None
        piece = self._ground.piece(statement, user.space, user.root)
        for item, maker in zip(items, found, strict=True):
            space = self._ground.space_of(item, maker)
            piece.registered.append(self._ground.piece(maker, space, user.root, item))
        return piece

    def _registering(
        self, item: type | FunctionType, name: str, space: Mapping[str, Any]
    ) -> Statement | None:
        """Give the definition of what a decorator or a base class has put into a container.

        A decorator may have put in what it has wrapped the function in (`functools.wraps`).
        """
        for part in [item] if isinstance(item, type) else functions_in(item):
            statement = self.statement_of(part)
            if statement is None or not isinstance(statement.node, DEFINITIONS):
                continue
            for used in used_at_once(statement.cell.text, statement.index):
                by = self.statement_of(space.get(used))
                if by is not None and by.key != statement.key and name in by.reads.later:
                    if isinstance(statement.node, ast.ClassDef):
                        return statement
                    context = Context(space, self._ground.origins)
                    check_decorators(item, statement, statement.node, context)
                    return statement
        return None

    def statement_of(self, value: object) -> Statement | None:
        """Give the statement that made a function or class of cells; None for anything else."""
        if isinstance(value, FunctionType):
            return self._ground.origins.of_function(value)
        if isinstance(value, type) and value.__module__ == "__main__":
            with suppress(Refused):
                return self._ground.origins.of_class(value)
        return None

    def _add_implementations(self, piece: Piece, value: Any) -> None:
        """Add what other statements have registered with a `functools.singledispatch` function."""
        registry = getattr(value, "registry", None)
        for function in registry.values() if isinstance(registry, MappingProxyType) else ():
            if isinstance(function, FunctionType):
                statement = self._ground.origins.of_function(function)
                if statement is not None:
                    space = self._ground.space_of(function, statement)
                    piece.registered.append(self._ground.piece(statement, space, piece.root))

    def _by_object(self, name: str, value: Any) -> Statement | None:
        """Give the definition that made a class or function, if it is what bound the name."""
        statement = None
        if isinstance(value, FunctionType):
            statement = self._ground.origins.of_function(value)
        elif isinstance(value, type) and value.__module__ == "__main__":
            statement = self._ground.origins.of_class(value)
        if statement is None or name not in statement.binds:
            return None
        node = statement.node
        is_lambda = isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            context = Context(value.__globals__, self._ground.origins)
            check_defaults(value, statement, node, context)
            check_decorators(value, statement, node, context)
        return statement if is_lambda or isinstance(node, DEFINITIONS) else None

    def _imported(self, statement: Statement, user: Piece, name: str) -> Piece:
        piece = self._ground.piece(statement, user.space, user.root)
        piece.used.add(name)
        return piece

    def _made_up(self, user: Piece, name: str, value: Any, *, changed: bool) -> Piece:
        """Write an import for something importable that no statement has bound (``%pylab``)."""
        text = "" if changed else import_text(name, value)
        if not text:
            _check_kernel(value)
            raise unbound(value, imported=changed)
        piece = self._ground.import_of(user, text)
        piece.used.add(name)
        return piece


# --- names that only a kernel has


def _is_kernels(value: Any) -> bool:
    module = getattr(value, "__module__", None) or type(value).__module__
    if isinstance(value, FunctionType):  # functools.wraps changes __module__
        module = value.__globals__.get("__name__", "")
    return str(module).partition(".")[0] in ("IPython", "ipykernel")


def check_builtin(name: str) -> None:
    """Refuse a name of Python's own that stands for something of a kernel's."""
    value = vars(builtins).get(name)
    if value is not None:
        _check_kernel(value)


def _check_kernel(value: Any) -> None:
    if _is_kernels(value):
        raise Refused(
            "which exists only in a notebook's kernel",
            "Leave it out of code that jobs run, or import what you need of it inside the function",
        )
