"""Deleting in a workspace: never through a link, never what somebody holds.

Rule 1: what is deleted is named by descriptors of directories, each opened below the one before it
and none of them a link. A path that is checked first and used later could be another one by then.
Rule 2: a job goes under its own lock. It is renamed away first, so that there is no half of it at
any time, and whoever comes then begins in a new directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from xpm_nb.errors import WorkspaceError
from xpm_nb.store import fs, leaving, locks
from xpm_nb.store.layout import DELETING, PRIVATE, CachePaths, JobPaths, check_place

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def directory(root: Path, *parts: str) -> Iterator[int]:
    """Open a directory below a workspace.

    Raises
    ------
    WorkspaceError
        One of the parts is a link, or no directory, or the workspace is another user's.
    FileNotFoundError
        It is not there.
    """
    check_place(root)
    fd = fs.open_fd(os.path.realpath(root), _DIRECTORY)
    try:
        for number, part in enumerate(parts):
            inner = _open(part, fd, root.joinpath(*parts[: number + 1]))
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _open(name: str, parent: int, path: Path) -> int:
    try:
        return fs.open_fd(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise WorkspaceError(f"{path} is a link or no directory: it is left alone") from error
        raise


def remove_job(paths: JobPaths, obstacle: Callable[[], str]) -> None:
    """Delete the directory of a job, under its lock.

    Parameters
    ----------
    paths : JobPaths
        The job.
    obstacle : callable
        Asked under the lock: says why it must not go, "" if it may.

    Raises
    ------
    WorkspaceError
        Somebody holds it, there is an obstacle, or a link in the way.
    OSError
        It cannot be deleted.
    """
    with (
        directory(paths.workspace, paths.path.parent.parent.name, paths.type_name) as parent,
        _opened(paths.identifier, parent, paths.path) as job,
        _locked(paths, job),
        leaving.announced(paths),
    ):
        if text := obstacle():
            raise WorkspaceError(text)
        _away(paths.workspace, parent, paths.identifier, job)


@contextlib.contextmanager
def _opened(name: str, parent: int, path: Path) -> Iterator[int]:
    fd = _open(name, parent, path)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(paths: JobPaths, job: int) -> Iterator[None]:
    with contextlib.suppress(FileExistsError):  # whoever starts it would make it too
        fs.mkdir(PRIVATE, dir_fd=job)
    with _opened(PRIVATE, job, paths.private) as private:
        lock = locks.try_lock_in(private, paths.lock.name)
        if lock is None:
            raise WorkspaceError(f"{paths.key} is being run, or about to be")
        try:
            yield
        finally:
            lock.release()


def remove_inside(paths: JobPaths, name: str, obstacle: Callable[[], str]) -> None:
    """Delete a file or directory below a job's private one, under the job's lock.

    `name` is relative to the private directory; raises what `remove_job` raises.
    """
    *folders, last = name.split("/")
    with (
        directory(
            paths.workspace, paths.path.parent.parent.name, paths.type_name, paths.identifier
        ) as job,
        _locked(paths, job),
    ):
        if text := obstacle():
            raise WorkspaceError(text)
        parts = paths.private.joinpath(*folders).relative_to(paths.workspace).parts
        _remove(paths.workspace, parts, last)


def remove_files(paths: JobPaths) -> None:
    """Delete what a job left, all attempts included; the caller holds the job lock.

    Script, parameters, record and lock stay: it can be run again. The marker goes first.

    Raises
    ------
    WorkspaceError
        A link is in the way.
    OSError
        It cannot be deleted.
    """
    seen = {paths.script, paths.params, paths.legacy_lock, paths.private}
    ours = {paths.record, paths.code, paths.lock, paths.leaving, paths.removals}
    with (
        directory(
            paths.workspace, paths.path.parent.parent.name, paths.type_name, paths.identifier
        ) as job,
        _opened(PRIVATE, job, paths.private) as private,
    ):
        with contextlib.suppress(FileNotFoundError):
            fs.unlink(paths.done.name, dir_fd=job)
        for fd, stays in ((job, seen), (private, ours)):
            for name in sorted(set(os.listdir(fd)) - {path.name for path in stays}):
                if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                    fs.remove_tree(name, dir_fd=fd)
                else:
                    fs.unlink(name, dir_fd=fd)


def remove_cache(paths: CachePaths) -> None:
    """Delete what a configuration keeps, unless somebody is at it; raises as `remove_job`."""
    root = paths.workspace
    parts = paths.path.relative_to(root).parts
    with contextlib.ExitStack() as stack, directory(root, *parts) as fd:
        if PRIVATE in os.listdir(fd):
            private = stack.enter_context(_opened(PRIVATE, fd, paths.private))
            for name in os.listdir(private):
                if name.endswith(".lock"):
                    lock = locks.try_lock_in(private, name)
                    if lock is None:
                        raise WorkspaceError(f"{paths.path} is being computed")
                    stack.callback(lock.release)
        parent = stack.enter_context(directory(root, *parts[:-1]))
        _away(root, parent, parts[-1], fd)


def remove(root: Path, path: Path) -> None:
    """Delete a file or directory that is nobody's; a link goes, what it points to stays."""
    *folders, last = path.relative_to(root).parts
    _remove(root, tuple(folders), last)


def _remove(root: Path, folders: tuple[str, ...], name: str) -> None:
    with directory(root, *folders) as parent:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            fs.unlink(name, dir_fd=parent)
            return
        with _opened(name, parent, root.joinpath(*folders, name)) as fd:
            _away(root, parent, name, fd)


def _away(root: Path, parent: int, name: str, fd: int) -> None:
    """Rename a directory to where things are deleted, see that it is the right one, delete it."""
    if not fs.deletes_safely():
        raise WorkspaceError("this system cannot delete a directory safely: do it by hand")
    with directory(root) as top:
        with contextlib.suppress(FileExistsError):
            fs.mkdir(DELETING, 0o700, dir_fd=top)
        with _opened(DELETING, top, root / DELETING) as trash:
            new = os.urandom(8).hex()
            fs.rename(name, new, src_dir_fd=parent, dst_dir_fd=trash)
            moved, meant = os.stat(new, dir_fd=trash, follow_symlinks=False), os.fstat(fd)
            if (moved.st_dev, moved.st_ino) != (meant.st_dev, meant.st_ino):
                with contextlib.suppress(OSError):  # something else has taken its place by now
                    fs.rename(new, name, src_dir_fd=trash, dst_dir_fd=parent)
                raise WorkspaceError(f"{name} was replaced meanwhile: it is left alone")
            fs.remove_tree(new, dir_fd=trash)
        with contextlib.suppress(OSError):  # somebody else deletes too
            fs.rmdir(DELETING, dir_fd=top)
