"""The plan checks itself: what contradicts itself is told, and nothing that happens leads there."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xpm_nb.core import events
from xpm_nb.core.events import (
    Attached,
    Cancel,
    Completed,
    Failed,
    FoundDone,
    FoundFailed,
    Kill,
    Launch,
    Refused,
    Rejected,
    Released,
    Remove,
    Removed,
    Rerun,
    Retry,
    Started,
    Submit,
    Take,
    Taken,
    TimeLimit,
    Vanished,
)
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.errors import InternalError

# Who ends an example in the midst of its draws is told that its strategies are flaky.
LONG_S = 900


def some_plan():
    """A done, b running, c waiting for b, d ready, e in error, f in error because of e."""
    plan = Plan(slots=1)
    plan.want("d", (("gpu", 1),))
    for event in (
        FoundDone("a"),
        Submit("b", ("a",)),
        Started("b"),
        Submit("c", ("b",)),
        Submit("d"),
        FoundFailed("e"),
        FoundFailed("f", ("e",)),
    ):
        plan.apply(event, 0.0)
    plan.validate()
    return plan


def assign(key, **values):
    def spoil(plan):
        for name, value in values.items():
            setattr(plan._nodes[key], name, value)

    return spoil


SPOILED = {
    "waits for nothing": assign("c", missing=set()),
    "ready too early": assign("c", state=JobState.READY),
    "started without a slot": assign("b", slot=False),
    "holds a slot for nothing": assign("a", slot=True),
    "in error without a reason": assign("e", reason=None),
    "a reason without an error": assign("b", reason=FailureReason.FAILED),
    "waits for what failed": assign("f", state=JobState.WAITING, reason=None),
    "asked to end when it has": assign("a", cancelled=True),
    "a limit when it has ended": assign("a", limit_at=1.0),
    "a limit nobody looks at": assign("b", limit_at=1.0),
    "a cause that is none": assign("e", cause="a"),
    "forgotten by what it needs": lambda plan: plan._nodes["b"].dependents.clear(),
    "needed by a stranger": lambda plan: plan._nodes["a"].dependents.update(e=None),
    "needs somebody unknown": assign("e", dependencies=("z",)),
    "a circle": lambda plan: (
        assign("a", dependencies=("b",))(plan),
        plan._nodes["b"].dependents.update(a=None),
        plan._nodes["a"].missing.add("b"),
    ),
    "slots that nobody holds": lambda plan: setattr(plan, "_used", 2),
    "a free slot and nobody in it": lambda plan: setattr(plan, "_slots", 2),
    "in no queue": lambda plan: plan._pools.leave("d"),
    "units without a holder": lambda plan: plan._pools._used.update(gpu=1),
    "units of a job that has ended": lambda plan: plan._pools._held.update(a=(("gpu", 1),)),
    "a lost queue": lambda plan: plan._pools._queues.clear(),
    "asks without a slot": assign("d", asks=True),
    "needed by one that is counted twice": assign("b", in_need=2),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_contradicts_itself_is_told(name):
    plan = some_plan()
    SPOILED[name](plan)
    with pytest.raises(InternalError, match="the plan contradicts itself: "):
        plan.validate()


def test_each_change_is_checked_where_that_is_wanted(monkeypatch):
    plan = some_plan()
    plan._nodes["c"].missing.clear()
    plan.checked = False
    plan.apply(TimeLimit("b", 1.0), 0.0)
    plan.checked = True
    with pytest.raises(InternalError, match=r"c is waiting, and it lacks"):
        plan.tick(0.5)


def test_a_large_plan_is_checked_now_and_then():
    plan, looked = Plan(slots=0), []
    plan.validate = lambda: looked.append(len(list(plan)))
    for number in range(1000):
        plan.apply(Submit(str(number)), 0.0)
    assert 200 < len(looked) < 500
    assert sum(looked) < 1000 * 150, "in proportion to the changes"


@pytest.mark.parametrize("event", [Released("a"), Refused("a", ("gpu",), 5.0)])
def test_a_job_that_was_cancelled_does_not_start_anew(event):
    plan = Plan(slots=1)
    for step in (Submit("a"), Submit("b", ("a",)), Cancel("a")):
        plan.apply(step, 0.0)
    assert not [e for e in plan.apply(event, 0.0) if isinstance(e, (Launch, Take))]
    assert plan.reason("a") is FailureReason.CANCELLED
    assert plan.reason("b") is FailureReason.DEPENDENCY


def started(effects):
    return [effect.key for effect in effects if isinstance(effect, (Launch, Take))]


def test_what_is_left_to_another_is_not_started_until_it_is_taken_back():
    plan = Plan(slots=0)
    plan.want("a", (("gpu", 1),))
    plan.apply(Submit("a"), 0.0)
    plan.apply(Submit("b"), 0.0)
    plan.leave(["b", "a", "c"])
    assert not started(plan.set_slots(2)), "they were ready, and stood first"
    assert not started(plan.apply(Submit("c"), 0.0)), "it was left before it was known"
    assert started(plan.apply(Submit("d"), 0.0)) == ["d"], "nobody stands in its way"
    assert started(plan.take_back(["c", "b"])) == ["b"], "in the order of submission"
    assert not plan.is_left("b")
    assert plan.is_left("a")
    assert started(plan.apply(Completed("d"), 0.0)) == ["c"]
    assert not started(plan.take_back(["b", "z"])), "what is not left is not taken back"
    assert started(plan.apply(Completed("b"), 0.0)) == []
    assert started(plan.take_back(["a"])) == ["a"]


UNDER_WAY = (JobState.SCHEDULED, JobState.RUNNING)
OPEN = (JobState.WAITING, JobState.READY)
POOLS = {"p": 1, "q": 2}
KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
]
FOUND_BY_THE_PLAN = (
    events.DependenciesDone,
    events.DependencyFailed,
    events.DependencyReopened,
    events.Granted,
    events.Needed,
    events.Spent,
    events.Again,
    events.Offer,
)


def image(plan):
    """All that a plan knows, to be compared."""
    nodes = {key: repr(node) for key, node in plan._nodes.items()}
    pools = {name: repr(value) for name, value in vars(plan._pools).items()}
    return nodes, pools, plan._used, sorted(plan._ready), list(plan._limited), sorted(plan._left)


class Anything(RuleBasedStateMachine):
    """Events of all kinds in any order, and a world that keeps its own count."""

    @initialize(slots=st.integers(1, 3))
    def begin(self, slots):
        self.plan, self.now = Plan(slots=slots, grace_s=3), 0.0
        self.alive: set[str] = set()  # launched by us or by others, and not ended
        self.theirs: set[str] = set()  # left to another process to start
        self.unread: set[str] = set()  # begun by others, and nothing is known of them
        self.held: dict[str, tuple] = {}  # shares, as the world counts them
        for pool, total in POOLS.items():
            self.carry(self.plan.set_total(pool, total))

    def carry(self, effects):
        effects = list(effects)
        while effects:
            effect = effects.pop(0)
            match effect:
                case Take(key) if self.plan.asks(key):
                    assert key not in self.theirs, "another process starts it"
                    needs = self.plan.pools.needs(key)
                    full = tuple(p for p, n in needs if self.used(p) + n > POOLS[p])
                    if not full:
                        self.held[key] = needs
                    event = Refused(key, full, self.now + 1) if full else Taken(key)
                    effects += self.plan.apply(event, self.now)
                case Launch(key):
                    assert key not in self.alive, "two processes for one job"
                    assert key not in self.theirs, "another process starts it"
                    assert self.plan.state(key) is JobState.SCHEDULED
                    deps = self.plan.dependencies(key)
                    assert all(self.plan.state(d) is JobState.DONE for d in deps)
                    assert self.held.get(key, ()) == self.plan.pools.needs(key)
                    self.alive.add(key)
                case Kill(key):
                    assert self.plan.state(key) in UNDER_WAY
                    assert self.plan.asked_to_end(key) is not None
                case Retry(key):
                    assert key not in self.alive
                    self.held.pop(key, None)
                case Remove(key):
                    assert key not in self.alive
                    if int(key) % 2 and self.plan.spent(key):  # others need those of the rest
                        effects += self.plan.apply(Removed(key), self.now)

    def used(self, pool):
        return sum(n for needs in self.held.values() for p, n in needs if p == pool)

    def do(self, event):
        self.carry(self.plan.apply(event, self.now))

    def ended(self, key):
        self.alive.discard(key)
        self.unread.discard(key)
        self.held.pop(key, None)

    def some(self, data, *states):
        keys = [k for k in self.plan if self.plan.state(k) in states]
        return data.draw(st.sampled_from(keys)) if keys else None

    @rule(data=st.data(), kind=st.sampled_from([Submit, Submit, Submit, FoundDone, FoundFailed]))
    def arrive(self, data, kind):
        known = sorted(self.plan, key=int)
        deps = data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        key = str(len(known))
        pools = data.draw(st.sets(st.sampled_from(sorted(POOLS))))
        self.plan.want(key, tuple((p, data.draw(st.integers(1, POOLS[p]))) for p in sorted(pools)))
        self.plan.set_transient(key, data.draw(st.sampled_from(TransientMode)))
        self.do(kind(key, tuple(deps)))

    @rule(data=st.data())
    def ask_again(self, data):
        if (key := self.some(data, *JobState)) is not None:
            self.do(Submit(key, self.plan.dependencies(key)))

    @rule(data=st.data())
    def rerun(self, data):
        if (key := self.some(data, JobState.DONE, JobState.ERROR)) is not None:
            self.do(Rerun(key))

    @rule(data=st.data())
    def start(self, data):
        if (key := self.some(data, JobState.SCHEDULED)) is not None:
            self.do(Started(key))

    @rule(data=st.data(), seconds=st.floats(-1, 6))
    def limit(self, data, seconds):
        if (key := self.some(data, *UNDER_WAY)) is not None:
            self.do(TimeLimit(key, self.now + seconds))

    @rule(data=st.data(), reason=st.sampled_from(FailureReason), retries=st.integers(0, 2))
    def end_badly(self, data, reason, retries):
        if (key := self.some(data, *UNDER_WAY)) is not None:
            self.ended(key)
            self.do(Failed(key, reason, "no", retries))

    @rule(data=st.data(), kind=st.sampled_from([Completed, Completed, Vanished, Released]))
    def end(self, data, kind):
        if (key := self.some(data, *UNDER_WAY)) is not None:
            self.ended(key)
            self.do(kind(key))

    @rule()
    def another_has_it_before_anything_is_known_of_it(self):
        key = str(len(list(self.plan)))
        self.alive.add(key)
        self.unread.add(key)
        self.do(Attached(key))

    @rule(data=st.data())
    def what_another_has_is_known_now(self, data):
        if not self.unread:
            return
        key = data.draw(st.sampled_from(sorted(self.unread, key=int)))
        self.unread.discard(key)
        free = [p for p in POOLS if self.used(p) < POOLS[p]]
        pools = data.draw(st.sets(st.sampled_from(free))) if free else ()
        known = [k for k in self.plan if int(k) < int(key)]
        deps = data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        needs = tuple((pool, 1) for pool in sorted(pools))
        if needs:
            self.held[key] = needs
        self.plan.want(key, needs)
        self.plan.set_transient(key, data.draw(st.sampled_from(TransientMode)))
        self.do(Attached(key, tuple(deps)))
        assert set(self.plan.dependencies(key)) == set(deps)

    @rule(data=st.data(), kind=st.sampled_from([Rejected, Refused]))
    def do_not_start(self, data, kind):
        if (key := self.some(data, JobState.SCHEDULED)) is not None:
            self.ended(key)
            needs = tuple(pool for pool, _ in self.plan.pools.needs(key))
            self.do(Refused(key, needs, self.now + 1) if kind is Refused else kind(key))

    @rule(data=st.data())
    def cancel(self, data):
        if (key := self.some(data, *(s for s in JobState if not s.final))) is not None:
            self.do(Cancel(key))

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds):
        self.now += seconds
        self.carry(self.plan.tick(self.now))

    @rule(slots=st.integers(0, 3))
    def change_slots(self, slots):
        self.carry(self.plan.set_slots(slots))

    def any_jobs(self, data):
        """Some jobs, in any state, or the next, which is not known yet."""
        known = [*self.plan, str(len(list(self.plan)))]
        return data.draw(st.lists(st.sampled_from(known), unique=True, max_size=4))

    @rule(data=st.data())
    def leave(self, data):
        keys = self.any_jobs(data)
        self.theirs.update(keys)
        self.carry(self.plan.leave(keys))
        assert all(map(self.plan.is_left, keys))

    @rule(data=st.data(), all_of_them=st.booleans())
    def take_back(self, data, all_of_them):
        keys = sorted(self.theirs, key=int) if all_of_them else self.any_jobs(data)
        self.theirs.difference_update(keys)
        self.carry(self.plan.take_back(keys))
        assert not any(map(self.plan.is_left, keys))

    @rule(data=st.data(), slot=st.booleans())
    def another_starts_it(self, data, slot):
        """One that is left to it, or that both want: who has the lock starts it."""
        if (key := self.some(data, *OPEN)) is None:
            return
        needs = self.plan.pools.needs(key)
        if all(self.used(pool) + units <= POOLS[pool] for pool, units in needs):
            self.held[key] = needs
            self.alive.add(key)
            self.do(Attached(key, self.plan.dependencies(key), slot))

    @rule(data=st.data())
    def another_has_done_it(self, data):
        if (key := self.some(data, *OPEN)) is not None:
            self.do(FoundDone(key, self.plan.dependencies(key)))

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def what_cannot_be_meant(self, data, kind):
        """An event that the table does not know raises, and changes nothing."""
        known = [*self.plan, "nobody"]
        key = data.draw(st.sampled_from(known))
        state, table = self.plan.state(key), events.TABLE
        arrivals = (Submit, events.Offer, FoundDone, FoundFailed, Attached, events.Again)
        meant = kind in table[state] if key in self.plan else kind in arrivals
        if meant:
            return
        before = image(self.plan)
        with pytest.raises(InternalError):
            self.plan.apply(kind(key), self.now)
        assert image(self.plan) == before

    @invariant()
    @precondition(lambda self: hasattr(self, "plan"))
    def all_is_well(self):
        self.plan.validate()
        for pool, total in POOLS.items():
            assert self.used(pool) <= total
            assert self.plan.pools.used(pool) <= total
        under_way = {k for k in self.plan if self.plan.state(k) in UNDER_WAY}
        assert self.alive == under_way, "launched and forgotten, or never launched"

    def teardown(self):
        """Every run ends: each job is done, in error, or was left out."""
        if not hasattr(self, "plan"):
            return
        self.carry(self.plan.set_slots(1))
        left, self.theirs = sorted(self.theirs, key=int), set()
        self.carry(self.plan.take_back(left))  # whoever had them has ended
        for turn in range(3 * len(list(self.plan)) + 3):
            self.wait(4.0)
            for key in sorted(self.alive, key=int):
                self.ended(key)
                self.do(Vanished(key) if turn % 7 == 6 else Completed(key))
        left_out = [k for k in self.plan if self.plan.state(k) is JobState.UNSCHEDULED]
        assert all(self.plan.state(k).final for k in self.plan if k not in left_out)
        assert set(left_out) <= set(self.plan._transient)
        assert not self.alive
        assert self.plan.used == 0


def test_the_machine_knows_all_events():
    """What is not drawn above is found by the plan itself."""
    drawn = {
        *(Submit, FoundDone, FoundFailed, Rerun, Started, TimeLimit, Failed, Completed, Vanished),
        *(Released, Rejected, Refused, Cancel, Taken, Attached, Removed),
    }
    assert set(KINDS) == drawn | set(FOUND_BY_THE_PLAN)


Anything.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestAnything = pytest.mark.timeout(LONG_S)(pytest.mark.slow(Anything.TestCase))
