"""What others give back after an edit: the table in the README is made of this.

For each edit, a function (or task) is computed, edited, and asked for again in a new process, with
experimaestro 2.7, with joblib.Memory and with this package.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MODULE = """
{imports}

def deep(x):
    return x + 1

def helper(x):
    "A docstring."
    return deep(x) * 10

{task}
"""
EXPERIMAESTRO = """
class Answer(Task):
    n: Param[int]
    {field}def execute(self):
        Path("answer.txt").write_text(str(helper(self.n) + {plus} + EXTRA.VALUE))
"""
JOBLIB = """
memory = Memory("cache", verbose=0)

@memory.cache
def answer(n):
    return helper(n) + {plus} + EXTRA.VALUE
"""
EDITS = {
    "the body": ("edited.py", " + 0 +", " + 5 +"),
    "a helper": ("edited.py", "* 10", "* 20"),
    "a helper of the helper": ("edited.py", "x + 1", "x + 2"),
    "a module of one's own": ("extra.py", "VALUE = 0", "VALUE = 7"),
    "a comment": ("edited.py", "    return deep", "    # a comment\n    return deep"),
}
REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-test" / "experimaestro" / "bin" / "python"
README = REPOSITORY / "README.md"


class Tool:
    """A tool with its source, in a folder of its own."""

    def __init__(self, folder: Path, python: str, imports: str, task: str, ask: str) -> None:
        self.folder, self.python, self.ask = folder, python, ask
        folder.mkdir()
        task = task.format(plus=0, field="")
        text = MODULE.format(imports=f"import extra as EXTRA\n{imports}", task=task)
        (folder / "edited.py").write_text(text)
        (folder / "extra.py").write_text("VALUE = 0\n")

    def value(self) -> str:
        roots = os.pathsep.join([str(self.folder), str(REPOSITORY)])
        env = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "PYTHON"))}
        env |= {"PYTHONPATH": roots, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(self.folder)}
        done = subprocess.run(
            [self.python, "-c", self.ask],
            cwd=self.folder, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout.strip().splitlines()[-1]))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


ASK_THEIRS = """
import json, logging
from pathlib import Path
from experimaestro import experiment
from edited import Answer
with experiment(Path("ws"), "edits", port=None) as xp:
    task = Answer.C(n=1)
    task.submit()
    xp.wait()
print(json.dumps((Path(task.__xpm__.job.path) / "answer.txt").read_text()))
"""
ASK_OURS = """
import json
from pathlib import Path
from xpm_nb import experiment
from edited import Answer
with experiment(Path("ws"), "edits") as xp:
    task = Answer.C(n=1).submit()
    xp.wait()
stale = task.job.view().stale
value = (Path(task.jobpath) / "answer.txt").read_text()
print(json.dumps(value + (f" ({stale})" if stale else "")))
"""
ASK_JOBLIB = "import json, edited\nprint(json.dumps(edited.answer(1)))"
TASK_IMPORT = "from pathlib import Path\nfrom {} import Param, Task"


@pytest.fixture
def theirs():
    """The Python of an environment with the other two tools."""
    given = os.environ.get("XPM_TEST_EXPERIMAESTRO")
    python = Path(given or PYTHON)
    asked = [str(python), "-c", "import experimaestro, joblib"]
    there = (
        python.exists() and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )
    if not there:
        if given:
            pytest.fail(f"{python} has not both experimaestro and joblib")
        pytest.skip("the other tools are not here: `python3 tests/run.py interchange` gets them")
    return str(python)


def outcome(tool: Tool, edit: tuple[str, str, str]) -> str:
    before = tool.value()
    tool.edit(*edit)
    after = tool.value()
    if "(" in after:
        assert after.split(" (")[0] == before
        return "the old result, marked as stale"
    return "the old result" if after == before else "computed anew"


def test_what_becomes_of_an_edit(tmp_path, theirs):
    rows = []
    for number, (name, edit) in enumerate(EDITS.items()):
        tools = {
            "experimaestro 2.7": Tool(
                tmp_path / f"x{number}", theirs, TASK_IMPORT.format("experimaestro"),
                EXPERIMAESTRO, ASK_THEIRS,
            ),
            "joblib.Memory": Tool(
                tmp_path / f"j{number}", theirs, "from joblib import Memory",
                JOBLIB, ASK_JOBLIB,
            ),
            "xpm_nb": Tool(
                tmp_path / f"o{number}", sys.executable, TASK_IMPORT.format("xpm_nb"),
                EXPERIMAESTRO, ASK_OURS,
            ),
        }  # fmt: skip
        rows.append([name, *(outcome(tool, edit) for tool in tools.values())])
    table = "| edit | experimaestro 2.7 | joblib.Memory | xpm_nb |\n|---|---|---|---|\n"
    table += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    print(f"\n{table}")
    assert table in README.read_text(encoding="utf-8"), f"README lacks this table:\n{table}"
