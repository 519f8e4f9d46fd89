"""Looking back at failures from a notebook, as a person does who answers pdb."""

from __future__ import annotations

import queue
import re
from pathlib import Path

import pytest

from tests.kernels.conftest import checksums

pytestmark = pytest.mark.slow

CELL = """
class Divide(Task):
    by: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("out.txt"))

    def execute(self):
        import numpy
        weights = numpy.arange(3.0)
        api_key = "canary-1"
        self.out.write_text("begun")
        return self.share(weights)

    def share(self, weights):
        total = 10
        return total / self.by
"""


def talk(kernel, code: str, *commands: str) -> str:
    """Execute a cell, answer what it asks for, and give what it printed."""
    msg_id = kernel.send(code, allow_stdin=True)
    said, left = "", list(commands)
    while True:
        try:
            asked = kernel.client.get_stdin_msg(timeout=0.05)
            assert "(Pdb)" in asked["content"]["prompt"] or "ipdb" in asked["content"]["prompt"]
            kernel.client.input(left.pop(0))
        except queue.Empty:
            pass
        try:
            message = kernel.client.get_iopub_msg(timeout=0.05)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        if message["msg_type"] == "stream":
            said += message["content"]["text"]
        if message["content"].get("execution_state") == "idle":
            kernel.client.get_shell_msg(timeout=30)
            assert not left
            return re.sub(r"\x1b\[[0-9;]*m", "", said)  # kernels have a pdb in colours


@pytest.fixture
def kernel(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('debug')")
    kernel.run(CELL)
    kernel.run("task = Divide.C(by=0).submit(); task.wait(60)")
    assert kernel.value("task.state.value") == "error"
    return kernel


def test_debug_opens_pdb_at_the_failure(lab, kernel):
    verb = "%xpm debug " + kernel.value("task.job.identifier[:6]")
    commands = ("where", "p total", "up", "p weights", "p api_key", "list", "q")
    said = talk(kernel, verb, *commands)
    assert "ZeroDivisionError: division by zero" in said
    assert "/divide.py" in said
    assert "share" in said
    assert "\n10\n" in said
    assert "<ndarray float64 (3,), from 0 to 2, mean 1: [0, 1, 2]>" in said
    assert "canary" not in said
    assert "return self.share(weights)" in said
    refused = kernel.answer(kernel.send(verb, allow_stdin=False))  # as when nobody is there
    assert refused.status == "error"
    assert "job.frames" in refused.error + refused.stderr


def test_frames_are_displayed_and_another_kernel_has_them(lab, kernel):
    kernel.kill()
    other = lab.kernel()
    other.run("xp = start('debug'); job, = xp.jobs")
    answer = other.run("job.frames")
    text, page = answer.displays[0]["text/plain"], answer.displays[0]["text/html"]
    for shown in (text, page):
        assert "ZeroDivisionError: division by zero" in shown
        assert "total" in shown
        assert "canary" not in shown
    assert "<script" not in page
    assert other.value("[job.frames['total'], len(job.frames), job.frames[-1].function]") == [
        "10",
        2,
        "Divide.share",
    ]
    said = talk(other, "job.debug()", "p self", "q")
    assert "Divide(" in said
    for path in lab.workspace.glob("jobs/*/*/.experimaestro/frames.json"):
        assert "canary" not in path.read_text()


HERE = """
class Half(Task):
    of: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("half.txt"))

    def execute(self):
        self.out.write_text(str(self.of))
        os.environ["LEFT"] = "behind"
        assert Path.cwd() == self.__taskdir__ == self.out.parent
        print("here", os.getpid(), os.environ["GIVEN"])
        if self.of % 2:
            odd = self.of
            raise ValueError(f"odd: {odd}")
        return self.of // 2
"""


def test_a_task_runs_here_as_by_hand(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('here'); xp.setenv('GIVEN', 'yes')")
    kernel.run(HERE)
    kernel.run("good, bad = Half.C(of=4).submit(), Half.C(of=5).submit(); xp.wait(timeout_s=60)")
    before = {f: checksums(f) for f in map(Path, kernel.value("[str(j.path) for j in xp.jobs]"))}
    kernel.run("before = (os.getcwd(), dict(os.environ))")
    answer = kernel.run("good.rerun_here()")
    assert answer.result == "2"
    assert answer.stdout == f"here {kernel.pid} yes\n"
    said = talk(kernel, "bad.rerun_here()", "p odd", "p self.of", "up", "q")
    assert "\n5\n5\n" in said.replace("ipdb> ", "").replace("(Pdb) ", "")
    assert "return" not in said.partition("odd")[0]
    said = talk(kernel, "%debug", "p odd", "q")  # on the traceback of the cell
    assert "5" in said
    refused = kernel.answer(kernel.send("bad.rerun_here()", allow_stdin=False))
    assert refused.error == "ValueError: odd: 5"
    assert kernel.value("before == (os.getcwd(), dict(os.environ))")
    assert {folder: checksums(folder) for folder in before} == before
    for folder in before:
        rehearsals = list((folder / ".experimaestro" / "by-hand").glob("*/half.txt"))
        assert len(rehearsals) == (1 if "4" in rehearsals[0].read_text() else 2)
    assert sum(lab.started().values()) == 2
