"""Start jobs as processes of this machine, in sessions of their own: they outlive the kernel.

Rule 1: no code of ours runs between fork and exec (``preexec_fn`` would copy the kernel's memory).
Rule 2: a process that we started is waited for, once; of others we only hear that they are gone.
"""

from __future__ import annotations

import math
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from xpm_nb.errors import ConfigError, LaunchError
from xpm_nb.launchers.base import Handle, LaunchRequest, Status
from xpm_nb.store import fs, locks
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import ProcessRecord

# What only a kernel needs: the pid that ipykernel watches, and matplotlib's inline backend.
_KERNEL_ONLY = ("JPY_PARENT_PID", locks.FD_VARIABLE, locks.ATTEMPT_VARIABLE)
_VMSTAT = Path("/proc/vmstat")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_INLINE = ("module://matplotlib_inline", "module://ipykernel")


class LocalHandle:
    """One process of this machine, recognised by number, start time and boot.

    It keeps no ``Popen``: where both are found in a cycle, that one may be taken apart first, and
    would warn of a job that goes on.
    """

    __slots__ = ("_child", "_exit_code", "_ooms", "_peak_bytes", "_pidfd", "_waited", "process")

    def __init__(self, process: ProcessRecord, *, child: bool = False) -> None:
        self.process = process
        self._child = child
        self._waited = False  # for our child, by us or by somebody else
        self._exit_code: int | None = None
        self._peak_bytes = 0
        self._ooms = memory_kills() if child else None
        self._pidfd = locks.open_pidfd(process)

    def __repr__(self) -> str:
        return f"LocalHandle(pid={self.process.pid})"

    def _identity(self) -> tuple[int, int, str, str]:
        return (self.process.pid, self.process.start, self.process.boot_id, self.process.host)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalHandle) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def as_dict(self) -> dict[str, Any]:
        """Give a JSON-able description, from which `LocalLauncher.attach` finds the job again."""
        return self.process.as_dict()

    def fileno(self) -> int | None:
        """Give a descriptor that becomes readable when the job ends, None if there is none."""
        return self._pidfd

    def exit_code(self) -> int | None:
        """Give how a process that this kernel started has ended, minus the signal if one did."""
        self._reap()
        return self._exit_code

    def hint(self) -> str:
        """Guess that memory ran out: the job was killed, and the system has killed for that."""
        now = memory_kills()
        if self._exit_code != -signal.SIGKILL or now is None or self._ooms is None:
            return ""
        if now <= self._ooms:
            return ""
        used = f"; it had used up to {self._peak_bytes / 1e6:.0f} MB" if self._peak_bytes else ""
        return f"probably for want of memory, for which this machine killed just then{used}"

    def close(self) -> None:
        """Give back the descriptor; called once the job has ended."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def gone(self) -> bool:
        """Tell whether the process has ended."""
        if self._reap():
            return True
        if self._child:
            return False
        if self._pidfd is not None:
            poll = select.poll()  # unlike select.select, for descriptors of any number
            poll.register(self._pidfd, select.POLLIN)
            return bool(poll.poll(0))
        return not locks.alive(self.process)

    def _reap(self) -> bool:
        """Wait for a child of ours that has ended; tell whether it has."""
        if self._waited or not self._child:
            return self._waited
        try:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        except ChildProcessError:  # os.wait() in a cell: nothing left to wait for
            self._waited = True
            return True
        if pid == 0:
            return False
        self._waited = True
        self._exit_code = os.waitstatus_to_exitcode(status)
        self._peak_bytes = usage.ru_maxrss * _RSS_UNIT
        return True

    def __del__(self) -> None:
        self.close()
        if self._child and not self._waited:
            _children.append(self.process.pid)


# Children whose handle was dropped while they ran: waited for at the next launch, when they ended.
_children: list[int] = []


def _reap_dropped() -> None:
    for pid in _children.copy():
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            ended = True
        if ended:
            _children.remove(pid)


@dataclass(frozen=True)
class LocalLauncher:
    """Starts each job in a fresh interpreter on this machine.

    Parameters
    ----------
    python : str, optional
        The interpreter, by default the one that submits.
    environ : Mapping[str, str], optional
        Variables set for each job, on top of the inherited ones and of the experiment's.
    time_min : float, optional
        How many minutes an attempt of a job may take: then it is asked to end, and killed if it
        does not. A `ResumableTask` is run again.

    Raises
    ------
    ConfigError
        The time limit is no number above 0.
    """

    python: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    time_min: float | None = None
    timed_by_engine: ClassVar[bool] = True  # nobody else ends an attempt at its time limit

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", dict(self.environ))
        limit = self.time_min
        if limit is not None:
            number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
            if not number or not 0 < limit < math.inf:
                raise ConfigError(f"time_min is a number of minutes above 0, not {limit!r}")
            object.__setattr__(self, "time_min", float(limit))

    def __hash__(self) -> int:
        return hash((self.python, tuple(sorted(self.environ.items())), self.time_min))

    def config(self, **changes: Any) -> LocalLauncher:
        """Derive a launcher with other options."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Give a JSON-able description; `from_dict` is its inverse."""
        data = {"type": "local", "python": self.python, "environ": dict(self.environ)}
        return data if self.time_min is None else {**data, "time_min": self.time_min}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LocalLauncher:
        """Make a launcher from its description.

        Raises
        ------
        ConfigError
            It is the description of something else.
        """
        if data.get("type", "local") != "local":
            raise ConfigError(f"{data.get('type')!r} is not the type of a local launcher")
        return cls(
            python=data.get("python"),
            environ=data.get("environ") or {},
            time_min=data.get("time_min"),
        )

    def launch(self, request: LaunchRequest) -> LocalHandle:
        """Start a job, and hand it the lock; the caller then closes its copy (`hand_over`).

        Raises
        ------
        LaunchError
            The process could not be started; the caller still has the lock.
        """
        _reap_dropped()
        paths = JobPaths.of(request.path)
        python = self.python or sys.executable
        environ = child_environ() | dict(self.environ) | dict(request.environ)
        if "PYTHONPATH" in environ:  # '.' would mean the job's directory, with its random.py
            entries = environ["PYTHONPATH"].split(os.pathsep)
            environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
        environ[locks.ATTEMPT_VARIABLE] = str(request.attempt)
        pass_fds = []
        if request.lock_fd is not None:
            environ[locks.FD_VARIABLE] = str(request.lock_fd)
            pass_fds.append(request.lock_fd)
        logs: list[int] = []
        try:
            logs += (_open_log(paths.stdout), _open_log(paths.stderr))
            with locks.no_forks():
                popen = subprocess.Popen(
                    # -P: the job's directory is not on the import path (a task named Random).
                    [python, "-P", str(paths.script)],
                    stdin=subprocess.DEVNULL,
                    stdout=logs[0],
                    stderr=logs[1],
                    cwd=paths.path,
                    env=environ,
                    start_new_session=True,
                    pass_fds=pass_fds,
                )
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in a variable
            raise LaunchError(f"cannot start {python} for {paths.script}: {error}") from error
        finally:
            for fd in logs:
                os.close(fd)
        try:
            handle = LocalHandle(_identify(popen.pid, request.attempt), child=True)
        except BaseException:
            # The caller will give the lock back: nobody may be running by then.
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
            raise
        popen.returncode = 0  # it is the handle that waits for it, from now on: Popen must not warn
        return handle

    def attach(self, record: Mapping[str, Any]) -> LocalHandle | None:
        """Find a process again from ``handle.as_dict()`` or process.json; None if it is gone."""
        try:
            process = ProcessRecord(
                pid=int(record["pid"]),
                start=int(record["start"]),
                boot_id=str(record["boot_id"]),
                host=str(record["host"]),
                attempt=int(record.get("attempt", 1)),
                started=float(record.get("started", 0.0)),
            )
        except (KeyError, TypeError, ValueError):
            return None
        # First the descriptor, then the question: its answer then is about that very process.
        handle = LocalHandle(process)
        if locks.alive(process):
            return handle
        handle.close()
        return None

    def poll(self, handles: Iterable[Handle]) -> dict[Handle, Status]:
        """Ask how the jobs are."""
        return {
            handle: Status.GONE
            if isinstance(handle, LocalHandle) and handle.gone()
            else Status.RUNNING
            for handle in handles
        }

    def kill(self, handle: Handle, *, force: bool = False) -> None:
        """Ask the whole process group to end (SIGTERM), or end it (SIGKILL) with `force`.

        Workers that outlive a dead job are ended too (with `force`).
        """
        assert isinstance(handle, LocalHandle)
        if handle.gone():
            if force:
                locks.kill_survivors(handle.process)
            return
        # The job leads its session and group, whose number nobody else gets while it lives.
        try:
            os.killpg(handle.process.pid, signal.SIGKILL if force else signal.SIGTERM)
            if not force:
                os.killpg(handle.process.pid, signal.SIGCONT)  # a stopped process hears nothing
        except ProcessLookupError:
            return


