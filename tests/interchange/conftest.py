"""experimaestro 2.7 as a program of its own, in an environment of its own.

``python3 tests/run.py interchange`` makes the environment and says where its Python is; then it
must be there. Without it, these tests are skipped where it is not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-test" / "experimaestro" / "bin" / "python"
THEIRS, OURS = "experimaestro", "xpm_nb"
SOURCE = Path(__file__).with_name("five_tasks.py")


class Table:
    """The two tools, one workspace, and a referee: a file in which jobs say what they do."""

    def __init__(self, path: Path, theirs: str) -> None:
        self.path, self.workspace = path, path / "a workspace"
        self.pythons = {THEIRS: theirs, OURS: sys.executable}
        self.referee, self.gate = path / "referee.txt", path / "gate"
        self.processes: list[subprocess.Popen[str]] = []
        text = SOURCE.read_text()
        for tool in self.pythons:
            (path / tool).mkdir()
            changed = text.replace("\nfrom xpm_nb import", f"\nfrom {tool} import")
            (path / tool / "five_tasks.py").write_text(changed)

    def start(self, tool: str, code: str, **env: str) -> subprocess.Popen[str]:
        """Have a tool execute some code, which is given the workspace."""
        # A settings file of whoever runs the tests is none of our business.
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "PYTHON"))}
        mine |= {"HOME": str(self.path), "REFEREE": str(self.referee), "GATE": str(self.gate)}
        roots = [str(self.path / tool), *([str(REPOSITORY)] if tool == OURS else [])]
        mine |= {"PYTHONPATH": os.pathsep.join(roots), "PYTHONDONTWRITEBYTECODE": "1", **env}
        head = (
            "import json, sys\nfrom pathlib import Path\nimport five_tasks as five\n"
            f"ws = Path({str(self.workspace)!r})\n"
        )
        process = subprocess.Popen(
            [self.pythons[tool], "-c", head + code],
            cwd=self.path, env=mine, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(self, tool: str, code: str, **env: str) -> Any:
        """Have a tool execute some code; give what it says last, which is JSON."""
        process = self.start(tool, code, **env)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1]) if out.strip() else None

    def run_all(self, tool: str, **env: str) -> dict[str, str]:
        """Have a tool run the five tasks; give their identifiers."""
        return self.run(tool, "print(json.dumps(five.run_all(ws)))", **env)  # type: ignore[no-any-return]

    def said(self) -> list[str]:
        """What the referee was told."""
        return self.referee.read_text().split("\n")[:-1] if self.referee.exists() else []

    def jobs(self) -> dict[str, Path]:
        """The directory of each job, by the name of its task."""
        return {p.parent.name.rpartition(".")[2]: p for p in self.workspace.glob("jobs/*/*")}

    def end(self) -> None:
        """End what is left."""
        self.gate.touch()  # jobs have sessions of their own
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def table(tmp_path):
    given = os.environ.get("XPM_TEST_EXPERIMAESTRO")
    python = Path(given or PYTHON)
    if not python.exists():
        if given:
            pytest.fail(f"there is no {python}")
        pytest.skip(f"there is no {python}: `python3 tests/run.py interchange` makes it")
    table = Table(tmp_path, str(python))
    yield table
    table.end()
