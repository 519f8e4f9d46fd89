"""What a job wrote, on the disk itself, where the next power cut finds it: for ``durable=True``.

Rule 1: files before the names that lead to them, and all of that before the marker.
Rule 2: a system that does not sync a kind of file says so, and that is no failure; a disk that
cannot take what was written is one.
"""

# No `from __future__ import annotations`: a job imports this.
import errno
import os
import stat
from collections.abc import Container
from pathlib import Path

from xpm_nb.store import fs

_NOTHING_TO_SYNC = (errno.EINVAL, errno.EROFS, errno.ENOTSUP)  # by the manual of fsync
_NOT_THERE = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR)  # removed or changed just now


def sync(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk; raises OSError if that fails."""
    try:
        fd = fs.open_fd(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:  # the task wrote it so that nobody may read it
        return
    except OSError as error:
        if error.errno in _NOT_THERE:
            return
        raise
    try:
        fs.fsync(fd)
    except OSError as error:
        if error.errno not in _NOTHING_TO_SYNC:
            raise
    finally:
        os.close(fd)


def sync_tree(folder: Path, besides: Container[str] = ()) -> None:
    """Have all files below a directory on the disk, following no link.

    Parameters
    ----------
    folder : Path
        The directory.
    besides : container of str
        Names in it that are left out.
    """
    for place, folders, files in os.walk(folder):
        if place == str(folder):
            folders[:] = [name for name in folders if name not in besides]
            files = [name for name in files if name not in besides]
        for name in files:
            path = Path(place, name)
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    sync(path)
            except FileNotFoundError:  # a process that the task left behind goes on
                continue
        sync(Path(place))
