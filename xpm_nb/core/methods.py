"""Decorators of a config class's methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from xpm_nb.core.names import place_text
from xpm_nb.core.nodes import node_of
from xpm_nb.errors import ConfigTypeError

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def initializer(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Have a method of instances run once: every later call gives the first result.

    Whoever needs an object ready may call it; a call that raised does not count. The method of a
    parent class is another one, so that ``super().initialize()`` runs.

    Examples
    --------
    >>> class Model(Config):  # doctest: +SKIP
    ...     @initializer
    ...     def initialize(self):
    ...         self.layers = make_layers()
    """
    # One attribute for each, so that the copy of an object does not share it with the object.
    done = f"__xpm_done_{method.__qualname__}__"

    @wraps(method)
    def once(self: S, /, *args: P.args, **options: P.kwargs) -> R:
        if node_of(self) is not None:
            name = method.__name__
            raise ConfigTypeError(
                f"{method.__qualname__}() initializes instances, and this is a configuration:"
                f" write .instance() first, then .{name}() ({place_text()})"
            )
        known = vars(self)
        if done not in known:
            result = method(self, *args, **options)
            known[done] = result
        return known[done]  # type: ignore[no-any-return]

    return once
