"""The ways out of the core.

A task must submit itself, a config must display itself, an error wants to say ``In[7], line 2``:
none of that is the core's business. It goes through one of these doors, which have plain defaults
and are filled by the package's ``__init__`` with functions that import what they need on their
first call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from xpm_nb.errors import InternalError, NoExperimentError

HOW_TO_OPEN = 'open one with start("name") or %xpm start NAME'


class Submitter(Protocol):
    """Where submitted tasks go."""

    def submit(
        self,
        task: Any,
        *,
        launcher: Any = None,
        run_mode: Any = None,
        init_tasks: Sequence[Any] = (),
        max_retries: int | None = None,
        transient: Any = None,
    ) -> Any:
        """Hand a task over to the current experiment; give what its `task_outputs` gives."""

    def namespace(self) -> str | None:
        """Name the namespace of the current experiment, None when no experiment is open."""


class _Nowhere:
    """The submitter of a core on its own: there is no experiment."""

    def submit(self, task: Any, **_options: Any) -> Any:
        name = type(task).__qualname__.removesuffix(".C")
        raise NoExperimentError(f"{name} has nowhere to go: {HOW_TO_OPEN}")

    def namespace(self) -> str | None:
        return None


def _text_only(config: Any) -> dict[str, Any]:
    return {"text/plain": repr(config)}


def _only_picture(thing: Any) -> Any:
    return renderer(thing)["text/plain"]


def _file_and_line(filename: str, lineno: int) -> str:
    return f"{filename}:{lineno}"


def _no_comparer(left: Any, right: Any) -> Any:
    raise InternalError("nothing compares configurations: `import xpm_nb` fills the doors")


def _no_explainer(task: Any) -> Any:
    name = type(task).__qualname__.removesuffix(".C")
    raise NoExperimentError(f"{name} has no place where results are: {HOW_TO_OPEN}")


def _no_literals(cls: type) -> dict[str, str]:
    return {}


def no_cache(config: Any, name: str) -> AbstractContextManager[Path]:
    """Say that nothing can be kept."""
    kind = type(config).__qualname__.removesuffix(".C")
    raise NoExperimentError(f"{kind} has nowhere to keep {name!r}: {HOW_TO_OPEN}")


def _nobody_hears(method: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Take note of nothing: there is no job."""


def _no_limit() -> float | None:
    return None


submitter: Submitter = _Nowhere()
renderer: Callable[[Any], dict[str, Any]] = _text_only
widget: Callable[[Any], Any] = _only_picture
place: Callable[[str, int], str] = _file_and_line
comparer: Callable[[Any, Any], Any] = _no_comparer
explainer: Callable[[Any], Any] = _no_explainer
cache_path: Callable[[Any, str], AbstractContextManager[Path]] = no_cache
literals: Callable[[type], dict[str, str]] = _no_literals
reporter: Callable[[str, tuple[Any, ...], dict[str, Any]], None] = _nobody_hears
remaining_time: Callable[[], float | None] = _no_limit


def fill(
    *,
    submitter: Submitter | None = None,
    renderer: Callable[[Any], dict[str, Any]] | None = None,
    widget: Callable[[Any], Any] | None = None,
    place: Callable[[str, int], str] | None = None,
    comparer: Callable[[Any, Any], Any] | None = None,
    explainer: Callable[[Any], Any] | None = None,
    cache_path: Callable[[Any, str], AbstractContextManager[Path]] | None = None,
    literals: Callable[[type], dict[str, str]] | None = None,
    reporter: Callable[[str, tuple[Any, ...], dict[str, Any]], None] | None = None,
    remaining_time: Callable[[], float | None] | None = None,
) -> None:
    """Put something behind one or more doors; the others stay as they are.

    Parameters
    ----------
    submitter : Submitter, optional
        Takes submitted tasks and knows the current namespace.
    renderer : callable, optional
        Gives the mime bundle of a config.
    widget : callable, optional
        Gives what shows a config or an experiment alive, for front-ends that ask by ``_display_``
        (marimo).
    place : callable, optional
        Turns a file name and a line number into words (``In[7], line 2``).
    comparer : callable, optional
        Gives the difference of two configs.
    explainer : callable, optional
        Says why the result of a task is reused, or why not.
    cache_path : callable, optional
        Takes a config and a name; gives a context in which a path of the two is ours alone.
    literals : callable, optional
        Gives the texts that stand after the fields of a class.
    reporter : callable, optional
        Takes note of an output that a running task reports: name of the method, arguments.
    remaining_time : callable, optional
        In a job, says how many seconds of its time limit are left; None without one.
    """
    doors = globals()
    fillings = {
        "submitter": submitter,
        "renderer": renderer,
        "widget": widget,
        "place": place,
        "comparer": comparer,
        "explainer": explainer,
        "cache_path": cache_path,
        "literals": literals,
        "reporter": reporter,
        "remaining_time": remaining_time,
    }
    for name, filling in fillings.items():
        if filling is not None:
            doors[name] = filling
