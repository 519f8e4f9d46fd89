"""What other statements have done to a thing after its definition: carried too, or refused.

Carried are statements that, executed again aside, come to the values that there are, and what
`abc.ABCMeta.register` is told, because the live object can be asked whether that is all. What a
statement computed in the kernel can only be computed again if it is an attribute that was set once:
all else is refused, with the way out.
"""

from __future__ import annotations

import abc
import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType, MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

from xpm_nb.code.cells import Cells, Statement
from xpm_nb.code.drift import Refused
from xpm_nb.code.equal import same_value
from xpm_nb.code.imports import is_import
from xpm_nb.code.instances import prepared
from xpm_nb.code.origin import Origins
from xpm_nb.code.replay import Replay
from xpm_nb.code.touches import SPOKEN, Touch, is_filling
from xpm_nb.code.values import NotPlain, evaluate

_HELD = (list, dict, set)
_ATOMS = (bool, int, float, complex, str, bytes, type(None))  # which nothing changes
_DEFINED = (FunctionType, type, staticmethod, classmethod, property, type(None))
_MISSING = object()


class Changed(NamedTuple):
    """What a class or function needs besides its definition.

    Attributes
    ----------
    statements : tuple[Statement, ...]
        To be executed after it.
    attributes : frozenset[str]
        What they set or change, and is as they do it.
    unlike : dict[str, Refused]
        What is not.
    """

    statements: tuple[Statement, ...] = ()
    attributes: frozenset[str] = frozenset()
    unlike: Mapping[str, Refused] = MappingProxyType({})


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


def names_of(name: str, value: Any, space: Mapping[str, Any]) -> list[str]:
    """Give the name of a class or function, and others that it has: ``B = A``."""
    some = list(space.items())  # other threads may be adding to it
    found = [other for other, held in some if held is value and other != name]
    # _, __ and _3 are the kernel's
    return [name, *(other for other in found if not other.startswith("_"))]


def of_all(cells: Cells, names: Iterable[str], definition: Statement) -> list[Statement]:
    """Give the statements that may have changed a thing by any of its names, in order."""
    found: dict[Statement, None] = {}
    for name in names:
        bound = [s for s in cells.binders(name) if s.order >= definition.order]
        latest = definition if name in definition.binds or not bound else bound[-1]
        found.update(dict.fromkeys(since(cells, name, latest)))
    return sorted(found, key=lambda s: s.order)


def of_definition(
    names: Sequence[str],
    value: Any,
    definition: Statement,
    some: Sequence[Statement],
    space: Mapping[str, Any],
    alike: Callable[[type, type], bool],
) -> Changed:
    """Tell what a class or function needs besides its definition.

    Parameters
    ----------
    names
        Its name, and others that it has.
    value
        The live object.
    definition
        Its statement.
    some
        Statements that may have changed it.
    space
        The globals.
    alike
        See `same_value`.

    Raises
    ------
    Refused
        For a change that a job would not see.
    """
    needed, changing = _parted(names, value, some, space)
    found = sorted(dict.fromkeys([*needed, *changing]), key=lambda s: s.order)
    explained: set[str] = set()
    unlike: dict[str, Refused] = {}
    alone: dict[Statement, list[Touch]] = {}
    for group in _groups(changing):
        attributes = {touch.path[0] for touches in group.values() for touch in touches}
        made = _made(names, value, definition, list(group), attributes, space)
        if made is None:
            alone |= group
            explained |= attributes
            continue
        live = {name: held for name, held in vars(value).items() if name in attributes | {*made}}
        for name in made.keys() | live.keys():
            if name in made and name in live and same_value(made[name], live[name], alike):
                explained.add(name)
            else:
                place = list(group)[-1].place
                unlike[name] = _changed(place, f"{names[0]}.{name}", definition)
    _check_alone(names[0], value, definition, alone, space)
    return Changed(tuple(found), frozenset(explained), unlike)


def _parted(
    names: Sequence[str], value: Any, some: Iterable[Statement], space: Mapping[str, Any]
) -> tuple[list[Statement], dict[Statement, list[Touch]]]:
    """Give the statements that only register something, and those that change a thing."""
    needed: list[Statement] = []
    changing: dict[Statement, list[Touch]] = {}
    for statement in some:
        for touch in statement.touches:
            if touch.name not in names:
                continue
            registers = touch.call == "register" and not touch.path
            if registers and _is_registered(value, statement, space):
                needed.append(statement)
            elif _changes(value, touch):
                changing.setdefault(statement, []).append(touch)
    return needed, changing


