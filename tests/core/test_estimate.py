from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core import estimate
from xpm_nb.core.estimate import durations, eta, gap
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView

NOW = 1_000_000.0


def job(number, state, *, kind="t", **more):
    return JobView(f"{kind}/{number}", f"{number:064x}", kind, kind, kind.title(), state, **more)


def done(number, seconds, **more):
    return job(number, JobState.DONE, started=NOW - 100 - seconds, ended=NOW - 100, **more)


def running(number, elapsed, **more):
    return job(number, JobState.RUNNING, started=NOW - elapsed, **more)


def test_nothing_left_and_nothing_known():
    assert eta([], 2, NOW) == 0
    assert eta([done(1, 5), job(2, JobState.ERROR)], 2, NOW) == 0
    assert eta([job(1, JobState.READY)], 2, NOW) is None
    assert eta([running(1, 50), job(2, JobState.WAITING)], 2, NOW) is None


def test_from_durations_of_the_type():
    jobs = [done(1, 4), done(2, 6), done(3, 100), *(job(n, JobState.READY) for n in range(4, 8))]
    assert durations(jobs) == {"t": [4, 6, 100]}
    assert eta(jobs, 2, NOW) == 12  # two rounds of the median
    assert eta(jobs, 100, NOW) == 6
    assert eta(jobs[3:], 4, NOW, {"t": [3.0]}) == 3
    assert eta(jobs[3:], 4, NOW, {"other": [3.0]}) == 3  # better than nothing
    assert eta(jobs[3:], 4, NOW, {"t": [float("nan"), -1.0]}) is None


def test_running_jobs():
    assert eta([running(1, 30, progress=0.25)], 1, NOW) == 90
    assert eta([running(1, 4)], 1, NOW, {"t": [10.0]}) == 6
    assert eta([running(1, 50)], 1, NOW, {"t": [10.0, 60.0]}) == 10  # it is one of the longer ones
    assert eta([running(1, 50)], 1, NOW, {"t": [10.0]}) == 5
    assert eta([running(1, 50, progress=0.001)], 1, NOW, {"t": [60.0]}) == 10
    assert eta([running(1, -5)], 1, NOW, {"t": [60.0]}) == 60  # another machine's clock
    assert eta([running(1, 8, progress=1.0)], 1, NOW) == 0


def test_a_chain_takes_its_sum_however_many_slots():
    jobs = [
        job(n, JobState.WAITING, dependencies=(f"t/{n - 1}",) if n else ("gone/1",))
        for n in range(5)
    ]
    assert eta(jobs, 100, NOW, {"t": [2.0]}) == 10
    loop = [job(1, JobState.WAITING, dependencies=("t/2",)), job(2, JobState.WAITING)]
    loop[1] = replace(loop[1], dependencies=("t/1", "t/2"))
    assert eta([*loop, job(3, JobState.READY)], 1, NOW, {"t": [2.0]}) == 2


def test_what_runs_elsewhere_takes_no_slot():
    jobs = [running(1, 0, elsewhere=True), job(2, JobState.READY)]
    assert eta(jobs, 1, NOW, {"t": [10.0]}) == 10
    assert eta([running(1, 0), job(2, JobState.READY)], 1, NOW, {"t": [10.0]}) == 20


def test_what_nobody_will_start_does_not_count():
    left = job(1, JobState.UNSCHEDULED, earlier=True)
    assert eta([left], 1, NOW) == 0
    assert eta([replace(left, earlier=False)], 1, NOW, {"t": [3.0]}) == 3  # a plan


def test_many_short_jobs_whose_starts_take_longer_than_they():
    def ran(n):
        end = NOW - 50 + (n // 3 + 1) * 0.85
        return job(n, JobState.DONE, submitted=NOW - 50, started=end - 0.1, ended=end)

    jobs = [*map(ran, range(175)), *(job(n, JobState.READY) for n in range(175, 300))]
    assert abs(gap(jobs, 3) - 0.75) < 1e-6
    assert 35 < eta(jobs, 3, NOW) < 37  # 42 rounds of 0.85 s
    assert eta(jobs, 3, NOW, before=0.0) < 5
    assert gap([replace(one, attempt=2) for one in jobs], 3) == 0
    assert gap([replace(one, reused=True) for one in jobs], 3) == 0


def test_waiting_for_others_is_no_part_of_a_start():
    first = job(1, JobState.DONE, submitted=NOW - 90, started=NOW - 89, ended=NOW - 30)
    second = job(2, JobState.DONE, submitted=NOW - 90, started=NOW - 29, ended=NOW - 9)
    assert gap([first, replace(second, dependencies=(first.key,))], 5) == 1
    assert gap([first, second], 1) == 1
    assert gap([], 1) == 0


def test_thousands_of_jobs():
    jobs = [job(n, JobState.READY) for n in range(estimate.EXACT + 2)]
    assert eta(jobs, 4, NOW, {"t": [2.0]}) == len(jobs) / 2


states = st.sampled_from(JobState)
seconds = st.floats(0, 1e6)


@st.composite
def some_jobs(draw, *, independent=False):
    count = draw(st.integers(0, 12))
    found = []
    for n in range(count):
        kind = draw(st.sampled_from("ab"))
        needs = () if independent else draw(st.lists(st.integers(0, count), max_size=3))
        found.append(
            job(
                n,
                draw(states),
                kind=kind,
                dependencies=tuple(f"{k}/{m}" for m in needs for k in "ab"),
                started=draw(st.none() | st.floats(NOW - 1e5, NOW + 100)),
                ended=draw(st.none() | st.floats(NOW - 1e5, NOW + 100)),
                submitted=draw(st.none() | st.floats(NOW - 1e5, NOW + 100)),
                progress=draw(st.none() | st.floats(0, 1)),
                elsewhere=draw(st.booleans()),
                earlier=draw(st.booleans()),
            )
        )
    return found


pasts = st.dictionaries(st.sampled_from("ab"), st.lists(st.floats(), max_size=3))


@given(some_jobs(), st.integers(-1, 5), pasts)
def test_never_negative(jobs, slots, past):
    found = eta(jobs, slots, NOW, past)
    assert found is None or found >= 0
    if all(one.state.final for one in jobs):
        assert found == 0


@given(some_jobs(independent=True), st.integers(1, 6), pasts)
def test_more_slots_are_never_later(jobs, slots, past):
    one, more = (eta(jobs, n, NOW, past, before=1.0) for n in (slots, slots + 1))
    assert (one is None) == (more is None)
    assert one is None or more <= one * (1 + 1e-9) + 1e-9
