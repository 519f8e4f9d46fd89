"""How the environment in which results were made differs from the present one.

That is never a reason to run anything again: displays say it beside the state, and no more.

Rule 1: the present environment is asked for once for many results, and not more often than every
few seconds; a result is compared when it is met, never when it is shown.
Rule 2: asking takes time (git is a process): it is done in the callbacks' thread, when no callback
waits, some results at a time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from typing import Any

from xpm_nb.core.states import JobState
from xpm_nb.engine import callbacks, provenance
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import NoteDrift
from xpm_nb.errors import InternalError, RecordError, XpmError
from xpm_nb.store import files, records
from xpm_nb.store.layout import JobPaths, RunPaths, Workspace
from xpm_nb.store.records import JobRecord

NOW_S = 10.0  # how long what is known of the present is good for
PART = 200  # results that are compared before others in the thread have their turn

Change = tuple[str, str, str]
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Drift:
    """How the environment differs from the one in which a job ran: information, no more.

    Attributes
    ----------
    changes : tuple
        What, as it was then, and as it is now, each as text.
    """

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return _text(self.changes)

    @property
    def notable(self) -> str:
        """What displays mark: all but the commit.

        That is another one after each commit of whatever file; what an edit means for a result is
        said by its code.
        """
        return _text(change for change in self.changes if change[0] != "commit")


def _text(changes: Iterable[Change]) -> str:
    return "; ".join(f"{what} {then} then, {now} now" for what, then, now in changes)


class Present:
    """The environment as it is now: each part is asked for once, and only if it is needed."""

    def __init__(self, directory: str) -> None:
        self.python = platform.python_version()
        self._directory = directory
        self._versions: dict[str, str] = {}
        self._began = time.monotonic()

    @property
    def old(self) -> bool:
        """Whether another one is due."""
        return time.monotonic() - self._began > NOW_S

    @cached_property
    def git(self) -> Mapping[str, Any] | None:
        """Commit and branch of the directory."""
        return provenance.commit(self._directory)

    def version(self, name: str) -> str:
        """Give the version of an installed distribution, in words if there is none."""
        found = self._versions.get(name)
        if found is None:
            try:
                found = metadata.version(name)
            except metadata.PackageNotFoundError:
                found = "not installed"
            self._versions[name] = found
        return found

    def differs(self, before: Present) -> bool:
        """Tell whether anything that was asked for before is another thing now."""
        if any(self.version(name) != version for name, version in before._versions.items()):
            return True
        return "git" in vars(before) and self.git != before.git


class Past:
    """The environments of the runs of a workspace's experiments, each file read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._runs: dict[str, list[RunPaths]] = {}
        self._rows: dict[str, tuple[tuple[int, int], set[tuple[str, float]]]] = {}
        self._environments: dict[str, Mapping[str, Any]] = {}

    def look_again(self) -> None:
        """Take note that there may be more runs by now."""
        self._runs.clear()

    def of(self, paths: JobPaths, record: JobRecord) -> Mapping[str, Any]:
        """Give the environment of the run whose submission started a job, {} if nothing says it."""
        try:
            run = self._run(paths, record)
            return _NOTHING if run is None else self._environment(run)
        except (XpmError, OSError):
            return _NOTHING

    def _run(self, paths: JobPaths, record: JobRecord) -> RunPaths | None:
        name = record.experiment
        if not name:
            return None
        if name not in self._runs:
            self._runs[name] = self._workspace.experiment(name).runs()
        wanted = paths.relative, record.submitted
        for run in reversed(self._runs[name]):  # a job is of the latest run more often than not
            if wanted in self._listed(run):
                return run
        return None

    def _listed(self, run: RunPaths) -> set[tuple[str, float]]:
        place, state = str(run.path), records.state_of(run.jobs)
        known = self._rows.get(place)
        if known is None or known[0] != state:
            rows = {(row.job, row.submitted) for row in records.read_run_jobs(run)}
            known = self._rows[place] = state, rows
        return known[1]

    def _environment(self, run: RunPaths) -> Mapping[str, Any]:
        place = str(run.path)
        if place not in self._environments:
            found = files.read_object(run.environment)
            if found is None:  # it is written a moment after the run has begun
                return _NOTHING
            self._environments[place] = {name: found.get(name) for name in ("python", "git")}
        return self._environments[place]


