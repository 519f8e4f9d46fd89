"""How long the rest of an experiment will take, from how long jobs took.

Rule 1: what is known is believed in this order: a running job's own progress, earlier jobs of its
type, all earlier jobs. Where nothing is known the answer is None, never a guess.
Rule 2: starting a job costs time too: what passed between the moment at which a job could start
(its slot was free, what it needs was over, it was submitted) and its start is counted for each.
Rule 3: the order of jobs is that of the scheduler: by submission, once all dependencies are over.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from statistics import median

from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView

TOLD = 0.02
"""Progress from which on a job's own pace says more than that of others."""

EXACT = 2_000
"""Unfinished jobs beyond which slots are taken as fully used, instead of being filled in turn."""

OVERDUE = 0.1
"""What a job that takes longer than all known ones still needs, as a part of its time so far."""

LATEST = 50
"""Starts of jobs that are looked at for what starting one costs."""


def durations(jobs: Iterable[JobView]) -> dict[str, list[float]]:
    """Give the seconds that jobs took which ended well, by type name."""
    found: dict[str, list[float]] = {}
    for job in jobs:
        if job.state is JobState.DONE and job.started is not None and job.ended is not None:
            seconds = job.ended - job.started
            if _sound(seconds):
                found.setdefault(job.type_name, []).append(seconds)
    return found


def gap(jobs: Iterable[JobView], slots: int) -> float:
    """Give the seconds that typically pass before a job that could start does; 0 if unknown.

    Only first attempts tell that this run submitted and started here.
    """
    jobs = list(jobs)
    ends = {job.key: job.ended for job in jobs if job.ended is not None}
    told = [
        (job.started, job.submitted, job)
        for job in jobs
        if job.started is not None
        and job.submitted is not None
        and job.started >= job.submitted
        and job.attempt == 1
        and not (job.reused or job.elsewhere or job.earlier)
    ]
    told.sort(key=itemgetter(0))
    slots = max(1, slots)
    over: list[float] = []  # when slots became free, in order
    waited = []
    for number, (started, submitted, job) in enumerate(told):
        since = [submitted, *(ends[key] for key in job.dependencies if key in ends)]
        if 0 <= number - slots < len(over):
            since.append(over[number - slots])
        waited.append(max(0.0, started - max(since)))
        insort(over, math.inf if job.ended is None else job.ended)
    found = [seconds for seconds in waited[-LATEST:] if math.isfinite(seconds)]
    return median(found) if found else 0.0


def eta(
    jobs: Sequence[JobView],
    slots: int,
    now: float,
    past: Mapping[str, Sequence[float]] | None = None,
    before: float | None = None,
) -> float | None:
    """Estimate the seconds until all jobs are over; None where nothing is known yet.

    Parameters
    ----------
    jobs : sequence of JobView
        In order of submission. Jobs of earlier runs that nothing will start are left aside.
    slots : int
        How many jobs run at once.
    now : float
        Seconds since the epoch, as in the views.
    past : mapping, optional
        Seconds that jobs took at other times, by type name.
    before : float, optional
        Seconds that starting a job takes; by default what these jobs tell (`gap`).
    """
    left = [job for job in jobs if not job.state.final and not _abandoned(job)]
    if not left:
        return 0.0
    known = _Known(jobs, left, now, past or {})
    if not known.all:
        return None
    start = gap(jobs, slots) if before is None else before
    needs = [
        known.remaining(job) + (0.0 if job.state is JobState.RUNNING else start) for job in left
    ]
    slots = max(1, slots)
    if len(left) > EXACT:
        return max(sum(needs) / slots, *needs)
    return _simulate(left, needs, slots)


def _abandoned(job: JobView) -> bool:
    return job.earlier and job.state is JobState.UNSCHEDULED


def _sound(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0


def _elapsed(job: JobView, now: float) -> float:
    seconds = 0.0 if job.started is None else now - job.started
    return seconds if _sound(seconds) else 0.0  # clocks of two machines may differ


def _pace(job: JobView, now: float) -> float | None:
    """Give the seconds that a running job will have taken, going by its own progress."""
    told = job.progress
    if job.state is not JobState.RUNNING or told is None or not TOLD <= told <= 1:
        return None
    whole = _elapsed(job, now) / told
    return whole if whole > 0 else None


class _Known:
    """Sorted durations by type; `all` of them together."""

    def __init__(
        self,
        jobs: Sequence[JobView],
        left: Sequence[JobView],
        now: float,
        past: Mapping[str, Sequence[float]],
    ) -> None:
        self.now = now
        self.by_type = durations(jobs)
        for name, seconds in past.items():
            self.by_type.setdefault(name, []).extend(filter(_sound, seconds))
        for job in left:
            whole = _pace(job, now)
            if whole is not None:
                self.by_type.setdefault(job.type_name, []).append(whole)
        for found in self.by_type.values():
            found.sort()
        self.all = sorted(second for found in self.by_type.values() for second in found)
        self.typical = {name: median(found) for name, found in self.by_type.items() if found}

    def remaining(self, job: JobView) -> float:
        """Give the seconds that an unfinished job will still take."""
        if job.state is not JobState.RUNNING:
            typical = self.typical.get(job.type_name)
            return median(self.all) if typical is None else typical
        elapsed = _elapsed(job, self.now)
        whole = _pace(job, self.now)
        if whole is not None:
            return max(0.0, whole - elapsed)
        known = self.by_type.get(job.type_name) or self.all
        # Of the jobs that took longer than this one so far, the median: it is one of those.
        longer = known[bisect_right(known, elapsed) :]
        return median(longer) - elapsed if longer else OVERDUE * elapsed


def _simulate(left: Sequence[JobView], needs: Sequence[float], slots: int) -> float:
    """Fill slots in turn, as the scheduler does; give when the last job is over."""
    number = {job.key: index for index, job in enumerate(left)}
    running = [job.state is JobState.RUNNING for job in left]
    missing = [0] * len(left)
    needed_by: list[list[int]] = [[] for _ in left]
    ready: list[int] = []
    for index, job in enumerate(left):
        if running[index]:
            continue
        above = {number[key] for key in job.dependencies if key in number} - {index}
        missing[index] = len(above)
        for other in above:
            needed_by[other].append(index)
        if not above:
            ready.append(index)  # in order: a heap
    # What runs elsewhere ends by itself, and takes no slot of ours.
    active = [(needs[i], i) for i in range(len(left)) if running[i]]
    heapq.heapify(active)
    used = sum(1 for i in range(len(left)) if running[i] and not left[i].elsewhere)
    end = 0.0
    while active or ready:
        while ready and used < slots:
            index = heapq.heappop(ready)
            heapq.heappush(active, (end + needs[index], index))
            used += 1
        end, index = heapq.heappop(active)
        if not (running[index] and left[index].elsewhere):
            used -= 1
        for other in needed_by[index]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, other)
    return end
