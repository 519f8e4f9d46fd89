"""What would become of tasks: told from what this kernel knows and what their directories say.

Rule: nothing here writes, seals, starts or waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from xpm_nb.core import config as configs
from xpm_nb.core import estimate
from xpm_nb.core.freshness import BADGES
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.looking import Found, look
from xpm_nb.engine.results import Seen, Table, varying
from xpm_nb.errors import ConfigError, RecordError, XpmError
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths, Workspace

SAMPLE = 50  # done jobs of a type that are looked at to know how long it takes

# What can become of a task, and how a plan counts it.
KINDS = ("computed", "stale", "running", "waiting", "failed", "blocked", "new")
_WORDS = {"computed": "reused", "stale": "stale", "failed": "failed before"}
_WORDS_OF_RUN = {"computed": "done", "stale": "stale", "failed": "in error", "new": "would run"}


class Fate(NamedTuple):
    """What would become of a task if it were submitted now."""

    kind: str  # "computed", "stale", "running", "waiting", "failed", "new", "none"
    text: str
    again: bool = False  # of a stale one: it would run again


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
# Of a job that was submitted, or looked at, by its state: kind, and words for a plan.
_OF_STATE = {
    JobState.UNSCHEDULED: Fate("new", "would run"),
    JobState.WAITING: Fate("waiting", "will run"),
    JobState.READY: Fate("waiting", "will run"),
    JobState.SCHEDULED: Fate("running", "is starting"),
    JobState.RUNNING: Fate("running", "is running"),
    JobState.DONE: Fate("computed", "is done"),
    JobState.ERROR: Fate("failed", "stays in error until it is submitted again"),
}
_BLOCKED = Fate("blocked", "would not run: what it needs is in error")


# -- one task ---------------------------------------------------------------------------------


def is_task(thing: Any) -> bool:
    """Tell whether something is a task, and not a config or anything else."""
    return configs.is_config(thing) and issubclass(configs.info(thing).cls, configs.Task)


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
        found, failure = look(Entry(paths, dry=True))
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


def with_stale(fate: Fate, stale: str, policy: str = "warn") -> Fate:
    """Say of a result that it is stale, if it is.

    Parameters
    ----------
    fate : Fate
        Of its task.
    stale : str
        See `JobView`.
    policy : str
        What becomes of stale results.
    """
    if fate.kind != "computed" or stale not in BADGES:
        return fate
    if stale == "unknown":
        return Fate("computed", f"{fate.text} ({BADGES[stale]})")
    if policy == "rerun":
        return Fate("stale", f"would run again ({BADGES[stale]})", again=True)
    return Fate("stale", f"{fate.text} ({BADGES[stale]})")


def _failed(reason: FailureReason) -> Fate:
    if reason in (FailureReason.DISOWNED, FailureReason.CANCELLED):  # which is no failure
        return Fate("failed", f"{reason.value} before: would run again")
    return Fate("failed", f"failed before ({reason.value}): would run again")


def no_identifier(error: XpmError) -> Fate:
    """Say why nothing can be said of a task."""
    return Fate("none", str(error))


# -- a plan -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Table):
    """What would become of tasks: a table, and what it comes to.

    Attributes
    ----------
    counts : dict[str, int]
        How many are computed, running, waiting, failed, blocked, new.
    expected_s : float or None
        Seconds until all would be over; None where nothing is known yet.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    expected_s: float | None = None


class Prospect(NamedTuple):
    """One task of a plan."""

    view: JobView  # as far as it is known
    tags: Mapping[str, Any]
    fate: Fate
    runs: bool  # it will take time


Ask = Callable[[JobPaths, Any], tuple[Fate, JobView | None]]
"""What is known of a job by its directory, and by its task."""


def of_jobs(seen: Iterable[Seen], workspace: Workspace) -> list[Prospect]:
    """Say what has become, or will become, of jobs."""
    rows = []
    for job in seen:
        fate = with_stale(_OF_STATE[job.view.state], job.view.stale)
        runs = fate.kind in ("new", "waiting", "running")
        if fate.kind == "new":  # it was only looked at: its directory may tell of an earlier run
            before = fate_of(workspace.job(job.view.type_name, job.view.identifier), None)
            fate = before if before.kind == "failed" else fate
        rows.append(Prospect(job.view, job.tags, fate, runs))
    return rows