def start_apart(
    command: Sequence[str], *, cwd: Path, log_fd: int, pass_fds: Sequence[int] = ()
) -> ProcessRecord:
    """Start a process that outlives this one, in a session of its own; nobody waits for it.

    Raises
    ------
    LaunchError
        It could not be started.
    """
    _reap_dropped()
    try:
        with locks.no_forks():
            popen = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                cwd=cwd,
                env=child_environ(),
                start_new_session=True,
                pass_fds=pass_fds,
            )
    except (OSError, ValueError) as error:
        raise LaunchError(f"cannot start {command[0]}: {error}") from error
    popen.returncode = 0  # it goes on, on purpose: Popen must not warn
    _children.append(popen.pid)
    return _identify(popen.pid, 1)


def _identify(pid: int, attempt: int) -> ProcessRecord:
    """Describe a child that nobody has waited for yet: the number is its own, dead or alive."""
    try:
        process = locks.identify(pid, attempt=attempt)
    except OSError as error:  # no descriptor left
        raise LaunchError(f"cannot look at process {pid}: {error}") from error
    host = os.uname().nodename
    return process or ProcessRecord(pid, 0, locks.boot_id(), host, attempt)


def memory_kills() -> int | None:
    """Tell how many processes this machine has killed because memory ran out; None if unknown."""
    try:
        found = re.search(r"^oom_kill (\d+)$", _VMSTAT.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1])


def child_environ() -> dict[str, str]:
    """Copy the environment, less what only a kernel needs."""
    while True:
        try:
            environ = dict(os.environ)
            break
        except RuntimeError:  # a cell is changing it just now, in another thread
            continue
    for name in _KERNEL_ONLY:
        environ.pop(name, None)
    if environ.get("MPLBACKEND", "").startswith(_INLINE):
        del environ["MPLBACKEND"]
    return environ


def _open_log(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
    return fs.open_fd(path, flags)
