"""A job as its directory tells it: read without its classes, and without importing anything.

For jobs whose classes exist no more, of experiments that nobody opens, of other kernels.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from xpm_nb.core import doors
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import ConfigView, JobView, describe_params
from xpm_nb.engine import looking, postmortem
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.looking import Found, look
from xpm_nb.engine.reading import Files, tail
from xpm_nb.engine.settings import workspace_root
from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import damage, records
from xpm_nb.store.layout import JobPaths, Workspace, numbered
from xpm_nb.store.records import JobRecord

LOG_LINES = 40
MAX_FILES = 200

_STATES = {
    Found.DONE: JobState.DONE,
    Found.FAILED: JobState.ERROR,
    Found.LOST: JobState.ERROR,
    Found.HELD: JobState.RUNNING,
    Found.NOTHING: JobState.WAITING,
}


@dataclass(frozen=True, slots=True)
class InspectionView:
    """What a job's directory tells: state, parameters, files, the end of its log."""

    job: JobView
    params: ConfigView | None  # None: they cannot be read
    damage: tuple[str, ...] = ()  # what cannot be understood, and why
    files: tuple[tuple[str, int], ...] = ()  # name, bytes
    log: str = ""
    attempts: int = 0  # earlier ones


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """A job as its directory tells it, at one moment; displayed as a card.

    Attributes
    ----------
    path : Path
        The job's directory.
    job : JobView
        State, times, tags, metrics and so on.
    params : ConfigView or None
        Its parameters as a tree; None if they cannot be read.
    record : JobRecord or None
        What was submitted; None if that cannot be read.
    attempts : tuple[Path, ...]
        The directories of earlier attempts.
    damage : tuple[str, ...]
        Which of its files cannot be understood, and why; the others tell what they tell.
    """

    path: Path
    job: JobView
    params: ConfigView | None
    record: JobRecord | None
    attempts: tuple[Path, ...] = ()
    damage: tuple[str, ...] = ()

    @property
    def state(self) -> JobState:
        """The state."""
        return self.job.state

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of each metric."""
        return dict(self.job.metrics)

    @property
    def files(self) -> Files:
        """The files of its directory."""
        return Files(JobPaths.of(self.path))

    @property
    def frames(self) -> postmortem.Frames:
        """What it kept of the frames of its failure."""
        return postmortem.read(JobPaths.of(self.path), self.job.task)

    def values(self) -> dict[str, str]:
        """Give its parameters as texts, those of nested configs as ``model.hidden``."""
        return {} if self.params is None else dict(_flat(self.params, ""))

    def log(self, n: int = LOG_LINES) -> str:
        """Give the last lines of what it printed; the error stream comes last."""
        paths = JobPaths.of(self.path)
        return "\n".join(text for p in (paths.stdout, paths.stderr) if (text := tail(p, n)))

    def view(self) -> InspectionView:
        """Give the frozen copy for displays."""
        rows = []
        for name, path in islice(self.files.items(), MAX_FILES):
            try:
                rows.append((name, path.stat().st_size))
            except OSError:
                continue
        attempts = len(self.attempts)
        return InspectionView(self.job, self.params, self.damage, tuple(rows), self.log(), attempts)

    def __repr__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)


def _flat(view: ConfigView, before: str) -> Iterator[tuple[str, str]]:
    for param in view.params:
        if param.config is None:
            yield before + param.name, param.text
        else:
            yield from _flat(param.config, f"{before}{param.name}.")


def read(paths: JobPaths) -> Inspection:
    """Read a job's directory; of what is missing or damaged, `Inspection.damage` tells."""
    entry = Entry(paths, dry=True)
    record = looking.read_record(entry)
    damaged = [entry.facts.damage, damage.of_marker(paths)]
    looking.note_times(entry)
    with _noted(damaged):
        entry.read_reports()
    found, reason, message = Found.NOTHING, None, ""
    with _noted(damaged):
        found, failure = look(entry)
        if found is Found.LOST:
            reason, message = FailureReason.LOST, "its process vanished without a trace"
        elif failure is not None:
            reason, message = failure.reason, failure.message
    entry.freeze(_STATES[found], reason, message)
    return Inspection(
        paths.path,
        entry.view,
        _params(paths, damaged),
        record,
        tuple(numbered(paths.attempts)),
        tuple(looking.shortly(paths, text) for text in damaged if text),
    )


@contextmanager
def _noted(damaged: list[str]) -> Iterator[None]:
    """Take note of what is damaged, and go on."""
    try:
        yield
    except RecordError as error:
        damaged.append(str(error))


def _params(paths: JobPaths, damaged: list[str]) -> ConfigView | None:
    """Read the parameters of a job; None if there are none that can be understood."""
    document: Mapping[str, Any] | None = None
    with _noted(damaged):
        document = records.read_params(paths)
        if document is None:
            damaged.append(f"{paths.params} is missing")
    if document is None:
        return None
    params = describe_params(document)
    if not params.identifier and not params.params:
        damaged.append(f"{paths.params} is damaged: {params.note}")
        return None
    return params


def inspect_job(
    identifier: str, *, workspace: str | PathLike[str] | Workspace | None = None
) -> Inspection:
    """Look at a job of a workspace by the first digits of its identifier.

    Its class need not exist any more, and no experiment be open; nothing is imported or changed.

    Parameters
    ----------
    identifier : str
        The first digits.
    workspace : path, optional
        By default the one that `start` would take.

    Raises
    ------
    ConfigError
        No job begins like this, or several do.
    """
    if not isinstance(workspace, Workspace):
        workspace = Workspace(workspace_root(workspace))
    wanted = identifier.strip().lower()
    jobs = workspace.jobs()
    found = [paths for paths in jobs if wanted and paths.identifier.startswith(wanted)]
    if len(found) == 1:
        return read(found[0])
    if found:
        names = ", ".join(f"{p.type_name} {p.identifier[: len(wanted) + 4]}" for p in found[:6])
        raise ConfigError(f"{identifier!r} stands for {len(found)} jobs: {names}")
    known = [paths.identifier[: max(8, len(wanted))] for paths in jobs]
    near = difflib.get_close_matches(wanted, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"no job of {workspace.root} begins with {identifier!r}{hint}")
