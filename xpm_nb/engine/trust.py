"""Whether a result can be trusted: it was disowned, or something that it was made from was.

A disowned result is moved away like that of an earlier attempt, with a note of who, when and why.
The job is in error then, with a reason of its own: whoever submits it again runs it anew, and what
waits for it does not run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from xpm_nb.engine.entries import Entry
from xpm_nb.errors import ConfigError
from xpm_nb.store import attempts, leaving, locks, records
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Disowned

LOCK_S = 3.0  # how long a process may take to end after it has written its marker
LOOK_S = 0.02


def disown(paths: JobPaths, name: str, reason: str, obstacle: Callable[[], str]) -> Disowned:
    """Take the result of a job away, under its lock.

    Parameters
    ----------
    paths : JobPaths
        A job that is done.
    name : str
        What messages call it.
    reason : str
        Why; kept with it.
    obstacle : callable
        Says who needs the result, "" if nobody does.

    Raises
    ------
    ConfigError
        No reason is given, the job is not done (any more), or somebody holds it or needs it.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError('disown() takes the reason, for who comes after you: disown("bad data")')
    lock = locks.try_lock(paths) if paths.private.is_dir() else None
    end = time.monotonic() + LOCK_S
    while lock is None and time.monotonic() < end and paths.private.is_dir():
        time.sleep(LOOK_S)
        lock = locks.try_lock(paths)
    if lock is None:
        raise ConfigError(f"{name} cannot be disowned: somebody holds it, or it is gone")
    try:
        if locks.legacy_holder(paths) is not None or not records.is_done(paths):
            raise ConfigError(f"{name} cannot be disowned: it is not done any more")
        note = Disowned(locks.whoami(), time.time(), reason.strip())
        with leaving.announced(paths):
            if text := obstacle():
                raise ConfigError(f"{name} cannot be disowned now: {text}")
            attempts.disown(paths, note)
        return note
    finally:
        lock.release()


def history(paths: JobPaths) -> tuple[Disowned, ...]:
    """Give what was disowned of a job, the first one first."""
    return attempts.disowned(paths)


def doubt(entry: Entry, needs: Iterable[Entry]) -> str:
    """Say why the result of a job that is done was made from something bad, "" if it was not.

    Parameters
    ----------
    entry : Entry
        The job, of which it is known when it started.
    needs : iterable of Entry
        What it was made from.
    """
    started = entry.facts.started
    for needed in needs:
        if needed.facts.doubt:
            return f"bad input: {needed.name} was made from bad input itself"
        for note in reversed(history(needed.paths)):
            if started is None or note.time >= started:
                return f"bad input: {needed.name} was disowned ({note.reason})"
    return ""
