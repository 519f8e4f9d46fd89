"""What callbacks say, and running again, through experiments; jobs end when told."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.some_tasks import Learn, Score
from xpm_nb.core.config import RunMode, tag
from xpm_nb.core.states import JobState
from xpm_nb.core.views import Said
from xpm_nb.engine import callbacks, loop, voices
from xpm_nb.engine.experiment import current
from xpm_nb.engine.messages import SubmitJob
from xpm_nb.engine.opening import start
from xpm_nb.engine.voices import Voice
from xpm_nb.errors import ConfigError
from xpm_nb.store import records


def learn(lr=0.5):
    return Learn.C(lr=lr)


# -- what callbacks say -----------------------------------------------------------------------

kinds = st.sampled_from(["out", "err", "display", "error", "clear"])


@given(st.lists(st.tuples(kinds, st.text(max_size=50), st.integers(0, 30))), st.booleans())
def test_a_voice_keeps_the_end_of_what_was_said(items, heard):
    voice = Voice()
    with_limits = {"SAID_ITEMS": 10, "SAID_CHARS": 200, "ITEM_CHARS": 20, "IMAGE_CHARS": 40}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in with_limits.items():
            patch.setattr(voices, name, value)
        for kind, text, image in items:
            voice.say(Said(kind, text, "i" * image if kind == "display" else ""))
            if heard:
                voice.heard()
        said = voice.heard()
        assert len(said) <= 10
        assert sum(len(one.text) for one in said) <= 200
        assert sum(len(one.image) for one in said) <= 40
        assert all(len(one.text) <= 20 and one.kind != "clear" for one in said)
    last = max((n for n, item in enumerate(items) if item[0] == "clear"), default=-1)
    for kind in ("out", "err"):
        spoken = "".join(text for k, text, _ in items[last + 1 :] if k == kind)
        kept = "".join(one.text for one in said if one.kind == kind)
        assert spoken.endswith(kept)


def test_prints_are_one_item_a_stream_and_a_callback():
    voice = Voice()
    assert voice.say(Said("out", "a"))
    assert not voice.say(Said("out", "\n")), "the loop knows"
    voice.say(Said("err", "b"))
    voice.say(Said("out", "c"))
    voice.begin()
    voice.say(Said("out", "d\ud800"))
    texts = [one.text for one in voice.heard()]
    assert texts == ["a\n", "b", "c", "d\\ud800"]
    assert voice.say(Said("clear", ""))
    assert voice.heard() == ()


def test_what_is_too_large_is_cut():
    voice = Voice()
    voice.say(Said("out", "x" * 10_000_000))
    assert [len(one.text) for one in voice.heard()] == [voices.ITEM_CHARS] * 8
    voice.say(Said("display", "a picture", "data:," + "x" * 10_000_000))
    assert voice.heard()[-1] == Said("display", "a picture (too large to be shown here)")


@pytest.fixture
def captured():
    """A hook such as that of notebooks: what `say` is given reaches the callback's job."""
    here = threading.local()

    @contextlib.contextmanager
    def capture(sink):
        here.sink = sink
        yield
        del here.sink

    callbacks.fill(None, capture)
    yield lambda *said: here.sink(Said(*said))
    callbacks.fill(None)


def test_what_a_callback_says_is_in_the_view_while_it_runs(xp, fake, captured):
    gate, told = threading.Event(), threading.Event()
    task = learn(tag(0.5)).submit()

    def speak():
        captured("out", "one")
        gate.wait(10)
        for n in range(1000):
            captured("out", f" {n}")
        captured("display", "two", "data:image/png;base64,")

    stop = xp._loop.subscribe(lambda keys: task.job.view().said and told.set())
    task.on_completed(speak)
    fake.wait_for(1)
    fake.finish("")
    assert told.wait(10)
    assert task.job.view().said == (Said("out", "one"),)
    gate.set()
    task.wait(10)
    out, display = xp.view().jobs[0].said
    assert out.text == "one" + "".join(f" {n}" for n in range(1000))
    assert display == Said("display", "two", "data:image/png;base64,")
    stop()


def test_what_a_callback_raises_is_said_in_the_users_terms(xp, fake, captured):
    def helper():
        raise ValueError("no\nluck")

    def boom(view=None):
        captured("out", "before")
        helper()

    task = learn().submit()
    task.on_completed(boom)
    task.on_completed(lambda: captured("out", "after"))
    fake.wait_for(1)
    fake.finish("")
    task.wait(10)
    before, error, after = task.job.view().said
    assert (before, after) == (Said("out", "before"), Said("out", "after"))
    assert error.kind == "error"
    lines = error.text.split("\n")
    assert lines[-1] == "ValueError: no luck"
    assert lines[0].startswith(__file__)
    assert lines[0].endswith("in boom")
    assert lines[1].strip() == "helper()"
    assert "engine/job.py" not in error.text
    assert task.job.view().callback_error == "ValueError: no luck"


def test_who_awaits_a_job_sees_what_its_callbacks_said(xp, fake, captured):
    task = learn().submit()
    task.on_completed(lambda: captured("out", "one"))

    async def cell():
        fake.wait_for(1)
        fake.finish("")
        await task
        return task.job.view().said

    assert asyncio.run(cell()) == (Said("out", "one"),)


