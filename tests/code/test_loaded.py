"""Modules that only a run can tell of."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from xpm_nb.code import loaded
from xpm_nb.store.records import Loaded


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "met_by_chance.py").write_text("X = 1\n")
    importlib.import_module("met_by_chance")
    yield tmp_path / "met_by_chance.py"
    del sys.modules["met_by_chance"]


def later(path):
    """A time after which the file was not written."""
    return path.stat().st_ctime + 60


def test_only_the_users_own_are_noted(module):
    files = {"met_by_chance": str(module), "json": os.__file__, "pytest": pytest.__file__}
    (one,), doubtful = loaded.look(files, later(module))
    status = module.stat()
    assert (one.name, one.path) == ("met_by_chance", str(module))
    assert one.stamp == (status.st_mtime_ns, status.st_size)
    assert doubtful == []


def test_what_was_written_since_the_process_began_is_in_doubt(module):
    found, doubtful = loaded.look({"met_by_chance": str(module)}, module.stat().st_mtime - 60)
    assert [one.name for one in found] == ["met_by_chance"]
    assert doubtful == [str(module)]


def test_what_is_gone_or_no_python_is_in_doubt(module):
    module.write_text("X = (\n")
    assert loaded.look({"met_by_chance": str(module)}, later(module)) == ([], [str(module)])
    module.unlink()
    assert loaded.look({"met_by_chance": str(module)}, 0.0) == ([], [str(module)])


def test_what_is_made_where_no_module_is_looked_for_does_not_count(module, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(module.parent / "elsewhere")])
    assert loaded.look({"met_by_chance": str(module)}, later(module)) == ([], [])


def test_the_present_digest(module):
    (one,), _ = loaded.look({"met_by_chance": str(module)}, later(module))
    path = str(module)
    assert loaded.present([one]) == {path: one.digest}
    module.write_text("X = 1  # a comment\n")
    assert loaded.present([one]) == {path: one.digest}
    module.write_text("X = 22\n")
    assert loaded.present([one])[path] not in ("", one.digest)
    module.write_text("X = (\n")
    assert loaded.present([one]) == {path: ""}
    module.unlink()
    assert loaded.present([one]) == {path: ""}


def test_a_project_that_was_moved_is_found(module):
    (one,), _ = loaded.look({"met_by_chance": str(module)}, later(module))
    before = one._replace(path="/gone/met_by_chance.py", stamp=(1, 1))
    assert loaded.present([before]) == {"/gone/met_by_chance.py": one.digest}
    assert loaded.present([Loaded("met_nowhere", "/gone/x.py", "0")]) == {"/gone/x.py": ""}


def test_what_took_the_place_of_one_counts(module, tmp_path, monkeypatch):
    (one,), _ = loaded.look({"met_by_chance": str(module)}, later(module))
    nearer = tmp_path / "nearer"
    nearer.mkdir()
    monkeypatch.syspath_prepend(str(nearer))
    assert loaded.present([one]) == {one.path: one.digest}
    (nearer / "met_by_chance.py").write_text("X = 2\n")
    assert loaded.present([one])[one.path] not in ("", one.digest)
    assert loaded.texts([one]) == {one.path: "X = 2\n"}
    (nearer / "met_by_chance.py").unlink()
    assert loaded.present([one]) == {one.path: one.digest}
    # A package in its place, and what is installed, are something else, too.
    (tmp_path / "met_by_chance").mkdir()
    (tmp_path / "met_by_chance" / "__init__.py").write_text("X = 3\n")
    assert loaded.present([one])[one.path] not in ("", one.digest)
