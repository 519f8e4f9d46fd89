"""Decorators of a config class's methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from xpm_nb.core import doors
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


def cache(
    name: str,
) -> Callable[[Callable[Concatenate[S, Path, P], R]], Callable[Concatenate[S, P], R]]:
    """Keep what a method computes in a file (or folder), for all jobs and notebooks to come.

    The method gets its path as first argument: it loads what is there, else computes and writes it.
    The path belongs to the configuration's identifier and to `name`, in the workspace of the job or
    of the current experiment; it is locked meanwhile, so that of several that ask at the same time
    one computes. What was being written when a computation broke off is put aside first.

    Raises
    ------
    NoExperimentError
        When the method is called outside a job, and no experiment is open.

    Examples
    --------
    >>> class Terms(Config):  # doctest: +SKIP
    ...     @cache("terms.npy")
    ...     def load(self, path):
    ...         if not path.exists():
    ...             np.save(path, self.compute())
    ...         return np.load(path)
    """
    if not isinstance(name, str):
        raise ConfigTypeError(f'write @cache("name") over the method ({place_text()})')

    def decorate(method: Callable[Concatenate[S, Path, P], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(method)
        def computed(self: S, /, *args: P.args, **options: P.kwargs) -> R:
            config = _described(self, method.__qualname__)
            with doors.cache_path(config, name) as path:
                return method(self, path, *args, **options)

        return computed

    return decorate


def _described(value: Any, method: str) -> Any:
    """Give a configuration, or the one that an instance was built from."""
    config = value if node_of(value) is not None else vars(value).get("__xpmconfig__")
    if config is None:
        raise ConfigTypeError(
            f"{method}() has no configuration to keep something for: this"
            f" {type(value).__qualname__} was not made by .instance() ({place_text()})"
        )
    return config
