"""What functions have changed since it was made: counters, caches, what is set up by a call.

A job begins with what statements make. What only calls have left behind is not there: where the
functions that do so are carried too, it begins anew (a cache is empty, a counter is at its start),
which is said; where they are not, nothing in the job would ever make it so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from xpm_nb.code.cells import Statement
from xpm_nb.code.drift import Refused
from xpm_nb.code.pieces import Piece
from xpm_nb.code.touches import Inner, inner_touches
from xpm_nb.code.values import NotPlain, evaluate
from xpm_nb.errors import CarrierError

_MISSING = object()
_CLASSES = ("cls", "mcs", "klass")


class Left(NamedTuple):
    """Something that is not as its statement made it, and that no other statement explains.

    Attributes
    ----------
    value
        The class or function that has it; a global value itself.
    name
        The global name.
    attribute
        What differs, "" for a global value.
    refused, error
        What is to be said if it cannot be carried.
    """

    value: Any
    name: str
    attribute: str
    refused: Refused
    error: CarrierError


def begins_anew(left: Left, pieces: Iterable[Piece], made: Mapping[type, Piece]) -> bool:
    """Tell whether functions that are carried too make it what it is.

    Parameters
    ----------
    left
        What it is.
    pieces
        All that is carried.
    made
        The classes that these define.
    """
    statements = [piece.statement for piece in pieces if piece.statement is not None]
    if not left.attribute:
        return any(changes_global(statement, left.name) for statement in statements)
    above = left.value.__mro__ if isinstance(left.value, type) else ()
    family = [made[cls].statement for cls in above if cls in made]
    return any(
        _changes_attribute(left, inner, statement in family)
        for statement in statements
        for inner in _inner(statement)
    )


def doubt(left: Left) -> str:
    """Say that something begins anew in a job, "" for what a class keeps to itself."""
    if left.attribute.startswith("_"):
        return ""
    return (
        f"`{left.name}`, {left.refused.reason}: functions of the job change it, and there it "
        "begins anew."
    )


def set_by_call(
    cls: type, attributes: Iterable[str], statements: Iterable[Statement]
) -> Iterator[str]:
    """Say which functions, not carried, may have set an attribute of a class anew.

    Parameters
    ----------
    cls
        The class.
    attributes
        Those of which nobody can tell by their values.
    statements
        Where to look.
    """
    wanted = set(attributes)
    for statement in statements if wanted else ():
        for inner in _inner(statement):
            if inner.sets and len(inner.path) == 2 and inner.path[0] != "self":
                attribute = inner.path[1]
                if attribute in wanted:
                    yield (
                        f"{statement.place} may have set {cls.__qualname__}.{attribute} when it "
                        "was called: a job makes it as the class statement says."
                    )


def changes_global(statement: Statement, name: str) -> bool:
    """Tell whether functions of a statement change what a global name stands for."""
    return any(not inner.local and inner.path[0] == name for inner in _inner(statement))


def begins_plain(statement: Statement, name: str, space: Mapping[str, Any]) -> bool:
    """Tell whether a statement gives a name a plain value, and does nothing else."""
    node = statement.node
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return False
    if not all(isinstance(target, ast.Name) for target in targets):
        return False
    try:
        evaluate(node.value, space)
    except NotPlain:
        return False
    return name not in statement.reads.now


def attributes_of(
    function: object, statement: Statement, space: Mapping[str, Any]
) -> dict[str, Refused]:
    """Give the attributes that a function has got, besides those of a library's decorators."""
    node = statement.node
    if not isinstance(function, FunctionType) or not all(
        _is_of_cells(decorator, space) for decorator in getattr(node, "decorator_list", ())
    ):
        return {}
    wrapped = getattr(getattr(function, "__wrapped__", None), "__dict__", {})
    return {
        name: Refused(
            f"which got attributes ({name}) after {statement.place}",
            "Keep such values in the function or in a Param",
        )
        for name, value in vars(function).items()
        if name != "__wrapped__" and wrapped.get(name, _MISSING) is not value
    }


def _is_of_cells(decorator: ast.expr, space: Mapping[str, Any]) -> bool:
    name = ast.unparse(decorator).partition("(")[0].partition(".")[0]
    return getattr(space.get(name), "__module__", "") == "__main__"


def _changes_attribute(left: Left, inner: Inner, of_family: bool) -> bool:
    """Tell whether a change is one of an attribute of a class or function.

    `of_family`: it is made by a method of the class or of those that it is derived from.
    """
    root, *path = inner.path
    if not path or path[0] not in (left.attribute, "?") or (inner.sets and len(path) > 1):
        return False
    if root == left.name and not inner.local:
        return True
    if not isinstance(left.value, type):
        return inner.sets and inner.local  # by a decorator
    return of_family and inner.local and (root in _CLASSES or not inner.sets)


def _inner(statement: Statement) -> frozenset[Inner]:
    return inner_touches(statement.cell.text)[statement.index]
