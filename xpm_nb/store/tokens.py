"""Shares of what jobs have in common: units of a token, or a directory to write in.

A ``token.json`` lists claims: so many units for such a job. A claim counts exactly as long as the
job's lock is held, which is as long as its process lives, whatever ends it (see `store.locks`).
So nothing has to be given back: a claim of a job whose lock is free is void.

Rule 1: claims are written by whoever holds the job's lock, and under one lock of the workspace: all
shares of a job are taken at once, or none. Nobody waits while holding a share.
Rule 2: who is refused is noted as waiting for some seconds, and who was submitted later is refused
meanwhile. These notes run out by themselves: they are for fairness, never for safety.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import locks, records
from xpm_nb.store.layout import JobPaths, Workspace, make_directory
from xpm_nb.store.records import Claim, JobRecord, TokenRecord, Waiter

LEASE_S = 5.0  # how long a note that a job waits is believed; they are written every two seconds


class Need(NamedTuple):
    """What a job needs of a pool: `pool` is a token's name, or a directory that tasks share."""

    pool: str
    units: int
    directory: bool = False

    @property
    def text(self) -> str:
        """What messages call it."""
        if not self.directory:
            return f"token {self.pool!r}"
        place, _, identifier = self.pool.rpartition("/")
        return f"the directory {place}/{identifier[:8]}…"


class Refusal(NamedTuple):
    """Why a job did not get its shares.

    Attributes
    ----------
    needs : tuple of Need
        Those for which there was no room; empty if the lock was just then taken.
    holders : tuple of str
        Keys of the jobs that have them, or that come first.
    """

    needs: tuple[Need, ...] = ()
    holders: tuple[str, ...] = ()


def needs_of(record: JobRecord) -> tuple[Need, ...]:
    """Give what the record of a job says that it needs.

    Raises
    ------
    RecordError
        It cannot be understood.
    """
    if any(type(units) is not int or units < 1 for units in record.tokens.values()):
        raise RecordError(f"the record of {record.key} is damaged: its tokens are {record.tokens}")
    tokens = [Need(name, units) for name, units in record.tokens.items()]
    return (*tokens, *(Need(name, 1, directory=True) for name in dict.fromkeys(record.partials)))


def read(workspace: Workspace, need: Need) -> TokenRecord:
    """Read who has a pool; one that nobody has named has one unit; raises `RecordError`."""
    path = file_of(workspace, need)
    found = _told(path, need) or TokenRecord()
    try:
        for key in (*(c.job for c in found.claims), *(w.job for w in found.waiting)):
            workspace.job_at(key)
    except ConfigError as error:
        raise RecordError(f"{path} is damaged: {error}; {_way_out(need)}") from error
    return found


def _told(path: Path, need: Need) -> TokenRecord | None:
    """Read a file that counts; raises `RecordError` that says what to do."""
    try:
        return records.read_token(path)
    except RecordError as error:
        raise RecordError(f"{error}; {_way_out(need)}") from error


def _way_out(need: Need) -> str:
    """Say what to do about a file that cannot be understood: who has a share is not guessed."""
    way = f"move it away when no job has {need.text}"
    return way if need.directory else f"{way}, and say anew how many there are: xp.token(…)"


def file_of(workspace: Workspace, need: Need) -> Path:
    """Name the file that says who has a pool."""
    return workspace.claim_on(need.pool) if need.directory else workspace.token(need.pool)


def set_total(workspace: Workspace, name: str, total: int) -> int | None:
    """Say how many units of a token there are; give how many there were, None if nobody knew.

    Waits while others count.

    Raises
    ------
    RecordError
        The file that counts cannot be understood; the message says what to do.
    """
    path = workspace.token(name)
    found = _told(path, Need(name, 1))
    if found is not None and found.total == total:
        return total
    make_directory(workspace.root, path.parent)
    make_directory(workspace.root, workspace.shares_lock.parent)
    with locks.exclusive(workspace.shares_lock):
        found = _told(path, Need(name, 1))
        records.write_token(path, (found or TokenRecord())._replace(total=total))
    return None if found is None else found.total


def live_claims(workspace: Workspace, record: TokenRecord) -> list[Claim]:
    """Give the claims that count."""
    return [claim for claim in record.claims if _lives(workspace, claim)]


def _lives(workspace: Workspace, claim: Claim) -> bool:
    paths = workspace.job_at(claim.job)
    return locks.held(paths) or locks.unlocked(paths)


def take(
    paths: JobPaths, needs: Sequence[Need], *, since: float, now: float, wait: bool = True
) -> Refusal | None:
    """Take all shares of a job, or none; the caller holds the job's lock. Never waits.

    Parameters
    ----------
    paths : JobPaths
        The job.
    needs : sequence of Need
        What it needs.
    since : float
        When it was submitted: the earliest goes first.
    now : float
        The time, seconds since the epoch.
    wait : bool
        Whether the job is noted as waiting if it is refused.

    Returns
    -------
    Refusal or None
        None: the job has them, for as long as its lock is held.

    Raises
    ------
    RecordError, WorkspaceError
        What says who has them cannot be understood or written.
    """
    workspace = Workspace(paths.workspace)
    for path in (workspace.shares_lock, *(file_of(workspace, need) for need in needs)):
        make_directory(workspace.root, path.parent)
    with locks.try_exclusive(workspace.shares_lock) as ours:
        if not ours:
            return Refusal()
        found = [(need, _fresh(workspace, need, paths.key, now)) for need in needs]
        refusal = _judge(found, Waiter(paths.key, since))
        for need, record in found:
            if refusal is None:
                total = record.total
                claim = Claim(paths.key, min(need.units, total))
                record = record._replace(claims=(*record.claims, claim))
            elif wait:
                waiter = Waiter(paths.key, since, now + LEASE_S)
                record = record._replace(waiting=(*record.waiting, waiter))
            records.write_token(file_of(workspace, need), record)
    return refusal


def _fresh(workspace: Workspace, need: Need, key: str, now: float) -> TokenRecord:
    """Read who has a pool, without what counts no more, and without the job itself.

    (A claim of the job is one of an earlier attempt: the caller has its lock.)
    """
    record = read(workspace, need)
    claims = [c for c in record.claims if c.job != key and _lives(workspace, c)]
    waiting = [w for w in record.waiting if w.job != key and now < w.until <= now + LEASE_S]
    return record._replace(claims=tuple(claims), waiting=tuple(waiting))


def _judge(found: Iterable[tuple[Need, TokenRecord]], mine: Waiter) -> Refusal | None:
    missing: list[Need] = []
    holders: list[str] = []
    for need, record in found:
        # Who asks for more than there is by now gets all there is.
        full = min(need.units, record.total) > record.total - sum(c.units for c in record.claims)
        first = [w.job for w in record.waiting if (w.since, w.job) < (mine.since, mine.job)]
        if full or first:
            missing.append(need)
            holders += [c.job for c in record.claims] if full else first
    return Refusal(tuple(missing), tuple(dict.fromkeys(holders))) if missing else None
