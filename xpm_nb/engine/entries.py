"""What this kernel knows of one job, and what the loop does to its directory.

Rule 1: the directory is the truth; an `Entry` is what was last seen of it.
Rule 2: all functions here run in the loop's thread. Other threads read `Entry.view` and wait.
Rule 3: markers, records and attempts change under the job lock only.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from xpm_nb.code import fingerprint, modules
from xpm_nb.core.freshness import Making
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView, Said
from xpm_nb.engine.reading import Curves
from xpm_nb.errors import LaunchError, RecordError, XpmError
from xpm_nb.launchers.base import Handle, Launcher, LaunchRequest
from xpm_nb.store import attempts, damage, files, fs, locks, records, removal, tokens, troubles
from xpm_nb.store.layout import JobPaths, numbered
from xpm_nb.store.records import Code, Failure, JobRecord, Loaded, ProcessRecord

SAID_ITEMS = 200  # how much of what its callbacks say is kept of one job, the latest
SAID_CHARS = 64 * 1024
ITEM_CHARS = 8 * 1024
IMAGE_CHARS = 256 * 1024  # of all images together
REPORT_BYTES = 16 << 20  # of what a job reported, that is read at once


class Found(Enum):
    """What a look at a job's directory shows."""

    DONE = "done"
    FAILED = "failed"
    HELD = "held"  # somebody has its lock
    LOST = "lost"  # it was started, and neither runs nor ended
    NOTHING = "nothing"
    REFUSED = "refused"  # something that it shares with others is not to be had now


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


class Voice:
    """What callbacks of one job say: filled by their thread, read by the loop."""

    def __init__(self) -> None:
        self._items: list[Said] = []
        self._open = False  # what comes next may be the rest of the last item
        self._told = False  # the loop knows that there is something new
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Take note that another callback begins."""
        self._open = False

    def say(self, said: Said) -> bool:
        """Add something; True if the loop is to be told. The kind "clear" forgets all before."""
        with self._guard:
            if said.kind == "clear":
                self._items.clear()
            else:
                self._add(said)
                self._shorten()
            told, self._told = self._told, True
            return not told

    @property
    def waits(self) -> bool:
        """Whether something was said that the loop has not heard."""
        return self._told

    def heard(self) -> tuple[Said, ...]:
        """Give what was said, for the loop."""
        with self._guard:
            self._told = False
            return tuple(self._items)

    def forget(self) -> None:
        """Forget what was said of an earlier attempt."""
        with self._guard:
            self._items.clear()

    def _add(self, said: Said) -> None:
        text = files.printable(said.text)
        streams = said.kind in ("out", "err")
        if self._items and self._open and streams and self._items[-1].kind == said.kind:
            text = self._items.pop().text + text
        if not streams:  # of a traceback, the end tells most
            text = text[-ITEM_CHARS:] if said.kind == "error" else text[:ITEM_CHARS]
        if len(said.image) > IMAGE_CHARS:
            said, text = said._replace(image=""), f"{text} (too large to be shown here)".strip()
        text = text[-SAID_CHARS:]
        for start in range(0, len(text) or 1, ITEM_CHARS):
            self._items.append(Said(said.kind, text[start : start + ITEM_CHARS], said.image))
        self._open = streams

    def _shorten(self) -> None:
        """Drop what was said first, if it is too much."""
        texts = images = 0
        for count, said in enumerate(reversed(self._items)):
            texts, images = texts + len(said.text), images + len(said.image)
            if count == SAID_ITEMS or texts > SAID_CHARS or images > IMAGE_CHARS:
                del self._items[: len(self._items) - count]
                return


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
        self.stray: ProcessRecord | None = None  # it runs this job, and its directory is gone
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


# -- looking ----------------------------------------------------------------------------------


def look(entry: Entry) -> tuple[Found, Failure | None]:
    """Look at a job's directory, without touching it."""
    found, failure = _glance(entry.paths)
    if found is Found.LOST:  # between two looks it may have begun, and ended
        found, failure = _glance(entry.paths)
    if found is Found.NOTHING and entry.stray is not None and locks.alive(entry.stray):
        return Found.HELD, None
    return found, failure


