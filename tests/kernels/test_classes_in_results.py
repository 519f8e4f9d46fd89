"""Classes of cells in results, in real kernels: what comes back is of the notebook's own classes."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KIND = """
from dataclasses import dataclass
from enum import Enum

class Kind(Enum):
    A = 1
"""
FOUND = """
@dataclass
class Found:
    kind: Kind
    class Inner:
        x = 1
"""
TASK = """
def plus(n):
    return n + 1

class Find(Task):
    n: Param[int]
    def execute(self):
        return Kind.A, Found(Kind.A), [Found.Inner], {Kind.A: plus(self.n)}
"""
SUBMIT = "task = Find.C(n=1).submit(); kind, found, inner, table = task.result()"
SEEN = """[
    kind is Kind.A, found == Found(Kind.A), inner == [Found.Inner], table.get(Kind.A),
    isinstance(kind, Kind), isinstance(found, Found),
]"""
LIVE = [True, True, True, 2, True, True]


@pytest.fixture
def kernel(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('classes')")
    for cell in (KIND, FOUND, TASK, SUBMIT):
        kernel.run(cell)
    return kernel


def test_results_are_of_the_notebooks_classes(lab, kernel):
    assert kernel.value(SEEN) == LIVE
    kernel.run(KIND)
    kernel.run(FOUND)
    kernel.run(TASK)
    kernel.run(SUBMIT)
    assert kernel.value(SEEN) == LIVE, "the cells were executed again"
    kernel.run(TASK.replace("n + 1", "n + 2"))
    kernel.run(SUBMIT)
    assert kernel.value("task.job.view().stale") == "code"
    assert kernel.value(SEEN) == LIVE, "what they say is still the same"
    kernel.kill()
    kernel = lab.kernel()
    kernel.run("xp = start('classes')")
    for cell in (KIND, FOUND, TASK, SUBMIT):
        kernel.run(cell)
    assert kernel.value(SEEN) == LIVE, "another kernel"
    assert kernel.value("xp.jobs[0].result()[0] is Kind.A") is True


def test_classes_that_were_edited_since_are_those_of_then(kernel):
    kernel.run(KIND.replace("A = 1", "A = 1\n    B = 2"))
    kernel.run(FOUND)
    kernel.run(TASK)
    kernel.run(SUBMIT)
    assert kernel.value("[isinstance(kind, Kind), isinstance(found, Found)]") == [False, False]
    assert kernel.value("[kind.name, len(type(kind)), found.kind is kind]") == ["A", 1, True]


def test_without_the_classes_they_are_those_of_then(lab, kernel):
    kernel.kill()
    kernel = lab.kernel()
    kernel.run("xp = start('classes'); job, = xp.jobs; kind, found, inner, table = job.result()")
    assert kernel.value("[kind.name, found.kind is kind, table[kind]]") == ["A", True, 2]
