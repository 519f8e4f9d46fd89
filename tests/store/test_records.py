from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.store.conftest import HEX, RECORD
from xpm_nb.core.states import FailureReason
from xpm_nb.errors import RecordError
from xpm_nb.store import attempts, files, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Code, CodePart, Failure, JobRecord, ProcessRecord, RunJob


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
    files.write_json(job.record, old)
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


@pytest.mark.parametrize("number", [2, -1, "1", True, [0], None])
def test_a_part_uses_parts_that_are_there(job, number):
    first = CodePart("cell", "A", "In[1]", "", "", (1,))
    second = CodePart("cell", "B", "In[2]", "", "")
    records.write_code(job, Code(parts=(first, second)))
    assert records.read_code(job).parts[0].uses == (1,)
    records.write_code(job, Code(parts=(first._replace(uses=(number,)), second)))
    with pytest.raises(RecordError, match="uses one that is not there"):
        records.read_code(job)


def test_a_directory_in_the_place_of_a_file(job):
    job.record.mkdir()
    with pytest.raises(RecordError, match="cannot read"):
        records.read_job(job)
    with pytest.raises(RecordError, match="cannot read"):
        files.read_lines(job.record)


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


def test_run_jobs(job):
    run = Workspace(job.workspace).experiment("sweep").create_run("1")
    rows = [RunJob(job.relative, "Learn", {"lr": n}, 1.0, {"type": "local"}) for n in range(2)]
    for row in rows:
        records.add_run_job(run, row)
        with run.jobs.open("a") as file:
            file.write('{"job": 3}\nnonsense\n')
    assert records.read_run_jobs(run) == rows
    with run.jobs.open("a") as file:
        file.write('\n{"job": "torn')  # and a writer that is at it
    assert records.read_run_list(run) == (rows, 4)


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


def test_why_an_attempt_is_asked_to_end(job):
    assert records.read_end_note(job) is None
    records.write_end_note(job)
    assert records.read_end_note(job) == (FailureReason.CANCELLED, 0.0, os.getpid())
    records.write_end_note(job, FailureReason.TIMEOUT, 10.0)
    note = records.read_end_note(job)
    assert note.reason is FailureReason.TIMEOUT
    assert 0 < note.until - time.time() <= 10
    job.cancel.write_text("{")
    assert records.read_end_note(job).reason is FailureReason.CANCELLED
    attempts.archive_attempt(job)
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


@pytest.mark.parametrize("document", [{}, {"a": []}, {"a": 1, "objects": [{"x": [1.5, "é"]}, {}]}])
def test_parameters_come_back(job, document):
    records.write_params(job, document)
    assert records.read_params(job) == document
    with pytest.raises(RecordError, match="JSON cannot hold"):
        files.params_text({"objects": [{"i": 10**5000}]})
