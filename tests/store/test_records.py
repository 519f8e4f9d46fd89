from __future__ import annotations

import collections
import enum
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import RecordError
from xpm_nb.store import records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Failure, JobRecord, ProcessRecord, RunJob

HEX = "ab" * 32


@pytest.fixture
def job(tmp_path):
    return Workspace(tmp_path).create().job("m.learn", HEX).create()


RECORD = JobRecord(
    type_name="m.learn",
    identifier=HEX,
    name="learn",
    task="Learn",
    namespace="sweep",
    experiment="sweep",
    dependencies=(f"m.split/{HEX}",),
    launcher={"type": "local"},
    environ={"A": "1"},
    sys_path=("/a", "/b"),
    python="/usr/bin/python3",
    submitted=12.5,
    tags={"lr": 1e-3, "model": "CNN"},
    attempt=2,
    code={"sha256": "00"},
)


def test_records_come_back(job):
    assert records.read_job(job) is None
    records.write_job(job, RECORD)
    assert records.read_job(job) == RECORD
    assert RECORD.key == job.key
    process = ProcessRecord(12, 345, "boot", "host", 2, 1.5)
    records.write_process(job, process)
    assert records.read_process(job) == process
    assert json.loads(job.pid.read_text()) == {"type": "local", "pid": 12}
    assert records.read_pid(job) == 12
    records.clear_pid(job)
    records.clear_pid(job)
    assert records.read_pid(job) is None


def test_fields_of_a_newer_version_are_ignored_and_old_records_are_read(job):
    old = {"type_name": "m.learn", "identifier": HEX, "name": "learn", "task": "Learn", "new": [1]}
    records.write_json(job.record, old)
    assert records.read_job(job) == JobRecord("m.learn", HEX, "learn", "Learn")


DAMAGED = {
    "empty": b"",
    "cut": b'{"type_name": "m.le',
    "binary": b"\x80\x04\x95",
    "null": b"null",
    "list": b"[1]",
    "missing": b'{"type_name": "m.learn"}',
    "wrong type": b'{"type_name": 3, "identifier": "", "name": "", "task": ""}',
    "wrong container": b'{"type_name":"","identifier":"","name":"","task":"","tags":[]}',
    "newer": b'{"format": 2}',
    "format": b'{"format": "x"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_records_name_the_file(job, kind):
    job.record.write_bytes(DAMAGED[kind])
    with pytest.raises(RecordError) as caught:
        records.read_job(job)
    assert str(job.record) in str(caught.value)


@pytest.mark.parametrize("kind", ["empty", "cut", "binary", "null", "list", "newer"])
def test_damaged_failed_marker(job, kind):
    job.failed.write_bytes(DAMAGED[kind])
    with pytest.raises(RecordError) as caught:
        records.read_outcome(job)
    assert str(job.failed) in str(caught.value)


def test_a_newer_format_says_upgrade(job):
    job.params.write_bytes(b'{"format": 99}')
    with pytest.raises(RecordError, match=r"format 99.*upgrade"):
        records.read_params(job)


def test_a_directory_in_the_place_of_a_file(job):
    job.record.mkdir()
    with pytest.raises(RecordError, match="cannot read"):
        records.read_job(job)
    with pytest.raises(RecordError, match="cannot read"):
        records.read_lines(job.record)


def test_outcomes(job):
    assert records.read_outcome(job) is None
    records.write_failed(job, FailureReason.TIMEOUT, 3, "too long")
    assert records.read_outcome(job) == Failure(FailureReason.TIMEOUT, 3, "too long")
    assert json.loads(job.failed.read_text())["reason"] == "timeout"
    records.write_done(job)
    assert records.read_outcome(job) == "done"
    assert job.done.read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("1", Failure(FailureReason.FAILED, 1)),
        ('{"code": 1, "reason": "UNKNOWN"}', Failure(FailureReason.FAILED, 1)),
        ('{"code": 2, "reason": "Timeout"}', Failure(FailureReason.TIMEOUT, 2)),
        ("{}", Failure(FailureReason.FAILED, None)),
    ],
)
def test_failed_markers_of_other_tools(job, text, failure):
    job.failed.write_text(text)
    assert records.read_failed(job) == failure


def test_times(job):
    assert records.read_times(job) == (None, None)
    records.write_process(job, ProcessRecord(1, 2, "b", "h", 1, started=10.0))
    assert records.read_times(job) == (10.0, None)
    records.write_done(job)
    os.utime(job.done, (20, 20))
    assert records.read_times(job) == (10.0, 20.0)
    records.write_times(job, 10.0, 19.5)
    assert records.read_times(job) == (10.0, 19.5)


