"""Type variables: what they mean in a class, and what the values of a configuration make them.

Two forms (see `core.forms`) are about variables: ``("typevar", form, T)`` is a parameter declared
``x: Param[T]``, checked as `form`; with a form in the place of T, that of a class that says what T
is, as ``class IntBox(Box[int])`` does. ``("config", cls, forms)`` is ``Box[int]``.

Rule 1: variables are checked, values are never converted to them: a value is hashed as it was
given, as in experimaestro, for which a variable can be anything.
Rule 2: what variables are bound to is computed from the values, and kept only so that a long chain
is not walked with each of its links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

from xpm_nb.core.forms import (
    Form,
    FormBuilder,
    Unresolved,
    alternatives,
    bare,
    narrower,
    parts,
    type_text,
)
from xpm_nb.errors import ConfigTypeError

NodeOf = Callable[[Any], Any]
_ANY: Form = ("any",)
LEVELS = 8
"""How deep a value's type is looked at: a chain may be of any length."""
_NUMBERS = {(bool, int), (bool, float), (int, float)}


class Bound(NamedTuple):
    """What a variable is bound to, by which parameter, and whether that was said beforehand."""

    form: Form
    by: str
    fixed: bool = False


Bindings = dict[Any, Bound]


class Clash(Exception):
    """A value does not go with what a variable is; says why."""


# -- what variables mean in a class


def meanings(cls: type, base: type) -> dict[Any, Form]:
    """Say what the variables of a parent class are, in terms of those of a class.

    Variables that stay what they are are left out.
    """
    if cls is base:
        return {}
    generic = [alias for alias in vars(cls).get("__orig_bases__", ()) if get_origin(alias)]
    for alias in generic:
        origin = get_origin(alias)
        if isinstance(origin, type) and issubclass(origin, base):
            mine = dict(zip(_variables(origin), arguments(cls, get_args(alias)), strict=False))
            above = meanings(origin, base)
            inherited = {name: replaced(form, mine) for name, form in above.items()}
            return {**(mine if origin is base else {}), **inherited}
    for parent in cls.__bases__:
        if issubclass(parent, base):
            return meanings(parent, base)
    return {}


def arguments(cls: type, given: Iterable[Any]) -> tuple[Form, ...]:
    """Give the forms of what stands in the brackets of a generic class."""
    found = []
    for argument in given:
        try:
            found.append(FormBuilder(cls, "[…]").build(argument))
        except (ConfigTypeError, Unresolved):  # no type of a parameter: an array, a protocol
            found.append(_ANY)
    return tuple(found)


def pins(cls: type, given: Iterable[Any]) -> Bindings:
    """Bind the variables of a class to what stands in its brackets."""
    forms = arguments(cls, given)
    by = type_text(("config", cls, forms))
    pairs = zip(_variables(cls), forms, strict=False)
    return {name: Bound(form, by, True) for name, form in pairs if not _is_open(form)}


def _variables(cls: type) -> tuple[Any, ...]:
    return getattr(cls, "__parameters__", ())


def is_generic(form: Form) -> bool:
    """Tell whether a form is about variables, anywhere inside."""
    if form[0] == "typevar" or (form[0] == "config" and len(form) == 3):
        return True
    return any(map(is_generic, parts(form)))


def _is_open(form: Form) -> bool:
    """Tell whether a form has a variable that nothing is known of."""
    if form[0] == "typevar":
        return isinstance(form[2], TypeVar) or _is_open(form[2])
    inner = form[2] if form[0] == "config" and len(form) == 3 else parts(form)
    return any(map(_is_open, inner))


def replaced(form: Form, mapping: Mapping[Any, Form]) -> Form:
    """Give a form with other forms in the place of variables."""
    word = form[0]
    if word == "typevar":
        if isinstance(form[2], TypeVar):
            return mapping.get(form[2], form)
        return (word, form[1], replaced(form[2], mapping))
    if word == "config" and len(form) == 3:
        return (word, form[1], tuple(replaced(part, mapping) for part in form[2]))
    if word in ("list", "set", "tuple*", "constrained"):
        return (word, replaced(form[1], mapping), *form[2:])
    if word == "dict":
        return (word, replaced(form[1], mapping), replaced(form[2], mapping))
    if word in ("tuple", "union"):
        return (word, tuple(replaced(part, mapping) for part in form[1]))
    return form


# -- what values make of them


