"""The thread ``xpm-callbacks``: what users asked to be called when a job changes, one at a time.

Rule 1: an exception of a callback is logged and kept for its job's row; nothing else stops.
Rule 2: re-running a cell replaces what the same function of the same cell registered before, and
does not call it again.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from xpm_nb.core.views import Said

log = logging.getLogger("xpm_nb")
# Without a handler of its own, logging prints warnings from this thread into whatever cell runs.
log.addHandler(logging.NullHandler())

CellOf = Callable[[str], tuple[str, int]]
Sink = Callable[[Said], None]
Capture = Callable[[Sink], AbstractContextManager[Any]]


def _plain_cell(filename: str) -> tuple[str, int]:
    return filename, 0


def _no_capture(sink: Sink) -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


cell_of: CellOf = _plain_cell
"""The notebook side's hook: for the file name of a function's code, something that stays the same
when its cell is edited or run again, and the number of the execution under way."""

capture: Capture = _no_capture
"""The notebook side's hook: while a callback runs, gives what it prints and displays to a sink."""


def fill(cell_hook: CellOf | None, capture_hook: Capture | None = None) -> None:
    """Set the hooks that know cells and their output, or take them away with None."""
    global cell_of, capture
    cell_of, capture = cell_hook or _plain_cell, capture_hook or _no_capture


def captured() -> bool:
    """Tell whether what callbacks print is shown at their job."""
    return capture is not _no_capture


