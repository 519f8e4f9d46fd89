"""Pains of working in notebooks, each with what is to be seen here instead, in real kernels."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.slow


# -- two notebooks with one class name fight over one place ---------------------------------------

STEP = """
class Step(Config):
    {fields}

class Walk(Task):
    step: Param[Step]

    def execute(self):
        return 1

xp = start("hike"{options})
walk = Walk.C(step=Step.C({values})).submit()
xp.wait(60)
xp.close()
"""


def test_pain_5_two_notebooks_one_class_name_warns_naming_both(lab):
    def notebook(name, fields, values, options=""):
        kernel = kernels.setdefault(name, None) or lab.kernel(JPY_SESSION_NAME=f"/home/{name}")
        kernels[name] = kernel
        cell = STEP.format(fields=fields, values=values, options=options)
        return kernel.run(cell).stderr

    kernels = {}
    assert notebook("first.ipynb", "size: Param[int]", "size=1") == ""
    # Its own notebook may change a class as it likes, and run the cell as often as it likes.
    assert notebook("first.ipynb", "size: Param[int]", "size=1") == ""
    assert notebook("first.ipynb", "size: Param[float]", "size=1.5") == ""
    # The same class in another notebook is the same class.
    assert notebook("second.ipynb", "size: Param[float]", "size=1.5") == ""
    told = notebook("third.ipynb", "size: Param[float]\n    boots: Param[str]", "size=2, boots='b'")
    assert "UserWarning: two notebooks say what hike.step is" in told
    assert "/home/second.ipynb that it has no more than that" in told
    assert "/home/third.ipynb that it has boots: str" in told
    assert "namespace=" in told
    assert "hike.walk" not in told
    assert notebook("third.ipynb", "size: Param[int]", "size=2", ", namespace='mine'") == ""


# -- isinstance is False after the cell of a class was run again ----------------------------------

MODEL = """
class Model(Config):
    {fields}
"""
LEARN = """
class Learn(Task):
    model: Param[Model]

    def execute(self):
        return self.model.size
"""


def test_pain_6_old_and_new_classes_pass_for_each_other_or_the_fields_are_named(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('models')")
    kernel.run(MODEL.format(fields="size: Param[int]"))
    kernel.run(LEARN)
    kernel.run("old_model, OldLearn = Model.C(size=1), Learn")
    kernel.run(MODEL.format(fields="size: Param[int]"))  # only the cell of Model
    assert kernel.value("isinstance(old_model, Model)") is False
    assert kernel.value("Learn.C(model=Model.C(size=2)).submit().result()") == 2
    kernel.run(LEARN)  # and now the old config in the new annotation
    assert kernel.value("Learn.C(model=old_model).submit().result()") == 1
    assert kernel.value("OldLearn.C(model=Model.C(size=3)).submit().result()") == 3
    assert len(set(lab.started())) == 3
    # Where the fields differ, they are named, and both cells.
    cell = MODEL.format(fields="size: Param[int]\n    depth: Param[int]")
    kernel.run(f"{cell}\nnumber = len(In) - 1")
    number = kernel.value("number")
    answer = kernel.fails("Learn.C(model=Model.C(size=1, depth=2))")
    assert "Model was defined twice, with other fields (depth)" in answer.error
    assert f"the value's at In[{number}], line 2" in answer.error
    assert "the parameter's at In[" in answer.error
    kernel.run(LEARN)
    answer = kernel.fails("Learn.C(model=old_model)")
    assert "with other fields (depth)" in answer.error
    assert f"the parameter's at In[{number}], line 2" in answer.error


# -- an interrupted cell leaves something that blocks the next ------------------------------------


def test_pain_18_an_interrupted_cell_can_be_run_again(lab):
    gate = lab.path / "gate"
    kernel = lab.kernel()
    kernel.run(
        """
class Gated(Task):
    n: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        import os, time
        open(os.environ["XPM_TEST_LOG"], "a").write(f"start {self.n}\\n")
        while not os.path.exists(self.gate):
            time.sleep(0.02)
        return self.n
"""
    )
    cell = f"""
with experiment("xpm-workspace", "block") as xp:
    job = Gated.C(n=1, gate={str(gate)!r}).submit()
