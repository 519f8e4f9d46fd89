"""Who may read the files of a job, as its workspace tells: whichever process started them.

Whether files may go, and a job be run again, is a question about all that runs or waits in the
workspace; what one kernel knows is not enough.

Rule 1: asking changes nothing and takes no lock. Who acts on the answer asks while it is announced
(see `store.leaving`).
Rule 2: kept here is who names whom, and who asked for what: each record is read once, and of the
lists only what is new. Whether somebody runs, waits or is over is looked at each time.
Rule 3: in doubt somebody needs it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from xpm_nb.core.states import TransientMode
from xpm_nb.engine.needed import identifiers_of, is_held, name_of, outcome_of
from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths, RunPaths, Workspace


class Readers:
    """Who may read whose files, in all workspaces of a process; any thread may ask."""

    def __init__(self) -> None:
        self._places: dict[Path, _Place] = {}
        self._guard = threading.Lock()

    def running(self, paths: JobPaths, free: set[str] | None = None) -> str:
        """Say which job runs and may read the files of this one, "" if none does.

        Directly or not: who needs what was made from it may look at it, too.

        Parameters
        ----------
        paths : JobPaths
            The job.
        free : set of str, optional
            Keys of jobs of which an earlier call found that they do not run, and that nobody reads
            what they made: they are not looked at again, and those of this call are added.
        """
        with self._guard:
            place = self._place(paths)
            known = free if free is not None else set()
            seen, stack = {paths.key}, [paths]
            while stack:
                for user in place.users(stack.pop()):
                    if user.key in seen or user.key in known:
                        continue
                    if is_held(user):
                        who = place.told(user)
                        return f"{who} runs and may read its files: wait for that, or cancel it"
                    seen.add(user.key)
                    stack.append(user)
            known |= seen - {paths.key}  # whether it runs itself was not asked
        return ""

    def needing(self, paths: JobPaths) -> str:
        """Say which job needs the files of this one, now or later; "" if none does."""
        with self._guard:
            place = self._place(paths)
            for user in place.users(paths):
                if is_held(user):
                    return f"{place.told(user)} runs and may read them"
                if place.waits(user):
                    return f"{place.told(user)} waits, and needs them"
        return ""

    def keeping(self, paths: JobPaths) -> str:
        """Say which experiment asked for a job to be kept, "" if all want its files removed."""
        with self._guard:
            asked = self._place(paths).asked.get(paths.key, {})
        kept = [name for name, mode in asked.items() if mode != TransientMode.REMOVE.value]
        return f"the experiment {kept[0]!r} asked for it without removing them" if kept else ""

    def experiments(self, paths: JobPaths) -> tuple[str, ...]:
        """Name the experiments that a job is in."""
        with self._guard:
            return tuple(self._place(paths).asked.get(paths.key, ()))

    def _place(self, paths: JobPaths) -> _Place:
        place = self._places.get(paths.workspace)
        if place is None:
            place = self._places[paths.workspace] = _Place(Workspace(paths.workspace))
        place.look()
        return place


class _Place:
    """What is known of one workspace.

    Attributes
    ----------
    asked : dict
        By key of a job and name of an experiment: with which `TransientMode` it asked last.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.asked: dict[str, dict[str, str]] = {}
        self._workspace = workspace
        self._users: dict[str, dict[str, JobPaths]] = {}  # by identifier: keys of who names it
        self._needs: dict[str, tuple[JobPaths, ...]] = {}
        self._left_out: set[str] = set()  # those that run only if another needs them
        self._young: dict[str, float] = {}  # those whose record is not there yet; when submitted
        self._offsets: dict[Path, int] = {}
        self._known = False

    def look(self) -> None:
        """Read what is new."""
        if not self._known:
            for paths in self._workspace.jobs():
                self._read(paths)
            self._known = True
        for experiment in self._workspace.experiments():
            for run in experiment.runs():
                if records.state_of(run.jobs)[1] != self._offsets.get(run.jobs, 0):
                    self._hear(experiment.name, run)
        for key, submitted in list(self._young.items()):
            with suppress(XpmError):  # a key that names no job
                paths = self._workspace.job_at(key)
                if self._read(paths) >= submitted or records.is_done(paths) or is_held(paths):
                    del self._young[key]

    def _hear(self, name: str, run: RunPaths) -> None:
        """Take over who asked for what in a run."""
        with suppress(RecordError):  # it cannot be read now
            rows, gone, self._offsets[run.jobs] = records.read_run_news(
                run, self._offsets.get(run.jobs, 0)
            )
            for job in gone:
                self.asked.get(job.removeprefix("jobs/"), {}).pop(name, None)
            for row in rows:
                key = row.job.removeprefix("jobs/")
                self.asked.setdefault(key, {})[name] = row.transient
                self._young[key] = row.submitted

    def _read(self, paths: JobPaths) -> float:
        """Take over whom a job names, and tell when that was submitted."""
        try:
            record = records.read_job(paths)
        except RecordError:
            record = None
        if record is None:  # another tool's, damaged, or not written yet
            found = identifiers_of(paths)
        else:
            needs = []
            for key in record.dependencies:
                with suppress(XpmError):
                    needs.append(paths.sibling(key))
            self._needs[paths.key] = tuple(needs)
            found = {needed.identifier for needed in needs}
            if records.transient_mode(record) is TransientMode.NONE:
                self._left_out.discard(paths.key)
            else:
                self._left_out.add(paths.key)
        for identifier in found:
            self._users.setdefault(identifier, {})[paths.key] = paths
        return -1.0 if record is None else record.submitted

    def users(self, paths: JobPaths) -> list[JobPaths]:
        """Give the jobs that name a job."""
        return list(self._users.get(paths.identifier, {}).values())

    def told(self, paths: JobPaths) -> str:
        """Say which job that is, and of which experiments."""
        who, names = name_of(paths), ", ".join(self.asked.get(paths.key, ()))
        with suppress(RecordError):
            record = records.read_job(paths)
            who = who if record is None else f"{record.task} {paths.identifier[:8]}"
        return f"{who} (of {names})" if names else who

    def waits(self, paths: JobPaths) -> bool:
        """Tell whether a job is going to run, as far as that can be known.

        It was asked for, and has neither begun nor failed because of something that it needs; one
        that may be left out runs if another needs it that does.
        """
        stack, seen = [paths], set[str]()
        while stack:
            one = stack.pop()
            if one.key in seen or not self.asked.get(one.key) or outcome_of(one):
                continue
            seen.add(one.key)
            if one.key in self._left_out:
                stack += self.users(one)
            elif not self._is_stuck(one):
                return True
        return False

    def _is_stuck(self, paths: JobPaths) -> bool:
        """Tell whether something that a job needs has failed, directly or not."""
        stack, seen = list(self._needs.get(paths.key, ())), {paths.key}
        while stack:
            one = stack.pop()
            if one.key in seen:
                continue
            seen.add(one.key)
            outcome = outcome_of(one)
            if outcome not in ("", "done") and not is_held(one):
                return True
            if not outcome:
                stack += self._needs.get(one.key, ())
        return False
