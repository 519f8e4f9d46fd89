"""What has to be ready before jobs, and jobs that may be left out; jobs end when told."""

from __future__ import annotations

import threading

import pytest

from tests.engine.lab import begin
from tests.engine.long_tasks import Corpus, Idle, Nothing, Parse, Produce, Use
from xpm_nb.core.config import RunMode
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.engine import loop
from xpm_nb.engine.opening import experiment
from xpm_nb.errors import ConfigTypeError, FailedExperiment, JobError


@pytest.fixture
def prepared(monkeypatch):
    """What was prepared, in order; `gate` is open unless a test closes it."""
    seen: list[str] = []
    gate = threading.Event()
    gate.set()

    def prepare(self):
        assert gate.wait(10)
        seen.append(self.name)
        if self.name == "bad":
            raise OSError("no network")

    monkeypatch.setattr(Corpus, "prepare", prepare)
    yield type("Prepared", (), {"seen": seen, "gate": gate})
    gate.set()


def sync():
    assert loop.current().sync(10)


def test_two_tasks_wait_for_one_preparation(xp, fake, prepared):
    prepared.gate.clear()
    one, two = (Parse.C(corpus=Corpus.C(name="news"), seed=seed).submit() for seed in (1, 2))
    sync()
    for task in (one, two):
        view = task.job.view()
        assert view.state is JobState.WAITING
        assert view.message.startswith("preparing Corpus ")
    assert fake.handles == []
    prepared.gate.set()
    fake.wait_for(2)
    sync()
    assert prepared.seen == ["news"]
    assert one.job.view().message == ""


def test_once_for_a_workspace_whoever_asks_again(xp, fake, prepared, new_kernel):
    Parse.C(corpus=Corpus.C(name="news"), seed=1).submit()
    fake.wait_for(1)
    new_kernel()
    from xpm_nb.engine.opening import start

    start("other", launcher=fake)
    Parse.C(corpus=Corpus.C(name="news"), seed=3).submit()
    fake.wait_for(2)
    assert prepared.seen == ["news"]


def test_what_fails_fails_its_jobs_and_is_tried_again_with_them(xp, fake, prepared):
    bad = Parse.C(corpus=Corpus.C(name="bad"), seed=1).submit()
    other = Parse.C(corpus=Corpus.C(name="bad"), seed=2).submit()
    good = Parse.C(corpus=Corpus.C(name="good"), seed=1).submit()
    fake.wait_for(1)
    for task in (bad, other):  # which may have been submitted after that
        assert task.wait(10) is JobState.ERROR
        view = task.job.view()
        assert view.reason is FailureReason.DEPENDENCY
        assert view.message.startswith("preparing Corpus ")
        assert view.message.endswith(": OSError: no network")
        (said,) = [said for said in view.said if said.kind == "error"]
        assert 'raise OSError("no network")' in said.text
        assert "cache.py" not in said.text
    with pytest.raises(JobError, match=r'raise OSError\("no network"\)'):
        bad.result()
    assert good.state is JobState.RUNNING
    tried = prepared.seen.count("bad")
    bad.job.retry()
    assert bad.wait(10) is JobState.ERROR
    assert prepared.seen.count("bad") == tried + 1
    Parse.C(corpus=Corpus.C(name="bad"), seed=2).submit().wait(10)
    assert prepared.seen.count("bad") == tried + 2


def test_what_is_done_needs_no_preparation(xp, fake, prepared):
    task = Parse.C(corpus=Corpus.C(name="news"), seed=1).submit()
    fake.wait_for(1)
    fake.finish("")
    assert task.wait(10) is JobState.DONE
    for path in xp.workspace.root.glob("config/*/*/.experimaestro/prepared"):
        path.unlink()
    again = Parse.C(corpus=Corpus.C(name="news"), seed=1).submit()
    assert again.wait(10) is JobState.DONE
    assert prepared.seen == ["news"]


def test_run_mode_prepare_prepares_and_runs_nothing(xp, fake, prepared):
    task = Parse.C(corpus=Corpus.C(name="news"), seed=1)
    task.submit(run_mode=RunMode.PREPARE)
    xp.wait(10)
    assert prepared.seen == ["news"]
    assert (task.state, task.job.view().message) == (JobState.UNSCHEDULED, "prepared")
    assert not task.job.path.exists()
    task.submit()
    fake.wait_for(1)
    sync()
    assert task.state is JobState.RUNNING
    assert prepared.seen == ["news"]


def test_run_mode_prepare_says_what_failed(new_kernel, fake, prepared, tmp_path):
    with (
        pytest.raises(FailedExperiment, match="OSError: no network"),
        experiment(tmp_path / "ws", "some", launcher=fake, run_mode=RunMode.PREPARE),
    ):
        Parse.C(corpus=Corpus.C(name="bad"), seed=1).submit()
    assert fake.handles == []


def test_one_that_does_not_say_how_is_refused(xp):
    with pytest.raises(ConfigTypeError, match=r"Nothing has no method prepare\(self\)"):
        Idle.C(nothing=Nothing.C()).submit()


