"""Handing an experiment over to a process of its own, which finishes it without the kernel.

That process (`engine.detached`) opens the experiment as any kernel does, and so needs none of the
user's classes: what a job runs is in its directory. It holds the lock ``detached/lock`` of the
experiment as long as it lives. Kernels leave it to that process to start jobs, and take them back
when it ends (`engine.others`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xpm_nb.core.config import RunMode
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop as loops
from xpm_nb.engine import uncalled
from xpm_nb.engine.contents import Item
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.listening import callbacks_of
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import LeaveJobs
from xpm_nb.errors import ConfigError, LaunchError
from xpm_nb.launchers.local import start_apart
from xpm_nb.store import locks, records, told
from xpm_nb.store.layout import DetachedPaths, Workspace
from xpm_nb.store.records import ProcessRecord
from xpm_nb.store.told import Hint

STALLED_S = 5.0  # how long the scheduler may be at one thing, while we wait for it
STOP_S = 10.0  # how long a process that is asked to end may take, at most
NAMED = 3  # callbacks that are named, at most
_STARTABLE = (JobState.WAITING, JobState.READY)


@dataclass(frozen=True)
class Detached:
    """The process that finishes an experiment without a kernel, as `Experiment.detach` gives it.

    Attributes
    ----------
    name : str
        Of the experiment.
    process : ProcessRecord or None
        Which process that is; None if there was nothing to hand over.
    log : Path
        Where it writes what it does.
    said : tuple[str, ...]
        What was handed over, and what could not be.
    """

    name: str
    process: ProcessRecord | None
    log: Path
    said: tuple[str, ...] = ()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return None if self.process is None else self.process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self.process is not None and locks.alive(self.process)

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """End the process. Jobs that run go on; a kernel that is there starts the others.

        Parameters
        ----------
        timeout_s : float
            How long it has to let go of what it does just now.

        Returns
        -------
        bool
            Whether it has ended.
        """
        if self.process is None:
            return True
        descriptor = locks.open_pidfd(self.process)
        if descriptor is None:  # it is gone, or this system has no such descriptors
            if not self.running:
                return True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)
            return not self.running
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(timeout_s * 1000))
        finally:
            os.close(descriptor)

    def __repr__(self) -> str:
        said = self.said or (self._state(),)
        return "\n".join((*said, *([f"log: {self.log}"] if self.process is not None else [])))

    def _state(self) -> str:
        state = "finishes" if self.running else "has ended; it finished"
        return f"process {self.pid} {state} {self.name!r} without a kernel"


class Handing:
    """Hands jobs over to a process of its own; `Experiment` derives from it.

    Attributes
    ----------
    name, workspace, run_mode, slots
        See `Experiment`.
    """

    name: str
    workspace: Workspace
    run_mode: RunMode
    slots: int
    _loop: Loop

    if TYPE_CHECKING:

        def _all(self) -> list[Item]:
            """Give all jobs."""

    @property
    def _place(self) -> DetachedPaths:
        return self.workspace.experiment(self.name).detached

    @property
    def detached(self) -> Detached | None:
        """The process that finishes this experiment without a kernel, None if there is none."""
        process = self._finisher()
        return None if process is None else Detached(self.name, process, self._place.log)

    def _finisher(self) -> ProcessRecord | None:
        """Say which other process finishes the experiment."""
        found = told.finisher(self._place)
        return None if found is None or found.pid == os.getpid() else found

    def detach(self) -> Detached:
        """Have a process of its own start what waits, so that this kernel may end; say which.

        It starts jobs as soon as they may run (dependencies, retries, tokens, time limits, as many
        at once as this kernel would), and ends with the last of them; this kernel watches. It lives
        on when the kernel is killed, and knows nothing of what lives in the kernel: callbacks
        (`on_completed`, `on_state`, `watch_output`) are called only as long as this kernel is
        there. A kernel that opens the experiment meanwhile watches, too; when the process is ended
        (`Detached.stop`, or ``xpm-nb stop``), the kernels that are there go on by themselves.

        With nothing that waits, no process is started. Calling it again hands over what has been
        submitted since.

        Raises
        ------
        ConfigError
            In a dry run, or in a workspace that is only looked at.
        LaunchError
            The process could not be started, or what was submitted is not written yet; this kernel
            keeps the jobs.
        """
        if self.run_mode is RunMode.DRY_RUN:
            raise ConfigError(
                f"{self.name!r} is only looked at (RunMode.DRY_RUN): nothing of it runs, and so "
                "there is nothing to hand over"
            )
        self._get_all_done()  # thousands may have been submitted just now
        open_ = [item.entry for item in self._all() if not item.entry.settled.is_set()]
        waiting = [entry for entry in open_ if entry.view.state in _STARTABLE]
        left = [entry for entry in waiting if self._loop.leaves(entry)]
        ours = [entry for entry in waiting if not self._loop.leaves(entry)]
        handed = [entry for entry in ours if _can_be_handed(entry)]
        kept = [entry for entry in ours if not _can_be_handed(entry)]
        timed = [entry for entry in open_ if entry.view.state.under_way and _needs_us(entry)]
        running = self._finisher()
        if not handed and (left or not timed):
            if running is not None:
                uncalled.promise(self._place, open_)
            return self._nothing(running, kept)
        process = running or self._start()
        uncalled.promise(self._place, open_)
        told.add_hint(self.workspace, Hint(locks.myself(), experiment=self.name, detach=True))
        self._loop.post(LeaveJobs(tuple(handed), process))
        self._get_all_done()
        said = _texts(self.name, process, handed, timed, self.slots, again=running is not None)
        return Detached(self.name, process, self._place.log, (*said, *_lacks(open_, kept)))

    def _get_all_done(self) -> None:
        """Wait until all that was asked for is on the disk, or with the other process."""
        if left := self._loop.catch_up(STALLED_S):
            raise LaunchError(
                f"the scheduler is busy, and has not yet come to {left} of the things that it was "
                f"asked to do: this kernel keeps what waits; detach() again in a moment"
            )

    def _nothing(self, running: ProcessRecord | None, kept: Sequence[Entry]) -> Detached:
        text = f"nothing of {self.name!r} waits to be started: there is nothing to hand over"
        if running is not None:
            text = f"{self.name}: process {running.pid} has all that waits; this kernel may end"
        return Detached(self.name, running, self._place.log, (text, *_lacks((), kept)))

    def _start(self) -> ProcessRecord:
        """Start the process, and hand it the lock that says that it is the one."""
        place, root = self._place, self.workspace.root
        lock = told.try_lock(place)
        if lock is None:
            raise LaunchError(
                f"a process is about to finish {self.name!r} just now: detach() again in a moment"
            )
        try:
            log = told.open_log(place)
            try:
                home = str(Path(__file__).parents[2])
                code = (
                    f"import sys; sys.path.append({home!r})\n"
                    "from xpm_nb.engine.detached import main; sys.exit(main(sys.argv[1:]))"
                )
                words = [str(root), self.name, str(self.slots), str(lock.fileno())]
                command = [sys.executable, "-P", "-c", code, *words]
                process = start_apart(command, cwd=root, log_fd=log, pass_fds=[lock.fileno()])
            finally:
                os.close(log)
            told.write_process(place, process)
            return process
        finally:
            lock.hand_over()  # to whoever has it: nobody, if no process was started


def _can_be_handed(entry: Entry) -> bool:
    """Tell whether another process can make the launcher of a job."""
    record = entry.wanted() or entry.record
    return record is None or str(record.launcher.get("type", "local")) in loops.LAUNCHERS


def _needs_us(entry: Entry) -> bool:
    """Tell whether a job that runs needs somebody: to end it in time, to run it again."""
    return entry.record is not None and records.time_limit_s(entry.record) is not None


def _texts(
    name: str,
    process: ProcessRecord,
    handed: Sequence[Entry],
    timed: Sequence[Entry],
    slots: int,
    *,
    again: bool,
) -> list[str]:
    jobs = _jobs(len(handed)) if handed else f"the time limits of {_jobs(len(timed))}"
    is_are = "is" if handed and len(handed) == 1 else "are"
    which = "the detached process" if not again else "the detached process that runs already,"
    text = f"{name}: {jobs} {is_are} left to {which} {process.pid}"
    if not again:
        text += f", which runs up to {slots} at once and ends with the last"
    return [f"{text}; this kernel may end"]


def _lacks(some: Sequence[Entry], kept: Sequence[Entry]) -> list[str]:
    """Say what cannot be handed over."""
    found = []
    if callbacks := [text for entry in some for text in callbacks_of(entry)]:
        names = ", ".join(list(dict.fromkeys(callbacks))[:NAMED])
        calls = "1 callback is" if len(callbacks) == 1 else f"{len(callbacks)} callbacks are"
        found.append(f"not handed over: {calls} called only while this kernel lives ({names})")
    if some and any(entry.asked is not None and entry.asked.preparations for entry in some):
        found.append("not handed over: what Prepare makes; without this kernel, jobs make it")
    if kept:
        found.append(
            f"not handed over: {_jobs(len(kept))} whose launcher only this kernel has "
            f"({', '.join(entry.name for entry in kept[:NAMED])})"
        )
    return found


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
