"""The thread ``xpm-callbacks``: what users asked to be called when a job changes, one at a time.

Rule 1: an exception of a callback is logged and kept for its job's row; nothing else stops.
Rule 2: re-running a cell replaces what the same function of the same cell registered before, and
does not call it again.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import CodeType
from typing import Any

log = logging.getLogger("xpm_nb")
# Without a handler of its own, logging prints warnings from this thread into whatever cell runs.
log.addHandler(logging.NullHandler())

CellOf = Callable[[str], tuple[str, int]]


def _plain_cell(filename: str) -> tuple[str, int]:
    return filename, 0


cell_of: CellOf = _plain_cell
"""The notebook side's hook: for the file name of a function's code, something that stays the same
when its cell is edited or run again, and the number of the execution under way."""


def fill(hook: CellOf | None) -> None:
    """Set the hook that knows cells, or take it away with None."""
    global cell_of
    cell_of = hook or _plain_cell


class Callbacks:
    """Runs acts in the order in which they come, in one thread that starts with the first."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, act: Callable[[], object]) -> None:
        """Have something called soon; never blocks."""
        self._inbox.put(act)
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # not alive after a fork
                self._thread = threading.Thread(target=self._run, name="xpm-callbacks", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything put so far was called; False if that took too long."""
        if threading.current_thread() is self._thread:
            return False
        reached = threading.Event()
        self.put(reached.set)
        return reached.wait(timeout_s)

    def _run(self) -> None:
        while True:
            act = self._inbox.get()
            try:
                act()
            except Exception:  # a border: the user's code runs here
                log.exception("a callback raised")


_current = Callbacks()


def current() -> Callbacks:
    """Give the one of this process."""
    return _current


@dataclass(slots=True)
class _Listener:
    function: Callable[..., object]
    called: bool = False  # for the present end of the job


@dataclass(slots=True)
class Register:
    """What was registered for one job.

    `completed` are called once for each time that the job ends well, `state` at each change.
    """

    completed: dict[object, _Listener] = field(default_factory=dict)
    state: dict[object, _Listener] = field(default_factory=dict)
    _seen: dict[object, tuple[int, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_completed(self, function: Callable[[], object], *, done: bool) -> bool:
        """Register a function; True if it is to be called now, because the job is done already."""
        with self._lock:
            listener = self._put(self.completed, "completed", function)
            now = done and not listener.called
            listener.called = listener.called or now
            return now

    def on_state(self, function: Callable[..., object]) -> None:
        """Register a function for each change."""
        with self._lock:
            self._put(self.state, "state", function)

    def due(self) -> list[Callable[[], object]]:
        """Say, when the job is done, what is to be called, and take note that it is."""
        with self._lock:
            waiting = [item for item in self.completed.values() if not item.called]
            for item in waiting:
                item.called = True
            return [item.function for item in waiting]

    def reopen(self) -> None:
        """The job is run again: its next end is a new one."""
        with self._lock:
            for item in self.completed.values():
                item.called = False

    def listeners(self) -> list[Callable[..., object]]:
        """Give what wants each change."""
        with self._lock:
            return [item.function for item in self.state.values()]

    def _put(
        self, where: dict[object, _Listener], kind: str, function: Callable[..., object]
    ) -> _Listener:
        same = next((item for item in where.values() if item.function == function), None)
        if same is not None:  # jobs met twice in a loop, say
            return same
        cell, name, execution = identity(function)
        place = (kind, cell, name)
        before, ordinal = self._seen.get(place, (execution, -1))
        ordinal = ordinal + 1 if before == execution else 0
        self._seen[place] = (execution, ordinal)
        listener = where.setdefault((cell, name, ordinal), _Listener(function))
        listener.function = function
        return listener


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
