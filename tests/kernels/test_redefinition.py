"""Cells that are run again and again: old configurations, old jobs, and sets of both.

One kernel; its class cells are run ten times, some with a change and some without, and everything
that was made in between is kept.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

MODEL = """
class Model(Config):
    n: Param[int] = 0

    def version(self):
        return {0}
"""
LEARN = """
class Learn(Task):
    model: Param[{annotation}]
    i: Param[int]

    def execute(self):
        return [{version}, self.model.version(), self.model.n, helper()]
"""
HELPER = "def helper():\n    return {0}"


@pytest.fixture
def kernel(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('again', slots=2); tasks, models, classes = [], [], []")
    return kernel


@pytest.mark.parametrize("annotation", ["Model", "'Model'"])
def test_ten_times_with_everything_kept(lab, kernel, annotation):
    for i in range(10):
        if i % 2 == 0:  # else the cells of Learn and helper only: Learn means the Model of before
            kernel.run(MODEL.format(i))
        kernel.run(HELPER.format(i))
        kernel.run(LEARN.format(annotation=annotation, version=i))
        kernel.run(
            f"tasks.append(Learn.C(model=Model.C(n={i}), i={i}));"
            "models.append(Model.C(n=100)); classes.append(Learn); tasks[-1].submit();"
        )
    # Each ran what its cells said when it was submitted.
    kernel.run("xp.wait();")
    results = kernel.value("[task.result() for task in tasks]")
    assert results == [[i, i - i % 2, i, i] for i in range(10)]
    assert len(lab.started()) == 10

    # Sets of old and new ones, and old jobs by new tasks, are what they were.
    assert kernel.value("len(sealed_set(*models))") == 1
    assert kernel.value("len({task.seal() for task in tasks})") == 10
    assert kernel.value("all(models[0] == model for model in models)")
    again = "[Learn.C(model=Model.C(n=i), i=i).submit() for i in range(10)]"
    assert (
        kernel.value(f"[one.job == task.job for one, task in zip({again}, tasks)]") == [True] * 10
    )
    assert kernel.value("[task.submit().job.state.value for task in tasks]") == ["done"] * 10
    assert len(lab.started()) == 10
    assert kernel.value("len(xp.jobs)") == 10

    # An old configuration in a new class, and the reverse: the code is that of the value given.
    assert kernel.value("Learn.C(model=models[0], i=20).submit().result()") == [9, 0, 100, 9]
    text = "classes[0].C(model=models[-1], i=21)"
    assert kernel.value(f"{text}.submit().result()") == [0, 8, 100, 9]  # helper as it is now
    assert sum(lab.started().values()) == 12


def test_what_waits_runs_the_code_it_was_submitted_with(lab, kernel):
    kernel.run("xp.slots = 1")
    kernel.run(
        "class Gate(Task):\n  def execute(self):\n    while not Path(GATE).exists(): time.sleep(0.01)"
    )
    kernel.run(f"GATE = {str(lab.path / 'open')!r}")
    kernel.run("gate = Gate.C().submit()")
    for i in range(10):
        kernel.run(MODEL.format(i))
        kernel.run(HELPER.format(i))
        kernel.run(LEARN.format(annotation="Model", version=i))
        kernel.run(f"tasks.append(Learn.C(model=Model.C(), i={i}).submit())")
    assert kernel.value("[task.state.value for task in tasks]").count("ready") >= 9
    (lab.path / "open").touch()
    kernel.run("xp.wait();")
    assert kernel.value("[task.result() for task in tasks]") == [[i, i, 0, i] for i in range(10)]


def test_other_fields_are_named_with_both_cells(kernel):
    kernel.run(HELPER.format(0))
    first = int(kernel.run("len(In)").result)
    kernel.run(MODEL.format(0))
    kernel.run(LEARN.format(annotation="Model", version=0))
    kernel.run("old = Model.C(n=1); OldLearn = Learn")
    kernel.run(
        MODEL.format(1).replace("n: Param[int] = 0", "n: Param[int] = 0\n    m: Param[int] = 1")
    )
    new = f"the value's at In[{first + 3}], line 2, the parameter's at In[{first}], line 2"
    error = kernel.fails("Learn.C(model=Model.C(), i=0)").error
    assert "Model was defined twice, with other fields (m)" in error
    assert new in error, error
    kernel.run(LEARN.format(annotation="Model", version=1))
    error = kernel.fails("Learn.C(model=old, i=0)").error
    assert (
        f"the value's at In[{first}], line 2, the parameter's at In[{first + 3}], line 2" in error
    )
    # What fits goes on.
    assert kernel.value("OldLearn.C(model=old, i=1).submit().result()") == [0, 0, 1, 0]
    assert kernel.value("Learn.C(model=Model.C(), i=2).submit().result()") == [1, 1, 0, 0]


def test_two_versions_in_one_task_are_refused_by_name(kernel):
    kernel.run(HELPER.format(0))
    kernel.run(MODEL.format(0))
    kernel.run("old = Model.C()")
    kernel.run(MODEL.format(1))
    kernel.run(
        "class Both(Task):\n  models: Param[list[Model]]\n  def execute(self): return len(self.models)"
    )
    error = kernel.fails("Both.C(models=[old, Model.C()]).submit()").error
    assert "two versions of it are used at once" in error
    assert "Make the older configurations again" in error
    assert kernel.value("Both.C(models=[old, old]).submit().result()") == 2
    kernel.run(MODEL.format(1))  # the same text once more is no other version
    kernel.run(
        "class Both(Task):\n  models: Param[list[Model]]\n  def execute(self): return len(self.models)"
    )
    kernel.run("newer = Model.C()")
    kernel.run(MODEL.format(1))
    assert kernel.value("Both.C(models=[newer, Model.C(n=2)]).submit().result()") == 2


def test_enums_and_bases_that_were_run_again(kernel):
    for i in range(5):
        kernel.run("import enum\nclass Kind(enum.Enum):\n  A = 1\n  B = 2")
        kernel.run(f"class Base(Task):\n  kind: Param[Kind]\n  def f(self): return {i}")
        if i in (0, 3):
            kernel.run("class Learn(Base):\n  def execute(self): return [self.f(), self.kind.name]")
            kernel.run("tasks.append(Learn.C(kind=Kind.A))")
    assert kernel.value("[task.submit().job.identifier for task in tasks[:1]]") == kernel.value(
        "[tasks[1].__identifier__().hex()]"
    )
    assert kernel.value("tasks[0].result()") == [0, "A"]  # the Base that it was made from
    assert kernel.value("Learn.C(kind=classes or Kind.B).submit().result()") == [3, "B"]
