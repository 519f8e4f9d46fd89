"""The life of a job as its directory tells it: submitted, started, ended, run again, and why.

For people who want to know what happened; nothing is decided from it. Only what was written down is
told, and a file that cannot be understood is told as that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import JobPaths, numbered
from xpm_nb.store.records import JobRecord

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
    for folder in folders[-MAX_ATTEMPTS:]:
        lines += _attempt(paths.attempt(int(folder.name)), int(folder.name))
    lines += _attempt(paths, paths.next_attempt())
    lines += _now(paths)
    record = _read([], lambda: records.read_job(paths))
    task = record.task if record is not None else paths.name
    return Story(f"{task} {paths.identifier[:8]} ({paths.type_name})", tuple(lines))


def _attempt(paths: JobPaths, number: int) -> Iterator[Line]:
    """Tell one attempt; its files are in a directory, under the same names."""
    lines: list[Line] = []
    record = _read(lines, lambda: records.read_job(paths))
    if record is not None:
        lines.append(Line(record.submitted or None, f"attempt {number}: {_submitted(record)}"))
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
    disowned = _read(lines, lambda: records.read_disowned(paths.disowned))
    if disowned is not None:
        text = f"disowned by {disowned.by or 'somebody'}: {_cut(disowned.reason)}"
        lines.append(Line(disowned.time or None, text))
    for kept in records.read_kept(paths):
        text = f"accepted for other code by {kept.by or 'somebody'}: {_cut(kept.reason)}"
        lines.append(Line(kept.time or None, text))
    yield from lines


def _submitted(record: JobRecord) -> str:
    parts = [f"submitted in {record.experiment!r}" if record.experiment else "submitted"]
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
