"""What this kernel knows of one job, and what is asked of it.

Rule 1: the directory is the truth; an `Entry` is what was last seen of it (`engine.looking`).
Rule 2: an entry belongs to the loop's thread. Other threads read `Entry.view` and wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xpm_nb.core.freshness import Making
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView, Said
from xpm_nb.engine.reading import Curves
from xpm_nb.engine.voices import Voice
from xpm_nb.launchers.base import Handle, Launcher
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Code, JobRecord, Loaded, ProcessRecord

REPORT_BYTES = 16 << 20  # of what a job reported, that is read at once


@dataclass(frozen=True, slots=True)
class Preparation:
    """Something that has to be ready before a job.

    Attributes
    ----------
    key : str
        The directory of its configuration.
    name : str
        What messages call it.
    is_done : callable
        Tells whether it is ready.
    start : callable
        Begins with it, and returns at once.
    """

    key: str
    name: str
    is_done: Callable[[], bool]
    start: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be run; without script and parameters, what the job's directory holds.

    Attributes
    ----------
    params : str or None
        JSON already: a value that has none is the user's error, in the user's cell.
    """

    script: str | None
    params: str | None
    record: JobRecord
    launcher: Launcher
    preparations: tuple[Preparation, ...] = ()
    code: Code | None = None  # None: as far as the job's directory knows
    policy: str = "warn"  # what becomes of a stale result


@dataclass(slots=True)
class Facts:
    """The parts of a view that the plan does not know."""

    task: str = ""
    dependencies: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    progress: float | None = None
    progress_text: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    attempt: int = 1
    reused: bool = False
    elsewhere: bool = False
    launcher: str = "local"
    callback_error: str = ""
    unknown: tuple[str, ...] = ()
    holder: str = ""  # who has it, where that may be a mistake
    trouble: str = ""  # why nobody knows yet how it is
    note: str = ""  # why it could not be run again
    doubt: str = ""  # why its result is not to be trusted
    waits: str = ""  # for which shares, and who has them
    stale: str = ""  # see `freshness.Stale`
    damage: str = ""  # which file of it cannot be understood, and why
    drift: str = ""  # how its environment differs from the present one


