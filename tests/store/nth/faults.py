"""The n-th call of `xpm_nb.store.fs` fails, or the process is gone in its middle.

``EIO`` and ``ENOSPC`` are raised instead of the call (of what is written, half is written first);
``exit`` ends the process there. Each process counts its own calls; what fired is noted in a file.
"""

from __future__ import annotations

import errno
import functools
import os
import threading
from pathlib import Path

KINDS = ("ENOSPC", "EIO", "exit")


def install(kind: str, n: int, note: str) -> None:
    from xpm_nb.store import fs

    count, guard = 0, threading.Lock()

    def counted(name, real):
        @functools.wraps(real)
        def call(*args, **options):
            nonlocal count
            with guard:
                count += 1
                mine = count == n
            if not mine:
                return real(*args, **options)
            half(name, real, args)
            fd = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(fd, f"{name}\n".encode())
            os.close(fd)
            if kind == "exit":
                os._exit(86)
            raise OSError(getattr(errno, kind), os.strerror(getattr(errno, kind)), str(args[0]))

        return call

    for name, real in list(vars(fs).items()):
        if name == "deletes_safely":
            continue  # it asks Python, not the disk
        if callable(real) and getattr(real, "__module__", "") == fs.__name__:
            setattr(fs, name, counted(name, real))


def half(name, real, args) -> None:
    """Do a part of what takes more than an instant."""
    if name == "write" and len(args[1]) > 1:
        real(args[0], args[1][: len(args[1]) // 2])
    elif name == "copy_file":
        Path(args[1]).write_bytes(Path(args[0]).read_bytes()[:1])


def from_environment() -> None:
    """In a job: as the one who started it said."""
    if said := os.environ.pop("XPM_TEST_FAULT", ""):
        kind, n, note = said.split(":", 2)
        install(kind, int(n), note)
