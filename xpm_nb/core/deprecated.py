"""What was renamed or became something else: old classes, and old names of parameters.

A class that is deprecated has the type name of the class that it stands for, and the identifier of
the configuration that it converts to: what was computed with it is found by the new one, and the
other way round. It still runs its own code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import update_wrapper
from types import FrameType
from typing import Any, TypeVar, cast, overload

from xpm_nb.core.forms import shorten
from xpm_nb.core.names import kept, place_text, site
from xpm_nb.errors import ConfigTypeError, FrozenError

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


class Deprecation:
    """What a deprecated class stands for.

    Attributes
    ----------
    target : type
        The class whose type name it has.
    replace : bool
        ``.C(...)`` gives what it converts to.
    """

    __slots__ = ("replace", "target")

    def __init__(self, target: type, replace: bool) -> None:
        self.target, self.replace = target, replace


class OldName:
    """An old name of a parameter: what is given under it goes to a method of the user's."""

    def __init__(self, method: Callable[[Any, Any], Any]) -> None:
        update_wrapper(cast("Any", self), method)
        self.method = method

    def __get__(self, config: Any, owner: type) -> OldName:
        if config is None:
            return self
        name = self.method.__qualname__
        raise FrozenError(f"{name} is deprecated: it can only be set ({place_text()})")


def old_name(cls: type, name: str) -> OldName | None:
    """Find an old name of a parameter in a class or its parents."""
    for base in cls.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            return found if isinstance(found, OldName) else None
    return None


@overload
def deprecate(what: C, *, replace: bool = False) -> C: ...
@overload
def deprecate(what: F, *, replace: bool = False) -> F: ...
def deprecate(what: Any, *, replace: bool = False) -> Any:
    """Let an old class stand for a new one, or an old name of a parameter for a new one.

    =================================  ============================================================
    ``@deprecate``                     over ``class Old(New)``: `New` was called `Old`
    ``@deprecate(New)``                over ``class Old(Config)`` with ``__convert__(self)``, which
                                       gives a `New`: the identifier is that of what it gives
    ``@deprecate(New, replace=True)``  the same, and ``Old.C(...)`` gives the `New` at once
    ``@deprecate``                     over a method ``def old(self, value)`` that sets what the old
                                       parameter `old` stands for
    =================================  ============================================================

    Raises
    ------
    ConfigTypeError
        If that is none of these.

    Examples
    --------
    >>> @deprecate(Loss)  # doctest: +SKIP
    ... class OldLoss(Config):
    ...     value: Param[float]
    ...
    ...     def __convert__(self):
    ...         return Loss.C(values=[self.value])
    """
    if not isinstance(what, type):
        if not callable(what):
            raise ConfigTypeError(
                f"@deprecate takes a config class or a method, not {shorten(what)} ({place_text()})"
            )
        return OldName(what)
    declared = _declared(what)
    if _is_being_defined(declared, sys._getframe(1)):
        return _mark(declared, _only_parent(declared), replace)
    return lambda old: _mark(_declared(old, declared), declared, replace)


def _declared(cls: Any, target: type | None = None) -> type:
    if not isinstance(cls, type) or not hasattr(cls, "__xpm_config__"):
        over = "" if target is None else f"({target.__qualname__})"
        raise ConfigTypeError(
            f"@deprecate{over} goes over a config class, not {shorten(cls)} ({place_text()})"
        )
    return cast("type", vars(cls).get("__xpm_class__", cls))


def _is_being_defined(cls: type, frame: FrameType) -> bool:
    """Tell whether the statement that a frame executes is that of the class.

    Both ``@deprecate`` and ``@deprecate(New)`` are called with a class. The one that is decorated
    is just being defined, by the lines from its first decorator on.
    """
    where = site(cls)
    if where is None or where.code is not frame.f_code:
        return False
    bodies = [
        const.co_firstlineno
        for const in where.code.co_consts
        if getattr(const, "co_qualname", None) == cls.__qualname__
        and const.co_firstlineno <= where.lineno
    ]
    return bool(bodies) and max(bodies) <= frame.f_lineno <= where.lineno


def _only_parent(cls: type) -> type:
    parents = [
        base
        for base in cls.__bases__
        if hasattr(base, "__xpm_config__") and "__xpm_config__" not in vars(base)
    ]
    if len(parents) != 1:
        found = ", ".join(parent.__qualname__ for parent in parents) or "none"
        raise ConfigTypeError(
            f"@deprecate over {cls.__qualname__}: it must have one parent, the class that it stands"
            f" for, and there are {found}; write @deprecate(New) for a class that it converts to"
            f" ({place_text()})"
        )
    return parents[0]


def _mark(cls: type, target: type, replace: bool) -> type:
    name = cls.__qualname__
    if cls is target:
        raise ConfigTypeError(f"{name} cannot stand for itself ({place_text()})")
    if not hasattr(cls, "__convert__") and (replace or not issubclass(cls, target)):
        raise ConfigTypeError(
            f"{name} must say what becomes of it: write `def __convert__(self)` in it, which gives"
            f" {target.__qualname__}.C(...) ({place_text()})"
        )
    type.__setattr__(cls, "__xpm_deprecated__", Deprecation(target, replace))
    memory = kept(cls)
    memory.made = memory.schema = None  # perhaps made already, by code of the user's
    return cls
