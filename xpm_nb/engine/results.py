"""What came out of jobs: tables to read and to compute with.

Nothing here unpickles: a result counts only where it is JSON.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from xpm_nb.core import doors
from xpm_nb.core.freshness import badges
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView, TableView
from xpm_nb.engine.figures import Best, Spread, best_rows, check_best, is_number, spread, way_of
from xpm_nb.errors import ConfigError, NoResultError, RecordError, WorkspaceError
from xpm_nb.store import results
from xpm_nb.store.layout import JobPaths

MAX_DECIMALS = 6  # of figures, where nobody says how many

ResultOf = Callable[[JobView], Any]


class Seen(NamedTuple):
    """A job as a table sees it."""

    view: JobView
    tags: Mapping[str, Any]  # as they were given
    settled: bool = True  # it will not change by itself


class Choice(NamedTuple):
    """What a user wants to see in a table; see `Experiment.table`."""

    names: tuple[str, ...] = ()
    decimals: int | None = None
    over: tuple[str, ...] = ()
    best: Best = None


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows of jobs: displayed by a cell, printed as text, and a DataFrame as `df`.

    Attributes
    ----------
    columns : tuple[str, ...]
        Names.
    rows : tuple[tuple, ...]
        Values as they are; None where a job has none. Where rows stand for several jobs, figures
        are `Spread`: (mean, std, n).
    keys : tuple[str, ...]
        The job of each row, ``<type name>/<identifier>``; "" where it stands for several.
    decimals : dict[str, int]
        For the columns named here, how many decimals floats are shown with.
    best : tuple[tuple[int, int], ...]
        Row and column of the best figures.
    hidden : tuple[tuple[str, str], ...]
        Tags that are the same for all rows and have no column, with their values.
    given : tuple[int, ...]
        Numbers of the columns that are shown as they were given and not rounded: tags.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    keys: tuple[str, ...]
    caption: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)
    best: tuple[tuple[int, int], ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()
    given: tuple[int, ...] = ()

    def view(self) -> TableView:
        """Give the frozen copy for displays, all text."""
        numeric = tuple(
            any(row[i] is not None for row in self.rows)
            and all(row[i] is None or _reads_as_number(row[i]) for row in self.rows)
            for i in range(len(self.columns))
        )
        texts = [self._texts(i, name) for i, name in enumerate(self.columns)]
        rows = tuple(zip(*texts, strict=True))
        return TableView(
            self.columns, rows, numeric, self.keys, self.caption, self.best, self.hidden
        )

    def _texts(self, column: int, name: str) -> list[str]:
        """Write a column; its figures with equally many decimals, so that these can be compared."""
        values = [row[column] for row in self.rows]
        if column in self.given:
            return ["" if value is None else str(value) for value in values]
        decimals = self.decimals.get(name)
        if decimals is None:
            decimals = common_decimals(values)
        return [text_of(value, decimals) for value in values]

    @property
    def df(self) -> Any:
        """The table as a `pandas.DataFrame`, with identifiers (8 digits) as its index.

        Where rows stand for several jobs there is no such index, and a figure ``loss`` has the
        columns ``loss_mean``, ``loss_std`` and ``loss_n``.
        """
        import pandas as pd  # only where it is asked for

        names: list[str] = []
        data: list[list[Any]] = []
        for i, name in enumerate(self.columns):
            values = [row[i] for row in self.rows]
            if any(isinstance(value, Spread) for value in values):
                for part in Spread._fields:
                    names.append(f"{name}_{part}")
                    data.append([getattr(value, part, None) for value in values])
            else:
                names.append(name)
                data.append(values)
        index = None
        if all(self.keys):
            index = pd.Index([key.rpartition("/")[2][:8] for key in self.keys], name="job")
        rows = list(zip(*data, strict=True)) if self.rows else []
        return pd.DataFrame(rows, columns=names, index=index)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.rows)} rows: {', '.join(self.columns)})"

    def __str__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)


class LiveTable:
    """A `Table` that is of now, each time it is looked at: rows fill in while jobs finish.

    Attributes
    ----------
    experiment : Experiment
        Whose jobs these are.
    """

    def __init__(self, experiment: Any, look: Callable[[], Sequence[Seen]], choice: Choice) -> None:
        self.experiment = experiment
        self._look = look
        self._choice = choice
        self._results = Results()
        self._last: tuple[list[JobView], Table] | None = None

    def now(self) -> Table:
        """Give the table as it is now, which then stays as it is."""
        seen = self._look()
        views = [job.view for job in seen]
        last = self._last  # one read: the publisher's thread looks too
        if last is not None and _are(last[0], views):
            return last[1]
        made = table(seen, self._choice, self._results)
        self._last = views, made
        return made

    @property
    def finished(self) -> bool:
        """No row will change by itself any more."""
        return all(job.settled for job in self._look())

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.now().columns

    @property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """The values; see `Table`."""
        return self.now().rows

    @property
    def keys(self) -> tuple[str, ...]:
        """The job of each row; see `Table`."""
        return self.now().keys

    @property
    def df(self) -> Any:
        """The table as a `pandas.DataFrame`; see `Table.df`."""
        return self.now().df

    def view(self) -> TableView:
        """Give the frozen copy for displays, all text."""
        return self.now().view()

    def __len__(self) -> int:
        return len(self.now())

    def __repr__(self) -> str:
        return repr(self.now())

    def __str__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)


def _are(some: Sequence[JobView], others: Sequence[JobView]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


class Results:
    """Reads results of jobs where they are JSON, each attempt's once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, float | None], Any]] = {}

    def __call__(self, job: JobView) -> Any:
        """Give a job's result, None if it is no JSON."""
        attempt = job.attempt, job.ended
        known = self._known.get(job.path)
        if known is None or known[0] != attempt:
            try:
                known = self._known[job.path] = attempt, json_result(job)
            except NoResultError:  # not now: what is known of the job is old
                return None
        return known[1]


