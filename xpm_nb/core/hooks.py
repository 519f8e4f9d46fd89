"""Submit hooks: what a class asks of the jobs that it takes part in, while they are submitted.

A hook is a decorator of a Config or Task. It is called in the notebook, and never in a job: the
script of a job leaves it out (`code.gather`), so that it may hold whatever it likes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from xpm_nb.core.forms import shorten
from xpm_nb.core.names import place_text
from xpm_nb.errors import ConfigError, ConfigTypeError

C = TypeVar("C", bound=type)
P = ParamSpec("P")


class SubmitHook(ABC):
    """Changes a job's environment or launcher when a class takes part in it; a class decorator.

    Whenever a task is submitted, the hooks of its class, of its nested configurations and of their
    parents are gathered. Of hooks of one class with equal `spec` one is called.

    Examples
    --------
    >>> class needs_threads(SubmitHook):
    ...     def __init__(self, count: int):
    ...         self.count = count
    ...
    ...     def spec(self):
    ...         return self.count
    ...
    ...     def process(self, job, launcher):
    ...         job.environ["OMP_NUM_THREADS"] = str(self.count)
    >>> @needs_threads(4)  # doctest: +SKIP
    ... class Index(Config): ...
    """

    @abstractmethod
    def spec(self) -> Hashable:
        """Give what tells this hook from others of its class."""

    @abstractmethod
    def process(self, job: Any, launcher: Any) -> None:
        """Change how a job will be started.

        Parameters
        ----------
        job : Job
            ``job.environ`` may be changed; it holds what experiment and launcher set.
        launcher : Launcher
            A copy for this job alone, to whose options other values may be assigned.
        """

    def __call__(self, cls: C) -> C:
        """Put the hook on a class, and give the class.

        Raises
        ------
        ConfigTypeError
            It is no config class.
        """
        name = type(self).__qualname__
        if not isinstance(cls, type) or not hasattr(cls, "__xpm_config__"):
            raise ConfigTypeError(
                f"@{name}(…) goes over a config class, not {shorten(cls)} ({place_text()})"
            )
        declared: type = vars(cls).get("__xpm_class__", cls)
        hooks = (*vars(declared).get("__xpm_hooks__", ()), self)
        type.__setattr__(declared, "__xpm_hooks__", hooks)
        return cls


class _Called(SubmitHook):
    """The hook that `submit_hook_decorator` makes of a function and its arguments."""

    def __init__(
        self, function: Callable[..., object], args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> None:
        self.function, self.args, self.options = function, args, dict(options)

    def spec(self) -> Hashable:
        return self.function, self.args, tuple(sorted(self.options.items()))

    def process(self, job: Any, launcher: Any) -> None:
        self.function(job, launcher, *self.args, **self.options)


def submit_hook_decorator(
    function: Callable[Concatenate[Any, Any, P], object],
) -> Callable[P, SubmitHook]:
    """Make a submit hook of a function ``(job, launcher, *args)``; see `SubmitHook`.

    What is given over a class goes to the function, behind the job and the launcher. It must be
    hashable.

    Raises
    ------
    ConfigTypeError
        It is no function.

    Examples
    --------
    >>> @submit_hook_decorator
    ... def needs_threads(job, launcher, count):
    ...     job.environ["OMP_NUM_THREADS"] = str(count)
    >>> @needs_threads(4)  # doctest: +SKIP
    ... class Index(Config): ...
    """
    if not callable(function) or isinstance(function, type):
        raise ConfigTypeError(
            "@submit_hook_decorator goes over a function (job, launcher, …), not"
            f" {shorten(function)} ({place_text()})"
        )

    def hook(*args: P.args, **options: P.kwargs) -> SubmitHook:
        return _Called(function, args, options)

    update_wrapper(hook, function)
    vars(hook)["__xpm_hook__"] = True
    return hook


def is_hook_maker(value: Any) -> bool:
    """Tell whether what a value gives, when it is called, is a submit hook."""
    if isinstance(value, type):
        return issubclass(value, SubmitHook)
    return getattr(value, "__xpm_hook__", False) is True


def hooks_of(classes: Iterable[type]) -> list[tuple[SubmitHook, type]]:
    """Gather the hooks of classes and their parents, equal ones once, with a class of each.

    Raises
    ------
    ConfigError
        A hook cannot say what tells it from others.
    """
    found: dict[tuple[type, Hashable], tuple[SubmitHook, type]] = {}
    for cls in classes:
        for base in reversed(cls.__mro__):
            for hook in vars(base).get("__xpm_hooks__", ()):
                found.setdefault((type(hook), _spec(hook, base)), (hook, base))
    return list(found.values())


def _spec(hook: SubmitHook, cls: type) -> Hashable:
    try:
        spec = hook.spec()
        hash(spec)
    except Exception as error:  # a border: the user's code runs here
        raise hook_error(hook, cls, "spec", error) from error
    return spec


def hook_error(hook: SubmitHook, cls: type, method: str, error: Exception) -> ConfigError:
    """Say which hook of which class raised what."""
    made_of = getattr(hook, "function", None) if isinstance(hook, _Called) else type(hook)
    name = cast("Any", made_of).__qualname__
    what = f"{type(error).__name__}: {error}"
    return ConfigError(
        f"the submit hook {name} of {cls.__qualname__} raised in its {method}(): {what}"
        f" ({place_text()})"
    )
