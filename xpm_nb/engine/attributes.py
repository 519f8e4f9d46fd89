"""Attributes that are computed and that Tab looks into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, overload

T = TypeVar("T")


class attribute(Generic[T]):  # used as a decorator, in the place of `property`
    """A read-only attribute whose value says itself what it has: ``xp.jobs.<Tab>`` works.

    Behind a `property`, completion stays blind: IPython's own completer does not evaluate one, and
    Jedi takes the class that its annotation names in the place of the value, so that the names of
    the value's ``__dir__`` are not seen (IPython 9.18, ``guarded_eval.can_get_attr``; Jedi 0.20).
    Only for what is cheap and harmless to compute.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> attribute[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> T | attribute[T]:
        return self if instance is None else self.function(instance)

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(f"{type(instance).__name__}.{self.name} cannot be set")
