"""The text of a script that its live objects come from, of all that were seen."""

from __future__ import annotations

import linecache
import sys

import pytest

from xpm_nb.code.cells import Cells


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Executes texts as ``%run`` does one after the other, the names being those of a session."""
    path = tmp_path / "part.py"
    space = {"__name__": "__main__"}

    def execute(text, *, run=True):
        path.write_text(text)
        if run:
            exec(compile(text, str(path), "exec"), space)
        for name in ("f", "g", "N"):
            monkeypatch.setattr(sys.modules["__main__"], name, space.get(name), raising=False)

    execute.path = str(path)
    return execute


def text_of(path):
    return Cells({}, scripts=[path]).of_file(path)[0].text


FIRST = "N = 1\ndef f(): return 1\ndef g(): return 2\n"
EDITED = FIRST.replace("return 2", "return 3")
CONSTANT = FIRST.replace("N = 1", "N = 5")


@pytest.mark.parametrize("edited", [EDITED, CONSTANT])
def test_the_text_that_was_executed_last(script, edited):
    script(FIRST)
    linecache.getlines(script.path)  # as a traceback does
    assert text_of(script.path) == FIRST
    script(edited, run=False)
    assert text_of(script.path) == FIRST, "nobody has executed the other one"
    script(edited)
    assert text_of(script.path) == edited
    script(FIRST)
    assert text_of(script.path) == FIRST


class Loud:
    """An object of the user's, of which no code is to be run."""

    def __repr__(self):
        raise AssertionError("code of an object was run")

    def __call__(self):
        raise AssertionError("code of an object was run")

    def __getattr__(self, name):
        raise KeyError(name)


def test_no_code_of_live_objects_is_run(script):
    first = "N = []\ndef f(): return 1\n"
    script(first)
    assert text_of(script.path) == first
    script(first.replace("return 1", "return 2"), run=False)
    sys.modules["__main__"].N = [Loud()]
    sys.modules["__main__"].g = Loud()
    assert text_of(script.path) == first


def test_objects_of_a_former_text_are_found_too(script):
    script(FIRST)
    former = sys.modules["__main__"].g
    assert text_of(script.path) == FIRST
    script(EDITED)
    cells = Cells({}, scripts=[script.path])
    statement = cells.holding(former.__code__)
    assert statement is not None
    assert statement.source == "def g(): return 2\n"
    assert [s.source for s in cells.binders("g")] == ["def g(): return 3\n"]
