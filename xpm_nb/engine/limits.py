"""Time limits: until when an attempt may run, and what follows when it has come to its limit.

Rule 1: all of it can be derived from the job's directory (record, process record, markers), so that
another kernel comes to the same answers.
"""

from __future__ import annotations

import os
from dataclasses import replace

from xpm_nb.core.events import Failed
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import looking
from xpm_nb.engine.entries import Entry
from xpm_nb.store import records
from xpm_nb.store.records import JobRecord

CANCELLED = "cancelled"  # what the end of a job says that was


def deadline(entry: Entry) -> float | None:
    """Say when the engine is to end the present attempt, in seconds since the epoch.

    None if it may run for ever, or its launcher looks after that.
    """
    record, started = entry.record, entry.facts.started
    if record is None or started is None or not getattr(entry.launcher, "timed_by_engine", False):
        return None
    limit_s = records.time_limit_s(record)
    return None if limit_s is None else started + limit_s


def judged(entry: Entry, event: Failed) -> Failed:
    """Add to the end of an attempt how often the job may be run again by itself.

    That is more than 0 only for an attempt that ended by its time limit, of a task that resumes.
    Of one that another kernel cancelled, say which that is.
    """
    if event.reason not in (FailureReason.TIMEOUT, FailureReason.CANCELLED):
        return event
    note = records.read_end_note(entry.paths)
    if event.reason is FailureReason.CANCELLED:
        elsewhere = note is not None and note.by not in (0, os.getpid())
        if note is None or not elsewhere or event.message != CANCELLED:
            return event
        return replace(event, message=by(event.message, note.by))
    if note is not None and note.reason is FailureReason.CANCELLED:  # which came second
        return Failed(event.key, FailureReason.CANCELLED, CANCELLED)
    record = looking.read_record(entry)  # that of the attempt which has ended, whoever started it
    if record is None:
        return event
    left = record.retries_left
    return replace(event, retries=left, message=event.message + ("" if left else _advice(record)))


def by(message: str, pid: int | None = None) -> str:
    """Say which process ended a job, by default this one: for the kernels that have it, too."""
    return f"{message} by process {os.getpid() if pid is None else pid}"


def progress(entry: Entry, state: JobState) -> str:
    """Say which attempt is waited for, or runs, of a job that was run again by itself."""
    record = entry.record
    if record is None or not record.retries or state.final:
        return ""
    return f"run again after its time limit: {record.retries} of {record.max_retries}"


def _advice(record: JobRecord) -> str:
    """Say why an attempt that ended by its time limit was the last."""
    if not record.resumable:
        return "; a ResumableTask would be run again, LocalLauncher(time_min=…) gives more time"
    times = {0: "not once", 1: "once"}.get(record.retries, f"{record.retries} times")
    return (
        f"; it was run again {times}, as often as max_retries={record.max_retries} allows: "
        "retry() goes on from there"
    )
