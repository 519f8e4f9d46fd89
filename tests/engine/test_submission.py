"""Code that was carried is known until something that it reads is another."""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest

from tests.code.conftest import FakeNotebook
from xpm_nb import Param, Task
from xpm_nb.engine.submission import Carrier
from xpm_nb.errors import CarrierError


@pytest.fixture
def notebook(monkeypatch):
    fake = FakeNotebook()
    monkeypatch.setitem(sys.modules, "__main__", fake.main)
    fake.space.update(Task=Task, Param=Param)
    fake.cell("from xpm_nb import Param, Task\nWORDS = ['a']\ndef helper(x=1):\n    return x")
    fake.cell("from collections import Counter\nCOUNTS = Counter()\nNESTED = ([], 1)")
    fake.cell("from types import SimpleNamespace\nSPACE = SimpleNamespace(x={})")
    fake.cell("from functools import singledispatch\n@singledispatch\ndef show(x): return 1")
    fake.cell(
        "class Learn(Task):\n  sizes = [1]\n  def execute(self):\n"
        "    return helper(), WORDS, later(), show(1), COUNTS, NESTED, SPACE"
    )
    yield fake
    fake.close()


@pytest.fixture
def carry(notebook):
    carrier = Carrier()
    executed = lambda: (notebook.numbers, notebook.texts)  # noqa: E731
    return lambda: carrier.carry_classes((notebook["Learn"],), executed)


def test_it_is_the_same_while_other_cells_run(notebook, carry):
    carried = carry()
    notebook.cell("other = 1\ndef unused(): pass")
    assert carry() is carried


@pytest.mark.parametrize(
    "text",
    [
        "def helper(x=1):\n    return -x",
        "WORDS = ['b']",
        "def later():\n    return 2",
        "class Learn(Task):\n  def execute(self):\n    return helper()",
    ],
)
def test_what_is_defined_anew_is_carried_anew(notebook, carry, text):
    carried = carry()
    for _ in range(3):  # each of which may get the place in memory of the one before
        notebook.cell(text)
    assert carry() is not carried
    assert text.splitlines()[-1].strip() in carry().source


@pytest.mark.parametrize(
    "text",
    [
        "WORDS.append('b')",
        "Learn.execute = None",
        "helper.__defaults__ = (2,)",
        "NESTED[0].append(2)",
        "SPACE.x['a'] = 2",
        "COUNTS['a'] += 1",
        "Learn.sizes.append(2)",
        "show.register(str)(lambda x: 3)",
    ],
)
def test_what_is_changed_in_place_is_looked_at_again(notebook, carry, text):
    before = carry()
    notebook.cell(text)
    with suppress(CarrierError):  # refused: it would be another thing in a job
        assert carry() is not before
