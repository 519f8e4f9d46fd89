"""Some jobs of an experiment, as one value: what ``xp.jobs`` gives.

Each job is an attribute too, so that Tab finds it: ``xp.jobs.train_1f3a9c02``.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from typing import Any, SupportsIndex, overload

from xpm_nb.core import doors
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView, TableView
from xpm_nb.engine.job import Job
from xpm_nb.engine.results import state_text, varying

DIGITS = 8  # of an identifier, in a name
# As the panel counts them: what is over, then what goes on, then what has not begun.
_ORDER = (JobState.DONE, JobState.ERROR, *(s for s in reversed(JobState) if not s.final))
_NAME = re.compile(r"(?P<task>\w+)_(?P<digits>[0-9a-f]{4,64})")  # fewer digits will do
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def name_of(view: JobView, digits: int = DIGITS) -> str:
    """Give the name under which a job is an attribute: ``train_1f3a9c02``."""
    return f"{_snake(view.task)}_{view.identifier[:digits]}"


def _snake(task: str) -> str:
    return re.sub(r"\W+", "_", _HUMP.sub("_", task.rpartition(".")[2])).strip("_").lower() or "job"


class Jobs(tuple[Job, ...]):
    """Jobs in an order: a tuple that is displayed as a table.

    Examples
    --------
    >>> xp.jobs[:2]  # doctest: +SKIP
    >>> xp.jobs.train_1f3a9c02.log()  # doctest: +SKIP
    """

    note = ""
    """A sentence below the table: of what is not among them, and why."""

    def noted(self, note: str) -> Jobs:
        """Give the same jobs, with a note."""
        found = Jobs(self)
        found.note = note
        return found

    @overload
    def __getitem__(self, index: SupportsIndex) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> Jobs: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Job | Jobs:
        found = super().__getitem__(index)
        return found if isinstance(found, Job) else Jobs(found)

    def __add__(self, other: Any) -> Any:
        whole = super().__add__(other)
        return Jobs(whole) if isinstance(other, Jobs) else whole

    def __getattr__(self, name: str) -> Job:
        match = _NAME.fullmatch(name)
        found = []
        if match is not None:
            task, digits = match["task"], match["digits"]
            found = [
                job
                for job in self
                if job.identifier.startswith(digits) and _snake(job.view().task) == task
            ]
        if len(found) == 1:
            return found[0]
        text = f"{len(found)} jobs are called {name!r}" if found else f"no job is called {name!r}"
        if match is not None and not found:
            near = difflib.get_close_matches(name, [name_of(job.view()) for job in self], 1)
            text += f"; did you mean {near[0]}?" if near else ""
        raise AttributeError(text, name=name, obj=self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name_of(job.view()) for job in self)]

    def view(self) -> TableView:
        """Give the frozen copy for displays."""
        views = [job.view() for job in self]
        names = varying([dict(view.tags) for view in views])
        tags = [[dict(view.tags).get(name, "") for name in names] for view in views]
        errors = any(view.message for view in views)
        rows = []
        for view, mine in zip(views, tags, strict=True):
            row = (name_of(view), *mine, state_text(view))
            rows.append((*row, _first_line(view.message)) if errors else row)
        numeric = [_are_numbers([mine[i] for mine in tags]) for i in range(len(names))]
        return TableView(
            columns=("job", *names, "state", *(("message",) if errors else ())),
            rows=tuple(rows),
            numeric=(False, *numeric, False, *((False,) if errors else ())),
            keys=tuple(view.key for view in views),
            caption="\n".join(filter(None, [self._summary(" (", ")"), self.note])),
        )

    def _summary(self, before: str, after: str) -> str:
        counts = Counter(job.state for job in self)
        told = ", ".join(f"{counts[state]} {state.value}" for state in _ORDER if counts[state])
        many = f"{len(self)} job{'' if len(self) == 1 else 's'}"
        return f"{many}{before}{told}{after}" if told else many

    @property
    def df(self) -> Any:
        """A `pandas.DataFrame` with a row for each job: what it is, its tags, times and metrics."""
        import pandas as pd  # only where it is asked for

        views = [job.view() for job in self]
        index = pd.Index([view.identifier[:DIGITS] for view in views], name="job")
        frame = pd.DataFrame([_record(view) for view in views], index=index)
        for name in frame.columns.intersection(["submitted", "started", "ended"]):
            frame[name] = pd.to_datetime(frame[name], unit="s", utc=True)
        return frame

    def __repr__(self) -> str:
        return f"Jobs({self._summary(': ', '')}{f'; {self.note}' if self.note else ''})"

    def __str__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # IPython has a text form of its own for tuples, which goes before that of the bundle.
        printer.text(str(self))


def _record(view: JobView) -> dict[str, Any]:
    """Give a job's row for pandas; what has a name that is taken gets a longer one."""
    row: dict[str, Any] = {
        "task": view.task,
        "state": view.state.value,
        "reason": None if view.reason is None else view.reason.value,
        "submitted": view.submitted,
        "started": view.started,
        "ended": view.ended,
        "attempt": view.attempt,
        "reused": view.reused,
        "path": view.path,
    }
    for kind, pairs in (("tag", view.tags), ("metric", view.metrics)):
        row |= {(f"{kind} {name}" if name in row else name): value for name, value in pairs}
    return row


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _are_numbers(texts: list[str]) -> bool:
    given = [text for text in texts if text]
    try:
        return bool([float(text) for text in given])
    except ValueError:
        return False