def bind(
    form: Form, value: Any, found: Bindings, by: str, node_of: NodeOf, *, said: bool = False
) -> None:
    """Bind the variables of a form to the types of a value.

    Parameters
    ----------
    form : tuple
        The declared type.
    value : Any
        A value that was checked and converted.
    found : dict
        What is bound so far; added to.
    by : str
        The name of the parameter.
    node_of : callable
        Gives the node of a configuration.
    said : bool
        The form is what a class said a variable is: the value was not checked for that.

    Raises
    ------
    Clash
        If a variable would be two types that are not related.
    """
    word = form[0]
    if word == "constrained":
        bind(form[1], value, found, by, node_of, said=said)
    elif word == "typevar" and not isinstance(form[2], TypeVar):
        bind(form[2], value, found, by, node_of, said=True)
    elif word == "typevar":
        shape = shape_of(value, node_of)
        if shape is not None:
            _merge(found, form[2], shape, by)
    elif word == "union":
        _bind_union(form, value, found, by, node_of, said)
    elif word == "config" and node_of(value) is not None:
        _unify(form, _shape_of_node(node_of(value)), found, by)
    elif word in ("list", "set", "tuple", "tuple*", "dict") and _is_container(word, value):
        _bind_elements(form, value, found, by, node_of, said)
    elif said:
        shape = shape_of(value, node_of)
        if shape is not None and word != "literal":
            _unify(form, shape, found, by)


def _is_container(word: str, value: Any) -> bool:
    return isinstance(value, {"list": list, "set": set, "dict": dict}.get(word, tuple))


def _bind_union(
    form: Form, value: Any, found: Bindings, by: str, node_of: NodeOf, said: bool
) -> None:
    if value is None and ("none",) in form[1]:
        return
    clash: Clash | None = None
    for part in form[1]:
        trial = dict(found)
        if part == ("none",) or not _could_be(part, value, node_of):
            continue
        try:
            bind(part, value, trial, by, node_of, said=said)
        except Clash as error:
            clash = clash or error
        else:
            found.update(trial)
            return
    if clash is not None:
        raise clash


def _could_be(form: Form, value: Any, node_of: NodeOf) -> bool:
    """Tell whether a value may be of an alternative, variables left aside."""
    if form[0] == "typevar":
        return True
    shape = shape_of(value, node_of)
    inner = bare(form)
    if shape is None or inner == _ANY:
        return True
    if inner[0] == "config" == shape[0]:
        return _same_or_sub(shape[1], inner[1])
    return bool(shape[0] == inner[0] or narrower(shape, inner))


def _bind_elements(
    form: Form, value: Any, found: Bindings, by: str, node_of: NodeOf, said: bool
) -> None:
    if form[0] == "dict":
        pairs = [(form[1], key) for key in value] + [(form[2], item) for item in value.values()]
    elif form[0] == "tuple":
        pairs = list(zip(form[1], value, strict=False))
    else:
        pairs = [(form[1], item) for item in value]
    if not said and not any(is_generic(part) for part, _item in pairs):
        return
    alone: Bindings = {}
    if form[0] != "tuple":
        try:
            for part, item in pairs:
                bind(part, item, alone, by, node_of, said=said)
        except Clash:
            if said:
                raise
            return  # elements of several types: what they have in common is not known
    for part, item in pairs:
        bind(part, item, found, by, node_of, said=said)


def shape_of(value: Any, node_of: NodeOf, levels: int = LEVELS) -> Form | None:
    """Give the form of a value; None where it does not tell (None, an empty list)."""
    if value is None or levels == 0:
        return None
    node = node_of(value)
    if node is not None:
        return _shape_of_node(node)
    if isinstance(value, Enum):
        return ("enum", type(value))
    if isinstance(value, PurePath):
        return ("path",)
    if isinstance(value, (list, set)):
        inner = _common(value, node_of, levels - 1)
        return None if inner is None else (type(value).__name__, inner)
    if isinstance(value, tuple):
        shapes = [shape_of(item, node_of, levels - 1) for item in value]
        return None if None in shapes else ("tuple", tuple(shapes))
    if isinstance(value, dict):
        key = _common(value, node_of, levels - 1)
        item = _common(value.values(), node_of, levels - 1)
        return None if key is None or item is None else ("dict", key, item)
    return ("scalar", type(value))


def _common(values: Iterable[Any], node_of: NodeOf, levels: int) -> Form | None:
    shapes = {shape_of(value, node_of, levels) for value in values}
    return shapes.pop() if len(shapes) == 1 else None


