"""What other processes do in the workspace: hints from them, and jobs that are theirs to start.

Rule 1: a hint says where to look; what is there says how it is.
Rule 2: starting a job is left to another process only as long as that lives. When it ends, its jobs
are looked at, and those that are still to be started are ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.messages import Heard
from xpm_nb.errors import XpmError
from xpm_nb.store import locks, told
from xpm_nb.store.layout import JobPaths, Workspace, gone
from xpm_nb.store.records import ProcessRecord
from xpm_nb.store.told import Hint

log = logging.getLogger("xpm_nb")

LISTEN_S = 0.5  # between two looks for hints


class Others:
    """The other processes, as far as this one knows of them.

    Parameters
    ----------
    hub : Hub
        Its plan knows which jobs are left to others.
    look : callable
        Sees how a job is that another process may have begun or ended.
    """

    def __init__(self, hub: Hub, look: Callable[[Entry], None]) -> None:
        self._hub = hub
        self._plan = hub.plan
        self._look = look
        self._ears: dict[Workspace, dict[str, Heard]] = {}
        self._offsets: dict[Workspace, int] = {}
        self._firsts: dict[Workspace, bytes] = {}  # hints, by which a new file is told from the old
        self._listen_at = 0.0
        self._starters: dict[tuple[int, int], tuple[ProcessRecord, set[str]]] = {}

    # -- hints ----------------------------------------------------------------------------

    def listen(self, workspace: Workspace, name: str, heard: Heard, offset: int) -> None:
        """Have a function called with each hint about an experiment; look at jobs of its place."""
        self._ears.setdefault(workspace, {})[name] = heard
        self._offsets.setdefault(workspace, offset)

    def deafen(self, workspace: Workspace, name: str) -> None:
        """Call a function no more."""
        ears = self._ears.get(workspace, {})
        ears.pop(name, None)
        if not ears:
            self._ears.pop(workspace, None)
            self._offsets.pop(workspace, None)
            self._firsts.pop(workspace, None)

    def tell_of(self, paths: JobPaths) -> None:
        """Tell the others to look at a job."""
        self._tell(Workspace(paths.workspace), job=paths.key)

    def tell_listed(self, paths: JobPaths, experiment: str) -> None:
        """Tell the others that there is another job of an experiment."""
        self._tell(Workspace(paths.workspace), experiment=experiment)

    def _tell(self, workspace: Workspace, job: str = "", experiment: str = "") -> None:
        """Tell the others something; that this cannot be is no failure of the job."""
        try:
            told.add_hint(workspace, Hint(locks.myself(), job, experiment))
        except (XpmError, OSError) as error:
            log.warning("cannot tell other kernels: %s", error)

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        return self._listen_at if self._ears else None

    def tick(self, now: float) -> None:
        """Hear what others say."""
        if not self._ears or now < self._listen_at:
            return
        self._listen_at = now + LISTEN_S
        for workspace in list(self._ears):
            if gone(workspace.root):
                continue
            first = told.first_hint(workspace)
            if first and self._firsts.setdefault(workspace, first) != first:
                self._firsts[workspace] = first  # the workspace was deleted, and made anew
                self._offsets[workspace] = 0
            if told.hints_end(workspace) != self._offsets[workspace]:
                self._hear(workspace)

    def _hear(self, workspace: Workspace) -> None:
        try:
            hints, self._offsets[workspace] = told.read_hints(workspace, self._offsets[workspace])
        except XpmError as error:
            log.warning("%s", error)
            return
        mine = locks.myself()
        for hint in hints:
            if (hint.process.pid, hint.process.start) == (mine.pid, mine.start):
                continue
            entry = self._hub.entries.get(str(workspace.jobs_dir / hint.job)) if hint.job else None
            if entry is not None:
                self._look(entry)
            heard = self._ears.get(workspace, {}).get(hint.experiment)
            if heard is not None:
                try:
                    heard(hint)
                except Exception:  # a border: what cannot be understood of others is not our end
                    log.exception("cannot take in what another kernel did")

    # -- who starts what ------------------------------------------------------------------

    def leave(self, entries: Iterable[Entry], process: ProcessRecord) -> bool:
        """Leave it to a process to start jobs; False if it does not live here, and none is left."""
        who = (process.pid, process.start)
        if who not in self._starters:
            if not self._hub.when_ended(process, partial(self._ended, who)):
                return False
            self._starters[who] = (process, set())
        keys = {entry.id for entry in entries}
        for other, (_, theirs) in self._starters.items():
            if other != who:
                theirs -= keys
        self._starters[who][1].update(keys)
        self._hub.carry_out(self._plan.leave(keys))
        return True

    def take_back(self, entries: Iterable[Entry]) -> None:
        """Start these jobs ourselves, whoever did so far."""
        keys = {entry.id for entry in entries}
        for _, theirs in self._starters.values():
            theirs -= keys
        self._hub.carry_out(self._plan.take_back(keys))

    def starter(self, entry: Entry) -> ProcessRecord | None:
        """Say which process is to start a job, None if we are."""
        if not self._plan.is_left(entry.id):
            return None
        found = (process for process, keys in self._starters.values() if entry.id in keys)
        return next(found, None)

    def _ended(self, who: tuple[int, int]) -> None:
        _, keys = self._starters.pop(who)
        mine = [self._hub.entries[key] for key in keys if key in self._hub.entries]
        for entry in mine:
            self._look(entry)
        self._hub.carry_out(self._plan.take_back(keys))
