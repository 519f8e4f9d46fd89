from __future__ import annotations

import pytest

from xpm_nb.core import doors
from xpm_nb.core.config import Task
from xpm_nb.core.fields import Param
from xpm_nb.errors import InternalError, NoExperimentError


class Learn(Task):
    lr: Param[float]


def test_the_defaults_say_what_to_do():
    with pytest.raises(NoExperimentError, match=r"Learn has nowhere to go: open one with start\("):
        Learn.C(lr=1).submit()
    assert doors.submitter.namespace() is None
    assert doors.place("a.py", 3) == "a.py:3"
    assert doors.renderer(3) == {"text/plain": "3"}
    with pytest.raises(InternalError, match="import xpm_nb"):
        doors._no_comparer(Learn.C(), Learn.C())


def test_filling_one_door_leaves_the_others():
    before = doors.submitter, doors.renderer
    doors.fill(place=lambda name, line: f"In[7], line {line}")
    assert doors.place("x", 2) == "In[7], line 2"
    assert (doors.submitter, doors.renderer) == before


def test_errors_say_the_place_that_the_door_gives():
    doors.fill(place=lambda name, line: f"In[7] of {name.rpartition('/')[2]}")
    with pytest.raises(ValueError, match=r"In\[7\] of test_doors.py"):
        Learn.C(lr="abc")


def test_submit_hands_all_options_over():
    seen = {}

    class Kept:
        def submit(self, task, **options):
            seen.update(options, task=task)
            return "output"

    doors.fill(submitter=Kept())
    task = Learn.C(lr=1)
    assert task.submit(max_retries=2) == "output"
    assert seen == {
        "task": task, "launcher": None, "run_mode": None, "init_tasks": (), "max_retries": 2,
        "transient": None,
    }  # fmt: skip