def of_tasks(
    tasks: Iterable[Any], workspace: Workspace, namespace: str, ask: Ask, policy: str = "warn"
) -> list[Prospect]:
    """Say what would become of tasks, and of those that they need, which come first.

    Raises
    ------
    ConfigError
        Something is no task, or would be refused if it were submitted.
    """
    given = {id(task): task for task in _flat(tasks)}
    places: dict[int, JobPaths] = {}
    found: dict[JobPaths, tuple[Any, bool]] = {}
    for task in _needed_first(given.values()):
        paths, asked = _place(task, workspace, namespace)
        again = id(task) in given or not asked or found.get(paths, (None, False))[1]
        found[paths], places[id(task)] = (task, again), paths
    rows = []
    stuck: set[JobPaths] = set()
    stale: set[JobPaths] = set()
    for paths, (task, again) in found.items():
        needs = [places[id(need)] for need in configs.dependencies(task)]
        fate, view = ask(paths, task)
        if any(need in stale for need in needs):
            fate = with_stale(fate, "input", policy)
        fate = _planned(fate, again, any(need in stuck for need in needs))
        runs = fate.kind in ("new", "waiting", "running") or (fate.kind == "failed" and again)
        runs = runs or fate.again
        if fate.kind == "stale":
            stale.add(paths)
        if not runs and fate.kind not in ("computed", "stale"):
            stuck.add(paths)
        view = view or _view(paths, configs.local_name(configs.info(task).cls), fate)
        view = replace(view, dependencies=tuple(need.key for need in needs))
        rows.append(Prospect(view, _tags(task), fate, runs))
    return rows


def _flat(tasks: Iterable[Any]) -> Iterator[Any]:
    """Give tasks out of lists, and in the place of a task's output the task."""
    for item in tasks:
        if isinstance(item, (list, tuple, set, frozenset)):
            yield from _flat(item)
            continue
        if not configs.is_config(item):
            raise ConfigError(f"a plan is made of tasks, and {item!r:.60} is none")
        node = configs.info(item)
        if not is_task(item) and node.task is None:
            name = node.cls.__qualname__
            raise ConfigError(f"{name} is no task: it derives from Config, not Task")
        yield item if node.task is None else node.task


def _needed_first(tasks: Iterable[Any]) -> list[Any]:
    """Give tasks and all that they need, each once, those that are needed first."""
    order: list[Any] = []
    seen: set[int] = set()
    for top in tasks:
        if id(top) in seen:
            continue
        seen.add(id(top))
        stack = [(top, iter(configs.dependencies(top)))]
        while stack:  # a chain of thousands must not recurse
            task, rest = stack[-1]
            for need in rest:
                if id(need) not in seen:
                    seen.add(id(need))
                    stack.append((need, iter(configs.dependencies(need))))
                    break
            else:
                stack.pop()
                order.append(task)
    return order


def _place(task: Any, workspace: Workspace, namespace: str) -> tuple[JobPaths, bool]:
    """Name a task's directory, and tell whether it was submitted (not only looked at)."""
    node = configs.info(task)
    entry = getattr(node.job, "entry", None)
    if isinstance(entry, Entry):
        return entry.paths, not entry.dry
    configs.validate(task)
    configs.check_paths(task)
    return place_of(task, workspace, namespace), False


def _tags(task: Any) -> Mapping[str, Any]:
    """Give a task's tags; in a long chain of submitted ones nobody walks to its beginning."""
    entry = getattr(configs.info(task).job, "entry", None)
    if isinstance(entry, Entry) and entry.record is not None:
        return entry.record.tags
    return configs.tags_of(task, warn=False)


def _planned(fate: Fate, again: bool, blocked: bool) -> Fate:
    """Put what would become of a task into the words of a plan."""
    match fate.kind:
        case "new" | "failed" if blocked:
            return _BLOCKED
        case "failed" if not again:
            return _OF_STATE[JobState.ERROR]
        case "running":
            return Fate("running", f"is {fate.text}")
        case "failed" | "stale":
            return fate
        case "computed" if fate.text != _COMPUTED.text:
            return fate
    return next(known for known in _OF_STATE.values() if known.kind == fate.kind)


