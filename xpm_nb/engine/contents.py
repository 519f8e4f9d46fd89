"""What an experiment holds: its jobs, by name, number, task; tables, plans and differences of them.

Nothing here starts, changes or waits for a job.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from xpm_nb.core import compare, estimate, serial
from xpm_nb.core import config as configs
from xpm_nb.core.states import JobState
from xpm_nb.core.views import ExperimentView, JobView
from xpm_nb.engine import callbacks, entries, figures, outlook, results, submission
from xpm_nb.engine.attributes import attribute
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.job import Job
from xpm_nb.engine.jobs import Jobs
from xpm_nb.engine.loop import Loop
from xpm_nb.errors import ConfigError, XpmError
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths, Workspace

VIEWS_S = 0.2  # how long a look at what was submitted just now waits for the scheduler, at most


class Item:
    """A job as one experiment sees it: with the tags and the time of its own submission."""

    __slots__ = ("_made", "_of", "entry", "job", "listed", "run", "submitted", "tags")

    def __init__(self, entry: Entry, tags: Mapping[str, Any], submitted: float, run: str) -> None:
        self.entry = entry
        self.tags = tags
        self.submitted = submitted
        self.run = run  # "" for the one under way
        self.listed = ""  # the `TransientMode` with which it is in the list of the run under way
        self.job: Job | None = None
        self._of: JobView | None = None
        self._made: JobView | None = None

    def update(self, tags: Mapping[str, Any], submitted: float) -> None:
        """Take note of a submission in the run under way."""
        self.tags, self.submitted, self.run, self._made = tags, submitted, "", None

    def view(self) -> JobView:
        """Give the job's view as this experiment shows it."""
        view = self.entry.view
        if self._made is None or self._of is not view:
            tags = entries.as_tags(self.tags)
            made = replace(view, tags=tags, submitted=self.submitted, earlier=bool(self.run))
            self._of, self._made = view, made
        return self._made


