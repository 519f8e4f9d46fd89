"""Whether the file system of a workspace locks files between processes, tried with two of them.

Some do not (NFS without its lock service, some shared or mounted folders): they say yes to
everybody, or forget a lock when a descriptor is closed. There no job could be sure to run once.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from xpm_nb.store import fs, locks
from xpm_nb.store.layout import PRIVATE, Workspace, aside

log = logging.getLogger("xpm_nb")

# The other process: it tries to take what we hold, says what it got, and keeps what it inherited
# until its input ends. It is to start fast, and imports nothing of ours.
_OTHER = """
import errno, fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CLOEXEC)
def take():
    if sys.argv[2] == "flock":
        return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock = struct.pack(sys.argv[3], fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
try:
    take()
    print("taken", flush=True)
except OSError as error:
    busy = error.errno in (errno.EAGAIN, errno.EACCES)
    print("busy" if busy else error.strerror, flush=True)
os.close(fd)
sys.stdin.readline()
"""

_tried: dict[int, str] = {}  # by device: a workspace is opened often, a file system tried once


def trouble(workspace: Workspace) -> str:
    """Say what is wrong with locks in a workspace that can be written; "" if they do as they must.

    Where it cannot be tried (no process can be started just now), nothing is said.
    """
    try:
        device = os.stat(workspace.root).st_dev
        if device not in _tried:
            _tried[device] = _try(workspace.root)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("locks could not be tried in %s: %s", workspace.root, error)
        return ""
    found = _tried[device]
    if not found:
        return ""
    return (
        f"the file system of {workspace.root} does not lock files as jobs need it ({found}): a job "
        "may be started twice. Use a workspace on a disk of this machine (workspace=… or the "
        "variable XPM_WORKSPACE), or only one kernel at a time"
    )


def _try(folder: Path) -> str:
    """Lock a new file, and see what another process makes of it; "" if all is well."""
    name = aside(folder / PRIVATE).name
    directory = fs.open_fd(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock = locks.try_lock_in(directory, name)
        if lock is None:
            return "a new file is locked already"
        return _hand_over(lock, folder / name)
    except OSError as error:
        return f"{error.strerror}"
    finally:
        with suppress(OSError):
            fs.unlink(name, dir_fd=directory)
        os.close(directory)


def _hand_over(lock: locks.JobLock, path: Path) -> str:
    """Give the lock to another process, which first tries to take it for itself."""
    words = [str(path), locks.kind_of_lock(), locks.FLOCK]
    try:
        with locks.no_forks():
            other = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _OTHER, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[lock.fileno()],
            )
    except OSError as error:  # not for the file system's sake
        lock.release()
        raise subprocess.SubprocessError(f"{sys.executable}: {error.strerror}") from error
    with other:
        assert other.stdout is not None
        answer = other.stdout.readline().decode("utf-8", "replace").strip()
        lock.hand_over()
        kept = locks.file_held(path)
        other.kill()
    if answer == "taken":
        return "it gives to another process a lock that is held"
    if answer != "busy":
        return f"another process asks for a lock: {answer or 'it ends'}"
    if not kept:
        return "it loses a lock that is handed to another process"
    if locks.file_held(path):
        return "it keeps the lock of a process that has ended"
    return ""
