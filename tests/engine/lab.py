"""Where real jobs run: a workspace, a log in which they say what they do, a gate they wait at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests import fresh
from xpm_nb.engine.opening import start

REPOSITORY = Path(__file__).parents[2]


def until(predicate, timeout_s=120):
    """Wait for something that happens in another process: the only way is to look again."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
    return value


class Lab:
    def __init__(self, path):
        self.path = path
        self.workspace = path / "ws"
        self.log = path / "log.txt"
        self.gate = str(path / "gate")

    def said(self):
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []

    def open_gate(self):
        Path(self.gate).touch()

    def new_kernel(self):
        """Forget everything, as a new process would; jobs go on."""
        fresh.new_kernel()

    def kernel(self, code: str, **options) -> subprocess.Popen[bytes]:
        """Another process that submits."""
        head = (
            "import sys, os, signal\n"
            "from tests.engine.some_tasks import *\n"
            "from xpm_nb import start, experiment\n"
            f"gate = {self.gate!r}\n"
            f"def begin(**o): return start('x', workspace={str(self.workspace)!r}, **o)\n"
        )
        env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", head + code]
        return subprocess.Popen(command, env=env, cwd=self.path, **options)

    def end_jobs(self):
        for path in self.workspace.glob("jobs/*/*/*.pid"):
            try:
                os.killpg(json.loads(path.read_text())["pid"], signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError):
                continue


def in_use(lab, monkeypatch):
    """For fixtures: what a lab's jobs are told, and their end."""
    monkeypatch.setenv("XPM_TEST_LOG", str(lab.log))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    yield lab
    lab.new_kernel()  # first: nobody is to run again what is ended now
    lab.end_jobs()


def begin(lab, **options):
    return start("x", workspace=lab.workspace, **options)
