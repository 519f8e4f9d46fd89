"""What waiting for jobs means: for their ends, and for what was to be called then.

Rule 1: an interrupt gets through, a scheduler that has ended is noticed, and nobody waits for ever
for a callback, which may block, or wait for us.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from xpm_nb.core.states import JobState
from xpm_nb.engine import callbacks
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import MeetJobs, Wake
from xpm_nb.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from asyncio import Future

TICK_S = 0.1  # how long one wait is: in between, an interrupt gets through
CALLBACKS_S = 10.0  # how long a wait goes on for callbacks of what it waited for, at most
VIEWS_S = 1.0  # and for the views of what callbacks did, at most

# What the notebook side puts round a wait for one job; nothing outside a notebook.
while_waiting: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext


def seconds(timeout_s: Any) -> float | None:
    """Check how long somebody wants to wait.

    Raises
    ------
    ConfigError
        It is no number of seconds.
    """
    if timeout_s is None:
        return None
    number = isinstance(timeout_s, (int, float)) and not isinstance(timeout_s, bool)
    if not number or not timeout_s >= 0:
        raise ConfigError(f"timeout_s is a number of seconds from 0 on, or None, not {timeout_s!r}")
    return min(float(timeout_s), threading.TIMEOUT_MAX)


def wait_for(wanted: Iterable[Entry], loop: Loop, timeout_s: float | None) -> bool:
    """Wait until jobs are settled; False if that took too long.

    In short waits, so that Ctrl-C gets through, and a dead scheduler is noticed.
    """
    if loop.in_thread():
        raise InternalError("the scheduler's thread cannot wait for jobs: use on_completed")
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    for entry in wanted:
        while not entry.settled.is_set():
            loop.check()
            left = TICK_S if deadline is None else min(TICK_S, deadline - time.monotonic())
            if left <= 0:
                return False
            entry.settled.wait(left)
    return True


def meet(wanted: Iterable[Entry], loop: Loop) -> None:
    """Have it found out how jobs are of which nothing is known here: another experiment's."""
    unknown = [e for e in wanted if e.view.state is JobState.UNSCHEDULED and not e.pending]
    if new := tuple(entry for entry in unknown if not entry.settled.is_set()):
        loop.post(MeetJobs(new))
        loop.sync(VIEWS_S)


def flush(deadline: float | None) -> None:
    """Wait for the callbacks of what has ended; not for ever, for one may block or wait for us."""
    left = CALLBACKS_S if deadline is None else min(CALLBACKS_S, deadline - time.monotonic())
    callbacks.current().flush(max(0.0, left))


async def settled(wanted: Sequence[Entry], loop: Loop) -> None:
    """Wait as `wait_for` and `flush` do, from the event loop of a cell."""
    import asyncio  # only where somebody awaits

    here = asyncio.get_running_loop()
    for entry in wanted:
        while not entry.settled.is_set():
            loop.check()
            future: Future[None] = here.create_future()

            def wake(future: Future[None] = future) -> None:
                with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
                    here.call_soon_threadsafe(_resolve, future)

            entry.when_settled(wake)
            # In slices: an interrupt gets through only when the event loop turns.
            while not future.done():
                await asyncio.wait([future], timeout=TICK_S)
                loop.check()
    loop.check()
    if not callbacks.current().flush(0.0) and not callbacks.current().in_thread():
        called: Future[None] = here.create_future()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):
                here.call_soon_threadsafe(_resolve, called)

        callbacks.current().put(tell)
        await asyncio.wait([called], timeout=CALLBACKS_S)
    seen: Future[None] = here.create_future()
    loop.post(Wake(_Reached(lambda: here.call_soon_threadsafe(_resolve, seen))))
    await asyncio.wait([seen], timeout=VIEWS_S)


class _Reached(threading.Event):
    """An event that tells when it is set, to an event loop for one."""

    def __init__(self, tell: Callable[[], object]) -> None:
        super().__init__()
        self._tell = tell

    def set(self) -> None:
        super().set()
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            self._tell()


def _resolve(future: Future[None]) -> None:
    if not future.done():  # it was cancelled
        future.set_result(None)
