"""What the processes of running jobs use: processors and memory.

A job leads a session of its own, so its processes are those of that session. Programs that it has
put into another one are not seen.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil

from xpm_nb.core.views import Usage

LEAST_S = 0.5  # between two looks: processor time is counted in hundredths of a second
_MB = 1024 * 1024


@dataclass(slots=True)
class _Last:
    """What was seen of one attempt of a job."""

    process: tuple[int, int]  # number and start time
    at: float
    cpu_s: float
    usage: Usage | None = None


class Sampler:
    """Looks at the processes of jobs, and remembers what it saw. For one thread."""

    def __init__(self) -> None:
        self._last: dict[str, _Last] = {}
        self._known: dict[int, psutil.Process] = {}

    def sample(self, jobs: Iterable[Any]) -> dict[str, Usage]:
        """Give what running jobs of this machine use, by their keys.

        Processors are those used since the last look, so a job is left out at the first one. Memory
        is what is resident of all its processes together; what they share counts for each.

        Parameters
        ----------
        jobs : iterable of Job
            Those that do not run, or not here, are left out.
        """
        processes = {job.key: found for job in jobs if (found := _process_of(job)) is not None}
        sessions = {pid: (0.0, 0) for pid, _ in processes.values()}
        if sessions:
            self._look(sessions)
        now, before, self._last = time.monotonic(), self._last, {}
        for key, process in processes.items():
            cpu_s, memory = sessions[process[0]]
            if memory:  # else it has just ended
                self._last[key] = _next(before.get(key), process, now, cpu_s, memory)
        return {key: last.usage for key, last in self._last.items() if last.usage is not None}

    def _look(self, sessions: dict[int, tuple[float, int]]) -> None:
        """Add up time and memory of all processes of some sessions."""
        known, self._known = self._known, {}
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):  # it has ended, or is not ours
                session = os.getsid(pid)
                if session not in sessions:
                    continue
                process = self._known[pid] = known.get(pid) or psutil.Process(pid)
                times, memory = process.cpu_times(), process.memory_info().rss
                # A child that has ended is in its parent's `children_`: nothing gets lost.
                used = times.user + times.system + times.children_user + times.children_system
                cpu_s, before = sessions[session]
                sessions[session] = (cpu_s + used, before + memory)


def _next(
    last: _Last | None, process: tuple[int, int], now: float, cpu_s: float, memory: int
) -> _Last:
    if last is None or last.process != process:
        return _Last(process, now, cpu_s)
    passed = now - last.at
    if passed < LEAST_S:
        return last
    usage = Usage(max(0.0, cpu_s - last.cpu_s) / passed, memory / _MB)
    return _Last(process, now, cpu_s, usage)


def _process_of(job: Any) -> tuple[int, int] | None:
    """Give number and start time of a job's own process; None if there is none on this machine."""
    handle = job.entry.handle  # the loop may take it away at any moment
    record = {} if handle is None else handle.as_dict()
    pid, start = record.get("pid"), record.get("start")
    if isinstance(pid, int) and isinstance(start, int) and record.get("type") == "local":
        return pid, start
    return None
