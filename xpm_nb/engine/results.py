"""What came out of jobs: tables to read and to compute with.

Nothing here unpickles: a result counts only where it is JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xpm_nb.core import doors
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView, TableView

# What `Experiment.plan` says will become of a job, by its state.
_FATE = {
    JobState.UNSCHEDULED: "would run",
    JobState.WAITING: "will run",
    JobState.READY: "will run",
    JobState.SCHEDULED: "is starting",
    JobState.RUNNING: "is running",
    JobState.DONE: "is done",
    JobState.ERROR: "stays in error until it is submitted again",
}


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows of jobs: displayed by a cell, printed as text, and a DataFrame as `df`.

    Attributes
    ----------
    columns : tuple[str, ...]
        Names.
    rows : tuple[tuple, ...]
        Values as they are; None where a job has none.
    keys : tuple[str, ...]
        The job of each row, ``<type name>/<identifier>``.
    decimals : dict[str, int]
        For the columns named here, how many decimals floats are shown with.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    keys: tuple[str, ...]
    caption: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)

    def view(self) -> TableView:
        """Give the frozen copy for displays, all text."""
        numeric = tuple(
            any(row[i] is not None for row in self.rows)
            and all(row[i] is None or is_number(row[i]) for row in self.rows)
            for i in range(len(self.columns))
        )
        shown = [self.decimals.get(name) for name in self.columns]
        rows = tuple(tuple(map(text_of, row, shown)) for row in self.rows)
        return TableView(self.columns, rows, numeric, self.keys, self.caption)

    @property
    def df(self) -> Any:
        """The table as a `pandas.DataFrame`, with identifiers (8 digits) as its index."""
        import pandas as pd  # only where it is asked for

        index = pd.Index([key.rpartition("/")[2][:8] for key in self.keys], name="job")
        return pd.DataFrame(list(self.rows), columns=list(self.columns), index=index)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Table({len(self.rows)} rows: {', '.join(self.columns)})"

    def __str__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)


def is_number(value: Any) -> bool:
    """Tell whether a value is one that is read as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def text_of(value: Any, decimals: int | None = None) -> str:
    """Write a value for a cell of a table; floats with four digits that count, or as told."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def table(
    jobs: Sequence[JobView],
    tags: Mapping[str, Mapping[str, Any]],
    names: Sequence[str] = (),
    result_of: Callable[[JobView], Any] = lambda job: None,
    *,
    decimals: int | None = None,
) -> Table:
    """Make a table of jobs: their tags that vary, their state, and figures.

    Parameters
    ----------
    jobs : sequence of JobView
        In the order of the rows.
    tags : mapping
        For each job's key, its tags as they were given.
    names : sequence of str
        Metrics, or fields of results that are JSON objects; ``"result"`` is a whole result that is
        a number or text. By default all metrics. With names, rows are of those task types only of
        which some job has one of the figures (of all, if none has any yet).
    result_of : callable
        Gives a job's result where it is JSON, else None.
    decimals : int, optional
        How many decimals the figures are shown with; by default, four digits that count.
    """
    figures = {job.key: _figures(job, names, result_of) for job in jobs}
    if names:
        types = {job.type_name for job in jobs if any(v is not None for v in figures[job.key])}
        jobs = [job for job in jobs if not types or job.type_name in types]
    else:
        names = list(dict.fromkeys(name for job in jobs for name, _ in job.metrics))
        figures = {job.key: [dict(job.metrics).get(name) for name in names] for job in jobs}
    several = len({job.type_name for job in jobs}) > 1
    varying = _varying([tags.get(job.key, {}) for job in jobs])
    columns = [*(["task"] if several else []), *varying, "state", *names]
    rows = []
    for job in jobs:
        mine = tags.get(job.key, {})
        head = [job.task] if several else []
        rows.append((*head, *(mine.get(n) for n in varying), state_text(job), *figures[job.key]))
    shown = {} if decimals is None else dict.fromkeys(names, decimals)
    return Table(tuple(columns), tuple(rows), tuple(job.key for job in jobs), decimals=shown)


def plan_table(jobs: Sequence[JobView], tags: Mapping[str, Mapping[str, Any]]) -> Table:
    """Make a table of what has become, or will become, of jobs."""
    varying = _varying([tags.get(job.key, {}) for job in jobs])
    by_key = {job.key: job for job in jobs}
    rows = []
    for job in jobs:
        needs = ", ".join(_short(key, by_key) for key in job.dependencies)
        mine = tags.get(job.key, {})
        row = (job.task, job.identifier[:8], *(mine.get(n) for n in varying), needs or None)
        rows.append((*row, _FATE[job.state]))
    columns = ("task", "job", *varying, "needs", "plan")
    return Table(columns, tuple(rows), tuple(job.key for job in jobs))


def state_text(job: JobView) -> str:
    """Write a state with its reason."""
    return job.state.value if job.reason is None else f"{job.state.value} ({job.reason.value})"


def _short(key: str, known: Mapping[str, JobView]) -> str:
    type_name, _, identifier = key.rpartition("/")
    name = known[key].task if key in known else type_name.rpartition(".")[2]
    return f"{name} {identifier[:8]}"


def _varying(tags: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the tags that tell rows apart; all of them if there is one row."""
    tags = list(tags)
    names = dict.fromkeys(name for mine in tags for name in mine)
    if len(tags) < 2:
        return list(names)
    return [n for n in names if len({(type(t.get(n)), str(t.get(n))) for t in tags}) > 1]


def _figures(job: JobView, names: Sequence[str], result_of: Callable[[JobView], Any]) -> list[Any]:
    metrics = dict(job.metrics)
    result = None
    if job.state is JobState.DONE and any(name not in metrics for name in names):
        result = result_of(job)
    out: list[Any] = []
    for name in names:
        value = metrics.get(name)
        if value is None and isinstance(result, dict):
            value = result.get(name)
        elif value is None and name == "result":
            value = result
        out.append(value)
    return out
