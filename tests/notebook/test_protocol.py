"""What the panel is told: nothing is lost, whatever happens; and what it may ask."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from xpm_nb.core.freshness import BADGES
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView, Said
from xpm_nb.notebook import protocol
from xpm_nb.notebook.protocol import Feed, read

NASTY = ["", "plain", "<b>&amp;", "\x00\x1b[31m", "\u202eRTL", "half \ud83d", "😀", "x" * 400]
texts = st.sampled_from(NASTY) | st.text(max_size=20)
times = st.none() | st.floats(1e9, 2e9)
numbers = st.floats() | st.integers(-(10**30), 10**30)


def digits(n: int) -> str:
    return f"{n:08x}" * 8


def job(n: int) -> JobView:
    return JobView(f"my.train/{digits(n)}", digits(n), "my.train", "train", "Train", JobState.READY)


changes = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(JobState),
        "reason": st.none() | st.sampled_from(FailureReason),
        "message": texts,
        "task": st.sampled_from(["Train", "Test", "\ud800"]),
        "tags": st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
        "metrics": st.lists(st.tuples(texts, numbers), max_size=3).map(tuple),
        "submitted": times,
        "started": times,
        "ended": times,
        "progress": st.none() | st.floats(0, 1),
        "progress_text": texts,
        "attempt": st.integers(1, 5),
        "reused": st.booleans(),
        "earlier": st.booleans(),
        "elsewhere": st.booleans(),
        "callback_error": texts,
        "stale": st.sampled_from(["", *BADGES]),
        "drift": texts,
        "unknown": st.lists(texts, max_size=2).map(tuple),
        "said": st.lists(st.just(Said("out", "hi")), max_size=2).map(tuple),
    },
)


def through_json(message):
    """What arrives at the other end: the kernel refuses NaN, and encodes as UTF-8."""
    packed = json.dumps(message, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return json.loads(packed)


class Front:
    """A front-end as the protocol asks for: what it knows comes from messages alone."""

    def __init__(self, snapshot) -> None:
        self.reset(snapshot)

    def reset(self, snapshot) -> None:
        self.seq = snapshot["seq"]
        self.words = {name: snapshot[name] for name in ("tasks", "tags", "metrics")}
        self.rows = [self.row(s, d) for s, d in snapshot["rows"]]

    def row(self, s, d):
        task, tags = s[1], s[3] if len(s) > 3 else []
        names = self.words["tags"]
        return {
            "id": s[0],
            "task": self.words["tasks"][task],
            "tags": {names[i][0]: names[i][1][value] for i, value in enumerate(tags) if value >= 0},
            **self.now(d),
        }

    def now(self, d):
        d = d + [None] * (11 - len(d))
        metrics = dict(zip(self.words["metrics"], d[8] or [], strict=False))
        return {
            "state": d[0],
            "reason": d[1] or "",
            "flags": d[7] or 0,
            "message": d[9] or "",
            "metrics": metrics,
        }

    def hear(self, message) -> bool:
        """False: it has to ask for a snapshot."""
        if message["prev"] != self.seq:
            return message["seq"] <= self.seq
        self.seq = message["seq"]
        self.words.update({n: message[n] for n in self.words if n in message})
        for i, d in message["r"]:
            self.rows[i].update(self.now(d))
        self.rows += [self.row(s, d) for s, d in message["n"]]
        return True


def flags(view: JobView) -> int:
    stale = ["", *BADGES].index(view.stale)
    bits = [view.reused, view.elsewhere, view.earlier, view.callback_error]
    bits += [stale & 1, stale & 2, stale & 4, view.drift, view.unknown]
    return sum(1 << place for place, bit in enumerate(bits) if bit)


def shown(view: JobView) -> dict:
    tags = {protocol.text(n, protocol.MAX_NAME): protocol.text(v, 200) for n, v in view.tags}
    return {
        "id": view.identifier[:12],
        "task": protocol.text(view.task),
        "tags": tags,
        "state": protocol.LETTERS[view.state],
        "reason": view.reason.value if view.reason else "",
        "flags": flags(view),
        "message": protocol.text(view.message, protocol.MAX_MESSAGE),
    }


class Conversation(RuleBasedStateMachine):
    """Jobs come and change; messages are lost; a page is loaded anew: what is shown is what is."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = Feed(1.5e9)
        self.jobs: dict[int, JobView] = {}
        self.front = Front(through_json(self.feed.snapshot(1.5e9)))

    @rule(n=st.integers(0, 8), change=changes)
    def happens(self, n, change):
        self.jobs[n] = replace(self.jobs.get(n, job(n)), **change)
        self.feed.take([self.jobs[n]])

    @rule(lost=st.booleans())
    def tells(self, lost):
        if self.feed.broken:
            self.feed.renew()
            self.front.reset(through_json(self.feed.snapshot(1.5e9)))
        elif self.feed.pending:
            message = through_json(self.feed.change(1.5e9))
            if lost or not self.front.hear(message):
                self.missed = True

    @rule()
    def reloads(self):
        """The state is asked for at any time, in any thread: also before changes were told."""
        self.front = Front(protocol.unpack(through_json(self.feed.packed(1.5e9))))

    @rule()
    def greets(self):
        if not self.front.hear(through_json(self.feed.greeting(1.5e9))):
            self.feed.renew()
            self.front.reset(through_json(self.feed.snapshot(1.5e9)))

    def settle(self) -> None:
        self.tells(lost=False)
        self.greets()

    @invariant()
    def in_the_end_all_is_shown(self):
        feed = self.feed
        if feed.pending or self.front.seq != feed.seq:
            return
        rows = self.front.rows
        views = feed.views()
        assert [
            {k: row[k] for k in shown(view)} for row, view in zip(rows, views, strict=True)
        ] == [shown(view) for view in views]

    def teardown(self):
        self.settle()
        self.in_the_end_all_is_shown()
        assert self.front.seq == self.feed.seq
        assert self.feed.unfinished == sum(not view.state.idle for view in self.jobs.values())
        running = {v.key for v in self.jobs.values() if v.state is JobState.RUNNING}
        assert self.feed.running == running


