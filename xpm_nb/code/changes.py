"""What other statements have done to a thing after its definition: carried too, or refused.

Carried are a container's plain contents, and what `abc.ABCMeta.register` is told, because the live
object can be asked whether that is all. An attribute that is set anew stands for whatever its
statement computed in the kernel: that is refused, with the way out.
"""

from __future__ import annotations

import abc
import ast
import inspect
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

from xpm_nb.code.cells import Cells, Statement
from xpm_nb.code.drift import Refused
from xpm_nb.code.touches import SPOKEN, Touch, filled, is_filling
from xpm_nb.code.values import NotPlain, evaluate, same_value

_HELD = (list, dict, set)
_DEFINED = (FunctionType, type, staticmethod, classmethod, property, type(None))
_MISSING = object()


def since(cells: Cells, name: str, definition: Statement) -> list[Statement]:
    """Give the statements that may have changed a thing, up to the next definition of its name."""
    later = [s for s in cells.binders(name) if s.order > definition.order]
    return [
        s
        for s in cells.touching(name)
        if definition.order < s.order
        and not (later and later[0].order < s.order)
        and s.key != definition.key
    ]


def of_definition(
    name: str,
    value: Any,
    definition: Statement,
    some: Sequence[Statement],
    space: Mapping[str, Any],
) -> list[Statement]:
    """Give the statements that a class or function needs besides its definition.

    Raises
    ------
    Refused
        For a change that a job would not see.
    """
    needed: list[Statement] = []
    filling: dict[str, list[Statement]] = {}
    for statement in some:
        for touch in statement.touches:
            if touch.name != name:
                continue
            if (
                touch.call == "register"
                and not touch.path
                and _is_registered(value, statement, space)
            ):
                needed.append(statement)
            elif is_filling(touch) and _holder(value, touch) is not None:
                filling.setdefault(touch.path[0], []).append(statement)
            elif _changes(value, touch):
                # Equal statements are carried once: what was between them would come last.
                once = statement.key not in [other.key for other in needed]
                if once and _is_as_set(value, touch, statement, space):
                    needed.append(statement)
                    continue
                raise Refused(
                    f"in which {statement.place} changes {touch.what} after {definition.place} had "
                    f"defined {name}",
                    f"Write it into the definition, and run {definition.cell.name} again",
                )
    for attribute, found in filling.items():
        _check_filled(f"{name}.{attribute}", vars(value)[attribute], definition, found, space)
        needed += found
    return list(dict.fromkeys(needed))


def _changes(value: Any, touch: Touch) -> bool:
    """Tell whether a change is one of a class or function, and not of what is said of it."""
    if not callable(value) or SPOKEN.intersection(touch.path):
        return False
    if not touch.call:
        return True
    for name in touch.path:
        if name != "[]":
            value = inspect.getattr_static(value, name, None)
    # Of functions and classes, methods may do what they like: clear a cache, register.
    return (
        bool(touch.path) and not isinstance(value, _DEFINED) and not hasattr(value, "__wrapped__")
    )


def _is_as_set(value: Any, touch: Touch, statement: Statement, space: Mapping[str, Any]) -> bool:
    """Tell whether a statement does nothing but set an attribute, to what it still is.

    What is computed can only be computed again, as what the body of a class computes is.
    """
    match statement.node:
        case ast.Assign(targets=[ast.Attribute()], value=written) if "[]" not in touch.path:
            for name in touch.path:
                value = inspect.getattr_static(value, name, _MISSING)
            if value is _MISSING:
                return False
            try:
                return same_value(evaluate(written, space), value)
            except NotPlain:
                return True
    return False


def _is_registered(value: Any, statement: Statement, space: Mapping[str, Any]) -> bool:
    """Tell whether a statement is nothing but ``Base.register(X)``, as it still is."""
    match statement.node:
        case ast.Expr(value=ast.Call(args=[argument], keywords=[])):
            try:
                cls = evaluate(argument, space)
            except NotPlain:
                return False
            return (
                isinstance(value, abc.ABCMeta) and isinstance(cls, type) and issubclass(cls, value)
            )
    return False


def _holder(value: Any, touch: Touch) -> Any:
    """Give the container of a class that a change is one of."""
    path = touch.path[:-1] if touch.path[-1:] == ("[]",) else touch.path
    held = vars(value).get(path[0]) if isinstance(value, type) and len(path) == 1 else None
    return held if isinstance(held, _HELD) else None


def _check_filled(
    what: str,
    live: Any,
    definition: Statement,
    some: Sequence[Statement],
    space: Mapping[str, Any],
) -> None:
    """Refuse a container of a class that holds something else than statements have put there."""
    written = _written(definition.node, what.rpartition(".")[2])
    if written is None or not _explain(written, live, some, space):
        raise Refused(
            f"in which {some[-1].place} changes {what} after {definition.place} had defined it, "
            "in a way that a job would not see",
            f"Write it into the definition, and run {definition.cell.name} again",
        )


def _written(node: ast.AST, name: str) -> ast.expr | None:
    for part in getattr(node, "body", ()):
        if isinstance(part, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in part.targets
        ):
            return part.value
        if isinstance(part, ast.AnnAssign) and getattr(part.target, "id", "") == name:
            return part.value
    return None


def of_container(
    name: str,
    value: Any,
    definition: Statement,
    some: Sequence[Statement],
    space: Mapping[str, Any],
) -> list[Statement] | None:
    """Give the statements that have filled a global container; None if they do not explain it."""
    node = definition.node
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return None
    some = [s for s in some if any(t.name == name and is_filling(t) for t in s.touches)]
    if not isinstance(value, _HELD) or not some:
        return None
    return some if _explain(node.value, value, some, space) else None


def _explain(
    written: ast.expr, live: Any, some: Sequence[Statement], space: Mapping[str, Any]
) -> bool:
    """Tell whether statements have made of what was written what there is now."""
    if len({statement.key for statement in some}) < len(some):
        return False  # equal statements are carried once
    try:
        return same_value(filled(evaluate(written, space), [s.node for s in some], space), live)
    except NotPlain:
        return False


def added(value: Any, definition: Statement, space: Mapping[str, Any]) -> list[Any]:
    """Give the functions and classes in a global container that its definition did not put there.

    Nothing if it holds anything else besides what was written.
    """
    node = definition.node
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return []
    try:
        begin = evaluate(node.value, space)
    except NotPlain:
        return []
    if type(begin) is not type(value) or not isinstance(value, _HELD):
        return []
    items = list(value.items()) if isinstance(value, dict) else list(value)
    before = list(begin.items()) if isinstance(value, dict) else list(begin)
    if isinstance(value, set):
        items = [item for item in items if item not in begin]
    elif same_value(items[: len(before)], before):
        items = items[len(before) :]
    else:
        return []
    found = [item[1] for item in items] if isinstance(value, dict) else items
    return found if all(isinstance(item, type | FunctionType) for item in found) else []
