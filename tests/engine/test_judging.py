"""Results of which nobody can tell whether they are stale are left out, and that is said."""

from __future__ import annotations

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.core.config import tag
from xpm_nb.engine import loop
from xpm_nb.engine.opening import start
from xpm_nb.store import records


@pytest.fixture
def xp(new_kernel, fake):
    """An experiment of five results, of four of which nothing says what code made them."""
    xp = start("tour", launcher=fake, slots=9)
    jobs = [Learn.C(lr=tag(lr)).submit().job for lr in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert loop.current().sync(10)
    for job in jobs:
        fake.finish(job.key)
    xp.wait(10)
    for job in jobs[1:]:
        record = records.read_job(job.entry.paths)
        assert record is not None
        records.write_job(job.entry.paths, record._replace(code={}))
    new_kernel()
    xp = start("tour", launcher=fake, slots=9)
    assert loop.current().sync(10)
    return xp


def test_the_note_says_how_many_and_why(xp):
    found = xp.stale()
    assert list(found) == []
    first = xp.jobs[1]
    assert found.note == (
        f"left out: 4 results of which nobody can tell ({first.entry.name} and 3 more: the code "
        "that made it: nothing says what it was); stale(unknown=True) gives these, too"
    )
    assert found.note in str(found)
    assert found.note in repr(found)
    assert found[:1].note == ""


def test_they_are_given_where_they_are_asked_for(xp):
    found = xp.stale(unknown=True)
    assert list(found) == list(xp.jobs[1:])
    assert found.note == ""
    xp.rerun(*found)
    assert loop.current().sync(10)
    assert [job.state.value for job in xp.jobs] == ["done", *4 * ["running"]]


def test_without_any_there_is_nothing_to_say(new_kernel, fake):
    xp = start("tour", launcher=fake)
    job = Learn.C(lr=0.1).submit().job
    assert loop.current().sync(10)
    fake.finish(job.key)
    xp.wait(10)
    assert xp.stale().note == ""
    assert repr(xp.stale()) == "Jobs(0 jobs)"