def _groups(changing: Mapping[Statement, list[Touch]]) -> list[dict[Statement, list[Touch]]]:
    """Put statements together that change the same attributes."""
    groups: list[tuple[set[str], dict[Statement, list[Touch]]]] = []
    for statement, touches in changing.items():
        attributes = {touch.path[0] for touch in touches}
        attributes |= {n.attr for n in ast.walk(statement.node) if isinstance(n, ast.Attribute)}
        mine = {statement: touches}
        for group in [one for one in groups if one[0] & (attributes | {"?"}) or "?" in attributes]:
            groups.remove(group)
            attributes |= group[0]
            mine = {**group[1], **mine}
        groups.append((attributes, mine))
    return [dict(sorted(group.items(), key=lambda pair: pair[0].order)) for _, group in groups]


def _changed(place: str, what: str, definition: Statement) -> Refused:
    return Refused(
        f"in which {place} changes {what} after {definition.place} had defined it, in a way that a "
        "job would not see",
        f"Write it into the definition, and run {definition.cell.name} again",
    )


def _made(
    names: Sequence[str],
    value: Any,
    definition: Statement,
    statements: Sequence[Statement],
    attributes: Iterable[str],
    space: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Give the attributes that statements make, executed again; None if they do more."""
    if len({statement.key for statement in statements}) < len(statements):
        return None  # equal statements are carried once
    stand_in = SimpleNamespace()
    replay = Replay(space, dict.fromkeys(names, stand_in))
    try:
        for name in attributes:
            written = _written(definition.node, name) if isinstance(value, type) else None
            if written is not None:
                setattr(stand_in, name, replay.copied(evaluate(written, space)))
        replay.run([statement.node for statement in statements])
    except NotPlain:
        return None
    return vars(stand_in)


def _check_alone(
    name: str,
    value: Any,
    definition: Statement,
    changing: Mapping[Statement, Sequence[Touch]],
    space: Mapping[str, Any],
) -> None:
    """Refuse changes that are not, each by itself, an attribute that is as it was set."""
    keys: set[str] = set()
    for statement, some in changing.items():
        for touch in some:
            if is_filling(touch) and _holder(value, touch) is not None:
                raise _changed(statement.place, touch.what.removesuffix("[…]"), definition)
            # Equal statements are carried once: what was between them would come last.
            if statement.key in keys or not _is_as_set(value, touch, statement, space):
                raise Refused(
                    f"in which {statement.place} changes {touch.what} after {definition.place} had "
                    f"defined {name}",
                    f"Write it into the definition, and run {definition.cell.name} again",
                )
        keys.add(statement.key)


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


def _written(node: ast.AST, name: str) -> ast.expr | None:
    for part in getattr(node, "body", ()):
        if isinstance(part, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in part.targets
        ):
            return part.value
        if isinstance(part, ast.AnnAssign) and getattr(part.target, "id", "") == name:
            return part.value
    return None


def chain(cells: Cells, name: str, space: Mapping[str, Any]) -> list[Statement]:
    """Give the statements that may have made a global value, in order of execution.

    The first is the latest that gives the name a value without reading what it was; the others
    change that, also by another name that it was given, or make a new value of it. Nothing if there
    is no such first one.
    """
    found: list[Statement] = []
    for statement in reversed([s for s in cells.binders(name) if not is_import(s)]):
        found.insert(0, statement)
        if not reads_itself(statement, name):
            break
    if not found or reads_itself(found[0], name):
        return []
    names = {name: found[0].order}
    for other, binders in _other_names(cells, name, space):
        if binders[-1].order > found[0].order:
            names[other] = binders[-1].order
            found.append(binders[-1])
    later = [s for n, order in names.items() for s in cells.touching(n) if s.order > order]
    return sorted(dict.fromkeys((*found, *later)), key=lambda s: s.order)


def _other_names(
    cells: Cells, name: str, space: Mapping[str, Any]
) -> Iterator[tuple[str, list[Statement]]]:
    """Give the other names that a value was given by ``B = A``, with what binds them."""
    value = space.get(name)
    for other in names_of(name, value, space)[1:] if type(value) not in _ATOMS else ():
        binders = cells.binders(other)
        match binders[-1].node if binders else None:
            case ast.Assign(targets=[ast.Name()], value=ast.Name(id=given)) if given == name:
                yield other, binders


def reads_itself(statement: Statement, name: str) -> bool:
    """Tell whether a statement makes the new value of a name of its former one: ``X += [1]``."""
    values = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For)
    return isinstance(statement.node, values) and name in statement.reads.now


def make(
    name: str,
    value: Any,
    statements: Sequence[Statement],
    space: Mapping[str, Any],
    origins: Origins,
) -> bool:
    """Tell whether statements, executed again, make the value that a global name has."""
    if len({statement.key for statement in statements}) < len(statements):
        return False  # equal statements are carried once
    bound = frozenset(name for statement in statements for name in statement.binds)
    try:
        nodes, made = prepared([s.node for s in statements], space, origins, bound)
        replay = Replay({**space, **made}, {})
        replay.run(nodes)
    except NotPlain:
        return False
    return name in replay.names and same_value(replay.names[name], value, origins.alike)


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
