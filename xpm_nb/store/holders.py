"""Which processes hold a lock, by what they have open: for people, where the job itself is gone.

Nothing is decided by this: the lock says that somebody holds it, and this tells a user whom to end.
Linux only; elsewhere nobody is found.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
