"""What cells draw: by the cell first, kept up to date by the thread, ended by the wait."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import comm
import pytest
from comm.base_comm import BaseComm

from xpm_nb.core.config import RunMode
from xpm_nb.core.states import JobState
from xpm_nb.core.views import ExperimentView, JobView
from xpm_nb.notebook import bridge, live, protocol

VIEW = "application/vnd.jupyter.widget-view+json"


def view(*states: JobState, name: str = "digits") -> ExperimentView:
    jobs = []
    for i, state in enumerate(states):
        digits = hashlib.sha256(str(i).encode()).hexdigest()
        jobs.append(JobView(f"t/{digits}", digits, "t", "t", "Train", state, started=1.0))
    return ExperimentView(name, "/w", name, tuple(jobs))


class Wire(BaseComm):
    """The kernel's end of a widget: keeps what is sent."""

    def __init__(self, screen, **options) -> None:
        self.screen = screen
        super().__init__(**options)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        name = threading.current_thread().name
        with self.screen.sent_one:
            self.screen.wires.append((name, msg_type, data))
            self.screen.sent_one.notify_all()


class Screen:
    """A front-end, a shell, and an experiment, as far as the bridge knows them."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace(execution_count=1, kernel=object())
        self.sent: list[tuple[str, str, bool, str]] = []  # thread, display id, update, text
        self.wires: list[tuple[str, str, dict]] = []  # thread, type, data of comm messages
        self.sent_one = threading.Condition()
        self.listeners = []
        self.now = view()
        self.looks = threading.Semaphore(0)  # one for each time that somebody asked for views
        self.publisher = bridge.Publisher()
        self.name, self.namespace, self.slots = "digits", "digits", 2
        self.workspace = SimpleNamespace(root="/w")
        self.way_back = 'from xpm_nb import start; xp = start("digits")'
        self.run_mode = RunMode.NORMAL
        self.cancelled = []

    # the experiment

    @property
    def jobs(self):
        entry = SimpleNamespace(handle=None)
        return [SimpleNamespace(key=j.key, state=j.state, entry=entry) for j in self.now.jobs]

    def view(self) -> ExperimentView:
        self.looks.release()
        return self.now

    def peek(self, keys) -> tuple[JobView, ...]:
        self.looks.release()
        known = {job.key: job for job in self.now.jobs}
        return tuple(known[key] for key in keys if key in known)

    def find(self, keys) -> tuple:
        known = {job.key: job for job in self.jobs}
        return tuple(known[key] for key in keys if key in known)

    def cancel(self, *jobs):
        self.cancelled += [job.key for job in jobs]

    # the front-end

    def send(self, bundle, display_id="", *, update=False) -> None:
        with self.sent_one:
            name = threading.current_thread().name
            text = bundle.get("text/plain") or f"view {bundle[VIEW]['model_id']}"
            text = text.partition("\n  open it again")[0]
            self.sent.append((name, display_id, update, text))
            self.sent_one.notify_all()

    def change(self, *states: JobState) -> None:
        self.now = view(*states)
        for listener in self.listeners:
            listener(frozenset(job.key for job in self.now.jobs))

    def until(self, happened) -> None:
        with self.sent_one:
            assert self.sent_one.wait_for(happened, timeout=30)

    def wait_for(self, count: int) -> None:
        self.until(lambda: len(self.sent) >= count)

    def messages(self, kind: str) -> list[dict]:
        found = [data for _, _, data in self.wires if (data or {}).get("method") == "custom"]
        return [d["content"] for d in found if d["content"]["t"] == kind]

    def states(self) -> list[dict]:
        """What the model's state was set to after it was made."""
        updates = [data for _, _, data in self.wires if (data or {}).get("method") == "update"]
        found = [data["state"]["snapshot"] for data in updates if "snapshot" in data["state"]]
        return [protocol.unpack(snapshot) for snapshot in found]

    @property
    def live(self) -> live.Live:
        (found,) = self.publisher._lives.values()
        return found

    def ask(self, **message) -> None:
        """Send a message as the panel does."""
        content = {"id": len(self.messages("ack")) + 1, "at": time.time(), **message}
        data = {"method": "custom", "content": content}
        self.live.panel.comm.handle_msg({"content": {"data": data}})

    def answer(self, **message) -> dict:
        before = len(self.messages("ack"))
        self.ask(**message)
        self.until(lambda: len(self.messages("ack")) > before)
        return self.messages("ack")[-1]

    @property
    def texts(self) -> list[str]:
        return [text for *_, text in self.sent]


