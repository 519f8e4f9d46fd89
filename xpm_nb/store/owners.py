"""Whether others could have written what a workspace holds, or replace it: then it does not run.

Rule 1: what is executed because a file of a workspace says so (the pickle of a result, the script
of a job, the records that say how it is started) is asked about here just before.
Rule 2: where the file is open, it is asked about the open one: its name may mean another by then.

What is made here is for its user alone to write (`store.fs`), so that only what somebody put there,
or what an older version made, is refused. Root counts as everybody's user: it can do anything.
"""

# No `from __future__ import annotations`: every job imports this, and it would cost a moment each.
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from xpm_nb.store import fs
from xpm_nb.store.layout import JobPaths, Workspace, aside

TRUSTED = "XPM_TRUSTED_USERS"  # others whose files are executed as if they were ours
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Doubt(NamedTuple):
    """Why something is not executed.

    Attributes
    ----------
    text : str
        What is wrong with which file.
    remedy : str
        What somebody does who knows that nothing is wrong with it.
    """

    text: str
    remedy: str


def doubt(root: Path, paths: Iterable[Path], fd: int = -1) -> Doubt | None:
    """Say why others could have written one of some files or directories, or can replace it.

    Parameters
    ----------
    root : Path
        The workspace.
    paths : iterable of Path
        Those that are not there are left out; of a link, it and what it leads to count.
    fd : int, optional
        The last of them, which is open.

    Returns
    -------
    Doubt or None
        None if only this user, root and those of ``XPM_TRUSTED_USERS`` can.

    Raises
    ------
    OSError
        They cannot be looked at.
    """
    path = root
    for path in paths:
        try:
            found = os.lstat(path)
            wrong = _doubt(root, path, found)
            if wrong is None and stat.S_ISLNK(found.st_mode):
                wrong = _doubt(root, path, os.stat(path))
        except FileNotFoundError:
            continue
        if wrong is not None:
            return wrong
    return _doubt(root, path, os.fstat(fd)) if fd >= 0 else None


def doubt_of_job(paths: JobPaths, *, new: bool) -> Doubt | None:
    """Say why what a job's directory holds must not be started.

    Parameters
    ----------
    paths : JobPaths
        The job.
    new : bool
        Its script, its parameters and its record are about to be written by this process: then
        only the directories count.
    """
    files = () if new else (paths.script, paths.params, paths.record)
    return doubt(paths.workspace, (paths.path, paths.private, *files))


def take_back(paths: JobPaths) -> None:
    """Let nobody else write in the directories of a job, as far as they are ours.

    An older version made them so that the umask alone said who can.
    """
    for path in (paths.path.parent, paths.path, paths.private):
        found = os.lstat(path)
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or not _open(found):
            continue
        fd = fs.open_fd(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fs.chmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) & ~_OTHERS_WRITE)
        finally:
            os.close(fd)


def notes(workspace: Workspace) -> list[str]:
    """Say what to know of who can write in a workspace, for whoever opens it."""
    root, said = workspace.root, []
    places = [path for path in (root, workspace.jobs_dir) if path.is_dir()]
    if not places:
        return []
    found = os.stat(root)
    if os.geteuid() == 0 and not _ours(root, found):
        name = user(found.st_uid)
        said.append(
            f"the workspace {root} belongs to the user {name}, and this is root: pickled results "
            f"and waiting jobs that {name} left there are not executed, unless you set "
            f"{TRUSTED}={name.removeprefix('number ')}"
        )
    wide = [path for path in places if _open(os.stat(path))]
    if wide and _keeps_rights(root):
        said.append(
            f"other users can replace jobs in the workspace {root}, and have code executed as you: "
            f"chmod go-w {' '.join(map(str, wide))}"
        )
    elif wide:
        said.append(
            f"the file system of {root} keeps no rights: who can write there can have code executed"
            " as you"
        )
    if unknown := ", ".join(name for name in _trusted_names() if _number(name) is None):
        said.append(f"{TRUSTED} names nobody whom this machine knows: {unknown}")
    return said


def user(number: int) -> str:
    """Name a user."""
    import pwd  # seldom needed

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"number {number}"


def _doubt(root: Path, path: Path, found: os.stat_result) -> Doubt | None:
    if not _ours(root, found):
        name = user(found.st_uid)
        remedy = f"if you trust that user, set {TRUSTED}={name.removeprefix('number ')}"
        return Doubt(f"{path} belongs to the user {name}", remedy)
    if _open(found) and _keeps_rights(root, found.st_dev):
        mode = stat.S_IMODE(found.st_mode)
        remedy = f"if nobody did, chmod -R go-w {root}"
        return Doubt(f"other users could write {path} (its rights are {mode:04o})", remedy)
    return None


def _ours(root: Path, found: os.stat_result) -> bool:
    """Tell whether something belongs to us, or to somebody who may have code executed as us."""
    if found.st_uid in (os.geteuid(), 0):
        return True
    if found.st_uid in map(_number, _trusted_names()):
        return True
    new = _new_file(root)  # on some mounts, what we make belongs to somebody else
    return new is not None and (new.st_uid, new.st_dev) == (found.st_uid, found.st_dev)


def _open(found: os.stat_result) -> bool:
    """Tell whether others than its owner can change a file, or put one in the place of another."""
    mode = found.st_mode
    if stat.S_ISLNK(mode) or not mode & _OTHERS_WRITE:
        return False
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:  # as /tmp: what is there stays its owner's
        return False
    return bool(mode & stat.S_IWOTH) or not _alone(found)


def _alone(found: os.stat_result) -> bool:
    """Tell whether the group of a file has no member but its owner: many systems make such ones."""
    import grp  # seldom needed
    import pwd

    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    mine = group.gr_name == owner.pw_name and group.gr_gid == owner.pw_gid
    return mine and set(group.gr_mem) <= {owner.pw_name}


def _keeps_rights(root: Path, device: int | None = None) -> bool:
    """Tell whether the rights of a file are what they were made with; some mounts show others."""
    new = _new_file(root)
    if new is None or (device is not None and new.st_dev != device):
        return True
    return not new.st_mode & _OTHERS_WRITE


def _new_file(root: Path) -> os.stat_result | None:
    """Tell how a new file in a workspace looks that is for us alone; None if none can be made."""
    path = root / aside(root).name
    try:
        fd = fs.open_fd(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
        fs.unlink(path)


def _trusted_names() -> list[str]:
    return os.environ.get(TRUSTED, "").replace(",", " ").split()


def _number(name: str) -> int | None:
    """Give the number of a user, None if there is none of that name."""
    if name.isascii() and name.isdigit():
        return int(name)
    import pwd  # seldom needed

    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