class Callbacks:
    """Runs acts in the order in which they come, in one thread that starts with the first.

    Chores (of provenance) run when no act waits: a user's function never stands behind them.
    """

    def __init__(self) -> None:
        self._acts: deque[Callable[[], object]] = deque()
        self._chores: deque[Callable[[], object]] = deque()
        self._put = {True: 0, False: 0}  # how many acts (True) and chores there were
        self._over = {True: 0, False: 0}  # and how many of them are over
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def put(self, act: Callable[[], object]) -> None:
        """Have a user's function called soon; never blocks."""
        self._add(self._acts, act, kind=True)

    def put_chore(self, act: Callable[[], object]) -> None:
        """Have something of ours called when no user's function waits; never blocks."""
        self._add(self._chores, act, kind=False)

    def flush(self, timeout_s: float, *, chores: bool = False) -> bool:
        """Wait until every act put so far was called, and every chore; False if that is too long.

        False also in the thread itself, which must not wait for itself.
        """
        if self.in_thread():
            return False
        with self._changed:
            if self._thread is not None:
                self._revive()
            wanted = {kind: n for kind, n in self._put.items() if kind or chores}
            return self._changed.wait_for(
                lambda: all(self._over[kind] >= n for kind, n in wanted.items()), timeout_s
            )

    def in_thread(self) -> bool:
        """Tell whether the caller is the thread that calls the callbacks."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        """End the thread after the act that runs, as the end of the process would: none follows."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None and not self.in_thread():
            self._thread.join()

    def _add(
        self, queue: deque[Callable[[], object]], act: Callable[[], object], *, kind: bool
    ) -> None:
        with self._changed:
            queue.append(act)
            self._put[kind] += 1
            self._changed.notify_all()
            self._revive()

    def _revive(self) -> None:
        """Start the thread, also where one was that something unheard of has ended."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="xpm-callbacks", daemon=True)
            # From Python 3.12 on there are no new threads while the interpreter ends.
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._acts or self._chores or self._stopping)
                if self._stopping:
                    return
                kind = bool(self._acts)
                act = (self._acts or self._chores).popleft()
            try:
                act()
            except BaseException:  # a border: the user's code, which may also call sys.exit()
                log.exception("a callback raised")
            del act  # and what it holds: this thread may wait for long
            with self._changed:
                self._over[kind] += 1
                self._changed.notify_all()


_current = Callbacks()


def current() -> Callbacks:
    """Give the one of this process."""
    return _current


def use(callbacks: Callbacks) -> Callbacks:
    """Put another in the place of the one of this process (tests do), and give the former."""
    global _current
    former, _current = _current, callbacks
    return former


def _after_fork() -> None:
    # The thread is not in the child, what waits for it is the parent's, and so may the lock be.
    global _current
    _current = Callbacks()


os.register_at_fork(after_in_child=_after_fork)


@dataclass(slots=True)
class Listener:
    """A function to be called, and for whom (the experiment through which it was registered)."""

    function: Callable[..., object]
    owner: object
    called: bool = False  # for the present end of the job
    task: Any = None  # whose methods give outputs


@dataclass(slots=True)
class Watch(Listener):
    """A function to be called with outputs, and how far it has come (known to its thread only).

    Attributes
    ----------
    method : str
        Which outputs.
    file, offset : int
        Up to where they were read.
    seen : set
        The keys of those that it was called with.
    """

    method: str = ""
    file: int = 0
    offset: int = 0
    seen: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Register:
    """What was registered for one job.

    Completions are called once for each time that the job ends well, states at each change. To
    miss nothing and call nothing twice, register first and then, if the job is done, call `due`:
    the scheduler does it the other way round.
    """

    _completed: dict[object, Listener] = field(default_factory=dict)
    _state: dict[object, Listener] = field(default_factory=dict)
    _outputs: dict[str, dict[object, Listener]] = field(default_factory=dict)
    _seen: dict[object, tuple[int, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_completed(self, function: Callable[[], object], owner: object = None) -> None:
        """Register a function for the job's good end."""
        with self._lock:
            self._put(self._completed, "completed", Listener(function, owner))

    def on_state(self, function: Callable[..., object], owner: object = None) -> None:
        """Register a function for each change."""
        with self._lock:
            self._put(self._state, "state", Listener(function, owner))

    def on_output(
        self, method: str, function: Callable[[Any], object], task: Any, owner: object = None
    ) -> None:
        """Register a function for what the job of a task reports by a method."""
        with self._lock:
            where = self._outputs.setdefault(method, {})
            new = Watch(function, owner, task=task, method=method)
            self._put(where, f"output {method}", new)

    def watches(self) -> list[Watch]:
        """Give what wants outputs."""
        with self._lock:
            found = [item for where in self._outputs.values() for item in where.values()]
            return [item for item in found if isinstance(item, Watch)]

    def due(self) -> list[Listener]:
        """Say, when the job is done, what is to be called, and take note that it is."""
        with self._lock:
            waiting = [item for item in self._completed.values() if not item.called]
            for item in waiting:
                item.called = True
            return waiting

    def reopen(self) -> None:
        """Take note that the job is run again: its next end is a new one."""
        with self._lock:
            for item in self._completed.values():
                item.called = False

    def names(self) -> list[str]:
        """Name what is still to be called: ``on_completed(note)``."""
        with self._lock:
            found = [
                *(("on_completed", one) for one in self._completed.values() if not one.called),
                *(("on_state", one) for one in self._state.values()),
                *(
                    ("watch_output", one)
                    for where in self._outputs.values()
                    for one in where.values()
                ),
            ]
        return [f"{kind}({identity(one.function)[1]})" for kind, one in found]

    def listeners(self) -> list[Listener]:
        """Give what wants each change."""
        with self._lock:
            return list(self._state.values())

    def _put(self, where: dict[object, Listener], kind: str, new: Listener) -> None:
        for item in where.values():
            if item.function == new.function:  # the same job met twice in a loop, say
                item.task = new.task
                return
        cell, name, execution = identity(new.function)
        place = (kind, cell, name)
        before, ordinal = self._seen.get(place, (execution, -1))
        ordinal = ordinal + 1 if before == execution else 0
        self._seen[place] = (execution, ordinal)
        item = where.setdefault((cell, name, ordinal), new)
        item.function, item.owner, item.task = new.function, new.owner, new.task


def identity(function: Callable[..., Any]) -> tuple[str, str, int]:
    """Say which function of which cell this is, and in which execution.

    Returns
    -------
    tuple[str, str, int]
        The cell (or file), the qualified name, the number of the execution under way.
    """
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)  # of a bound method
    name = getattr(function, "__qualname__", "")
    code = getattr(function, "__code__", None)
    if code is None:  # an object that can be called, or a function written in C
        kind = type(function)
        name = f"{kind.__module__}.{kind.__qualname__}.{name}"
        code = getattr(kind.__dict__.get("__call__"), "__code__", None)
    cell, execution = cell_of(code.co_filename if isinstance(code, CodeType) else "")
    return cell, name, execution
