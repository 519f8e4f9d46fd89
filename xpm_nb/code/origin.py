"""The statement that made a class or a function, checked against the live object.

A class is found through the note taken when it was defined (file, line, code object), or through
the code of its methods. A class that has neither, such as a plain ``Enum``, is compared with the
definitions of its name: fields, values and docstring have to agree.
"""

from __future__ import annotations

import ast
import enum
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from xpm_nb.code.bytecode import FUTURES
from xpm_nb.code.cells import Cells, Statement, class_bodies, functions_in, names_bound
from xpm_nb.code.drift import Context, Refused, check_class, unsure
from xpm_nb.code.equal import same_value
from xpm_nb.code.values import NotPlain, evaluate
from xpm_nb.core.config import Site


class Origins:
    """Finds the statements that made live objects.

    Parameters
    ----------
    cells
        What is known of cells.
    site
        Gives the note taken at a class's definition, or None.
    space
        The globals of ``__main__``.
    """

    def __init__(
        self, cells: Cells, site: Callable[[type], Site | None], space: Mapping[str, Any]
    ) -> None:
        self._cells = cells
        self._site = site
        self._space = space
        self._classes: dict[type, tuple[Statement, ast.ClassDef] | None] = {}
        self._differences: dict[type, dict[str, Refused]] = {}

    def of_function(self, function: FunctionType) -> Statement | None:
        """Give the statement that holds a function's code; None for code of importable modules."""
        # functools.wraps changes __module__; %run takes __name__ out of the globals of its script.
        in_main = function.__globals__.get("__name__", function.__module__) == "__main__"
        if in_main or self._cells.knows(function.__code__.co_filename):
            return self._cells.holding(function.__code__)
        return None

    def of_class(self, cls: type) -> Statement | None:
        """Give the statement that made a class; None when no cell has it.

        Raises
        ------
        Refused
            When the class is not as its statement says (a method was replaced), was made inside a
            function, or cannot be told from another of its name.
        """
        if "<locals>" in cls.__qualname__:
            raise Refused(
                f"which is defined inside a function ({cls.__qualname__}) and may hold values of "
                "this kernel",
                "Define it at the top level of a cell, and make what varies a Param",
            )
        if cls not in self._classes:
            self._classes[cls] = found = self._find(cls)
            if found is not None:
                self._differences[cls] = check_class(cls, *found, Context(self._space, self))
        found = self._classes[cls]
        return None if found is None else found[0]

    def differences(self, cls: type) -> Mapping[str, Refused]:
        """Give the attributes that the statement of a class alone would not give again."""
        self.of_class(cls)
        return self._differences.get(cls, {})

    def unsure(self, cls: type) -> tuple[str, ...]:
        """Give the attributes of a class of which nobody can tell whether they were set anew."""
        self.of_class(cls)
        found = self._classes[cls]
        return () if found is None else unsure(cls, found[1], self._space)

    def file_of(self, cls: type) -> str:
        """Give the file name noted when a class was defined, or that of its code."""
        site = self._site(cls)
        codes = (function.__code__.co_filename for function in _own_functions(cls))
        return next(codes, "") if site is None else site.filename

    def alike(self, a: type, b: type) -> bool:
        """Tell whether two classes come from equal statements: a cell that was executed again."""
        if a.__module__ != "__main__" or b.__module__ != "__main__":
            return False
        try:
            mine, other = self.of_class(a), self.of_class(b)
        except Refused:
            return False
        return mine is not None and other is not None and mine.key == other.key

    def _find(self, cls: type) -> tuple[Statement, ast.ClassDef] | None:
        """Find the statement of a class, and the definition inside."""
        for code in self._codes(cls):
            statement = self._cells.holding(code)
            if statement is not None:
                node = statement.definition(cls.__qualname__, code.co_firstlineno)
                if node is not None:
                    return statement, node
        return self._by_line(cls) or self._by_looks(cls)

    def _codes(self, cls: type) -> Iterator[CodeType]:
        """Give the code objects that tell where a class was made, the surest first."""
        site = self._site(cls)
        if site is not None and site.code is not None:
            bodies = class_bodies(site.code, cls.__qualname__)
            above = [body for body in bodies if body.co_firstlineno <= site.lineno]
            if above:
                yield max(above, key=lambda body: body.co_firstlineno)
        yield from (f.__code__ for f in _own_functions(cls))

    def _by_line(self, cls: type) -> tuple[Statement, ast.ClassDef] | None:
        site = self._site(cls)
        if site is None or site.code is not None:
            return None
        for cell in self._cells.of_file(site.filename):
            for statement in cell.statements():
                node = statement.definition(cls.__qualname__, site.lineno)
                if node is not None:
                    return statement, node
        return None

    def _by_looks(self, cls: type) -> tuple[Statement, ast.ClassDef] | None:
        """Find a class without code or note among the definitions of its name."""
        if self._site(cls) is not None or any(_own_functions(cls)):
            return None
        top, _, _ = cls.__qualname__.partition(".")
        binders = [
            (statement, statement.definition(cls.__qualname__))
            for statement in reversed(self._cells.binders(top))
        ]
        every = [(statement, node) for statement, node in binders if node is not None]
        fitting = [(s, node) for s, node in every if self._fits(node, cls)]
        found = [(s, node) for s, node in fitting if _is_whole(node, cls)] or fitting
        current = self._is_current(cls)
        if current and every and binders[0][1] is not None and not issubclass(cls, enum.Enum):
            # What was set since is no matter of looks: see `differences`.
            latest = every[0]
            found = [latest] if self._fits(latest[1], cls, values=False) else found
        if len({statement.key for statement, _ in found}) > 1 and not current:
            places = " and ".join(statement.place for statement, _ in reversed(found))
            raise Refused(
                f"an earlier version of {cls.__qualname__} that cannot be told from another "
                f"({places})",
                f"Run the cells again that use {cls.__qualname__}",
            )
        for statement, node in found:
            flags = FUTURES["annotations"] if _is_postponed(node, cls) else 0
            return Statement(statement.cell, statement.index, flags), node
        return None

    def _is_current(self, cls: type) -> bool:
        value: Any = self._space.get(cls.__qualname__.partition(".")[0])
        for name in cls.__qualname__.split(".")[1:]:
            value = getattr(value, name, None)
        return value is cls

    def _fits(self, node: ast.ClassDef, cls: type, *, values: bool = True) -> bool:
        line = vars(cls).get("__firstlineno__")  # Python 3.13 and later
        if line is not None and line not in (node.lineno, *(d.lineno for d in node.decorator_list)):
            return False
        doc = ast.get_docstring(node)
        if doc is not None and (cls.__doc__ is None or inspect.cleandoc(cls.__doc__) != doc):
            return False
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        if any(isinstance(n, functions) and n.name not in vars(cls) for n in node.body):
            return False
        fields = [n.target.id for n in _annotated(node) if isinstance(n.target, ast.Name)]
        annotations = _annotations(cls)
        if list(dict.fromkeys(fields)) != list(annotations):
            return False
        if not values:
            return all(name in vars(cls) for name, _ in _values(node) if name not in annotations)
        return all(self._fits_value(cls, name, value) for name, value in _values(node))

    def _fits_value(self, cls: type, name: str, node: ast.expr) -> bool:
        """Compare a value in a class body with what became of it."""
        members = getattr(cls, "__members__", {})
        defaults = getattr(cls, "_field_defaults", {})
        if name in members:
            live = members[name].value
        elif name in defaults or name in vars(cls):
            live = defaults.get(name, vars(cls).get(name))
        else:
            if issubclass(cls, enum.Enum) and not name.startswith("_"):
                return False  # it would be a member
            return isinstance(node, ast.Call)  # field(default_factory=…) leaves nothing behind
        try:
            value = evaluate(node, self._space)
        except NotPlain:
            return True  # auto(), field(…): the names have to do
        exact = name in members and getattr(cls, "_member_type_", None) is object
        return (type(value) is not type(live) and not exact) or same_value(value, live)


