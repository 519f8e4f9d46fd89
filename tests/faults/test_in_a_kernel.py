"""The faults that show in a notebook, in one real kernel: what cells and panels say of them.

One kernel for all: after each fault it is there, and its other jobs finish.
"""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import fill
from tests.kernels.conftest import Lab

pytestmark = pytest.mark.slow

BEGIN = """
from xpm_nb.engine.settings import Settings
Settings.instance().grace_s = 0.5
from tests.faults.fault_tasks import *
"""


class Notebook:
    """A kernel, and what one sees in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.kernel = lab.kernel()
        self.kernel.run(BEGIN)
        self.gate = ""

    def begin(self, name: str, workspace: Path | None = None, slots: int = 8) -> None:
        """Open an experiment of its own, with a gate and a good job that waits at it."""
        self.workspace = workspace or self.lab.path / f"ws-{name}"
        self.gate = str(self.lab.path / f"gate-{name}")
        self.kernel.run(
            f"xp = start({name!r}, workspace={str(self.workspace)!r}, slots={slots})\n"
            f"gate = {self.gate!r}"
        )

    def open_gate(self) -> None:
        Path(self.gate).touch()

    def wait_said(self, text: str) -> None:
        self.lab.wait_for(lambda: text in self.lab.said())

    def wait_state(self, task: str, state: str) -> None:
        self.lab.wait_for(lambda: self.kernel.value(f"{task}.state.value") == state)

    def seen(self, task: str) -> str:
        """What is read at the row of a job in the panel, in its own display and in the table."""
        texts = []
        for cell in ("xp", f"{task}.job"):
            shown = self.kernel.run(cell).displays[-1]
            text = html.unescape(re.sub("<[^>]*>", " ", shown["text/html"]))
            texts.append(" ".join(text.split()))
        table = self.kernel.run("%xpm jobs").displays[-1]["text/plain"]
        message = " ".join(self.kernel.value(f"{task}.job.view().message").split())
        for text in (*texts, " ".join(table.split())):
            assert message[:40] in text, (message, text)
        return message

    def others_finish(self, *tasks: str) -> None:
        """What is not at fault ends well, and the next job, too."""
        self.open_gate()
        self.kernel.run("new = Good.C(n=1000 + len(xp.jobs)).submit(); new.wait(60)")
        for task in ("new", *tasks):
            self.kernel.run(f"{task}.wait(60)")
            assert self.kernel.value(f"{task}.state.value") == "done", task


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("faults"))
    yield lab
    for kernel in lab.kernels:
        kernel.stop()
    for path in lab.path.glob("*/jobs/*/*/*.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.killpg(int(re.search(r'"pid": (\d+)', path.read_text())[1]), signal.SIGKILL)


@pytest.fixture(scope="module")
def notebook(lab):
    return Notebook(lab)


@contextlib.contextmanager
def mounted(*words: str):
    """Have something mounted; the last word says where."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    made = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"it cannot be mounted: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", words[-1]], check=True)


def test_a_full_disk(notebook):
    root = notebook.lab.path / "small"
    root.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=4m", "xpm_nb-test", str(root)):
        notebook.begin("full", root)
        notebook.kernel.run("runs = Waits.C(n=10, gate=gate).submit()")
        notebook.wait_said("waits 10")
        ballast = fill(root)
        notebook.kernel.run("task = Good.C(n=10).submit()")
        notebook.wait_state("task", "error")
        said = notebook.seen("task")
        assert "No space left on device: make room on the disk of" in said
        assert "then retry()" in said
        ballast.unlink()
        notebook.others_finish("runs")
        notebook.kernel.run("%xpm retry --all")
        notebook.kernel.run("xp.wait(60)")
        assert notebook.kernel.value("task.state.value") == "done"
        notebook.kernel.run("xp.close()")


