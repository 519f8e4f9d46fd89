"""Outputs of running tasks and kernels that die: nothing that was reported is lost."""

import pytest

pytestmark = pytest.mark.slow

CELL = """
class Checkpoint(Config):
    step: Param[int]

class Learn(Task):
    steps: Param[int]

    def checkpoint(self, dep, step):
        return dep(Checkpoint.C(step=step))

    def execute(self):
        for step in range(self.steps):
            while step == 2 and not os.path.exists(os.environ["XPM_TEST_LOG"]):
                time.sleep(0.01)
            self.register_task_output(self.checkpoint, step)

class Evaluate(Task):
    checkpoint: Param[Checkpoint]

    def execute(self):
        return self.checkpoint.step ** 2

xp = start("watch")
learn = Learn.C(steps=4)
scores = []
learn.watch_output(
    learn.checkpoint, lambda found: scores.append(Evaluate.C(checkpoint=found).submit())
)
learn.submit()
"""


def test_a_new_kernel_is_told_all_and_runs_nothing_twice(lab):
    kernel = lab.kernel()
    kernel.run(CELL)
    kernel.run("while len(scores) < 2: time.sleep(0.01)\nprint([s.result() for s in scores])")
    kernel.kill()
    lab.log.touch()  # the job goes on
    kernel = lab.kernel()
    kernel.run(CELL)
    kernel.run("xp.wait(60)")
    assert kernel.value("[s.result() for s in scores]") == [0, 1, 4, 9]
    assert kernel.value("len(xp.jobs)") == 5
    assert set(lab.started().values()) == {1}
    kernel.run(CELL)  # the same cell once more: its function takes the former's place
    kernel.run("xp.wait(60)")
    assert kernel.value("[job.state.value for job in xp.jobs]") == ["done"] * 5
    assert kernel.value("len(scores)") == 0  # and was told already