def _shape_of_node(node: Any) -> Form:
    variables = _variables(node.cls)
    if not variables:
        return ("config", node.cls)
    known = node.bindings
    inner = tuple(_cut(known[v].form, LEVELS) if v in known else _ANY for v in variables)
    return ("config", node.cls, inner)


def _cut(form: Form, levels: int) -> Form:
    """Leave out what is too deep inside: that is not looked at."""
    if levels == 0:
        return _ANY
    word = form[0]
    if word == "config" and len(form) == 3:
        return (word, form[1], tuple(_cut(part, levels - 1) for part in form[2]))
    if word in ("list", "set", "tuple*"):
        return (word, _cut(form[1], levels - 1))
    if word == "dict":
        return (word, _cut(form[1], levels - 1), _cut(form[2], levels - 1))
    if word in ("tuple", "union"):
        return (word, tuple(_cut(part, levels - 1) for part in form[1]))
    return form


def _unify(form: Form, shape: Form, found: Bindings, by: str) -> None:
    """Bind the variables of a declared form to those of the form of a value."""
    if form[0] == "typevar":
        if isinstance(form[2], TypeVar):
            _merge(found, form[2], shape, by)
        else:
            _unify(form[2], shape, found, by)
        return
    form = bare(form)
    if _ANY in (form, shape):
        return
    if form[0] == "config" == shape[0] and _same_or_sub(shape[1], form[1]):
        mine = form[2] if len(form) == 3 else ()
        for wanted, given in zip(mine, _as(shape, form[1]), strict=False):
            _unify(wanted, given, found, by)
    elif form[0] == shape[0] and _is_open(form):
        for wanted, given in zip(parts(form), parts(shape), strict=False):
            _unify(wanted, given, found, by)
    elif not _fits(shape, form):
        raise Clash(f"{type_text(form)} is wanted, not {type_text(shape)}")


def _as(shape: Form, base: type) -> list[Form]:
    """Give what the variables of a parent class are in a value; `_ANY` where that is not known."""
    cls = shape[1]
    own = dict(zip(_variables(cls), shape[2] if len(shape) == 3 else (), strict=False))
    above = meanings(cls, base) if issubclass(cls, base) else {}
    found = []
    for variable in _variables(base):
        form = replaced(above.get(variable, ("typevar", _ANY, variable)), own)
        found.append(_ANY if _is_open(form) else form)
    return found


def _same_or_sub(cls: type, base: type) -> bool:
    """Tell whether a class derives from another, or from another definition of it."""
    name = base.__module__, base.__qualname__
    return issubclass(cls, base) or any(
        (parent.__module__, parent.__qualname__) == name for parent in cls.__mro__
    )


def _fits(shape: Form, wanted: Form) -> bool:
    """Tell whether a value of one form will do where another is wanted."""
    shape, wanted = bare(shape), bare(wanted)
    if _ANY in (shape, wanted) or shape == wanted:
        return True
    if wanted[0] == "union":
        return any(_fits(shape, part) for part in alternatives(wanted))
    if wanted[0] == "config" == shape[0]:
        inner = zip(_as(shape, wanted[1]), wanted[2] if len(wanted) == 3 else (), strict=False)
        return _same_or_sub(shape[1], wanted[1]) and all(_fits(a, b) for a, b in inner)
    if wanted[0] == "scalar" == shape[0]:
        return (shape[1], wanted[1]) in _NUMBERS
    if wanted[0] == "tuple*" and shape[0] == "tuple":
        return all(_fits(part, wanted[1]) for part in shape[1])
    mine, theirs = parts(shape), parts(wanted)
    if shape[0] == wanted[0] and mine and len(mine) == len(theirs):
        return all(map(_fits, mine, theirs))
    return narrower(shape, wanted)


def _merge(found: Bindings, variable: Any, shape: Form, by: str) -> None:
    """Bind a variable: a type and its child are one, the wider."""
    old = found.get(variable)
    if old is None:
        found[variable] = Bound(shape, by)
        return
    if old.fixed and _fits(shape, old.form):
        return
    if not old.fixed and shape[0] == old.form[0] != "scalar":
        if _fits(shape, old.form):
            return
        if _fits(old.form, shape):
            found[variable] = Bound(shape, by)
            return
    if shape != old.form:
        name, before = variable.__name__, type_text(old.form)
        raise Clash(f"{name} is {before} (by {old.by}), and {type_text(shape)} by {by}")