def json_result(job: JobView) -> Any:
    """Read a result where it is JSON, else None; nothing is ever unpickled for a table.

    Raises
    ------
    NoResultError
        The job is not done any more.
    """
    try:
        paths = JobPaths.of(job.path)
        return results.load_result(paths) if results.is_json(paths) else None
    except (RecordError, WorkspaceError, OSError):
        return None


def text_of(value: Any, decimals: int | None = None) -> str:
    """Write a value for a cell of a table; floats with four digits that count, or as told."""
    if value is None:
        return ""
    if isinstance(value, Spread):
        return value.text(decimals)
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def common_decimals(values: Iterable[Any]) -> int | None:
    """Say how many decimals floats need for four digits each; None where that reads badly."""
    numbers = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    texts = [f"{value:.4g}" for value in numbers]
    most = max((len(text.partition(".")[2]) for text in texts), default=MAX_DECIMALS + 1)
    return None if most > MAX_DECIMALS or any("e" in text for text in texts) else most


def _reads_as_number(value: Any) -> bool:
    return isinstance(value, Spread) or is_number(value)


# -- making one -------------------------------------------------------------------------------


def check(choice: Choice, seen: Sequence[Seen]) -> None:
    """Refuse a choice that cannot be meant.

    Raises
    ------
    ConfigError
        Naming what was wrong, and what there is.
    """
    check_best(choice.best, choice.names)
    known = dict.fromkeys(name for job in seen for name in job.tags)
    for name in choice.over if seen else ():
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "none has a tag"
            raise ConfigError(f"over: no job has a tag {name!r}; {there}")