TestConversation = Conversation.TestCase


def test_rows_are_short():
    feed = Feed(1000.7)
    feed.take([job(1), replace(job(2), state=JobState.DONE, started=1000.5, ended=1002.123)])
    feed.renew()
    first, second = feed.snapshot(1000.7)["rows"]
    assert first == [["000000010000", 0], ["y"]]
    assert second == [["000000020000", 0], ["d", "", 0.5, 2.12]]


def test_what_changed_is_told_once():
    feed = Feed(0)
    feed.take([job(1)])
    feed.renew()
    feed.take([replace(job(1), progress=0.123456789)])
    feed.take([replace(job(1), progress=0.2), job(2)])
    message = feed.change(5.0, slots=3)
    assert message == {
        "t": "d",
        "prev": 1,
        "seq": 2,
        "ts": 5.0,
        "r": [[0, ["y", "", None, None, 0.2]]],
        "n": [[["000000020000", 0], ["y"]]],
        "slots": 3,
    }
    assert not feed.pending
    feed.take([replace(job(1), progress=0.2), job(2)])
    assert not feed.pending


@given(numbers, st.integers(1, 9))
def test_a_number_is_one_that_json_has(value, count):
    rounded = protocol.number(value, count)
    if rounded is not None:
        assert math.isclose(rounded, value, rel_tol=10.0 ** (1 - count))
        json.dumps(rounded, allow_nan=False)


@given(texts, st.none() | st.integers(1, 50))
def test_a_text_can_be_sent_and_is_cut(value, limit):
    safe = protocol.text(value, limit)
    safe.encode("utf-8")
    assert limit is None or len(safe) <= limit


# -- what comes in ------------------------------------------------------------------------------

