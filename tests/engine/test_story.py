"""Stories of jobs, from what is in their directories."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.core.states import FailureReason
from xpm_nb.engine.story import Line, Story, tell
from xpm_nb.store import attempts, files, locks, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Disowned, JobRecord, Kept, ProcessRecord, Removal

HEX = "ab" * 32


@pytest.fixture
def job(tmp_path):
    return Workspace(tmp_path).create().job("m.learn", HEX).create()


def submit(job, **more):
    record = JobRecord("m.learn", HEX, "learn", "Learn", submitted=1000.0, **more)
    records.write_job(job, record)


def start(job, pid=4711, at=1001.0):
    records.write_process(job, ProcessRecord(pid, 1, "boot", "here", started=at))


def texts(job):
    return [line.text for line in tell(job).lines]


def test_a_whole_life_with_two_attempts(job):
    submit(
        job,
        experiment="digits",
        dependencies=(f"m.data/{'cd' * 32}",),
        tokens={"gpu": 2},
        partials=(f"partials/m.learn/main/{'ef' * 32}",),
    )
    start(job)
    records.write_end_note(job, FailureReason.TIMEOUT)
    records.write_times(job, 1001.0, 1002.5)
    records.write_failed(job, FailureReason.TIMEOUT, 143, "its time\nlimit was reached")
    attempts.archive_attempt(job)
    submit(job, retries=1, attempt=2)
    start(job, 4712, 1003.0)
    files.append_line(job.progress, {"time": 1003.5, "progress": 0.5})
    files.append_line(job.metrics, {"time": 1004.0, "metrics": {"loss": 0.25}})
    records.write_times(job, 1003.0, 1005.0)
    records.write_done(job)
    records.add_kept(job, Kept("f", reason="only faster", by="ada", time=1010.0))
    files.write_json(job.disowned, Disowned("bob", 1011.0, "bad data")._asdict())
    story = tell(job)
    lines = [re.sub(r"^.*asked", "asked", line) for line in map(str.strip, str(story).split("\n"))]
    assert re.sub(r"from .*", "from", lines[0]) == "Learn abababab (m.learn), from"
    assert lines[1:] == [
        "+0.00 s  attempt 1: submitted in 'digits'; needs m.data/cdcdcdcd; with 2 of gpu; "
        "shares partials/m.learn/main/efefefef",
        "+1.00 s  started as process 4711 of here",
        f"asked to end, by process {os.getpid()}: timeout",
        "+2.50 s  in error, timeout, exit code 143: its time limit was reached",
        "attempt 2: run again, as submitted; retry 1 of 3",
        "+3.00 s  started as process 4712 of here",
        "+3.50 s  progress (1): 0.5",
        "+4.00 s  metrics (1): {'loss': 0.25}",
        "+5.00 s  done",
        "+10.00 s  accepted for other code by ada: only faster",
        "+11.00 s  disowned by bob: bad data",
    ]
    assert repr(story) == str(story)


def test_a_disowned_result_is_told_once_and_what_nobody_submitted_is_not(job):
    submit(job)
    start(job)
    records.write_times(job, 1001.0, 1002.0)
    records.write_done(job)
    attempts.disown(job, Disowned("bob", 1011.0, "bad data"))
    lines = ["attempt 1: submitted", "started as process 4711 of here", "done"]
    assert texts(job) == [*lines, "disowned by bob: bad data"]
    times = [line.time for line in tell(job).lines]
    assert times == sorted(times)
    submit(job, attempt=2)
    job.failed.unlink()
    assert texts(job)[4:] == ["attempt 2: run again, as submitted"]


def test_what_was_removed_is_remembered(job):
    submit(job)
    removal = Removal(1, 1000.0, 1001.0, 1002.0, 1005.0, "ada@desk", ("a", "b"))
    records.add_removal(job, removal)
    os.utime(job.record, (1000.0, 1000.0))
    told = [
        "attempt 1: submitted",
        "started",
        "done",
        "its files were removed by ada@desk: all that needed them in 'a', 'b' is done",
    ]
    assert texts(job) == told
    assert [line.time for line in tell(job).lines] == [1000.0, 1001.0, 1002.0, 1005.0]
    submit(job)  # it is needed again
    assert texts(job) == [*told, "attempt 1: run again, as submitted"]
    files.append_line(job.removals, {"attempt": "x"})
    assert texts(job)[:4] == told, "a damaged line is left out"


def test_who_holds_the_lock_is_told(job):
    submit(job)
    lock = locks.try_lock(job)
    assert texts(job)[-1] == "its lock is held; its process is gone"
    records.write_process(job, locks.identify(os.getpid()))
    assert re.fullmatch(r"its lock is held; process \d+ lives", texts(job)[-1])
    lock.release()
    assert not any("lock" in text for text in texts(job))


def test_what_cannot_be_understood_is_told_once(job):
    job.record.write_text("{")
    job.process.write_text("[]")
    job.failed.write_text("nonsense")
    job.progress.mkdir()
    told = texts(job)
    for path in (job.record, job.process, job.failed, job.progress):
        assert sum(str(path) in text for text in told) == 1, path


def test_nothing_is_nothing(tmp_path):
    job = Workspace(tmp_path / "none").job("m.learn", HEX)
    assert tell(job) == Story("learn abababab (m.learn)", ())
    assert not (tmp_path / "none").exists()


def test_times_of_another_world_are_no_error():
    assert "1e+300" in str(Story("x", (Line(1e300, "born"),)))


def test_a_job_tells_its_own(xp, fake):
    task = Learn.C(lr=0.5).submit()
    fake.wait_for(1)
    fake.finish("")
    task.wait(10)
    assert "done" in [line.text for line in task.job.story().lines]


FAILING = """
from xpm_nb.store import records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import JobRecord

def test_fails(tmp_path):
    job = Workspace(tmp_path / "ws").create().job("m.learn", "ab" * 32).create()
    records.write_job(job, JobRecord("m.learn", "ab" * 32, "learn", "Learn", experiment="e"))
    records.write_done(job)
    raise AssertionError("on purpose")
"""


@pytest.mark.slow
def test_a_failed_test_tells_the_stories_of_its_workspaces(tmp_path):
    home = Path(__file__).resolve().parents[2]
    file = tmp_path / "test_failing.py"
    file.write_text(FAILING)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "-c", home / "pyproject.toml", file], cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout
    assert "Stories of " in done.stdout
    assert "attempt 1: submitted in 'e'" in done.stdout
    assert "done" in done.stdout.partition("Stories of ")[2]