class Contents:
    """The jobs of an experiment, to be looked at; what `Experiment` is made of.

    Attributes
    ----------
    name, workspace, namespace
        See `Experiment`.
    """

    name: str
    workspace: Workspace
    namespace: str
    slots: int
    stale_policy: str
    _loop: Loop
    _lock: threading.Lock
    _items: dict[str, Item]  # of this run, in order of submission
    _earlier: dict[str, Item]  # of earlier runs, latest run first

    def _all(self) -> list[Item]:
        with self._lock:
            return [*self._items.values(), *self._earlier.values()]

    @attribute
    def jobs(self) -> Jobs:
        """All jobs: those of this run in order of submission, then those of earlier runs.

        Each is an attribute of its own, named by its task and identifier: ``xp.jobs.train_<Tab>``.
        """
        self._catch_up()  # what is shown of a result is judged with the code it was asked for with
        return Jobs(item.job for item in self._all() if item.job is not None)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, what: Any) -> Job:
        """Give the job whose identifier begins like this, of that number, or of that task.

        Raises
        ------
        ConfigError
            If there is none, or more than one.
        """
        if isinstance(what, int) and not isinstance(what, bool):
            jobs = self.jobs
            if not -len(jobs) <= what < len(jobs):
                raise ConfigError(f"{self.name!r} has {len(jobs)} jobs, and no number {what}")
            return jobs[what]
        return self._begins(what) if isinstance(what, str) else self.job(what)

    def _ipython_key_completions_(self) -> list[str]:
        return [job.identifier[:8] for job in self.jobs]

    def _begins(self, prefix: str) -> Job:
        wanted = prefix.strip().lower()
        if not wanted:
            raise ConfigError(
                f"an empty text names no job of {self.name!r}: give the first digits of its "
                "identifier"
            )
        found = [job for job in self.jobs if job.identifier.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        if not found:
            known = [job.identifier[: max(8, len(wanted))] for job in self.jobs]
            near = difflib.get_close_matches(wanted, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"no job of {self.name!r} begins with {prefix!r}{hint}")
        names = ", ".join(job.identifier[: len(wanted) + 4] for job in found[:6])
        raise ConfigError(f"{prefix!r} stands for {len(found)} jobs of {self.name!r}: {names}")

    def job(self, what: Any) -> Job:
        """Give the job of a task, of a task's output, or the one whose identifier begins so."""
        if isinstance(what, Job):
            return what
        if isinstance(what, str):
            return self[what]
        task = configs.info(what).task
        job = None if task is None else submission.job_of(task)
        if job is None:
            raise ConfigError(f"{what!r} has no job: it has not been submitted")
        return job

    def peek(self, keys: Iterable[str]) -> tuple[JobView, ...]:
        """Give the views of jobs by their keys, in that order; of unknown ones there are none."""
        return tuple(item.view() for item in self._known(keys))

    def find(self, keys: Iterable[str]) -> tuple[Job, ...]:
        """Give jobs by their keys, in that order; of unknown ones there are none."""
        return tuple(item.job for item in self._known(keys) if item.job is not None)

    def _known(self, keys: Iterable[str]) -> list[Item]:
        place = f"{self.workspace.jobs_dir}/"
        with self._lock:
            ids = [place + key for key in keys]
            found = [self._items.get(id_) or self._earlier.get(id_) for id_ in ids]
        return [item for item in found if item is not None]

    @property
    def way_back(self) -> str:
        """The line that opens this experiment again, in whatever kernel."""
        given = f"{_literal(self.name)}, workspace={_literal(str(self.workspace.root))}"
        if self.namespace != self.name:
            given += f", namespace={_literal(self.namespace)}"
        return f"from xpm_nb import start; xp = start({given})"

    def view(self) -> ExperimentView:
        """Give a frozen copy of all that is known."""
        return ExperimentView(
            name=self.name,
            workspace=str(self.workspace.root),
            namespace=self.namespace,
            jobs=tuple(item.view() for item in self._all()),
            slots=self.slots,
        )

    def table(
        self,
        *metrics: str,
        task: type | str | None = None,
        decimals: int | None = None,
        over: str | Sequence[str] | None = None,
        best: figures.Best = None,
    ) -> results.LiveTable:
        """Make a table of this run's jobs (the latest run's, before anything is submitted).

        It is there at once, and of now each time it is looked at: rows fill in while jobs finish.
        Tags that are the same for all rows have no column.

        Parameters
        ----------
        *metrics : str
            Metrics, or fields of results that are JSON objects; ``"result"`` for results that are
            plain values. By default all metrics. With names, only jobs of tasks that have them.
        task : class or str, optional
            Only jobs of this task.
        decimals : int, optional
            How many decimals they are shown with; by default, four digits that count.
        over : str or sequence of str, optional
            Tags over which rows are put together (``over="seed"``): one row for each combination of
            the other tags, with mean and deviation of the jobs that are done.
        best : "min", "max", dict or False, optional
            Which figure of a column is marked; a dictionary says it by name (``{"loss": "min"}``).
            By default the names tell: the least ``loss``, the greatest ``accuracy``, of others
            none.

        Raises
        ------
        ConfigError
            For a tag that no job has, or what `best` cannot be.
        """
        self._catch_up()
        name = configs.type_name(task, self.namespace) if isinstance(task, type) else task
        choice = results.Choice(
            metrics, decimals, (over,) if isinstance(over, str) else tuple(over or ()), best
        )
        look = partial(self._seen, name)
        results.check(choice, look())
        return results.LiveTable(self, look, choice)

    def plan(self, *tasks: Any) -> outlook.Plan:
        """Say what would become of tasks, and of those they need, if they were submitted now.

        Nothing is submitted, sealed or written. Without tasks: what has become, or will become, of
        this run's jobs.

        Parameters
        ----------
        *tasks : task, or list of tasks
            As they would be submitted (without init tasks).

        Raises
        ------
        ConfigError
            For something that is no task, or would be refused.
        """
        if tasks:
            rows = outlook.of_tasks(
                tasks, self.workspace, self.namespace, self._outlook, self.stale_policy
            )
        else:
            self._catch_up()
            rows = outlook.of_jobs(self._seen(), self.workspace)
        views = self.view().jobs
        return outlook.plan(
            rows,
            of_run=not tasks,
            slots=self.slots,
            past=estimate.durations(views),
            workspace=self.workspace,
            before=estimate.gap(views, self.slots),
        )

    def _catch_up(self) -> None:
        """Let what was submitted just now be known to the scheduler, so that it is seen so."""
        if not (self._loop.in_thread() or callbacks.current().in_thread()):
            asked = (item.entry for item in self._all() if not item.run)
            if any(e.pending or e.view.state is JobState.UNSCHEDULED for e in asked):
                self._loop.sync(VIEWS_S)

    def diff(self, a: Any, b: Any) -> compare.Diff:
        """Give where two jobs or tasks differ in their parameters.

        Of jobs that another kernel submitted, what their directories hold is compared: the classes
        need not be there.

        Parameters
        ----------
        a, b : task, job, number, or text
            What is compared; a text is the beginning of an identifier. A config that was not
            submitted will do.

        Raises
        ------
        ConfigError
            For what names no job, or a job without parameters.
        """
        sides = [what if configs.is_config(what) else self[what] for what in (a, b)]
        live = [side.config if isinstance(side, Job) else side for side in sides]
        if None not in live:
            return compare.Diff(compare.between(live[0], live[1], self.namespace))
        one, other = map(self._written, sides)
        return compare.Diff(compare.diff(one, other))

    def _written(self, side: Any) -> Mapping[str, Any]:
        """Give the parameters of a job or config as they are on disk, or would be."""
        job = side if isinstance(side, Job) else submission.job_of(side)
        found = None if job is None else records.read_params(job.entry.paths)
        if found is not None:
            return found
        config = side if job is None else job.config
        if config is None:
            assert job is not None
            who = f"{job.view().task} {job.identifier[:8]}"
            raise ConfigError(f"nothing says what {who} is: {job.entry.paths.params} is missing")
        return serial.outline(config, self.namespace)

    def _seen(self, task: str | None = None) -> list[results.Seen]:
        """Give the jobs of this run, or of the latest before it, maybe only those of a task."""
        items = self._all()
        return [
            results.Seen(item.view(), item.tags, item.entry.settled.is_set())
            for item in items
            if item.run == items[0].run
            and (task is None or task in (item.entry.view.task, item.entry.paths.type_name))
        ]

    def fate(self, task: Any) -> outlook.Fate:
        """Say what would become of a task if it were submitted here now; see `fate`."""
        if not outlook.is_task(task):
            return outlook.NONE
        try:
            paths = outlook.place_of(task, self.workspace, self.namespace)
        except XpmError as error:
            return outlook.no_identifier(error)
        return self._outlook(paths, task)[0]

    def _outlook(self, paths: JobPaths, task: Any) -> tuple[outlook.Fate, JobView | None]:
        """Say what would become of a job, and what this kernel knows of it."""
        fate, view = self._outlook_of(paths)
        return (self._judged(fate, paths, task) if fate.kind == "computed" else fate), view

    def _judged(self, fate: outlook.Fate, paths: JobPaths, task: Any) -> outlook.Fate:
        """Say of a result whether it is stale."""
        raise NotImplementedError

    def _outlook_of(self, paths: JobPaths) -> tuple[outlook.Fate, JobView | None]:
        place = str(paths.path)
        with self._lock:
            item = self._items.get(place) or self._earlier.get(place)
        if item is not None:
            view, asked = item.view(), item.entry.waits()
            return outlook.fate_of(paths, view, asked=asked), view
        other = self._loop.view(paths.key)  # of another experiment, maybe of another workspace
        known = other if other is not None and other.path == place else None
        return outlook.fate_of(paths, known), known


def _literal(text: str) -> str:
    """Write a text as Python takes it, in double quotes where it can be."""
    written = repr(text)
    if written[0] == '"' or "'" in text:
        return written
    return '"' + written[1:-1].replace('"', '\\"') + '"'
