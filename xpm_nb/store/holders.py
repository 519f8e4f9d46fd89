"""Which processes hold a lock, by what they have open, where the job's own process is gone.

Nothing is decided by this: the lock says that somebody holds it, and this tells a user whom to end,
or ends it for him when the job is cancelled. Linux only; elsewhere nobody is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from xpm_nb.store import locks
from xpm_nb.store.records import ProcessRecord

COMMAND_CHARS = 80  # of a command, that are shown
SHOWN = 3  # processes that are named


class Holder(NamedTuple):
    """A process that has a lock's file open."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"


def holders(lock: Path) -> list[Holder]:
    """List the processes, besides this one, that have the file of a lock open.

    Those of other users are seen by root only.
    """
    if sys.platform != "linux":
        return []
    try:
        found = os.stat(lock)
    except OSError:
        return []
    wanted = (found.st_dev, found.st_ino)
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    mine = os.getpid()
    return [Holder(pid, _command(pid)) for pid in pids if pid != mine and wanted in _open(pid)]


def tell(lock: Path) -> str:
    """Name who holds the lock of a job that is gone, and what to do; "" if nobody is seen."""
    found = holders(lock)
    if not found:
        return ""
    names = [str(holder) for holder in found[:SHOWN]]
    if len(found) > SHOWN:
        names.append(f"{len(found) - SHOWN} more")
    whom = "it" if len(found) == 1 else "them"
    return f"{', '.join(names)}, which the job left behind: wait for {whom} to end, or end {whom}"


def end(lock: Path, process: ProcessRecord, *, force: bool) -> list[int]:
    """End who holds the lock of an attempt whose own process is gone; say whom.

    A daemon has left the session of its job, by which `locks.survivors` are found. It is one if the
    system says that it holds that very lock, if it was started as a process of that attempt (which
    its first environment says; a program that it starts does not inherit the lock), and if it is
    ours. A kernel that looks at the lock, or is about to hand it over, is none.

    Parameters
    ----------
    lock : Path
        The lock's file.
    process : ProcessRecord
        The job's own process, which is gone.
    force : bool
        With SIGKILL, not SIGTERM.
    """
    if process.host != os.uname().nodename or process.boot_id != locks.boot_id():
        return []
    ended = []
    for pid in [holder.pid for holder in holders(lock)]:
        try:
            descriptor = os.pidfd_open(pid)  # from here on the number is nobody else's unnoticed
        except OSError:
            continue
        try:
            if _holds(pid, lock) and _is_of(pid, process):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL if force else signal.SIGTERM)
                ended.append(pid)
        except OSError:  # it is gone, or may not be looked at
            continue
        finally:
            os.close(descriptor)
    return ended


def _holds(pid: int, lock: Path) -> bool:
    """Tell whether one of the open files of a process has the lock of a file; raises OSError."""
    found = os.stat(lock)
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            opened = os.stat(f"/proc/{pid}/fd/{name}")
            if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
                continue
            if "\nlock:" in Path(f"/proc/{pid}/fdinfo/{name}").read_text("ascii", "replace"):
                return True
    return False


def _is_of(pid: int, process: ProcessRecord) -> bool:
    """Tell whether a process was started as one of an attempt, or forked by it; raises OSError."""
    if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
        return False
    started = locks.start_of(pid)
    if started is None or started < process.start:
        return False
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return f"{locks.ATTEMPT_VARIABLE}={process.attempt}".encode() in words


def _open(pid: int) -> Iterator[tuple[int, int]]:
    """Give device and number of each file that a process has open, as far as that can be seen."""
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):  # it is gone, or somebody else's
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                found = os.stat(f"{folder}/{name}")
                yield found.st_dev, found.st_ino


def _command(pid: int) -> str:
    """Give the command of a process, on one line, cut short; its name where it has none.

    Of absolute paths, the last part: how a program is called tells more than where it is.
    """
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        texts = [word.decode("utf-8", "replace") for word in words]
        text = " ".join(os.path.basename(t) if os.path.isabs(t) else t for t in texts)
        if not text:
            text = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= COMMAND_CHARS else f"{text[: COMMAND_CHARS - 1]}…"
    return ""