def _view(paths: JobPaths, task: str, fate: Fate) -> JobView:
    """Make the view of a job that this kernel does not know."""
    started = None
    if fate.kind == "running":
        with suppress(RecordError):
            process = records.read_process(paths)
            started = None if process is None else process.started or None
    return JobView(
        key=paths.key,
        identifier=paths.identifier,
        type_name=paths.type_name,
        name=paths.name,
        task=task,
        state=JobState.RUNNING if fate.kind == "running" else JobState.UNSCHEDULED,
        started=started,
        elsewhere=fate.kind == "running",
        path=str(paths.path),
    )


def plan(
    rows: Sequence[Prospect],
    *,
    of_run: bool,
    slots: int,
    past: Mapping[str, Sequence[float]],
    workspace: Workspace,
    before: float = 0.0,
) -> Plan:
    """Make a plan.

    Parameters
    ----------
    rows : sequence of Prospect
        In their order.
    of_run : bool
        They are the jobs of a run, and not tasks somebody asks about.
    slots : int
        How many jobs run at once.
    past : mapping
        By type name, seconds that jobs took; of other types, done jobs of the workspace tell.
    before : float
        Seconds that starting a job takes.
    """
    expected = _expected(rows, slots, past, workspace, before)
    counts = dict.fromkeys(KINDS, 0)
    for row in rows:
        counts[row.fate.kind] += 1
    told_by = varying([row.tags for row in rows])
    known = {row.view.key: row.view for row in rows}
    connected = any(row.view.dependencies for row in rows)
    cells = []
    for row in rows:
        needs = ", ".join(_short(key, known) for key in row.view.dependencies)
        mine = (row.tags.get(name) for name in told_by)
        middle = [*mine, *[needs or None] * connected]
        cells.append((row.view.task, row.view.identifier[:8], *middle, row.fate.text))
    return Plan(
        columns=("task", "job", *told_by, *["needs"] * connected, "plan"),
        rows=tuple(cells),
        keys=tuple(row.view.key for row in rows),
        caption=_summary(counts, expected, slots, of_run),
        given=tuple(range(2, 2 + len(told_by))),
        counts=counts,
        expected_s=expected,
    )


def _short(key: str, known: Mapping[str, JobView]) -> str:
    type_name, _, identifier = key.rpartition("/")
    name = known[key].task if key in known else type_name.rpartition(".")[2]
    return f"{name} {identifier[:8]}"


def _summary(counts: Mapping[str, int], expected: float | None, slots: int, of_run: bool) -> str:
    """Say in a line what a plan comes to."""
    words = _WORDS_OF_RUN if of_run else _WORDS
    what = "job" if of_run else "task"
    total = sum(counts.values())
    told = ", ".join(f"{n} {words.get(kind, kind)}" for kind, n in counts.items() if n)
    text = f"{total} {what}{'' if total == 1 else 's'}" + (f": {told}" if told else "")
    if expected:
        text += f"; about {_roughly(expected)} with {slots} slot{'' if slots == 1 else 's'}"
    return text


def _roughly(seconds: float) -> str:
    for size, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            count = seconds / size
            return f"{count:.1f} {unit}" if count < 10 and unit != "min" else f"{count:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


# -- how long it would take -------------------------------------------------------------------


def _expected(
    rows: Sequence[Prospect],
    slots: int,
    past: Mapping[str, Sequence[float]],
    workspace: Workspace,
    before: float,
) -> float | None:
    left = [row.view for row in rows if row.runs]
    # What is not submitted is to the estimate what waits: it runs once what it needs is over.
    left = [
        view if view.state is JobState.RUNNING else replace(view, state=JobState.WAITING)
        for view in left
    ]
    known = dict(past)
    for type_name in {view.type_name for view in left} - known.keys():
        known[type_name] = _took(workspace, type_name)
    return estimate.eta(left, slots, time.time(), known, before)


def _took(workspace: Workspace, type_name: str) -> list[float]:
    """Give the seconds that some done jobs of a type took, in whatever experiment."""
    found = []
    for paths in workspace.jobs(type_name)[:SAMPLE]:
        with suppress(RecordError, OSError):
            times = records.read_times(paths)
            if records.is_done(paths) and times.started and times.ended:
                found.append(times.ended - times.started)
    return found
