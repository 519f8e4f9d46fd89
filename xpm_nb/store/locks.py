"""The job lock, and who a process is.

Rule 1: one lock is the truth about "running": an open-file-description lock on
``.experimaestro/lock``, taken by an engine, handed to the job as an inherited descriptor and held
by the job for its whole life. When the last descriptor of that description goes, so does the lock,
whatever killed its holder. Process numbers and start times are hints.
Rule 2: the file is never deleted, so that two holders cannot hold two files.
Rule 3: markers are written, and attempts moved away, by the holder only.

Why not ``fcntl.lockf``: such a lock is lost when the process closes *any* descriptor of the file.
Where there are no such locks (macOS, sandboxes whose kernel does not know them), `flock` behaves
the same but has no passive probe. All processes of a machine come to the same one of the two;
whether the file system of a workspace does what is expected of it, `store.trial` tries.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import sys
import time
from _thread import allocate_lock  # `threading` is 2 ms more, in each job
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from xpm_nb.errors import RecordError
from xpm_nb.store import fs
from xpm_nb.store.layout import DetachedPaths, JobPaths, check_place, inside
from xpm_nb.store.records import ProcessRecord, read_pid, read_process

# How a launcher tells a job's process about its attempt; the runner removes them at once.
FD_VARIABLE = "XPM_NB_LOCK_FD"
ATTEMPT_VARIABLE = "XPM_NB_ATTEMPT"

# struct flock { short l_type; short l_whence; off_t l_start; off_t l_len; pid_t l_pid; };
# l_pid must be 0 for these locks. https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html
FLOCK = "hhqqi0q"


def _call(fd: int, command: int, kind: int) -> int:
    """Run one lock command on the whole file; return the kind of lock that the system answers."""
    answer = fs.control(fd, command, struct.pack(FLOCK, kind, os.SEEK_SET, 0, 0, 0))
    return int(struct.unpack(FLOCK, answer)[0])


@cache
def kind_of_lock() -> str:
    """Name the kind of lock that this machine gives to open files: ``"ofd"``, or ``"flock"``."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return "flock"
    fd = fs.open_fd(os.devnull, os.O_RDONLY)
    try:
        _call(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK)
    except OSError as error:  # the headers know it, the kernel that runs does not
        return "flock" if error.errno in (errno.EINVAL, errno.ENOSYS) else "ofd"
    finally:
        os.close(fd)
    return "ofd"


def _take(fd: int, *, wait: bool = False) -> bool:
    try:
        if kind_of_lock() == "ofd":
            _call(fd, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, fcntl.F_WRLCK)
        else:
            fs.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _drop(fd: int) -> None:
    if kind_of_lock() == "ofd":
        _call(fd, fcntl.F_OFD_SETLK, fcntl.F_UNLCK)
    else:
        fs.flock(fd, fcntl.LOCK_UN)