def test_a_directory_that_cannot_be_written(notebook):
    notebook.begin("readonly")
    notebook.kernel.run("runs = Waits.C(n=20, gate=gate).submit()")
    notebook.wait_said("waits 20")
    place = notebook.workspace / "jobs" / "tests.faults.fault_tasks.ends"
    place.mkdir()
    with mounted("--bind", str(place), str(place)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        notebook.kernel.run("task = Ends.C(how='well').submit()")
        notebook.wait_state("task", "error")
        said = notebook.seen("task")
    assert "Read-only file system" in said
    assert str(place) in said
    notebook.others_finish("runs")
    notebook.kernel.run("xp.retry(task); task.wait(60)")
    assert notebook.kernel.value("task.state.value") == "done"


def test_a_directory_that_is_deleted_while_its_job_runs(notebook):
    notebook.begin("deleted")
    notebook.kernel.run(
        "task, other = Waits.C(n=30, gate=gate).submit(), Good.C(n=30).submit()\n"
        "after = After.C(of=task).submit()"
    )
    notebook.wait_said("waits 30")
    shutil.rmtree(notebook.kernel.value("str(task.jobpath)"))
    notebook.open_gate()
    notebook.wait_state("task", "error")
    said = notebook.seen("task")
    assert "its directory is not there any more" in said
    assert "submit the task again" in said
    assert notebook.seen("after").endswith("which is in error")
    notebook.others_finish("other")
    notebook.kernel.run("again = Waits.C(n=30, gate=gate).submit(); again.wait(60)")
    assert notebook.kernel.value("again.state.value") == "done"


def test_a_workspace_that_is_moved_while_open(notebook):
    notebook.begin("moved")
    notebook.kernel.run(
        "task = Waits.C(n=40, gate=gate).submit()\n"
        "elsewhere = start('elsewhere')\n"
        "other = Good.C(n=41).submit()\n"
        "start('moved', workspace=xp.workspace)"
    )
    notebook.wait_said("waits 40")
    moved = notebook.lab.path / "moved-away"
    notebook.workspace.rename(moved)
    notebook.kernel.run("late = Good.C(n=40).submit()")
    notebook.open_gate()
    for task in ("task", "late"):
        notebook.wait_state(task, "error")
        said = notebook.seen(task)
        assert f"the workspace {notebook.workspace} is not there any more" in said
    assert not notebook.workspace.exists()
    moved.rename(notebook.workspace)
    notebook.kernel.run("xp.retry(); xp.wait(60)")
    assert notebook.kernel.value("[task.state.value, late.state.value]") == ["done", "done"]
    notebook.others_finish("other")


def test_a_callback_that_takes_its_thread_with_it(notebook):
    notebook.begin("callbacks")
    notebook.kernel.run(
        "import sys, threading\n"
        "called = []\n"
        "task, other = Waits.C(n=50, gate=gate).submit(), Good.C(n=50).submit()\n"
        "task.on_completed(lambda: sys.exit(3))\n"
        "task.on_completed(lambda: called.append(1))"
    )
    notebook.open_gate()
    notebook.kernel.run("task.wait(60)")
    notebook.lab.wait_for(lambda: notebook.kernel.value("called") == [1])
    assert notebook.kernel.value("task.job.view().callback_error") == "SystemExit: 3"
    for cell in ("xp", "task.job"):
        shown = notebook.kernel.run(cell).displays[-1]
        assert "SystemExit: 3" in shown["text/html"]
    # A thread that is ended from outside is begun anew by the next callback.
    notebook.kernel.run(
        "import ctypes\n"
        "from xpm_nb.engine import callbacks\n"
        "assert callbacks.current().flush(60, chores=True)\n"  # it waits for the next
        "dead = next(t for t in threading.enumerate() if t.name == 'xpm-callbacks')\n"
        "end = ctypes.pythonapi.PyThreadState_SetAsyncExc\n"
        "end(ctypes.c_ulong(dead.ident), ctypes.py_object(SystemExit))\n"
        "other.on_completed(lambda: called.append(2))"
    )
    notebook.lab.wait_for(lambda: notebook.kernel.value("dead.is_alive()") is False)
    notebook.kernel.run("late = Good.C(n=51).submit(); late.on_completed(lambda: called.append(3))")
    notebook.lab.wait_for(lambda: notebook.kernel.value("called[-1]") == 3)
    notebook.others_finish("other", "late")


def test_a_job_that_does_not_end_when_asked(notebook):
    notebook.begin("stubborn")
    notebook.kernel.run("task, other = Stubborn.C().submit(), Waits.C(n=60, gate=gate).submit()")
    notebook.wait_said("stubborn")
    notebook.kernel.run("%xpm cancel {task.job.identifier[:8]}")
    notebook.wait_state("task", "error")
    said = notebook.seen("task")
    assert said == "cancelled: it did not end within 0.5 s of being asked, and was killed"
    notebook.others_finish("other")


def test_a_job_that_becomes_a_daemon(notebook):
    notebook.begin("daemon")
    notebook.kernel.run("task, other = Daemonizes.C(gate=gate).submit(), Good.C(n=70).submit()")
    (line,) = notebook.lab.wait_for(
        lambda: [line for line in notebook.lab.said() if re.fullmatch(r"daemon \d+", line)]
    )
    pid = line.split()[1]
    notebook.lab.wait_for(lambda: "held by" in notebook.kernel.value("task.job.view().message"))
    said = notebook.seen("task")
    assert f"held by process {pid} " in said
    assert "which the job left behind: wait for it to end, or end it" in said
    assert notebook.kernel.value("task.state.value") == "running"
    notebook.others_finish("other")
    notebook.wait_state("task", "error")
    assert "ended without finishing" in notebook.seen("task")


def test_a_job_that_writes_its_own_marker(notebook):
    notebook.begin("early")
    notebook.kernel.run(
        "task, other = Early.C(gate=gate).submit(), Good.C(n=80).submit()\n"
        "after = After.C(of=task).submit()"
    )
    notebook.wait_said("early")
    notebook.kernel.run("other.wait(60)")
    assert notebook.kernel.value("[task.state.value, after.state.value]") == ["running", "waiting"]
    notebook.open_gate()
    notebook.wait_state("task", "error")
    assert notebook.seen("task") == "ValueError: it was not"
    assert notebook.kernel.fails("task.result()").error.startswith("JobError")
    notebook.others_finish("other")
