"""What is needed in a workspace: what runs or waits, what that needs, and what anything refers to.

Rule 1: looking changes nothing, and takes no lock.
Rule 2: in doubt it is needed. An identifier that stands anywhere in what is kept is a reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import RecordError
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import JobPaths, RunPaths, Workspace, identifiers_in


class Needed:
    """What is needed in a workspace; looked at anew when any list of jobs has changed.

    Parameters
    ----------
    workspace : Workspace
        Where.
    busy : callable or None
        Gives keys of jobs of which this process knows that they are under way.

    Attributes
    ----------
    jobs : dict
        All jobs that have a directory, by key (``type/hex``), as the next ones.
    referenced : set
        Jobs that an experiment has, directly or not.
    now : set
        Jobs that run, or wait, or are needed by what does.
    mentioned : set
        Identifiers that stand in anything that is kept.
    """

    def __init__(self, workspace: Workspace, busy: Callable[[], Iterable[str]] | None) -> None:
        self._workspace = workspace
        self._busy = busy
        self._stamp: object = None
        self.jobs: dict[str, JobPaths] = {}
        self.referenced: set[str] = set()
        self.now: set[str] = set()
        self.mentioned: set[str] = set()
        self._users: dict[str, set[str]] = {}

    def why(self, paths: JobPaths) -> str:
        """Say who needs a job now, "" if nobody does."""
        if self._stamp != self._lists():
            self.look(besides=paths.key)  # which we hold ourselves
        if paths.key in (self._busy() if self._busy is not None else ()):
            return f"{name_of(paths)} is under way in this kernel"
        begun = any(is_held(self.jobs[key]) for key in self._using(paths.key))
        if begun or paths.key in self.now:
            return f"{name_of(paths)} runs, waits, or is needed by what does"
        return ""

    def _using(self, key: str) -> set[str]:
        """Give the jobs that need a job, directly or not."""
        return _closure({key}, self._users) - {key}

    def _runs(self) -> list[RunPaths]:
        return [run for xp in self._workspace.experiments() for run in xp.runs()]

    def _lists(self) -> object:
        """Give something that changes with every submission."""
        stamps = []
        for run in self._runs():
            with suppress(OSError):
                found = run.jobs.stat()
                stamps.append((str(run.jobs), found.st_size, found.st_mtime_ns))
        return stamps

    def look(self, besides: str = "") -> None:
        """Look at everything, but not for who holds one of the jobs."""
        self._stamp = self._lists()
        self.jobs = {paths.key: paths for paths in self._workspace.jobs()}
        by_identifier: dict[str, list[str]] = {}
        for key, paths in self.jobs.items():
            by_identifier.setdefault(paths.identifier, []).append(key)
        texts = {key: identifiers_of(paths) for key, paths in self.jobs.items()}
        needs = {
            key: {other for found in mine for other in by_identifier.get(found, ())} - {key}
            for key, mine in texts.items()
        }
        listed, saved = self._listed()
        saved_keys = {key for found in saved for key in by_identifier.get(found, ())}
        self.referenced = _closure(listed | saved_keys, needs)
        busy = set(self._busy()) if self._busy is not None else set()
        runs = {k for k, paths in self.jobs.items() if k != besides and is_held(paths)} | busy
        over = {key: outcome_of(paths) for key, paths in self.jobs.items()}
        self._users = {}
        for key, mine in needs.items():
            for other in mine:
                self._users.setdefault(other, set()).add(key)
        # What waits for something that has failed waits for nothing.
        bad = {key for key, how in over.items() if how not in ("", "done")}
        stuck = _closure(bad, self._users)
        waits = {key for key in listed & self.jobs.keys() if not over[key]} - stuck
        self.now = _closure(runs | waits, needs)
        self.mentioned = saved.union(*texts.values())

    def _listed(self) -> tuple[set[str], set[str]]:
        """Give the keys of listed jobs, and the identifiers in what was saved."""
        keys, saved = set(), set()
        for run in self._runs():
            with suppress(RecordError):
                keys |= {row.job.removeprefix("jobs/") for row in records.read_run_jobs(run)}
            for folder in run.all_saved():
                for path in _files(folder):
                    saved |= _identifiers(path)
        keys |= {key for key in self._links() if key in self.jobs}
        return keys, saved

    def _links(self) -> Iterator[str]:
        """Give the jobs to which links of other tools' experiments lead."""
        for top in (self._workspace.experiments_dir, self._workspace.root / "xp"):
            for folder, inner, others in os.walk(top):
                for name in (*inner, *others):
                    path = Path(folder, name)
                    if path.is_symlink():
                        yield "/".join(Path(os.readlink(path)).parts[-2:])


def _closure(start: Iterable[str], needs: dict[str, set[str]]) -> set[str]:
    found, stack = set(start), list(start)
    while stack:
        new = needs.get(stack.pop(), set()) - found
        found |= new
        stack += new
    return found


def is_held(paths: JobPaths) -> bool:
    """Tell whether somebody has a job; also if that cannot be told."""
    with suppress(OSError):
        return locks.held(paths) or locks.legacy_holder(paths) is not None
    return True  # it cannot be asked


def identifiers_of(paths: JobPaths) -> set[str]:
    """Give the identifiers that stand in what a job is."""
    return (_identifiers(paths.params) | _identifiers(paths.record)) - {paths.identifier}


def _identifiers(path: Path) -> set[str]:
    try:
        return identifiers_in(files.read_text(path) or "")
    except RecordError:
        return set()


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def outcome_of(paths: JobPaths) -> str:
    """Say how a job ended: done, failed, disowned, lost, or "" if it has not begun."""
    try:
        outcome = records.read_outcome(paths)
    except RecordError:
        return "failed"
    if outcome is None or outcome == "done":
        return outcome or ("lost" if paths.process.exists() else "")
    return "disowned" if outcome.reason is FailureReason.DISOWNED else "failed"


def name_of(paths: JobPaths) -> str:
    """Say what messages call a job."""
    return f"{paths.type_name} {paths.identifier[:8]}"