class Colour(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


def same(a: object, b: object) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.mark.parametrize(
    ("value", "as_json"),
    [
        ({"accuracy": 0.5, "n": [1, 2, None, True, "é\ud800"]}, True),
        (-0.0, True),
        (math.nan, True),
        ([math.inf], True),
        (2**100, True),
        ((1, 2), False),
        ({1: "a"}, False),
        ({1, 2}, False),
        (b"bytes", False),
        (Text("sub"), False),
        (Colour.RED, False),
        (collections.OrderedDict(a=1), False),
        (1 + 2j, False),
    ],
)
def test_results_come_back_equal_with_equal_types(job, value, as_json):
    records.store_result(job, value)
    assert (job.result_json.exists(), job.result_pickle.exists()) == (as_json, not as_json)
    assert same(records.load_result(job), value)


def test_a_number_too_long_for_json(job):
    records.store_result(job, 10**5000)
    assert job.result_pickle.exists()
    assert records.load_result(job) == 10**5000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
    lambda v: st.lists(v) | st.tuples(v) | st.dictionaries(st.text() | st.integers(), v),
)


@given(json_values)
def test_any_result_comes_back(tmp_path_factory, value):
    base = tmp_path_factory.mktemp("result")
    job = Workspace(base).job("m.learn", HEX).create()
    records.store_result(job, value)
    assert repr(records.load_result(job)) == repr(value)


def test_no_result_and_one_that_cannot_be_kept(job):
    records.store_result(job, None)
    assert not job.result_json.exists()
    assert records.load_result(job) is None
    cycle: list = []
    cycle.append(cycle)
    records.store_result(job, cycle)
    assert job.result_pickle.exists()
    job.result_pickle.unlink()
    records.store_result(job, {"lock": threading.Lock()})
    with pytest.raises(RecordError, match="the result is not kept: dict cannot be stored"):
        records.load_result(job)


def test_a_damaged_result_names_the_file(job):
    job.result_json.write_text('{"format": 1}')
    with pytest.raises(RecordError, match=r"result\.json is damaged"):
        records.load_result(job)
    job.result_json.unlink()
    job.result_pickle.write_bytes(b"\x80garbage")
    with pytest.raises(RecordError, match=r"result\.pickle cannot be loaded"):
        records.load_result(job)