@pytest.fixture
def screen(monkeypatch):
    """A screen where widgets cannot be made."""
    monkeypatch.delenv("XPM_NB_DETERMINISTIC", raising=False)
    screen = Screen()
    loop = SimpleNamespace(subscribe=screen.listeners.append)
    monkeypatch.setattr(bridge, "_send", screen.send)
    monkeypatch.setattr(bridge, "_shell", lambda: screen.shell)
    monkeypatch.setattr(bridge.loop, "current", lambda: loop)
    monkeypatch.setattr(bridge, "_publisher", screen.publisher)
    monkeypatch.setattr(bridge, "PERIOD_S", 0.02)
    monkeypatch.setattr(live, "PERIOD_S", 0.05)
    monkeypatch.setitem(sys.modules, "xpm_nb.notebook.widgets", None)
    monkeypatch.delattr("xpm_nb.notebook.widgets", raising=False)
    yield screen
    screen.publisher.stop()


@pytest.fixture
def panels(screen, monkeypatch):
    """A screen with widgets, whose messages are kept."""
    monkeypatch.delitem(sys.modules, "xpm_nb.notebook.widgets")
    from xpm_nb.notebook import widgets

    monkeypatch.setattr(widgets, "packed", lambda *names: "export default {}")
    monkeypatch.setattr(comm, "create_comm", lambda **options: Wire(screen, **options))
    return screen


# -- pictures alone -----------------------------------------------------------------------------


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
    monkeypatch.setattr(live, "PERIOD_S", 0.3)
    began = time.monotonic()
    bridge.show(screen)
    for count in range(1, 60):
        screen.change(*[JobState.RUNNING] * count)
        time.sleep(0.01)
    screen.wait_for(2)
    screen.until(lambda: "59 jobs" in screen.texts[-1])
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


def test_a_front_end_that_cannot_be_reached_ends_nothing(screen, monkeypatch):
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
    screen.until(lambda: screen.texts[-1] == "digits: 1 job (1 done)")


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


# -- panels -------------------------------------------------------------------------------------


def test_a_live_display_is_a_view_and_its_twin(panels):
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    panels.shell.execution_count = 2
    bridge.show(panels)
    model = panels.live.panel.model_id
    kinds = [(display_id != "", text) for _, display_id, _, text in panels.sent]
    twin = (True, "digits: 1 job (1 running)")
    assert kinds == [(False, f"view {model}"), twin] * 2
    opened = [data["state"] for _, kind, data in panels.wires if kind == "comm_open"]
    snapshots = [protocol.unpack(s["snapshot"]) for s in opened if "snapshot" in s]
    assert [row[1][0] for row in snapshots[0]["rows"]] == ["r"]
    assert snapshots[0]["name"] == "digits"
    assert snapshots[0]["back"] == panels.way_back


def test_changes_go_to_the_panel_in_one_thread_and_numbered(panels):
    bridge.show(panels)
    seq = panels.live.feed.seq
    panels.change(JobState.WAITING)
    panels.until(lambda: panels.messages("d"))
    panels.change(JobState.RUNNING)
    panels.until(lambda: len(panels.messages("d")) >= 2)
    first, second = panels.messages("d")[:2]
    assert (first["prev"], second["prev"]) == (seq, first["seq"])
    assert first["n"][0][1][0] == "w"
    assert second["r"][0][:1] == [0]
    assert {thread for thread, kind, _ in panels.wires if kind == "comm_msg"} == {"xpm-publisher"}


def test_the_end_of_a_wait_sends_the_state_from_the_cell(panels):
    panels.now = view(JobState.RUNNING)
    with bridge.watch(panels):
        panels.now = view(JobState.DONE)
    thread, _, data = panels.wires[-1]
    assert thread == "MainThread"
    assert data["method"] == "update"
    assert panels.states()[-1]["rows"][0][1][0] == "d"
    assert panels.texts[-1] == "digits: 1 job (1 done)"


def test_the_end_without_a_wait_sends_the_state_once(panels):
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    panels.change(JobState.DONE)
    panels.until(panels.states)
    assert panels.states()[0]["rows"][0][1][0] == "d"
    assert panels.answer(do="ping")["ok"]
    assert len(panels.states()) == 1


