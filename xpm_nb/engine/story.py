"""The life of a job as its directory tells it: submitted, started, ended, run again, and why.

For people who want to know what happened; nothing is decided from it. Only what was written down is
told, and a file that cannot be understood is told as that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import attempts, files, locks, records
from xpm_nb.store.layout import JobPaths, numbered
from xpm_nb.store.records import Failure, JobRecord

T = TypeVar("T")

MAX_ATTEMPTS = 50  # the latest of a job that was run more often
MAX_BYTES = 1 << 20  # what is read of a file of reports
MAX_CHARS = 300  # of what a task said


class Line(NamedTuple):
    """Something that happened to a job.

    Attributes
    ----------
    time : float or None
        When, in seconds since the epoch; None where nothing says so.
    text : str
        What.
    """

    time: float | None
    text: str


class Story(NamedTuple):
    """What happened to a job, in order; printed as text.

    Attributes
    ----------
    title : str
        Which job it is.
    lines : tuple of Line
        What happened.
    """

    title: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        known = [line.time for line in self.lines if line.time is not None]
        first = known[0] if known else None
        rows = [f"  {_when(line.time, first):>10}  {line.text}" for line in self.lines]
        start = "" if first is None else f", from {_clock(first)}"
        return "\n".join([f"{self.title}{start}", *rows])

    def __repr__(self) -> str:
        return str(self)


def tell(paths: JobPaths) -> Story:
    """Tell the life of a job from its directory; nothing is changed there."""
    lines: list[Line] = []
    folders = numbered(paths.attempts)
    if len(folders) > MAX_ATTEMPTS:
        lines.append(Line(None, f"{len(folders) - MAX_ATTEMPTS} attempts are left out"))
    lines += _removed(paths)
    for folder in folders[-MAX_ATTEMPTS:]:
        number = int(folder.name)
        lines += _attempt(paths.attempt(number), number, _latest(lines))
    number = paths.next_attempt()
    if _has_begun(paths, number):
        lines += _attempt(paths, number, _latest(lines))
    lines += _now(paths)
    record = _read([], lambda: records.read_job(paths))
    task = record.task if record is not None else paths.name
    return Story(f"{task} {paths.identifier[:8]} ({paths.type_name})", tuple(lines))


def _latest(lines: list[Line]) -> float:
    """Give the latest time of which something was told."""
    return max((line.time for line in lines if line.time is not None), default=0.0)


def _removed(paths: JobPaths) -> Iterator[Line]:
    """Tell of attempts of which nothing is left."""
    lines: list[Line] = []
    removals = _read(lines, lambda: records.read_removals(paths)) or ()
    yield from lines
    for removal in removals[-MAX_ATTEMPTS:]:
        yield Line(removal.submitted or None, f"attempt {removal.attempt}: submitted")
        if removal.started:
            yield Line(removal.started, "started")
        yield Line(removal.ended or None, "done")
        asked = f" in {', '.join(map(repr, removal.experiments))}" if removal.experiments else ""
        text = f"its files were removed by {removal.by}: all that needed them{asked} is done"
        yield Line(removal.time or None, _cut(text))


def _has_begun(paths: JobPaths, number: int) -> bool:
    """Tell whether what stands in a job's directory is of the attempt of that number.

    After a result was disowned, or its files removed, what was submitted stays there for whoever
    asks for it next.
    """
    try:
        outcome, record = records.read_outcome(paths), records.read_job(paths)
        removals = records.read_removals(paths)
    except (XpmError, OSError):
        return True  # it is told what cannot be understood
    if isinstance(outcome, Failure) and outcome.reason is FailureReason.DISOWNED:
        return not attempts.disowned(paths)  # which is told with its attempt
    if outcome is not None or record is None or paths.process.exists():
        return True
    since = removals[-1].time if removals else 0.0
    return record.attempt == number and (records.written_at(paths.record) or 0.0) >= since


def _attempt(paths: JobPaths, number: int, since: float) -> Iterator[Line]:
    """Tell one attempt; its files are in a directory, under the same names.

    What was submitted before the time of the last thing told runs once more.
    """
    lines: list[Line] = []
    record = _read(lines, lambda: records.read_job(paths))
    if record is not None:
        first = record.submitted > since or not since
        text = _submitted(record, "submitted" if first else "run again, as submitted")
        lines.append(Line((first and record.submitted) or None, f"attempt {number}: {text}"))
    times = _read(lines, lambda: records.read_times(paths))
    process = _read(lines, lambda: records.read_process(paths))
    if process is not None:
        text = f"started as process {process.pid} of {process.host}"
        lines.append(Line(process.started or (times and times.started) or None, text))
    lines += _reports(paths)
    note = records.read_end_note(paths)
    if note is not None:
        by = f", by process {note.by}" if note.by else ""
        if process is not None and note.by == process.pid:
            by = " by itself, as no kernel did"
        text = f"asked to end{by}: {note.reason.value}"
        lines.append(Line(records.written_at(paths.cancel), text))
    ended = None if times is None else times.ended
    outcome = _read(lines, lambda: records.read_outcome(paths))
    if outcome == "done":
        lines.append(Line(ended or records.written_at(paths.done), "done"))
    elif outcome is not None:
        code = "" if outcome.code is None else f", exit code {outcome.code}"
        text = f"in error, {outcome.reason.value}{code}: {_cut(outcome.message)}"
        lines.append(Line(ended or records.written_at(paths.failed), text))
    elif ended is not None:
        lines.append(Line(ended, "ended without a marker"))
    if changed := _read(lines, lambda: records.read_changed(paths)):
        lines.append(Line(None, f"its code changed while it started: {_cut(changed)}"))
    for kept in records.read_kept(paths):
        text = f"accepted for other code by {kept.by or 'somebody'}: {_cut(kept.reason)}"
        lines.append(Line(kept.time or None, text))
    disowned = _read(lines, lambda: records.read_disowned(paths.disowned))
    if disowned is not None:
        text = f"disowned by {disowned.by or 'somebody'}: {_cut(disowned.reason)}"
        lines.append(Line(disowned.time or None, text))
    yield from lines


def _submitted(record: JobRecord, how: str) -> str:
    parts = [f"{how} in {record.experiment!r}" if record.experiment else how]
    if record.dependencies:
        parts.append(f"needs {', '.join(map(_short, record.dependencies))}")
    if record.tokens:
        parts.append("with " + ", ".join(f"{n} of {name}" for name, n in record.tokens.items()))
    if record.partials:
        parts.append(f"shares {', '.join(map(_short, record.partials))}")
    if record.retries:
        parts.append(f"retry {record.retries} of {record.max_retries}")
    return "; ".join(parts)


def _short(key: str) -> str:
    place, _, identifier = key.rpartition("/")
    return f"{place}/{identifier[:8]}"


def _reports(paths: JobPaths) -> Iterator[Line]:
    for path, what in ((paths.progress, "progress"), (paths.metrics, "metrics")):
        try:
            rows, size = files.read_lines(path, 0, MAX_BYTES)
        except RecordError as error:
            yield Line(None, _cut(str(error)))
            continue
        if rows:
            last = rows[-1]
            said = last.get("progress", last.get("metrics"))
            more = "+" if size > MAX_BYTES // 2 else ""
            text = f"{what} ({len(rows)}{more}): {_cut(repr(said))}"
            yield Line(_number(last.get("time")), text)


def _now(paths: JobPaths) -> Iterator[Line]:
    try:
        held = locks.held(paths)
    except OSError as error:
        yield Line(None, f"its lock cannot be looked at: {error.strerror}")
        return
    if held:
        lines: list[Line] = []
        process = _read(lines, lambda: records.read_process(paths))
        alive = process is not None and locks.alive(process)
        who = f"process {process.pid} lives" if process and alive else "its process is gone"
        yield Line(time.time(), f"its lock is held; {who}")
    for path, what in ((paths.damaged, "damaged files were moved to"), (paths.by_hand, "by hand:")):
        if folders := numbered(path):
            yield Line(None, f"{what} {folders[-1].relative_to(paths.path)}")


def _read(lines: list[Line], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except (XpmError, OSError) as error:
        text = _cut(str(error))
        if text not in (line.text for line in lines):
            lines.append(Line(None, text))
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def _clock(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):  # no time of this world
        return f"{at:g}"


def _when(at: float | None, first: float | None) -> str:
    return "" if at is None or first is None else f"+{at - first:.2f} s"
