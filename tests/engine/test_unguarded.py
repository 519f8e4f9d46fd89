"""A module that submits when it is imported has no job that does so, and no job has a workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xpm_nb.engine.opening import start
from xpm_nb.errors import WorkspaceError
from xpm_nb.store.layout import job_around

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

REPOSITORY = Path(__file__).parents[2]

# As notebooks are that were turned into scripts.
SUBMITS = """
from xpm_nb import Param, Task, start
def f(x): return x + 1
class A(Task):
    x: Param[int]
    def execute(self):
        {body}
        return f(self.x)
xp = start("nested", workspace={workspace!r}, slots=1)
a = A.C(x=1).submit()
xp.wait(timeout_s=60)
"""

USES = """
import nb
b = nb.A.C(x=2).submit()
nb.xp.wait(timeout_s=60)
for task in (nb.a, b):
    print(task.state.value, "|", task.job.view().message)
try:
    print(nb.a.result())
except Exception as error:
    print(error)
"""


def python(path, code):
    env = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{REPOSITORY}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(path):
    return sorted(p.parent.parent.name for p in path.glob("**/jobs/*/*/.experimaestro"))


@pytest.mark.parametrize("workspace", [None, "here"])
def test_a_module_that_submits_when_it_is_imported(tmp_path, workspace):
    place = workspace and str(tmp_path / workspace)
    (tmp_path / "nb.py").write_text(SUBMITS.format(workspace=place, body="pass"))
    said = python(tmp_path, USES)
    first, second, *rest = said.splitlines()
    words = (
        "nb.py submits when it is imported: put that under "
        f'`if __name__ == "__main__":` (each of its jobs imports {tmp_path / "nb.py"})'
    )
    assert (
        first
        == second
        == f"error | its process ended with exit code 1: xpm_nb.errors.ConfigError: {words}"
    )
    assert words in "\n".join(rest)
    assert jobs(tmp_path) == ["nb.a", "nb.a"], "and these have none"


def test_what_a_task_does_on_purpose_is_its_own_matter(tmp_path):
    body = """
        if self.x == 1:
            with experiment({place!r}, "inner") as xp:
                inner = A.C(x=2).submit()
            return inner.result()
"""
    other = str(tmp_path / "elsewhere")
    code = SUBMITS.format(workspace=str(tmp_path / "ws"), body=body.format(place=other).strip())
    code = code.replace("import Param", "import experiment, Param")
    assert python(tmp_path, f"{code}\nprint(a.result())") == "3\n"
    assert len(jobs(tmp_path / "elsewhere")) == 1


def test_a_workspace_inside_a_job_is_refused(tmp_path):
    xp = start("outer", workspace=tmp_path / "ws")
    job = xp.workspace.job("t.a", "ab" * 32).create()
    link = tmp_path / "link"
    link.symlink_to(job.path)
    for place in (job.path, job.path / "xpm-workspace", link / "deep" / "ws"):
        assert job_around(place) == job
        with pytest.raises(WorkspaceError, match=f"would lie inside the job {job.key}: a job that"):
            start("inner", workspace=place)
    assert not (job.path / "xpm-workspace").exists()
    assert job_around(tmp_path / "jobs" / "t.a" / ("cd" * 32)) is None, "no such directory"
    assert job_around(xp.workspace.root) is None
