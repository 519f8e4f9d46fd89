"""What a notebook that ran without a browser has saved is how the jobs really ended.

The referee is the workspace: the markers in the jobs' directories, which no widget has written.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.kernels.conftest import PREAMBLE, Lab

pytestmark = pytest.mark.slow

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"

TASKS = """
class Step(Task):
    n: Param[int]
    mended: Meta[Path]

    def execute(self):
        import sys, time
        for i in range(5):
            progress((i + 1) / 5)
            log_metrics({"i": i}, step=i)
        if self.n % 4 == 3 and not self.mended.exists():
            raise ValueError(f"number {self.n} fails")
        if self.n == 100:
            print("asleep", flush=True)
            time.sleep(600)
        return self.n


class After(Task):
    step: Param[Step]

    def execute(self):
        log_metrics({"i": 4})


mended = Path("mended").absolute()
"""

SUBMIT = """
xp = start("final", slots=2)
steps = [Step.C(n=n, mended=mended).submit() for n in range(10)]
after = [After.C(step=steps[n]).submit() for n in (2, 3)]
asleep = Step.C(n=100, mended=mended).submit()


def cancel(view):
    if view.state.value == "running":
        asleep.job.cancel()


asleep.job.on_state(cancel)
"""

AGAIN = """
mended.touch()
for job in xp.jobs:
    if job.view().reason is not None and job.view().reason.value == "failed":
        job.retry()
xp.wait()
"""


def execute(lab: Lab, *cells: str) -> Any:
    """Run a notebook as `nbconvert --execute` does, and give it with what was saved."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(text.strip()) for text in cells]
    resources = {"metadata": {"path": str(lab.path)}}
    client = NotebookClient(book, timeout=120, kernel_name="python3", resources=resources)
    client.execute(env=lab.env)
    return book


def saved_rows(book: Any) -> dict[str, list[Any]]:
    """Give the changing part of each row of the panel's saved snapshot, by the job's id."""
    models = book.metadata["widgets"][STATE]["state"].values()
    saved = [m["state"]["snapshot"]["packed"] for m in models if "snapshot" in m["state"]]
    assert len(saved) == 1  # of however many displays
    snapshot = json.loads(zlib.decompress(base64.b64decode(saved[0]), -zlib.MAX_WBITS))
    return {s[0]: d for s, d in snapshot["rows"]}


def true_ends(workspace: Path) -> dict[str, str]:
    """Give how each job ended by its directory: "d" or "e" by its marker; none: it has not run."""
    ends = {}
    for folder in workspace.glob("jobs/*/*/"):
        marks = [folder.glob(f"*.{kind}") for kind in ("done", "failed")]
        ends[folder.name[:12]] = "".join("de"[n] for n, found in enumerate(marks) for _ in found)
    return ends


def check(book: Any, lab: Lab, done: int) -> None:
    """Compare what is saved with the directories; all jobs are over, and so many are done."""
    rows = saved_rows(book)
    ends = true_ends(lab.workspace)
    assert len(rows) == 13
    for job, row in rows.items():
        if row[1:2] == ["dependency"]:
            assert row[0] == "e"
            assert ends.get(job, "") == ""
        else:
            assert row[0] == ends[job]
    assert sum(row[0] == "d" for row in rows.values()) == done
    assert {tuple(row[8]) for row in rows.values() if row[0] == "d"} == {(4,)}  # the last metric


def shown(cell: Any, kind: str) -> list[str]:
    """Give what a cell displays in one form."""
    return [o["data"][kind] for o in cell.outputs if kind in o.get("data", {})]


def test_the_saved_panel_tells_how_the_jobs_ended(lab, version):
    book = execute(lab, PREAMBLE, TASKS, SUBMIT, "xp.wait()", "xp")
    check(book, lab, done=9)
    reasons = [row[1] for row in saved_rows(book).values() if row[0] == "e"]
    assert sorted(reasons) == ["cancelled", "dependency", "failed", "failed"]
    wait = book.cells[3]
    assert len(shown(wait, VIEW)) == 1
    assert "9 done" in shown(wait, "text/plain")[-1]
    assert "4 error" in shown(wait, "text/plain")[-1]


def test_what_was_run_again_is_saved_as_it_ended_then(lab, version):
    book = execute(lab, PREAMBLE, TASKS, SUBMIT, "xp.wait()", AGAIN)
    check(book, lab, done=12)
    assert all("12 done" in shown(book.cells[n], "text/plain")[-1] for n in (3, 4))


def test_an_awaited_experiment_is_saved_as_it_ended(lab, version):
    book = execute(lab, PREAMBLE, TASKS, SUBMIT, "await xp")
    check(book, lab, done=9)
