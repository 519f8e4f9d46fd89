"""Many jobs as HTML and text: an experiment with its counts, table, graph, curves and way back."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from xpm_nb.core import drawing
from xpm_nb.core.freshness import BADGES, DRIFTED
from xpm_nb.core.states import JobState
from xpm_nb.core.views import CurveView, ExperimentView, GraphView, JobView
from xpm_nb.engine.results import common_decimals
from xpm_nb.notebook.html_job import (
    Room,
    elapsed_s,
    first_line,
    has_callback_error,
    progress_bar,
    said_html,
    state_word,
)
from xpm_nb.notebook.markup import (
    MAX_MESSAGE,
    Html,
    body,
    clean,
    el,
    foot,
    join,
    long_title,
    page,
    table,
)
from xpm_nb.notebook.svg import curves_svg, graph_svg
from xpm_nb.notebook.words import (
    MARKS,
    MAX_TAGS,
    STATE_ORDER,
    count_states,
    counts_text,
    duration_text,
    identifier_code,
    left_text,
    noted_state,
    number_text,
    plural,
    short,
)

MAX_ROWS = 100  # of jobs; the rest is counted in a line below them
MAX_SIZE = 44_000  # characters of the rows, of those that are cut anyway
MAX_URGENT = 40  # jobs in error or running behind the last row that are shown all the same
MAX_LAYOUT = 2_000  # jobs whose graph is laid out again for each picture while they change
MAX_BOXES = 12  # jobs that are drawn one by one: a saved picture cannot be zoomed
MAX_METRIC_COLUMNS = 8
MAX_NAME = 28  # characters of a task's name beside an identifier, as in the panel
MAX_NOTES = 12_000  # characters of messages and of what callbacks said, of all rows together


def experiment_html(
    view: ExperimentView,
    *,
    now: float | None = None,
    stable: bool = False,
    uid: str = "",
    back: str = "",
    eta: float | None = None,
    graph: GraphView | None = None,
    curves: Sequence[CurveView] = (),
) -> str:
    """Show an experiment: counts, a bar, a table with one row a job, its graph and its curves.

    Parameters
    ----------
    view : ExperimentView
        The experiment with its jobs.
    now : float, optional
        The time, for the elapsed times of running jobs.
    stable : bool
        Leave out what differs between two runs of one notebook.
    uid : str
        The live display that this one stands in for.
    back : str
        One line of Python that opens this experiment again.
    eta : float, optional
        Seconds until all jobs have ended, as far as one can know.
    graph : GraphView, optional
        What needs what; by default laid out here, but for many jobs that still change.
    curves : sequence of CurveView
        Metrics over steps.
    """
    live = not stable and not view.finished
    parts: list[object] = [_jobs_head(view.name, view.jobs, eta if live else None)]
    if not view.jobs:
        parts.append(foot("no jobs yet: submit a task and it appears here"))
    else:
        parts += [_bar(view.counts, len(view.jobs)), *_jobs_table(view.jobs, now, stable)]
    if graph is None and (view.finished or len(view.jobs) <= MAX_LAYOUT):
        graph = drawing.graph(view.jobs, by="job" if len(view.jobs) <= MAX_BOXES else "task")
    if graph is not None and graph.edges:
        size = plural(len(graph.nodes), graph.by)
        parts.append(_folded(f"graph: {size}", graph_svg(graph)))
    if curves:
        names = ", ".join(clean(n, 40) for n in list(dict.fromkeys(c.metric for c in curves))[:8])
        parts.append(_folded(f"curves: {names}", curves_svg(curves)))
    if not stable and view.workspace:
        words: list[object] = ["workspace ", el("code", clean(view.workspace, 400))]
        if now is not None and live:  # a saved picture is not kept up to date
            words.append(time.strftime(", as of %H:%M:%S", time.localtime(now)))
        parts.append(foot(*words))
    if back and not stable:
        parts.append(foot("open it again: ", el("code", clean(back, 600), cls="xpm-copy")))
    return page("experiment", *parts, uid=uid)


def jobs_html(
    jobs: Sequence[JobView], title: str = "jobs", *, now: float | None = None, stable: bool = False
) -> str:
    """Show some jobs as an experiment's table shows them."""
    return page("jobs", _jobs_head(title, jobs), *_jobs_table(jobs, now, stable))