def _glance(paths: JobPaths) -> tuple[Found, Failure | None]:
    held = locks.held(paths) or locks.legacy_holder(paths) is not None
    try:
        outcome = records.read_outcome(paths)  # after the probe: who let go has written it before
    except RecordError as error:
        if troubles.passing(error.__cause__):
            raise
        outcome = Failure(FailureReason.FAILED, None, shortly(paths, str(error)))
    if outcome == "done":
        return Found.DONE, None
    if held:
        return Found.HELD, None
    if outcome is not None:
        return Found.FAILED, outcome
    if not paths.process.exists():
        return Found.NOTHING, None
    return (Found.HELD if locks.unlocked(paths) else Found.LOST), None


def superseded(entry: Entry) -> bool:
    """Tell whether another attempt than the one we know has begun: ours is moved away."""
    latest = numbered(entry.paths.attempts)[-1:]
    return any(int(path.name) >= entry.facts.attempt for path in latest)


def note_times(entry: Entry) -> None:
    """Read when the job started and ended."""
    try:
        times = records.read_times(entry.paths)
    except RecordError:  # only a time: not worth a failure
        return
    entry.facts.started = times.started or entry.facts.started
    entry.facts.ended = times.ended
    note_found(entry)


def read_last_reports(entry: Entry) -> None:
    """Read what a job that is over reported; that this cannot be read is no failure of it."""
    try:
        entry.read_reports()
    except RecordError as error:
        text = shortly(entry.paths, f"{error}; move it away, or rerun()")
        entry.facts.damage = entry.facts.damage or text


def note_found(entry: Entry) -> None:
    """Read what only the run of the job could tell of its code."""
    if entry.record is not None and entry.record.code:
        with contextlib.suppress(RecordError):
            entry.changed, entry.found = records.read_met(entry.paths)


def read_record(entry: Entry) -> JobRecord | None:
    """Read the job's record and take it over; None if there is none that can be understood."""
    try:
        record = records.read_job(entry.paths)
    except RecordError as error:
        entry.facts.damage = shortly(entry.paths, str(error))
        return None
    if record is not None:
        entry.note_record(record)
    return record


def shortly(paths: JobPaths, text: str) -> str:
    """Name the files of a job as they are called in its directory, for what stands at its row."""
    return text.replace(f"{paths.path}/", "")


def find_damage(entry: Entry) -> str:
    """Say what is damaged among the files of a job that was read just now (`read_record`)."""
    found = entry.facts.damage or damage.of_params(entry.paths) or damage.of_marker(entry.paths)
    entry.facts.damage = shortly(entry.paths, found)
    return entry.facts.damage


def mend(entry: Entry, asked: Asked) -> None:
    """Write the record of a job that is done anew, and its parameters, if they are damaged."""
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return
    try:
        paths = entry.paths
        if asked.params is None and damage.of_params(paths):
            return  # they come with the next submission, which knows of it
        bad = damage.set_aside(paths)
        if paths.params in bad and asked.params is not None:
            records.write_params(paths, asked.params)
        if paths.record in bad:
            attempt = paths.next_attempt()
            records.write_job(paths, asked.record._replace(attempt=attempt))
    finally:
        lock.release()


def resolve(paths: JobPaths, key: str) -> JobPaths:
    """Name the directory of a dependency: ``type/hex`` of the same workspace, or a whole path."""
    return JobPaths.of(key) if key.startswith("/") else paths.sibling(key)


class Uses:
    """Who uses whose files: what running jobs need, however indirectly.

    Parameters
    ----------
    under_way : iterable of Entry
        What runs, or is about to.
    entry_of : callable
        Gives the entry of a directory.
    """

    def __init__(self, under_way: Iterable[Entry], entry_of: Callable[[JobPaths], Entry]) -> None:
        self._entry_of = entry_of
        self._users: dict[str, Entry] = {}
        stack = [(user, user) for user in under_way]
        while stack:
            user, entry = stack.pop()
            for needed in self._needed(entry):
                if needed.id not in self._users:
                    self._users[needed.id] = user
                    stack.append((user, needed))

    def _needed(self, entry: Entry) -> Iterator[Entry]:
        for key in entry.view.dependencies:
            with contextlib.suppress(XpmError):  # it names no job: a damaged record
                yield self._entry_of(resolve(entry.paths, key))

    def obstacle(self, entry: Entry, besides: Container[str] = ()) -> str:
        """Say why a job that is done cannot be run again now, "" if it can.

        Its files would be moved away from what runs with them, or nobody knows yet what they would
        be made from.

        Parameters
        ----------
        entry : Entry
            The job.
        besides : container of str
            Jobs (`Entry.id`) that are run again too, before this one.
        """
        for needed in self._needed(entry):
            if needed.view.state is JobState.ERROR and needed.id not in besides:
                return f"it needs {needed.name}, which is in error: retry that first"
        return self.reader(entry)

    def reader(self, entry: Entry) -> str:
        """Say which running job may read the files of this one, "" if none does."""
        user = self._users.get(entry.id)
        if user is None:
            return ""
        return f"{user.name} runs and may read its files: wait for that, or cancel it"


