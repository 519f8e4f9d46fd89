"""Tokens and shared directories in the scheduler: who asks for them, and who is told what it lacks.

Rule 1: what is free is asked of the disk (`store.tokens`), where other kernels ask too. The plan
counts what is known here, so that nobody asks in vain more often than need be.
Rule 2: who was refused asks again when a process ends that has the share, and now and then besides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from xpm_nb.core.events import Refused, Taken
from xpm_nb.core.states import JobState
from xpm_nb.engine import locked
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import locks, records, tokens
from xpm_nb.store.layout import JobPaths, Workspace
from xpm_nb.store.tokens import Need, Refusal

log = logging.getLogger("xpm_nb")

RETRY_S = (0.05, 2.0)  # how soon we ask again, at first and at last: see `store.tokens.LEASE_S`
TELL_S = 0.25  # between two looks at who has what
SWEEP_S = 20.0  # the same, where nothing tells us that something changed
TOLD = 100  # jobs of one queue that are told who has what they wait for
NAMED = 3  # holders that are named


class Shares:
    """What the jobs of one kernel have in common with each other and with those of others.

    Parameters
    ----------
    hub : Hub
        Its plan knows who wants what, and in which order.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._plan = hub.plan
        self._pools: dict[str, tuple[Workspace, Need]] = {}
        self._tries: dict[str, int] = {}  # by pool: how often in a row we asked in vain
        self._watched: dict[str, set[str]] = {}  # by job whose end we hear of: its pools
        self._news: dict[str, None] = {}  # pools of which something is to be told
        self._tell_at = self._sweep_at = 0.0

    # -- what the scheduler calls ---------------------------------------------------------

    def want(self, entry: Entry) -> None:
        """Tell the plan what a job needs, as its record says.

        Raises
        ------
        RecordError
            The record, or the file that counts, cannot be understood.
        """
        if entry.record is None:
            return
        workspace = Workspace(entry.paths.workspace)
        needs = tokens.needs_of(entry.record)
        for need in needs:
            pool = tokens.file_of(workspace, need)
            if str(pool) not in self._pools:
                total = tokens.read(workspace, need).total
                self._pools[str(pool)] = (workspace, need)
                self._hub.carry_out(self._plan.set_total(str(pool), total))
        found = tuple((str(tokens.file_of(workspace, need)), need.units) for need in needs)
        self._plan.want(entry.id, found)

    def count(self, workspace: Workspace, name: str) -> None:
        """Learn how many there are of a token."""
        pool = str(workspace.token(name))
        if pool in self._pools:
            self._look(pool)

    def ask(self, entry: Entry) -> Taken | Refused:
        """Take a job's lock and its shares, or say when to ask again.

        Raises
        ------
        XpmError, OSError
            What counts cannot be understood or written.
        """
        refusal = locked.secure(entry)
        if refusal is None:
            for pool, _ in self._plan.pools.needs(entry.id):
                self._tries.pop(pool, None)
            entry.facts.waits = ""
            return Taken(entry.id)
        return self.refused(entry, refusal)

    def refused(self, entry: Entry, refusal: Refusal | None = None) -> Refused:
        """Say when to ask again for a job that was refused."""
        workspace = Workspace(entry.paths.workspace)
        needs = () if refusal is None else refusal.needs
        pools = [str(tokens.file_of(workspace, need)) for need in needs]
        first, last = RETRY_S
        delay = first
        for pool in pools:
            tries = self._tries.get(pool, 0)
            self._tries[pool] = tries + 1
            delay = max(delay, min(last, first * 2**tries))
        for key in () if refusal is None else refusal.holders:
            self._watch(workspace.job_at(key), pools)
        self._tell(pools)
        # Without a pool, somebody was just then counting: it is for a moment.
        pools = pools or [pool for pool, _ in self._plan.pools.needs(entry.id)]
        return Refused(entry.id, tuple(pools), self._hub.clock.monotonic() + delay)

    def moved(self, entry: Entry) -> None:
        """Take note that a job went from one state to another."""
        self._tell(pool for pool, _ in self._plan.pools.needs(entry.id))
        if self._plan.state(entry.id) is not JobState.READY:
            entry.facts.waits = ""

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        return self._tell_at if self._news else None

    def tick(self, now: float) -> None:
        """Look who has what, where that may have changed, and tell the jobs that wait for it."""
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            self._tell(pool for pool in self._pools if self._plan.pools.queue(pool, 1))
        if not self._news or now < self._tell_at:
            return
        self._tell_at = now + TELL_S
        news, self._news = self._news, {}
        for pool in news:
            self._look(pool)

    # -- inside ---------------------------------------------------------------------------

    def _tell(self, pools: Iterable[str]) -> None:
        self._news.update(dict.fromkeys(pools))

    def _look(self, pool: str) -> None:
        """Read who has a pool, and tell the jobs that wait for it."""
        workspace, need = self._pools[pool]
        try:
            record = tokens.read(workspace, need)
            claims = tokens.live_claims(workspace, record)
        except XpmError as error:  # who asks for it will be told
            log.warning("%s", error)
            return
        self._hub.carry_out(self._plan.set_total(pool, record.total))
        names = [
            f"{self._hub.entry_of(workspace.job_at(claim.job)).name} has "
            f"{'it' if record.total == 1 else claim.units}"
            for claim in claims
        ]
        if len(names) > NAMED:
            names[NAMED:] = [f"{len(names) - NAMED} more have the rest"]
        for key in self._plan.pools.queue(pool, TOLD) if names else ():
            units = dict(self._plan.pools.needs(key))[pool]
            what = need.text if record.total == 1 else f"{units} of {record.total} of {need.text}"
            text = f"waits for {what}: {', '.join(names)}"
            entry = self._hub.entry_of(JobPaths.of(key))
            if entry.facts.waits != text:
                entry.facts.waits = text
                self._hub.note_change(entry)

    def _watch(self, paths: JobPaths, pools: Iterable[str]) -> None:
        """Have pools asked for again when the process of a job ends."""
        key = str(paths.path)
        if key in self._watched:
            self._watched[key].update(pools)
            return
        try:
            process = records.read_process(paths)
        except RecordError:
            process = None
        if process is None:
            return
        if self._hub.when_ended(process, partial(self._ended, key)):
            self._watched[key] = set(pools)
        elif not locks.alive(process):
            locks.kill_survivors(process)  # they keep the job's lock, and so its share

    def _ended(self, key: str) -> None:
        pools = self._watched.pop(key)
        for pool in pools:
            self._tries.pop(pool, None)
        self._hub.carry_out(self._plan.freed(pools))