def _folded(title: str, content: Html) -> Html:
    return el("details", el("summary", title), content)


def _jobs_head(title: str, jobs: Sequence[JobView], eta: float | None = None) -> Html:
    counts = count_states(jobs)
    words = [
        el(
            "span",
            el("span", MARKS[state], cls="xpm-mark"),
            f" {counts[state.value]} {state.value}",
            cls=f"xpm-count xpm-{state.value}",
        )
        for state in STATE_ORDER
        if counts[state.value]
    ]
    words.insert(0, el("span", plural(len(jobs), "job"), cls="xpm-count xpm-dim"))
    if eta is not None:
        words.append(el("span", left_text(eta), cls="xpm-count xpm-dim"))
    name = el("strong", el("bdi", clean(title, 100)))
    return el("p", name, " ", join(words, " "), cls="xpm-head")


def _bar(counts: dict[str, int], total: int) -> Html:
    parts = [
        el(
            "span",
            cls=f"xpm-{state.value}",
            style=f"width:{100 * counts[state.value] / total:.2f}%",
        )
        for state in STATE_ORDER
        if counts[state.value]
    ]
    return el("div", *parts, cls="xpm-bar", role="img", aria_label=counts_text(counts))


def _jobs_table(jobs: Sequence[JobView], now: float | None, stable: bool) -> list[Html]:
    if stable:  # what callbacks say, and when, is up to them
        jobs = [replace(job, said=()) for job in jobs]
    rows, left_out = _choose(jobs)
    columns = _Columns(jobs, now, stable)
    notes = _Notes(rows)
    content: list[Html] = []
    room = MAX_SIZE if left_out else math.inf
    for i, job in enumerate(rows):
        images = notes.room.left
        made = notes.rows(job, columns.cells(job, notes.asides(job, stable)))
        room -= sum(map(len, made)) - (images - notes.room.left)
        if room < 0:
            left_out = [*rows[i:], *left_out]
            break
        content += made
    parts = [table([clean(name, 60) for name in columns.head], content, columns.numeric)]
    if left_out:
        parts.append(foot(f"… and {len(left_out)} more: {counts_text(count_states(left_out))}"))
    if columns.same:
        words = (f"{clean(name, 60)}={clean(value, 60)}" for name, value in columns.same[:MAX_TAGS])
        parts.append(foot("constant: ", ", ".join(words)))
    if columns.hidden:
        parts.append(foot(f"{plural(columns.hidden, 'column')} not shown"))
    return parts


class _Columns:
    """Which columns a table of jobs has: the tags that vary, metrics, progress and times if any."""

    def __init__(self, jobs: Sequence[JobView], now: float | None, stable: bool) -> None:
        tags, self.same = _varying(jobs)
        metrics = _names(job.metrics for job in jobs)
        self.metrics = metrics[:MAX_METRIC_COLUMNS]
        self.tags = {name: _all_numbers(jobs, name) for name in tags[:MAX_TAGS]}
        self.hidden = len(tags) - len(self.tags) + len(metrics) - len(self.metrics)
        self.progress = any(
            job.progress is not None and job.state is not JobState.DONE for job in jobs
        )
        self.times = not stable and any(elapsed_s(job, now) is not None for job in jobs)
        self.now = now
        # Two digits are what one may expect to be equal on another processor.
        self.digits = 2 if stable else 4
        figures = [dict(job.metrics) for job in jobs]
        self.decimals = {
            name: None if stable else common_decimals(row.get(name) for row in figures)
            for name in self.metrics
        }

    @property
    def head(self) -> list[str]:
        middle = [*self.tags, *["progress"] * self.progress, *self.metrics]
        return ["job", "state", *middle, *["time"] * self.times]

    @property
    def numeric(self) -> list[bool]:
        metrics = [True] * len(self.metrics)
        return [False, False, *self.tags.values(), *[False] * self.progress, *metrics, self.times]

    def cells(self, job: JobView, asides: Sequence[str]) -> list[Html]:
        """Give the cells of a job's row."""
        name: object = clean(job.task, MAX_NAME)
        if full := long_title(job.task, MAX_NAME):
            name = el("span", name, title=full)
        cells = [el("td", name, " ", identifier_code(job.identifier))]
        cells.append(el("td", noted_state(job.state, job.reason, asides)))
        values, figures = dict(job.tags), dict(job.metrics)
        cells += [_tag_cell(values.get(name, ""), number) for name, number in self.tags.items()]
        if self.progress:
            cells.append(el("td", "" if job.state is JobState.DONE else progress_bar(job)))
        texts = [
            number_text(figures[name], self.digits, decimals) if name in figures else ""
            for name, decimals in self.decimals.items()
        ]
        if self.times:
            elapsed = elapsed_s(job, self.now)
            texts.append("" if elapsed is None else duration_text(elapsed))
        return [*cells, *(el("td", text, cls="xpm-num") for text in texts)]


