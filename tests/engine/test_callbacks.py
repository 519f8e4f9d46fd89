import functools
import logging
import threading

import pytest

from xpm_nb.engine import callbacks
from xpm_nb.engine.callbacks import Callbacks, Register, identity


@pytest.fixture
def cell():
    """A notebook with one cell that can be run again."""

    class Cell:
        execution = 1

    now = Cell()
    callbacks.fill(lambda filename: (filename, now.execution))
    yield now
    callbacks.fill(None)


@pytest.fixture
def thread():
    thread = Callbacks()
    yield thread
    thread.stop()


def called(register):
    return [item.function() for item in register.due()]


def test_acts_run_in_order_in_one_daemon_thread_of_that_name(thread):
    out = []
    for n in range(3):
        thread.put(lambda n=n: out.append((n, threading.current_thread())))
    assert thread.flush(5)
    assert [n for n, _ in out] == [0, 1, 2]
    assert {(t.name, t.daemon) for _, t in out} == {("xpm-callbacks", True)}
    assert len({t for _, t in out}) == 1


def test_an_exception_is_logged_and_the_next_act_runs(thread, caplog):
    out = []
    with caplog.at_level(logging.ERROR, logger="xpm_nb"):
        thread.put(lambda: 1 / 0)
        thread.put(lambda: out.append("next"))
        assert thread.flush(5)
    assert out == ["next"]
    assert "ZeroDivisionError" in caplog.text


def test_flush_from_its_own_thread_does_not_wait_for_itself(thread):
    out = []
    thread.put(lambda: out.append(thread.flush(10)))
    assert thread.flush(5)
    assert out == [False]


def test_a_completion_is_told_once_for_each_end():
    register = Register()
    register.on_completed(lambda: "a")
    assert called(register) == ["a"]
    assert called(register) == []
    register.reopen()
    assert called(register) == ["a"]


def test_running_the_cell_again_replaces_what_it_registered(cell):
    register = Register()

    def run_cell(text):
        for part in "xy":  # two from one place in one execution: both stay
            register.on_completed(lambda part=part: text + part)
        register.on_completed(lambda: text)  # another lambda of the same name

    run_cell("old")
    cell.execution = 2
    run_cell("new")
    assert called(register) == ["newx", "newy", "new"]


def test_running_the_cell_again_does_not_call_again(cell):
    register = Register()

    def run_cell():
        register.on_completed(lambda: cell.execution)
        return called(register)

    assert run_cell() == [1]
    cell.execution = 2
    assert run_cell() == []
    register.reopen()
    assert called(register) == [2]


def test_state_listeners_are_kept_apart_from_completions(cell):
    register = Register()

    def note(state=None):
        return state

    register.on_completed(note, "me")
    register.on_state(note, "you")
    cell.execution = 2
    register.on_state(note, "you")
    assert [(item.function, item.owner) for item in register.listeners()] == [(note, "you")]
    assert [(item.function, item.owner) for item in register.due()] == [(note, "me")]


def test_the_same_function_is_there_once():
    register = Register()
    for _ in range(2):
        register.on_completed(len)
    assert [item.function for item in register.due()] == [len]


class Thing:
    def method(self): ...

    def __call__(self): ...


def test_every_kind_of_function_has_an_identity():
    here = __file__
    assert identity(Thing().method)[:2] == (here, "Thing.method")
    assert identity(functools.partial(Thing.method, 1))[:2] == (here, "Thing.method")
    assert identity(Thing())[0] == here
    assert "Thing" in identity(Thing())[1]
    assert "print" in identity(print)[1]
    assert identity([].append) != identity(print)


def test_chores_run_after_all_users_functions_and_nobody_waits_for_them(thread):
    out = []
    begun, gate, stop = threading.Event(), threading.Event(), threading.Event()
    thread.put(lambda: (begun.set(), gate.wait(10)))
    assert begun.wait(10)
    thread.put_chore(lambda: (out.append("chore"), stop.wait(10)))
    thread.put(lambda: out.append("user's"))
    gate.set()
    assert thread.flush(10), "the chore is under way, or has not begun"
    assert out[0] == "user's"
    stop.set()
    assert thread.flush(10, chores=True)
    assert out == ["user's", "chore"]


def test_a_flush_of_nothing_needs_no_thread(thread):
    assert thread.flush(0)
    assert thread._thread is None


def test_a_stop_lets_the_act_end_that_runs_and_begins_no_other(thread):
    out, begun, gate = [], threading.Event(), threading.Event()
    thread.put(lambda: (begun.set(), gate.wait(10), out.append("first")))
    thread.put(lambda: out.append("second"))
    assert begun.wait(10)

    def open_once_it_stops():
        with thread._changed:
            thread._changed.wait_for(lambda: thread._stopping)
        gate.set()

    opener = threading.Thread(target=open_once_it_stops)
    opener.start()
    thread.stop()
    opener.join()
    assert out == ["first"]
    assert not thread._thread.is_alive()
