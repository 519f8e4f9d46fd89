"""What would become of tasks: told from what this kernel knows and what their directories say.

Rule: nothing here writes, seals, starts or waits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from xpm_nb.core import config as configs
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import entries
from xpm_nb.engine.entries import Entry, Found
from xpm_nb.errors import XpmError
from xpm_nb.store.layout import JobPaths, Workspace


class Fate(NamedTuple):
    """What would become of a task if it were submitted now."""

    kind: str  # "computed", "running", "waiting", "failed", "new", "none"
    text: str


NONE = Fate("none", "")
_NEW = Fate("new", "new")
_COMPUTED = Fate("computed", "computed already")
_ELSEWHERE = Fate("running", "running elsewhere")
_UNDER_WAY = {
    JobState.WAITING: Fate("waiting", "waiting for other jobs"),
    JobState.READY: Fate("waiting", "waiting for a free slot"),
    JobState.SCHEDULED: Fate("running", "starting"),
    JobState.RUNNING: Fate("running", "running"),
    JobState.DONE: _COMPUTED,
}


def place_of(task: Any, workspace: Workspace, namespace: str | None) -> JobPaths:
    """Name the directory that a task's job has, or would have; the task may still change.

    Raises
    ------
    ConfigError, UnsetError
        It has no identifier: a value is missing, or cannot be hashed.
    NoExperimentError
        A namespace is needed and None.
    """
    identifier = configs.identify(task, namespace)
    node = configs.info(task)
    type_name = configs.type_name(node.cls, node.namespace or namespace)
    return workspace.job(type_name, identifier.hex())


def fate_of(paths: JobPaths, view: JobView | None, *, asked: bool = False) -> Fate:
    """Say what would become of a job's task.

    Parameters
    ----------
    paths : JobPaths
        Its directory, which need not be there.
    view : JobView or None
        What this kernel knows of it.
    asked : bool
        This kernel is about to run it.
    """
    state = None if view is None else view.state
    if view is not None and view.elsewhere and state is JobState.RUNNING:
        return _ELSEWHERE
    if state in _UNDER_WAY:
        return _UNDER_WAY[state]
    if asked:
        return _UNDER_WAY[JobState.READY]
    try:
        found, failure = entries.look(Entry(paths, dry=True))
    except OSError as error:  # it cannot be read: no job could run there either
        return Fate("failed", f"its directory cannot be read: {error.strerror}")
    if found is Found.DONE:
        return _COMPUTED
    if found is Found.HELD:
        return _ELSEWHERE
    if found is Found.FAILED and failure is not None:
        return _failed(failure.reason)
    if found is Found.LOST:
        return _failed(FailureReason.LOST)
    if view is not None and state is JobState.ERROR:  # what it needs failed: no marker says so
        return _failed(view.reason or FailureReason.FAILED)
    return _NEW


def _failed(reason: FailureReason) -> Fate:
    return Fate("failed", f"failed before ({reason.value}): would run again")


def no_identifier(error: XpmError) -> Fate:
    """Say why nothing can be said of a task."""
    return Fate("none", str(error))