class Entry:
    """One job as this kernel knows it.

    Attributes
    ----------
    id : str
        The job's directory: unique among all workspaces of a kernel.
    dry : bool
        No scheduler knows it: it is only looked at.
    view : JobView
        The last frozen copy; replaced as a whole, so that any thread may read it.
    settled : threading.Event
        Set while nothing is going to change by itself.
    voice : Voice
        What its callbacks say; the loop takes it over into the view.
    hooks : list
        Called in the loop's thread with the view at each change of state; must be quick.
    output_hooks : list
        The same, without argument, when the task may have reported outputs.
    """

    def __init__(self, paths: JobPaths, *, dry: bool = False) -> None:
        self.paths = paths
        self.dry = dry
        self.id = str(paths.path)
        self.view = JobView(
            key=paths.key,
            identifier=paths.identifier,
            type_name=paths.type_name,
            name=paths.name,
            task=paths.name,
            state=JobState.UNSCHEDULED,
            path=str(paths.path),
        )
        self.settled = threading.Event()
        self.hooks: list[Callable[[JobView], None]] = []
        self.output_hooks: list[Callable[[], None]] = []
        self.unlisted: Callable[[], object] | None = None  # what puts it on its run's list
        self.asked: Asked | None = None  # None: what the directory holds is wanted
        self.record: JobRecord | None = None
        self.launcher: Launcher | None = None
        self.handle: Handle | None = None
        self.stray: ProcessRecord | None = None  # it runs this job, and no lock shows that
        self.lock: locks.JobLock | None = None  # it has its shares and is about to be started
        self.launched = False  # the present attempt was started by this kernel
        self.seen = False  # its process was seen
        self.ran = False  # it ended, or will end, under our eyes
        self.exit_code: int | None = None
        self.hint = ""  # what may have ended its process
        self.looks = 0  # how often we looked in vain for who holds the lock
        self.facts = Facts(task=paths.name)
        self.voice = Voice()
        self.said: tuple[Said, ...] = ()
        self.now: Making | None = None  # what it would be made from, as last asked for
        self.mark = ""  # of its result, for what needs it; see `freshness.Verdict`
        self.policy = "warn"
        self.changed = ""  # files that changed while it started
        self.found: tuple[Loaded, ...] = ()  # modules that only its run could tell of
        self.curves = Curves(paths.metrics)  # which has its own lock: any thread may ask
        self._offsets = {"progress": 0, "metrics": 0}
        self._outputs = (0, 0)
        self._pending = 0  # submissions that the loop has not met yet
        self._waiters: list[Callable[[], None]] = []
        self._guard = threading.Lock()

    @property
    def name(self) -> str:
        """What messages call it: ``Learn 1f3a9c02``."""
        return f"{self.facts.task} {self.paths.identifier[:8]}"

    def __repr__(self) -> str:
        return f"<Entry {self.paths.key} {self.view.state.value}>"

    # -- for every thread -----------------------------------------------------------------

    def expect(self) -> None:
        """Take note that a request is on its way: nothing is settled until the loop met it."""
        with self._guard:
            self._pending += 1
            self.settled.clear()

    def when_settled(self, wake: Callable[[], None]) -> None:
        """Have something called once, from any thread, when the job is settled."""
        with self._guard:
            if not self.settled.is_set():
                self._waiters.append(wake)
                return
        wake()

    def over(self) -> bool:
        """Tell whether it has ended, and no request to run it is on its way."""
        return self._pending == 0 and self.view.state.final

    def waits(self) -> bool:
        """Tell whether it was asked for and is neither started nor over."""
        states = (JobState.WAITING, JobState.READY, JobState.SCHEDULED)
        return self._pending > 0 or self.view.state in states

    @property
    def pending(self) -> bool:
        """Whether a request is on its way that the loop has not met: the view is an older one."""
        return self._pending > 0

    # -- for the loop ---------------------------------------------------------------------

    def ask(self, asked: Asked) -> None:
        """Take note of what is to be run."""
        self.asked, self.launcher = asked, asked.launcher
        if asked.code is not None:
            self.now = Making(asked.code.fingerprint, asked.code.left_out)

    def put_on_list(self) -> None:
        """Have it noted in the list of its run, if it is not; raises XpmError, OSError."""
        if self.unlisted is not None:
            self.unlisted()
            self.unlisted = None

    def wanted(self) -> JobRecord | None:
        """Give the record of what is to be run, or was."""
        return self.record if self.asked is None else self.asked.record

    def met(self) -> None:
        """Take note that the loop met one request."""
        with self._guard:
            self._pending -= 1

    def settle(self, over: bool) -> None:
        """Say whether anything is going to change by itself."""
        with self._guard:
            if not over or self._pending > 0:
                self.settled.clear()
                return
            self.settled.set()
            waiters, self._waiters = self._waiters, []
        for wake in waiters:
            wake()

    def freeze(self, state: JobState, reason: FailureReason | None, message: str) -> bool:
        """Make a new view; False if it says what the last one said."""
        facts = self.facts
        view = JobView(
            key=self.paths.key,
            identifier=self.paths.identifier,
            type_name=self.paths.type_name,
            name=self.paths.name,
            task=facts.task,
            state=state,
            reason=reason,
            message=message,
            tags=facts.tags,
            dependencies=facts.dependencies,
            submitted=facts.submitted,
            started=facts.started,
            ended=facts.ended,
            progress=facts.progress,
            progress_text=facts.progress_text,
            metrics=tuple(facts.metrics.items()),
            attempt=facts.attempt,
            reused=facts.reused,
            elsewhere=facts.elsewhere,
            path=self.id,
            launcher=facts.launcher,
            callback_error=facts.callback_error,
            said=self.said,
            unknown=facts.unknown,
            stale=facts.stale,
            drift=facts.drift,
        )
        if view == self.view:
            return False
        self.view = view
        return True

    def note_record(self, record: JobRecord) -> None:
        """Take over what was submitted."""
        self.record = record
        facts = self.facts
        facts.task = record.task
        facts.dependencies = record.dependencies
        facts.tags = as_tags(record.tags)
        facts.submitted = record.submitted or None
        facts.attempt = record.attempt
        facts.launcher = str(record.launcher.get("type", "local"))
        unknown = record.code.get("unknown")
        facts.unknown = tuple(unknown) if isinstance(unknown, dict) else ()

    def forget_attempt(self) -> None:
        """Drop what was known of an attempt: another begins."""
        self.handle, self.exit_code, self.hint, self.looks = None, None, "", 0
        self.stray = None
        self.launched = self.seen = self.ran = False
        facts = self.facts
        facts.started = facts.ended = facts.progress = None
        facts.progress_text, facts.metrics, facts.callback_error = "", {}, ""
        facts.holder = facts.note = facts.doubt = facts.damage = facts.stale = self.changed = ""
        self.found = ()
        facts.trouble = facts.drift = ""
        facts.reused = facts.elsewhere = False
        self._offsets = {"progress": 0, "metrics": 0}

    def let_go(self) -> None:
        """Give back what `secure` took: it is not started after all."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def read_reports(self) -> bool:
        """Read what the job reported since the last time; False if that was nothing."""
        new = False
        for name, note in _REPORTS.items():
            path, start = getattr(self.paths, name), self._offsets[name]
            size = records.state_of(path)[1]
            # What was said long ago counts for nothing: of a gigabyte, the end is read.
            at = max(start, size - REPORT_BYTES) if size > start else start
            rows, self._offsets[name] = files.read_lines(path, at, REPORT_BYTES)
            for row in rows:
                note(self.facts, row)
            new = new or bool(rows)
        if self.output_hooks:
            before, self._outputs = self._outputs, records.state_of(self.paths.outputs)
            for hook in self.output_hooks if self._outputs != before else ():
                hook()
        return new


def as_tags(tags: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Give tags as a view holds them."""
    return tuple((str(name), str(value)) for name, value in tags.items())


def note_progress(facts: Facts, row: Mapping[str, Any]) -> None:
    """Take over one line of progress: only the outermost level is shown."""
    value, level = row.get("progress"), row.get("level", 0)
    if level == 0 and isinstance(value, (int, float)):
        facts.progress = min(1.0, max(0.0, float(value)))
        facts.progress_text = files.printable(str(row.get("desc") or ""))


def note_metrics(facts: Facts, row: Mapping[str, Any]) -> None:
    """Take over one line of metrics: the latest value of each counts."""
    values = row.get("metrics")
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, (int, float)):
            facts.metrics[str(name)] = value


_REPORTS: Mapping[str, Callable[[Facts, Mapping[str, Any]], None]] = {
    "progress": note_progress,
    "metrics": note_metrics,
}
