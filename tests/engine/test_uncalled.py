"""Callbacks that kernels promise to call, and those that a kernel which is gone did not call."""

from __future__ import annotations

import os
import warnings

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.core.states import JobState
from xpm_nb.engine import callbacks, loop, uncalled
from xpm_nb.store import locks, told
from xpm_nb.store.records import ProcessRecord
from xpm_nb.store.told import Promised

GONE = ProcessRecord(2**22 + 1, 5, locks.boot_id(), os.uname().nodename)


def place_of(xp):
    return xp.workspace.experiment(xp.name).detached


def promised(xp):
    assert loop.current().sync(10)
    assert callbacks.current().flush(10, chores=True)
    return [whats for one in told.read_promised(place_of(xp)) for whats in one.callbacks]


def note():
    pass


def later():
    pass


def change(view):
    pass


@pytest.fixture
def tasks(xp, fake):
    """Two that run, with callbacks that are promised."""
    tasks = [Learn.C(lr=lr).submit() for lr in (1, 2)]
    fake.wait_for(2)
    for task in tasks:
        task.on_completed(note)
        task.on_state(change)
    told.try_lock(place_of(xp)).release()  # makes the directory
    uncalled.promise(place_of(xp), [task.job.entry for task in tasks])
    return tasks


def both(task):
    return [(task.job.key, "on_completed(note)"), (task.job.key, "on_state(change)")]


def test_what_was_called_is_not_promised_any_more(xp, fake, tasks):
    first, second = tasks
    assert promised(xp) == [*both(first), *both(second)]
    fake.finish(first.job.identifier)
    assert first.job.wait(10) is JobState.DONE
    assert promised(xp) == both(second)
    fake.fail(second.job.identifier)
    assert second.job.wait(10) is JobState.ERROR
    assert promised(xp) == both(second)[:1], "it is still to end well"


def test_only_what_is_new_is_promised_again(xp, tasks):
    before = place_of(xp).callbacks.read_text()
    uncalled.promise(place_of(xp), [task.job.entry for task in tasks])
    assert place_of(xp).callbacks.read_text() == before
    tasks[0].on_completed(later)
    uncalled.promise(place_of(xp), [task.job.entry for task in tasks])
    assert promised(xp)[-1] == (tasks[0].job.key, "on_completed(later)")
    assert len(promised(xp)) == 5


def reported(xp):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        uncalled.report(xp.name, xp.workspace)
    return [str(one.message) for one in caught]


def test_those_of_a_kernel_that_is_gone_are_told_once(xp, fake, tasks):
    first, second = tasks
    fake.finish(first.job.identifier)
    fake.fail(second.job.identifier)
    xp.wait(10)
    assert promised(xp) == both(second)[:1]  # that the others were called is noted by now
    assert reported(xp) == [], "ours live"
    told.add_promised(place_of(xp), Promised(GONE, tuple(both(first) + both(second))))
    told.add_called(place_of(xp), Promised(GONE, tuple(both(first)[1:])))
    (text,) = reported(xp)
    assert text == (
        "tour: 2 callbacks are not called, as the kernel that had them is gone: on_completed(note) "
        f"of {first.job.identifier[:8]}, on_state(change) of {second.job.identifier[:8]}; run the "
        "cells again that register them, and they are called"
    ), "a job in error has no good end that would be called for"
    assert reported(xp) == []
    assert promised(xp) == both(second)[:1], "those of kernels that live are kept"


def test_who_finishes_the_experiment_says_nothing(xp):
    place = place_of(xp)
    lock = told.try_lock(place)
    told.write_process(place, locks.myself())
    told.add_promised(place, Promised(GONE, (("m.learn/" + "0" * 64, "on_completed(note)"),)))
    assert reported(xp) == []
    lock.release()
    assert len(reported(xp)) == 1
    assert not place.callbacks.exists()


def test_jobs_that_cannot_be_looked_at_are_left_out(xp):
    told.try_lock(place_of(xp)).release()
    told.add_promised(place_of(xp), Promised(GONE, (("nonsense", "on_completed(note)"),)))
    assert reported(xp) == []
