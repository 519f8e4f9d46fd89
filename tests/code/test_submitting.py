"""Submit hooks over classes of cells: their jobs do without."""

import pytest

HOOKS = """
from xpm_nb import Config, SubmitHook, submit_hook_decorator
class needs(SubmitHook):
  def __init__(self, *what): self.what = what
  def spec(self): return self.what
  def process(self, job, launcher): STATE.append(self.what)
@submit_hook_decorator
def asks(job, launcher, what): STATE.append(what)
import os
STATE = [open(os.devnull)]  # no statement could make this again
"""


@pytest.fixture(autouse=True)
def closed(notebook):
    yield
    notebook["STATE"][0].close()


CASES = {
    "a hook": "# What it is.\n@needs(1)\nclass Learn(Config):\n  def f(self): return 1",
    "over several lines": "@needs(\n  1,\n  STATE,\n)\nclass Learn(Config):\n  def f(self): return 1",
    "made by a function": "@asks(STATE[0])\nclass Learn(Config):\n  def f(self): return 1",
    "kept under a name": "one = needs(1)\n@one\nclass Learn(Config):\n  def f(self): return 1",
    "in parentheses": "@(\n  needs(2)\n)\nclass Learn(Config):\n  def f(self): return 1",
}


@pytest.mark.parametrize("cell", CASES.values(), ids=CASES)
def test_a_job_does_without_hooks(notebook, cell):
    notebook.cell(HOOKS).cell(cell)
    job = notebook.job("Learn")
    assert job["Learn"]().f() == 1
    assert "SubmitHook" not in job
    assert not {"needs", "asks", "STATE", "one"} & job.keys()


def test_other_decorators_stay_and_the_hooks_can_be_read(notebook):
    notebook.cell(HOOKS).cell("def mark(cls):\n  cls.marked = True\n  return cls")
    notebook.cell(
        "# Trains.\n@needs(1)\n@mark\n@asks(\n  2\n)\nclass Learn(Config):\n  def f(self): return 1"
    )
    job = notebook.job("Learn")
    assert job["Learn"].marked
    assert "# Trains.\n# @needs(1)\n@mark\n# @asks(\n#   2\n# )\n" in job["__carried__"].source


def test_a_parent_with_a_hook(notebook):
    notebook.cell(HOOKS).cell("@needs(1)\nclass Base(Config):\n  def f(self): return 2")
    notebook.cell("class Learn(Base):\n  def g(self): return self.f() + 1")
    assert notebook.job("Learn")["Learn"]().g() == 3
    both = notebook.job("Learn", "Base")
    assert both["Learn"].__bases__ == (both["Base"],)


def test_lines_in_messages_are_those_of_the_cell(notebook):
    notebook.cell(HOOKS)
    notebook.cell("@needs(1)\nclass Learn(Config):\n  def f(self):\n    return STATE")
    with pytest.raises(Exception, match=r"In\[2\], line 4 uses `STATE`"):
        notebook.carry("Learn")
