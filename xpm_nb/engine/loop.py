"""The thread ``xpm-scheduler``: waits for something to happen, and lets the scheduler deal with it.

Rule 1: one door, `Loop.post`; everything in `engine.scheduler` happens in this thread.
Rule 2: it waits (for a message, the end of a process, a deadline) and does not look around in
between. Files of running jobs, and what other processes say, are looked at a few times a second.
Rule 3: the loop lives on whatever a listener does.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import selectors
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from xpm_nb.core.plan import Plan
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import settings
from xpm_nb.engine.arrivals import LauncherOf
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.messages import Clock, Message, SetSlots, Wake, in_parts
from xpm_nb.engine.readers import Readers
from xpm_nb.engine.scheduler import Scheduler
from xpm_nb.errors import InternalError
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import JobRecord

log = logging.getLogger("xpm_nb")

EXIT_S = 10.0  # how long the scheduler may be at one thing, while the end of the process waits
TURN_S = 0.1  # how long messages are dealt with before we look at processes again

Listener = Callable[[frozenset[str]], object]

LAUNCHERS: dict[str, LauncherOf] = {"local": LocalLauncher.from_dict}


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class Loop:
    """The scheduler of a process, in a thread of its own that starts with the first message.

    Parameters
    ----------
    slots : int
        How many jobs run at once.
    grace_s : float
        How long a cancelled job has before it is killed.
    refresh_hz : float
        How often files of running jobs are read.
    clock : Clock, optional
        Where the time comes from.
    launchers : mapping, optional
        For each launcher type, what makes one from its stored form.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        grace_s: float = 10.0,
        refresh_hz: float = 4.0,
        clock: Clock | None = None,
        launchers: Mapping[str, LauncherOf] | None = None,
    ) -> None:
        self.clock: Clock = clock or _SystemClock()
        self.readers = Readers()
        self.slots = slots
        self._pid = os.getpid()
        self._inbox: deque[Message] = deque()
        self._handled = 0  # messages, so far
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._by_key: dict[str, Entry] = {}
        self._listeners: dict[object, Listener] = {}
        self._thread: threading.Thread | None = None
        self._crash: BaseException | None = None
        self._stopping = False
        self._woken = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        plan = Plan(slots=slots, grace_s=grace_s)
        plan.checked = plan.checked or os.environ.get("XPM_DEBUG") == "1"
        self._scheduler = Scheduler(
            plan,
            self.clock,
            self,
            self.entry,
            LAUNCHERS if launchers is None else launchers,
            refresh_hz,
            self.readers,
        )

    # -- for every thread -----------------------------------------------------------------

    def post(self, message: Message) -> None:
        """Have a message dealt with soon; never blocks.

        Raises
        ------
        InternalError
            The thread has died.
        """
        self.check()
        if isinstance(message, SetSlots):
            self.slots = message.slots
        self._inbox.extend(in_parts(message))
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="xpm-scheduler", daemon=True
                    )
                    self._thread.start()
        self.wake()

    def sync(self, timeout_s: float) -> bool:
        """Wait until everything posted so far is dealt with; False if that took too long."""
        reached = threading.Event()
        self.post(Wake(reached))
        return self.in_thread() or reached.wait(timeout_s)

    def catch_up(self, stalled_s: float) -> int:
        """Wait until everything posted so far is dealt with, for as long as that goes on.

        Parameters
        ----------
        stalled_s : float
            How long nothing may happen.

        Returns
        -------
        int
            How many messages are left: 0, or the thread is stuck.
        """
        reached = threading.Event()
        self.post(Wake(reached))
        handled = -1
        while not (self.in_thread() or reached.wait(stalled_s)):
            self.check()
            if handled == self._handled:
                return max(1, len(self._inbox))
            handled = self._handled
        return 0

    def in_thread(self) -> bool:
        """Tell whether the caller is the scheduler's own thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def check(self) -> None:
        """Raise `InternalError` if the thread is not there: nobody may wait for it then."""
        if os.getpid() != self._pid:
            raise InternalError(
                "this process was forked from the one that opened the experiment: jobs are "
                "submitted and waited for over there"
            )
        if self._crash is not None:
            raise InternalError(
                "the scheduler's thread has ended; restart the kernel (jobs that run go on), and "
                "please report the traceback"
            ) from self._crash

    def entry(self, paths: JobPaths, record: JobRecord | None = None) -> Entry:
        """Give the one entry of a job, making it if need be (from a record, if there is one)."""
        key = str(paths.path)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = Entry(paths)
                if record is not None:  # so that a display can name it before the thread met it
                    entry.note_record(record)
                    entry.freeze(entry.view.state, None, "")
                self._entries[key] = self._by_key[paths.key] = entry
            return entry

    def view(self, key: str) -> JobView | None:
        """Give the last view of a job (``type/hex``), None if it is not known."""
        entry = self._by_key.get(key)
        return None if entry is None else entry.view

    def under_way(self) -> list[Entry]:
        """Give the jobs that run, or are about to."""
        with self._lock:
            known = list(self._entries.values())
        return [e for e in known if e.view.state.under_way]

    def known(self) -> list[Entry]:
        """Give the jobs that are not over: they run, wait, or were asked for just now."""
        with self._lock:
            known = list(self._entries.values())
        return [e for e in known if e.waits() or e.view.state is JobState.RUNNING]

    def leaves(self, entry: Entry) -> bool:
        """Tell whether it is left to another process to start a job."""
        return self._scheduler.plan.is_left(entry.id)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a function called in the loop's thread with the keys of jobs that changed.

        It must be quick. Returns a function that ends this.
        """
        token = object()
        with self._lock:
            self._listeners = {**self._listeners, token: listener}

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = {k: v for k, v in self._listeners.items() if k is not token}

        return unsubscribe

    def finish(self, stalled_s: float) -> tuple[int, list[str], int]:
        """Get everything posted so far onto the disk, and started where it can be; then let go.

        Parameters
        ----------
        stalled_s : float
            How long nothing may happen, before we give up.

        Returns
        -------
        tuple[int, list[str], int]
            How many jobs are not started, their experiments, and how many things are left to do.
        """
        if self._thread is None or self._crash is not None or os.getpid() != self._pid:
            return 0, [], 0
        undone = self.catch_up(stalled_s)
        with self._lock:
            known = list(self._entries.values())
        left = [entry for entry in known if entry.waits() and not self.leaves(entry)]
        names = {entry.record.experiment for entry in left if entry.record is not None}
        return len(left), sorted(names - {""}), undone

    def stop(self) -> None:
        """End the thread, as the end of the process would: jobs that run go on."""
        self._stopping = True
        thread = self._thread
        if thread is not None:
            self.wake()
            thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # -- the watcher of the scheduler -----------------------------------------------------

    def watch(self, descriptor: int, entry: Entry) -> None:
        """Tell the scheduler when a descriptor becomes readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, entry)

    def notify(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call a function, in the thread, when a descriptor becomes readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def unwatch(self, descriptor: int) -> None:
        """Forget a descriptor."""
        self._selector.unregister(descriptor)

    # -- the thread -----------------------------------------------------------------------

    def wake(self) -> None:
        """Have the thread look at the clock."""
        if self._woken:  # and has not looked since: each write may cost the caller its turn
            return
        self._woken = True
        with contextlib.suppress(BlockingIOError):  # it has been woken more than enough
            os.write(self._wake_write, b"!")

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            self._crash = error
            raise

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._timeout()):
            if key.data is None:
                self._drain()
            elif isinstance(key.data, Entry):
                self._scheduler.ended(key.data)
            else:
                key.data()
        until = self.clock.monotonic() + TURN_S
        while self._inbox:
            self._scheduler.handle(self._inbox.popleft())
            self._handled += 1
            if self.clock.monotonic() >= until:
                break
        self._scheduler.tick()
        keys = self._scheduler.publish()
        if keys:
            self._tell(keys)

    def _timeout(self) -> float | None:
        if self._inbox:
            return 0.0
        deadline = self._scheduler.next_deadline()
        return None if deadline is None else max(0.0, deadline - self.clock.monotonic())

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass
        self._woken = False  # only now, and before we look: who comes from here on writes again

    def _tell(self, keys: frozenset[str]) -> None:
        for listener in self._listeners.values():
            try:
                listener(keys)
            except Exception:  # a border: not our code
                log.exception("a listener raised")


_current: Loop | None = None
_guard = threading.Lock()


def current() -> Loop:
    """Give the loop of this process, made at the first call with the `Settings` of that moment."""
    global _current
    with _guard:
        if _current is None:
            chosen = settings.Settings.instance()
            _current = Loop(
                slots=settings.default_slots(),
                grace_s=chosen.grace_s,
                refresh_hz=chosen.refresh_hz,
            )
        return _current


def _at_exit() -> None:
    """Before the process ends: have the thread deal with what was submitted, and say what is left.

    With `atexit`, because daemon threads still run then: they are stopped after these functions.
    (`threading._register_atexit` is private, is called a moment earlier, and has the same bounds:
    from Python 3.12 on neither may start a thread, so we only wait for the one that is there.)
    """
    loop = _current
    if loop is None:
        return
    count, names, undone = loop.finish(EXIT_S)
    texts = []
    if undone:
        texts.append(f"the scheduler is stuck: {undone} submissions and the like are lost")
    if count:
        jobs = "1 job was" if count == 1 else f"{count} jobs were"
        again = " or ".join(f'start("{name}")' for name in names) or "start()"
        texts.append(
            f"{jobs} not started yet: {again} goes on with them, and xp.wait() before the end "
            "waits for them"
        )
    # Not sys.stderr: in a kernel that is a cell that is no more.
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):  # closed: nobody reads it
            sys.__stderr__.writelines(f"xpm_nb: {text}\n" for text in texts)


atexit.register(_at_exit)


def use(loop: Loop | None) -> Loop | None:
    """Put another loop in the place of this process's (tests do), and give the former."""
    global _current
    with _guard:
        former, _current = _current, loop
        return former


def _after_fork() -> None:
    # The thread is not in the child, and the jobs are not its own.
    global _current, _guard
    _current, _guard = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
