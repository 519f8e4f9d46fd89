"""Pictures of experiments: drawn by cells, brought up to date by the thread, ended by the wait."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from xpm_nb.core.states import JobState
from xpm_nb.core.views import ExperimentView, JobView
from xpm_nb.notebook import bridge


def view(*states: JobState, name: str = "digits") -> ExperimentView:
    jobs = []
    for i, state in enumerate(states):
        digits = hashlib.sha256(str(i).encode()).hexdigest()
        jobs.append(JobView(f"t/{digits}", digits, "t", "t", "Train", state, started=1.0))
    return ExperimentView(name, "/w", name, tuple(jobs))


class Screen:
    """A front-end, a shell, and an experiment, as far as the bridge knows them."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace(execution_count=1, kernel=object())
        self.sent: list[tuple[str, str, bool, str]] = []  # thread, display id, update, text
        self.sent_one = threading.Condition()
        self.listeners = []
        self.now = view()
        self.looks = threading.Semaphore(0)  # one for each time that somebody asked for the view
        self.publisher = bridge.Publisher()

    def view(self) -> ExperimentView:
        self.looks.release()
        return self.now

    def send(self, bundle, display_id="", *, update=False) -> None:
        with self.sent_one:
            name = threading.current_thread().name
            self.sent.append((name, display_id, update, bundle["text/plain"]))
            self.sent_one.notify_all()

    def change(self, *states: JobState) -> None:
        self.now = view(*states)
        for listener in self.listeners:
            listener(frozenset({"t/1"}))

    def wait_for(self, count: int) -> None:
        with self.sent_one:
            assert self.sent_one.wait_for(lambda: len(self.sent) >= count, timeout=30)

    def rest(self) -> None:
        """End all pictures: the thread, which cannot be stopped, has nothing left to send."""
        pictures = self.publisher._pictures.values()
        deadline = time.monotonic() + 20
        while not all(picture.finished for picture in pictures):
            assert time.monotonic() < deadline
            self.change(JobState.DONE)
            time.sleep(0.01)

    @property
    def texts(self) -> list[str]:
        return [text for *_, text in self.sent]


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.delenv("XPM_NB_DETERMINISTIC", raising=False)
    screen = Screen()
    loop = SimpleNamespace(subscribe=screen.listeners.append)
    monkeypatch.setattr(bridge, "_send", screen.send)
    monkeypatch.setattr(bridge, "_shell", lambda: screen.shell)
    monkeypatch.setattr(bridge.loop, "current", lambda: loop)
    monkeypatch.setattr(bridge, "_publisher", screen.publisher)
    monkeypatch.setattr(bridge, "PERIOD_S", 0.05)
    yield screen
    monkeypatch.setattr(bridge, "_send", screen.send)
    screen.rest()


def test_a_value_is_drawn_and_kept_up_to_date(screen):
    screen.now = view(JobState.WAITING)
    bridge.show(screen)
    screen.change(JobState.RUNNING)
    screen.wait_for(2)
    screen.change(JobState.DONE)
    screen.wait_for(3)
    assert screen.texts == [
        "digits: 1 job (1 waiting)",
        "digits: 1 job (1 running)",
        "digits: 1 job (1 done)",
    ]
    threads, ids, updates, _ = zip(*screen.sent, strict=True)
    assert threads == ("MainThread", "xpm-publisher", "xpm-publisher")
    assert len(set(ids)) == 1
    assert ids[0]
    assert updates == (False, True, True)


@pytest.mark.slow
def test_a_picture_that_has_not_changed_is_not_sent_again(screen):
    screen.now = view(JobState.DONE)
    bridge.show(screen)
    assert screen.looks.acquire(timeout=30)
    for _ in range(3):
        screen.change(JobState.DONE)
        assert screen.looks.acquire(timeout=30)  # the publisher has looked
    screen.change(JobState.ERROR)
    screen.wait_for(2)
    assert [update for _, _, update, _ in screen.sent] == [False, True]
    assert screen.texts[1].startswith("digits: 1 job (1 error)")


@pytest.mark.slow
def test_changes_are_gathered(screen, monkeypatch):
    monkeypatch.setattr(bridge, "PERIOD_S", 0.3)
    began = time.monotonic()
    bridge.show(screen)
    for count in range(1, 60):
        screen.change(*[JobState.DONE] * count)
        time.sleep(0.01)
    screen.wait_for(2)
    deadline = time.monotonic() + 20
    while "59 jobs" not in screen.texts[-1]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(screen.sent) <= 3 + (time.monotonic() - began) / 0.3


