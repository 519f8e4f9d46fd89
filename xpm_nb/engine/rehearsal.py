"""A job's task executed once more in this process, for somebody who wants to look at it.

As by hand (`runtime.runner`): with the same values, in a folder of its own, and nothing of the job
is touched. Working directory, environment and the core's doors are put back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import doors
from xpm_nb.engine import postmortem
from xpm_nb.errors import ConfigError
from xpm_nb.runtime import runner
from xpm_nb.store.layout import JobPaths, make_next

opens_pdb = False  # whether a failure opens pdb: the notebook side says so, where IPython is

_DOORS = ("cache_path", "reporter", "remaining_time")


class _Here(runner.RunningJob):
    """The task of a job in this process, whose classes are the live ones."""

    def __init__(self, paths: JobPaths, classes: Mapping[tuple[str, str], type]) -> None:
        super().__init__(paths, vars(sys.modules["__main__"]))
        self._classes = classes

    def resolve(self, module: str, qualname: str, typename: str) -> type:
        found = self._classes.get((module, qualname))
        return found if found is not None else super().resolve(module, qualname, typename)


def execute(paths: JobPaths, task: Any = None) -> Any:
    """Execute a job's task here, and give what its ``execute`` returns.

    Parameters
    ----------
    paths : JobPaths
        The job, which may be in any state.
    task : task, optional
        Whose classes are used; others are imported, or looked for in ``__main__``.

    Raises
    ------
    ConfigError
        Nothing says what its values are.
    BaseException
        Whatever the task raises, after pdb was there if `opens_pdb`.
    """
    if not paths.params.is_file():
        raise ConfigError(f"{paths.path} does not say what is to be run: submit the task first")
    classes = () if task is None else configs.classes_of(task)
    job = _Here(paths, {(cls.__module__, cls.__qualname__): cls for cls in classes})
    folder = make_next(paths.workspace, paths.by_hand)
    with _put_back(folder):
        job.record()  # which sets its variables
        try:
            return job.execute(folder)
        except Exception as error:  # a border: the user's code
            trace = _users(error.__traceback__)
            if opens_pdb and trace is not None:
                postmortem.inspect_trace(error, trace)
            raise


@contextmanager
def _put_back(folder: Path) -> Iterator[None]:
    """Be in a folder for a while, and leave this process as it was."""
    cwd, environ = os.getcwd(), dict(os.environ)
    behind: dict[str, Any] = {name: getattr(doors, name) for name in _DOORS}
    try:
        os.chdir(folder)
        yield
    finally:
        os.chdir(cwd)
        doors.fill(**behind)
        for name in os.environ.keys() - environ.keys():
            del os.environ[name]
        for name, value in environ.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def _users(trace: TracebackType | None) -> TracebackType | None:
    """Leave out our own frames, unless there are no others."""
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename in (__file__, runner.__file__):
        inner = inner.tb_next
    return inner or trace