GOOD = [
    {"do": "cancel", "id": 1, "at": 5.0, "jobs": ["a" * 12]},
    {"do": "retry", "id": 2, "at": 5, "jobs": ["a"] * 10_000},
    {"do": "rerun", "id": 3, "at": 5, "jobs": ["a"]},
    {"do": "watch", "id": 4, "view": "v"},
    {
        "do": "watch",
        "id": 5,
        "at": 1.0,
        "view": "v",
        "log": "a",
        "lines": 100,
        "detail": None,
        "curves": ["a", "b", "a"],
        "graph": "auto",
        "table": {"over": None},
    },
    {"do": "diff", "id": 6, "jobs": ["a", "b"]},
    {"do": "resync", "id": 7},
    {"do": "ping", "id": 0, "at": None},
]


@pytest.mark.parametrize("message", GOOD, ids=lambda m: m["do"])
def test_a_message_is_read(message):
    request = read(through_json(message))
    assert (request.do, request.id) == (message["do"], message["id"])
    assert list(request.jobs) == message.get("jobs", [])


def test_what_a_view_watches():
    watch = read(GOOD[4]).watch
    assert watch == protocol.Watch("a", 100, "", ("a", "b"), "auto", True, "")
    assert read(GOOD[3]).watch == protocol.Watch(lines=200)
    assert read({**GOOD[4], "lines": 10**9}).watch.lines == protocol.MAX_LINES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(json_values)
def test_anything_else_is_nothing(value):
    assert read(value) is None


@given(st.sampled_from(GOOD), st.data())
def test_a_bent_message_is_read_as_nothing_or_with_the_right_types(message, data):
    key = data.draw(st.sampled_from([*message, "more"]))
    request = read({**message, key: data.draw(json_values)})
    if request is not None:
        assert request.do in protocol.PANEL
        assert isinstance(request.id, int)
        assert request.at is None or math.isfinite(request.at)
        assert all(isinstance(job, str) and 0 < len(job) <= 64 for job in request.jobs)
        assert len(request.jobs) <= 10_000
        assert isinstance(request.watch.lines, int)


@pytest.mark.parametrize(
    "message",
    [
        {"do": "cancel", "id": 1, "jobs": ["a"]},  # when?
        {"do": "cancel", "id": 1, "at": math.nan, "jobs": ["a"]},
        {"do": "cancel", "id": True, "at": 1.0, "jobs": ["a"]},
        {"do": "cancel", "id": -1, "at": 1.0, "jobs": ["a"]},
        {"do": "cancel", "id": 1, "at": 1.0, "jobs": []},
        {"do": "cancel", "id": 1, "at": 1.0, "jobs": ["a"] * 10_001},
        {"do": "cancel", "id": 1, "at": 1.0, "jobs": ["a" * 65]},
        {"do": "diff", "id": 1, "jobs": ["a"]},
        {"do": "watch", "id": 1, "view": "v" * 65},
        {"do": "watch", "id": 1, "view": "v", "graph": "dot"},
        {"do": "watch", "id": 1, "view": "v", "table": {"over": "a", "by": "b"}},
        {"do": "eval", "id": 1, "code": "1"},
        {"do": ["ping"], "id": 1},
    ],
)
def test_a_message_that_is_none(message):
    assert read(message) is None


def test_a_form_has_messages_of_its_own():
    message = {"do": "set", "id": 1, "path": "model.depth", "value": "3"}
    assert read(message) is None
    request = read(message, protocol.FORM)
    assert (request.path, request.value) == ("model.depth", "3")
    assert read({**message, "value": 3}, protocol.FORM) is None
    assert read({**message, "value": "x" * 100_001}, protocol.FORM) is None


def test_a_late_act_is_refused():
    request = read(GOOD[0])
    assert protocol.too_late(request, 9.9) == ""
    assert protocol.too_late(request, 10.1) == "came too late: click again"
    assert protocol.too_late(request, -0.1) != ""
