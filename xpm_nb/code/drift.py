"""Whether classes and functions are still what their statements say.

A notebook lets everything be changed after its definition: a method is replaced, a class gets
another number, a constant is set anew while a default still has the old one. Executing the
statement again, as a job does, would then give something else. That is an error, not a surprise.
"""

from __future__ import annotations

import abc
import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, Protocol

from xpm_nb.code.cells import Statement, functions_in, names_bound
from xpm_nb.code.differing import shortly
from xpm_nb.code.equal import same_value
from xpm_nb.code.values import NotPlain, evaluate

_ATOMS = (bool, int, float, complex, str, bytes)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_MISSING = object()
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Refused(Exception):
    """Something that cannot be carried: `reason` completes "X, …"; `way` is what to do about it.

    In `way`, ``{name}`` stands for the name that was looked up, ``{root}`` for the class it is
    needed for.
    """

    def __init__(self, reason: str, way: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.way = way


class Finder(Protocol):
    """What finds the statements of live objects (`origin.Origins`)."""

    def of_function(self, function: FunctionType) -> Statement | None:
        """Give the statement that holds a function's code; None for code that is in no cell."""
        ...

    def alike(self, a: type, b: type) -> bool:
        """Tell whether two classes come from equal statements."""
        ...


@dataclass(frozen=True)
class Context:
    """What definitions are judged with.

    Attributes
    ----------
    space : Mapping[str, Any]
        The globals that their names stand for.
    finder : Finder
        What finds the statements of live objects.
    local : frozenset[str]
        Names that a class body binds: they are no globals there.
    """

    space: Mapping[str, Any]
    finder: Finder
    local: frozenset[str] = frozenset()


def check_class(
    cls: type, statement: Statement, node: ast.ClassDef, context: Context
) -> dict[str, Refused]:
    """Compare a class with its definition.

    Returns
    -------
    dict
        The attributes that the definition alone would not give again, and what is to be said then.

    Raises
    ------
    Refused
        When a method is not the one that was written, or has other defaults or decorators.
    """
    _check_methods(cls, statement, node, context.finder)
    values = _values(node)
    inner = Context(context.space, context.finder, frozenset(values) | context.local)
    for function in _functions(node):
        value = vars(cls).get(function.name)
        if isinstance(value, FunctionType):
            check_defaults(value, statement, function, inner)
        check_decorators(value, statement, function, inner)
    travels = hasattr(cls, "__xpm_config__")  # values of parameters reach a job by another way
    annotated = {ast.unparse(n.target) for n in node.body if isinstance(n, ast.AnnAssign)}
    alone = _is_made_alone(cls, node)
    found: dict[str, Refused] = {}
    for name, written in values.items():
        if written is not None and not (travels and name in annotated):
            what = f"{cls.__qualname__}.{name}"
            live = vars(cls).get(name, _MISSING)
            try:
                _check_value(what, live, written, statement, inner, whole=alone)
            except Refused as refused:
                found[name] = refused
    if alone:
        found |= _added(cls, statement, node)
    return found


def check_defaults(
    value: FunctionType, statement: Statement, node: Function, context: Context
) -> None:
    """Compare the defaults of a function's arguments with what they would be now.

    Raises
    ------
    Refused
        When a default was taken from a name that stands for something else by now.
    """
    if not statement.holds(value.__code__):
        return  # a decorator's doing
    by_position = zip(node.args.defaults, value.__defaults__ or (), strict=False)
    by_name = (
        (written, (value.__kwdefaults__ or {}).get(argument.arg))
        for argument, written in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    )
    for written, live in (*by_position, *by_name):
        # A list or the like that was written out is one that the function itself may add to.
        if written is not None and (
            isinstance(written, ast.Constant)
            or any(isinstance(n, ast.Name) for n in ast.walk(written))
        ):
            _check_value(f"a default of {node.name}()", live, written, statement, context)
    if len(value.__defaults__ or ()) != len(node.args.defaults):
        raise Refused(
            f"in which {node.name}() ({statement.place}) was given other defaults",
            f"Write them into the definition, and run {statement.cell.name} again",
        )


def check_decorators(value: Any, statement: Statement, node: Function, context: Context) -> None:
    """Look whether what wraps a function is what its decorators would make now.

    Raises
    ------
    Refused
        When a decorator was defined anew since.
    """
    for decorator in node.decorator_list:
        name = ast.unparse(decorator).partition("(")[0].partition(".")[0]
        now = context.space.get(name, _MISSING)
        for place in (
            _wrapped_by(value, statement, name, context.finder) if now is not value else ()
        ):
            by = [found for found in map(context.finder.of_function, functions_in(now)) if found]
            if now is not _MISSING and place.key not in [found.key for found in by]:
                raise Refused(
                    f"in which {node.name}() ({statement.place}) is wrapped by an earlier "
                    f"`{name}` ({place.place})",
                    f"Run {statement.cell.name} again",
                )


def _wrapped_by(value: Any, statement: Statement, name: str, finder: Finder) -> Iterator[Statement]:
    """Give the statements that bind a name, and whose functions a value is wrapped in."""
    for function in functions_in(value):
        if not statement.holds(function.__code__):
            place = finder.of_function(function)
            if place is not None and name in place.binds:
                yield place


def _check_value(
    what: str,
    live: Any,
    written: ast.expr,
    statement: Statement,
    context: Context,
    *,
    whole: bool = True,
) -> None:
    """Refuse a number, a text, a function that would be another one if it were made again.

    `whole`: also None, and lists and the like of plain things.
    """

    def counts(value: Any) -> bool:
        return isinstance(value, (*_ATOMS, FunctionType)) or (whole and _is_data(value))

    names = {n.id for n in ast.walk(written) if isinstance(n, ast.Name)}
    if not counts(live) or names & context.local:
        return
    try:
        made = evaluate(written, context.space)
    except NotPlain:
        return
    if counts(made):
        if same_value(live, made, context.finder.alike):
            return
        raise Refused(
            f"in which {what} ({statement.place}) is {_shown(live)}, and would be "
            f"{_shown(made, anew=True)} if it were made again",
            f"Run {statement.cell.name} again, or set the value back",
        )


def _is_data(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is made of nothing but numbers, texts and containers of Python's own."""
    if value is None or isinstance(value, _ATOMS):
        return True
    if type(value) not in _CONTAINERS or depth > 20:
        return False
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return all(_is_data(part, depth + 1) for part in parts)


def _is_made_alone(cls: type, node: ast.ClassDef) -> bool:
    """Tell whether nothing but its statement had a hand in making a class."""
    named = {ast.unparse(d).partition("(")[0].rpartition(".")[2] for d in node.decorator_list}
    hooks = any("__init_subclass__" in vars(c) for c in cls.__mro__ if c.__module__ == "__main__")
    return named <= {"dataclass"} and not hooks and type(cls) in (type, abc.ABCMeta)


def unsure(cls: type, node: ast.ClassDef, space: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the attributes of a class that are objects which its body computes.

    What was computed cannot be compared with what is computed again.
    """
    found = []
    for name, written in _values(node).items():
        value = vars(cls).get(name)
        known = isinstance(value, type | FunctionType) or _is_data(value)
        if written is None or known or hasattr(type(value), "__get__"):
            continue
        try:
            evaluate(written, space)
        except NotPlain:
            found.append(name)
    return tuple(found)


def _added(cls: type, statement: Statement, node: ast.ClassDef) -> dict[str, Refused]:
    """Give what a class has got besides what its body says."""
    written = {name for part in node.body for name in names_bound(part)}
    known = _is_known(cls)
    return {
        name: Refused(
            f"in which {cls.__qualname__}.{name} was set to {_shown(value)} after "
            f"{statement.place} had defined the class",
            "Set it in the class statement, and run that cell again",
        )
        for name, value in vars(cls).items()
        if name not in written
        and not name.startswith("__")
        and (name not in _PYTHONS if known else _is_data(value) and not name.startswith("_"))
        and not isinstance(value, MemberDescriptorType | GetSetDescriptorType)
    }


# What Python itself writes into classes.
_PYTHONS = ("_abc_impl", "_is_protocol", "_is_runtime_protocol")


def _is_known(cls: type) -> bool:
    """Tell whether all that writes attributes into a class is in sight: no library has a hand."""
    hooks = [c.__module__ for c in cls.__mro__ if "__init_subclass__" in vars(c)]
    ours = ("builtins", "typing", __name__.partition(".")[0])
    named = any(
        hasattr(type(value), "__set_name__") and not isinstance(value, property | cached_property)
        for value in vars(cls).values()
    )
    is_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return all(name.partition(".")[0] in ours for name in hooks) and not named and not is_tuple


def _check_methods(cls: type, statement: Statement, node: ast.ClassDef, finder: Finder) -> None:
    """Refuse a class with a method that is not in its statement."""
    defined = {n.name for n in _functions(node)}
    decorated = {n.name for n in _functions(node) if n.decorator_list}
    bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    wraps = bool(node.decorator_list) or _has_own_hooks(cls)
    for name, value in vars(cls).items():
        functions = list(functions_in(value))
        from_cell = isinstance(value, FunctionType) and finder.of_function(value) is not None
        if name in defined - decorated and from_cell and not wraps:
            functions = functions[:1]  # what it has wrapped up does not count
        if not functions or any(statement.holds(f.__code__) for f in functions):
            continue
        if name in defined:
            verb = "replaced"
        elif name in bound or node.decorator_list or not from_cell:
            continue
        else:
            verb = "added"
        raise Refused(
            f"whose method {name} was {verb} after {statement.place} had defined the class",
            "Define the method in the class statement, and run that cell again",
        )


def _has_own_hooks(cls: type) -> bool:
    """Tell whether code of cells may have had a hand in making a class."""
    if type(cls).__module__ == "__main__":
        return True
    bases = [base for base in cls.__mro__[1:] if base.__module__ == "__main__"]
    return any("__init_subclass__" in vars(base) for base in bases)


def _functions(node: ast.ClassDef) -> list[Function]:
    return [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _values(node: ast.ClassDef) -> dict[str, ast.expr | None]:
    """Give the names that a class body binds, each with the only expression it is set to."""
    found: dict[str, list[ast.expr | None]] = {n.name: [None] for n in _functions(node)}
    for part in node.body:
        value = part.value if isinstance(part, ast.Assign | ast.AnnAssign) else None
        targets = part.targets if isinstance(part, ast.Assign) else []
        if isinstance(part, ast.AnnAssign):
            targets = [part.target]
        plain = {target.id for target in targets if isinstance(target, ast.Name)}
        for name in ast.walk(part) if not isinstance(part, _SCOPES) else ():
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                found.setdefault(name.id, []).append(value if name.id in plain else None)
    return {name: values[0] if len(values) == 1 else None for name, values in found.items()}


def _shown(value: Any, *, anew: bool = False) -> str:
    if isinstance(value, FunctionType):
        return f"{'the present' if anew else 'an earlier'} {value.__name__}()"
    if not _is_data(value):
        return f"a {type(value).__qualname__}"
    return shortly(repr(value))
