"""What jobs share while they run: counted units, and who stands in the queue for them.

A pool is a token, or a directory that one job at a time may write in. Nothing is known here of
other kernels, which hold units too: a pool in which the world has no room is closed for a while.

Rule 1: a job goes when it is the first in the queue of each of its pools and each has room for it:
all or nothing, in order of submission. The first of all that wait is the first in all its queues
and waits for running jobs only, so nothing can be stuck, and nobody is passed for ever.
Rule 2: who asks for more than there is (the total became smaller since) gets all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush, nsmallest

Needs = tuple[tuple[str, int], ...]  # names of pools, and how many units of each


class Pools:
    """Who holds units of what, and who waits for them."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}
        self._needs: dict[str, Needs] = {}
        self._held: dict[str, Needs] = {}  # by job: what it took
        self._used: dict[str, int] = {}  # by pool: all that is held
        self._waiting: dict[str, dict[str, None]] = {}  # by job: the pools, an ordered set
        self._queues: dict[str, list[tuple[int, str]]] = {}  # heaps; old entries are skipped
        self._closed: dict[str, float] = {}  # until when
        self._changed: dict[str, None] = {}  # pools whose first may go now

    # -- reading --------------------------------------------------------------------------

    def needs(self, key: str) -> Needs:
        """Give what a job needs."""
        return self._needs.get(key, ())

    def total(self, pool: str) -> int:
        """Give how many units there are."""
        return self._totals.get(pool, 1)

    def used(self, pool: str) -> int:
        """Give how many units are held by jobs that are known here."""
        return self._used.get(pool, 0)

    def holds(self, key: str) -> bool:
        """Tell whether a job holds its units."""
        return key in self._held

    def waits(self, key: str) -> bool:
        """Tell whether a job stands in a queue."""
        return key in self._waiting

    def faults(self) -> Iterator[str]:
        """Say what contradicts itself here; nothing if all is well."""
        held: dict[str, int] = {}
        for needs in self._held.values():
            for pool, units in needs:
                held[pool] = held.get(pool, 0) + units
        for pool in {*held, *self._used}:
            if held.get(pool, 0) != self.used(pool):
                yield f"{self.used(pool)} units of {pool} are said to be used, not {held.get(pool)}"
        queued = {(pool, key) for pool, queue in self._queues.items() for _, key in queue}
        for key, pools in self._waiting.items():
            if any((pool, key) not in queued for pool in pools):
                yield f"{key} waits and stands in no queue"

    def queue(self, pool: str, count: int) -> list[str]:
        """Name the first of those that wait for a pool."""
        some = nsmallest(count, self._queues.get(pool, ()))
        return list(dict.fromkeys(key for _, key in some if self._stands(key, pool)))

    def next_deadline(self) -> float | None:
        """Say when the next pool opens by itself, None if none is closed."""
        return min(self._closed.values(), default=None)

    def may_go(self, key: str) -> bool:
        """Tell whether a job may go that waits (see Rule 1)."""
        return all(
            self._first(pool) == key and min(units, self.total(pool)) <= self._room(pool)
            for pool, units in self.needs(key)
        )

    def _room(self, pool: str) -> int:
        return 0 if pool in self._closed else self.total(pool) - self.used(pool)

    def _first(self, pool: str) -> str | None:
        queue = self._queues.get(pool, [])
        while queue and not self._stands(queue[0][1], pool):
            heappop(queue)
        return queue[0][1] if queue else None

    def _stands(self, key: str, pool: str) -> bool:
        return pool in self._waiting.get(key, ())

    # -- changing -------------------------------------------------------------------------

    def want(self, key: str, needs: Needs) -> None:
        """Note what a job needs; one that waits or runs keeps what it has asked for."""
        if key not in self._waiting and key not in self._held:
            self._needs[key] = needs

    def set_total(self, pool: str, total: int) -> None:
        """Change how many units there are; what is held stays held."""
        if self._totals.get(pool) != total:
            self._totals[pool] = total
            self._changed[pool] = None

    def wait(self, key: str, order: int) -> None:
        """Have a job stand in the queues of what it needs; it holds nothing."""
        self.leave(key)
        pools = dict.fromkeys(pool for pool, _ in self.needs(key))
        if pools:
            self._waiting[key] = pools
        for pool in pools:
            heappush(self._queues.setdefault(pool, []), (order, key))
            self._changed[pool] = None

    def take(self, key: str) -> None:
        """Have a job hold what it needs, whether there is room or not (it may run already)."""
        if key in self._held:
            return
        self.leave(key)
        needs = self.needs(key)
        if needs:
            self._held[key] = tuple((pool, min(units, self.total(pool))) for pool, units in needs)
            for pool, units in self._held[key]:
                self._used[pool] = self.used(pool) + units
                self._changed[pool] = None

    def leave(self, key: str) -> None:
        """Have a job neither wait nor hold anything."""
        self._changed.update(dict.fromkeys(self._waiting.pop(key, ())))
        for pool, units in self._held.pop(key, ()):
            self._used[pool] -= units
            self._changed[pool] = None

    def close(self, pools: Iterable[str], until: float) -> None:
        """Take note that the world has no room in these pools: nobody asks before that time."""
        self._closed.update((pool, until) for pool in pools)

    def open(self, pools: Iterable[str]) -> None:
        """Take note that there may be room again in these pools."""
        for pool in pools:
            if self._closed.pop(pool, None) is not None:
                self._changed[pool] = None

    def due(self, now: float) -> None:
        """Open the pools that were closed until now."""
        self.open([pool for pool, until in self._closed.items() if until <= now])

    def offers(self) -> list[str]:
        """Name the jobs that may go since something changed."""
        changed, self._changed = self._changed, {}
        firsts = [self._first(pool) for pool in changed]
        return [key for key in dict.fromkeys(firsts) if key is not None and self.may_go(key)]
