"""`python <NAME>.py` in a job directory: without notebook and kernel, and nothing is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.conftest import rehearse

pytestmark = pytest.mark.slow

CELL = """
import helper_beside

class {name}(Task):
    x: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("out.txt"))

    def execute(self):
        import random, code, types, json
        import numpy
        self.out.write_text(str(self.x))
        print("executed", helper_beside.WORD)
        return [self.x, random.__name__, code.__name__, types.__name__, json.__name__, numpy.arange(2).sum().item()]
"""


@pytest.mark.parametrize("names", [["Random", "Code", "Types", "Json", "Numpy"]])
def test_scripts_named_like_modules_run_both_ways(lab, names):
    (lab.path / "helper_beside.py").write_text("WORD = 'beside'\n")
    kernel = lab.kernel()
    for name in names:
        kernel.run(CELL.format(name=name))
    kernel.run("xp = start('names')")
    kernel.run(f"tasks = [K.C(x=3).submit() for K in ({', '.join(names)})]\nxp.wait(timeout_s=60)")
    results = kernel.value("[t.result() for t in tasks]")
    assert results == [[3, "random", "code", "types", "json", 1]] * len(names)
    for text in kernel.value("[str(t.jobpath) for t in tasks]"):
        folder = Path(text)
        assert "executed beside" in rehearse(folder)
        rehearsals = list((folder / ".experimaestro" / "by-hand").glob("*/out.txt"))
        assert [p.read_text() for p in rehearsals] == ["3"]


def test_no_kernel_words_in_a_script(lab):
    (lab.path / "helper_beside.py").write_text("WORD = 'beside'\n")
    kernel = lab.kernel()
    kernel.run(CELL.format(name="Plain"))
    kernel.run("xp = start('plain')\ntask = Plain.C(x=1).submit()\nxp.wait(timeout_s=60)")
    folder = Path(kernel.value("str(task.jobpath)"))
    text = (folder / "plain.py").read_text()
    assert "ipykernel" not in text
    assert "IPython" not in text
    assert "# --- In[" in text
    assert folder.parent.name == "plain.plain"


def test_a_job_that_imports_nothing_loads_nothing_heavy(lab):
    kernel = lab.kernel()
    kernel.run("""
class Bare(Task):
    x: Param[int]
    def execute(self):
        import sys
        return sorted(sys.modules)
""")
    kernel.run("xp = start('bare')\ntask = Bare.C(x=1).submit()\nxp.wait(timeout_s=60)")
    heavy = {
        "IPython", "ipywidgets", "anywidget", "asyncio", "traitlets", "nbformat", "pydantic",
        "pydantic_core", "filelock", "psutil", "cloudpickle",
    }  # fmt: skip
    assert not heavy & set(kernel.value("task.result()"))