def test_only_load_result_unpickles(job, tmp_path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    import pickle

    bomb = pickle.dumps(Bomb())
    files = (job.record, job.process, job.outcome, job.failed, job.params, job.result_json, job.pid)
    for path in (*files, job.progress, job.metrics):
        path.write_bytes(bomb)
    job.result_pickle.write_bytes(bomb)
    readers = (
        records.read_job,
        records.read_process,
        records.read_times,
        records.read_outcome,
        records.read_params,
        records.load_result,
        records.read_pid,
    )
    for read in readers:
        with pytest.raises(RecordError):
            read(job)
    assert records.read_lines(job.metrics)[0] == []
    records.archive_attempt(job)
    assert not canary.exists()


def test_lines_are_tailed_and_a_torn_one_is_waited_for(job):
    path = job.metrics
    assert records.read_lines(path) == ([], 0)
    records.append_line(path, {"n": 1})
    rows, offset = records.read_lines(path)
    assert rows == [{"n": 1}]
    with path.open("ab") as file:
        file.write(b'{"n": 2}\n{"n"')
    rows, offset = records.read_lines(path, offset)
    assert rows == [{"n": 2}]
    assert records.read_lines(path, offset) == ([], offset)
    with path.open("ab") as file:
        file.write(b": 3}\n")
    rows, offset = records.read_lines(path, offset)
    assert rows == [{"n": 3}]


def test_a_line_after_a_torn_one_is_not_lost(job):
    job.metrics.write_bytes(b'{"n": 1}\n{"n"')
    records.append_line(job.metrics, {"n": 3})
    assert records.read_lines(job.metrics)[0] == [{"n": 1}, {"n": 3}]


def test_a_file_that_was_replaced_is_read_anew(job):
    for n in range(5):
        records.append_line(job.metrics, {"n": n})
    _, offset = records.read_lines(job.metrics)
    job.metrics.unlink()
    records.append_line(job.metrics, {"n": 9})
    assert records.read_lines(job.metrics, offset)[0] == [{"n": 9}]


def test_appending_does_not_follow_links(job, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    job.metrics.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        records.append_line(job.metrics, {})
    for path in (job.done, job.failed, job.params):
        path.symlink_to(victim)
    records.write_done(job)
    records.write_failed(job, FailureReason.FAILED)
    records.write_params(job, {})
    assert victim.read_text() == "precious"
    assert not job.done.is_symlink()


def test_run_jobs(job):
    run = Workspace(job.workspace).experiment("sweep").create_run("1")
    rows = [RunJob(job.relative, "Learn", {"lr": n}, 1.0, {"type": "local"}) for n in range(2)]
    for row in rows:
        records.add_run_job(run, row)
        with run.jobs.open("a") as file:
            file.write('{"job": 3}\nnonsense\n')
    assert records.read_run_jobs(run) == rows


def test_a_notebook_of_executed_cells(job, tmp_path):
    import nbformat

    path = tmp_path / "cells.ipynb"
    records.write_notebook(path, [(1, "a = 1"), (3, "print('é')")], {"name": "x"})
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [(c.execution_count, c.source) for c in notebook.cells] == [
        (1, "a = 1"),
        (3, "print('é')"),
    ]


def test_a_notebook_is_written_without_nbformat(tmp_path):
    code = (
        "import pathlib, sys; from xpm_nb.store import records\n"
        "records.write_notebook(pathlib.Path('c.ipynb'), [(1, 'a\\nb')])\n"
        "assert 'nbformat' not in sys.modules"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)


# --- nothing is half-written -------------------------------------------------------------------

WRITER = """
import sys
from xpm_nb.core.states import FailureReason
from xpm_nb.store import layout, records
job = layout.JobPaths.of(sys.argv[1])
print("ready", flush=True)
while True:
    records.write_failed(job, FailureReason.FAILED, 1, "x" * 100_000)
    records.append_line(job.metrics, {"x": "y" * 10_000})
"""


@pytest.mark.slow
def test_a_writer_killed_anywhere_leaves_whole_files(job):
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(job.path)]
        env = {**os.environ, "PYTHONPATH": "."}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as writer:
            try:
                assert writer.stdout.readline() == b"ready\n"
                seen = 0
                while seen < 20:
                    failure = records.read_failed(job)
                    if failure is not None:
                        assert len(failure.message) == 100_000
                        seen += 1
            finally:
                writer.kill()
        assert len(records.read_failed(job).message) == 100_000
        assert all(row == {"x": "y" * 10_000} for row in records.read_lines(job.metrics)[0])
        assert {p.name for p in job.path.iterdir()} == {"learn.failed", ".experimaestro"}


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("fault", ["error", "death"])
def test_the_nth_system_call_fails(job, nth, fault):
    """Whatever call of a durable write fails, the old file is there, and whole."""
    code = """
import errno, os, sys
from xpm_nb.core.states import FailureReason
from xpm_nb.store import layout, records
job = layout.JobPaths.of(sys.argv[1])
records.write_failed(job, FailureReason.FAILED, 1, "old")
left = int(sys.argv[2])
def seam(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            if sys.argv[3] == "death":
                os._exit(9)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)
    setattr(os, name, call)
for name in ("open", "write", "fsync", "close", "replace"):
    seam(name)
try:
    records.write_failed(job, FailureReason.FAILED, 1, "new")
except OSError as error:
    assert error.errno == errno.ENOSPC
    sys.exit(3)
"""
    command = [sys.executable, "-c", code, str(job.path), str(nth), fault]
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": "."}, timeout=60)
    assert done.returncode == (9 if fault == "death" else 3)
    assert records.read_failed(job).message == "old"
    if fault == "error" and nth != 4:  # a descriptor that cannot be closed
        assert not list(job.private.glob(".writing*"))


# --- a new attempt ---------------------------------------------------------------------------


def fill(job):
    records.write_params(job, {"n": 1})
    records.write_script(job, "pass\n")
    records.write_job(job, RECORD)
    records.write_process(job, ProcessRecord(1, 2, "b", "h"))
    records.write_times(job, 1.0, 2.0)
    records.store_result(job, 3)
    records.append_line(job.metrics, {"n": 1})
    records.append_line(job.progress, {"n": 1})
    job.lock.touch()
    job.stdout.write_text("out")
    job.stderr.write_text("err")
    records.write_done(job)
    (job.path / "model.bin").write_text("weights")
    (job.path / "deep" / "er").mkdir(parents=True)
    (job.path / "elsewhere").symlink_to("/")
    job.by_hand.mkdir()


def test_archive_moves_the_attempt_and_the_files(job):
    fill(job)
    inode = job.lock.stat().st_ino
    target = records.archive_attempt(job)
    assert target == job.attempts / "1"
    assert {p.name for p in job.path.iterdir()} == {"learn.py", "params.json", ".experimaestro"}
    assert {p.name for p in job.private.iterdir()} == {"attempts", "by-hand", "job.json", "lock"}
    assert job.lock.stat().st_ino == inode
    assert (target / "model.bin").read_text() == "weights"
    assert (target / "elsewhere").is_symlink()
    for name in ("learn.done", "learn.out", "learn.err", "learn.py", "params.json", "job.json"):
        assert (target / name).exists()
    records.write_params(job, {"n": 2})
    assert json.loads((target / "params.json").read_text()) == {"n": 1}
    assert records.read_outcome(job) is None
    assert records.archive_attempt(job) is None
    records.write_failed(job, FailureReason.FAILED)
    assert records.archive_attempt(job) == job.attempts / "2"


def test_archive_keeps_checkpoints_of_a_task_that_resumes(job):
    fill(job)
    target = records.archive_attempt(job, keep_files=True)
    assert (job.path / "model.bin").read_text() == "weights"
    assert (job.path / "deep" / "er").is_dir()
    assert job.metrics.exists()
    assert not job.progress.exists()
    assert not job.stdout.exists()
    assert (target / "learn.out").read_text() == "out"
    assert not (target / "model.bin").exists()


def test_why_an_attempt_is_asked_to_end(job):
    assert records.read_end_note(job) is None
    records.write_end_note(job)
    assert records.read_end_note(job) == (FailureReason.CANCELLED, 0.0)
    records.write_end_note(job, FailureReason.TIMEOUT, 10.0)
    note = records.read_end_note(job)
    assert note.reason is FailureReason.TIMEOUT
    assert 0 < note.until - time.time() <= 10
    job.cancel.write_text("{")
    assert records.read_end_note(job).reason is FailureReason.CANCELLED
    records.archive_attempt(job)
    assert records.read_end_note(job) is None, "it was that of another attempt"


def test_how_long_and_how_often(job):
    record = RECORD._replace(launcher={"type": "local", "time_min": 0.5}, resumable=True)
    assert records.time_limit_s(record) == 30
    assert records.limit_reached(record) == "its time limit of 30 s was reached"
    long = record._replace(launcher={"time_min": 90})
    assert records.limit_reached(long) == "its time limit of 90 min was reached"
    assert records.time_limit_s(record._replace(launcher={"time_min": "x"})) is None
    assert records.limit_reached(None) == "its time limit was reached"
    assert [record._replace(retries=n).retries_left for n in (0, 3, 9)] == [3, 0, 0]
    assert record._replace(resumable=False).retries_left == 0


def test_a_mode_of_a_newer_version_keeps_the_job():
    modes = ["transient", "remove", "none", "sometimes"]
    found = [records.transient_mode(RECORD._replace(transient=mode)).value for mode in modes]
    assert found == ["transient", "remove", "none", "none"]
    assert records.transient_mode(None).value == "none"


def test_files_that_are_removed(job, tmp_path):
    fill(job)
    records.make_next(job.workspace, job.attempts)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (job.path / "way out").symlink_to(outside)
    inode = job.lock.stat().st_ino
    records.remove_files(job)
    assert {p.name for p in job.path.iterdir()} == {"learn.py", "params.json", ".experimaestro"}
    assert {p.name for p in job.private.iterdir()} == {"job.json", "lock"}
    assert job.lock.stat().st_ino == inode
    assert (outside / "file").exists()


def test_the_marker_goes_first(job, monkeypatch):
    fill(job)
    moved = []

    def rename(source, target):
        moved.append(os.path.basename(source))
        raise OSError("stop")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="stop"):
        records.archive_attempt(job)
    assert moved == ["learn.done"]


def test_archive_does_not_follow_a_planted_link(job, tmp_path):
    fill(job)
    canary = tmp_path.parent / f"{tmp_path.name}-canary"
    canary.mkdir()
    job.attempts.symlink_to(canary)
    from xpm_nb.errors import WorkspaceError

    with pytest.raises(WorkspaceError, match="leads out of"):
        records.archive_attempt(job)
    assert list(canary.iterdir()) == []
    assert job.done.exists()


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_result_says_what_to_do(job, text):
    job.result_json.parent.mkdir(parents=True, exist_ok=True)
    job.result_json.write_text(text)
    with pytest.raises(RecordError, match=r"run the job again, delete .*done and submit it again"):
        records.load_result(job)


@pytest.mark.parametrize("document", [{}, {"a": []}, {"a": 1, "objects": [{"x": [1.5, "é"]}, {}]}])
def test_parameters_come_back(job, document):
    records.write_params(job, document)
    assert records.read_params(job) == document
    with pytest.raises(RecordError, match="JSON cannot hold"):
        records.params_text({"objects": [{"i": 10**5000}]})
