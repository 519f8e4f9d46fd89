"""Many jobs as HTML and text: an experiment with its counts, table, graph, curves and way back."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence

from xpm_nb.core.states import JobState
from xpm_nb.core.views import CurveView, ExperimentView, GraphView, JobView
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
    number_text,
    plural,
    short,
    state_mark,
)

MAX_ROWS = 100  # of jobs; the rest is counted in a line below them
MAX_URGENT = 40  # jobs in error or running behind the last row that are shown all the same
MAX_METRIC_COLUMNS = 8
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
        What needs what.
    curves : sequence of CurveView
        Metrics over steps.
    """
    live = not stable and not view.finished
    parts: list[object] = [_jobs_head(view.name, view.jobs, eta if live else None)]
    if not view.jobs:
        parts.append(foot("no jobs yet: submit a task and it appears here"))
    else:
        parts += [_bar(view.counts, len(view.jobs)), *_jobs_table(view.jobs, now, stable)]
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
    tags, same = _varying(jobs)
    metrics = _names(job.metrics for job in jobs)
    shown_tags, shown_metrics = tags[:MAX_TAGS], metrics[:MAX_METRIC_COLUMNS]
    progress = any(j.progress is not None and j.state is not JobState.DONE for j in jobs)
    times = not stable and any(elapsed_s(job, now) is not None for job in jobs)
    numbers = [_all_numbers(jobs, name) for name in shown_tags]
    head = ["job", "state", *shown_tags, *["progress"] * progress, *shown_metrics]
    numeric = [False, False, *numbers, *[False] * progress, *[True] * len(shown_metrics)]
    if times:
        head, numeric = [*head, "time"], [*numeric, True]
    rows, left_out = _choose(jobs)
    columns = dict(zip(shown_tags, numbers, strict=True))
    content: list[Html] = []
    noted = sum(bool(job.message or job.callback_error or job.said) for job in rows)
    room, limit = Room(), max(120, min(2 * MAX_MESSAGE, MAX_NOTES // max(1, noted)))
    for job in rows:
        cells = _job_cells(job, columns, shown_metrics, progress, stable)
        if times:
            elapsed = elapsed_s(job, now)
            cells.append(el("td", "" if elapsed is None else duration_text(elapsed), cls="xpm-num"))
        content += _job_rows(job, cells, limit, room)
    parts = [table([clean(name, 60) for name in head], content, numeric)]
    if left_out:
        parts.append(foot(f"… and {len(left_out)} more: {counts_text(count_states(left_out))}"))
    if same:
        words = (f"{clean(name, 60)}={clean(value, 60)}" for name, value in same[:MAX_TAGS])
        parts.append(foot("constant: ", ", ".join(words)))
    hidden = len(tags) - len(shown_tags) + len(metrics) - len(shown_metrics)
    if hidden:
        parts.append(foot(f"{plural(hidden, 'column')} not shown"))
    return parts


def _varying(jobs: Sequence[JobView]) -> tuple[list[str], list[tuple[str, str]]]:
    """Give the tags that differ between jobs, and those that all jobs with tags share, with their value."""
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


def _job_cells(
    job: JobView, tags: Mapping[str, bool], metrics: Sequence[str], progress: bool, stable: bool
) -> list[Html]:
    """Give the cells of a job's row; `tags` says of each whether its column holds numbers."""
    state: list[object] = [state_mark(job.state, job.reason)]
    aside = [] if stable else _asides(job)
    if aside:
        state.append(el("span", " " + ", ".join(aside), cls="xpm-dim"))
    cells = [
        el("td", clean(job.task, 60), " ", identifier_code(job.identifier)),
        el("td", *state),
    ]
    values = dict(job.tags)
    cells += [
        el(
            "td",
            clean(values.get(name, ""), 60),
            title=long_title(values.get(name, ""), 60),
            cls="xpm-num" if number else None,
        )
        for name, number in tags.items()
    ]
    if progress:
        cells.append(el("td", "" if job.state is JobState.DONE else progress_bar(job)))
    numbers = dict(job.metrics)
    # Two digits are what one may expect to be equal on another processor.
    digits = 2 if stable else 4
    cells += [
        el("td", number_text(numbers[name], digits) if name in numbers else "", cls="xpm-num")
        for name in metrics
    ]
    return cells


def _asides(job: JobView) -> list[str]:
    words = []
    if job.reused:
        words.append("reused")
    if job.elsewhere:
        words.append("started by another kernel")
    if job.attempt > 1:
        words.append(f"attempt {job.attempt}")
    return words


def _job_rows(job: JobView, cells: list[Html], limit: int, room: Room) -> list[Html]:
    """Give the row of a job, and one below it with what went wrong and what callbacks said."""
    notes = []
    if job.message:
        notes.append(clean(job.message, min(limit, MAX_MESSAGE), lines=True))
    if has_callback_error(job):
        notes.append("callback: " + clean(job.callback_error, min(limit, MAX_MESSAGE), lines=True))
    names = f"xpm-{job.state.value}-row"
    if not notes and not job.said:
        return [el("tr", *cells, cls=names)]
    told = el("pre", body("\n".join(notes)), cls="xpm-why") if notes else ""
    said = said_html(job.said, limit, room) if job.said else ""
    note = el("td", told, said, colspan=str(len(cells)))
    return [el("tr", *cells, cls=f"{names} xpm-with-note"), el("tr", note, cls="xpm-note")]


# -- text ---------------------------------------------------------------------------------------


def experiment_text(view: ExperimentView, *, back: str = "") -> str:
    """Write an experiment in a line, one more for each of the first failures, and the way back."""
    lines = jobs_text(view.jobs, view.name)
    return f"{lines}\n  open it again: {clean(back, 600)}" if back else lines


def jobs_text(jobs: Sequence[JobView], title: str = "jobs") -> str:
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
    told = [job for job in jobs if job.callback_error][:5]
    lines += [f"  {_name(job)} callback: {first_line(job.callback_error)}" for job in told]
    return "\n".join(lines)


def _name(job: JobView) -> str:
    return f"{clean(job.task, 60)} [{short(job.identifier)}]"
