"""The plan: events in, effects out. No clock, no file, no thread."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from xpm_nb.core.events import (
    Attached,
    Cancel,
    Completed,
    Failed,
    FoundDone,
    FoundFailed,
    Kill,
    Launch,
    Moved,
    Refused,
    Rejected,
    Released,
    Remove,
    Removed,
    Rerun,
    Retry,
    Started,
    Submit,
    TimeLimit,
    Vanished,
)
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.errors import InternalError

# Who ends an example in the midst of its draws is told that its strategies are flaky.
LONG_S = 900


def play(plan, *events, now=0.0):
    effects = []
    for event in events:
        effects += plan.apply(event, now)
    return effects


def launched(effects):
    return [e.key for e in effects if isinstance(e, Launch)]


def test_a_job_without_dependencies_goes_straight_to_the_launcher():
    plan = Plan(slots=1)
    assert play(plan, Submit("a")) == [
        Moved("a", JobState.UNSCHEDULED, JobState.WAITING),
        Moved("a", JobState.WAITING, JobState.READY),
        Moved("a", JobState.READY, JobState.SCHEDULED),
        Launch("a"),
    ]


def test_a_dependent_starts_when_the_last_of_its_dependencies_is_done():
    plan = Plan(slots=4)
    play(plan, Submit("a"), Submit("b"), Submit("c", ("a", "b")))
    assert launched(play(plan, Started("a"), Completed("a"))) == []
    assert plan.state("c") is JobState.WAITING
    assert launched(play(plan, Completed("b"))) == ["c"]


def test_slots_are_given_in_the_order_of_submission():
    plan = Plan(slots=2)
    assert launched(play(plan, *(Submit(k) for k in "abcd"))) == ["a", "b"]
    assert launched(play(plan, Vanished("b"))) == ["c"]
    assert launched(plan.set_slots(4)) == ["d"]
    assert (plan.used, plan.slots) == (3, 4)


def test_what_needs_a_failed_job_is_in_error_all_the_way_down():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Submit("b", ("a",)), Submit("c", ("b",)))
    play(plan, Started("a"), Failed("a", FailureReason.FAILED, "ValueError: no"))
    assert plan.message("a") == "ValueError: no"
    for key, by in (("b", "a"), ("c", "b")):
        assert plan.state(key) is JobState.ERROR
        assert plan.reason(key) is FailureReason.DEPENDENCY
        assert by in plan.message(key)
    play(plan, Submit("d", ("c",)))  # submitted when the harm is done
    assert plan.reason("d") is FailureReason.DEPENDENCY
    assert plan.used == 0


def test_submitting_again_joins_what_runs_and_runs_again_what_failed():
    plan = Plan(slots=1)
    play(plan, Submit("a"))
    assert play(plan, Submit("a"), Started("a"), Submit("a")) == [
        Moved("a", JobState.SCHEDULED, JobState.RUNNING)
    ]
    play(plan, Failed("a"))
    assert launched(play(plan, Submit("a"))) == ["a"]
    play(plan, Completed("a"))
    assert play(plan, Submit("a")) == []


def test_a_job_found_done_frees_those_that_need_it():
    plan = Plan(slots=1)
    play(plan, FoundDone("a"), Submit("b", ("a",)))
    assert plan.state("b") is JobState.SCHEDULED


def test_a_job_that_runs_elsewhere_holds_no_slot_unless_it_is_ours():
    plan = Plan(slots=1)
    play(plan, Attached("a"), Submit("b"))
    assert plan.state("b") is JobState.SCHEDULED
    plan = Plan(slots=1)
    play(plan, Attached("a", slot=True), Submit("b"))
    assert plan.state("b") is JobState.READY
    assert launched(play(plan, Completed("a"))) == ["b"]


def test_the_loser_of_a_race_gives_its_slot_back():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Submit("b"))
    assert launched(play(plan, Attached("a"))) == ["b"]
    play(plan, Released("a"))  # the winner let go: our turn again, when there is room
    assert plan.state("a") is JobState.READY
    assert launched(play(plan, Completed("b"))) == ["a"]


def test_cancel_before_the_launch_ends_it_at_once():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Submit("b"), Submit("c", ("b",)))
    assert Kill("b") not in play(plan, Cancel("b"))
    assert plan.reason("b") is FailureReason.CANCELLED
    assert plan.reason("c") is FailureReason.DEPENDENCY


def test_cancel_of_a_running_job_asks_once_then_kills():
    plan = Plan(slots=1, grace_s=5)
    play(plan, Submit("a"), Started("a"))
    assert plan.next_deadline() is None
    assert play(plan, Cancel("a"), Cancel("a"), now=10) == [Kill("a")]
    assert plan.next_deadline() == 15
    assert plan.tick(14.9) == []
    assert plan.tick(15) == [Kill("a", force=True)]
    assert plan.tick(16) == []
    play(plan, Vanished("a", "its process was ended by signal 9"))
    assert plan.reason("a") is FailureReason.CANCELLED


def test_a_job_that_finishes_although_cancelled_is_done():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Started("a"), Cancel("a"), Completed("a"))
    assert plan.state("a") is JobState.DONE
    assert plan.next_deadline() is None


TIMEOUT = FailureReason.TIMEOUT


def test_at_its_time_limit_a_job_is_asked_to_end_then_killed():
    plan = Plan(slots=1, grace_s=5)
    play(plan, Submit("a"), Started("a"), TimeLimit("a", 100.0))
    assert plan.next_deadline() == 100
    assert plan.tick(99.9) == []
    assert plan.asked_to_end("a") is None
    assert plan.tick(100) == [Kill("a", reason=TIMEOUT)]
    assert plan.asked_to_end("a") is TIMEOUT
    play(plan, TimeLimit("a", 100.0), now=101)  # found again: it has been told
    assert plan.next_deadline() == 105
    assert plan.tick(105) == [Kill("a", force=True, reason=TIMEOUT)]
    assert plan.next_deadline() is None
    play(plan, Failed("a", TIMEOUT, "too long"))
    assert (plan.state("a"), plan.reason("a")) == (JobState.ERROR, TIMEOUT)


def test_a_job_that_may_be_run_again_goes_on_at_once_and_what_needs_it_waits():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Submit("b", ("a",)), Started("a"), TimeLimit("a", 10.0))
    assert play(plan, Failed("a", TIMEOUT, "too long", retries=2)) == [
        Retry("a"),
        Moved("a", JobState.RUNNING, JobState.WAITING),
        Moved("a", JobState.WAITING, JobState.READY),
        Moved("a", JobState.READY, JobState.SCHEDULED),
        Launch("a"),
    ]
    assert plan.state("b") is JobState.WAITING
    assert plan.next_deadline() is None, "the limit was that of the attempt before"
    play(plan, Started("a"), Failed("a", TIMEOUT, "too long"))
    assert [plan.reason(k) for k in "ab"] == [TIMEOUT, FailureReason.DEPENDENCY]


def test_only_a_time_limit_is_a_reason_to_run_again():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Started("a"), Failed("a", FailureReason.FAILED, "no", retries=3))
    assert plan.reason("a") is FailureReason.FAILED


def test_cancel_ends_a_job_that_would_be_run_again():
    plan = Plan(slots=1, grace_s=5)
    play(plan, Submit("a"), Started("a"), TimeLimit("a", 10.0))
    assert plan.tick(10) == [Kill("a", reason=TIMEOUT)]
    assert play(plan, Cancel("a"), now=12) == [Kill("a")]
    assert plan.next_deadline() == 15, "no more time than it had"
    play(plan, Failed("a", TIMEOUT, "too long", retries=2))
    assert plan.reason("a") is FailureReason.CANCELLED
    play(plan, Submit("a"), Submit("b"))
    play(plan, Started("a"), Failed("a", TIMEOUT, retries=1))  # b has not ended
    assert plan.state("a") is JobState.SCHEDULED


def test_a_job_that_ended_while_nobody_looked_is_run_again_too():
    plan = Plan(slots=1)
    play(plan, Submit("x"), FoundFailed("a", (), TIMEOUT, "too long", 1))
    assert plan.state("a") is JobState.READY
    play(plan, Cancel("a"))
    assert plan.reason("a") is FailureReason.CANCELLED


def with_transient(*keys, mode=TransientMode.TRANSIENT, slots=4):
    plan = Plan(slots=slots)
    for key in keys:
        plan.set_transient(key, mode)
    return plan


def states(plan, keys):
    return [plan.state(key).value for key in keys]


def test_a_transient_job_runs_only_when_one_that_is_not_needs_it():
    plan = with_transient("a", "b")
    assert play(plan, Submit("a"), Submit("b", ("a",))) == []
    assert states(plan, "ab") == ["unscheduled", "unscheduled"]
    assert launched(play(plan, Submit("c", ("b",)))) == ["a"]
    assert states(plan, "abc") == ["scheduled", "waiting", "waiting"]
    assert launched(play(plan, Started("a"), Completed("a"))) == ["b"]
    assert launched(play(plan, Started("b"), Completed("b"))) == ["c"]


def test_a_transient_job_that_somebody_let_go_of_runs_only_for_who_waits_for_it():
    plan = with_transient("a")
    play(plan, Submit("a"), Submit("b", ("a",)), Started("a"), Completed("a"))
    play(plan, Started("b"), Completed("b"), Attached("a"))  # to take its files away
    assert play(plan, Released("a")) == [Moved("a", JobState.RUNNING, JobState.UNSCHEDULED)]
    play(plan, FoundDone("a"), Attached("a"), Submit("c", ("a",)))
    assert launched(play(plan, Released("a"))) == ["a"]
    assert states(plan, "abc") == ["scheduled", "done", "waiting"]


def test_a_transient_job_that_is_run_again_is_so_also_if_somebody_had_it_for_a_moment():
    plan = with_transient("a")
    assert launched(play(plan, FoundDone("a"), Rerun("a"))) == ["a"]
    assert launched(play(plan, Attached("a"), Released("a"))) == ["a"]


def test_what_is_done_needs_no_transient_job():
    plan = with_transient("a")
    play(plan, Submit("a"), FoundDone("b", ("a",)))
    assert states(plan, "ab") == ["unscheduled", "done"]
    assert launched(play(plan, Rerun("b"))) == ["a"]


def test_asked_for_without_the_mode_it_is_run():
    plan = with_transient("a")
    play(plan, Submit("a"))
    plan.set_transient("a", TransientMode.NONE)
    assert launched(play(plan, Submit("a"))) == ["a"]


def test_a_failed_transient_job_is_run_again_with_what_needs_it():
    plan = with_transient("a")
    play(plan, Submit("a"), Submit("b", ("a",)), Started("a"), Failed("a"))
    assert plan.reason("b") is FailureReason.DEPENDENCY
    assert plan.rerun_set(["b"]) == ["a", "b"]
    assert play(plan, Submit("a")) == [Moved("a", JobState.ERROR, JobState.UNSCHEDULED)]
    assert launched(play(plan, Submit("b", ("a",)))) == ["a"]


def test_files_go_when_all_that_needs_them_is_done_and_come_back_when_needed():
    plan = with_transient("a", mode=TransientMode.REMOVE)
    play(plan, Submit("a"), Submit("b", ("a",)), Submit("c", ("a",)), Started("a"), Completed("a"))
    assert Remove("a") not in play(plan, Started("b"), Completed("b"))
    assert play(plan, Started("c"), Completed("c"))[-1] == Remove("a")
    assert plan.state("a") is JobState.DONE, "whether it goes, the workspace tells"
    assert play(plan, Removed("a")) == [Moved("a", JobState.DONE, JobState.UNSCHEDULED)]
    assert launched(play(plan, Submit("d", ("a",)))) == ["a"]
    play(plan, Completed("a"), Failed("d"))
    assert plan.state("a") is JobState.DONE, "d may be tried again"


def test_files_stay_for_a_failed_job_that_needs_them_only_since():
    plan = with_transient("a", mode=TransientMode.REMOVE)
    play(plan, Submit("a"), Submit("b", ("a",)), Submit("c"), Started("c"), Failed("c"))
    play(plan, Started("a"), Completed("a"), FoundFailed("c", ("a",)))
    plan.validate()
    assert Remove("a") not in play(plan, Started("b"), Completed("b"))
    assert Remove("a") in play(plan, Submit("c", ("a",)), Started("c"), Completed("c"))
    plan.validate()


def test_nothing_is_removed_for_jobs_that_are_only_found_done():
    plan = with_transient("a", mode=TransientMode.REMOVE)
    assert play(plan, FoundDone("a"), FoundDone("b", ("a",)), Submit("c", ("a",)))[-1] == Launch(
        "c"
    )
    assert plan.state("a") is JobState.DONE


def test_rejected_and_lost_have_their_reasons():
    plan = Plan(slots=2)
    play(plan, Submit("a"), Submit("b"))
    play(plan, Rejected("a", "no python"), Vanished("b", "gone"))
    assert (plan.reason("a"), plan.message("a")) == (FailureReason.REJECTED, "no python")
    assert (plan.reason("b"), plan.message("b")) == (FailureReason.LOST, "gone")


def test_running_a_done_job_again_holds_back_those_that_need_it():
    plan = Plan(slots=1)
    play(plan, Submit("x"), FoundDone("a"), Submit("b", ("a",)))
    assert plan.state("b") is JobState.READY
    play(plan, Rerun("a"))
    assert plan.state("b") is JobState.WAITING
    assert launched(play(plan, Completed("x"))) == ["a"]
    assert launched(play(plan, Completed("a"))) == ["b"]


def test_running_a_job_again_takes_what_it_needs_by_then():
    plan = Plan(slots=4)
    play(plan, FoundDone("b", ("a",)), FoundDone("a"))
    assert plan.dependencies("b") == (), "it was met before what it needed"
    play(plan, Rerun("a", ()), Rerun("b", ("a",)))
    assert [plan.state(k).value for k in "ab"] == ["scheduled", "waiting"]
    assert launched(play(plan, Completed("a"))) == ["b"]
    with pytest.raises(InternalError, match="not known"):
        play(plan, Rerun("a", ("nobody",)))
    with pytest.raises(InternalError, match="need itself"):
        play(plan, Rerun("a", ("b",)))
    assert plan.state("a") is JobState.DONE


def test_the_rerun_set_goes_up_to_the_causes_and_down_to_what_they_stopped():
    plan = Plan(slots=4)
    play(plan, Submit("a"), Submit("b", ("a",)), Submit("c", ("b",)), Submit("z"))
    play(plan, Failed("a"), Failed("z"))
    assert plan.rerun_set(["b"]) == ["a", "b", "c"]
    assert plan.rerun_set(["a"]) == ["a", "b", "c"]
    assert plan.rerun_set(["z", "nobody"]) == ["z"]
    play(plan, *(Rerun(k) for k in plan.rerun_set(["c"])))
    assert [plan.state(k).value for k in "abc"] == ["scheduled", "waiting", "waiting"]


def test_a_dependency_must_be_known_and_no_job_needs_itself():
    plan = Plan()
    with pytest.raises(InternalError, match="not known"):
        plan.apply(Submit("a", ("b",)), 0.0)
    assert "a" not in plan
    with pytest.raises(InternalError, match=r"not known|need itself"):
        plan.apply(Submit("a", ("a",)), 0.0)
    play(plan, FoundFailed("a"), FoundFailed("b", ("a",)))
    with pytest.raises(InternalError, match="need itself"):
        plan.apply(Submit("a", ("b",)), 0.0)
    assert plan.state("a") is JobState.ERROR
    assert plan.dependencies("a") == ()


def test_a_long_chain_needs_no_deep_stack():
    plan = Plan(slots=1)
    keys = [str(i) for i in range(5000)]
    play(plan, Submit("0"), *(Submit(b, (a,)) for a, b in pairwise(keys)))
    play(plan, Started("0"), Failed("0"))
    assert all(plan.reason(k) is FailureReason.DEPENDENCY for k in keys[1:])
    assert plan.rerun_set(["4999"]) == keys


def test_who_is_refused_waits_for_what_is_run_again_meanwhile():
    plan = Plan(slots=4)
    for back in (Released, lambda key: Refused(key, ("p",), 1.0)):
        play(plan, FoundDone("a"), Submit("b", ("a",)), Rerun("a"))
        assert plan.state("b") is JobState.SCHEDULED, "it keeps what it was started with"
        assert launched(play(plan, back("b"))) == []
        assert plan.state("b") is JobState.WAITING
        assert launched(play(plan, Completed("a"))) == ["b"]
        plan = Plan(slots=4)


def test_what_cannot_be_meant_ends_no_cancelled_job_either():
    plan = Plan(slots=1)
    play(plan, Submit("a"), Started("a"), Cancel("a"))
    with pytest.raises(InternalError, match="Refused means nothing"):
        play(plan, Refused("a", (), 1.0))
    assert plan.state("a") is JobState.RUNNING


def test_a_time_limit_is_that_of_one_attempt():
    plan = Plan(slots=1)
    play(plan, Submit("a"), TimeLimit("a", 10.0), Released("a"))
    assert plan.state("a") is JobState.SCHEDULED, "its turn again"
    assert plan.next_deadline() is None


UNDER_WAY = (JobState.SCHEDULED, JobState.RUNNING)
REASONS = st.sampled_from([FailureReason.FAILED, FailureReason.TIMEOUT, FailureReason.MEMORY])


MODES = st.sampled_from([TransientMode.NONE, *TransientMode])


class Laws(RuleBasedStateMachine):
    """Whatever happens in whatever order, the plan keeps its promises."""

    @initialize(slots=st.integers(1, 3))
    def begin(self, slots):
        self.plan = Plan(slots=slots)
        self.now = 0.0
        self.processes = set()  # launched by us and not ended

    def do(self, event):
        self.check(self.plan.apply(event, self.now))

    def check(self, effects):
        for effect in effects:
            if isinstance(effect, Remove):
                users = [k for k in self.plan if effect.key in self.plan.dependencies(k)]
                assert all(self.plan.state(k) not in (*UNDER_WAY, JobState.ERROR) for k in users)
                if int(effect.key) % 2 and self.plan.spent(effect.key):
                    self.do(Removed(effect.key))  # the files of the rest are needed by others
            if isinstance(effect, Launch):
                assert effect.key not in self.processes, "two processes for one job"
                self.processes.add(effect.key)
                deps = self.plan.dependencies(effect.key)
                assert all(self.plan.state(d) is JobState.DONE for d in deps)

    def some(self, data, *states):
        keys = [k for k in self.plan if self.plan.state(k) in states]
        return data.draw(st.sampled_from(keys)) if keys else None

    def new(self, data):
        known = sorted(self.plan, key=int)
        deps = data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        return str(len(known)), tuple(deps)

    @rule(data=st.data(), kind=st.sampled_from([Submit, Submit, Submit, FoundDone, FoundFailed]))
    def arrive(self, data, kind):
        key, deps = self.new(data)
        self.plan.set_transient(key, data.draw(MODES))
        self.do(kind(key, deps))

    @rule(data=st.data(), slot=st.booleans())
    def attach(self, data, slot):
        self.do(Attached(*self.new(data), slot=slot))

    @rule(data=st.data())
    def submit_again(self, data):
        if (key := self.some(data, *JobState)) is not None:
            self.plan.set_transient(key, data.draw(MODES))
            self.do(Submit(key, self.plan.dependencies(key)))

    @rule(data=st.data())
    def start(self, data):
        if (key := self.some(data, JobState.SCHEDULED)) is not None:
            self.do(Started(key))

    @rule(data=st.data(), reason=REASONS, how=st.sampled_from("dfvlr"))
    def end(self, data, reason, how):
        if (key := self.some(data, *UNDER_WAY)) is None:
            return
        self.processes.discard(key)
        if how == "r" and self.plan.state(key) is JobState.SCHEDULED:
            self.do(Rejected(key))
        elif how == "l":
            self.do(Released(key))
        else:
            retries = data.draw(st.integers(0, 2))
            ends = {"d": Completed(key), "f": Failed(key, reason, retries=retries)}
            self.do(ends.get(how, Vanished(key)))

    @rule(data=st.data(), seconds=st.floats(-1, 10))
    def limit(self, data, seconds):
        if (key := self.some(data, *UNDER_WAY)) is not None:
            self.do(TimeLimit(key, self.now + seconds))

    @rule(data=st.data())
    def lose_the_race(self, data):
        if (key := self.some(data, JobState.SCHEDULED)) is not None:
            self.processes.discard(key)
            self.do(Attached(key, self.plan.dependencies(key)))

    @rule(data=st.data())
    def cancel(self, data):
        if (key := self.some(data, *(s for s in JobState if not s.final))) is not None:
            self.do(Cancel(key))

    @rule(data=st.data())
    def rerun(self, data):
        if (key := self.some(data, JobState.DONE, JobState.ERROR)) is not None:
            known = sorted((k for k in self.plan if int(k) < int(key)), key=int)
            deps = (
                data.draw(st.none() | st.sets(st.sampled_from(known), max_size=3))
                if known
                else None
            )
            self.do(Rerun(key, None if deps is None else tuple(sorted(deps))))

    @rule(slots=st.integers(0, 3))
    def change_slots(self, slots):
        self.check(self.plan.set_slots(slots))

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds):
        self.now += seconds
        for effect in self.plan.tick(self.now):
            assert isinstance(effect, Kill)
            assert self.plan.state(effect.key) in UNDER_WAY

    @invariant()
    @precondition(lambda self: hasattr(self, "plan"))
    def every_state_is_right(self):
        plan = self.plan
        ready = 0
        for key in plan:
            deps = [plan.state(d) for d in plan.dependencies(key)]
            state = plan.state(key)
            if state is JobState.WAITING:
                assert any(d is not JobState.DONE for d in deps)
                assert JobState.ERROR not in deps
                assert JobState.UNSCHEDULED not in deps, "left out, and needed"
            if state is JobState.READY:
                ready += 1
                assert all(d is JobState.DONE for d in deps)
            assert (plan.reason(key) is not None) == (state is JobState.ERROR)
        assert plan.used == sum(plan._nodes[k].slot for k in plan)
        assert ready == 0 or plan.used >= plan.slots, "a free slot and nobody in it"

    @invariant()
    @precondition(lambda self: hasattr(self, "plan"))
    def no_launch_beyond_the_slots(self):
        ours = [k for k in self.processes if self.plan.state(k) in UNDER_WAY]
        assert len(ours) <= max(self.plan.used, self.plan.slots)

    def teardown(self):
        """Once each launched job has ended, every job is done or in error."""
        if not hasattr(self, "plan"):
            return
        self.check(self.plan.set_slots(max(1, self.plan.slots)))
        for _ in range(len(list(self.plan)) + 1):
            for turn, key in enumerate(list(self.plan)):
                if self.plan.state(key) in UNDER_WAY:
                    self.processes.discard(key)
                    self.do(Vanished(key) if turn % 5 == 0 else Completed(key))
        states = {k: self.plan.state(k) for k in self.plan}
        left_out = {k for k, state in states.items() if state is JobState.UNSCHEDULED}
        assert all(state.final for k, state in states.items() if k not in left_out)
        assert left_out <= set(self.plan._transient)
        assert self.plan.used == 0


Laws.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLaws = pytest.mark.timeout(LONG_S)(pytest.mark.slow(Laws.TestCase))


class Slots(RuleBasedStateMachine):
    """With the slots left alone, what we launched and did not see end never exceeds them."""

    @initialize(slots=st.integers(1, 3))
    def begin(self, slots):
        self.plan, self.live, self.count = Plan(slots=slots), set(), 0

    def do(self, event):
        self.live |= set(launched(self.plan.apply(event, 0.0)))
        assert len(self.live) <= self.plan.slots

    @rule(back=st.lists(st.integers(1, 4), max_size=2))
    def submit(self, back):
        deps = {str(self.count - b) for b in back if self.count - b >= 0}
        self.do(Submit(str(self.count), tuple(sorted(deps))))
        self.count += 1

    @rule(data=st.data(), good=st.booleans())
    def end(self, data, good):
        if self.live:
            key = data.draw(st.sampled_from(sorted(self.live)))
            self.live.discard(key)
            self.do(Completed(key) if good else Failed(key))


Slots.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestSlots = pytest.mark.timeout(LONG_S)(pytest.mark.slow(Slots.TestCase))
