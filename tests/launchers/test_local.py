"""Real processes, started and found again."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from xpm_nb.errors import ConfigError, LaunchError
from xpm_nb.launchers.base import LaunchRequest, Status
from xpm_nb.launchers.local import LocalHandle, LocalLauncher, child_environ
from xpm_nb.store import locks, records
from xpm_nb.store.layout import Workspace

HEX = "ab" * 32


@pytest.fixture(params=["plain", 'it\'s a "we ird"\nplace $(touch x)'])
def job(tmp_path, request):
    return Workspace(tmp_path / request.param).create().job("m.learn", HEX).create()


@pytest.fixture
def launch(job):
    """Launch a script as an engine does; what is left ends with the test, by its handle."""
    handles = []
    launcher = LocalLauncher()

    def start(code, launcher=launcher, environ=None):
        records.write_script(job, textwrap.dedent(code))
        lock = locks.try_lock(job)
        handle = launcher.launch(LaunchRequest(job.path, job.name, environ or {}, 1, lock.fileno()))
        lock.hand_over()
        handles.append(handle)
        return handle

    yield start
    for handle in handles:
        launcher.kill(handle, force=True)
        finish(handle)
        handle.close()


def finish(handle):
    """Wait for the end of a process, which is an event."""
    fd = handle.fileno()
    if fd is not None:
        assert select.select([fd], [], [], 30)[0] == [fd]
    return handle.exit_code()


def wait_for(path):
    """Wait for a file that a job writes in one go."""
    deadline = time.monotonic() + 30
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return path.read_text()


def test_a_job_is_a_session_of_its_own_with_its_files(job, launch, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":.")
    handle = launch("""
        import json, os, sys
        print(json.dumps([os.getcwd(), os.getsid(0), os.getpid(), sys.argv[0], sys.path]))
        print("wrong", file=sys.stderr)
        assert sys.stdin.read() == ""
        sys.exit(3)
    """)
    assert finish(handle) == 3
    assert LocalLauncher().poll([handle]) == {handle: Status.GONE}
    cwd, session, pid, script, path = json.loads(job.stdout.read_text())
    assert cwd == str(job.path)
    assert session == pid == handle.process.pid
    assert script == str(job.script)
    assert not {cwd, "", "."} & set(path)
    assert job.stderr.read_text() == "wrong\n"
    assert not (job.path / "x").exists()


def test_the_job_holds_the_lock_from_the_first_instant(job, launch):
    handle = launch("import sys, time; time.sleep(60)")
    assert locks.held(job)
    assert locks.try_lock(job) is None
    LocalLauncher().kill(handle, force=True)
    assert finish(handle) == -signal.SIGKILL
    assert not locks.held(job)


def test_environment(job, launch, monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("A", "inherited")
    launcher = LocalLauncher(environ={"A": "launcher", "B": "launcher"})
    handle = launch(
        "import json, os; print(json.dumps(dict(os.environ)))", launcher, {"B": "job $X 'é'"}
    )
    assert finish(handle) == 0
    environ = json.loads(job.stdout.read_text())
    assert environ["INHERITED"] == "yes"
    assert (environ["A"], environ["B"]) == ("launcher", "job $X 'é'")
    assert not {"JPY_PARENT_PID", "MPLBACKEND"} & set(environ)
    assert environ[locks.ATTEMPT_VARIABLE] == "1"
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert child_environ()["MPLBACKEND"] == "agg"


def test_kill_ends_the_whole_group(job, launch):
    handle = launch("""
        import subprocess, sys
        child = subprocess.Popen(["sleep", "60"])
        print(child.pid, flush=True)
        child.wait()
    """)
    pid = int(wait_for(job.stdout))
    fd = os.pidfd_open(pid)
    LocalLauncher().kill(handle)
    assert select.select([fd], [], [], 30)[0] == [fd]
    os.close(fd)
    assert finish(handle) == -signal.SIGTERM


def test_a_stopped_process_hears_that_it_should_end(job, launch):
    handle = launch("print('up', flush=True); import time; time.sleep(60)")
    wait_for(job.stdout)
    os.kill(handle.process.pid, signal.SIGSTOP)
    LocalLauncher().kill(handle)
    assert finish(handle) == -signal.SIGTERM


def test_killing_the_dead_is_nothing(job, launch):
    handle = launch("pass")
    assert finish(handle) == 0
    LocalLauncher().kill(handle)
    LocalLauncher().kill(handle, force=True)
    assert handle.exit_code() == 0


def test_workers_left_by_a_dead_job_keep_the_lock_until_they_are_ended(job, launch):
    handle = launch(
        """
        import os, time
        from xpm_nb.store import layout, locks
        locks.adopt(layout.JobPaths.of(os.getcwd()), int(os.environ[locks.FD_VARIABLE]))
        if os.fork() == 0:
            time.sleep(60)
        print("up", flush=True)
        time.sleep(60)
    """,
        environ={"PYTHONPATH": os.getcwd()},
    )
    wait_for(job.stdout)
    os.kill(handle.process.pid, signal.SIGKILL)
    assert finish(handle) == -signal.SIGKILL
    assert locks.held(job)
    LocalLauncher().kill(handle, force=True)
    deadline = time.monotonic() + 30
    while locks.held(job):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_no_zombie_stays(job, launch):
    handle = launch("pass")
    pid = handle.process.pid
    finish(handle)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize("cycle", [False, True])
def test_a_dropped_handle_does_not_disturb_its_job(job, cycle):
    launcher = LocalLauncher()
    records.write_script(job, "import sys, time; time.sleep(60)")
    request = LaunchRequest(job.path, job.name, {}, 1)
    handle = launcher.launch(request)
    record = handle.as_dict()
    pid = handle.process.pid
    if cycle:  # as its experiment is, when that is forgotten
        held = [handle]
        held.append(held)
        del held
    del handle
    gc.collect()
    again = launcher.attach(record)
    launcher.kill(again, force=True)
    finish(again)
    again.close()
    records.write_script(job, "pass")
    other = launcher.launch(request)  # waits for what was left
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert finish(other) == 0
    other.close()


def test_somebody_else_waited_for_our_child(job, launch):
    handle = launch("raise SystemExit(3)")
    os.waitpid(handle.process.pid, 0)
    assert LocalLauncher().poll([handle]) == {handle: Status.GONE}
    assert handle.exit_code() is None


def test_errors_name_the_interpreter(job):
    records.write_script(job, "pass")
    lock = locks.try_lock(job)
    request = LaunchRequest(job.path, job.name, {}, 1, lock.fileno())
    with pytest.raises(LaunchError, match="/no/such/python"):
        LocalLauncher(python="/no/such/python").launch(request)
    with pytest.raises(LaunchError, match="null byte"):
        LocalLauncher(environ={"A": "\0"}).launch(request)
    job.stdout.unlink()
    job.stdout.symlink_to("/tmp/victim-that-is-not-there")
    with pytest.raises(LaunchError):
        LocalLauncher().launch(request)
    assert not os.path.exists("/tmp/victim-that-is-not-there")
    assert locks.held(job)
    lock.release()


def test_a_launch_that_fails_leaves_nobody_behind(job, monkeypatch):
    """The caller gives the lock back: a process that still ran would have lost it."""
    records.write_script(job, "import time; time.sleep(60)")
    lock = locks.try_lock(job)
    seen = []

    def identify(pid, **_):
        seen.append(pid)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(locks, "identify", identify)
    with pytest.raises(LaunchError, match="Too many open files"):
        LocalLauncher().launch(LaunchRequest(job.path, job.name, {}, 1, lock.fileno()))
    assert locks.start_of(seen[0]) is None
    lock.release()
    assert not locks.held(job)


def test_descriptions_and_derived_launchers():
    launcher = LocalLauncher(python="/usr/bin/python3", environ={"A": "1"})
    again = LocalLauncher.from_dict(json.loads(json.dumps(launcher.as_dict())))
    assert again == launcher
    assert hash(again) == hash(launcher)
    assert launcher.config(python=None) == LocalLauncher(environ={"A": "1"})
    with pytest.raises(ConfigError, match="slurm"):
        LocalLauncher.from_dict({"type": "slurm"})


# --- found again -----------------------------------------------------------------------------

ENGINE = """
import json, sys
from pathlib import Path
from xpm_nb.launchers.base import LaunchRequest
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import layout, locks
job = layout.JobPaths.of(sys.argv[1])
lock = locks.try_lock(job)
handle = LocalLauncher().launch(LaunchRequest(job.path, job.name, {}, 1, lock.fileno()))
lock.hand_over()
print(json.dumps(handle.as_dict()), flush=True)
sys.stdin.readline()
"""


def test_a_job_outlives_its_engine_and_is_found_again(job):
    gate = job.path / "gate"
    records.write_script(
        job,
        "import os, time\n"
        "print('up', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "print('end', flush=True)\n",
    )
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(job.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
        start_new_session=True,
    )
    record = json.loads(engine.stdout.readline())
    os.killpg(engine.pid, signal.SIGKILL)  # nobody of the engine's group survives
    engine.communicate()
    assert wait_for(job.stdout) == "up\n"
    assert locks.held(job)
    launcher = LocalLauncher()
    handle = launcher.attach(record)
    twin = launcher.attach(record)
    assert isinstance(handle, LocalHandle)
    assert handle == twin
    assert len({handle, twin}) == 1
    assert launcher.poll([handle]) == {handle: Status.RUNNING}
    gate.touch()
    assert finish(handle) is None  # of the child of another nobody knows how it ended
    assert launcher.poll([handle]) == {handle: Status.GONE}
    assert job.stdout.read_text() == "up\nend\n"
    assert not locks.held(job)
    assert launcher.attach(record) is None
    handle.close()
    twin.close()


@pytest.mark.parametrize(
    "change", [{"start": 1}, {"boot_id": "x"}, {"host": "x"}, {"pid": "x"}, {"pid": 2**22 + 1}]
)
def test_only_that_very_process_is_attached(change):
    record = locks.identify(os.getpid()).as_dict()
    handle = LocalLauncher().attach(record)
    assert handle is not None
    handle.close()
    assert LocalLauncher().attach(record | change) is None
    assert LocalLauncher().attach({}) is None