def _tag_cell(value: str, number: bool) -> Html:
    title = long_title(value, 60)
    return el("td", clean(value, 60), title=title, cls="xpm-num" if number else None)


class _Notes:
    """What stands below the rows of a table: what went wrong and what callbacks said.

    Many jobs often fail in one and the same way: their message is written once.
    """

    def __init__(self, jobs: Sequence[JobView]) -> None:
        noted = sum(bool(job.message or job.callback_error or job.said) for job in jobs)
        self.limit = max(120, min(2 * MAX_MESSAGE, MAX_NOTES // max(1, noted)))
        self.room = Room()
        self.first: dict[str, str] = {}  # message -> the key of the first job that has it
        for job in jobs:
            self.first.setdefault(job.message, job.key)

    def repeats(self, job: JobView) -> bool:
        """Tell whether a job's message stands below another job already."""
        return bool(job.message) and self.first[job.message] != job.key

    def asides(self, job: JobView, stable: bool) -> list[str]:
        """Give small words behind a job's state."""
        words = ["as above"] if self.repeats(job) else []
        words += ["source unknown"] if job.unknown else []
        words += [BADGES[job.stale]] if job.stale in BADGES else []
        if not stable:
            words += [DRIFTED] if job.drift else []
            words += ["reused"] if job.reused else []
            words += ["started by another kernel"] if job.elsewhere else []
            words += [f"attempt {job.attempt}"] if job.attempt > 1 else []
        return words

    def rows(self, job: JobView, cells: Sequence[Html]) -> list[Html]:
        """Give the row of a job, and one below it with its notes, if it has any."""
        limit = min(self.limit, MAX_MESSAGE)
        why, aside = [], ""
        if job.message and not self.repeats(job):
            message = clean(job.message, limit, lines=True)
            if job.state is JobState.ERROR:
                why.append(message)
            else:  # a remark, such as what became of a transient result
                aside = message
        if has_callback_error(job):
            why.append("callback: " + clean(job.callback_error, limit, lines=True))
        names, text = f"xpm-{job.state.value}-row", "\n".join(why)
        if not text and not aside and not job.said:
            return [el("tr", *cells, cls=names)]
        told = join(
            [
                el("p", body(aside), cls="xpm-aside") if aside else "",
                el("pre", body(text), cls="xpm-why") if text else "",
            ]
        )
        said = said_html(job.said, self.limit, self.room) if job.said else ""
        # Where style sheets are taken away, front-ends align what is in tables to the right.
        note = el("td", told, said, colspan=str(len(cells)), style="text-align:left")
        return [el("tr", *cells, cls=f"{names} xpm-with-note"), el("tr", note, cls="xpm-note")]


def _varying(jobs: Sequence[JobView]) -> tuple[list[str], list[tuple[str, str]]]:
    """Give the tags that differ between jobs, and with their value those that do not."""
    values: dict[str, list[str]] = {}
    for job in jobs:
        for name, value in job.tags:
            values.setdefault(name, []).append(value)
    tagged = sum(bool(job.tags) for job in jobs)
    same = [
        (name, found[0])
        for name, found in values.items()
        if len(found) == tagged > 1 and len(set(found)) == 1
    ]
    shared = dict(same)
    return [name for name in values if name not in shared], same


def _all_numbers(jobs: Iterable[JobView], tag: str) -> bool:
    """Tell whether all values of a tag are numbers, so that they stand below each other."""
    texts = [text for job in jobs for name, text in job.tags if name == tag]
    try:
        return all(math.isfinite(float(text)) for text in texts)
    except ValueError:
        return False


def _names(pairs: Iterable[Sequence[tuple[str, object]]]) -> list[str]:
    """Give the distinct names of all pairs, in the order in which they are met."""
    return list(dict.fromkeys(name for some in pairs for name, _ in some))


def _choose(jobs: Sequence[JobView]) -> tuple[list[JobView], list[JobView]]:
    """Split jobs into those with a row and those that are only counted.

    The first ones have a row, and of the others those in error and those that run.
    """
    late = [i for i in range(MAX_ROWS, len(jobs)) if jobs[i].state is JobState.ERROR]
    late += [i for i in range(MAX_ROWS, len(jobs)) if jobs[i].state is JobState.RUNNING]
    late = sorted(late[:MAX_URGENT])
    first = min(len(jobs), MAX_ROWS) - len(late)
    shown = {*range(first), *late}
    return (
        [job for i, job in enumerate(jobs) if i in shown],
        [job for i, job in enumerate(jobs) if i not in shown],
    )


# -- text ---------------------------------------------------------------------------------------


def experiment_text(view: ExperimentView, *, back: str = "", stable: bool = False) -> str:
    """Write an experiment in a line, one more for each of the first failures, and the way back."""
    lines = jobs_text(view.jobs, view.name, stable=stable)
    return f"{lines}\n  open it again: {clean(back, 600)}" if back else lines


def jobs_text(jobs: Sequence[JobView], title: str = "jobs", *, stable: bool = False) -> str:
    """Write jobs in a line, and one more for each of the first failures."""
    counts = counts_text(count_states(jobs))
    lines = [
        f"{clean(title, 100)}: {plural(len(jobs), 'job')}" + (f" ({counts})" if counts else "")
    ]
    bad = [job for job in jobs if job.state is JobState.ERROR]
    for job in bad[:5]:
        why = first_line(job.message)
        lines.append(f"  {_name(job)} {state_word(job)}" + (f": {why}" if why else ""))
    if len(bad) > 5:
        lines.append(f"  … and {len(bad) - 5} more in error")
    lines += [f"  {text}" for text in _stale_lines(jobs)]
    lines += [] if stable else [f"  {text}" for text in _drift_lines(jobs)]
    noted = [job for job in jobs if job.state is JobState.DONE and job.message][:5]
    lines += [f"  {_name(job)} {first_line(job.message)}" for job in noted]
    told = [job for job in jobs if job.callback_error][:5]
    lines += [f"  {_name(job)} callback: {first_line(job.callback_error)}" for job in told]
    return "\n".join(lines)


def _stale_lines(jobs: Sequence[JobView]) -> list[str]:
    """Count what is stale, by why it is."""
    found = Counter(job.stale for job in jobs)
    return [f"{plural(found[why], 'result')} {text}" for why, text in BADGES.items() if found[why]]


def _drift_lines(jobs: Sequence[JobView]) -> list[str]:
    """Count the results of other environments, and say how these differ if they do in one way."""
    found = Counter(job.drift for job in jobs if job.drift)
    if not found:
        return []
    how = f" ({clean(next(iter(found)), MAX_MESSAGE)})" if len(found) == 1 else ""
    return [f"{plural(found.total(), 'result')}: {DRIFTED}{how}"]


def _name(job: JobView) -> str:
    return f"{clean(job.task, 60)} [{short(job.identifier)}]"
