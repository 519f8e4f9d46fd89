"""The 68 identifiers that experimaestro 2.7.0 gave."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
VECTORS = json.loads((GOLDEN / "vectors.json").read_text())["vectors"]


@pytest.fixture
def definitions(monkeypatch):
    monkeypatch.setenv("XPM_VECTORS_PACKAGE", "xpm_nb")
    monkeypatch.setattr(sys, "_called_from_test", True, raising=False)
    spec = importlib.util.spec_from_file_location("vectors_defs", GOLDEN / "vectors_defs.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vectors_defs", module)
    spec.loader.exec_module(module)
    return module


def test_all_68_are_equal(definitions, submitter):
    made = definitions.build()
    assert len(VECTORS) == 68
    assert made.keys() == VECTORS.keys()
    found = {name: definitions.hexid(value) for name, (value, _note) in made.items()}
    assert found == {name: vector["identifier"] for name, vector in VECTORS.items()}


def test_the_namespace_does_not_matter_to_named_types(definitions, submitter):
    submitter.space = None
    value, _note = definitions.build()["consumer"]
    assert value.__identifier__().hex() == VECTORS["consumer"]["identifier"]
