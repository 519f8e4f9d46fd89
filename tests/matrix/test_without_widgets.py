"""Where there are no widgets, the same objects are text, or a picture that is brought up to date.

In a terminal's IPython, in Python without IPython, and in a kernel whose installation has no
anywidget and no ipywidgets (an import of them raises, as if they were not there).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.conftest import PREAMBLE, Lab

pytestmark = pytest.mark.slow

WIDGETS = ("anywidget", "ipywidgets", "comm")
ABSENT = f"""
import sys
sys.modules.update(dict.fromkeys({WIDGETS!r}))
"""
TASK = """
from xpm_nb import *

class Double(Task):
    n: Param[int]

    def execute(self):
        log_metrics({"double": 2.0 * self.n})
        return 2 * self.n
"""
SESSION = """
xp = start("plain", workspace="workspace")
runs = [Double.C(n=tag(n)).submit() for n in range(3)]
said = []
runs[0].on_completed(lambda: (print("heard"), said.append(1)))
xp.wait()
xp
xp.table("double")
xp.plan()
runs[1]
runs[1] - runs[2]
runs[1].job
%xpm status
%xpm jobs
print("results", [run.result() for run in runs], said)
"""


def terminal(tmp_path: Path, lines: str) -> str:
    """Type lines into IPython in a terminal, and give all that it says."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "COV_"))}
    options = ["--simple-prompt", "--no-confirm-exit", "--no-banner", "--colors=NoColor"]
    done = subprocess.run(
        [sys.executable, "-m", "IPython", *options, "--HistoryManager.enabled=False"],
        input=lines,
        cwd=tmp_path,
        env=env | {"IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def outputs(said: str) -> list[str]:
    """Give the text of each `Out[n]`."""
    return [part.split("\n\nIn [")[0] for part in said.split("Out[")[1:]]


@pytest.mark.parametrize("before", ["", ABSENT], ids=["installed", "absent"])
def test_a_terminal_shows_text(tmp_path, before):
    # the class as one block: a terminal ends it at the second empty line
    (tmp_path / "double.py").write_text(TASK)
    said = terminal(tmp_path, f"{before}\n%load_ext xpm_nb\nfrom double import *\n{SESSION}")
    assert "results [0, 2, 4] [1]" in said
    assert "Traceback" not in said
    assert "Error" not in said
    for nothing in ("<div", "<table", "widget", "application/", "Panel(", "Form("):
        assert nothing not in said, said
    shown = outputs(said)
    assert any("3 jobs (3 done)" in text for text in shown)
    assert any("double" in text and "done" in text for text in shown)
    assert any("Double(n=1)" in text for text in shown)
    assert "heard" not in said.partition("results")[0]  # it stands at its job


def test_python_without_ipython_shows_text(tmp_path):
    (tmp_path / "double.py").write_text(TASK)
    shown = ("xp", "runs[1]")
    lines = [
        f"print({line})" if line.startswith(shown) and "=" not in line else line
        for line in SESSION.splitlines()
        if not line.startswith("%")
    ]
    absent = f"import sys\nsys.modules.update(dict.fromkeys(['IPython', *{WIDGETS!r}]))\n"
    (tmp_path / "script.py").write_text("\n".join([absent, "from double import *", *lines]))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("XPM_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "results [0, 2, 4] [1]" in done.stdout
    assert "<div" not in done.stdout


def test_a_kernel_without_widgets_keeps_its_picture_up_to_date(tmp_path):
    lab = Lab(tmp_path)
    try:
        kernel = lab.kernel(load=False)
        # A kernel itself has `comm`; what a user may lack are the widgets.
        kernel.run("import sys\nsys.modules.update(anywidget=None, ipywidgets=None)")
        kernel.run(PREAMBLE)
        kernel.run(TASK)
        kernel.run("xp = start('plain')\nruns = [Double.C(n=n).submit() for n in range(3)]")
        answer = kernel.run("xp.wait()")
        assert answer.stderr == ""
        kinds = [set(data) for data in answer.displays]
        assert kinds == [{"text/plain", "text/html"}]
        last = (answer.updates or [{"data": answer.displays[-1]}])[-1]["data"]
        assert "3 done" in last["text/plain"]
        assert answer.comms == []
        assert "<table" in kernel.run("runs[0]").displays[-1]["text/html"]
        asked = kernel.fails("widget(runs[0])")
        assert "anywidget" in asked.error
    finally:
        for kernel in lab.kernels:
            kernel.stop()
        lab.end_jobs()


def test_a_widget_that_cannot_live_is_a_picture(tmp_path):
    lab = Lab(tmp_path)
    try:
        kernel = lab.kernel(XPM_NB_DETERMINISTIC="1")
        kernel.run(TASK)
        for code, text in (
            ("xp = start('plain')\nwidget(xp)", "experiment plain"),
            ("widget(Double.C(n=1))", "Double(n=1)"),
        ):
            (shown,) = kernel.run(code).displays
            assert set(shown) == {"text/plain", "text/html"}
            assert shown["text/plain"].startswith(text)
    finally:
        for kernel in lab.kernels:
            kernel.stop()
        lab.end_jobs()