# -- transient jobs -----------------------------------------------------------------------------


def states(*tasks):
    sync()
    return [task.state.value for task in tasks]


def test_a_transient_job_is_left_out_until_it_is_needed(xp, fake):
    a = Produce.C(n=1).submit(transient=TransientMode.TRANSIENT)
    xp.wait(10)  # nothing is under way
    assert states(a) == ["unscheduled"]
    assert a.job.view().message == "transient: it runs when a job needs it"
    assert a.job.cancel() is None
    b = Use.C(of=a, n=1).submit()
    fake.wait_for(1)
    assert states(a, b) == ["running", "waiting"]
    fake.finish("")
    fake.wait_for(2)
    fake.finish("")
    xp.wait(10)
    assert states(a, b) == ["done", "done"]


def test_another_kernel_leaves_it_out_too(xp, fake, new_kernel):
    from xpm_nb.engine.opening import start

    a = Produce.C(n=1).submit(transient=TransientMode.TRANSIENT)
    assert states(a) == ["unscheduled"]
    new_kernel()
    again = start("tour", launcher=fake)
    (job,) = again.jobs
    assert job.state is JobState.UNSCHEDULED
    assert job.entry.settled.wait(10)  # nobody waits for what is left out
    assert job.view().message == "transient: it runs when a job needs it"
    Use.C(of=Produce.C(n=1).submit(transient=TransientMode.TRANSIENT), n=1).submit()
    fake.wait_for(1)


def test_its_files_go_when_all_that_needed_it_is_done(xp, fake):
    a = Produce.C(n=1).submit(transient=TransientMode.REMOVE)
    users = [Use.C(of=a, n=n).submit() for n in (1, 2)]
    fake.wait_for(1)
    (a.job.path / "large.bin").write_bytes(b"x" * 100)
    fake.finish("")
    for handle in fake.wait_for(3)[1:]:
        assert (a.job.path / "large.bin").exists()
        fake.finish(handle)
    xp.wait(10)
    assert states(a, *users) == ["unscheduled", "done", "done"]
    assert a.job.view().message == (
        "transient: its files were removed, as all that needed them is done"
    )
    names = {path.name for path in a.job.path.rglob("*")}
    assert names - {"code.json"} == {
        "produce.py",
        "params.json",
        ".experimaestro",
        "job.json",
        "lock",
        "removals.jsonl",
    }
    Use.C(of=a, n=3).submit()
    fake.wait_for(4)
    assert states(a) == ["running"]
    fake.finish("")
    fake.wait_for(5)


def test_what_is_asked_for_without_the_mode_keeps_its_files(xp, fake):
    a = Produce.C(n=1).submit(transient=TransientMode.REMOVE)
    b = Use.C(of=a, n=1).submit()
    fake.wait_for(1)
    Produce.C(n=1).submit()
    fake.finish("")
    fake.wait_for(2)
    fake.finish("")
    xp.wait(10)
    assert states(a, b) == ["done", "done"]


# -- real processes -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_that_is_started_without_its_kernel_prepares_itself(lab):
    code = (
        "import threading\n"
        "from tests.engine.long_tasks import *\n"
        "xp = begin()\n"
        "Corpus.prepare = lambda self: threading.Event().wait()\n"
        "Parse.C(corpus=Corpus.C(name='news'), seed=1).submit()\n"
        "from xpm_nb.engine import loop\n"
        "assert loop.current().sync(30)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    lab.kernel(code).wait(60)
    xp = begin(lab)
    xp.wait(60)
    (job,) = xp.jobs
    assert job.result() == "news"
    assert lab.said() == ["prepare news"]
    task = Parse.C(corpus=Corpus.C(name="news"), seed=2).submit()
    assert task.result() == "news"
    assert lab.said() == ["prepare news"]


@pytest.mark.slow
def test_two_kernels_prepare_once(lab):
    code = (
        "from tests.engine.long_tasks import *\n"
        "xp = begin()\n"
        "task = Parse.C(corpus=Corpus.C(name='news'), seed={n}).submit()\n"
        "assert task.result() == 'news'\n"
    )
    kernels = [lab.kernel(code.replace("{n}", str(n))) for n in range(3)]
    assert [kernel.wait(60) for kernel in kernels] == [0, 0, 0]
    assert lab.said() == ["prepare news"]


@pytest.mark.slow
def test_a_chain_of_transient_jobs(lab):
    xp = begin(lab)
    a = Produce.C(n=1).submit(transient=TransientMode.REMOVE)
    b = Use.C(of=a, n=2).submit(transient=TransientMode.TRANSIENT)
    xp.wait(30)
    assert lab.said() == []
    c = Use.C(of=b, n=3).submit()
    xp.wait(60)
    assert c.result() == 6
    assert lab.said() == ["produce 1", "use 2", "use 3"]
    assert [task.state.value for task in (a, b, c)] == ["unscheduled", "done", "done"]
    assert not (a.job.path / "value.txt").exists()
    d = Use.C(of=a, n=10).submit()
    assert d.result() == 11
    assert lab.said()[3:] == ["produce 1", "use 10"]