# -- acting, under the lock -------------------------------------------------------------------


def prepare(entry: Entry, *, again: bool = False) -> Found:
    """Make the directory ready for a run: old attempt away, script, parameters and record there.

    Parameters
    ----------
    entry : Entry
        The job.
    again : bool
        Although it is done.

    Returns
    -------
    Found
        NOTHING if the job can be launched now or later, else what is in the way (HELD, DONE).
    """
    entry.paths.create()
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return Found.HELD
    try:
        if again and locks.legacy_holder(entry.paths) is not None:
            return Found.HELD
        if records.is_done(entry.paths) and not again:
            return Found.DONE
        write(entry, retries=0)
        return Found.NOTHING
    finally:
        lock.release()


def prepare_retry(entry: Entry) -> None:
    """Make the directory of a job that ended by its time limit ready for its next attempt.

    Nothing is done if another kernel is quicker: launching shows how far it is.
    """
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return
    try:
        outcome, record = records.read_outcome(entry.paths), records.read_job(entry.paths)
        timeout = isinstance(outcome, Failure) and outcome.reason is FailureReason.TIMEOUT
        if timeout and record is not None and record.retries_left:
            entry.asked = None  # what was asked for has begun
            write(entry, retries=record.retries + 1)
    finally:
        lock.release()


def remove(entry: Entry) -> bool:
    """Remove the files of a job that is done, unless somebody has it; tell whether it was done."""
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return False
    try:
        removal.remove_files(entry.paths)
        return True
    finally:
        lock.release()


def write(entry: Entry, *, retries: int | None = None) -> None:
    """Move the old attempt away and write what is to be run; the caller holds the lock.

    Parameters
    ----------
    entry : Entry
        The job.
    retries : int, optional
        How often it was run again by itself, by default as the record says.

    Raises
    ------
    RecordError
        Nothing says what is to be run.
    """
    paths, asked = entry.paths, entry.asked
    record = asked.record if asked is not None else records.read_job(paths)
    new = asked is not None and asked.script is not None
    if record is None or not (new or paths.script.exists()):
        raise RecordError(f"{paths.path} does not say what is to be run: submit the task again")
    if any(path.exists() for path in (paths.done, paths.failed, paths.process, paths.stdout)):
        attempts.archive_attempt(paths, keep_files=record.resumable)
    if asked is not None and asked.script is not None:
        damage.set_aside(paths)
    record = record._replace(
        attempt=paths.next_attempt(),
        retries=record.retries if retries is None else retries,
    )
    if asked is not None and asked.script is not None and asked.params is not None:
        records.write_script(paths, asked.script)
        records.write_params(paths, asked.params)
    record = record._replace(code=_write_code(entry, record))
    records.write_job(paths, record)
    entry.note_record(record)


def secure(entry: Entry) -> tokens.Refusal | None:
    """Take a job's lock and its shares, for `launch`.

    Returns
    -------
    Refusal or None
        Why it cannot be had now. If somebody else has the job, or it is over, nothing is taken:
        `launch` finds that out.

    Raises
    ------
    RecordError, WorkspaceError, OSError
        Something of this cannot be understood or written.
    """
    entry.paths.create()
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return None
    try:
        over = records.read_outcome(entry.paths) is not None
        if over or locks.legacy_holder(entry.paths) is not None:
            return None
        refusal = _take_shares(entry)
        if refusal is None:
            entry.lock, lock = lock, None
        return refusal
    finally:
        if lock is not None:
            lock.release()


def _take_shares(entry: Entry) -> tokens.Refusal | None:
    record = entry.record
    needs = () if record is None else tokens.needs_of(record)
    if record is None or not needs:
        return None
    return tokens.take(entry.paths, needs, since=record.submitted, now=time.time())