def compare(paths: JobPaths, record: JobRecord | None, past: Past, present: Present) -> Drift:
    """Compare the environment of a job's run with the present one.

    Compared are Python, the versions of the installed distributions that its code imports, and the
    git branch and commit of the working directory.
    """
    changes: list[Change] = []
    for name, version in _packages(paths).items():
        if (now := present.version(name)) != version:
            changes.append((name, str(version), now))
    then = _NOTHING if record is None else past.of(paths, record)
    python, git = then.get("python"), then.get("git")
    if python and python != present.python:
        changes.append(("Python", str(python), present.python))
    if isinstance(git, Mapping) and (there := present.git) is not None:
        pairs = [("commit", _commit_text(git), _commit_text(there))]
        pairs += [("branch", str(git["branch"]), str(there.get("branch")))] * ("branch" in git)
        changes += [(what, before, now) for what, before, now in pairs if before != now]
    return Drift(tuple(changes))


def drift(paths: JobPaths, directory: str) -> Drift:
    """Compare the environment of one job's run with that of a directory; see `compare`."""
    try:
        record = records.read_job(paths)
    except RecordError:
        record = None
    return compare(paths, record, Past(Workspace(paths.workspace)), _present(directory))


_last: tuple[str, Present] | None = None


def _present(directory: str) -> Present:
    """Give the present environment, asked for again after a while."""
    global _last
    if _last is None or _last[0] != directory or _last[1].old:
        _last = directory, Present(directory)
    return _last[1]


def _packages(paths: JobPaths) -> Mapping[str, Any]:
    try:
        code = records.read_code(paths)
    except RecordError:
        code = None
    return _NOTHING if code is None else code.packages


def _commit_text(git: Mapping[str, Any]) -> str:
    return str(git.get("commit", ""))[:8] + (" and changes" if git.get("dirty") else "")


class Comparing:
    """Has the results of an experiment compared, each once, as they are met.

    Those that this kernel has made just now are of its own environment, and not looked at.

    Parameters
    ----------
    workspace : Workspace
        Where the experiment's jobs are.
    known : method
        Gives what the experiment has with these keys, each with its `entry`; it is not kept.
    loop : Loop
        Says which jobs changed, and is told what was found.
    """

    def __init__(
        self, workspace: Workspace, known: Callable[[Iterable[str]], Iterable[Any]], loop: Loop
    ) -> None:
        self._known, self._loop = weakref.WeakMethod(known), loop
        self._past = Past(workspace)
        self._present: Present | None = None
        self._met: dict[str, tuple[int, float | None]] = {}  # attempts, by the entries' ids
        self._due: dict[str, Entry] = {}
        self._asked = False
        self._guard = threading.Lock()  # of these two
        self._unsubscribe: Callable[[], None] | None = None

    def begin(self) -> None:
        """Hear of jobs from now on."""
        self._unsubscribe = self._loop.subscribe(self._hear)

    def end(self) -> None:
        """Hear of none any more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def again(self, some: Iterable[Entry]) -> None:
        """Have jobs compared once more, if the present environment is another one by now."""
        if self._present is not None:
            callbacks.current().put_chore(partial(self._look_again, tuple(some)))

    def _hear(self, keys: Iterable[str]) -> None:
        """Take note of jobs that changed; in the loop's thread."""
        known = self._known()
        for item in () if known is None else known(keys):
            entry: Entry = item.entry
            attempt = entry.facts.attempt, entry.facts.ended
            if _is_done(entry) and not entry.launched and self._met.get(entry.id) != attempt:
                self._met[entry.id] = attempt
                self._add([entry])

    def _add(self, some: Iterable[Entry]) -> None:
        with self._guard:
            self._due.update((entry.id, entry) for entry in some)
            if self._asked or not self._due:
                return
            self._asked = True
        callbacks.current().put_chore(self._look)

    def _look(self) -> None:
        with self._guard:
            self._asked = False
            part = [self._due.pop(entry_id) for entry_id in list(self._due)[:PART]]
        if self._present is None or self._present.old:
            self._present = Present(_directory())
            self._past.look_again()
        found = []
        for entry in part:
            text = compare(entry.paths, entry.record, self._past, self._present).notable
            if text != entry.facts.drift:
                found.append((entry, text))
        if found:
            with contextlib.suppress(InternalError):  # the kernel ends: nobody looks
                self._loop.post(NoteDrift(tuple(found)))
        self._add(())

    def _look_again(self, some: tuple[Entry, ...]) -> None:
        before, self._present = self._present, Present(_directory())
        if before is None or self._present.differs(before):
            self._past.look_again()
            self._add(filter(_is_done, some))


def _is_done(entry: Entry) -> bool:
    return entry.view.state is JobState.DONE


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return "."
