"""Many jobs at once: the cell goes on, the order is that of submission, and nothing is left."""

from __future__ import annotations

import gc
import itertools
import threading
from collections import Counter

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.core.planned import Node
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import loop
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.messages import PART, CancelJobs, OpenJobs, Wake, in_parts
from xpm_nb.engine.opening import start
from xpm_nb.store import records

pytestmark = pytest.mark.slow

BURST = 2_000
MANY = 1_000
LONG_S = 600


def busy() -> threading.Event:
    """Keep the scheduler's thread busy until the event is set."""
    entered, free = threading.Event(), threading.Event()

    def wait(keys):
        entered.set()
        assert free.wait(LONG_S)

    done = loop.current().subscribe(wait)
    Learn.C(lr=-1.0).submit()
    assert entered.wait(LONG_S)
    done()
    return free


def objects(*kinds: type) -> dict[type, int]:
    gc.collect()
    found = Counter(type(each) for each in gc.get_objects())
    return {kind: found[kind] for kind in kinds}


def test_a_burst_waits_and_the_cell_goes_on(xp, fake):
    """Nothing in a submission waits for the scheduler, which is not there for a while."""
    kinds = (Entry, Node, JobView, loop.Loop)
    free = busy()
    before = objects(*kinds)
    tasks = [Learn.C(lr=float(n)).submit() for n in range(BURST)]
    assert len(xp.jobs) == BURST + 1
    assert xp.job(tasks[7]).state is JobState.UNSCHEDULED, "nobody has met it yet"
    free.set()
    assert loop.current().sync(LONG_S)

    states = Counter(job.state for job in xp.jobs)
    assert states == {JobState.RUNNING: 2, JobState.READY: BURST - 1}
    after = objects(*kinds)
    assert after[Entry] - before[Entry] == BURST
    assert after[Node] - before[Node] == BURST
    assert after[JobView] - before[JobView] <= 2 * BURST, "the job's, and the experiment's"

    xp.cancel(*xp.jobs)
    assert xp.wait(LONG_S)
    assert {job.view().reason for job in xp.jobs} == {FailureReason.CANCELLED}
    assert len(fake.handles) == 2, "no slot became free for what was to go, too"
    assert loop.current().under_way() == []
    last = tasks[-1].__xpm__.job.entry.paths
    assert records.read_outcome(last).reason is FailureReason.CANCELLED, "the next kernel knows"


def test_the_next_kernel_has_a_burst_in_its_order(xp, fake, new_kernel):
    free = busy()
    tasks = [Learn.C(lr=float(n)).submit() for n in range(3 * PART)]
    wanted = [xp.jobs[0].key, *(task.__xpm__.job.key for task in tasks)]
    free.set()
    assert loop.current().sync(LONG_S)
    new_kernel()
    assert fake.started() == wanted[:2], "as many as there are slots"
    for handle in fake.handles:
        fake.vanish(handle, None)
    again = start("tour", launcher=fake, slots=1)
    for count in range(3, 23):
        fake.finish(fake.wait_for(count)[count - 1])
    again.cancel(*again.jobs)
    assert again.wait(LONG_S)
    assert fake.started()[2:22] == wanted[:20], "what had not begun is begun again"


def test_two_experiments_have_their_turns_in_order_of_submission(xp, fake):
    """One long sweep and a few jobs of another: who came first begins first, whoever's it is."""
    other = start("other", launcher=fake, slots=1)
    free = busy()
    by_turns = itertools.cycle((xp, other))
    tasks = [next(by_turns).submit(Learn.C(lr=float(n))) for n in range(60)]
    wanted = [task.__xpm__.job.key for task in tasks]
    free.set()
    for count in range(1, len(wanted) + 2):
        fake.finish(fake.wait_for(count)[count - 1])
    assert fake.started()[1:] == wanted
    xp.wait(LONG_S)
    other.wait(LONG_S)


# -- many dependencies --------------------------------------------------------------------------


def names(count: int) -> list[str]:
    return [f"j{n:04}" for n in range(count)]


def test_a_thousand_jobs_need_one_that_fails(desk):
    desk.submit("first")
    found = [desk.submit(name, "first") for name in names(MANY)]
    desk.sync()
    assert {entry.view.state for entry in found} == {JobState.WAITING}
    desk.launcher.fail(desk.launcher.wait_for(1)[0])
    desk.settled("first")
    assert all(entry.settled.wait(LONG_S) for entry in found)
    assert {(e.view.state, e.view.reason) for e in found} == {
        (JobState.ERROR, FailureReason.DEPENDENCY)
    }
    assert desk.started() == ["first"]


def test_a_chain_longer_than_the_stack_fails_and_is_run_again(desk):
    chain = names(MANY + 500)
    desk.submit(chain[0])
    found = [desk.submit(name, before) for before, name in itertools.pairwise(chain)]
    desk.launcher.fail(desk.launcher.wait_for(1)[0])
    assert all(entry.settled.wait(LONG_S) for entry in found)
    assert {entry.view.reason for entry in found} == {FailureReason.DEPENDENCY}
    desk.retry(chain[-1])
    desk.launcher.wait_for(2)
    assert desk.started() == [chain[0]] * 2
    assert {entry.view.state for entry in found} == {JobState.WAITING}


def test_one_job_needs_a_thousand(make_desk):
    desk = make_desk(slots=MANY)
    needed = [desk.submit(name) for name in names(MANY)]
    last = desk.submit("last", *names(MANY))
    desk.launcher.wait_for(MANY, LONG_S)
    for handle in desk.launcher.handles[1:]:
        desk.launcher.finish(handle)
    assert all(entry.settled.wait(LONG_S) for entry in needed[1:])
    desk.sync()
    assert last.view.state is JobState.WAITING
    desk.launcher.finish(desk.launcher.handles[0])
    assert desk.launcher.wait_for(MANY + 1)[-1].paths.name == "last"


# -- messages about many ------------------------------------------------------------------------


def entries_of(desk, states):
    found = []
    for name, state in states:
        entry = desk.entry(name)
        entry.freeze(state, None, "")
        found.append(entry)
    return tuple(found)


def test_a_message_about_many_leaves_others_their_turn(desk):
    many = entries_of(desk, [(name, JobState.WAITING) for name in names(3 * PART + 1)])
    ready = threading.Event()
    parts = list(in_parts(OpenJobs(many, ready)))
    assert sum((part.entries for part in parts), ()) == many
    assert max(len(part.entries) for part in parts) == PART
    assert [part.ready for part in parts] == [None, None, None, ready]
    small = OpenJobs(many[:PART], ready)
    assert list(in_parts(small)) == [small]
    assert list(in_parts(Wake())) == [Wake()]


def test_what_runs_is_cancelled_last(desk):
    states = [(name, JobState.RUNNING) for name in names(3)]
    states += [(name, JobState.READY) for name in names(PART + 10)[3:]]
    many = entries_of(desk, states)
    parts = list(in_parts(CancelJobs(many)))
    assert sum((part.entries for part in parts), ()) == (*many[3:], *many[:3])
