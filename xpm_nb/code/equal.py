"""Whether two values are equal, with equal types all the way down.

No code of theirs runs but what Python and the libraries that made them have.
"""

from __future__ import annotations

import argparse
import decimal
import enum
import functools
import inspect
import logging
import operator
import struct
import types
import typing
from collections import ChainMap, deque
from collections.abc import Callable, Iterable
from typing import Any

from xpm_nb.code import numbers
from xpm_nb.code.bytecode import same_code
from xpm_nb.code.shapes import fields_of, is_open
from xpm_nb.code.values import is_data


def same_value(a: Any, b: Any, alike: Callable[[type, type], bool] = operator.is_) -> bool:
    """Tell whether two plain values are equal, with equal types all the way down.

    ``1`` is not ``True``, ``0.0`` is not ``-0.0``, NaN is NaN; functions are compared by their
    code, things made anew by each call (locks, type variables) by what they were made from.

    Parameters
    ----------
    a, b
        The values.
    alike
        Tells of two classes that are not the same object whether they are as good as the same.
    """
    try:
        return _Comparison(alike).same(a, b)
    except RecursionError:  # what holds itself, say
        return False


class _Comparison:
    """Compares values, with a rule for classes."""

    def __init__(self, alike: Callable[[type, type], bool]) -> None:
        self._alike = alike

    def same(self, a: Any, b: Any) -> bool:
        if a is b:
            return True
        if isinstance(a, type) and isinstance(b, type):
            return self._alike(a, b) or self._same_recipe(a, b)
        if isinstance(a, enum.Enum) and isinstance(b, enum.Enum):
            return a.name == b.name and self.same(type(a), type(b))
        if is_data(a) and is_data(b):  # of one class, or of one that was executed again
            return self.same(type(a), type(b)) and self.same(dict(fields_of(a)), dict(fields_of(b)))
        if is_open(a) and is_open(b):
            return self.same(type(a), type(b)) and self.same(vars(a), vars(b))
        if type(a) is not type(b):
            return False
        if (state := numbers.state_of(a)) is not None:
            return self.same(state, numbers.state_of(b))
        match a:
            case float():
                return struct.pack("d", a) == struct.pack("d", b)
            case complex():
                return self.same((a.real, a.imag), (b.real, b.imag))
            case list() | tuple():
                return len(a) == len(b) and all(map(self.same, a, b))
            case dict():
                return self.same(list(a.items()), list(b.items())) and self._same_parts(
                    a, b, ("default_factory",)
                )
            case deque():
                return a.maxlen == b.maxlen and self.same(list(a), list(b))
            case types.MappingProxyType():
                return self.same(dict(a), dict(b))
            case ChainMap():
                return self.same(a.maps, b.maps)
            case types.SimpleNamespace() | argparse.Namespace():
                return self.same(vars(a), vars(b))
            case decimal.Decimal():
                return bool(a.as_tuple() == b.as_tuple())
            case set() | frozenset():
                return bool(a == b) and {(type(x), x) for x in a} == {(type(x), x) for x in b}
            case types.FunctionType():
                codes = same_code(a.__code__, b.__code__, futures=False)
                return codes and self._same_parts(a, b, _OF_FUNCTIONS)
            case functools.partial():
                return self._same_parts(a, b, ("func", "args", "keywords"))
            case types.ModuleType() | logging.Logger():
                return False
        return self._same_object(a, b)

    def _same_parts(self, a: Any, b: Any, names: Iterable[str]) -> bool:
        return all(self.same(getattr(a, n, None), getattr(b, n, None)) for n in names)

    def _same_object(self, a: Any, b: Any) -> bool:
        kind = type(a)
        if kind is object or kind.__module__ == "_thread":
            return True  # a sentinel, a lock: one is as good as another
        if kind.__name__ in _OF_TYPES:
            return self._same_parts(a, b, _OF_TYPES[kind.__name__])
        if hasattr(a, "__origin__") and hasattr(a, "__args__"):  # list[Model], Annotated[int, …]
            return self._same_parts(a, b, ("__origin__", "__args__", "__metadata__"))
        if isinstance(a, types.UnionType):
            return self._same_parts(a, b, ("__args__",))
        if kind.__module__ == "operator":
            return bool(a.__reduce__() == b.__reduce__())
        if bool(a == b):
            return True
        mine = _state(a)
        return bool(mine) and self.same(mine, _state(b))

    def _same_recipe(self, a: type, b: type) -> bool:
        """Compare classes that a call has made: named tuples, enums, typed dicts."""
        if a.__name__ != b.__name__ or a.__bases__ != b.__bases__:
            return False
        if issubclass(a, enum.Enum) and issubclass(b, enum.Enum):
            return self.same(_members(a), _members(b))
        if typing.is_typeddict(a) or (issubclass(a, tuple) and hasattr(a, "_fields")):
            mine, other = inspect.get_annotations(a), inspect.get_annotations(b)
            parts = ("_fields", "_field_defaults", "__total__")
            return self.same(mine, other) and self._same_parts(a, b, parts)
        return False


# The attributes that things were made from, where == compares no more than identity.
_OF_FUNCTIONS = ("__defaults__", "__kwdefaults__", "__closure__")
_TYPE_VARIABLE = ("__name__", "__bound__", "__constraints__", "__covariant__", "__contravariant__")
_OF_TYPES = {
    "TypeVar": _TYPE_VARIABLE,
    "ParamSpec": _TYPE_VARIABLE,
    "TypeVarTuple": ("__name__",),
    "NewType": ("__name__", "__supertype__"),
    "ContextVar": ("name",),
    "Struct": ("format",),
}


def _members(cls: type[enum.Enum]) -> dict[str, Any]:
    return {name: member.value for name, member in cls.__members__.items()}


def _state(value: Any) -> dict[str, Any]:
    """Give the attributes of an object itself, slots too."""
    named = [cls.__dict__.get("__slots__", ()) for cls in type(value).__mro__]
    names = [name for slots in named for name in ([slots] if isinstance(slots, str) else slots)]
    slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return slots | getattr(value, "__dict__", {})
