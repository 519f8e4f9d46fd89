"""What jobs share: counts, queues, and the plan's laws about them."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xpm_nb.core.events import (
    Attached,
    Cancel,
    Completed,
    Failed,
    Launch,
    Refused,
    Rejected,
    Released,
    Rerun,
    Started,
    Submit,
    Take,
    Taken,
    Vanished,
)
from xpm_nb.core.plan import Plan
from xpm_nb.core.pools import Pools
from xpm_nb.core.states import JobState

# Who ends an example in the midst of its draws is told that its strategies are flaky.
LONG_S = 900


class Desk:
    """A plan, and a world that grants whatever the plan asks for, unless it is told not to."""

    def __init__(self, slots=9, **totals):
        self.plan = Plan(slots=slots)
        self.launched = []
        self.asked = []
        self.refuses = set()
        for pool, total in totals.items():
            self.carry(self.plan.set_total(pool, total))

    def carry(self, effects, now=0.0):
        for effect in effects:
            if isinstance(effect, Launch):
                self.launched.append(effect.key)
            elif isinstance(effect, Take):
                self.asked.append(effect.key)
                pools = [p for p, _ in self.plan.pools.needs(effect.key) if p in self.refuses]
                answer = Refused(effect.key, tuple(pools), now + 1) if pools else Taken(effect.key)
                self.do(answer, now=now)

    def do(self, *events, now=0.0):
        for event in events:
            self.carry(self.plan.apply(event, now), now)

    def submit(self, key, *dependencies, **needs):
        self.plan.want(key, tuple(needs.items()))
        self.do(Submit(key, dependencies))


def test_units_are_given_in_order_of_submission():
    desk = Desk(gpu=2)
    desk.submit("a", gpu=1)
    desk.submit("b", gpu=2)
    desk.submit("c", gpu=1)  # there would be room, and b was first
    assert desk.launched == ["a"]
    desk.do(Completed("a"))
    assert desk.launched == ["a", "b"]
    desk.do(Failed("b"))
    assert desk.launched == ["a", "b", "c"]


def test_all_or_nothing_and_others_pass_who_need_nothing_of_it():
    desk = Desk(gpu=1, disk=1)
    desk.submit("a", disk=1)
    desk.submit("both", gpu=1, disk=1)
    desk.submit("b", gpu=1)  # waits behind both, which holds nothing yet
    desk.submit("c")
    assert desk.launched == ["a", "c"]
    assert desk.plan.pools.used("gpu") == 0
    desk.do(Completed("a"))
    assert desk.launched == ["a", "c", "both"]
    desk.do(Completed("both"))
    assert desk.launched[-1] == "b"


def test_who_waits_for_units_holds_no_slot():
    desk = Desk(slots=1, gpu=1)
    desk.submit("a", gpu=1)
    desk.submit("b", gpu=1)
    desk.submit("c")
    desk.do(Completed("a"))
    assert desk.launched == ["a", "b"]
    desk.do(Cancel("b"), Vanished("b"))
    assert desk.launched == ["a", "b", "c"]


def test_without_a_slot_nobody_asks():
    desk = Desk(slots=1, gpu=2)
    desk.submit("a")
    desk.submit("b", gpu=1)
    assert desk.asked == []
    desk.do(Completed("a"))
    assert desk.launched == ["a", "b"]


def test_what_the_world_refuses_is_asked_for_later_and_leaves_its_slot_to_others():
    desk = Desk(slots=1, gpu=1)
    desk.refuses.add("gpu")
    desk.submit("a", gpu=1)
    desk.submit("b")
    assert desk.launched == ["b"]
    assert desk.plan.state("a") is JobState.READY
    assert desk.plan.pools.used("gpu") == 0
    desk.do(Completed("b"))
    assert desk.asked == ["a"], "not before it is time"
    assert desk.plan.next_deadline() == 1
    desk.carry(desk.plan.tick(1.0), now=1.0)
    assert desk.asked == ["a", "a"]
    desk.refuses.clear()
    desk.carry(desk.plan.freed(["gpu"]))  # or when we hear that somebody ended
    assert desk.launched == ["b", "a"]
    assert desk.plan.next_deadline() is None


def test_a_refusal_after_the_grant_sends_it_back():
    desk = Desk(gpu=1)
    desk.submit("a", gpu=1)
    desk.submit("b", gpu=1)
    desk.do(Refused("a", ("gpu",), 1.0))
    assert [desk.plan.state(k).value for k in "ab"] == ["ready", "ready"]
    assert (desk.plan.used, desk.plan.pools.used("gpu")) == (0, 0)
    desk.carry(desk.plan.tick(1.0))
    assert desk.launched == ["a", "a"]


def test_what_could_not_even_be_asked_for_is_rejected():
    desk = Desk(gpu=1)
    desk.plan.want("a", (("gpu", 1),))
    assert Take("a") in desk.plan.apply(Submit("a"), 0.0)
    desk.submit("b", gpu=1)
    desk.do(Rejected("a", "token.json is damaged"))
    assert desk.plan.state("a") is JobState.ERROR
    assert desk.launched == ["b"]


def test_what_runs_elsewhere_counts():
    desk = Desk(gpu=1)
    desk.plan.want("a", (("gpu", 1),))
    desk.do(Attached("a"))
    desk.submit("b", gpu=1)
    assert desk.asked == []
    desk.do(Completed("a"))
    assert desk.launched == ["b"]


def test_a_smaller_total_stops_nobody_and_blocks_nobody_for_ever():
    desk = Desk(gpu=3)
    desk.submit("a", gpu=3)
    desk.submit("b", gpu=2)
    desk.carry(desk.plan.set_total("gpu", 1))
    desk.submit("c", gpu=1)
    assert desk.launched == ["a"]
    desk.do(Completed("a"))
    assert desk.launched == ["a", "b"], "it gets all there is"
    desk.carry(desk.plan.set_total("gpu", 2))
    assert desk.launched == ["a", "b", "c"], "more: at once"


def test_what_is_run_again_needs_what_it_needs_by_then():
    desk = Desk(gpu=1, disk=1)
    desk.submit("a", gpu=1)
    desk.do(Completed("a"))
    desk.plan.want("a", (("disk", 1),))
    desk.do(Rerun("a"))
    desk.submit("b", gpu=1)
    assert desk.launched == ["a", "a", "b"]


def test_a_job_under_way_keeps_what_it_asked_for():
    pools = Pools()
    pools.want("a", (("gpu", 1),))
    pools.take("a")
    pools.want("a", ())
    assert pools.used("gpu") == 1
    pools.leave("a")
    pools.leave("a")
    assert pools.used("gpu") == 0


def test_the_queue_names_the_first():
    pools = Pools()
    for order, key in enumerate("cab"):
        pools.want(key, (("gpu", 1),))
        pools.wait(key, order)
    assert pools.queue("gpu", 2) == ["c", "a"]
    pools.leave("c")
    assert pools.offers() == ["a"]
    assert pools.offers() == [], "nothing has changed since"
    assert pools.queue("gpu", 9) == ["a", "b"]


UNDER_WAY = (JobState.SCHEDULED, JobState.RUNNING)
TOTALS = {"p": 1, "q": 2, "r": 3}


class Laws(RuleBasedStateMachine):
    """Units never exceed their total, and every run ends."""

    @initialize(slots=st.integers(1, 4))
    def begin(self, slots):
        self.plan, self.now = Plan(slots=slots), 0.0
        self.world: dict[str, tuple] = {}  # who holds what, as the world knows it
        self.strangers = dict.fromkeys(TOTALS, 0)  # what other kernels hold
        for pool, total in TOTALS.items():
            self.carry(self.plan.set_total(pool, total))

    def carry(self, effects):
        effects = list(effects)
        while effects:
            effect = effects.pop(0)
            if isinstance(effect, Launch):
                assert effect.key in self.world or not self.plan.pools.needs(effect.key)
            elif isinstance(effect, Take) and self.plan.asks(effect.key):
                needs = self.plan.pools.needs(effect.key)
                assert self.plan.state(effect.key) is JobState.READY
                full = [p for p, n in needs if self.held(p) + n > TOTALS[p]]
                if not full:
                    self.world[effect.key] = needs
                answer = Refused(effect.key, tuple(full), self.now + 1)
                effects += self.plan.apply(answer if full else Taken(effect.key), self.now)

    def held(self, pool):
        ours = sum(n for needs in self.world.values() for p, n in needs if p == pool)
        return ours + self.strangers[pool]

    def do(self, event):
        self.carry(self.plan.apply(event, self.now))

    def some(self, data, *states):
        keys = [k for k in self.plan if self.plan.state(k) in states]
        return data.draw(st.sampled_from(keys)) if keys else None

    @rule(data=st.data())
    def submit(self, data):
        known = sorted(self.plan, key=int)
        deps = data.draw(st.lists(st.sampled_from(known), max_size=2)) if known else []
        pools = data.draw(st.sets(st.sampled_from(sorted(TOTALS)), max_size=3))
        key = str(len(known))
        needs = tuple((p, data.draw(st.integers(1, TOTALS[p]))) for p in sorted(pools))
        self.plan.want(key, needs)
        self.do(Submit(key, tuple(deps)))

    @rule(data=st.data())
    def start(self, data):
        if (key := self.some(data, JobState.SCHEDULED)) is not None:
            self.do(Started(key))

    @rule(data=st.data(), how=st.sampled_from("cfvr"))
    def end(self, data, how):
        if (key := self.some(data, *UNDER_WAY)) is not None:
            self.world.pop(key, None)
            ends = {"c": Completed, "f": Failed, "v": Vanished, "r": Released}
            self.do(ends[how](key))

    @rule(data=st.data())
    def cancel(self, data):
        if (key := self.some(data, *(s for s in JobState if not s.final))) is not None:
            self.do(Cancel(key))

    @rule(data=st.data())
    def run_again(self, data):
        if (key := self.some(data, JobState.DONE, JobState.ERROR)) is not None:
            self.do(Rerun(key))

    @rule(pool=st.sampled_from(sorted(TOTALS)), take=st.booleans(), tell=st.booleans())
    def stranger(self, pool, take, tell):
        if take and self.held(pool) < TOTALS[pool]:
            self.strangers[pool] += 1
        elif not take and self.strangers[pool]:
            self.strangers[pool] -= 1
            if tell:
                self.carry(self.plan.freed([pool]))

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds):
        self.now += seconds
        self.carry(self.plan.tick(self.now))

    @rule(slots=st.integers(0, 4))
    def change_slots(self, slots):
        self.carry(self.plan.set_slots(slots))

    @invariant()
    @precondition(lambda self: hasattr(self, "plan"))
    def never_more_than_there_is(self):
        for pool, total in TOTALS.items():
            assert self.held(pool) <= total
            assert self.plan.pools.used(pool) <= total
        for key in self.plan:
            assert self.plan.pools.holds(key) == (
                self.plan.state(key) in UNDER_WAY and bool(self.plan.pools.needs(key))
            )
        assert self.plan.used == sum(self.plan._nodes[k].slot for k in self.plan)

    @invariant()
    @precondition(lambda self: hasattr(self, "plan"))
    def the_first_of_all_is_held_back_by_something(self):
        """A slot is free, and somebody is ready: then what he needs is held, or was refused."""
        ready = [k for k in self.plan if self.plan.state(k) is JobState.READY]
        if ready and self.plan.used < self.plan.slots:
            first = min(ready, key=int)
            needs = self.plan.pools.needs(first)
            busy = any(self.held(p) + n > TOTALS[p] for p, n in needs)
            assert busy or self.plan.next_deadline() is not None

    def teardown(self):
        """Once strangers have let go and each launched job has ended, every job has."""
        if not hasattr(self, "plan"):
            return
        self.strangers = dict.fromkeys(TOTALS, 0)
        self.carry(self.plan.set_slots(max(1, self.plan.slots)))
        for _ in range(2 * len(list(self.plan)) + 2):
            self.wait(2.0)
            for key in list(self.plan):
                if self.plan.state(key) in UNDER_WAY:
                    self.world.pop(key, None)
                    self.do(Completed(key))
        assert all(self.plan.state(k).final for k in self.plan)
        assert not any(self.plan.pools.used(p) for p in TOTALS)


Laws.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestLaws = pytest.mark.timeout(LONG_S)(pytest.mark.slow(Laws.TestCase))
