"""Pickles whose classes of cells come back as the classes that the kernel has.

cloudpickle keeps a class of ``__main__`` by value, and makes another one of it when it is loaded: a
member of an enum would be neither equal to the one of that name in the notebook, nor an instance of
its class. So a class is kept with its name, and whoever loads may say which class that is; where
nobody does, it is what was kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import cloudpickle

Find = Callable[[str], type | None]

_find: ContextVar[Find | None] = ContextVar("find", default=None)


def dumps(value: Any) -> bytes:
    """Pickle a value, its classes of ``__main__`` with their names.

    Raises
    ------
    Exception
        Whatever the value's own code raises.
    """
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def loads(data: bytes, find: Find | None = None) -> Any:
    """Load what `dumps` gave, or any other pickle; this runs code that the pickle names.

    Parameters
    ----------
    data : bytes
        The pickle.
    find : callable, optional
        Gives the class to use for a qualified name in ``__main__``; None for the kept one.

    Raises
    ------
    Exception
        Whatever the code named in there raises.
    """
    before = _find.set(find)
    try:
        return cloudpickle.loads(data)
    finally:
        _find.reset(before)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and obj.__module__ == "__main__" and "<" not in obj.__qualname__:
            return class_named, (obj.__qualname__, cloudpickle.dumps(obj))
        return super().reducer_override(obj)


def class_named(name: str, kept: bytes) -> Any:
    """Give the class of a name in ``__main__``; what pickles call."""
    find = _find.get()
    found = None if find is None else find(name)
    return cloudpickle.loads(kept) if found is None else found