def test_there_is_one_thread(screen):
    for cell in range(1, 4):
        screen.shell.execution_count = cell
        bridge.show(screen)
    assert len(screen.listeners) == 1
    mine = [t for t in threading.enumerate() if t is screen.publisher._thread]
    assert len(mine) == 1
    assert mine[0].daemon


def test_the_same_experiment_has_one_display_id(screen):
    bridge.show(screen)
    screen.shell.execution_count = 2
    bridge.show(screen)
    assert [update for _, _, update, _ in screen.sent] == [False, False]
    assert len({display_id for _, display_id, _, _ in screen.sent}) == 1


def test_waiting_draws_once_and_ends_with_the_truth_from_the_cell(screen):
    screen.now = view(JobState.RUNNING)
    with bridge.watch(screen):
        screen.now = view(JobState.DONE)  # the thread has not heard of it
    bridge.show(screen)  # the value of `xp.wait()`, in the same cell
    assert screen.texts == ["digits: 1 job (1 running)", "digits: 1 job (1 done)"]
    assert [thread for thread, *_ in screen.sent] == ["MainThread"] * 2
    screen.shell.execution_count = 2
    bridge.show(screen)
    assert len(screen.sent) == 3


def test_waiting_ends_with_the_truth_when_it_is_interrupted(screen):
    screen.now = view(JobState.WAITING)

    def wait() -> None:
        with bridge.watch(screen):
            screen.now = view(JobState.RUNNING)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert screen.texts == ["digits: 1 job (1 waiting)", "digits: 1 job (1 running)"]


def test_waiting_in_another_thread_draws_nothing(screen):
    def wait() -> None:
        with bridge.watch(screen):
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert screen.sent == []


def test_a_terminal_gets_one_picture_at_the_end(screen):
    screen.shell = SimpleNamespace(execution_count=1)
    screen.now = view(JobState.RUNNING)
    with bridge.watch(screen):
        screen.change(JobState.DONE)
    bridge.show(screen)
    assert screen.texts == ["digits: 1 job (1 done)"]
    assert screen.publisher._thread is None


def test_deterministic_mode_draws_the_jobs_of_this_run_once(screen, monkeypatch):
    monkeypatch.setenv("XPM_NB_DETERMINISTIC", "1")
    screen.now = view(JobState.RUNNING, JobState.DONE)
    bridge.show(screen)
    screen.shell.execution_count = 2
    with bridge.watch(screen):
        both = view(JobState.DONE, JobState.DONE)
        earlier = replace(both.jobs[1], earlier=True)
        screen.now = replace(both, jobs=(both.jobs[0], earlier))
    bridge.show(screen)
    assert screen.texts == ["experiment digits", "digits: 1 job (1 done)"]
    assert [display_id for _, display_id, _, _ in screen.sent] == ["", ""]
    assert screen.publisher._thread is None


def test_a_listener_that_cannot_reach_the_front_end_goes_on(screen, monkeypatch):
    bridge.show(screen)

    def broken(*_args, **_kwargs):
        screen.sent.append(("", "", True, "lost"))
        raise OSError("the front-end is gone")

    monkeypatch.setattr(bridge, "_send", broken)
    screen.change(JobState.RUNNING)
    deadline = time.monotonic() + 20
    while len(screen.sent) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setattr(bridge, "_send", screen.send)
    screen.change(JobState.DONE)
    screen.wait_for(3)
    assert screen.texts[-1] == "digits: 1 job (1 done)"


def test_rendering_never_raises(screen):
    class Broken:
        def view(self):
            raise RuntimeError("<b>broken</b>")

    bundle = bridge.render(Broken())
    assert bundle["text/plain"] == "cannot display Broken: RuntimeError: <b>broken</b>"
    assert "<b>" not in bundle["text/html"]


def test_rendering_a_job_shows_its_log_while_it_matters(screen):
    class Job:
        state = JobState.RUNNING

        def view(self):
            return view(self.state).jobs[0]

        def log(self, n):
            return f"the last {n} lines"

    job = Job()
    assert "the last 20 lines" in bridge.render(job)["text/html"]
    job.state = JobState.DONE
    assert "the last" not in bridge.render(job)["text/html"]
