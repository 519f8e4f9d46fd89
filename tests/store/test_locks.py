"""The job lock with real processes; what is waited for is an event, never a while."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from xpm_nb.errors import WorkspaceError
from xpm_nb.store import locks, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import ProcessRecord

HEX = "ab" * 32


@pytest.fixture
def job(tmp_path):
    return Workspace(tmp_path).create().job("m.learn", HEX).create()


@pytest.fixture
def spawn():
    """Start Python code in a process of its own; it says a line, and ends with the test."""
    started = []

    def start(code, *args, **options):
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
        options.setdefault("stdin", subprocess.PIPE)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def line(process):
    return process.stdout.readline().decode().strip()


def wait_free(job, timeout_s=20.0):
    """Wait until nobody holds the lock: there is no event for that, so look again."""
    deadline = time.monotonic() + timeout_s
    while locks.held(job):
        assert time.monotonic() < deadline, "the lock is still held"
        time.sleep(0.005)


HOLD = """
import sys
from xpm_nb.store import layout, locks
lock = locks.try_lock(layout.JobPaths.of(sys.argv[1]))
print("lost" if lock is None else "held", flush=True)
sys.stdin.readline()
"""


def test_one_holder_and_a_probe_that_takes_nothing(job):
    assert not locks.held(job)
    assert not job.lock.exists()  # the probe makes no file
    lock = locks.try_lock(job)
    assert lock is not None
    assert locks.held(job)
    assert locks.try_lock(job) is None  # also within one process
    assert locks.held(job)
    lock.release()
    lock.release()
    assert not locks.held(job)
    again = locks.try_lock(job)
    assert again is not None
    again.release()


def test_two_contenders(job, spawn):
    answers = sorted(line(p) for p in [spawn(HOLD, job.path), spawn(HOLD, job.path)])
    assert answers == ["held", "lost"]


def test_killing_the_holder_frees_the_lock(job, spawn):
    holder = spawn(HOLD, job.path)
    assert line(holder) == "held"
    assert locks.held(job)
    assert locks.try_lock(job) is None
    holder.kill()
    holder.wait()
    assert not locks.held(job)


def test_descriptors_do_not_leak(job):
    before = len(os.listdir("/proc/self/fd"))
    lock = locks.try_lock(job)
    for _ in range(50):
        assert locks.try_lock(job) is None
        assert locks.held(job)
    lock.release()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_lock_on_a_file_that_was_replaced_is_none(job, monkeypatch):
    real = locks._take

    def take(fd):
        taken = real(fd)
        job.lock.unlink()  # somebody breaks Rule 2 in between
        job.lock.touch()
        return taken

    monkeypatch.setattr(locks, "_take", take)
    assert locks.try_lock(job) is None


def test_a_planted_link_is_not_followed(job, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    job.lock.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        locks.try_lock(job)
    job.lock.unlink()
    job.private.rename(tmp_path / "aside")
    job.private.symlink_to("/tmp")
    with pytest.raises(WorkspaceError):
        locks.try_lock(job)
    assert victim.read_text() == "precious"


# --- handing over ----------------------------------------------------------------------------

# A job: adopts the descriptor, says so, and stays until its input ends.
JOB = """
import os, sys
from xpm_nb.store import layout, locks
lock = locks.adopt(layout.JobPaths.of(sys.argv[1]), int(sys.argv[2]))
print("lost" if lock is None else f"adopted {os.get_inheritable(lock.fileno())}", flush=True)
sys.stdin.readline()
"""


def test_handover_leaves_the_job_as_only_holder(job, spawn):
    lock = locks.try_lock(job)
    child = spawn(JOB, job.path, lock.fileno(), pass_fds=[lock.fileno()])
    lock.hand_over()
    assert locks.held(job)  # before the job has even started
    assert line(child) == "adopted False"
    assert locks.held(job)
    assert locks.try_lock(job) is None
    child.kill()
    child.wait()
    assert not locks.held(job)


def test_adopting_what_is_not_the_lock(job, spawn, tmp_path):
    assert locks.adopt(job, 999) is None
    with open(tmp_path / "other", "w") as other:
        assert locks.adopt(job, other.fileno()) is None
    holder = spawn(HOLD, job.path)
    assert line(holder) == "held"
    with open(job.lock, "r+") as file:  # the right file, and somebody else's lock
        assert locks.adopt(job, file.fileno()) is None


# An engine that takes the lock, starts a job and hands over, telling each step.
TAKER = """
import os, subprocess, sys
from xpm_nb.store import layout, locks
job, log, stop_at = layout.JobPaths.of(sys.argv[1]), sys.argv[2], int(sys.argv[3])
step = 0
def here():
    global step
    step += 1
    if step == stop_at:
        print("stopped", flush=True)
        sys.stdin.readline()
