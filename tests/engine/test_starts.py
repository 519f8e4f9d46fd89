"""What starts has its inputs: what became of a result since it was done is seen at the last moment.

B is done and c needs it; c waits for the only slot, in which a runs, while another process takes
the result of b away and tells nobody.
"""

from __future__ import annotations

import contextlib
import shutil

import pytest

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import looking
from xpm_nb.engine.arrivals import Arrivals
from xpm_nb.engine.starts import Starts
from xpm_nb.store import attempts, leaving, locks, records, removal, tokens
from xpm_nb.store.records import Disowned
from xpm_nb.store.tokens import Need

REMOVE = {"transient": "remove"}
GPU = {"tokens": {"gpu": 1}}


@contextlib.contextmanager
def lock_of(paths):
    lock = locks.try_lock(paths)
    assert lock is not None
    try:
        yield
    finally:
        lock.release()


@pytest.fixture
def waiting(desk):
    desk.submit("b")
    finish(desk, "b")
    desk.submit("a")
    desk.launcher.wait_for(2)
    desk.submit("c", "b")
    assert desk.states("abc") == ["running", "done", "ready"]
    return desk


def finish(desk, name):
    desk.launcher.wait_for(1)
    desk.sync()  # that it runs is known
    desk.launcher.finish(desk.launcher.running(f"t.{name}"))
    assert desk.settled(name) is JobState.DONE


def test_what_was_disowned_is_no_input(waiting):
    paths = waiting.paths("b")
    with lock_of(paths):
        attempts.disown(paths, Disowned("eve", 1.0, "bad data"))
    finish(waiting, "a")
    assert waiting.settled("c") is JobState.ERROR
    assert waiting.started() == ["b", "a"]
    assert waiting.view("b").reason is FailureReason.DISOWNED
    view = waiting.view("c")
    assert view.reason is FailureReason.DEPENDENCY
    assert view.message == f"needs b {paths.identifier[:8]}, which was disowned by eve: bad data"


def test_what_was_removed_is_made_again(waiting):
    paths = waiting.paths("b")
    with lock_of(paths):
        removal.remove_files(paths)
    finish(waiting, "a")
    waiting.launcher.wait_for(3)
    assert waiting.states("bc") == ["running", "waiting"]
    finish(waiting, "b")
    waiting.launcher.wait_for(4)
    assert waiting.started() == ["b", "a", "b", "c"]


def test_what_was_deleted_has_to_be_submitted_again(waiting):
    shutil.rmtree(waiting.paths("b").path)
    finish(waiting, "a")
    assert waiting.settled("c") is JobState.ERROR
    view = waiting.view("b")
    assert (view.reason, view.state) == (FailureReason.LOST, JobState.ERROR)
    assert view.message == "its files were deleted: submit the task again"
    waiting.submit("b")
    waiting.retry("c")
    waiting.launcher.wait_for(3)
    finish(waiting, "b")
    waiting.launcher.wait_for(4)
    assert waiting.started() == ["b", "a", "b", "c"]


def test_what_runs_again_elsewhere_is_waited_for(waiting):
    paths = waiting.paths("b")
    with lock_of(paths):
        attempts.archive_attempt(paths)
        finish(waiting, "a")
        waiting.sync()
        assert waiting.states("bc") == ["running", "waiting"]
        records.write_done(paths)
    waiting.clock.advance(5)
    assert waiting.settled("b") is JobState.DONE
    waiting.launcher.wait_for(3)
    assert waiting.started() == ["b", "a", "c"]


def test_what_somebody_is_about_to_take_away_is_waited_for(waiting, monkeypatch):
    monkeypatch.setattr(leaving, "WAIT_S", 0.0)
    paths = waiting.paths("b")
    with lock_of(paths), leaving.announced(paths):
        finish(waiting, "a")
        assert waiting.started() == ["b", "a"]
        assert waiting.states("bc") == ["running", "waiting"]
    waiting.clock.advance(5)  # it was left alone
    waiting.launcher.wait_for(3)
    assert waiting.started() == ["b", "a", "c"]
    assert waiting.view("b").state is JobState.DONE


def test_what_cannot_be_looked_at_is_told_and_not_asked_for_ever(waiting, monkeypatch):
    def broken(self, entry):
        raise OSError("no luck")

    monkeypatch.setattr("xpm_nb.engine.arrivals.Arrivals.look_again", broken)
    waiting.paths("b").done.unlink()
    finish(waiting, "a")
    assert waiting.settled("c") is JobState.ERROR
    assert waiting.view("c").reason is FailureReason.DEPENDENCY
    needed = waiting.view("b")
    assert (needed.state, needed.reason) == (JobState.ERROR, FailureReason.REJECTED)
    assert "no luck" in needed.message


def test_what_is_taken_away_right_after_a_look_is_looked_at_once_more(waiting, monkeypatch):
    """At the first start somebody is about to take it away; he does so after we looked again."""
    paths, there = waiting.paths("b"), [False]

    def is_there(paths):
        return there.pop() if there else records.is_done(paths)

    look = Arrivals.look_again

    def look_again(self, entry):
        look(self, entry)
        if paths.done.exists():
            with lock_of(paths):
                removal.remove_files(paths)

    monkeypatch.setattr(leaving, "is_there", is_there)
    monkeypatch.setattr(Arrivals, "look_again", look_again)
    finish(waiting, "a")
    waiting.launcher.wait_for(3)
    assert waiting.states("bc") == ["running", "waiting"]


