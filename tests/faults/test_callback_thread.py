"""Callbacks that try to take their thread with them."""

from __future__ import annotations

import ctypes
import sys
import threading

import pytest

from tests.engine.lab import until
from tests.faults.fault_tasks import Good
from xpm_nb.core.states import JobState
from xpm_nb.engine import callbacks

pytestmark = pytest.mark.slow


def interrupted():
    raise KeyboardInterrupt


def thread():
    return next((t for t in threading.enumerate() if t.name == "xpm-callbacks"), None)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (lambda: sys.exit(3), "SystemExit: 3"),
        (interrupted, "KeyboardInterrupt"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
    ids=["exit", "interrupt", "error"],
)
def test_a_callback_that_raises_is_seen_at_its_job_and_the_next_is_called(lab, ending, said):
    xp = lab.begin()
    task, called = Good.C(n=1).submit(), []
    task.on_completed(ending)
    task.on_completed(lambda: called.append(1))
    xp.wait(60)
    until(lambda: said in task.job.view().callback_error)
    assert task.state is JobState.DONE
    until(lambda: called == [1])
    lab.others_finish(task)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_act_that_is_no_callback_does_not_end_the_thread_either(kind):
    def act():
        raise kind

    mine, called = callbacks.Callbacks(), threading.Event()
    mine.put(act)
    mine.put_chore(act)
    mine.put(called.set)
    assert called.wait(10)
    assert mine.flush(10, chores=True), "they count as over"
    mine.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_ended_from_outside_is_started_again(lab):
    """While it waits for acts, in code of ours: nothing of the user's can be blamed."""
    xp = lab.begin()
    first = Good.C(n=1).submit()
    xp.wait(60)
    called = []
    first.on_completed(lambda: called.append("before"))
    assert callbacks.current().flush(60, chores=True)
    assert called == ["before"]
    dead = thread()
    kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert kill(ctypes.c_ulong(dead.ident), ctypes.py_object(SystemExit)) == 1
    callbacks.current().put(lambda: called.append("woken"))  # it hears of its end when it wakes
    until(lambda: not dead.is_alive() or "woken" in called)
    task = Good.C(n=2).submit()
    task.on_completed(lambda: called.append("after"))
    xp.wait(60)
    until(lambda: called[-1] == "after")
    assert callbacks.current().flush(10)
    assert called == ["before", "woken", "after"], "what waited for the dead one is called, too"
    lab.others_finish(task)
