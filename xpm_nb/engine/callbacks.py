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
class Listener:
    """A function to be called, and for whom (the experiment through which it was registered)."""

    function: Callable[..., object]
    owner: object
    called: bool = False  # for the present end of the job


@dataclass(slots=True)
class Register:
    """What was registered for one job.

    Completions are called once for each time that the job ends well, states at each change. To
    miss nothing and call nothing twice, register first and then, if the job is done, call `due`:
    the scheduler does it the other way round.
    """

    _completed: dict[object, Listener] = field(default_factory=dict)
    _state: dict[object, Listener] = field(default_factory=dict)
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

    def listeners(self) -> list[Listener]:
        """Give what wants each change."""
        with self._lock:
            return list(self._state.values())

    def _put(self, where: dict[object, Listener], kind: str, new: Listener) -> None:
        if any(item.function == new.function for item in where.values()):
            return  # the same job met twice in a loop, say
        cell, name, execution = identity(new.function)
        place = (kind, cell, name)
        before, ordinal = self._seen.get(place, (execution, -1))
        ordinal = ordinal + 1 if before == execution else 0
        self._seen[place] = (execution, ordinal)
        item = where.setdefault((cell, name, ordinal), new)
        item.function, item.owner = new.function, new.owner


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
