"""What is done to the directory of a job: made ready, started, mended, marked, removed.

Rule 1: markers, records and attempts change under the job lock only. Who does not get the lock does
nothing: whoever has it knows better how the job is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xpm_nb.code import fingerprint, modules
from xpm_nb.core.freshness import Making
from xpm_nb.core.states import FailureReason
from xpm_nb.engine.entries import Asked, Entry
from xpm_nb.engine.looking import Found, superseded
from xpm_nb.errors import ConfigError, LaunchError, RecordError, XpmError
from xpm_nb.launchers.base import LaunchRequest
from xpm_nb.store import attempts, damage, fs, leaving, locks, owners, records, removal, tokens
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Code, Failure, JobRecord

Obstacle = Callable[[], str]

BUSY = "another process is at it"


def prepare(entry: Entry, *, again: Obstacle | None = None) -> Found:
    """Make the directory ready for a run: old attempt away, script, parameters and record there.

    Parameters
    ----------
    entry : Entry
        The job.
    again : callable, optional
        Although it is done: says who needs its result, "" if nobody does.

    Returns
    -------
    Found
        NOTHING if the job can be launched now or later, else what is in the way (HELD, DONE).

    Raises
    ------
    ConfigError
        Somebody needs its result, and so it stays.
    """
    entry.paths.create()
    lock = locks.try_lock(entry.paths)
    if lock is None:
        return Found.HELD
    try:
        if again is None:
            if records.is_done(entry.paths):
                return Found.DONE
            write(entry, retries=0)
            return Found.NOTHING
        if locks.legacy_holder(entry.paths) is not None:
            return Found.HELD
        with leaving.announced(entry.paths):
            if text := again():
                raise ConfigError(text)
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


def remove(entry: Entry, obstacle: Obstacle, experiments: Iterable[str]) -> str:
    """Remove the files of a job that is done, unless somebody needs them.

    Parameters
    ----------
    entry : Entry
        The job.
    obstacle : callable
        Says who needs them, "" if nobody does.
    experiments : iterable of str
        Names of those that asked for the job, to be noted.

    Returns
    -------
    str
        Why they stay, "" if they are gone.
    """
    paths = entry.paths
    lock = locks.try_lock(paths)
    if lock is None:
        return BUSY
    try:
        if not records.is_done(paths):
            return BUSY  # they were removed by another process, or it was run again
        with leaving.announced(paths):
            if text := obstacle():
                return text
            with contextlib.suppress(OSError):  # a full disk: then it is not remembered
                records.add_removal(paths, _removal(paths, entry.record, experiments))
            removal.remove_files(paths)
        return ""
    finally:
        lock.release()


def _removal(
    paths: JobPaths, record: JobRecord | None, experiments: Iterable[str]
) -> records.Removal:
    times = records.Times(None, None)
    with contextlib.suppress(RecordError):  # damaged: nobody knows
        times = records.read_times(paths)
    return records.Removal(
        attempt=paths.next_attempt(),
        submitted=0.0 if record is None else record.submitted,
        started=times.started or 0.0,
        ended=times.ended or 0.0,
        time=time.time(),
        by=locks.whoami(),
        experiments=tuple(experiments),
    )


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
    script, params = (None, None) if asked is None else (asked.script, asked.params)
    new = script is not None and params is not None
    _check_own(paths, new=new)
    record = asked.record if asked is not None else records.read_job(paths)
    if record is None or not (new or paths.script.exists()):
        raise RecordError(f"{paths.path} does not say what is to be run: submit the task again")
    if any(path.exists() for path in (paths.done, paths.failed, paths.process, paths.stdout)):
        attempts.archive_attempt(paths, keep_files=record.resumable)
    if script is not None:
        damage.set_aside(paths)
    record = record._replace(
        attempt=paths.next_attempt(),
        retries=record.retries if retries is None else retries,
    )
    if script is not None and params is not None:
        # It goes first and comes last: if we die in between, nothing runs that is not as recorded.
        with contextlib.suppress(FileNotFoundError):
            fs.unlink(paths.script)
        records.write_params(paths, params)
    record = record._replace(code=_write_code(entry, record))
    records.write_job(paths, record)
    entry.note_record(record)
    if script is not None and params is not None:
        records.write_script(paths, script, durable=record.durable)


def _check_own(paths: JobPaths, *, new: bool) -> None:
    """Check that what is about to be started is what its user wrote; `new` if it is yet to be."""
    if new:
        owners.take_back(paths)
    doubt = owners.doubt_of_job(paths, new=new)
    if doubt is not None:
        way = "move that directory away" if new else "submit the task again"
        raise RecordError(f"{doubt.text}: it is not executed; {way} ({doubt.remedy})")


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
            needed = paths.sibling(key)
            record = records.read_job(needed)
            made = Making.of({} if record is None else record.code)
            loaded = {one.path: one.digest for one in records.read_met(needed)[1]}
            found[key] = made._replace(loaded=loaded).mark
    return found


def launch(entry: Entry, needs: Iterable[JobPaths] = ()) -> tuple[Found, Failure | None]:
    """Take the job's lock (or that which `secure` took), start it and hand it the lock.

    Parameters
    ----------
    entry : Entry
        The job.
    needs : iterable of JobPaths
        What it needs, which is to be done: as `store.leaving` says.

    Returns
    -------
    tuple[Found, Failure or None]
        NOTHING if it was started; DONE or FAILED if somebody else ran it meanwhile, HELD if
        somebody else has it, REFUSED if it has not the shares that it needs, UNREADY if the result
        of a job that it needs is not there (any more).

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
        if not all(map(leaving.is_there, needs)):
            return Found.UNREADY, None
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
