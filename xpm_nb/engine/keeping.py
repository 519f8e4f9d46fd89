"""What is kept with an experiment beside its jobs: configurations, and files of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xpm_nb.core.config import RunMode
from xpm_nb.engine.provenance import Run
from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import saved
from xpm_nb.store.layout import Workspace, make_directory


class Keeping:
    """Saves and loads in the directories of an experiment's runs; `Experiment` derives from it.

    Attributes
    ----------
    name, workspace, run_mode
        See `Experiment`.
    """

    name: str
    workspace: Workspace
    run_mode: RunMode
    _run: Run

    @property
    def resultspath(self) -> Path:
        """A directory of this run for files of yours, made when it is first asked for.

        Raises
        ------
        ConfigError
            In a dry run, which writes nothing.
        """
        if self.run_mode is RunMode.DRY_RUN:
            raise ConfigError(f"{self.name!r} is a dry run: it has no directory for results")
        return make_directory(self.workspace.root, self._run.open().results)

    def save(self, obj: Any, name: str = "default") -> None:
        """Save configurations under a name with this run, to be loaded by `load`.

        A dry run writes nothing.

        Parameters
        ----------
        obj : Any
            A configuration, or lists and dictionaries of them; see `xpm_nb.save`.
        name : str
            What was saved under this name in this run is replaced.
        """
        if self.run_mode is RunMode.DRY_RUN:
            return
        folder = self._run.open().saved(name)
        saved.keep(obj, make_directory(self.workspace.root, folder), self.workspace.root)

    def load(self, reference: str, name: str = "default", run_id: str | None = None) -> Any:
        """Load what an experiment of this workspace saved.

        Parameters
        ----------
        reference : str
            The experiment's name, which may be this one's.
        name : str
            What it was saved as.
        run_id : str, optional
            One of its runs; by default the latest that saved something of this name.

        Raises
        ------
        RecordError
            If there is nothing of this name, or it cannot be understood.
        """
        experiment = self.workspace.experiment(reference)
        runs = experiment.runs() if run_id is None else [experiment.run(run_id)]
        for run in reversed(runs):
            if run.saved(name).is_dir():
                return saved.load(run.saved(name))
        known = sorted({folder.name for run in runs for folder in run.all_saved()})
        has = f"it has {', '.join(known)}" if known else "nothing was saved in it"
        which = f"the run {run_id} of {reference!r}" if run_id else f"the experiment {reference!r}"
        raise RecordError(f"{which} has nothing saved as {name!r}: {has}")