value = job.result()
"""
    for _ in range(2):  # run, interrupted, run again, interrupted again
        waiting = kernel.send(cell)
        kernel.until_displayed(waiting)
        lab.wait_for(lambda: lab.said() == ["start 1"])
        kernel.interrupt()
        assert kernel.answer(waiting).error.startswith("KeyboardInterrupt")
        assert kernel.value("job.state.value") == "running"
    gate.touch()
    kernel.run(cell)
    assert kernel.value("value") == 1
    assert set(lab.started().values()) == {1}
    # Nor does what was interrupted keep later tasks for itself.
    kernel.run(f"other = start('other')\nGated.C(n=2, gate={str(gate)!r}).submit()\nother.wait(60)")
    assert kernel.value("[len(other.jobs), len(xp.jobs)]") == [1, 1]


# -- it failed at cell 28 of 36, and everything is to be run again --------------------------------

PLAN = """
class Stage(Task):
    number: Param[int]
    before: Param[Task | None]

    def execute(self):
        import os
        open(os.environ["XPM_TEST_LOG"], "a").write(f"{self.number}\\n")
        if self.number == 20 and not os.path.exists(os.environ["XPM_TEST_LOG"] + ".disk"):
            raise OSError("the disk is full")
        return self.number

xp = start("stages")
stages = [None]
"""
NEXT = """
stages.append(Stage.C(number=len(stages), before=stages[-1]).submit())
assert stages[-1].result() == len(stages) - 1
"""


@pytest.mark.parametrize("restart", [False, True])
def test_pain_20_run_all_after_a_failure_runs_what_failed_and_what_follows(lab, restart):
    cells = [PLAN, *[NEXT] * 30]
    kernel = lab.kernel()
    for number, cell in enumerate(cells):
        if number == 20:
            assert "the disk is full" in kernel.fails(cell).error
            break
        kernel.run(cell)
    assert lab.said() == [str(n) for n in range(1, 21)]
    (lab.path / "log.txt.disk").touch()
    if restart:
        kernel.kill()
        kernel = lab.kernel()
    for cell in cells:
        kernel.run(cell)
    assert lab.said()[20:] == [str(n) for n in range(20, 31)]
    assert sorted(lab.started().values()) == [1] * 29 + [2]
    assert kernel.value("[job.state.value for job in xp.jobs]") == ["done"] * 30


# -- what differs between two runs ----------------------------------------------------------------


def test_pain_21_the_difference_shows_exactly_what_differs(lab):
    kernel = lab.kernel()
    kernel.run(
        """
class Optimizer(Config):
    lr: Param[float]
    momentum: Param[float] = 0.9

class Net(Config):
    sizes: Param[list[int]]
    optimizer: Param[Optimizer]

class Fit(Task):
    net: Param[Net]
    seed: Param[int] = 0
    label: Meta[str] = ""

    def execute(self): ...

def fit(lr=0.1, sizes=(8, 8, 4), **more):
    return Fit.C(net=Net.C(sizes=list(sizes), optimizer=Optimizer.C(lr=lr)), **more)
"""
    )

    def leaves(a, b):
        return kernel.value(f"[[r.path, r.left, r.right] for r in ({a} - {b}).view().rows]")

    assert leaves("fit()", "fit()") == []
    assert leaves("fit()", "fit(lr=0.2)") == [["net.optimizer.lr", "0.1", "0.2"]]
    assert leaves("fit(seed=1, label='a')", "fit(sizes=(8, 9, 4))") == [
        ["net.sizes[1]", "8", "9"],
        ["seed", "1", "0"],
        ["label", "'a'", "''"],
    ]
    shown = kernel.run("fit() - fit(lr=0.2, seed=3)").displays[-1]
    words = re.sub(r"(?s)<style>.*?</style>|<[^>]*>", "", shown["text/html"])
    for text in (shown["text/plain"], words):
        assert "net.optimizer.lr" in text
        assert "seed" in text
        assert "momentum" not in text
        assert "sizes" not in text


# -- an update changes the identifiers, and all results are gone ----------------------------------

FIELD = """
class Count(Task):
    n: Param[int]
    {field}

    def execute(self):
        return self.n

xp = start("counting")
task = Count.C(n=3{value}).submit()
xp.wait(60)
"""


def test_pain_23_a_new_parameter_with_an_ignored_default_leaves_identifiers(lab):
    kernel = lab.kernel()
    kernel.run(FIELD.format(field="", value=""))
    identifier = kernel.value("task.job.identifier")
    new = "speed: Param[float] = field(default=1.5, ignore_default=True)"
    for field, value in ((new, ""), (new, ", speed=1.5"), ("speed: Param[float] = 1.5", "")):
        kernel.run(FIELD.format(field=field, value=value))
        assert kernel.value("[task.job.identifier, task.state.value]") == [identifier, "done"]
    assert lab.started() == {identifier: 1}
    kernel.run(FIELD.format(field=new, value=", speed=2"))
    assert kernel.value("task.job.identifier") != identifier
    # Always hashed, if that is what is wanted.
    kernel.run(FIELD.format(field="speed: Param[float] = field(default=1.5)", value=""))
    assert kernel.value("task.job.identifier") != identifier
    for record in lab.workspace.glob("jobs/*/*/.experimaestro/job.json"):
        assert json.loads(record.read_text())["scheme"] == 1
