"""Jobs are handed over to a process that does nothing: what is said, left, and taken back."""

from __future__ import annotations

import subprocess
import threading

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.core.config import RunMode
from xpm_nb.core.states import JobState
from xpm_nb.engine import handing, loop
from xpm_nb.engine.opening import start
from xpm_nb.errors import ConfigError, LaunchError
from xpm_nb.store import locks, told


@pytest.fixture
def apart(monkeypatch):
    """The processes that were started to finish an experiment: they only live."""
    begun = []

    def start_apart(command, *, cwd, log_fd, pass_fds):
        process = subprocess.Popen(["sleep", "600"], pass_fds=pass_fds, start_new_session=True)
        begun.append(process)
        return locks.identify(process.pid)

    monkeypatch.setattr(handing, "start_apart", start_apart)
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def states(*tasks):
    assert loop.current().sync(10)
    return [task.state.value for task in tasks]


def note():
    pass


def three(fake):
    tasks = [Learn.C(lr=lr).submit() for lr in (1, 2, 3)]
    fake.wait_for(2)
    assert states(*tasks) == ["running", "running", "ready"]
    return tasks


def end(fake, task):
    fake.finish(task.job.identifier)
    assert task.job.wait(10) is JobState.DONE


def test_what_waits_is_left_and_taken_back(xp, fake, apart):
    first, _, last = three(fake)
    assert xp.detached is None
    found = xp.detach()
    pid = apart[0].pid
    assert repr(found).splitlines() == [
        f"tour: 1 job is left to the detached process {pid}, which runs up to 2 at once and ends "
        "with the last; this kernel may end",
        f"log: {found.log}",
    ]
    assert (found.pid, found.running) == (pid, True)
    assert repr(xp.detached).startswith(f"process {pid} finishes 'tour' without a kernel\nlog: ")
    end(fake, first)
    assert states(last) == ["ready"]
    assert last.job.view().message == f"left to process {pid}, which starts it"
    again = xp.detach()
    assert repr(again).startswith(f"tour: process {pid} has all that waits; this kernel may end")
    assert len(apart) == 1
    assert found.stop() is True
    apart[0].wait()
    assert not found.running
    fake.wait_for(3)
    assert states(last) == ["running"]
    assert xp.detached is None
    assert "has ended" in repr(handing.Detached("tour", found.process, found.log))
    assert found.stop() is True, "it has ended: nobody is asked"


def test_there_is_nothing_to_hand_over(xp, fake, apart):
    found = xp.detach()
    assert repr(found) == "nothing of 'tour' waits to be started: there is nothing to hand over"
    assert (found.pid, found.running, found.stop()) == (None, False, True)
    assert not apart
    with pytest.raises(ConfigError, match=r"only looked at \(RunMode.DRY_RUN\)"):
        start("dry", run_mode=RunMode.DRY_RUN).detach()


def test_a_process_that_cannot_be_started_leaves_the_jobs_here(xp, fake, apart, monkeypatch):
    first, _, last = three(fake)

    def refuse(*args, **options):
        raise LaunchError("no more processes")

    with monkeypatch.context() as patch:
        patch.setattr(handing, "start_apart", refuse)
        with pytest.raises(LaunchError, match="no more processes"):
            xp.detach()
    assert xp.detached is None
    end(fake, first)
    fake.wait_for(3)
    assert states(last) == ["running"]
    Learn.C(lr=4).submit()
    assert xp.detach().running, "the lock is free"


def test_two_kernels_do_not_start_two(xp, fake, apart):
    three(fake)
    place = xp.workspace.experiment("tour").detached
    lock = told.try_lock(place)
    with pytest.raises(LaunchError, match=r"a process is about to finish 'tour' just now: detach"):
        xp.detach()
    lock.release()
    assert xp.detach().running


def test_what_cannot_be_handed_over_is_named(xp, fake, apart, monkeypatch):
    three(fake)
    last = Learn.C(lr=4).submit()
    last.on_completed(note)
    said = repr(xp.detach())
    assert "not handed over: 1 callback is called only while this kernel lives" in said
    assert "(on_completed(note))" in said
    (promised,) = told.read_promised(xp.workspace.experiment("tour").detached)
    assert promised.kernel == locks.myself()
    assert promised.callbacks == ((last.job.key, "on_completed(note)"),)
    monkeypatch.delitem(loop.LAUNCHERS, "fake")
    new = Learn.C(lr=5).submit().job
    said = f"1 job whose launcher only this kernel has (Learn {new.identifier[:8]})"
    assert said in repr(xp.detach())


def test_nothing_is_handed_over_before_all_is_written(xp, fake, apart, monkeypatch):
    """A kernel that may end must not have submissions that only its memory knows."""
    scheduler, gate = loop.current()._scheduler, threading.Event()
    handle = scheduler.handle

    def held_up(message):
        assert gate.wait(30)
        handle(message)

    monkeypatch.setattr(scheduler, "handle", held_up)
    tasks = [Learn.C(lr=lr).submit() for lr in range(1, 6)]
    with monkeypatch.context() as patch:
        patch.setattr(handing, "STALLED_S", 0.05)
        with pytest.raises(LaunchError, match=r"not yet come to \d+ .* this kernel keeps what"):
            xp.detach()
    assert (xp.detached, apart) == (None, [])
    gate.set()
    assert "3 jobs are left to the detached process" in repr(xp.detach())
    assert all(task.jobpath.is_dir() for task in tasks)
