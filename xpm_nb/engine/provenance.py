"""What is kept of where a run came from: Python, packages, machine, commit, cells.

An allow-list: no environment variables, no command lines, no addresses of remotes. Cells are kept
as they were typed, but for values of names that look like secrets.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

from xpm_nb.core.masks import mask
from xpm_nb.engine import callbacks
from xpm_nb.errors import WorkspaceError, XpmError
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import ExperimentPaths, RunPaths
from xpm_nb.store.records import RunJob

GIT_S = 2.0  # a repository on a slow disk must not hold up the callbacks


class Run:
    """The records of one run of an experiment; its directory is made when something is kept.

    What takes time (listing packages, asking git, writing a notebook) is done in the callbacks'
    thread, when no callback waits.

    Parameters
    ----------
    experiment : ExperimentPaths
        Where the runs of the experiment are.
    keep : bool
        Whether to keep more than the list of jobs.
    cells : callable
        Gives the executed cells, (number, text) each, or None outside a notebook.
    notebook : callable
        Names the notebook, "" if nobody knows.
    """

    def __init__(
        self,
        experiment: ExperimentPaths,
        *,
        keep: bool,
        cells: Callable[[], list[tuple[int, str]] | None],
        notebook: Callable[[], str],
    ) -> None:
        self.paths: RunPaths | None = None
        self._experiment = experiment
        self._keep = keep
        self._cells = cells
        self._notebook = notebook
        self._due = False
        self._guard = threading.Lock()

    def open(self) -> RunPaths:
        """Give the run's directory, made if need be (any thread may ask)."""
        with self._guard:
            if self.paths is None:
                self.paths = self._create()
                if self._keep:
                    callbacks.current().put_chore(self._write_environment)
            return self.paths

    def add(self, row: RunJob) -> None:
        """Add a job to the run's list (called in the scheduler's thread)."""
        records.add_run_job(self.open(), row)
        self.keep_cells()

    def keep_cells(self) -> None:
        """Have the executed cells written soon, once for many calls."""
        if self._keep and self.paths is not None and not self._due:
            self._due = True
            callbacks.current().put_chore(self._write_cells)

    def keep_now(self) -> None:
        """Write the executed cells at once, for whom nobody will do it later."""
        if self._keep and self.paths is not None:
            with contextlib.suppress(OSError, XpmError):  # a full disk, a workspace that is gone
                self._write_cells()

    def _create(self) -> RunPaths:
        stem = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        for number in range(1000):
            with contextlib.suppress(FileExistsError):
                return self._experiment.create_run(f"{stem}-{number:03d}-{os.getpid()}")
        raise WorkspaceError(f"cannot make a new run in {self._experiment.runs_dir}")

    def _write_environment(self) -> None:
        assert self.paths is not None
        files.write_json(self.paths.environment, environment(self._notebook()))

    def _write_cells(self) -> None:
        self._due = False
        cells = self._cells()
        if cells is not None and self.paths is not None:
            masked = [(number, mask(text)) for number, text in cells]
            records.write_notebook(self.paths.notebook, masked)


def environment(notebook: str = "") -> dict[str, Any]:
    """Describe this process: Python, packages, machine, user, commit."""
    return {
        "format": 1,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "host": platform.node(),
        "user": _user(),
        "directory": os.getcwd(),
        "notebook": notebook,
        "git": commit(os.getcwd()),
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """List the installed packages with their versions.

    By two lines of each package's metadata: parsing all of it takes seconds for hundreds of them,
    during which no callback could be called.
    """
    out: dict[str, str] = {}
    for found in metadata.distributions():
        text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
        head = text.partition("\n\n")[0]
        name, version = (_line(head, key) for key in ("Name", "Version"))
        if name:
            out.setdefault(name, version)  # the first on the path is the one that is imported
    return dict(sorted(out.items(), key=lambda item: item[0].lower()))


def _line(head: str, key: str) -> str:
    found = re.search(rf"(?im)^{key}:[ \t]*(.*?)[ \t\r]*$", head)
    return found[1] if found else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())


def commit(directory: str) -> dict[str, Any] | None:
    """Say at which commit and branch a directory is, and whether files differ; None for none."""
    head = _git(directory, "rev-parse", "HEAD")
    if head is None:
        return None
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    branch = _git(directory, "rev-parse", "--abbrev-ref", "HEAD")
    return {"commit": head, "branch": branch or "", "dirty": bool(changes)}


def _git(directory: str, *words: str) -> str | None:
    try:
        with locks.no_forks():  # a fork of a cell would keep its streams open
            git = subprocess.Popen(
                ["git", "-C", directory, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            )
    except OSError:
        return None
    with git:
        try:
            said, _ = git.communicate(timeout=GIT_S)
        except subprocess.TimeoutExpired:
            git.kill()
            return None
    return said.strip() if git.returncode == 0 else None