class _Ours:
    """The descriptors of locks that this process has taken and not yet handed over.

    A process that the user's code forks in between would share them and so keep the lock of a job
    that has long ended: forked children close them.
    """

    def __init__(self) -> None:
        self.fds: set[int] = set()
        self.guard = allocate_lock()
        os.register_at_fork(
            before=self.guard.acquire,
            after_in_parent=self.guard.release,
            after_in_child=self.forget,
        )

    def open(self, path: Path | str, dir_fd: int | None = None) -> int:
        with self.guard:
            fd = fs.open_fd(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, dir_fd=dir_fd)
            self.fds.add(fd)
        return fd

    def close(self, fd: int) -> None:
        with self.guard:
            if fd in self.fds:  # not in a forked child that comes here by its parent's way
                os.close(fd)
                self.fds.discard(fd)

    def forget(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()
        self.guard.release()


_ours = _Ours()


@contextmanager
def no_forks() -> Iterator[None]:
    """Let no other thread fork while a process is started.

    It would inherit the pipe over which `subprocess` hears that the program has begun, and whoever
    starts it would wait for the end of that fork. (Starting a program so is no fork in this sense.)
    """
    with _ours.guard:
        yield


class JobLock:
    """A held job lock. End it with exactly one of `release` and `hand_over`."""

    __slots__ = ("_fd", "_taken_here")

    def __init__(self, fd: int, *, taken_here: bool = True) -> None:
        self._fd = fd
        self._taken_here = taken_here

    def fileno(self) -> int:
        """Give the descriptor, for ``pass_fds``."""
        return self._fd

    def is_of(self, paths: JobPaths) -> bool:
        """Tell whether it is the lock of that job, which is where it is said to be."""
        try:
            return _is_file(self._fd, paths.lock)
        except OSError:  # somebody closed the descriptor
            return False

    def place(self) -> Path:
        """Name the file that is locked, as it is called now; raises OSError."""
        return Path(os.readlink(f"/proc/self/fd/{self._fd}"))

    def release(self) -> None:
        """Give the lock back: nobody holds it any more, whoever else has the descriptor."""
        if self._fd >= 0:
            _drop(self._fd)
            self.hand_over()

    def hand_over(self) -> None:
        """Close our copy: the process that inherited the descriptor is now the only holder."""
        if self._fd >= 0:
            if self._taken_here:
                _ours.close(self._fd)
            else:
                os.close(self._fd)
            self._fd = -1


def try_lock(paths: JobPaths) -> JobLock | None:
    """Take the lock of a job whose directory exists; None if somebody has it. Never waits.

    Also None while the process of the job lives without the lock (see `unlocked`).
    """
    inside(paths.workspace, paths.private)
    check_place(paths.workspace)
    fd = _ours.open(paths.lock)
    try:
        if _take(fd) and _is_file(fd, paths.lock) and not unlocked(paths):
            return JobLock(fd)
    except BaseException:
        _ours.close(fd)
        raise
    _ours.close(fd)
    return None


def try_lock_in(directory: int, name: str) -> JobLock | None:
    """Take a lock whose file is in an open directory; None if somebody holds it. Never waits."""
    fd = _ours.open(name, directory)
    try:
        if _take(fd) and _is_file(fd, name, directory):
            return JobLock(fd)
    except BaseException:
        _ours.close(fd)
        raise
    _ours.close(fd)
    return None


def _is_file(fd: int, path: Path | str, directory: int | None = None) -> bool:
    """Tell whether a descriptor is of the file that has this name now (see Rule 2)."""
    try:
        named = os.stat(path, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)


def adopt(paths: JobPaths | DetachedPaths, fd: int) -> JobLock | None:
    """In the job: become the holder of an inherited lock; None if it is not that lock.

    Programs that the job starts do not inherit it. Processes that it forks do, on purpose: a worker
    that outlives its job still writes in the job's directory, and nobody may start there before it
    is gone (`survivors`).
    """
    try:
        if not _is_file(fd, paths.lock) or not _take(fd):  # taking what is ours changes nothing
            return None
    except OSError:  # not open, or of another kind
        return None
    os.set_inheritable(fd, False)
    return JobLock(fd, taken_here=False)


def held(paths: JobPaths) -> bool:
    """Tell whether somebody holds the job's lock, without touching it."""
    return file_held(paths.lock)


def file_held(path: Path) -> bool:
    """Tell whether somebody holds the lock of a file, without touching it."""
    try:
        fd = fs.open_fd(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        if kind_of_lock() == "ofd":
            return _call(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK) != fcntl.F_UNLCK
        if _take(fd):  # no passive probe: a contender may lose for an instant, and tries again
            _drop(fd)
            return False
        return True
    finally:
        os.close(fd)


def unlocked(paths: JobPaths) -> bool:
    """Tell whether a job's process lives without the lock: its task closed all descriptors.

    (Programs that become daemons do.) To be asked when nobody holds the lock; whoever would take it
    must not start a second process.
    """
    try:
        process = read_process(paths)
    except RecordError:
        return False
    if process is None or process.pid == os.getpid() or not alive(process):
        return False
    return not _is_other(process.pid, paths)


def stray(paths: JobPaths) -> ProcessRecord | None:
    """Find a process that runs this job although its directory is gone: deleted, or renamed.

    Its lock went with the directory, and so did what says who it is; its command still names the
    script. To be asked with the lock of a directory in which no process has begun: whoever is found
    is no attempt of this directory, and nobody may start there before it has ended. Started by hand
    it is not found. Linux only.
    """
    if sys.platform != "linux":
        return None
    scripts = {os.fsencode(name) for name in (paths.script, os.path.realpath(paths.script))}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _runs(name, scripts):
            return identify(int(name))
    return None


def tell_stray(pid: int) -> str:
    """Say who runs a job whose files are gone, and what to do."""
    return f"process {pid}, whose files were deleted or renamed: wait for it to end, or end it"


def _runs(pid: str, scripts: set[bytes]) -> bool:
    """Tell whether a process was started by an engine for one of these scripts."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if scripts.isdisjoint(file.read().split(b"\0")):
                return False
        with open(f"/proc/{pid}/environ", "rb") as file:  # as it was at its start
            return b"\0%s=" % FD_VARIABLE.encode() in b"\0" + file.read()
    except OSError:  # it is gone, or somebody else's
        return False


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if need be; waits while another thread or process has it.

    A signal interrupts the waiting. Processes that are forked meanwhile do not share the lock.
    """
    fd = _ours.open(path)
    try:
        _take(fd, wait=True)
        yield
    finally:
        _ours.close(fd)


@contextmanager
def try_exclusive(path: Path) -> Iterator[bool]:
    """Hold the lock of a file, made if need be, if nobody has it; tell whether that is so."""
    fd = _ours.open(path)
    try:
        yield _take(fd)
    finally:
        _ours.close(fd)


# --- who a process is ------------------------------------------------------------------------


def myself() -> ProcessRecord:
    """Describe this process."""
    return _described(os.getpid())


@cache
def _described(pid: int) -> ProcessRecord:
    found = identify(pid)
    return found or ProcessRecord(pid, 0, boot_id(), os.uname().nodename)


def whoami() -> str:
    """Name the user of this process and its machine, for people: ``ada@desk``."""
    import getpass  # seldom needed

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


@cache
def boot_id() -> str:
    """Name this boot of this machine; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str] | None:
    """Read what /proc says of a process, from its state (field 3) on; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, parentheses too.
    return text.rpartition(")")[2].split()


def start_of(pid: int) -> int | None:
    """Tell when a living process started, in clock ticks after boot; None if it is gone.

    0 where the system does not tell, for every process that exists.
    """
    if sys.platform == "linux":
        fields = _stat(pid)
        return None if fields is None or fields[0] in "ZX" else int(fields[19])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it exists, and is somebody else's
        pass
    return 0


def identify(pid: int, *, attempt: int = 1, started: float = 0.0) -> ProcessRecord | None:
    """Describe a living process of this machine so that it can be recognised; None if gone."""
    start = start_of(pid)
    if start is None:
        return None
    return ProcessRecord(pid, start, boot_id(), os.uname().nodename, attempt, started)


def began(record: ProcessRecord) -> float:
    """Tell when a process of this machine began, before it was a job's; seconds since the epoch."""
    if not record.start:
        return record.started
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - record.start / os.sysconf("SC_CLK_TCK")
    return time.time() - age_s


def alive(record: ProcessRecord) -> bool:
    """Tell whether that very process lives, here and now: number, start time and boot agree."""
    if record.boot_id != boot_id() or record.host != os.uname().nodename:
        return False
    return start_of(record.pid) == record.start


def open_pidfd(record: ProcessRecord) -> int | None:
    """Open a descriptor that becomes readable when the process ends.

    None if the process is gone, or the system has no such descriptors (see `alive`).
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        fd = os.pidfd_open(record.pid)
    except OSError:
        return None
    try:
        # Only now: from here on the number cannot be given to another process unnoticed.
        if alive(record):
            return fd
    except BaseException:  # no descriptor is left to look at it
        os.close(fd)
        raise
    os.close(fd)
    return None


def survivors(record: ProcessRecord) -> list[int]:
    """List the processes left of a job whose own process is dead: its session, without its leader.

    While one of them lives, the system gives the leader's number to nobody else, so they are the
    job's: ask while the lock is held, which says that somebody lives. Linux only; empty elsewhere.
    """
    if sys.platform != "linux" or record.boot_id != boot_id():
        return []
    if record.host != os.uname().nodename or start_of(record.pid) is not None:
        return []
    found = []
    for name in os.listdir("/proc"):
        fields = _stat(int(name)) if name.isdigit() else None
        if fields is not None and fields[0] not in "ZX" and int(fields[3]) == record.pid:
            found.append(int(name))
    return found


def kill_survivors(record: ProcessRecord) -> list[int]:
    """End what is left of a dead job (see `survivors`), and return whom it was."""
    found = survivors(record)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return found


# --- experimaestro ---------------------------------------------------------------------------


def legacy_holder(paths: JobPaths) -> str | None:
    """Say who runs this job with experimaestro 2.7: it knows nothing of our lock. None if nobody.

    Signs are a held ``<NAME>.lock``, and a ``<NAME>.pid`` of a living process that is not ours.
    """
    if _legacy_locked(paths.legacy_lock):
        return f"experimaestro (it holds {paths.legacy_lock.name})"
    process = legacy_process(paths)
    if process is None or not _started_before(process.start, paths.pid):
        return None
    if _runs(str(process.pid), {os.fsencode(paths.script)}):
        return tell_stray(process.pid)
    return f"process {process.pid} of experimaestro; if that is wrong, delete {paths.pid}"


def legacy_process(paths: JobPaths) -> ProcessRecord | None:
    """Describe the living process that ``<NAME>.pid`` names, unless it is not of this job, or ours.

    Measured with 2.7.0: when a job's scheduler is gone, its process deletes that file and lets its
    lock go some milliseconds before it writes ``<NAME>.done``, and lives on for a second.
    """
    try:
        pid, process = read_pid(paths), read_process(paths)
    except RecordError:
        return None
    if pid is None or (process is not None and process.pid == pid):
        return None  # our own processes are judged by the lock
    return None if _is_other(pid, paths) else identify(pid)


def _is_other(pid: int, paths: JobPaths) -> bool:
    """Tell whether a process surely is not of this job: neither there, nor told its name.

    Numbers are given again, and files copied with the number in them. False where the system does
    not tell.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    try:
        there = os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # somebody else's process: experimaestro gives it the script's whole path
        there = ""
    names = {str(paths.path), os.path.realpath(paths.path)}
    return there not in names and not any(os.fsencode(name) in words for name in names)


def _legacy_locked(path: Path, mode: int = os.O_RDONLY) -> bool:
    """Probe for the locks that other tools take: by `flock`, or POSIX ones."""
    try:
        fd = fs.open_fd(path, mode | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if kind_of_lock() == "ofd" and _call(fd, fcntl.F_GETLK, fcntl.F_WRLCK) != fcntl.F_UNLCK:
            return True
        fs.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EBADF and mode == os.O_RDONLY:  # NFS wants it open for writing
            return _legacy_locked(path, os.O_RDWR)
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(fd)
    return False


def _started_before(start: int, path: Path) -> bool:
    """Tell whether a process is old enough to be the one that a file was written about."""
    if sys.platform != "linux":
        return True
    try:
        written = path.stat().st_mtime
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return True
    age_s = uptime - start / os.sysconf("SC_CLK_TCK")
    return time.time() - age_s <= written + 1.0
