"""What is damaged is found, and moved aside."""

from __future__ import annotations

import json

import pytest

from xpm_nb.core import serial
from xpm_nb.core.config import Config
from xpm_nb.core.fields import Param
from xpm_nb.store import damage, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import JobRecord


class Thing(Config):
    text: Param[str]


@pytest.fixture
def job(tmp_path):
    paths = Workspace(tmp_path / "ws").create().job("a.learn", "ab" * 32).create()
    records.write_job(paths, JobRecord("a.learn", "ab" * 32, "learn", "Learn"))
    text = '{"format": 99} ' * 200  # longer than what is looked at, and hostile
    records.write_params(paths, serial.dump(Thing.C(text=text), namespace=None))
    return paths


def test_nothing_is_damaged(job):
    assert (damage.of_record(job), damage.of_params(job), damage.of_marker(job)) == ("", "", "")
    job.params.write_text(json.dumps({"workspace": "/w", "version": 3, "objects": []}))  # 2.7's
    assert damage.of_params(job) == ""
    assert damage.set_aside(job) == []
    job.params.unlink()
    job.record.unlink()
    assert (damage.of_record(job), damage.of_params(job)) == ("", "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"[1]", "not a whole JSON object"),
        (b'{"objects": [{"id": 1}, ', "not a whole JSON object"),
        (b"\xff\xfe{}", "not a whole JSON object"),
        (b'{"format": 2, "objects": []}', "has format 2"),
    ],
)
def test_damaged_parameters(job, data, said):
    job.params.write_bytes(data)
    assert said in damage.of_params(job)
    assert str(job.params) in damage.of_params(job)
    assert damage.set_aside(job) == [job.params]
    assert not job.params.exists()
    assert (job.damaged / "1" / "params.json").read_bytes() == data


def test_folders_in_the_place_of_files(job):
    for path in (job.record, job.params):
        path.unlink()
    for path in (job.record, job.params, job.script, job.done):
        path.mkdir()
        (path / "x").touch()
    assert "is a directory" in damage.of_marker(job)
    assert damage.set_aside(job) == [job.record, job.params, job.script]
    job.record.write_text("{")
    assert damage.set_aside(job) == [job.record]
    assert sorted(p.name for p in job.damaged.glob("*/*")) == [
        "job.json", "job.json", "learn.py", "params.json",
    ]  # fmt: skip
