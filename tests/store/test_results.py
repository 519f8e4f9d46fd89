from __future__ import annotations

import collections
import enum
import math
import shutil
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.conftest import HEX, RECORD
from xpm_nb.errors import NoResultError, RecordError
from xpm_nb.store import attempts, files, records, results
from xpm_nb.store.layout import Workspace


@pytest.fixture
def job(job):
    records.write_done(job)
    return job


class Text(str):
    __slots__ = ()


class Colour(enum.Enum):
    RED = 1


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
    results.store_result(job, value)
    assert (job.result_json.exists(), job.result_pickle.exists()) == (as_json, not as_json)
    assert same(results.load_result(job), value)


def test_a_number_too_long_for_json(job):
    results.store_result(job, 10**5000)
    assert job.result_pickle.exists()
    assert results.load_result(job) == 10**5000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
    lambda v: st.lists(v) | st.tuples(v) | st.dictionaries(st.text() | st.integers(), v),
)


@given(json_values)
def test_any_result_comes_back(tmp_path_factory, value):
    base = tmp_path_factory.mktemp("result")
    job = Workspace(base).job("m.learn", HEX).create()
    results.store_result(job, value)
    records.write_done(job)
    assert repr(results.load_result(job)) == repr(value)


def test_no_result_and_one_that_cannot_be_kept(job):
    results.store_result(job, None)
    assert not job.result_json.exists()
    assert results.load_result(job) is None
    cycle: list = []
    cycle.append(cycle)
    results.store_result(job, cycle)
    assert job.result_pickle.exists()
    job.result_pickle.unlink()
    results.store_result(job, {"lock": threading.Lock()})
    with pytest.raises(RecordError, match="the result is not kept: dict cannot be stored"):
        results.load_result(job)


def test_a_damaged_result_names_the_file(job):
    job.result_json.write_text('{"format": 1}')
    with pytest.raises(RecordError, match=r"result\.json is damaged"):
        results.load_result(job)
    job.result_json.unlink()
    job.result_pickle.write_bytes(b"\x80garbage")
    with pytest.raises(RecordError, match=r"result\.pickle cannot be loaded"):
        results.load_result(job)


def test_only_load_result_unpickles(job, tmp_path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    import pickle

    bomb = pickle.dumps(Bomb())
    whole = (job.record, job.process, job.outcome, job.failed, job.params, job.result_json, job.pid)
    for path in (*whole, job.progress, job.metrics):
        path.write_bytes(bomb)
    job.result_pickle.write_bytes(bomb)
    readers = (
        records.read_job,
        records.read_process,
        records.read_times,
        records.read_failed,
        records.read_params,
        results.load_result,
        records.read_pid,
    )
    for read in readers:
        with pytest.raises(RecordError):
            read(job)
    assert files.read_lines(job.metrics)[0] == []
    attempts.archive_attempt(job)
    assert not canary.exists()


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_result_says_what_to_do(job, text):
    job.result_json.write_text(text)
    with pytest.raises(RecordError, match=r"run the job again, delete .*done and submit it again"):
        results.load_result(job)


# -- whose result it is ---------------------------------------------------------------------------


def ended(job, value, number=1):
    """Write what an attempt leaves that ended well."""
    records.write_job(job, RECORD._replace(attempt=number))
    records.write_times(job, 1.0, 2.0, result=results.store_result(job, value))
    records.write_done(job)


def again(job):
    """Another process has run it again, to its end."""
    attempts.archive_attempt(job)
    ended(job, "of the second", 2)


def disowned(job):
    attempts.disown(job, records.Disowned("me", 1.0, "bad"))


def put_back(job):
    """Somebody began to move it away, and could not: all is as it was."""
    away = job.path.parent / "away"
    names = (job.done, job.result_json)
    for step in (1, -1):
        for path in names[::step]:
            (path if step == 1 else away / path.name).rename(
                away / path.name if step == 1 else path
            )


@pytest.mark.parametrize("what", [again, disowned, put_back])
@pytest.mark.parametrize("when", ["before the read", "after it"])
def test_a_result_whose_marker_changed_meanwhile_is_not_given(job, monkeypatch, what, when):
    (job.path.parent / "away").mkdir()
    ended(job, "of the first")
    read, todo = results.read_object, [what]

    def read_and_meanwhile(path):
        if when == "before the read" and todo:
            todo.pop()(job)
        found = read(path)
        if todo:
            todo.pop()(job)
        return found

    monkeypatch.setattr(results, "read_object", read_and_meanwhile)
    with pytest.raises(NoResultError):
        results.load_result(job)
    assert not todo


def test_without_a_marker_there_is_no_result(job):
    ended(job, 3)
    job.done.unlink()
    with pytest.raises(NoResultError):
        results.load_result(job)
    job.result_json.write_text("{")  # what is damaged there is nobody's
    with pytest.raises(NoResultError):
        results.load_result(job)
    shutil.rmtree(job.path)
    with pytest.raises(NoResultError):
        results.load_result(job)


@pytest.mark.parametrize("value", [3, {1, 2}, "unstorable"])
def test_a_result_that_was_deleted_is_not_none(job, value):
    ended(job, threading.Lock() if value == "unstorable" else value)
    for path in (job.result_json, job.result_pickle):
        path.unlink(missing_ok=True)
    with pytest.raises(
        RecordError, match=r"result\.(json|pickle) was deleted; to run the job again"
    ):
        results.load_result(job)
    assert value != {1, 2} or not job.result_json.exists()


def test_none_is_a_result(job):
    ended(job, None)
    assert results.load_result(job) is None


def test_what_was_written_by_others_has_no_note(job):
    ended(job, 3)
    job.result_json.unlink()
    records.write_times(job, 1.0, 2.0)  # as before there were notes
    assert results.load_result(job) is None
    shutil.rmtree(job.private)
    assert results.load_result(job) is None  # experimaestro has no such directory
    records.write_params(job, {"workspace": "", "version": 3, "objects": []})
    assert results.load_result(job) is None
    records.write_params(job, {"workspace": "", "version": 3, "format": 1, "objects": []})
    with pytest.raises(RecordError, match=r"\.experimaestro was deleted; to run the job again"):
        results.load_result(job)
