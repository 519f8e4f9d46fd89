"""What the processes of a workspace tell each other: hints, and who finishes an experiment.

Rule: none of it is the truth about a job. A hint may get lost, or come late; it costs time then.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from xpm_nb.errors import RecordError
from xpm_nb.store import files, fs, locks
from xpm_nb.store.files import FORMAT
from xpm_nb.store.layout import DetachedPaths, Workspace, check_place, inside, make_directory
from xpm_nb.store.locks import JobLock
from xpm_nb.store.records import ProcessRecord, as_process, state_of

HINTS_BYTES = 1 << 20  # where the file of hints begins anew
FIRST_BYTES = 4096  # of its first line, by which it is told from another, at most
ROW_CALLBACKS = 500  # in a line of their file, at most


class Hint(NamedTuple):
    """What a process tells those that have the same workspace open.

    Attributes
    ----------
    process : ProcessRecord
        Who says so.
    job : str
        Look at this job: ``<type name>/<identifier>``.
    experiment : str
        Look at the lists of this experiment.
    detach : bool
        Its jobs are for the detached process to start.
    """

    process: ProcessRecord
    job: str = ""
    experiment: str = ""
    detach: bool = False


def add_hint(workspace: Workspace, hint: Hint) -> None:
    """Tell others something.

    Raises
    ------
    WorkspaceError, OSError
        It cannot be written.
    """
    path = workspace.events
    inside(workspace.root, path)
    check_place(workspace.root)
    if hints_end(workspace) > HINTS_BYTES:
        os.close(fs.open_fd(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW))
    row = hint._asdict() | {"process": hint.process._asdict()}
    said = {key: value for key, value in row.items() if value}
    # With the time no file begins like another.
    files.append_line(path, {"format": FORMAT, "time": time.time(), **said})


def hints_end(workspace: Workspace) -> int:
    """Say up to where hints were written: what is told from now on comes after that."""
    return state_of(workspace.events)[1]


def first_hint(workspace: Workspace) -> bytes:
    """Give the first line of the file of hints, b"" if there is none: another file has another."""
    with contextlib.suppress(RecordError, OSError), files.open_file(workspace.events) as file:
        line = file.readline(FIRST_BYTES)
        return line if line.endswith(b"\n") or len(line) == FIRST_BYTES else b""
    return b""


def read_hints(workspace: Workspace, offset: int) -> tuple[list[Hint], int]:
    """Read what was told since; what cannot be understood is left out; raises `RecordError`."""
    rows, offset = files.read_lines(workspace.events, offset)
    hints = []
    for row in rows:
        with contextlib.suppress(RecordError):
            process = as_process(workspace.events, row.get("process"))
            job, experiment = row.get("job", ""), row.get("experiment", "")
            if isinstance(job, str) and isinstance(experiment, str):
                hints.append(Hint(process, job, experiment, row.get("detach") is True))
    return hints, offset


# -- the process that finishes an experiment -----------------------------------------------------


def try_lock(paths: DetachedPaths) -> JobLock | None:
    """Become the one that finishes an experiment; None if another process does. Never waits.

    Raises
    ------
    WorkspaceError, OSError
        The lock's file cannot be made.
    """
    make_directory(paths.workspace, paths.path)
    directory = fs.open_fd(paths.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return locks.try_lock_in(directory, paths.lock.name)
    finally:
        os.close(directory)


def write_process(paths: DetachedPaths, process: ProcessRecord) -> None:
    """Say which process finishes an experiment."""
    files.write_json(paths.process, process._asdict())


def finisher(paths: DetachedPaths) -> ProcessRecord | None:
    """Say which living process finishes an experiment; None if there is none."""
    try:
        data = files.read_object(paths.process)
        process = None if data is None else as_process(paths.process, data)
    except RecordError:
        return None
    if process is None or not locks.alive(process) or not locks.file_held(paths.lock):
        return None
    return process


class Promised(NamedTuple):
    """Callbacks that only one process can call, and has not called yet.

    Attributes
    ----------
    kernel : ProcessRecord
        That process.
    callbacks : tuple[tuple[str, str], ...]
        Of which job (its key), and which.
    """

    kernel: ProcessRecord
    callbacks: tuple[tuple[str, str], ...] = ()


def add_promised(paths: DetachedPaths, promised: Promised) -> None:
    """Note callbacks that a kernel could not hand over."""
    _add_callbacks(paths, promised, "promised")


def add_called(paths: DetachedPaths, promised: Promised) -> None:
    """Note that a kernel has called them."""
    _add_callbacks(paths, promised, "called")


def _add_callbacks(paths: DetachedPaths, promised: Promised, what: str) -> None:
    kernel, rows = promised.kernel._asdict(), promised.callbacks
    for first in range(0, len(rows), ROW_CALLBACKS):
        some = rows[first : first + ROW_CALLBACKS]
        files.append_line(paths.callbacks, {"format": FORMAT, "kernel": kernel, what: some})


def read_promised(paths: DetachedPaths) -> list[Promised]:
    """Read what each kernel has not called yet; what cannot be understood is left out."""
    try:
        rows = files.read_lines(paths.callbacks)[0]
    except RecordError:
        return []
    found: dict[tuple[int, int], tuple[ProcessRecord, dict[tuple[str, str], None]]] = {}
    for row in rows:
        with contextlib.suppress(RecordError):
            kernel = as_process(paths.callbacks, row.get("kernel"))
            _, mine = found.setdefault((kernel.pid, kernel.start), (kernel, {}))
            mine.update(dict.fromkeys(_pairs(row.get("promised"))))
            for pair in _pairs(row.get("called")):
                mine.pop(pair, None)
    return [Promised(kernel, tuple(mine)) for kernel, mine in found.values()]


def forget_promised(paths: DetachedPaths) -> None:
    """Forget all callbacks: somebody was told of those that are not called."""
    with contextlib.suppress(FileNotFoundError):
        fs.unlink(paths.callbacks)


def _pairs(rows: Any) -> tuple[tuple[str, str], ...]:
    """Take the pairs of texts of a list."""
    pairs = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    pairs = [pair for pair in pairs if len(pair) == 2 and all(isinstance(x, str) for x in pair)]
    return tuple((job, what) for job, what in pairs)


def open_log(paths: DetachedPaths) -> int:
    """Open the log to add to it; give the descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    path: Path = inside(paths.workspace, paths.log)
    return fs.open_fd(path, flags)
