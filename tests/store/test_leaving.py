"""Results that are taken away, and jobs that begin with them, at the same instant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xpm_nb.store import leaving, locks, records
from xpm_nb.store.layout import Workspace

IDENTIFIER = "1" * 64


@pytest.fixture
def result(tmp_path):
    paths = Workspace(tmp_path / "ws").create().job("t.result", IDENTIFIER).create()
    records.write_done(paths)
    return paths


def test_a_result_is_there_until_its_marker_is_gone(result):
    assert leaving.is_there(result)
    result.done.unlink()
    assert not leaving.is_there(result)


def test_what_is_about_to_go_is_not_there_and_a_note_without_a_lock_says_nothing(
    result, monkeypatch
):
    monkeypatch.setattr(leaving, "WAIT_S", 0.0)
    lock = locks.try_lock(result)
    with leaving.announced(result):
        assert leaving.about_to(result)
        assert not leaving.is_there(result)
        lock.release()  # its process is gone
        assert leaving.is_there(result)
    assert not result.leaving.exists()


def test_that_it_stays_is_waited_for(result, monkeypatch):
    monkeypatch.setattr(leaving, "WAIT_S", 60.0)
    lock = locks.try_lock(result)
    note = leaving.announced(result)
    note.__enter__()
    monkeypatch.setattr(leaving.time, "sleep", lambda seconds: note.__exit__(None, None, None))
    assert leaving.is_there(result)
    lock.release()


TAKER = """
import sys, time
from pathlib import Path
from xpm_nb.store import leaving, locks, records
from xpm_nb.store.layout import JobPaths
result, user = map(JobPaths.of, sys.argv[1:3])
enough = [Path(name) for name in sys.argv[3:]]
taken = 0
while not all(path.exists() for path in enough):
    lock = locks.try_lock(result)
    if lock is None:
        continue
    with leaving.announced(result):
        if not locks.held(user):
            time.sleep(0.0005)  # what a look at many may take
            result.done.unlink()
            taken += 1
    records.write_done(result)  # as if it had been made again
    lock.release()
    if taken == 30:
        enough[0].touch()
"""
USER = """
import sys
from pathlib import Path
from xpm_nb.store import leaving, locks
from xpm_nb.store.layout import JobPaths
result, user = map(JobPaths.of, sys.argv[1:3])
enough = [Path(name) for name in sys.argv[3:]]
begun = missed = 0
while not all(path.exists() for path in enough):
    lock = locks.try_lock(user)
    if lock is None:
        continue
    if leaving.is_there(result):
        begun += 1
        missed += sum(not result.done.exists() for _ in range(50))
    lock.release()
    if begun == 30:
        enough[1].touch()
print(missed)
"""


@pytest.mark.slow
def test_who_begins_and_who_takes_away_never_miss_each_other(result, tmp_path):
    user = Workspace(result.workspace).job("t.user", IDENTIFIER).create()
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    places = [result.path, user.path, tmp_path / "taken", tmp_path / "begun"]
    taker, beginner = (
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, places)],
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
        for code in (TAKER, USER)
    )
    assert beginner.communicate(timeout=120)[0] == "0\n"
    assert taker.wait(60) == 0
    taker.stdout.close()
