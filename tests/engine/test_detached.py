"""Following an experiment to its end, and being the one that finishes it."""

from __future__ import annotations

import threading

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.core.states import JobState
from xpm_nb.engine import detached, loop
from xpm_nb.engine.detached import Following, finishing
from xpm_nb.engine.messages import CancelJobs
from xpm_nb.errors import LaunchError, WorkspaceError
from xpm_nb.store import locks, told


class Follower:
    """Follows in a thread of its own, as its process would in its main thread."""

    def __init__(self, xp):
        assert xp._loop.sync(10)
        self.said = []
        self._changed = threading.Condition()
        self.following = Following(xp, self._say)
        self.thread = threading.Thread(target=self.following.run)
        self.thread.start()

    def _say(self, view):
        with self._changed:
            self.said.append((view.identifier, view.state.value))
            self._changed.notify_all()

    def wait_said(self, task, state):
        what = (task.job.identifier, state)
        with self._changed:
            assert self._changed.wait_for(lambda: what in self.said, 10), self.said


def counts(following):
    return {state: count for state, count in following.counts.items() if count}


def test_it_is_over_when_nothing_is_under_way(xp, fake):
    first, second, third = [Learn.C(lr=lr).submit() for lr in (1, 2, 3)]
    fake.wait_for(2)
    follower = Follower(xp)
    assert counts(follower.following) == {"running": 2, "ready": 1}
    assert not follower.following.over
    fake.finish(first.job.identifier)
    follower.wait_said(first, "done")
    follower.wait_said(third, "running")
    late = Learn.C(lr=4).submit()  # what is submitted meanwhile is followed, too
    fake.finish(second.job.identifier)
    follower.wait_said(late, "running")
    fake.finish(third.job.identifier)
    assert follower.thread.is_alive()
    fake.finish(late.job.identifier)
    follower.thread.join(10)
    assert not follower.thread.is_alive()
    assert follower.following.over
    assert follower.following.good
    assert counts(follower.following) == {"done": 4}
    ends = [identifier for identifier, state in follower.said if state == "done"]
    assert sorted(ends) == sorted(t.job.identifier for t in (first, second, third, late))


def test_failures_are_not_good(xp, fake):
    task = Learn.C(lr=1).submit()
    fake.wait_for(1)
    follower = Follower(xp)
    fake.fail(task.job.identifier)
    follower.thread.join(10)
    assert not follower.thread.is_alive()
    assert not follower.following.good
    assert follower.said == [(task.job.identifier, "error")]


def test_what_was_over_before_is_not_told(xp, fake):
    task = Learn.C(lr=1).submit()
    fake.wait_for(1)
    fake.finish(task.job.identifier)
    assert task.job.wait(10) is JobState.DONE
    follower = Follower(xp)
    follower.thread.join(10)
    assert not follower.thread.is_alive()
    assert follower.said == []
    assert counts(follower.following) == {"done": 1}


def test_a_job_that_is_run_again_is_followed_again(xp, fake, monkeypatch):
    monkeypatch.setattr(detached, "LOOK_S", 0.05)
    first, second = [Learn.C(lr=lr).submit() for lr in (1, 2)]
    fake.wait_for(2)
    follower = Follower(xp)
    fake.finish(first.job.identifier)
    follower.wait_said(first, "done")
    first.job.rerun()
    fake.wait_for(3)
    loop.current().post(CancelJobs((second.job.entry,)))
    follower.wait_said(second, "error")
    assert follower.thread.is_alive()
    fake.finish(fake.handles[2])
    follower.thread.join(10)
    assert not follower.thread.is_alive()
    assert [state for key, state in follower.said if key == first.job.identifier][-1] == "done"


@pytest.fixture
def place(xp):
    return xp.workspace.experiment("tour").detached


def test_one_process_finishes_an_experiment(place):
    with finishing(place) as other:
        assert other is None
        assert told.finisher(place) == locks.myself()
        with finishing(place) as other:
            assert other == locks.myself(), "as another process would be told"
        assert told.finisher(place) is not None, "who only follows takes nothing away"
    assert told.finisher(place) is None


def test_who_has_the_lock_and_does_not_say_who_it_is(place, monkeypatch):
    monkeypatch.setattr(detached, "WHO_S", 0.0)
    lock = told.try_lock(place)
    with pytest.raises(LaunchError, match="does not say which it is"), finishing(place):
        pass
    lock.release()


def test_who_is_about_to_say_who_it_is_is_waited_for(place, monkeypatch):
    lock = told.try_lock(place)
    seen = []

    def sleep(seconds):  # it says so meanwhile
        seen.append(seconds)
        told.write_process(place, locks.myself())

    monkeypatch.setattr(detached.time, "sleep", sleep)
    with finishing(place) as other:
        assert other == locks.myself()
    assert len(seen) == 1
    lock.release()


def test_the_lock_of_a_workspace_that_was_moved_meanwhile(xp, place):
    lock = told.try_lock(place)
    xp.workspace.root.rename(xp.workspace.root.with_name("away"))
    place.path.mkdir(parents=True)
    place.lock.touch()
    said = "it was moved or deleted as this process began"
    with pytest.raises(WorkspaceError, match=said), finishing(place, lock.fileno()):
        pytest.fail("it goes on in another one")
    lock.release()
    assert not place.process.exists()