def test_a_hint_of_another_process_is_enough(waiting):
    """That is, before the job that needs it is about to start."""
    paths = waiting.paths("b")
    with lock_of(paths):
        attempts.disown(paths, Disowned("eve", 1.0, "bad data"))
    starts = waiting.loop._scheduler
    assert isinstance(starts._starts, Starts)
    starts._notice(waiting.entry("b"))
    waiting.sync()
    assert waiting.settled("c") is JobState.ERROR
    assert waiting.view("a").state is JobState.RUNNING


# -- taken up while it is being written ---------------------------------------------------------


@contextlib.contextmanager
def being_written(desk, name):
    """Another kernel has the lock of a job and has not written the record of it."""
    paths = desk.paths(name)
    kept = paths.record.rename(paths.path / "kept.json")
    with lock_of(paths):
        yield
        kept.rename(paths.record)


def let_go(desk):
    """Have it noticed that whoever held a job holds it no more."""
    desk.clock.advance(1)
    desk.sync()


def test_who_looked_before_the_record_was_written_learns_what_a_job_needs(make_desk):
    desk = make_desk(slots=0)
    tokens.set_total(desk.workspace, "gpu", 1)
    desk.submit("b")
    desk.submit("c", "b", record=GPU)
    desk.submit("d", "c")
    desk.sync()
    desk.restart(slots=2)
    with being_written(desk, "c"):
        desk.open("c", "d")
        assert desk.states("cd") == ["running", "waiting"], "somebody has it"
    let_go(desk)
    assert desk.states("bcd") == ["running", "waiting", "waiting"]
    assert desk.view("c").task == "C"
    finish(desk, "b")
    desk.launcher.wait_for(2)
    assert desk.states("cd") == ["running", "waiting"]
    other = desk.paths("x").create()
    with lock_of(other):
        taken = tokens.take(other, [Need("gpu", 1)], since=0.0, now=desk.clock.time())
    assert taken is not None, "c has it"
    finish(desk, "c")
    desk.launcher.wait_for(3)
    assert desk.started() == ["b", "c", "d"]


def test_what_somebody_runs_is_known_as_soon_as_its_record_is_there(make_desk):
    desk = make_desk(slots=2)
    tokens.set_total(desk.workspace, "gpu", 1)
    desk.submit("b")
    finish(desk, "b")
    desk.submit("c", "b", record=GPU)
    desk.launcher.wait_for(2)
    desk.sync()
    desk.restart(slots=2)
    record = desk.paths("c").record
    kept = record.rename(record.with_name("kept.json"))
    desk.open("c")
    desk.clock.advance(1)
    assert (desk.view("c").state, desk.view("c").tags) == (JobState.RUNNING, ())
    kept.rename(record)
    desk.clock.advance(2)
    view = desk.view("c")
    assert (view.state, view.task, view.tags) == (JobState.RUNNING, "C", (("n", "c"),))
    plan = desk.loop._scheduler.plan
    assert plan.dependencies(desk.entry("c").id) == (desk.entry("b").id,)
    desk.submit("d", record=GPU)
    assert desk.states("bcd") == ["done", "running", "ready"], "c has the only one"
    desk.launcher.finish("t.c")
    desk.clock.advance(2)
    assert desk.settled("c") is JobState.DONE
    desk.launcher.wait_for(3)
    assert desk.started() == ["b", "c", "d"]


@pytest.mark.parametrize("needed", [False, True], ids=["alone", "needed"])
def test_what_may_be_left_out_is_so_also_if_only_its_record_says_so(make_desk, needed):
    desk = make_desk(slots=0)
    desk.submit("b")
    desk.submit("c", "b", record=REMOVE)
    desk.submit("d", "c")
    desk.sync()
    desk.restart(slots=2)
    with being_written(desk, "c"):
        desk.open(*"cd"[: 1 + needed])
    let_go(desk)
    if not needed:
        assert desk.states("c") == ["unscheduled"]
        desk.submit("d", "c")
    desk.launcher.wait_for(1)
    assert desk.states("bcd") == ["running", "waiting", "waiting"]
    finish(desk, "b")
    desk.launcher.wait_for(2)
    assert desk.started() == ["b", "c"]


def test_whose_record_never_comes_is_to_be_submitted_again(make_desk):
    desk = make_desk(slots=0)
    desk.submit("c")
    desk.submit("d", "c")
    desk.sync()
    desk.restart(slots=2)
    desk.paths("c").record.unlink()
    with lock_of(desk.paths("c")):
        desk.open("c", "d")
        assert desk.states("cd") == ["running", "waiting"]
    let_go(desk)
    view = desk.view("c")
    assert (view.state, view.reason) == (JobState.ERROR, FailureReason.LOST)
    assert view.message == "its directory has no record; submit the task again"
    assert not desk.paths("c").failed.exists(), "another kernel may know better"
    assert desk.view("d").reason is FailureReason.DEPENDENCY
    desk.submit("c")
    desk.retry("d")
    desk.launcher.wait_for(1)
    finish(desk, "c")
    desk.launcher.wait_for(2)
    assert desk.started() == ["c", "d"]


