"""Fakes to test what is built on this package: no process, no waiting, no clock of the wall.

Example
-------
>>> clock, launcher = FakeClock(), FakeLauncher()
>>> launcher.started()            # the names of jobs that were launched, in order
[]
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import LaunchError
from xpm_nb.launchers.base import Handle, LaunchRequest, Status
from xpm_nb.store import files, records, results
from xpm_nb.store.layout import JobPaths, Workspace


class FakeClock:
    """A clock that moves when told."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self._moved: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return self._now

    def time(self) -> float:
        """Give seconds since the epoch."""
        return self._now

    def on_move(self, wake: Callable[[], object]) -> None:
        """Have something called after each move (a loop that waits for a deadline)."""
        self._moved.append(wake)

    def advance(self, seconds: float) -> None:
        """Move."""
        self._now += seconds
        for wake in self._moved:
            wake()


class FakeHandle:
    """A job that a `FakeLauncher` was asked to start."""

    def __init__(self, launcher: FakeLauncher, request: LaunchRequest, number: int) -> None:
        self.paths = JobPaths.of(request.path)
        self.environ = dict(request.environ)
        self.attempt = request.attempt
        self.number = number
        self.signals: list[str] = []
        self.code: int | None = None
        self.over = False
        # As the process would: our copy of the descriptor keeps the lock when the engine lets go.
        self._lock_fd = os.dup(request.lock_fd) if request.lock_fd is not None else -1
        self._end_read, self._end_write = os.pipe()
        self._launcher = launcher

    def as_dict(self) -> dict[str, Any]:
        """Give a description, from which the launcher's `attach` finds the job again."""
        return {"type": "fake", "number": self.number}

    def fileno(self) -> int | None:
        """Give a descriptor that becomes readable when the job ends."""
        return self._end_read if self._end_read >= 0 else None

    def hint(self) -> str:
        """Know nothing more."""
        return ""

    def exit_code(self) -> int | None:
        """Give what the job was told to return."""
        return self.code

    def close(self) -> None:
        """Give back the descriptor."""
        if self._end_read >= 0:
            os.close(self._end_read)
            self._end_read = -1

    def end(self, code: int | None) -> None:
        """Let the process end, whatever it has written."""
        if not self.over:
            self.over, self.code = True, code
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
            os.close(self._end_write)


class FakeLauncher:
    """Starts nothing: jobs end when the test says so.

    Parameters
    ----------
    refuse : bool
        Raise `LaunchError` at each launch.
    deaf : bool
        Jobs do not end when asked to, only when killed.
    time_min : float, optional
        How many minutes an attempt may take; the engine looks after it.
    """

    timed_by_engine = True

    def __init__(
        self, *, refuse: bool = False, deaf: bool = False, time_min: float | None = None
    ) -> None:
        self.environ: Mapping[str, str] = {}
        self.handles: list[FakeHandle] = []
        self.refuse = refuse
        self.deaf = deaf
        self.time_min = time_min
        self._changed = threading.Condition()

    # -- what an engine calls -------------------------------------------------------------

    def launch(self, request: LaunchRequest) -> FakeHandle:
        """Take note of a job."""
        if self.refuse:
            raise LaunchError(f"the fake launcher does not start {request.name}")
        with self._changed:
            handle = FakeHandle(self, request, len(self.handles))
            self.handles.append(handle)
            self._changed.notify_all()
        return handle

    def attach(self, record: Mapping[str, Any]) -> FakeHandle | None:
        """Find a job again."""
        handle = self.handles[record["number"]] if record.get("type") == "fake" else None
        return None if handle is None or handle.over else handle

    def poll(self, handles: Iterable[Handle]) -> dict[Handle, Status]:
        """Say which jobs were told to end."""
        return {
            h: Status.GONE if isinstance(h, FakeHandle) and h.over else Status.RUNNING
            for h in handles
        }

    def kill(self, handle: Handle, *, force: bool = False) -> None:
        """End a job (unless it is deaf, and not forced)."""
        assert isinstance(handle, FakeHandle)
        with self._changed:
            handle.signals.append("KILL" if force else "TERM")
            self._changed.notify_all()
        if force or not self.deaf:
            handle.end(-9 if force else -15)

    def as_dict(self) -> dict[str, Any]:
        """Give a description."""
        return {"type": "fake"} | ({} if self.time_min is None else {"time_min": self.time_min})

    # -- what a test calls ----------------------------------------------------------------

    def started(self) -> list[str]:
        """Name the jobs that were launched, in order: their task's name and parameters' hash."""
        return [handle.paths.key for handle in self.handles]

    def wait_for(self, count: int, timeout_s: float = 60.0) -> list[FakeHandle]:
        """Wait until so many jobs were launched, and give them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.handles) >= count, timeout_s):
                raise AssertionError(f"{len(self.handles)} jobs launched, not {count}")
            return list(self.handles)

    def running(self, key: str) -> FakeHandle:
        """Give the latest launch of a job, by the beginning of its key or identifier."""
        for handle in reversed(self.handles):
            names = (handle.paths.key, handle.paths.identifier, handle.paths.type_name)
            if any(name.startswith(key) for name in names):
                return handle
        raise AssertionError(f"{key} was not launched: {self.started()}")

    def finish(self, key: str | FakeHandle, result: object = None) -> None:
        """Let a job end well."""
        handle = key if isinstance(key, FakeHandle) else self.running(key)
        results.store_result(handle.paths, result)
        records.write_done(handle.paths)
        handle.end(0)

    def fail(
        self,
        key: str | FakeHandle,
        message: str = "ValueError: told to fail",
        reason: FailureReason = FailureReason.FAILED,
    ) -> None:
        """Let a job end badly."""
        handle = key if isinstance(key, FakeHandle) else self.running(key)
        files.write_text(handle.paths.error, f"Traceback (fake)\n{message}\n")
        records.write_failed(handle.paths, reason, 1, message)
        handle.end(1)

    def vanish(self, key: str | FakeHandle, code: int | None = -9) -> None:
        """Let a job's process end without a word."""
        handle = key if isinstance(key, FakeHandle) else self.running(key)
        handle.end(code)


@contextlib.contextmanager
def temporary_workspace() -> Iterator[Workspace]:
    """Give a workspace that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="xpm-", ignore_cleanup_errors=True) as directory:
        yield Workspace(Path(directory) / "workspace").create()
