"""A place with something precious beside a workspace, and processes whose writes are watched."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
GUARD = Path(__file__).parent / "guard"


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=0, metavar="N", help="how many inputs to try")


def image(folder: Path) -> dict[str, str]:
    """All that is below a folder: what links point to, what files hold."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = oct(path.stat().st_mode)
    return found


@dataclass
class Place:
    """A folder with a workspace, and beside it what must not be touched."""

    path: Path

    def __post_init__(self) -> None:
        self.workspace = self.path / "ws"
        self.precious = self.path / "precious"
        (self.precious / "deep").mkdir(parents=True)
        (self.precious / "file").write_text("precious")
        (self.precious / "deep" / "file").write_text("precious")
        self.log = self.path / "guard.txt"
        self.cwd = self.path / "cwd"
        self.cwd.mkdir()
        self.before = image(self.precious)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "COV_", "PYTEST"))}
        return kept | {
            "PYTHONPATH": os.pathsep.join([str(GUARD), str(HOME)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XPM_DEBUG": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.workspace / "hypothesis"),
            "XPM_TEST_INSIDE": str(self.workspace),
            "XPM_TEST_GUARD": str(self.log),
            **more,
        }

    def run(self, code: str, *args: object, umask: int = -1, **env: str) -> str:
        """Run Python code in a process whose writes are watched; give what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, args)],
            cwd=self.cwd,
            env=self.environment(**env),
            capture_output=True,
            text=True,
            timeout=600,
            umask=umask,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def unharmed(self) -> None:
        """Nothing was written elsewhere, nothing unpickled, and what is precious is as it was."""
        assert not self.log.exists(), self.log.read_text()
        assert image(self.precious) == self.before
        assert sorted(p.name for p in self.path.iterdir() if p.name != "ws") == ["cwd", "precious"]
        assert not list(self.cwd.iterdir())


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)