# -- taking away --------------------------------------------------------------------------------


@pytest.fixture
def spent(make_desk):
    """B was run to be removed, and c, which needs it, runs."""
    desk = make_desk(slots=2)
    desk.submit("b", record=REMOVE)
    desk.submit("c", "b")
    finish(desk, "b")
    desk.launcher.wait_for(2)
    return desk


def test_files_that_somebody_needs_for_a_moment_more_go_then(spent):
    with lock_of(spent.paths("b")):
        finish(spent, "c")
        view = spent.view("b")
        assert view.state is JobState.DONE
        assert view.message == "its files stay: another process is at it"
        spent.clock.advance(1)
        assert spent.view("b").state is JobState.DONE
    spent.clock.advance(1)
    assert spent.view("b").state is JobState.UNSCHEDULED
    assert not spent.paths("b").done.exists()
    (removal,) = records.read_removals(spent.paths("b"))
    assert (removal.attempt, removal.submitted) == (1, 1_000_000.0)


def test_files_that_are_needed_for_long_are_not_asked_for_for_ever(spent):
    with lock_of(spent.paths("b")):
        finish(spent, "c")
        for _ in range(100):
            spent.clock.advance(2)
            spent.sync()
    assert spent.loop._scheduler._starts.next_deadline() is None
    assert spent.view("b").state is JobState.DONE


@pytest.mark.parametrize("told", [False, True], ids=["", "by a hint"])
def test_files_that_another_process_is_removing_are_not_made_again(spent, told):
    """Who holds the lock to remove them is not about to run the job."""
    paths = spent.paths("b")
    with lock_of(paths):
        if told:
            finish(spent, "c")
        records.add_removal(paths, records.Removal())
        removal.remove_files(paths)
        if told:
            spent.loop._scheduler._notice(spent.entry("b"))
        else:
            finish(spent, "c")
        assert spent.states("b") == ["running"], "somebody has it"
    for _ in range(10):
        spent.clock.advance(2)
        spent.sync()
    view = spent.view("b")
    assert (view.state, view.message) == (JobState.UNSCHEDULED, looking.REMOVED)
    assert spent.started() == ["b", "c"]
    spent.submit("d", "b")
    spent.launcher.wait_for(3)
    assert spent.started() == ["b", "c", "b"], "it is made again for who needs it"


def test_files_that_another_process_removed_are_known_to_be_gone(spent):
    paths = spent.paths("b")
    with lock_of(paths):
        finish(spent, "c")
        assert spent.view("b").state is JobState.DONE
        records.add_removal(paths, records.Removal())
        removal.remove_files(paths)
    spent.clock.advance(1)
    view = spent.view("b")
    assert view.state is JobState.UNSCHEDULED
    assert view.message == "transient: its files were removed, as all that needed them is done"


def removed_where_it_was_found_done(spent, **record):
    """The kernel that removes b has not run it: c, which needs b, failed in another one."""
    spent.launcher.running("t.c").end(1)
    assert spent.settled("c") is JobState.ERROR
    spent.restart(slots=2)
    spent.submit("b", record=REMOVE | record)
    spent.submit("c", "b")
    spent.launcher.wait_for(3)
    finish(spent, "c")
    assert spent.view("b").state is JobState.UNSCHEDULED


def test_what_was_removed_runs_again_when_a_job_needs_it(spent):
    removed_where_it_was_found_done(spent)
    spent.submit("d", "b")
    assert spent.states("bd") == ["running", "waiting"]
    finish(spent, "b")
    spent.launcher.wait_for(5)
    assert spent.started() == ["b", "c", "c", "b", "d"]


def test_what_was_removed_waits_for_its_share_when_a_job_needs_it(make_desk):
    desk = make_desk(slots=2)
    tokens.set_total(desk.workspace, "gpu", 1)
    desk.submit("b", record=REMOVE | GPU)
    desk.submit("c", "b")
    finish(desk, "b")
    desk.launcher.wait_for(2)
    removed_where_it_was_found_done(desk, **GPU)
    other = desk.paths("x").create()
    with lock_of(other):
        assert tokens.take(other, [Need("gpu", 1)], since=0.0, now=desk.clock.time()) is None
        desk.submit("d", "b")
        assert desk.states("bd") == ["ready", "waiting"]
    desk.clock.advance(60)
    assert desk.states("bd") == ["running", "waiting"]


def test_a_result_that_was_run_to_stay_stays(make_desk):
    desk = make_desk()
    desk.submit("b")
    finish(desk, "b")
    desk.submit("b", record=REMOVE)
    desk.submit("c", "b")
    desk.launcher.wait_for(2)
    finish(desk, "c")
    view = desk.view("b")
    assert view.state is JobState.DONE
    assert view.message == "its files stay: it was run without the wish to remove them"
    assert desk.loop._scheduler._starts.next_deadline() is None