def _is_whole(node: ast.ClassDef, cls: type) -> bool:
    """Tell whether a definition says all that a class has."""
    written = {name for part in node.body for name in names_bound(part)}
    return all(name in written or name.startswith("_") for name in vars(cls))


def _own_functions(cls: type) -> Iterator[FunctionType]:
    """Give the functions written in the body of a class, looking through decorators."""
    prefix = f"{cls.__qualname__}."
    for value in vars(cls).values():
        for function in functions_in(value):
            name = function.__code__.co_qualname
            if name.startswith(prefix) and "." not in name[len(prefix) :]:
                yield function


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def _annotated(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [n for n in node.body if isinstance(n, ast.AnnAssign)]


def _values(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for part in node.body:
        targets: list[ast.expr] = []
        if isinstance(part, ast.Assign):
            targets = part.targets
        elif isinstance(part, ast.AnnAssign):
            targets = [part.target]
        else:
            continue
        for target in targets:
            if part.value and isinstance(target, ast.Name) and not target.id.startswith("__"):
                yield target.id, part.value


def _is_postponed(node: ast.ClassDef, cls: type) -> bool:
    """Tell whether annotations became text, though they were not written as such."""
    written = {ast.unparse(n.target): n.annotation for n in _annotated(node)}
    return any(
        isinstance(value, str) and name in written and not isinstance(written[name], ast.Constant)
        for name, value in _annotations(cls).items()
    )
