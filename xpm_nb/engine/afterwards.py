"""What can be asked of a job that has ended: why it failed, and whether its result can be trusted.

The part of `Job` that looks back; the part that waits and acts is in `engine.job`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from xpm_nb.core.states import JobState
from xpm_nb.engine import inspection, looking, postmortem, rehearsal, surroundings, trust
from xpm_nb.engine.messages import LookAgain
from xpm_nb.errors import ConfigError
from xpm_nb.store import records
from xpm_nb.store.records import Disowned

if TYPE_CHECKING:
    from xpm_nb.core.views import JobView
    from xpm_nb.engine.entries import Entry
    from xpm_nb.engine.loop import Loop

VIEWS_S = 1.0  # how long is waited for the scheduler to know what was done, at most


class Afterwards:
    """Looks back at a job; what `Job` is made of."""

    if TYPE_CHECKING:
        _entry: Entry
        _loop: Loop
        latest: Any

        def view(self) -> JobView:
            """Give a frozen copy of all that is known."""

    @property
    def frames(self) -> postmortem.Frames:
        """What is kept of the frames of its failure: lines, and the values that names had."""
        return postmortem.read(self._entry.paths, self._entry.name.rpartition(" ")[0])

    def debug(self) -> None:
        """Open the frames of its failure in pdb: ``where``, ``up``, ``list``, ``p x``.

        The values are texts of what they were; the task itself does not run again (for that there
        is `rerun_here`).

        Raises
        ------
        ConfigError
            No frames were kept, or nobody can be asked for commands here.
        """
        postmortem.debug(self.frames)

    def rerun_here(self) -> Any:
        """Execute the task in this process with the same values, and give what it returns.

        It runs in a folder of its own (``.experimaestro/by-hand/<n>/``) and nothing of the job is
        touched; the working directory and the environment are put back. In IPython a failure opens
        pdb on its frames, and ``%debug`` does so again afterwards.

        Raises
        ------
        ConfigError
            Something that it needs is not done, or nothing says what its values are.
        BaseException
            Whatever the task raises.
        """
        self._loop.sync(VIEWS_S)  # it may have been submitted just now
        for key in self.view().dependencies:
            needed = self._loop.entry(self._entry.paths.sibling(key))
            if not records.is_done(needed.paths):
                state = needed.view.state.value
                raise ConfigError(f"{self._entry.name} needs {needed.name}, which is {state}")
        return rehearsal.execute(self._entry.paths, self.latest)

    def disown(self, reason: str) -> None:
        """Take the result back: it is never used again, and whoever submits the task runs it anew.

        The result, its log and its files go to the job's `attempts`, with a note of who took it
        back, when and why. The job is in error with the reason "disowned"; what waits for it does
        not run, and what was made from it says so.

        Parameters
        ----------
        reason : str
            Why, for those who come after.

        Raises
        ------
        ConfigError
            It is not done, a running job (of this kernel or another) may read its files, or no
            reason is given.
        """
        self._loop.sync(VIEWS_S)
        entry = self._entry
        if not entry.over() or entry.view.state is not JobState.DONE:
            state = entry.view.state.value
            raise ConfigError(f"{entry.name} has no result to disown: it is {state}")
        uses = looking.Uses(self._loop.under_way(), self._loop.entry)

        def obstacle() -> str:
            return uses.reader(entry) or self._loop.readers.running(entry.paths)

        trust.disown(entry.paths, entry.name, reason, obstacle)
        self._loop.post(LookAgain(entry))
        self._loop.sync(VIEWS_S)

    @property
    def disowned(self) -> tuple[Disowned, ...]:
        """Who took a result of it back, when and why; the first one first."""
        return trust.history(self._entry.paths)

    def inspect(self) -> inspection.Inspection:
        """Look at what its directory tells: parameters, files, log, metrics.

        Nothing is imported: its class need not exist any more.
        """
        return inspection.read(self._entry.paths)

    def drift(self) -> surroundings.Drift:
        """Say how the environment differs from the one in which it ran: true if it does.

        Compared are Python, the versions of the distributions that its code imports, and the git
        branch and commit of the working directory. It is never a reason to run again.
        """
        return surroundings.drift(self._entry.paths, os.getcwd())
