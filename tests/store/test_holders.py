"""Who has a lock's file open, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xpm_nb.store import holders, locks
from xpm_nb.store.holders import Holder

STAY = "import sys; print('up', flush=True); sys.stdin.readline()"


@pytest.fixture
def stay():
    """Start processes that stay, with a descriptor of ours."""
    started = []

    def start(fd, *words, **environ):
        process = subprocess.Popen(
            [sys.executable, "-c", STAY, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[fd] if fd is not None else [],
            env=os.environ | environ,
        )
        started.append(process)
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in started:
        process.communicate()


def test_nobody(job):
    assert holders.holders(job.lock) == []
    assert holders.tell(job.lock) == ""
    lock = locks.try_lock(job)
    assert holders.holders(job.lock) == [], "we know of ourselves"
    lock.release()


def test_holders_are_named(job, stay):
    lock = locks.try_lock(job)
    stay(None, "without it")
    one = stay(lock.fileno(), "a \n name", "x" * 100)
    found = holders.holders(job.lock)
    assert [holder.pid for holder in found] == [one.pid]
    assert found[0].command.startswith(f"{Path(sys.executable).name} -c import sys;")
    assert len(found[0].command) == holders.COMMAND_CHARS
    assert "\n" not in str(found[0])
    text = holders.tell(job.lock)
    assert text.startswith(f"process {one.pid} ({Path(sys.executable).name} -c")
    assert text.endswith("which the job left behind: wait for it to end, or end it")
    others = [stay(lock.fileno()).pid for _ in range(4)]
    assert [holder.pid for holder in holders.holders(job.lock)] == sorted([one.pid, *others])
    assert ", 2 more, which" in holders.tell(job.lock)
    lock.release()


def test_a_process_without_a_command():
    assert str(Holder(7, "")) == "process 7"
    assert holders._command(2**22 + 1) == ""
    assert str(Holder(os.getpid(), "python x")) == f"process {os.getpid()} (python x)"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
def test_who_holds_the_lock_of_an_attempt_is_ended(job, stay):
    """And nobody else: not who only looks at the file, nor who is of another attempt."""
    gone = subprocess.Popen(["sleep", "60"])
    process = locks.identify(gone.pid, attempt=2)
    gone.kill()
    gone.wait()
    lock = locks.try_lock(job)
    looks = os.open(job.lock, os.O_RDONLY)
    mine = {locks.ATTEMPT_VARIABLE: "2"}
    stay(looks, "looks at it", **mine)
    stay(lock.fileno(), "another attempt", **{locks.ATTEMPT_VARIABLE: "1"})
    stay(lock.fileno(), "a kernel that is about to hand it over")
    stay(None, "knows nothing of it", **mine)
    assert holders.end(job.lock, process, force=True) == []
    later = process._replace(start=process.start + 10**9)
    left = stay(lock.fileno(), "left", **mine)
    assert holders.end(job.lock, later, force=True) == [], "it is older than the job"
    assert holders.end(job.lock, process._replace(boot_id="b"), force=True) == []
    assert holders.end(job.lock, process._replace(host="h"), force=True) == []
    assert holders.end(job.lock, process, force=False) == [left.pid]
    assert left.wait(60) == -signal.SIGTERM
    left = stay(lock.fileno(), "left", **mine)
    assert holders.end(job.lock, process, force=True) == [left.pid]
    assert left.wait(60) == -signal.SIGKILL
    os.close(looks)
    lock.release()
