"""Jobs that would submit: a module that does so when it is imported, a workspace inside a job.

A job imports the module of its task. If that opens an experiment at its top level, as a notebook
that was turned into a script does, each job would have jobs of its own, without end. What the
``execute`` of a task does on purpose is its own matter, as long as it has a workspace elsewhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType

from xpm_nb.errors import ConfigError, WorkspaceError
from xpm_nb.store.layout import job_around


def check_import() -> None:
    """Refuse to open or to submit while a job imports the module that asks for it.

    Raises
    ------
    ConfigError
        Naming the module, and what to do.
    """
    module = _imported_by_a_job(sys._getframe(1))
    if module:
        raise ConfigError(
            f"{os.path.basename(module)} submits when it is imported: put that under "
            f'`if __name__ == "__main__":` (each of its jobs imports {module})'
        )


def check_place(root: Path) -> None:
    """Refuse a workspace that lies in the directory of a job.

    Raises
    ------
    WorkspaceError
        Naming the job, and what to do.
    """
    job = job_around(root)
    if job is not None:
        raise WorkspaceError(
            f"the workspace {root} would lie inside the job {job.key}: a job that opens an "
            "experiment of its own has to name a place elsewhere (workspace=, or $XPM_WORKSPACE)"
        )


def _imported_by_a_job(frame: FrameType | None) -> str:
    """Give the file of the module that is being imported, if the script of a job has asked for it.

    Also in the processes that a task has started: they execute the script once more.
    """
    module = ""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            file = frame.f_code.co_filename
            spec = frame.f_globals.get("__spec__")
            if not module:
                module = file if getattr(spec, "_initializing", False) else ""
            elif (job := job_around(Path(file))) is not None and str(job.script) == file:
                return module
        frame = frame.f_back
    return ""
