"""What configs can do, from cells: in the kernel and in the jobs that it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

CELLS = [
    "from typing import Generic, TypeVar\n"
    "from xpm_nb import *\n"
    "T = TypeVar('T')\n"
    "xp = start('cells')",
    """
class Terms(Config):
    n: Param[int]
    "how many terms"

    @cache("terms.txt")
    def load(self, path):
        import os
        if not path.exists():
            with open(os.environ["XPM_TEST_LOG"], "a") as log:
                log.write(f"compute {self.n}\\n")
            path.write_text("x" * self.n)
        return len(path.read_text())
""",
    """
class Model(Config, Generic[T]):
    size: Param[T]
""",
    """
class Module:
    def __init__(self):
        super().__init__()
        self.parts = []

@Model.value_class()
class ModelValue(Model, Module):
    @initializer
    def initialize(self):
        self.parts.append(self.size)
        return list(self.parts)
""",
    """
class Learn(Task):
    terms: Param[Terms]
    model: Param[Model[int]]
    losses: Param[list[int]] = field(default_factory=list)

    @deprecate
    def loss(self, value):
        self.losses.append(value)

    def execute(self):
        self.model.initialize()
        return [self.terms.load(), self.model.initialize(), self.losses, type(self).__name__]
""",
    """
@deprecate(Learn)
class OldLearn(Task):
    terms: Param[Terms]
    size: Param[int]

    def __convert__(self):
        return Learn.C(terms=self.terms, model=Model.C(size=self.size))

    def execute(self):
        return [self.terms.load(), self.size, type(self).__name__]
""",
]


def test_from_cells_to_jobs_and_back(lab):
    kernel = lab.kernel(
        load=False,
        XPM_WORKSPACE=str(lab.workspace),
        PYTHONPATH=f"{lab.env['PYTHONPATH']}:{REPOSITORY}",
    )
    for cell in CELLS:
        kernel.run(cell)
    kernel.run("import warnings; warnings.simplefilter('ignore', FutureWarning)")
    kernel.run(
        "new = Learn.C(terms=Terms.C(n=3), model=Model.C(size=2), loss=4).submit()\n"
        "old = OldLearn.C(terms=Terms.C(n=3), size=5).submit()\n"
        "xp.wait()"
    )
    assert kernel.value("new.result()") == [3, [2], [4], "Learn"]
    assert kernel.value("old.result()") == [3, 5, "OldLearn"]
    # What the old class computed is done for the new one, and nothing is started.
    again = "Learn.C(terms=Terms.C(n=3), model=Model.C(size=5)).submit()"
    assert kernel.value(f"{again}.result()") == [3, 5, "OldLearn"]
    assert kernel.value("old.jobpath.parent.name") == "cells.learn"
    # The cache is one for all jobs and the notebook.
    assert kernel.value("(Terms.C(n=3).load(), Terms.C(n=3).instance().load())") == [3, 3]
    assert lab.log.read_text().splitlines() == ["compute 3"]
    assert kernel.value("Model.C(size=1).instance().initialize()") == [1]
    # Help and errors know the cells.
    assert "how many terms" in kernel.value("Terms.C.__doc__")
    clash = kernel.fails("Learn.C(terms=Terms.C(n=3), model=Model.C(size='s'))")
    assert "int is wanted, not str" in str(clash.error)
    assert "In[" in str(clash.error)
