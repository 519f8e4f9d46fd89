"""A kernel dies while it writes what is to be run: nothing runs that is not as its record says."""

from __future__ import annotations

import json

import pytest

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import locked
from xpm_nb.engine.entries import Asked
from xpm_nb.store import locks, records
from xpm_nb.store.records import Code

WRITTEN = ("write_params", "write_code", "write_job", "write_script")


class Died(BaseException):
    """As if the process were killed: nobody catches it, and nothing is tidied up."""


def die(monkeypatch, name, *, first):
    real = getattr(records, name)

    def write(*args, **options):
        if not first:
            real(*args, **options)
        raise Died

    monkeypatch.setattr(records, name, write)


def write(desk, text):
    """Have the kernel write a job, as it is after an edit."""
    entry = desk.entry("a")
    record = records.read_job(entry.paths)._replace(tags={"n": text})
    code = Code(unknown=text)
    entry.ask(Asked(f"# {text}\n", f'{{"is": "{text}"}}', record, desk.launcher, code=code))
    lock = locks.try_lock(entry.paths)
    assert lock is not None
    try:
        locked.write(entry)
    finally:
        lock.release()


def said(paths):
    """What each of the files says, of what is to be run."""
    script, params = paths.script.read_text(), json.loads(paths.params.read_text())
    return script[2:-1], params["is"], records.read_job(paths).tags["n"], records.read_code(paths)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", WRITTEN)
def test_it_runs_as_recorded_or_not_at_all(make_desk, monkeypatch, name, first):
    desk = make_desk(slots=0)
    desk.submit("a")
    desk.sync()
    write(desk, "old")
    with monkeypatch.context() as patch:
        die(patch, name, first=first)
        with pytest.raises(Died):
            write(desk, "new")
    desk.restart()
    desk.open("a")
    view = desk.view("a")
    whole = name == "write_script" and not first
    if whole:
        assert view.state is JobState.RUNNING
        *texts, code = said(desk.paths("a"))
        assert [*texts, code.unknown] == ["new"] * 4
        return
    assert desk.started() == []
    assert (view.state, view.reason) == (JobState.ERROR, FailureReason.REJECTED)
    assert view.message.endswith("does not say what is to be run: submit the task again")
    desk.submit("a")
    desk.launcher.wait_for(1)
    assert desk.paths("a").script.read_text() == "# a\n"