def test_what_comes_after_the_end_is_in_the_state_too(panels, monkeypatch):
    monkeypatch.setattr(live, "SNAPSHOT_S", 0.02)
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    panels.change(JobState.DONE)
    panels.until(panels.states)
    late = (replace(job, callback_error="ValueError: late") for job in panels.now.jobs)
    panels.now = replace(panels.now, jobs=tuple(late))
    panels.publisher.touch(None)
    panels.until(lambda: len(panels.states()) == 2)
    before, after = (state["rows"][0][1] for state in panels.states())
    assert before[0] == after[0] == "d"
    assert before[7:] == []
    assert after[7] & protocol.CALLBACK_ERROR


def test_a_click_is_carried_out_once(panels):
    panels.now = view(JobState.RUNNING, JobState.DONE)
    bridge.show(panels)
    running, done = (job.identifier[:12] for job in panels.now.jobs)
    now = time.time()
    assert panels.answer(do="cancel", jobs=[running, done], at=now)["ok"]
    assert panels.cancelled == [panels.now.jobs[0].key]
    number = len(panels.messages("ack"))
    again = panels.answer(do="cancel", jobs=[running, done], at=now, id=number)
    assert again["note"] == "came twice"
    late = panels.answer(do="cancel", jobs=[running], at=now - 60)
    assert (late["ok"], late["note"]) == (False, "came too late: click again")
    assert not panels.answer(do="cancel", jobs=[done])["ok"]
    assert not panels.answer(do="cancel", jobs=["nothing"])["ok"]
    assert len(panels.cancelled) == 1


@pytest.mark.parametrize(
    "message",
    [
        {"do": "delete"},
        {"do": "cancel"},
        {"do": "cancel", "jobs": "all"},
        {"do": "cancel", "jobs": ["x" * 65]},
        {"do": "cancel", "jobs": ["x"] * 10_001},
        {"do": "watch", "view": "v", "graph": "<b>"},
        {"do": "ping", "id": "1"},
        {"do": "ping", "more": 1},
        {},
    ],
)
def test_what_is_no_message_changes_nothing(panels, message):
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    panels.ask(**message)
    before = panels.live.dropped
    assert before == 1
    assert panels.answer(do="ping")["ok"]
    assert len(panels.messages("ack")) == 1
    assert not panels.cancelled


def test_a_front_end_cannot_set_the_state(panels):
    bridge.show(panels)
    panel = panels.live.panel
    sent = {"uid": "other", "snapshot": {"rows": []}, "_esm": "alert(1)"}
    data = {"method": "update", "state": sent, "buffer_paths": []}
    panel.comm.handle_msg({"content": {"data": data}, "buffers": []})
    assert panel.uid == panels.live.uid
    assert panel._esm == "export default {}"


def test_a_new_view_hears_where_we_are(panels):
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    panels.answer(do="watch", view="a")
    (greeting,) = panels.messages("d")[-1:]
    assert greeting["prev"] == greeting["seq"] == panels.live.feed.seq
    panels.answer(do="resync")
    panels.until(panels.states)
    assert panels.states()[0]["seq"] > greeting["seq"]


def test_a_panel_that_somebody_closed_is_made_again(panels):
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    first = panels.live.panel
    first.close()
    panels.change(JobState.DONE)  # nobody hears it, and nothing breaks
    panels.shell.execution_count = 2
    bridge.show(panels)
    second = panels.live.panel
    assert second is not first
    assert panels.sent[-2][3] == f"view {second.model_id}"
    panels.change(JobState.ERROR)
    panels.until(lambda: any(m["r"] for m in panels.messages("d")))


def test_widgets_are_given_for_layouts_of_ones_own(panels, monkeypatch):
    monkeypatch.setattr(bridge, "Experiment", Screen)
    panels.now = view(JobState.RUNNING)
    panel = bridge.widget(panels)
    assert bridge.widget(panels) is panel
    assert panels.sent == []  # nothing is drawn
    panels.change(JobState.DONE)
    panels.until(lambda: panels.messages("d"))
    assert bridge.display_of(panels) is panel


def test_without_widgets_there_is_a_picture(screen, monkeypatch):
    monkeypatch.setattr(bridge, "Experiment", Screen)
    with pytest.raises(ImportError, match="pip install anywidget"):
        bridge.widget(screen)
    picture = bridge.display_of(screen)
    assert picture._mime_()[0] == "text/html"
    assert picture._repr_mimebundle_()["text/plain"].startswith("digits: 0 jobs")
