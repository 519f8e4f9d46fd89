"""The time limit of a job, kept by the job itself where no engine does.

An engine asks a job to end when its time is over, and kills it if it does not. When the kernel is
gone and nobody has taken its place, the job waits a moment longer, and then does both to itself.

Rule 1: only a job with a time limit has this thread; it sleeps, and holds nothing that a fork could
find held. (A timer of the system would be one less for the task.)
Rule 2: once the task has been executed nothing is asked or killed any more: what it made is kept.
"""

# No `from __future__ import annotations`: a job imports this.
import _thread
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep, time

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import XpmError
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths

LATE_S = 2.0  # how long after its end an engine may take to ask: then there is none
GRACE_S = 10.0  # how long a job may live that was asked to end, where nobody said otherwise
LONGEST_S = 3600.0  # a sleep: the numbers of a system are not as large as those of a user


class Deadline:
    """Sees to the end of this process.

    Parameters
    ----------
    at : float
        When its time is over, on the clock `monotonic`.
    paths : callable
        Gives the job, wherever its directory is by then.
    """

    def __init__(self, at: float, paths: Callable[[], JobPaths]) -> None:
        self.at = at
        self.over = False  # the task has been executed
        self._paths = paths

    def watch(self) -> None:
        """Begin; it sleeps when this returns."""
        awake = _thread.allocate_lock()
        awake.acquire()
        # A thread begins with the mask of who starts it: signals are for the task's, at any time.
        # One that came while both want to run, would not wake what the task is about to wait for.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            _thread.start_new_thread(self._watch, (awake,))
            awake.acquire()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _watch(self, awake: _thread.LockType) -> None:
        awake.release()
        self._sleep(self.at + LATE_S)
        if self.over:
            return
        note = self._asked()
        while not self.over:
            self._sleep(monotonic() + _left_s(note))
            last, note = note, self._note()
            if note is None or note == last:  # no engine that was late has said another time
                break
        if not self.over:
            _send(signal.SIGKILL)

    def _sleep(self, until: float) -> None:
        while not self.over and (left := until - monotonic()) > 0:
            sleep(min(left, LONGEST_S))

    def _asked(self) -> records.EndNote | None:
        """See that the job is asked to end; give the note of that, None if there is none."""
        note = self._note()
        if note is None:
            with suppress(OSError, XpmError):  # a full disk: then it is not known why it ends
                records.write_end_note(self._paths(), FailureReason.TIMEOUT, GRACE_S)
            note = self._note()
            _send(signal.SIGTERM)
        return note

    def _note(self) -> records.EndNote | None:
        with suppress(OSError, XpmError):
            return records.read_end_note(self._paths())
        return None


def _left_s(note: records.EndNote | None) -> float:
    """Give how long a job may live that was asked to end."""
    left_s = GRACE_S if note is None or not note.until else max(0.0, note.until - time())
    by_others = note is not None and note.by != os.getpid()
    return left_s + LATE_S if by_others else left_s  # an engine will kill it, if it still lives


def _send(number: signal.Signals) -> None:
    """Send a signal to the processes of the job, as its launcher would."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, number)
    else:
        os.kill(os.getpid(), number)
