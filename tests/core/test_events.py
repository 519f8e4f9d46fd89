"""The table: what follows what, and that nothing else does."""

import pytest

from xpm_nb.core import events
from xpm_nb.core.events import (
    TABLE,
    Cancel,
    Completed,
    Failed,
    FoundDone,
    FoundFailed,
    Rerun,
    Started,
    Submit,
    Vanished,
    next_state,
    verdict,
)
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.errors import InternalError

EVENTS = sorted(events.Event.__subclasses__(), key=lambda c: c.__name__)
PAIRS = [(state, event) for state in JobState for event in EVENTS]


def ids(value):
    return value.value if isinstance(value, JobState) else value.__name__


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=ids)
def test_known_events_lead_somewhere_and_unknown_ones_raise(state, event):
    if event in TABLE[state]:
        assert next_state(state, event("k")) is TABLE[state][event]
    else:
        with pytest.raises(InternalError, match=f"{event.__name__} means nothing in state"):
            next_state(state, event("k"))


def test_cancel_is_accepted_in_every_unfinished_state_and_in_no_other():
    assert {s for s in JobState if Cancel in TABLE[s]} == {s for s in JobState if not s.final}


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TABLE[JobState.DONE] = {}  # type: ignore[index]


WAYS = {  # how to bring a fresh plan's job "k" into each state
    JobState.WAITING: [Submit("d"), Submit("k", ("d",))],
    JobState.READY: [Submit("k")],
    JobState.SCHEDULED: [Submit("k")],
    JobState.RUNNING: [Submit("k"), Started("k")],
    JobState.DONE: [FoundDone("k")],
    JobState.ERROR: [FoundFailed("k")],
}


def plan_in(state):
    plan = Plan(slots=0 if state is JobState.READY else 1)
    for event in WAYS.get(state, []):
        plan.apply(event, 0.0)
    assert plan.state("k") is state
    return plan


def snapshot(plan):
    return repr({name: getattr(plan, name) for name in vars(plan)})


UNKNOWN = [(state, event) for state, event in PAIRS if event not in TABLE[state]]


@pytest.mark.parametrize(("state", "event"), UNKNOWN, ids=ids)
def test_an_unknown_event_changes_nothing_in_the_plan(state, event):
    plan = plan_in(state)
    before = snapshot(plan)
    with pytest.raises(InternalError):
        plan.apply(event("k"), 1.0)
    assert snapshot(plan) == before


def judge(**kw):
    given = {"done": False, "failure": None, "exit_code": 0, "cancelled": False}
    return verdict("k", **(given | kw))


def test_the_marker_beats_every_other_sign():
    assert judge(done=True, exit_code=-9, cancelled=True) == Completed("k")
    failure = (FailureReason.TIMEOUT, "too long")
    assert judge(failure=failure, exit_code=0, cancelled=True) == Failed("k", *failure)


def test_without_a_marker_the_exit_code_speaks():
    ended = judge()
    assert isinstance(ended, Failed)
    assert ended.reason is FailureReason.FAILED
    assert "ended without finishing" in ended.message
    assert "exit code 3" in judge(exit_code=3).message
    lost = judge(exit_code=-9)
    assert isinstance(lost, Vanished)
    assert "signal 9" in lost.message
    assert isinstance(judge(exit_code=None), Vanished)


def test_a_job_that_we_asked_to_end_was_cancelled():
    for code in (None, 0, -15, -9, 1):
        assert judge(exit_code=code, cancelled=True).reason is FailureReason.CANCELLED


def test_rerun_is_for_jobs_that_ended():
    assert {s for s in JobState if Rerun in TABLE[s]} == {JobState.DONE, JobState.ERROR}
