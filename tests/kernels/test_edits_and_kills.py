"""Fifty edits and submits, the kernel killed in between: no job runs what its record does not say.

Each edit writes a number that never comes again into a cell, a helper's cell or a module. Jobs give
back the three numbers that they ran with. Who compares them with the records is this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS, KILLS, SEED = 50, 4, 20

HELPER = "def helper():\n    return {number}\n"
TASK = """
import numbers_of_edits

class Edited(Task):
    n: Param[int]
    def execute(self):
        ran = [self.__tags__["step"], {number}, helper(), numbers_of_edits.NUMBER]
        with open(os.environ["RAN"], "a") as file:
            file.write(json.dumps([str(self.__taskdir__), *ran]) + "\\n")
        return ran
"""
OPEN = "import json, os\nxp = start('edits', stale='rerun', slots=2)\nxp.setenv('RAN', {ran!r})"
SUBMIT = "task = Edited.C(n={n}).tag('step', {step}).submit()"


class Notebook:
    """What a person does: edits, runs cells, submits, and starts the kernel again."""

    def __init__(self, lab) -> None:
        self.lab = lab
        self.ran = lab.path / "ran.jsonl"
        self.numbers = {"cell": 0, "helper": 0, "module": 0}
        self.count = 0
        self.edit("module")
        self.start()

    def start(self) -> None:
        self.kernel = self.lab.kernel()
        self.kernel.run(OPEN.format(ran=str(self.ran)))
        self.run_cells()

    def run_cells(self) -> None:
        self.kernel.run(HELPER.format(number=self.numbers["helper"]))
        self.kernel.run(TASK.format(number=self.numbers["cell"]))

    def edit(self, what: str) -> None:
        self.count += 1
        self.numbers[what] = 1000 + self.count  # always as many characters
        if what == "module":
            path = self.lab.path / "numbers_of_edits.py"
            aside = path.with_suffix(".new")
            aside.write_text(f"NUMBER = {self.numbers['module']}\n")
            os.replace(aside, path)
        else:
            self.run_cells()


def number_in(parts, kind, name, pattern) -> int:
    (source,) = [p["source"] for p in parts if p["kind"] == kind and p["name"] == name]
    return int(re.search(pattern, source)[1])


def said_by(folder: Path) -> list[int]:
    """The numbers in the code that the record of an attempt says that it ran."""
    parts = json.loads((folder / "code.json").read_text())["parts"]
    return [
        number_in(parts, "cell", "Edited", r'"step"\], (\d+)'),
        number_in(parts, "cell", "helper", r"return (\d+)"),
        number_in(parts, "module", "numbers_of_edits", r"= (\d+)"),
    ]


def attempts(job: Path) -> dict[str, Path]:
    """Where what is kept of each attempt of a job that ended well stands, by its step."""
    found = {}
    places = [job / ".experimaestro", *sorted((job / ".experimaestro" / "attempts").glob("*"))]
    for place in places:
        result = place / "result.json"
        if result.exists():
            step, *_ = json.loads(result.read_text())["value"]
            found[step] = place
    return found


def test_no_job_runs_other_code_than_its_record_says(lab):
    chance = random.Random(SEED)
    notebook = Notebook(lab)
    kills = set(chance.sample(range(5, STEPS - 1), KILLS))
    for step in range(STEPS):
        for _ in range(chance.randint(0, 2)):
            notebook.edit(chance.choice(["cell", "helper", "module"]))
        text = SUBMIT.format(n=chance.randint(0, 3), step=step)
        if step in kills:
            notebook.kernel.send(text)  # it dies somewhere in the middle of this
            with contextlib.suppress(ProcessLookupError):
                os.kill(notebook.kernel.pid, signal.SIGKILL)
            notebook.kernel.kill()
            lab.kernels.remove(notebook.kernel)
            notebook.start()
        else:
            notebook.kernel.run(text)
        if chance.random() < 0.3:
            notebook.edit("module")  # between the submit and the start
        if chance.random() < 0.3:
            notebook.kernel.run("xp.wait(timeout_s=60)")
    # At the end, what is not stale is what the cells and the module say now.
    for n in range(4):
        for what in notebook.numbers:
            notebook.edit(what)
        notebook.kernel.run("xp.wait()")
        notebook.kernel.run(SUBMIT.format(n=n, step=100 + n))
        notebook.kernel.run("xp.wait()")
        _, *ran = notebook.kernel.value("task.result()")
        assert ran == list(notebook.numbers.values())
        assert notebook.kernel.value("task.job.view().stale") == ""
    compared = 0
    for job in lab.workspace.glob("jobs/*/*"):
        for place in attempts(job).values():
            _, *ran = json.loads((place / "result.json").read_text())["value"]
            outcome = json.loads((place / "outcome.json").read_text())
            if outcome.get("changed"):  # it says itself that nobody knows
                continue
            assert ran == said_by(place), place
            compared += 1
    assert compared >= 4, "nothing was edited under the last four"
