"""Frozen copies of what the outside may see: the shapes of everything that is displayed.

A view is plain data: no method acts, nothing in it changes, `as_json` gives what a front-end gets.
Durations and times are plain numbers, seconds and seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from xpm_nb.core.states import FailureReason, JobState


@dataclass(frozen=True, slots=True)
class ParamView:
    """One parameter of a config: a leaf has `text`, a nested config has `config`."""

    name: str
    kind: str  # "param", "meta", "constant"
    type: str  # the annotation as a person would write it
    text: str  # the value, cut at a sensible length; "" where `config` stands
    config: ConfigView | None = None
    default: bool = False  # the value equals the default
    hashed: bool = True  # it went into the identifier
    help: str = ""


@dataclass(frozen=True, slots=True)
class ConfigView:
    """A config or task as a tree; a config met again is a `shared` stub without parameters."""

    name: str  # the class's name
    type_name: str  # the type name (lower case)
    identifier: str  # 64 hex digits, "" if it cannot be known yet
    note: str = ""  # why there is no identifier
    params: tuple[ParamView, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    dependencies: tuple[tuple[str, str], ...] = ()  # (task name, identifier) it needs done first
    shared: bool = False
    state: JobState | None = None  # of its job, once submitted


@dataclass(frozen=True, slots=True)
class JobView:
    """One job of an experiment."""

    key: str  # "<type name>/<identifier>": unique in a workspace
    identifier: str
    type_name: str
    name: str  # last dotted part of the type name, as on disk
    task: str  # the class's name, as the user wrote it
    state: JobState
    reason: FailureReason | None = None
    message: str = ""  # one or a few lines on what went wrong
    tags: tuple[tuple[str, str], ...] = ()
    dependencies: tuple[str, ...] = ()  # keys
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    progress: float | None = None  # fraction, 0 to 1
    progress_text: str = ""
    metrics: tuple[tuple[str, float], ...] = ()  # the latest value of each
    attempt: int = 1
    reused: bool = False  # it was done before this run asked for it
    elsewhere: bool = False  # another kernel started it
    earlier: bool = False  # submitted in an earlier run of the experiment, not (yet) in this one
    path: str = ""  # the job's directory, absolute
    launcher: str = "local"
    callback_error: str = ""  # the last exception of a completion callback

    def as_json(self) -> dict[str, Any]:
        """Give a dictionary of JSON values (enums by their value)."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """An experiment with its jobs, in the order in which they were submitted."""

    name: str
    workspace: str
    namespace: str
    jobs: tuple[JobView, ...] = ()
    slots: int = 1
    counts: dict[str, int] = field(init=False, default_factory=dict)  # per state, none left out

    def __post_init__(self) -> None:
        counts = {state.value: 0 for state in JobState}
        for job in self.jobs:
            counts[job.state.value] += 1
        object.__setattr__(self, "counts", counts)

    @property
    def finished(self) -> bool:
        """No job will change by itself any more."""
        return all(job.state.final for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Give a dictionary of JSON values (enums by their value)."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class TableView:
    """Results of jobs: one row a job, a column for each tag and metric that varies or was asked."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]  # per column: aligned to the right
    keys: tuple[str, ...] = ()  # the job of each row
    caption: str = ""


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value
