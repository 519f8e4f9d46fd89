"""What a researcher sees in the cell when something is wrong."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    from tests.kernels.conftest import Lab

    lab = Lab(tmp_path_factory.mktemp("bad"))
    kernel = lab.kernel()
    kernel.run(
        "class Model(Config):\n    hidden: Param[int]\n\n"
        "class Learn(Task):\n    lr: Param[float]\n    model: Param[Model]\n"
        "    def execute(self):\n        return self.lr\n"
    )
    yield kernel
    kernel.stop()
    lab.end_jobs()


def test_a_wrong_type_names_class_parameter_value_and_place(kernel):
    error = kernel.fails("one = 1\nModel.C(hidden='many')").error
    assert error.startswith("ConfigError")
    for part in ("hidden", "model", "many", "In["):
        assert part in error
    assert "line 2" in error
    assert "ipykernel" not in error


def test_an_unknown_parameter_has_a_suggestion(kernel):
    error = kernel.fails("Model.C(hiden=3)").error
    assert "hiden" in error
    assert "did you mean" in error.lower()
    assert "hidden" in error


def test_submitting_nowhere(kernel):
    error = kernel.fails("Learn.C(lr=1, model=Model.C(hidden=1)).submit()").error
    assert error.startswith("NoExperimentError")
    assert "start(" in error
    assert "%xpm start" in error


def test_a_missing_parameter(kernel):
    kernel.run("xp = start('bad')")
    error = kernel.fails("Learn.C(lr=1).submit()").error
    assert "model" in error
    assert "learn" in error.lower()


def test_calling_the_class_itself(kernel):
    assert "Learn.C" in kernel.fails("Learn(lr=1)").error


def test_a_task_that_raises_is_red_and_others_go_on(kernel):
    kernel.run("""
class Fragile(Task):
    n: Param[int]
    def execute(self):
        if self.n == 1:
            raise ValueError("no such luck <b>")
        return self.n

class After(Task):
    before: Param[Fragile]
    def execute(self):
        return self.before.n
""")
    kernel.run(
        "xp = start('fragile')\n"
        "f = [Fragile.C(n=n).submit() for n in range(3)]\n"
        "after = [After.C(before=x).submit() for x in f]\n"
        "xp.wait(timeout_s=60)"
    )
    assert kernel.value("[t.state.value for t in f]") == ["done", "error", "done"]
    assert kernel.value("[t.state.value for t in after]") == ["done", "error", "done"]
    views = "[[j.view().reason.value, j.view().message] for j in (f[1].job, after[1].job)]"
    (reason, message), (after_reason, _) = kernel.value(views)
    assert reason == "failed"
    assert "no such luck" in message
    assert after_reason == "dependency"
    answer = kernel.fails("f[1].result()")
    assert answer.error.startswith("JobError")
    for part in ("Traceback", "no such luck", "raise ValueError", "fragile.err"):
        assert part in answer.error
    html = kernel.run("xp").displays[-1]["text/html"]
    assert "no such luck &lt;b&gt;" in html
    assert "<b>" not in html.replace("<b>no", "")


def test_run_time_state_is_refused(kernel):
    kernel.run("import random\nMODEL = [random.random()]")
    kernel.run("class Uses(Task):\n    def execute(self):\n        return MODEL\n")
    error = kernel.fails("Uses.C().submit()").error
    assert error.startswith("CarrierError")
    for part in ("MODEL", "In[", "Param"):
        assert part in error


def test_a_workspace_that_cannot_be_written(kernel):
    error = kernel.fails("start('nowhere', workspace='/proc/nothing')").error
    assert error.startswith("WorkspaceError")
    assert "/proc/nothing" in error
