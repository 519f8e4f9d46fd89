"""Classes whose instances are nothing but data: to make one runs no code that somebody wrote.

Dataclasses and named tuples are, unless they say themselves how they are made, compared or set.
"""

from __future__ import annotations

import abc
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
    elif not all(is_plain_factory(f.default_factory, is_pure) for f in dataclasses.fields(cls)):
        return False
    return not any(_runs(base) for base in cls.__mro__ if base.__module__ not in _PYTHONS)


_PYTHONS = ("builtins", "typing", "collections", "abc")


def _runs(cls: type) -> bool:
    return any(
        name.startswith("__") and name not in _SPOKEN and is_written(value)
        for name, value in vars(cls).items()
    )


def is_written(value: Any) -> bool:
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


def is_plain_factory(factory: Any, is_pure: Callable[[Any], bool]) -> bool:
    """Tell whether a ``default_factory`` makes nothing but a plain value."""
    if factory is dataclasses.MISSING or is_pure(factory):
        return True
    if isinstance(factory, FunctionType):  # lambda: [64, 32]
        return not factory.__code__.co_names and not factory.__closure__
    return is_data_class(factory, is_pure)


# Methods that run when an instance is made, given up, looked up or compared.
_CONTROLLING = frozenset(
    str.split(
        "__new__ __del__ __setattr__ __delattr__ __getattribute__ __getattr__ __eq__ __hash__"
        " __get__ __set__ __delete__ __slots__ __reduce__ __reduce_ex__ __copy__ __deepcopy__"
    )
)


def is_open_class(cls: Any) -> bool:
    """Tell whether the instances of a class of cells are their attributes, once they are made."""
    if not isinstance(cls, type) or type(cls) not in (type, abc.ABCMeta):
        return False
    if cls.__module__ != "__main__" or hasattr(cls, "__xpm_config__"):
        return False
    own = [base for base in cls.__mro__ if base.__module__ == "__main__"]
    others = [base for base in cls.__mro__ if base.__module__ != "__main__"]
    return all(
        base is object or base.__module__ in ("abc", "typing") for base in others
    ) and not any(
        name in _CONTROLLING and (is_written(value) or name == "__slots__")
        for base in own
        for name, value in vars(base).items()
    )


def is_open(value: Any) -> bool:
    """Tell whether a value is an instance of an open class."""
    return is_open_class(type(value))


def is_inert(value: Any) -> bool:
    """Tell whether it is one, and operators do nothing with it."""
    made = frozenset({"__init__", "__post_init__", *_SPOKEN})
    return is_open(value) and not any(
        name.startswith("__") and name not in made and is_written(held)
        for base in type(value).__mro__
        if base.__module__ == "__main__"
        for name, held in vars(base).items()
    )


def fields_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Give the names and values that an instance of such a class holds, those added later too."""
    if isinstance(value, tuple):
        yield from zip(value._fields, value, strict=False)  # type: ignore[attr-defined]
    else:
        slots = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
        held = {name: getattr(value, name) for name in slots}
        yield from (held | getattr(value, "__dict__", {})).items()