def table(
    seen: Sequence[Seen], choice: Choice = EVERYTHING, result_of: ResultOf | None = None
) -> Table:
    """Make a table of jobs: their tags that vary, their state, and figures.

    With names, rows are of those task types only of which some job has one of the figures (of all,
    if none has any yet).

    Parameters
    ----------
    seen : sequence of Seen
        In the order of the rows.
    choice : Choice
        Which figures, and how they are shown.
    result_of : callable, optional
        Gives a job's result where it is JSON, else None.
    """
    names: Sequence[str] = choice.names
    if names:
        figures = [_figures(job.view, names, result_of) for job in seen]
        types = {
            job.view.type_name
            for job, mine in zip(seen, figures, strict=True)
            if any(value is not None for value in mine)
        }
        kept = [not types or job.view.type_name in types for job in seen]
        seen = [job for job, keep in zip(seen, kept, strict=True) if keep]
        figures = [mine for mine, keep in zip(figures, kept, strict=True) if keep]
    else:
        latest = [dict(job.view.metrics) for job in seen]
        names = list(dict.fromkeys(name for mine in latest for name in mine))
        figures = [[mine.get(name) for name in names] for mine in latest]
    several = len({job.view.type_name for job in seen}) > 1
    told_by = varying([_without(job.tags, choice.over) for job in seen])
    heads = [
        (*((job.view.task,) if several else ()), *(job.tags.get(name) for name in told_by))
        for job in seen
    ]
    columns = (*(("task",) if several else ()), *told_by, "state", *names)
    if choice.over:
        rows, keys, done = _grouped(seen, heads, figures)
    else:
        states = [state_text(job.view) for job in seen]
        rows = [
            (*head, state, *mine) for head, state, mine in zip(heads, states, figures, strict=True)
        ]
        keys = [job.view.key for job in seen]
        done = [job.view.state is JobState.DONE for job in seen]
    over = ", ".join(choice.over)
    return Table(
        columns,
        tuple(rows),
        tuple(keys),
        caption=f"mean ± deviation over {over} (how many)" if over else "",
        decimals={} if choice.decimals is None else dict.fromkeys(names, choice.decimals),
        best=tuple(_best(rows, columns, len(names), done, choice.best)),
        given=tuple(range(several, several + len(told_by))),
        hidden=_constant([job.tags for job in seen], told_by, choice.over),
    )


def _figures(job: JobView, names: Sequence[str], result_of: ResultOf | None) -> list[Any]:
    metrics = dict(job.metrics)
    result = None
    if job.state is JobState.DONE and result_of and any(name not in metrics for name in names):
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


def _grouped(
    seen: Sequence[Seen], heads: Sequence[tuple[Any, ...]], figures: Sequence[Sequence[Any]]
) -> tuple[list[tuple[Any, ...]], list[str], list[bool]]:
    """Put jobs with equal heads into one row; only those that are done count in its figures."""
    groups: dict[Any, list[int]] = {}
    for i, (job, head) in enumerate(zip(seen, heads, strict=True)):
        mark = (job.view.type_name, *((type(value), str(value)) for value in head))
        groups.setdefault(mark, []).append(i)
    width = len(figures[0]) if figures else 0
    numbers = [any(is_number(mine[i]) for mine in figures) for i in range(width)]
    rows, keys = [], []
    for members in groups.values():
        states = Counter(state_text(seen[i].view) for i in members)
        state = ", ".join(f"{count} {word}" for word, count in states.items())
        done = [figures[i] for i in members if seen[i].view.state is JobState.DONE]
        cells = [
            spread(mine[i] for mine in done) if number else _common([mine[i] for mine in done])
            for i, number in enumerate(numbers)
        ]
        rows.append((*heads[members[0]], state, *cells))
        keys.append(seen[members[0]].view.key if len(members) == 1 else "")
    return rows, keys, [True] * len(rows)


def _common(values: Sequence[Any]) -> Any:
    """Give what several values are; None if they differ."""
    return values[0] if values and all(value == values[0] for value in values) else None


def _best(
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str],
    figures: int,
    done: Sequence[bool],
    best: Best,
) -> Iterable[tuple[int, int]]:
    """Give the places of the best figures; those of jobs that are not done are not final."""
    for column in range(len(columns) - figures, len(columns)):
        values = [row[column] if sure else None for row, sure in zip(rows, done, strict=True)]
        for row in best_rows(values, way_of(columns[column], best)):
            yield row, column


def state_text(job: JobView) -> str:
    """Write a state with its reason; of a result, whether it or its environment is another now."""
    if words := badges(job.stale, job.drift):
        return f"{job.state.value} ({', '.join(words)})"
    return job.state.value if job.reason is None else f"{job.state.value} ({job.reason.value})"


def _without(tags: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    return {k: v for k, v in tags.items() if k not in names} if names else tags


def varying(tags: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the tags that tell rows apart; all of them if there is one row."""
    tags = list(tags)
    names = dict.fromkeys(name for mine in tags for name in mine)
    if len(tags) < 2:
        return list(names)
    return [n for n in names if len({(type(t.get(n)), str(t.get(n))) for t in tags}) > 1]


def _constant(
    tags: Sequence[Mapping[str, Any]], shown: Sequence[str], over: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Give the tags that tell no rows apart, with their values."""
    found = {name: value for mine in tags for name, value in mine.items()}
    return tuple(
        (n, "" if v is None else str(v))
        for n, v in found.items()
        if n not in shown and n not in over
    )
