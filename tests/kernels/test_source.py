"""From a number to the code that made it, in a kernel whose cells go on changing."""

from __future__ import annotations

import subprocess
import sys

import html5lib
import nbformat
import pytest

pytestmark = pytest.mark.slow

HELPER = "def helper():\n    return {0}  # <b>markup</b> & 'text'"
LEARN = """
class Learn(Task):
    x: Param[int] = 1

    def execute(self):
        return helper() + self.x
"""


@pytest.fixture
def kernel(lab):
    kernel = lab.kernel()
    kernel.run('xp = start("first")')
    kernel.run("from __future__ import annotations\n" + HELPER.format(2))
    kernel.run(LEARN)
    kernel.run("run = Learn.C().submit(); run.result()")
    return kernel


def test_what_ran_is_shown_and_compared(lab, kernel):
    source = kernel.run("run.source()").displays[-1]
    assert source["text/plain"] == (
        "# --- In[1]\nfrom xpm_nb import Param, Task\n\n"
        f"# --- In[3]\n{HELPER.format(2)}\n\n# --- In[4]\n{LEARN.strip()}"
    )
    page = html5lib.parse(source["text/html"], namespaceHTMLElements=False)
    assert not list(page.iter("script"))
    shown = ["".join(pre.itertext()) for pre in page.iter("pre")]
    assert HELPER.format(2) in shown
    assert LEARN.strip() in shown
    assert "the cells still say the same" in source["text/html"]
    assert kernel.value("run.source().diff()") == ""

    kernel.run(HELPER.format(5))  # in a cell of another number, and after Learn
    assert (
        kernel.run("run.source()")
        .displays[-1]["text/plain"]
        .endswith(
            "# --- changed since\n--- what ran\n+++ the cells now\n"
            + kernel.value("run.source().diff()").split("\n", 2)[2].rstrip("\n")
        )
    )
    diff = kernel.value("run.source().diff()").splitlines()
    assert f"-{HELPER.format(2).splitlines()[1]}" in diff
    assert f"+{HELPER.format(5).splitlines()[1]}" in diff
    assert len([line for line in diff if line[0] in "+-"]) == 4
    assert kernel.value("run.source().code == xp[0].source().code")
    assert kernel.run("%xpm source " + kernel.value("run.job.identifier[:6]")).displays


def test_what_ran_can_be_put_into_a_cell_and_runs_again(kernel):
    identifier = kernel.value("run.job.identifier")
    msg_id = kernel.send(f"%xpm source --insert {identifier[:8]}")
    while (reply := kernel.client.get_shell_msg(timeout=30))["parent_header"].get(
        "msg_id"
    ) != msg_id:
        pass
    (payload,) = reply["content"]["payload"]
    assert payload["source"] == "set_next_input"
    cell = payload["text"]
    assert cell.startswith(
        f"# Learn {identifier[:8]}, as it ran\nfrom __future__ import annotations\n"
    )
    kernel.run(HELPER.format(9))
    kernel.run(cell)
    assert kernel.value("Learn.C(x=3).submit().result()") == 5
    carried = kernel.value("str(xp[-1].source())")
    assert carried.count("# ") == 1  # that of the helper: no header became part of the code


def test_where_the_classes_are_gone(lab, kernel):
    kernel.run("del Learn")
    shown = kernel.run("xp[0].source()").displays[-1]["text/html"]
    assert "what has changed since is not known: Learn is not in this kernel (any more)" in shown
    other = lab.kernel()
    other.run('xp = start("first")')
    assert "return helper() + self.x" in other.value("xp[0].source().code")
    assert "Learn is not in this kernel" in other.fails("xp[0].source().diff()").error
    (script,) = lab.workspace.glob("jobs/*/*/learn.py")
    script.unlink()
    assert f"{script} is missing" in other.fails("xp[0].source()").error


def test_outside_a_notebook(lab):
    (lab.path / "train.py").write_text(
        "from xpm_nb import Param, Task, start\n"
        + LEARN.replace("helper()", "2")
        + 'run = start("script").submit(Learn.C())\nprint(run.result())\n'
        "print(run.source())\nprint(repr(run.source().diff()))\n"
    )
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=lab.path,
        env=lab.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("3\nfrom xpm_nb import Param, Task\n\n\nclass Learn(Task):")
    assert done.stdout.endswith("return 2 + self.x\n\n''\n")


def kept_cells(lab):
    (path,) = lab.workspace.glob("experiments/*/xpm_nb/*/cells.ipynb")
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def test_the_cells_after_the_last_submission_are_kept_too(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('kept')")
    kernel.run("class Give(Task):\n    def execute(self): return 1")
    kernel.run("task = Give.C().submit(); xp.wait(timeout_s=60)")
    kernel.run("again = task.job.rerun()")
    kernel.run("from xpm_nb.engine import callbacks; callbacks.current().flush(60, chores=True)")
    assert "again = task.job.rerun()" in kept_cells(lab)
    kernel.run("xp.wait(timeout_s=60)")
    kernel.run("the_last = task.result()")
    kernel.manager.shutdown_kernel(now=False)  # as by its menu
    kernel.stop()
    assert kept_cells(lab)[-1] == "the_last = task.result()"
