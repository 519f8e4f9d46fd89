"""Real kernels, with a referee: every interpreter that starts a job's script writes one line.

The referee is a `sitecustomize` on the import path of the kernel and so of its jobs: it does not
go through any code of this package.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

REFEREE = """
import os, sys
_log = os.environ.get("XPM_TEST_REFEREE")
_script = next((a for a in sys.orig_argv[1:] if a.endswith(".py") and "/jobs/" in a), None)
if _log and _script:
    _fd = os.open(_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(_fd, f"{os.path.basename(os.path.dirname(_script))} {os.getpid()}\\n".encode())
    os.close(_fd)
"""

PREAMBLE = """
%load_ext xpm_nb
from pathlib import Path
import os, time
from xpm_nb import *
"""


def checksums(folder: Path) -> dict[str, str]:
    """The content of every file of a job, but for what rehearsals leave."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "by-hand" not in path.parts
    }


def rehearse(folder: Path) -> str:
    """Run the script of a job that is done, from a terminal: nothing else may be touched."""
    (script,) = folder.glob("*.py")
    before = checksums(folder)
    done = subprocess.run(
        [sys.executable, script.name], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert checksums(folder) == before
    return done.stdout


@dataclass
class Answer:
    """What one executed cell gave."""

    status: str
    stdout: str = ""
    stderr: str = ""
    result: str = ""
    error: str = ""
    traceback: str = ""
    displays: list[dict] = field(default_factory=list)
    updates: list[dict] = field(default_factory=list)
    comms: list[dict] = field(default_factory=list)


class Kernel:
    """A kernel in a process of its own; `run` executes a cell and gathers what it says."""

    def __init__(self, cwd: Path, env: dict[str, str]) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(cwd), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=180)

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.pid)

    def send(self, code: str, **options) -> str:
        return self.client.execute(code, **options)

    def answer(self, msg_id: str, timeout_s: float = 300) -> Answer:
        answer = Answer("?")
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no end of the cell within {timeout_s} s") from None
            mine = message["parent_header"].get("msg_id") == msg_id
            self.note(answer, message, mine)
            content = message["content"]
            if mine and message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=timeout_s)
            if reply["parent_header"].get("msg_id") == msg_id:
                answer.status = reply["content"]["status"]
                return answer

    def until_displayed(self, msg_id: str, timeout_s: float = 120) -> None:
        """Read messages up to the first display of a cell."""
        while True:
            message = self.client.get_iopub_msg(timeout=timeout_s)
            mine = message["parent_header"].get("msg_id") == msg_id
            if mine and message["msg_type"] == "display_data":
                return

    @staticmethod
    def note(answer: Answer, message: dict, mine: bool) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind.startswith("comm_"):
            answer.comms.append(content)
        elif kind == "update_display_data":
            answer.updates.append(content)
        elif not mine:
            return
        elif kind == "stream":
            name = content["name"]
            setattr(answer, name, getattr(answer, name) + content["text"])
        elif kind == "execute_result":
            answer.result = content["data"]["text/plain"]
            answer.displays.append(content["data"])
        elif kind == "display_data":
            answer.displays.append(content["data"])
        elif kind == "error":
            answer.error = f"{content['ename']}: {content['evalue']}"
            answer.traceback = "\n".join(content["traceback"])

    def run(self, code: str, timeout_s: float = 300) -> Answer:
        answer = self.answer(self.send(code), timeout_s)
        assert answer.status == "ok", f"{code}\n-> {answer.error}\n{answer.stderr}"
        return answer

    def fails(self, code: str, timeout_s: float = 300) -> Answer:
        answer = self.answer(self.send(code), timeout_s)
        assert answer.status == "error", f"{code}\n-> {answer}"
        return answer

    def value(self, expression: str) -> object:
        """The value of a JSON-able expression."""
        text = self.run(f"import json; print(json.dumps({expression}))").stdout
        return json.loads(text.strip().splitlines()[-1])

    def kill(self) -> None:
        """Nobody gets to say goodbye."""
        os.kill(self.pid, signal.SIGKILL)
        self.manager.shutdown_kernel(now=True)
        self.client.stop_channels()

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


class Lab:
    """A folder for kernels and their workspace, with the referee's log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workspace = path / "xpm-workspace"
        self.log = path / "log.txt"
        self.referee_log = path / "referee.txt"
        site = path / "referee"
        site.mkdir()
        (site / "sitecustomize.py").write_text(REFEREE)
        self.env = {
            k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "COV_", "PYTEST"))
        } | {
            "XPM_DEBUG": "1",
            "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[2])]),
            "XPM_TEST_REFEREE": str(self.referee_log),
            "XPM_TEST_LOG": str(self.log),
            "IPYTHONDIR": str(path / "ipython"),
        }
        self.kernels: list[Kernel] = []

    def kernel(self, *, load: bool = True, **env: str) -> Kernel:
        kernel = Kernel(self.path, self.env | env)
        self.kernels.append(kernel)
        if load:
            kernel.run(PREAMBLE)
        return kernel

    def started(self) -> Counter[str]:
        """How many processes were started for each identifier."""
        if not self.referee_log.exists():
            return Counter()
        return Counter(line.split()[0] for line in self.referee_log.read_text().splitlines())

    def said(self) -> list[str]:
        """The lines that jobs wrote to the log."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def end_jobs(self) -> None:
        """Jobs outlive their kernels: what a test left running is ended by its id."""
        for path in self.workspace.glob("jobs/*/*/*.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(json.loads(path.read_text())["pid"], signal.SIGKILL)

    def wait_for(self, predicate, timeout_s: float = 120):
        """Wait for something outside this process: the only way is to look again."""
        deadline = time.monotonic() + timeout_s
        while not (value := predicate()):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {predicate}"
            time.sleep(0.02)
        return value


def _in(path: Path):
    lab = Lab(path)
    yield lab
    for kernel in lab.kernels:
        kernel.stop()
    lab.end_jobs()


@pytest.fixture
def lab(tmp_path):
    yield from _in(tmp_path)


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    """One for all tests of a file, which keep apart by the names of their experiments."""
    yield from _in(tmp_path_factory.mktemp("lab"))