def test_leaving_from_a_callback_ends_no_thread(xp, fake):
    task = learn().submit()
    task.on_completed(lambda: exit(3))
    fake.wait_for(1)
    fake.finish("")
    task.wait(10)
    assert task.job.view().callback_error == "SystemExit: 3"
    assert callbacks.current().flush(10)


def test_what_was_registered_before_is_told_of_each_state(xp, fake, monkeypatch):
    post, seen = xp._loop.post, []

    def at_once(message):
        post(message)
        if isinstance(message, SubmitJob):
            assert xp._loop.sync(60), "the scheduler is quicker than the cell"

    monkeypatch.setattr(xp._loop, "post", at_once)
    task = learn()
    task.on_state(lambda view: seen.append(view.state.value))
    task.submit()
    fake.wait_for(1)
    fake.finish("")
    task.wait(60)
    assert seen == ["waiting", "ready", "scheduled", "running", "done"]


def test_another_attempt_begins_in_silence(xp, fake, captured):
    task = learn()
    task.on_state(lambda view: captured("out", f"{view.state.value} "))
    task.submit()

    def said():
        return "".join(one.text for one in task.job.view().said)

    fake.wait_for(1)
    fake.finish("")
    task.wait(10)
    assert said() == "waiting ready scheduled running done "
    task.job.rerun()
    fake.wait_for(2)
    fake.finish("")
    task.wait(10)
    assert said() == "waiting ready scheduled running done ", "the second attempt's alone"


# -- running again ----------------------------------------------------------------------------


def finish(task, fake, count):
    fake.wait_for(count)
    fake.finish(task.job.identifier)
    assert task.job.wait(10) is JobState.DONE


def test_rerun_names_its_jobs(xp, fake):
    tasks = [learn(x).submit() for x in (1, 2)]
    with pytest.raises(ConfigError, match=r"rerun\(\*xp\.jobs\)"):
        xp.rerun()
    assert xp.rerun(*xp.jobs) == (), "both run"
    for count, task in enumerate(tasks, start=1):
        finish(task, fake, count)
    first = tasks[0].job
    assert xp.rerun(first, first.identifier[:8], tasks[0], 0) == (first,)
    assert not first.entry.settled.is_set()
    finish(tasks[0], fake, 3)
    assert (first.view().attempt, first.view().reused) == (2, False)
    with pytest.raises(ConfigError, match="no job"):
        xp.rerun("zz")


def test_nothing_is_run_again_if_something_is_in_the_way_of_one(xp, fake):
    task, other = learn(1).submit(), learn(2).submit()
    finish(task, fake, 1)
    finish(other, fake, 2)
    score = Score.C(learn=task).submit()
    fake.wait_for(3)
    loop.current().sync(10)
    with pytest.raises(ConfigError, match=r"Learn .{8} cannot be run again: Score .{8} runs and"):
        xp.rerun(other, task)
    assert other.state is JobState.DONE
    finish(score, fake, 3)
    task.job.rerun()
    fake.wait_for(4)
    fake.fail(task.job.identifier)
    task.job.wait(10)
    with pytest.raises(ConfigError, match=r"Score .{8} cannot be run again: it needs Learn .{8}"):
        score.job.rerun()
    assert score.state is JobState.DONE
    assert xp.rerun(score, task) == (score.job, task.job)
    finish(task, fake, 5)
    finish(score, fake, 6)


def test_a_dry_run_and_a_directory_without_a_script_are_not_run_again(xp, fake, new_kernel):
    task = learn()
    task.submit(run_mode=RunMode.DRY_RUN)
    with pytest.raises(ConfigError, match="only looked at"):
        xp.rerun(xp.jobs[0])
    real = learn().submit()
    finish(real, fake, 1)
    new_kernel()
    again = start("tour")
    (job,) = again.jobs
    (job.path / "learn.py").unlink()
    code = job.entry.paths.code
    code.rename(code.with_suffix(".away"))  # which names the classes that are to be run
    with pytest.raises(ConfigError, match="nothing says what it runs: delete"):
        again.rerun(job)
    code.with_suffix(".away").rename(code)
    again.rerun(job)
    assert job.wait(60) is JobState.DONE
    assert "Learn" in (job.path / "learn.py").read_text()


def test_what_is_run_again_is_what_was_submitted_last(xp, fake):
    first = learn(tag(1)).submit()
    finish(first, fake, 1)
    script = first.job.path / "learn.py"
    script.write_text("# old code")
    xp.setenv("MINE", "1")
    learn(1).submit()  # without tags: those before stay
    assert xp.jobs[0].config is first
    first.job.rerun()
    (*_, handle) = fake.wait_for(2)
    assert handle.environ == {"MINE": "1"}
    assert "old code" not in script.read_text()
    record = records.read_job(first.job.entry.paths)
    assert (dict(record.tags), record.attempt) == ({"lr": 1}, 2)
    assert xp.view().jobs[0].tags == (("lr", "1"),)
    finish(first, fake, 2)


def test_a_callback_may_run_its_job_again(xp, fake):
    task = learn(1).submit()
    task.on_completed(lambda: task.job.view().attempt < 3 and task.job.rerun())
    for count in (1, 2, 3):
        fake.wait_for(count)
        fake.finish("")
    xp.wait(10)
    assert task.job.view().attempt == 3
    assert current() is xp
    assert isinstance(task, Learn)
