"""Jobs as their directories tell them, without their classes."""

from __future__ import annotations

import sys

import pytest

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine.inspection import inspect_job, read
from xpm_nb.errors import ConfigError
from xpm_nb.notebook import html
from xpm_nb.store import files, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import JobRecord

HEX = "ab" * 32


@pytest.fixture
def job(tmp_path):
    """A job of a class that is nowhere."""
    workspace = Workspace(tmp_path / "ws").create()
    paths = workspace.job("gone.learn", HEX).create()
    model = {
        "id": 1, "module": "gone", "type": "Model", "typename": "gone.model",
        "identifier": "cd" * 32, "fields": {"hidden": 64},
    }  # fmt: skip
    task = {
        "id": 2, "module": "gone", "type": "Learn", "typename": "gone.learn", "identifier": HEX,
        "fields": {"lr": 0.5, "model": {"type": "python", "value": 1}},
    }  # fmt: skip
    records.write_params(paths, {"format": 1, "version": 3, "objects": [model, task]})
    record = JobRecord("gone.learn", HEX, "learn", "Learn", experiment="tour", submitted=7.0)
    records.write_job(paths, record)
    paths.stdout.write_text("epoch 1\nepoch 2\n")
    files.append_line(paths.metrics, {"metrics": {"loss": 0.25}, "step": 1})
    (paths.path / "model.bin").write_bytes(b"x" * 10)
    records.write_done(paths)
    return paths


def test_everything_is_read_and_nothing_imported(job):
    before = set(sys.modules)
    found = read(job)
    assert found.state is JobState.DONE
    assert found.values() == {"lr": "0.5", "model.hidden": "64"}
    assert found.metrics == {"loss": 0.25}
    assert found.log() == "epoch 1\nepoch 2"
    assert "model.bin" in found.files
    assert "gone" not in set(sys.modules) - before
    view = found.view()
    for text in html.bundle(view).values():
        for word in ("Learn", "hidden", "64", "0.25", "model.bin"):
            assert word in text
    assert "<script" not in html.bundle(view)["text/html"]


@pytest.mark.parametrize("name", ["params", "record", "metrics", "stdout"])
def test_what_is_missing_or_damaged_is_left_out(job, name):
    getattr(job, name).write_bytes(b"\xff{nonsense")
    assert read(job).state is JobState.DONE
    getattr(job, name).unlink()
    assert html.bundle(read(job).view())["text/plain"]


def test_what_is_damaged_is_told_and_the_rest_is_there(job):
    job.params.write_bytes(b"\xff{nonsense")
    found = read(job)
    assert found.params is None
    assert found.values() == {}
    assert (found.metrics, found.log()) == ({"loss": 0.25}, "epoch 1\nepoch 2")
    (damage,) = found.damage
    assert damage.startswith("params.json is damaged: ")
    text = html.bundle(found.view())["text/plain"]
    page = html.bundle(found.view())["text/html"]
    assert text.startswith("Learn [abababab] done\n  cannot be read: params.json is damaged: ")
    assert "?()" not in text
    for word in ("Learn", "abababab", "0.25", "model.bin", "params.json is damaged"):
        assert word in text
        assert word in page
    job.record.write_text("[]")
    job.params.unlink()
    found = read(job)
    names = [text.partition(" is ")[0] for text in found.damage]
    assert names == [".experimaestro/job.json", "params.json"]
    assert (found.record, found.job.task) == (None, "learn")  # by its folder
    assert "learn [abababab] done" in html.bundle(found.view())["text/plain"]


def test_parameters_of_another_kind_are_damaged(job):
    records.write_params(job, {"format": 1, "objects": []})
    found = read(job)
    assert found.params is None
    assert found.damage == ("params.json is damaged: the parameters of this job cannot be read",)


def test_a_marker_that_is_no_file_is_told(job):
    job.done.unlink()
    job.done.mkdir()
    assert any("is a directory, and no marker" in text for text in read(job).damage)


def test_a_failed_job(job):
    job.done.unlink()
    records.write_failed(job, FailureReason.MEMORY, 1, "too large")
    found = read(job)
    assert (found.state, found.job.reason) == (JobState.ERROR, FailureReason.MEMORY)
    assert found.job.message == "too large"
    assert not found.frames


def test_by_the_first_digits(job):
    root = job.workspace
    assert inspect_job("abab", workspace=root).path == job.path
    with pytest.raises(ConfigError, match="did you mean abababab"):
        inspect_job("abababac", workspace=root)
    Workspace(root).job("gone.other", HEX).create()
    with pytest.raises(ConfigError, match=r"stands for 2 jobs: gone\.learn abababab, gone\.other"):
        inspect_job("abab", workspace=root)
    with pytest.raises(ConfigError, match="no job"):
        inspect_job("", workspace=root)
