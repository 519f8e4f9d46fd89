"""What a notebook is offered when the extension is loaded: experiments that are not finished.

Looked at are the folders of experiments and the lists of their latest runs, never all jobs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import islice

from xpm_nb.errors import RecordError
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import RunPaths, Workspace

OFFERED = 3  # experiments, at most
LATEST = 10  # runs that are looked at, the last that were opened
JOBS = 500  # jobs of a run that are looked at, the last that were submitted
LIST_BYTES = 1 << 17  # of the list of a run that are read, the last


def offers(workspace: Workspace, notebook: str = "") -> list[str]:
    """Say in a line each which experiments are not finished: those of the notebook, if known."""
    runs: list[tuple[float, str, RunPaths]] = []
    for experiment in workspace.experiments():
        for run in experiment.runs()[-1:]:
            with contextlib.suppress(OSError):
                runs.append((run.path.stat().st_mtime, experiment.name, run))
    latest = sorted(runs, key=lambda found: found[0], reverse=True)[:LATEST]
    mine = [found for found in latest if notebook and _notebook(found[2]) == notebook]
    lines = (_line(workspace, name, run) for _, name, run in (mine or ([] if notebook else latest)))
    return list(islice((line for line in lines if line), OFFERED))


def _notebook(run: RunPaths) -> str:
    """Say in which notebook a run was opened, "" if nothing says so."""
    with contextlib.suppress(RecordError):
        return str((files.read_object(run.environment) or {}).get("notebook", ""))
    return ""


def _line(workspace: Workspace, name: str, run: RunPaths) -> str:
    try:
        rows, more_before = records.read_run_end(run, LIST_BYTES)
    except RecordError:
        return ""
    places = list(dict.fromkeys(row.job for row in rows))
    running, waiting = _counts(workspace, places[-JOBS:])
    if not running and not waiting:
        return ""
    more = "at least " if more_before or len(places) > JOBS else ""
    parts = [f"{n} {word}" for n, word in ((running, "running"), (waiting, "waiting")) if n]
    return f"{name}: {more}{', '.join(parts)}: %xpm start {name}"


def _counts(workspace: Workspace, places: Iterable[str]) -> tuple[int, int]:
    """Count the jobs that run, and those that were never begun."""
    running = waiting = 0
    for place in places:
        with contextlib.suppress(Exception):  # a border: what is damaged is told when it is opened
            paths = workspace.job_at(place)
            if not (paths.done.exists() or paths.failed.exists()):
                held = locks.held(paths)
                running += held
                waiting += not held
    return running, waiting
