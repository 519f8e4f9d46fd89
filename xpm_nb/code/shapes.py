"""Classes whose instances are nothing but data: to make one runs no code that somebody wrote.

Dataclasses and named tuples are, unless they say themselves how they are made, compared or set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType
from typing import Any

# What a class may say of its instances, and no operator runs.
_SPOKEN = frozenset(
    str.split(
        "__call__ __class_getitem__ __doc__ __enter__ __exit__ __format__ __repr__ __str__"
        " __rich_repr__ __fspath__"
    )
)
_GENERATORS = frozenset({"dataclasses", "collections", "typing", "reprlib"})


def is_data_class(cls: Any, is_pure: Callable[[Any], bool]) -> bool:
    """Tell whether making, comparing and changing instances of a class runs no written code.

    Parameters
    ----------
    cls
        Anything.
    is_pure
        Tells whether a callable has no effect, and a result that depends on its arguments only.
    """
    if not isinstance(cls, type) or type(cls) is not type:
        return False
    if not dataclasses.is_dataclass(cls):
        if not (issubclass(cls, tuple) and hasattr(cls, "_fields")):
            return False
    elif not all(_is_plain_factory(f.default_factory, is_pure) for f in dataclasses.fields(cls)):
        return False
    return not any(_runs(base) for base in cls.__mro__ if base.__module__ not in _PYTHONS)


_PYTHONS = ("builtins", "typing", "collections", "abc")


def _runs(cls: type) -> bool:
    return any(
        name.startswith("__") and name not in _SPOKEN and _is_written(value)
        for name, value in vars(cls).items()
    )


def _is_written(value: Any) -> bool:
    """Tell a method that stands in a class statement from one that a library made."""
    value = getattr(value, "__func__", value)
    if not isinstance(value, FunctionType):
        return isinstance(value, property | partial)
    made_in = str(value.__globals__.get("__name__", ""))
    return not (
        value.__code__.co_qualname.startswith("__create_fn__")  # as dataclasses call it
        or made_in in _GENERATORS
        or made_in.startswith("namedtuple_")
    )


def _is_plain_factory(factory: Any, is_pure: Callable[[Any], bool]) -> bool:
    if factory is dataclasses.MISSING or is_pure(factory):
        return True
    if isinstance(factory, FunctionType):  # lambda: [64, 32]
        return not factory.__code__.co_names and not factory.__closure__
    return is_data_class(factory, is_pure)


def fields_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Give the names and values that an instance of such a class holds, those added later too."""
    if isinstance(value, tuple):
        yield from zip(value._fields, value, strict=False)  # type: ignore[attr-defined]
    else:
        slots = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
        held = {name: getattr(value, name) for name in slots}
        yield from (held | getattr(value, "__dict__", {})).items()