def _write_code(entry: Entry, record: JobRecord) -> Mapping[str, Any]:
    """Write the code that counts, and give what the record says of it.

    It is looked at once more: files may have changed since the submission.
    """
    paths, asked = entry.paths, entry.asked
    with contextlib.suppress(RecordError):  # a damaged file: then it is not known
        before = records.read_code(paths)
        code = before
        if asked is not None and asked.script is not None:
            code = asked.code
        if code is None:
            with contextlib.suppress(FileNotFoundError):
                fs.unlink(paths.code)
            return _but(record.code, Code._fields)
        code = fingerprint.at_start(code, record.sys_path)
        if code != before:
            records.write_code(paths, code)
        said = _but(record.code, (*Code._fields, "reason", "files")) | code.summary()
        if times := len(attempts.disowned(paths)):
            said["disowned"] = times
        return said | {"inputs": inputs_of(paths, record.dependencies)}
    return _but(record.code, Code._fields)


def files_of(record: JobRecord | None) -> list[str]:
    """Name the files of the user's own modules that a job's code is in."""
    files = [] if record is None else record.code.get("files", [])
    return [file[0] for file in files] if isinstance(files, list) else []


def _but(said: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Give what a record says of code, without what is of the fingerprint."""
    gone = {*names, "inputs", "disowned"} - {"unknown"}
    return {k: v for k, v in said.items() if k not in gone}


def inputs_of(paths: JobPaths, keys: Iterable[str]) -> dict[str, str]:
    """Give the marks of what a job needs, as it starts with them (`freshness.Making`)."""
    found: dict[str, str] = {}
    for key in keys:
        with contextlib.suppress(XpmError):  # damaged: it is made from something unknown
            needed = resolve(paths, key)
            record = records.read_job(needed)
            made = Making.of({} if record is None else record.code)
            loaded = {one.path: one.digest for one in records.read_met(needed)[1]}
            found[key] = made._replace(loaded=loaded).mark
    return found


def launch(entry: Entry) -> tuple[Found, Failure | None]:
    """Take the job's lock (or that which `secure` took), start it and hand it the lock.

    Returns
    -------
    tuple[Found, Failure or None]
        NOTHING if it was started; DONE or FAILED if somebody else ran it meanwhile, HELD if
        somebody else has it, REFUSED if it has not the shares that it needs.

    Raises
    ------
    LaunchError, RecordError, OSError
        It could not be started.
    """
    entry.forget_attempt()
    entry.paths.create()
    secured, entry.lock = entry.lock, None
    lock = secured or locks.try_lock(entry.paths)
    if lock is None:
        return Found.HELD, None
    try:
        if locks.legacy_holder(entry.paths) is not None:
            return Found.HELD, None
        outcome = records.read_outcome(entry.paths)
        if outcome == "done":
            return Found.DONE, None
        if outcome is not None:
            return Found.FAILED, outcome
        if not entry.paths.process.exists():
            entry.stray = locks.stray(entry.paths)
            if entry.stray is not None:
                return Found.HELD, None
        if secured is None and _take_shares(entry) is not None:
            return Found.REFUSED, None
        write(entry)
        for file in files_of(entry.record):
            modules.drop_outdated(file)
        _start(entry, lock)
        return Found.NOTHING, None
    finally:
        lock.release()


def _start(entry: Entry, lock: locks.JobLock) -> None:
    record = entry.record
    if entry.launcher is None or record is None:
        raise LaunchError(f"no launcher is known for {record.launcher if record else 'the job'}")
    request = LaunchRequest(
        path=entry.paths.path,
        name=entry.paths.name,
        environ=record.environ,
        attempt=record.attempt,
        lock_fd=lock.fileno(),
    )
    entry.handle = entry.launcher.launch(request)
    lock.hand_over()
    entry.launched = entry.ran = True


def mark_failed(entry: Entry, reason: FailureReason, message: str, code: int | None) -> None:
    """Write the failed marker of a job that could not do so itself, unless somebody has it.

    Of one that never began, a power cut may take it: thousands can be cancelled at once.
    """
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return
    try:
        if records.read_outcome(entry.paths) is None and not superseded(entry):
            records.set_aside_done(entry.paths)
            began = entry.paths.process.exists()
            records.write_failed(entry.paths, reason, code, message, durable=began)
    finally:
        lock.release()


def last_line(entry: Entry) -> str:
    """Give the last line that a job wrote on its error stream, "" if there is none."""
    try:
        with files.open_file(entry.paths.stderr) as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
