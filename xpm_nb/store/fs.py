"""The one door to the file system for what is written in a workspace, and for its locks.

Rule 1: nothing else opens, makes, fills, renames, links, deletes or locks a file there
(`tests/test_floors.py` reads the code). So tests can have the n-th of these calls fail, for each n
(`tests/store/test_nth_call.py`), as the tests of SQLite do: https://www.sqlite.org/testing.html.
Rule 2: callers say ``fs.replace(…)``: who puts another function here puts it there for all of them.
Rule 3: a function is one act and decides nothing. What an error means is for the caller to say.
Rule 4: whatever the umask allows, nobody but its user can write what is made here: parts of it are
executed as that user (`store.owners`).
"""

# No `from __future__ import annotations`: every job imports this, and it would cost a moment each.
import fcntl
import os
from pathlib import Path

Name = Path | str  # with a `dir_fd`, relative to that directory


def open_fd(path: Name, flags: int, mode: int = 0o644, *, dir_fd: int | None = None) -> int:
    """Open a file or directory; no program that is started inherits the descriptor."""
    return os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)


def write(fd: int, data: bytes | memoryview) -> int:
    """Write bytes, perhaps not all of them; give how many."""
    return os.write(fd, data)


def fsync(fd: int) -> None:
    """Have what was written, or the names in a directory, on the disk."""
    os.fsync(fd)


def replace(source: Path, target: Path) -> None:
    """Give a file another name, which may be taken."""
    os.replace(source, target)


def rename(
    source: Name, target: Name, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Give a file or directory another name, which is not taken."""
    os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def link(source: Path, target: Path) -> None:
    """Give a file (or a link, as it is) one name more."""
    os.link(source, target, follow_symlinks=False)


def unlink(path: Name, *, dir_fd: int | None = None) -> None:
    """Take away a name of a file."""
    os.unlink(path, dir_fd=dir_fd)


def mkdir(path: Name, mode: int = 0o755, *, dir_fd: int | None = None) -> None:
    """Make a directory that is not there."""
    os.mkdir(path, mode, dir_fd=dir_fd)


def make_directories(path: Path) -> None:
    """Make a directory, and those above it, as far as they are not there."""
    missing = []  # (`Path.mkdir` makes those above with all rights that the umask leaves)
    while not path.is_dir() and path != path.parent:
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:
            if not folder.is_dir():
                raise


def chmod(fd: int, mode: int) -> None:
    """Change the rights of a file or directory that is open."""
    os.fchmod(fd, mode)


def rmdir(path: Name, *, dir_fd: int | None = None) -> None:
    """Delete a directory that is empty."""
    os.rmdir(path, dir_fd=dir_fd)


def remove_tree(path: Name, *, dir_fd: int | None = None) -> None:
    """Delete a directory and all that is in it, following no link."""
    import shutil  # slow to import, and seldom needed

    shutil.rmtree(path, dir_fd=dir_fd)


def deletes_safely() -> bool:
    """Tell whether `remove_tree` cannot be led elsewhere by a link that is put there meanwhile."""
    import shutil

    return shutil.rmtree.avoids_symlink_attacks


def copy_file(source: Path, target: Path) -> None:
    """Copy a file with its times and rights."""
    import shutil

    shutil.copy2(source, target)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory and all that is in it."""
    import shutil

    shutil.copytree(source, target)


def control(fd: int, command: int, argument: bytes) -> bytes:
    """Take, probe or give back a lock of an open file: ``fcntl``."""
    return fcntl.fcntl(fd, command, argument)


def flock(fd: int, operation: int) -> None:
    """Take or give back a lock of the other kind: ``flock``."""
    fcntl.flock(fd, operation)
