"""What is wrong with the place where a job's files are: a full disk, a directory that is gone.

Such troubles are of the machine, not of a job: what is said of them ends with what to do.
"""

from __future__ import annotations

import contextlib
import errno
import os

from xpm_nb.store import owners
from xpm_nb.store.layout import JobPaths, gone

# Troubles of this process or machine that pass: what could not be looked at is looked at again.
PASSING = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR, errno.EAGAIN)
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def passing(error: BaseException | None) -> bool:
    """Tell whether an error may be over soon, and says nothing of the file that was asked for."""
    return isinstance(error, OSError) and error.errno in PASSING


def explain(error: OSError, paths: JobPaths) -> str:
    """Say what an error of the system means for a job, and what to do about it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _FULL:
        return f"{where}{error.strerror}: make room on the disk of {paths.workspace}, then retry()"
    if error.errno in _REFUSED:
        return f"{where}{error.strerror}: make {_refusing(error, paths)} writable, then retry()"
    if error.errno == errno.EFBIG:
        return f"{where}{error.strerror}: {_largest_file()}, then retry()"
    if error.errno == errno.ENOMEM:
        return f"{where}{out_of_memory()}"
    if error.errno == errno.EMFILE:
        return (
            f"{where}this process has as many files open as it may ({_most_open()}): close some, or"
            " raise the limit (ulimit -n), then retry()"
        )
    if error.errno == errno.ENFILE:
        return f"{where}{error.strerror}: end what has many files open, then retry()"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        inside = str(error.filename or paths.path).startswith(str(paths.path))
        return (missing(paths) if inside else gone(paths.workspace)) or str(error)
    return str(error)


def missing(paths: JobPaths) -> str:
    """Say that a job's directory is not there any more, or its workspace; "" if it is."""
    if text := gone(paths.workspace):
        return text
    if paths.path.is_dir():
        return ""
    return f"its directory is not there any more ({paths.path}): submit the task again"


def replaced(paths: JobPaths) -> str:
    """Say that the directory in which a process ran is not there any more; "" if it is.

    A new one may be in its place, in which nothing tells of a process: no record, which a full disk
    has no room for, nor a log, which is opened before the process is started.
    """
    if text := missing(paths):
        return text
    if paths.process.exists() or os.path.lexists(paths.stdout):
        return ""
    return f"its directory was deleted or renamed ({paths.path}): submit the task again"


def of_place(paths: JobPaths) -> str:
    """Say what keeps a job's files from being written, "" if nothing does that can be seen."""
    if text := missing(paths):
        return text
    try:
        found = os.statvfs(paths.path)
    except OSError:
        return ""
    if found.f_flag & os.ST_RDONLY:
        return f"{paths.workspace} is on a disk that is mounted read-only: mend that, then retry()"
    if found.f_bavail == 0 or (found.f_files and found.f_favail == 0):
        return f"the disk of {paths.workspace} is full: make room, then retry()"
    if not os.access(paths.path, os.W_OK | os.X_OK):
        return f"{paths.path} cannot be written: make it writable, then retry()"
    return ""


def out_of_memory() -> str:
    """Say that this process gets no more memory, and what to do about it."""
    most = _limit("AS")
    if most is None:
        return "there is no memory left on this machine: free some, then retry()"
    return (
        f"this process has as much memory as it may ({most >> 20} MB): free some, or raise the"
        " limit (ulimit -v), then retry()"
    )


def _refusing(error: OSError, paths: JobPaths) -> str:
    """Name what refused something: the file, or the directory in which it would be; and whose."""
    path = paths.path
    if isinstance(error.filename, str | bytes):
        path /= os.fsdecode(error.filename)  # relative where a descriptor said of which directory
        if os.access(path, os.W_OK):  # then it cannot be replaced where it is
            path = path.parent
        while not path.exists() and path != path.parent:
            path = path.parent
    with contextlib.suppress(OSError):
        owner = os.stat(path).st_uid
        if owner != os.geteuid():
            return f"{path}, which belongs to the user {owners.user(owner)},"
    return str(path)


def _largest_file() -> str:
    most = _limit("FSIZE")
    if most is None:
        return "its file system holds no file that large: write less into one"
    return f"this process may write {most} bytes into a file: raise the limit (ulimit -f)"


def _most_open() -> int | None:
    return _limit("NOFILE")


def _limit(name: str) -> int | None:
    """Give a limit of this process, None if there is none."""
    import resource  # seldom needed, and not there on Windows

    found = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]
    return None if found == resource.RLIM_INFINITY else found