here()
lock = locks.try_lock(job)
here()
code = '''
import os, sys, time
sys.path.insert(0, ".")
from xpm_nb.store import layout, locks
lock = locks.adopt(layout.JobPaths.of(sys.argv[1]), int(sys.argv[2]))
fd = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(fd, f"{os.getpid()} {lock is not None}\\\\n".encode())
os.read(0, 1)
'''
r, w = os.pipe()
os.set_inheritable(w, True)
process = subprocess.Popen(
    [sys.executable, "-c", code, str(job.path), str(lock.fileno()), log],
    pass_fds=[lock.fileno(), w], start_new_session=True, stdin=r,
)
here()
lock.hand_over()
here()
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
def test_the_taker_is_killed_at_any_step(job, spawn, tmp_path, stop_at):
    """Either nobody has the lock, or the job has it: never a lock without a living holder."""
    log = tmp_path / "log"
    taker = spawn(TAKER, job.path, log, stop_at)
    assert line(taker) == "stopped"
    taker.kill()
    taker.wait()
    if stop_at <= 2:
        assert not locks.held(job)
        return
    assert locks.held(job)
    deadline = time.monotonic() + 20
    while not log.exists() or not log.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        assert locks.held(job)
        time.sleep(0.005)
    pid, adopted = log.read_text().split()
    assert adopted == "True"
    os.kill(int(pid), signal.SIGKILL)
    wait_free(job)


@pytest.mark.slow
def test_the_taker_is_killed_at_any_instant(job, spawn, tmp_path):
    """The same without steps: killed after a growing number of microseconds."""
    log = tmp_path / "log"
    for delay_ms in (0, 5, 10, 20, 40, 60, 80, 100, 130, 160):
        taker = spawn(TAKER, job.path, log, 0)
        select.select([taker.stdout], [], [], delay_ms / 1000)
        taker.kill()
        taker.wait()
        # Whoever was started ends when told; then the lock is free, whatever happened above.
        deadline = time.monotonic() + 20
        while locks.held(job):
            assert time.monotonic() < deadline
            for entry in log.read_text().split("\n") if log.exists() else []:
                if entry:
                    assert entry.endswith("True")
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(entry.split()[0]), signal.SIGKILL)
            time.sleep(0.005)
    lock = locks.try_lock(job)
    assert lock is not None
    lock.release()


def test_a_process_forked_before_the_handover_does_not_keep_the_lock(job):
    """What multiprocessing does in a kernel, between taking a lock and handing it over."""
    lock = locks.try_lock(job)
    ready_r, ready_w = os.pipe()
    end_r, end_w = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready_w, b"x")
        os.read(end_r, 1)
        os._exit(0)
    try:
        os.read(ready_r, 1)
        assert locks.held(job)
        lock.hand_over()  # as after a launch
        assert not locks.held(job)
        assert locks.try_lock(job) is not None
    finally:
        os.write(end_w, b"x")
        os.waitpid(child, 0)
        for fd in (ready_r, ready_w, end_r, end_w):
            os.close(fd)
        locks._ours.close(max(locks._ours.fds))


def test_a_forked_child_does_not_free_the_lock_of_its_parent(job):
    lock = locks.try_lock(job)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert locks.held(job)
    lock.release()


