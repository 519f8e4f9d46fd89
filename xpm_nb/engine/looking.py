"""How a job is, as its directory shows it: looked at, and taken over into its `Entry`.

Rule 1: nothing here changes a file (see `engine.locked`), and nothing is locked for it: between two
looks the job may have begun, or ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator
from enum import Enum

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine.entries import Entry
from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import damage, files, locks, records, troubles
from xpm_nb.store.layout import JobPaths, gone, numbered
from xpm_nb.store.records import Failure, JobRecord

REMOVED = "transient: its files were removed, as all that needed them is done"


class Found(Enum):
    """What a look at a job's directory shows."""

    DONE = "done"
    FAILED = "failed"
    HELD = "held"  # somebody has its lock
    LOST = "lost"  # it was started, and neither runs nor ended
    NOTHING = "nothing"
    REFUSED = "refused"  # something that it shares with others is not to be had now
    UNREADY = "unready"  # the result of a job that it needs is not there


def look(entry: Entry) -> tuple[Found, Failure | None]:
    """Look at a job's directory, without touching it."""
    found, failure = _glance(entry.paths)
    if found is Found.LOST:  # between two looks it may have begun, and ended
        found, failure = _glance(entry.paths)
    unknown = found in (Found.NOTHING, Found.LOST)
    if unknown and entry.stray is not None and locks.alive(entry.stray):
        return Found.HELD, None
    return found, failure


def _glance(paths: JobPaths) -> tuple[Found, Failure | None]:
    if gone(paths.workspace):  # there may be the same job in another workspace that is there now
        return Found.NOTHING, None
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


def unwritten(entry: Entry) -> Failure:
    """Say what is wrong with a job that nobody has, and whose record is not there."""
    text = entry.facts.damage or "its directory has no record"
    if not entry.paths.path.exists():
        text = "its kernel ended before it was written, or its directory was deleted"
    return Failure(FailureReason.LOST, None, f"{text}; submit the task again")


def shortly(paths: JobPaths, text: str) -> str:
    """Name the files of a job as they are called in its directory, for what stands at its row."""
    return text.replace(f"{paths.path}/", "")


def find_damage(entry: Entry) -> str:
    """Say what is damaged among the files of a job that was read just now (`read_record`)."""
    found = entry.facts.damage or damage.of_params(entry.paths) or damage.of_marker(entry.paths)
    entry.facts.damage = shortly(entry.paths, found)
    return entry.facts.damage


def last_line(entry: Entry) -> str:
    """Give the last line that a job wrote on its error stream, "" if there is none."""
    try:
        with files.open_file(entry.paths.stderr) as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


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
                yield self._entry_of(entry.paths.sibling(key))

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
