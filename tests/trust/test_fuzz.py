"""Every reader of a file and every message of a page, given anything: ``--fuzz N`` tries more.

What a reader raises is a `RecordError` (a `ConfigError`, a `WorkspaceError` where the file names
something); it ends; and it writes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trust.conftest import image
from xpm_nb.core import serial
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView, as_json
from xpm_nb.engine import hub, inspection, loop, postmortem, reading, scheduler, story, surroundings
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.messages import OpenJobs
from xpm_nb.engine.readers import Readers
from xpm_nb.engine.reading import Curves, Files
from xpm_nb.engine.source import Source
from xpm_nb.errors import XpmError
from xpm_nb.notebook import protocol
from xpm_nb.store import damage, files, locks, records, results, saved, tokens, told
from xpm_nb.store.layout import RunPaths, Workspace, identifiers_in
from xpm_nb.testing import FakeClock

pytestmark = pytest.mark.timeout(6000)  # as long as --fuzz asks for

HEX = "ab" * 32
FUZZ = 200  # by default: the readers are tried, not searched

PARAMS = {
    "format": 1,
    "workspace": "",
    "version": 3,
    "tags": {},
    "objects": [{"id": 0, "module": "m", "type": "Learn", "typename": "m.learn", "fields": {}}],
}
SAMPLES = {
    "params": PARAMS,
    "record": records.JobRecord(
        *("m.learn", HEX, "learn", "Learn"),
        dependencies=(f"m.other/{HEX}",),
        launcher={"type": "local", "time_min": 1.0},
        tags={"a": 1},
        code={"fingerprint": "f", "inputs": {f"m.other/{HEX}": "i"}, "left_out": {"b": "1"}},
        tokens={"gpu": 1},
        partials=(f"partials/m.learn/main/{HEX}",),
    )._asdict(),
    "process": records.ProcessRecord(1, 2, "b", "h")._asdict(),
    "token": {
        "format": 1,
        "total": 2,
        "claims": [{"job": f"m.learn/{HEX}", "units": 1}],
        "waiting": [],
    },
    "failed": {"format": 1, "code": 1, "reason": "failed", "message": "no"},
    "end note": {"format": 1, "reason": "timeout", "time": 1.0, "until": 2.0},
    "times": {"format": 1, "started": 1.0, "ended": 2.0, "changed": "a"},
    "result": {"format": 1, "value": [1, 2]},
    "progress": {"format": 1, "time": 1.0, "progress": 0.5, "level": 0, "desc": "d"},
    "metrics": {"time": 1.0, "step": 1, "metrics": {"loss": 0.5}},
    "outputs": {"format": 1, "method": "m", "args": [1], "options": {}},
    "run": {
        "format": 1,
        "job": f"jobs/m.learn/{HEX}",
        "task": "Learn",
        "tags": {},
        "submitted": 1.0,
    },
    "code": {
        "format": 1,
        "fingerprint": "f",
        "parts": [{"kind": "cell", "name": "n"}],
        "roots": ["a:b"],
    },
    "hints": {
        "format": 1,
        "process": records.ProcessRecord(1, 2, "b", "h")._asdict(),
        "job": f"m.learn/{HEX}",
        "experiment": "x",
        "detach": True,
    },
    "callbacks": {
        "format": 1,
        "kernel": records.ProcessRecord(1, 2, "b", "h")._asdict(),
        "promised": [[f"m.learn/{HEX}", "f"], [f"m.learn/{HEX}", "g"]],
        "called": [[f"m.learn/{HEX}", "f"]],
    },
    "finisher": locks.myself()._asdict(),
    "meaning": {"format": 1, "notebook": "n", "fields": {"a": "int"}},
    "environment": {
        "format": 1,
        "python": "3.11",
        "git": {"commit": "c", "branch": "b", "dirty": True},
    },
    "frames": {
        "format": 1,
        "errors": [
            {
                "kind": "ValueError",
                "message": "no",
                "frames": [
                    {
                        "file": "learn.py",
                        "line": 3,
                        "function": "Learn.execute",
                        "definition": 2,
                        "first": 2,
                        "lines": ["def execute(self):", "    raise ValueError('no')"],
                        "values": [["x", "1"], ["y", "[1, 2]"]],
                        "globals": [["z", "'z'"]],
                    }
                ],
            }
        ],
    },
}
NAMES = ["", "..", "../gpu", "x" * 300, "\x00", "\ud800", "__class__", f"../m.learn/{HEX}"]

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(NAMES)
    | st.sampled_from(
        ["..", f"m.learn/{HEX}", f"../{HEX}", "\x00", "\ud800", "/dev/zero", 2**70, -1, 1e400]
    )
)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3)
)


@st.composite
def documents(draw, name=""):
    """A document of ours with some of its parts replaced or left out: that of a reader, or any."""
    own = name in SAMPLES and draw(st.booleans())
    found = json.loads(json.dumps(SAMPLES[name if own else draw(st.sampled_from([*SAMPLES]))]))
    for _ in range(draw(st.integers(0, 3))):
        at = found
        while isinstance(at, (dict, list)) and at:
            key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not isinstance(at[key], (dict, list)) or draw(st.booleans()):
                act = draw(st.sampled_from(["other", "gone", "renamed"]))
                if act == "renamed" and isinstance(at, dict):
                    at[draw(st.sampled_from(NAMES))] = at.pop(key)
                elif act == "gone":
                    del at[key]
                else:
                    at[key] = draw(values)
                break
            at = at[key]
    return found


@st.composite
def contents(draw, name=""):
    """What the file of a reader holds: ours, nearly ours, lines of it, JSON, deep JSON, or bytes."""
    kind = draw(st.sampled_from(["ours", "lines", "cut", "json", "bytes", "deep", "twice"]))
    if kind == "bytes":
        return draw(st.binary(max_size=100))
    if kind == "deep":
        return draw(st.sampled_from([b"[", b'{"a":', b"[{"])) * draw(st.integers(1, 20_000))
    if kind == "json":
        return json.dumps(draw(values)).encode()
    text = json.dumps(draw(documents(name))).encode()
    if kind == "lines":
        return b"\n".join(
            [text, json.dumps(draw(documents(name))).encode(), draw(st.binary(max_size=9))]
        )
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))]
    return text * 2 if kind == "twice" else text


def readers(job, run, token, folder):
    """All that reads a file of a workspace, and looks at what it read."""
    workspace = Workspace(job.workspace)
    first = RunPaths(workspace.experiment("x").runs_dir / "20260101-000000-0")
    first.path.mkdir(parents=True)
    apart = workspace.experiment("x").detached
    apart.path.mkdir()
    need = tokens.Need("gpu", 1)

    def result():
        records.write_done(job)  # without it there is none
        try:
            results.load_result(job)
        finally:
            job.done.unlink()

    def params():
        document = records.read_params(job)
        if document is not None:
            serial.outline  # noqa: B018  (it is there: what displays take)
            saved.from_task_dir(job.path, missing_ok=True)

    def record():
        found = records.read_job(job)
        if found is not None:
            found.key, found.retries_left, records.time_limit_s(found)
            records.transient_mode(found), records.limit_reached(found)
            records.changed_files(found), tokens.needs_of(found)

    def counted():
        found = tokens.read(workspace, need)
        tokens.live_claims(workspace, found)

    def listed():
        for row in records.read_run_jobs(run):
            workspace.job_at(row.job)

    def who_reads():
        asked = Readers()
        asked.running(job), asked.needing(job), asked.keeping(job), asked.experiments(job)

    def line():
        for row in files.read_lines(job.progress)[0]:
            str(row)

    def source():
        found = Source(job, JobView(job.key, HEX, "m.learn", "learn", "Learn", JobState.DONE))
        repr(found), str(found), found.cell

    def around():
        record = records.JobRecord("m.learn", HEX, "learn", "Learn", experiment="x")
        records.write_job(job, record)
        records.add_run_job(first, records.RunJob(job.relative, "Learn", submitted=0.0))
        try:
            str(surroundings.drift(job, "/"))
        finally:
            job.record.unlink()
            first.jobs.unlink()

    def frames():
        found = postmortem.read(job, "learn")
        repr(found), as_json(found.view())
        found.traceback()

    def inspected():
        found = inspection.read(job)
        as_json(found.view()), found.values(), repr(found)

    lines = (job.progress, line)
    return {
        "params": [(job.params, params), (job.params, lambda: damage.of_params(job))],
        "record": [(job.record, record), (job.record, lambda: damage.of_record(job))],
        "code": [(job.code, lambda: records.read_code(job) and records.read_code(job).summary())],
        "kept": [(job.kept, lambda: records.read_kept(job))],
        "removals": [(job.removals, lambda: (records.read_removals(job), str(story.tell(job))))],
        "process": [
            (job.process, lambda: (p := records.read_process(job)) and locks.alive(p)),
        ],
        "pid": [
            (job.pid, lambda: records.read_pid(job)),
            (job.pid, lambda: locks.legacy_holder(job)),
        ],
        "end note": [(job.cancel, lambda: records.read_end_note(job))],
        "token": [(token, counted)],
        "times": [(job.outcome, lambda: records.read_times(job))],
        "result note": [(job.outcome, lambda: records.read_result_note(job))],
        "changed": [(job.outcome, lambda: records.read_changed(job))],
        "failed": [(job.failed, lambda: records.read_outcome(job))],
        "result": [(job.result_json, result)],
        "pickled": [(job.result_pickle, result)],
        "progress": [lines],
        "metrics": [(job.metrics, lambda: Curves(job.metrics).points(None, 10))],
        "outputs": [(job.outputs, lambda: records.read_outputs(job))],
        "run": [
            (run.jobs, listed),
            (run.jobs, lambda: records.read_run_end(run, 100)),
            (run.jobs, lambda: records.read_run_news(run, 0)),
        ],
        "readers": [(p, who_reads) for p in (run.jobs, job.record, job.params)],
        "meaning": [
            (folder / "meaning.json", lambda: records.read_meaning(folder / "meaning.json"))
        ],
        "disowned": [(job.disowned, lambda: records.read_disowned(job.disowned))],
        "log": [(job.stdout, lambda: reading.tail(job.stdout, 10))],
        "files": [(job.stdout, lambda: repr(Files(job)))],
        "saved": [
            (folder / "experimaestro.json", lambda: saved.load(folder, missing_ok=True)),
            (folder / "experimaestro.json", lambda: saved.deserialize(folder, missing_ok=True)),
        ],
        "story": [
            (p, lambda: str(story.tell(job))) for p in (job.record, job.failed, job.progress)
        ],
        "hints": [
            (workspace.events, lambda: told.read_hints(workspace, 0)),
            (workspace.events, lambda: told.first_hint(workspace)),
        ],
        "callbacks": [(apart.callbacks, lambda: told.read_promised(apart))],
        "finisher": [(p, lambda: told.finisher(apart)) for p in (apart.process, apart.lock)],
        "script": [(job.script, source)],
        "frames": [(job.frames, frames)],
        "environment": [(first.environment, around)],
        "cells": [(first.notebook, lambda: identifiers_in(files.read_text(first.notebook) or ""))],
        "inspected": [
            (p, inspected) for p in (job.record, job.params, job.failed, job.metrics, job.process)
        ],
    }


class Desk:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.workspace = Workspace(path / "ws").create()
        self.job = self.workspace.job("m.learn", HEX).create()
        self.folder = path / "ws" / "folder"
        self.folder.mkdir()
        (path / "ws" / "tokens" / "gpu").mkdir(parents=True)
        run = RunPaths(self.folder)
        self.readers = readers(self.job, run, self.workspace.token("gpu"), self.folder)


@pytest.fixture
def desk():
    path = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    yield Desk(path)
    shutil.rmtree(path)


@pytest.fixture
def tries(request):
    """How many inputs a test has: its share of what was asked for."""
    asked = request.config.getoption("--fuzz", default=0)
    return lambda part: settings(
        max_examples=max(1, int((asked or FUZZ) * part)),
        deadline=60_000 if asked else None,  # only who searches hears of what takes too long
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def show(name, act):
    try:
        act()
    except XpmError as error:
        str(error).encode("utf-8", "backslashreplace")


@pytest.mark.slow
def test_readers_take_anything(desk, tries):
    names = sorted(desk.readers)
    outside = image(desk.path)

    @tries(0.6)
    @given(st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), contents(name))))
    def anything(found):
        name, data = found
        for path, act in desk.readers[name]:
            path.write_bytes(data)
            show(name, act)
            path.unlink()

    anything()
    assert image(desk.path) == outside, "a reader wrote something"


def test_no_reader_is_forgotten(desk):
    """Whatever reads a record is among those that are given anything."""
    public = {
        name
        for module in (records, told)
        for name, one in vars(module).items()
        if name.startswith("read_") and one.__module__ == module.__name__
    }
    called = set()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code.co_name))
    try:
        for pairs in desk.readers.values():
            for path, act in pairs:
                path.write_text("{}")
                show("", act)
                path.unlink()
    finally:
        sys.setprofile(None)
    assert public - called == set()


class Still:
    """Waits for nothing."""

    def watch(self, descriptor, entry):
        raise AssertionError("there is no process")

    def notify(self, descriptor, call):
        raise AssertionError("there is no process")

    unwatch = notify


@pytest.mark.slow
def test_opening_takes_anything(desk, tries, monkeypatch):
    """A scheduler that finds such a job has a view of it, by no mistake of its own."""
    job, said = desk.job, []
    for name in ("warning", "exception"):
        monkeypatch.setattr(hub.log, name, lambda *a, **k: said.append(sys.exc_info()[1]))
    parts = {"record": "record", "params": "params", "failed": "failed", "process": "process"}
    parts |= {"outcome": "times", "progress": "progress", "cancel": "end note", "code": "code"}
    some = st.sampled_from([*parts])
    one = some.flatmap(lambda part: st.tuples(st.just(part), contents(parts[part])))
    outside = image(desk.path)

    @tries(0.1)
    @given(st.lists(one, min_size=1, max_size=3))
    def anything(found):
        for part, data in found:
            getattr(job, part).write_bytes(data)
        entry = Entry(job)
        others = {job.path: entry}

        def entry_of(paths):
            return others.setdefault(paths.path, Entry(paths))

        plan = Plan(slots=0)  # nothing is to be started
        mind = scheduler.Scheduler(plan, FakeClock(), Still(), entry_of, loop.LAUNCHERS, 4)
        mind.handle(OpenJobs((entry,), threading.Event()))
        as_json(entry.view)
        errors, said[:] = [e for e in said if e is not None], []
        assert all(isinstance(e, (XpmError, OSError)) for e in errors), errors
        assert entry.settled.is_set() or plan.state(entry.id) in (JobState.READY, JobState.WAITING)
        shutil.rmtree(job.path)
        job.create()
        (job.workspace / "events").unlink(missing_ok=True)  # others are told of failures

    anything()
    assert image(desk.path) == outside, "something was written elsewhere"


def test_readers_do_not_wait_for_a_pipe(desk):
    """Nor read from what is no file at all."""
    for name, pairs in desk.readers.items():
        for path, act in pairs:
            os.mkfifo(path)
            show(name, act)
            path.unlink()
            path.symlink_to("/dev/zero")
            show(name, act)
            path.unlink()
            path.mkdir()
            show(name, act)
            path.rmdir()
            path.symlink_to(path.name)  # a circle
            show(name, act)
            path.unlink()


def test_a_file_that_is_too_large_is_not_read(desk, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    desk.job.record.write_text('{"a": "%s"}' % ("x" * 2000))
    with pytest.raises(XpmError, match=r"job\.json is damaged: it is larger than 1000 bytes"):
        records.read_job(desk.job)


@pytest.mark.parametrize("depth", [files.MAX_DEPTH + 1, 5000, 1_000_000])
def test_a_file_that_is_too_deep_is_damaged(desk, depth):
    desk.job.record.write_text("[" * depth + "]" * depth)
    with pytest.raises(XpmError, match=r"job\.json is damaged: it is nested too deeply"):
        records.read_job(desk.job)


def test_a_result_that_is_too_deep_says_so(desk):
    value = []
    for _ in range(files.MAX_DEPTH + 50):
        value = [value]
    results.store_result(desk.job, value)
    records.write_done(desk.job)
    with pytest.raises(XpmError, match=r"the result is not kept: list cannot be stored"):
        results.load_result(desk.job)


# -- messages of pages --------------------------------------------------------------------------

words = st.sampled_from([*protocol.PANEL, *protocol.FORM]) | st.text(max_size=8)
parts = st.sampled_from(
    [
        *("do", "id", "jobs", "at", "view", "log", "lines", "detail", "curves", "graph", "table"),
        *("path", "value", "over", "method", "content", "__class__", "buffers"),
    ]
)
oversized = st.sampled_from(["x" * 200_000, ["a"] * 20_000, 10**400, "\ud800", float("nan")])
messages = st.dictionaries(
    parts, values | words | oversized | st.lists(st.text(max_size=14), max_size=4), max_size=7
)
near = st.fixed_dictionaries(
    {"do": words, "id": st.integers(-5, 2**60)},
    optional={
        "jobs": st.lists(st.sampled_from(["a" * 12, "b" * 12, "", "../x", "x" * 70]), max_size=3),
        "at": st.floats() | st.integers() | st.none(),
        "view": st.text(max_size=70),
        "log": st.sampled_from(["a" * 12, "zz", 5]),
        "lines": st.integers(),
        "curves": st.lists(st.text(max_size=14), max_size=3),
        "graph": st.sampled_from(["auto", "job", "evil", None]),
        "table": st.fixed_dictionaries({}, optional={"over": st.text(), "x": st.none()})
        | st.none(),
        "path": st.text(max_size=9),
        "value": st.text(max_size=9),
    },
)


def acceptable(request, verbs):
    """What a request may be at most."""
    assert request.do in verbs
    assert 0 <= request.id <= protocol.MAX_NUMBER
    assert len(request.jobs) <= protocol.MAX_LIST
    assert all(isinstance(j, str) and 0 < len(j) <= protocol.MAX_ID for j in request.jobs)
    assert len(request.view) <= protocol.MAX_ID
    assert len(request.path) <= protocol.MAX_PATH
    assert len(request.value) <= protocol.MAX_VALUE
    watch = request.watch
    assert watch.graph in ("", "auto", "job", "task")
    assert 0 <= watch.lines <= protocol.MAX_LINES
    assert len(watch.curves) <= protocol.MAX_CURVES


@pytest.mark.slow
@pytest.mark.parametrize("verbs", [protocol.PANEL, protocol.FORM], ids=["panel", "form"])
def test_messages_are_one_of_those_there_are_or_nothing(tries, verbs):
    @tries(0.2)
    @given(messages | near | values)
    def anything(content):
        request = protocol.read(content, verbs)
        if request is not None:
            acceptable(request, verbs)
            protocol.too_late(request, 0.0)
            json.dumps(protocol.ack(request, "x"))

    anything()


@pytest.mark.slow
def test_a_widget_takes_no_harm_from_any_message(tries):
    """What comes over the wire, before it is a message of ours: no exception, no trait changes."""
    from xpm_nb.notebook.widgets import FormWidget

    heard = []
    lock = SimpleNamespace(__enter__=lambda self: None, __exit__=lambda self, *a: None)
    widget = FormWidget("u", heard.append, None, lock, view={"a": 1})
    before = dict(widget.get_state())
    methods = st.sampled_from(["update", "custom", "echo_update", "request_states", "evil", None])

    @tries(0.1)
    @given(
        methods,
        values | messages,
        st.dictionaries(st.sampled_from(["uid", "view", "_esm"]), values),
    )
    def anything(method, content, state):
        data = {"method": method, "content": content, "state": state}
        for message in (
            {"content": {"data": data}},
            {"content": data},
            {"content": content},
            content,
        ):
            partial(widget._handle_msg, message)()

    anything()
    assert dict(widget.get_state()) == before
    widget.close()