GRANDCHILD = """
import os, subprocess, sys
from xpm_nb.store import layout, locks
job = layout.JobPaths.of(sys.argv[1])
lock = locks.adopt(job, int(sys.argv[2]))
if sys.argv[3] == "fork":
    if os.fork() == 0:
        sys.stdin.readline()
        os._exit(0)
else:
    subprocess.Popen(["sleep", "60"], close_fds=False)
print(os.getpid(), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["fork", "exec"])
def test_grandchildren(job, spawn, how):
    """A forked worker that outlives its job keeps the lock and is found; a program does not."""
    lock = locks.try_lock(job)
    options = {"pass_fds": [lock.fileno()], "start_new_session": True}
    child = spawn(GRANDCHILD, job.path, lock.fileno(), how, **options)
    lock.hand_over()
    assert line(child) == str(child.pid)
    record = locks.identify(child.pid)
    assert locks.survivors(record) == []  # while it lives there is nothing left over
    child.kill()
    child.wait()
    if how == "fork":
        assert locks.held(job)
    else:  # the kernel lets Popen go on before it closes the new program's descriptors
        wait_free(job)
    assert len(locks.survivors(record)) == 1
    assert len(locks.kill_survivors(record)) == 1
    wait_free(job)


# --- who a process is ------------------------------------------------------------------------


def test_identity(spawn):
    process = spawn("import sys; print('up', flush=True); sys.stdin.readline()")
    assert line(process) == "up"
    record = locks.identify(process.pid, attempt=2, started=1.5)
    assert record == ProcessRecord(
        process.pid, record.start, locks.boot_id(), os.uname().nodename, 2, 1.5
    )
    assert locks.alive(record)
    assert not locks.alive(record._replace(start=record.start + 1))  # the number was given again
    assert not locks.alive(record._replace(boot_id="another"))
    assert not locks.alive(record._replace(host="another"))
    assert locks.open_pidfd(record._replace(start=record.start + 1)) is None
    fd = locks.open_pidfd(record)
    assert select.select([fd], [], [], 0)[0] == []
    process.kill()
    assert select.select([fd], [], [], 20)[0] == [fd]
    os.close(fd)
    # It is a zombie now: dead, though its number is taken.
    assert not locks.alive(record)
    assert locks.identify(process.pid) is None
    assert locks.open_pidfd(record) is None
    process.wait()
    assert not locks.alive(record)
    assert locks.start_of(process.pid) is None


def test_a_process_whose_name_holds_parentheses(tmp_path, spawn):
    code = "import sys; open('/proc/self/comm', 'w').write(') R 1 (x'); print('up', flush=True); sys.stdin.readline()"
    process = spawn(code)
    assert line(process) == "up"
    assert locks.start_of(process.pid) > 1000


# --- experimaestro ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "take",
    ["fcntl.flock(f, fcntl.LOCK_EX)", "fcntl.lockf(f, fcntl.LOCK_EX)"],
)
def test_a_lock_of_experimaestro(job, spawn, take):
    assert locks.legacy_holder(job) is None
    code = f"""
    import fcntl, sys
    f = open(sys.argv[1], "w")
    {take}
    print("held", flush=True)
    sys.stdin.readline()
    """
    other = spawn(code, job.legacy_lock)
    assert line(other) == "held"
    assert "learn.lock" in locks.legacy_holder(job)
    assert "learn.lock" in locks.legacy_holder(job)  # the probe took nothing
    other.kill()
    other.wait()
    assert locks.legacy_holder(job) is None


def test_a_pid_file_of_experimaestro(job, spawn):
    code = "import sys; print('up', flush=True); sys.stdin.readline()"
    process, other = spawn(code, job.script), spawn(code)
    assert line(process) == line(other) == "up"
    job.pid.write_text(f'{{"type": "local", "pid": {other.pid}}}')
    assert locks.legacy_holder(job) is None, "it knows nothing of this job"
    job.pid.write_text(f'{{"type": "local", "pid": {process.pid}}}')
    assert locks.legacy_holder(job).endswith(f"if that is wrong, delete {job.pid}")
    assert str(process.pid) in locks.legacy_holder(job)
    os.utime(job.pid, (1, 1))  # written before that process started: the number was given again
    assert locks.legacy_holder(job) is None
    records.write_process(job, locks.identify(process.pid))  # ours: judged by the lock
    assert locks.legacy_holder(job) is None
    process.kill()
    process.wait()
    job.process.unlink()
    assert locks.legacy_holder(job) is None
    job.pid.write_text("nonsense")
    assert locks.legacy_holder(job) is None


# --- where there are no such locks -------------------------------------------------------------


def test_the_fallback_hands_over_too(job, spawn, monkeypatch):
    monkeypatch.setattr(locks, "kind_of_lock", lambda: "flock")
    lock = locks.try_lock(job)
    assert locks.try_lock(job) is None
    assert locks.held(job)
    code = (
        "import fcntl\nfrom xpm_nb.store import locks\nlocks.kind_of_lock = lambda: 'flock'\n" + JOB
    )
    child = spawn(code, job.path, lock.fileno(), pass_fds=[lock.fileno()])
    lock.hand_over()
    assert line(child) == "adopted False"
    assert locks.held(job)
    child.kill()
    child.wait()
    assert not locks.held(job)
    with open(job.lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_where_the_system_does_not_know_such_locks(monkeypatch):
    """The headers have them, the kernel that runs (of a sandbox) refuses the command."""
    assert locks.kind_of_lock() == "ofd"
    real = fcntl.fcntl

    def refuse(fd, command, *args):
        if command in (fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW, fcntl.F_OFD_GETLK):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(fd, command, *args)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert locks.kind_of_lock.__wrapped__() == "flock"
    monkeypatch.undo()
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    assert locks.kind_of_lock.__wrapped__() == "flock"
