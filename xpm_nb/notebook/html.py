"""The static form of every view: `text/html` that reads well with no style, and `text/plain`.

Rule 1: a piece of text is markup only if it is an `Html`; `el` escapes everything else, so nothing
that came from a user, a log or a path can become a tag or an attribute.
Rule 2: no script, no link, no image; styles carry colours and spacing, never meaning.
Rule 3: pure functions of frozen views. The time comes as an argument; `stable=True` leaves out
whatever differs between two runs of one notebook (times, paths, whether a job was reused).

Nothing here knows IPython: the command line and reports use these functions too.
"""

from __future__ import annotations

import html as _html
import math
import re
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import ConfigView, ExperimentView, JobView, ParamView, TableView

MAX_ROWS = 200  # of a table; the rest is counted in a line below it
MAX_LATE_ERRORS = 20  # jobs in error behind the last row that are shown all the same
MAX_TAG_COLUMNS = 12
MAX_METRIC_COLUMNS = 8
MAX_DEPTH = 8  # of nested configs
MAX_PARAMS = 60  # of one config
MAX_TEXT = 160  # characters of one value
MAX_MESSAGE = 600
MAX_LOG = 20_000
TEXT_ROWS = 60  # of a table in text/plain

# A mark and a word for each state: the mark is for the eye, the word for everybody.
MARKS = {
    JobState.UNSCHEDULED: "·",
    JobState.WAITING: "○",
    JobState.READY: "◔",
    JobState.SCHEDULED: "◑",
    JobState.RUNNING: "▶",
    JobState.DONE: "✓",
    JobState.ERROR: "✗",
}
# From what has ended to what has not begun: the order of counts and of the bar above a table.
STATE_ORDER = (
    JobState.DONE,
    JobState.ERROR,
    JobState.RUNNING,
    JobState.SCHEDULED,
    JobState.READY,
    JobState.WAITING,
    JobState.UNSCHEDULED,
)

# Characters that would act on the text around them, or not show at all: control characters (but
# for tab and newline), marks of direction, invisible separators, half surrogate pairs, tag letters.
_INERT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[@-Z\\-_])")


class Html(str):
    """Text that is markup already; whatever is not gets escaped."""

    __slots__ = ()


def clean(text: object, limit: int = MAX_TEXT, *, lines: bool = False) -> str:
    """Make text harmless to look at: invisible and directing characters shown as escapes, cut.

    Parameters
    ----------
    text : object
        Anything; what is not text goes through `str`.
    limit : int
        Characters of the input that are kept; an ellipsis says that there were more.
    lines : bool
        Keep line ends and tabs; otherwise they are shown as escapes too.
    """
    raw = text if isinstance(text, str) else str(text)
    cut = raw if len(raw) <= limit else raw[: max(limit - 1, 0)]
    shown = _INERT.sub(lambda match: _escape_sequence(match[0]), cut)
    if not lines:
        shown = shown.replace("\n", "\\n").replace("\t", "\\t")
    return shown if cut is raw else shown + "…"


def clean_log(text: str, limit: int = MAX_LOG) -> str:
    """Make the end of a log readable: no colour codes, a rewritten line only in its last form."""
    tail = text[-limit:]
    plain = _ANSI.sub("", tail).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]
    body = clean("\n".join(lines).strip("\n"), limit, lines=True)
    return body if len(tail) == len(text) else "…\n" + body


def el(tag: str, *children: object, **attributes: str | None) -> Html:
    """Make an element; children that are not `Html` are escaped, attributes always.

    `cls` stands for ``class``, an underscore in a name for a hyphen, None for no attribute.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is not None:
            key = "class" if name == "cls" else name.replace("_", "-")
            parts.append(f'{key}="{_html.escape(clean(value, 400), quote=True)}"')
    return Html(f"<{' '.join(parts)}>{join(children)}</{tag}>")


def join(children: Iterable[object], between: str = "") -> Html:
    """Put pieces of markup and text after each other, escaping what is not `Html`."""
    return Html(
        between.join(
            c if isinstance(c, Html) else _html.escape(clean(c, MAX_MESSAGE, lines=True))
            for c in children
        )
    )


def _escape_sequence(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@cache
def style() -> str:
    """Give the style sheet (``static/xpm.css``), without comments and needless space."""
    sheet = resources.files("xpm_nb.notebook").joinpath("static/xpm.css").read_text("utf-8")
    return re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)).strip()


def _page(kind: str, *parts: object) -> str:
    style_sheet = Html(f"<style>{style()}</style>")
    return str(el("div", style_sheet, join(parts, "\n"), cls=f"xpm xpm-{kind}"))


# -- small words --------------------------------------------------------------------------------


def number_text(value: float, digits: int = 4) -> str:
    """Write a metric: so many significant digits, whole numbers whole."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == int(value) and abs(value) < 10**9:
        return str(int(value)) if isinstance(value, int) else f"{value:.1f}".removesuffix(".0")
    if 1e-4 <= abs(value) < 1e9:  # in a column, equal precision makes equal widths
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    return f"{value:.{digits}g}"


def duration_text(seconds: float) -> str:
    """Write a duration in at most two units: ``0.4 s``, ``3 min 04 s``, ``2 h 05 min``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def short(identifier: str) -> str:
    """Give the first eight digits of an identifier."""
    return clean(identifier, 64)[:8]


def state_text(state: JobState, reason: FailureReason | None = None) -> str:
    """Give the mark and the word of a state: ``✓ done``, ``✗ error (timeout)``."""
    word = state.value if reason is None else f"{state.value} ({reason.value})"
    return f"{MARKS[state]} {word}"


def counts_text(counts: dict[str, int]) -> str:
    """Say how many jobs are in which state: ``9 done, 2 running``; empty for no jobs."""
    return ", ".join(
        f"{counts[state.value]} {state.value}" for state in STATE_ORDER if counts.get(state.value)
    )


def plural(number: int, noun: str) -> str:
    """Give ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _count_states(jobs: Iterable[JobView]) -> dict[str, int]:
    counts = {state.value: 0 for state in JobState}
    for job in jobs:
        counts[job.state.value] += 1
    return counts


def _state(state: JobState, reason: FailureReason | None = None) -> Html:
    mark, word = state_text(state, reason).split(" ", 1)
    return el(
        "span", el("span", mark, cls="xpm-mark"), " ", word, cls=f"xpm-state xpm-{state.value}"
    )


def _identifier(identifier: str, note: str = "") -> Html:
    if identifier:
        return el("code", short(identifier), cls="xpm-id", title=identifier)
    return el("span", clean(note, 200) or "identifier: not known yet", cls="xpm-dim")


def _tags(tags: Sequence[tuple[str, str]]) -> Html:
    shown = [
        el("span", f"{clean(name, 60)}={clean(value, 60)}", cls="xpm-tag")
        for name, value in tags[:MAX_TAG_COLUMNS]
    ]
    rest = len(tags) - len(shown)
    return join([*shown, f"and {rest} more"] if rest > 0 else shown, " ")


def _table(head: Sequence[object], rows: Iterable[Html], numeric: Sequence[bool] = ()) -> Html:
    cells = [
        el("th", name, scope="col", cls="xpm-num" if any(numeric[i : i + 1]) else None)
        for i, name in enumerate(head)
    ]
    top = join([el("thead", el("tr", *cells)), "\n"]) if head else ""
    return el("table", top, el("tbody", join(rows, "\n")), cls="xpm-table")


# -- configs ------------------------------------------------------------------------------------


def config_html(view: ConfigView, *, stable: bool = False) -> str:
    """Show a config: identifier, tags, what it needs, and its parameters as a tree.

    With `stable`, without what differs between two runs of one notebook: its job's state, paths.
    """
    parts: list[object] = [el("p", *_config_head(view, stable), cls="xpm-head")]
    if view.tags:
        parts.append(el("p", "tags: ", _tags(view.tags), cls="xpm-head"))
    if view.dependencies:
        needs = [
            join([clean(name, 80), " ", _identifier(identifier)])
            for name, identifier in view.dependencies[:MAX_PARAMS]
        ]
        parts.append(el("p", "needs: ", join(needs, ", "), cls="xpm-head"))
    parts.append(_params(view, MAX_DEPTH, stable))
    return _page("config", *parts)


def _config_head(view: ConfigView, stable: bool) -> list[object]:
    head: list[object] = [el("strong", el("bdi", clean(view.name, 80))), " "]
    head.append(_identifier(view.identifier, view.note))
    if view.state is not None and view.state.final and not stable:  # others would soon be wrong
        head += [" ", _state(view.state)]
    head += [" ", el("span", clean(view.type_name, 120), cls="xpm-dim")]
    return head


def _params(view: ConfigView, depth: int, stable: bool) -> Html:
    if view.shared:
        return el("p", "shown above", cls="xpm-foot")
    if not view.params:
        return el("p", "no parameters", cls="xpm-foot")
    rows = [_param_row(param, depth, stable) for param in view.params[:MAX_PARAMS]]
    rest = len(view.params) - len(rows)
    more = el("p", f"… and {plural(rest, 'more parameter')}", cls="xpm-foot") if rest > 0 else ""
    head = ("parameter", "value", "") if depth == MAX_DEPTH else ()
    return join([_table(head, rows), more])


def _param_row(param: ParamView, depth: int, stable: bool) -> Html:
    about = param.type if not param.help else f"{param.type}: {param.help}"
    text = _value_text(param, stable)
    value: Html = el(
        "code", clean(text, 400, lines=True), title=None if stable else _long(param.text, len(text))
    )
    if param.config is not None:
        value = _nested(param.config, depth - 1, stable)
    return el(
        "tr",
        el("td", clean(param.name, 80), title=about or None),
        el("td", value, cls="xpm-wrap"),
        el("td", _param_note(param), cls="xpm-dim"),
        cls="xpm-default" if param.default else None,
    )


def _value_text(param: ParamView, stable: bool) -> str:
    if "Path" not in param.type or not param.text:
        return param.text
    if stable:
        return "(path)"
    return param.text if len(param.text) <= 60 else "…/" + param.text.rpartition("/")[2]


def _param_note(param: ParamView) -> str:
    words = []
    if param.kind != "param":
        words.append(param.kind)
    if param.default and param.kind != "constant":
        words.append("default")
    if not param.hashed and param.kind == "param" and not param.default:
        words.append("not in the identifier")
    return ", ".join(words)


def _nested(view: ConfigView, depth: int, stable: bool) -> Html:
    title = join([clean(view.name, 80), " ", _identifier(view.identifier, view.note)])
    if view.shared:
        return join([title, el("span", " shown above", cls="xpm-dim")])
    if not view.params:
        return title
    if depth <= 0:
        return join([title, el("span", " … deeper levels left out", cls="xpm-dim")])
    # The first level is open: what a reader wants at once; the rest waits for a click.
    opened = "" if depth == MAX_DEPTH - 1 and len(view.params) <= 12 else None
    return el("details", el("summary", title), _params(view, depth, stable), open=opened)


def config_text(view: ConfigView, *, stable: bool = False) -> str:
    """Write a config in one line: ``Learn(lr=0.1, model=CNN(n=2)) [1f3a9c02]``.

    Metas, constants and what is at its default are left out: it is to be recognised.
    """
    mark = f" [{short(view.identifier)}]" if view.identifier else ""
    return clean(_call_text(view, 3, stable), 400) + mark


def _call_text(view: ConfigView, depth: int, stable: bool) -> str:
    if view.shared or (depth <= 0 and view.params):
        return f"{clean(view.name, 80)}(…)"
    given: dict[str, list[str]] = {}  # the items of a container have a row each
    for param in view.params:
        if param.kind == "param" and not param.default:
            text = clean(_value_text(param, stable), 60)
            if param.config is not None:
                text = _call_text(param.config, depth - 1, stable)
            name, bracket, _ = param.name.partition("[")
            given.setdefault(clean(name, 60) + bracket, []).append(text)
    words = [
        f"{name}{', '.join(texts[:12])}]".replace("[", "=[", 1)
        if name.endswith("[")
        else f"{name}={texts[0]}"
        for name, texts in list(given.items())[:12]
    ]
    return f"{clean(view.name, 80)}({', '.join([*words, *(['…'] if len(given) > 12 else [])])})"


# -- jobs ---------------------------------------------------------------------------------------


def job_html(
    view: JobView, *, log: str = "", now: float | None = None, stable: bool = False
) -> str:
    """Show one job: state, what went wrong, tags, progress, times, path, and the end of its log.

    Parameters
    ----------
    view : JobView
        The job.
    log : str
        The last lines of its output.
    now : float, optional
        The time, for the elapsed time of a running job.
    stable : bool
        Leave out what differs between two runs of one notebook.
    """
    head = el(
        "p",
        el("strong", el("bdi", clean(view.task, 80))),
        " ",
        _identifier(view.identifier),
        " ",
        _state(view.state, view.reason),
        cls="xpm-head",
    )
    rows = [
        el(
            "tr",
            el("th", name, scope="row", cls="xpm-dim"),
            el("td", value, cls="xpm-wrap"),
            cls=f"xpm-{view.state.value}-row",
        )
        for name, value in _job_facts(view, now, stable)
    ]
    table = el("table", el("tbody", join(rows, "\n")), cls="xpm-table")
    parts: list[object] = [head, table]
    if log:
        opened = "" if view.state in (JobState.ERROR, JobState.RUNNING) else None
        summary = el("summary", "last lines of the log")
        parts.append(el("details", summary, _log(log), open=opened))
    return _page("job", *parts)


def _body(text: str) -> Html:
    """Escape a long text that is cleaned and cut already."""
    return Html(_html.escape(text))


def _log(text: str) -> Html:
    """Show the end of a log; the element inside lets the style begin at its end."""
    return el("pre", el("span", _body(clean_log(text))), cls="xpm-log")


def _job_facts(view: JobView, now: float | None, stable: bool) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = []
    if view.message:
        facts.append(("what happened", el("code", clean(view.message, MAX_MESSAGE, lines=True))))
    if view.callback_error:
        facts.append(("callback", el("code", clean(view.callback_error, MAX_MESSAGE, lines=True))))
    if view.tags:
        facts.append(("tags", _tags(view.tags)))
    if view.progress is not None:
        facts.append(("progress", _progress(view)))
    if view.metrics:
        words = [f"{clean(n, 60)} {number_text(v)}" for n, v in view.metrics[:MAX_PARAMS]]
        facts.append(("metrics", ", ".join(words)))
    if view.dependencies:
        needs = ", ".join(_key_text(key) for key in view.dependencies[:12])
        rest = len(view.dependencies) - 12
        facts.append(("needs", needs + (f" and {rest} more" if rest > 0 else "")))
    if not stable:
        elapsed = elapsed_s(view, now)
        if elapsed is not None:
            facts.append(("time", duration_text(elapsed)))
        if view.attempt > 1:
            facts.append(("attempt", str(view.attempt)))
        if view.path:
            facts.append(("directory", el("code", clean(view.path, 400))))
    return facts or [("type", clean(view.type_name, 120))]


def _key_text(key: str) -> str:
    type_name, _, identifier = key.rpartition("/")
    return f"{clean(type_name.rpartition('.')[2], 60)} {short(identifier)}"


def elapsed_s(view: JobView, now: float | None) -> float | None:
    """Say how long a job ran, or has been running; None while it has not begun."""
    if view.started is None:
        return None
    end = view.ended if view.ended is not None else now if view.state is JobState.RUNNING else None
    return None if end is None else end - view.started


def _progress(view: JobView) -> Html:
    fraction = view.progress
    if fraction is None or fraction != fraction:
        return Html("")
    fraction = min(1.0, max(0.0, fraction))
    percent = f"{int(fraction * 100)}%"
    bar = el("progress", value=f"{fraction:.3f}", max="1", aria_label=percent)
    note = el("span", " ", clean(view.progress_text, 60), cls="xpm-dim")
    return join([bar, " ", percent, note if view.progress_text else ""])


def job_text(view: JobView, *, stable: bool = False) -> str:
    """Write a job in a line, and a second one if something went wrong."""
    tags = " ".join(f"{clean(n, 40)}={clean(v, 40)}" for n, v in view.tags[:MAX_TAG_COLUMNS])
    line = f"{clean(view.task, 80)} [{short(view.identifier)}] {_word(view)}"
    line += f" {tags}" if tags else ""
    if not stable and view.state is JobState.RUNNING and view.progress is not None:
        line += f" {int(min(1.0, max(0.0, view.progress)) * 100)}%"
    return line if not view.message else f"{line}\n  {_first_line(view.message)}"


def _word(view: JobView) -> str:
    return state_text(view.state, view.reason).partition(" ")[2]


def _first_line(message: str) -> str:
    lines = [line for line in message.splitlines() if line.strip()]
    return clean(lines[0].strip(), MAX_TEXT) if lines else ""


def log_html(text: str, title: str = "") -> str:
    """Show the end of a job's log."""
    head = el("p", clean(title, MAX_TEXT), cls="xpm-head") if title else ""
    body = _log(text) if text else "the job has printed nothing"
    return _page("output", head, body)


# -- many jobs ----------------------------------------------------------------------------------


def experiment_html(view: ExperimentView, *, now: float | None = None, stable: bool = False) -> str:
    """Show an experiment: counts, a bar, and a table with one row a job.

    Parameters
    ----------
    view : ExperimentView
        The experiment with its jobs.
    now : float, optional
        The time, for the elapsed times of running jobs.
    stable : bool
        Leave out what differs between two runs of one notebook.
    """
    parts: list[object] = [_jobs_head(view.name, view.jobs)]
    if not view.jobs:
        parts.append(el("p", "no jobs yet: submit a task and it appears here", cls="xpm-foot"))
    else:
        parts += [_bar(view.counts, len(view.jobs)), *_jobs_table(view.jobs, now, stable)]
    if not stable and view.workspace:
        foot: list[object] = ["workspace ", el("code", clean(view.workspace, 400))]
        if now is not None and not view.finished:  # a saved picture is not kept up to date
            foot.append(time.strftime(", as of %H:%M:%S", time.localtime(now)))
        parts.append(el("p", *foot, cls="xpm-foot"))
    return _page("experiment", *parts)


def jobs_html(
    jobs: Sequence[JobView], title: str = "jobs", *, now: float | None = None, stable: bool = False
) -> str:
    """Show some jobs as an experiment's table shows them."""
    return _page("jobs", _jobs_head(title, jobs), *_jobs_table(jobs, now, stable))


def _jobs_head(title: str, jobs: Sequence[JobView]) -> Html:
    counts = _count_states(jobs)
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
    total = el("span", plural(len(jobs), "job"), cls="xpm-count xpm-dim")
    return el(
        "p",
        el("strong", el("bdi", clean(title, 100))),
        " ",
        join([total, *words], " "),
        cls="xpm-head",
    )


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
    tags = _names(job.tags for job in jobs)
    metrics = _names(job.metrics for job in jobs)
    shown_tags, shown_metrics = tags[:MAX_TAG_COLUMNS], metrics[:MAX_METRIC_COLUMNS]
    progress = any(job.progress is not None for job in jobs)
    times = not stable and any(elapsed_s(job, now) is not None for job in jobs)
    head = ["job", "state", *shown_tags]
    head += ["progress"] if progress else []
    numbers = [_all_numbers(jobs, name) for name in shown_tags]
    numeric = [False, False, *numbers] + [False] * progress + [True] * len(shown_metrics)
    head += shown_metrics
    if times:
        head, numeric = [*head, "time"], [*numeric, True]
    rows, left_out = _choose(jobs)
    columns = dict(zip(shown_tags, numbers, strict=True))
    body: list[Html] = []
    for job in rows:
        cells = _job_cells(job, columns, shown_metrics, progress, stable)
        if times:
            elapsed = elapsed_s(job, now)
            cells.append(el("td", "" if elapsed is None else duration_text(elapsed), cls="xpm-num"))
        body += _job_rows(job, cells)
    parts = [_table([clean(name, 60) for name in head], body, numeric)]
    if left_out:
        counts = counts_text(_count_states(left_out))
        parts.append(el("p", f"… and {len(left_out)} more: {counts}", cls="xpm-foot"))
    hidden = len(tags) - len(shown_tags) + len(metrics) - len(shown_metrics)
    if hidden:
        parts.append(el("p", f"{plural(hidden, 'column')} not shown", cls="xpm-foot"))
    return parts


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
    """Split jobs into those with a row and those that are only counted; errors go first."""
    late = [job for job in jobs[MAX_ROWS:] if job.state is JobState.ERROR][:MAX_LATE_ERRORS]
    rows = [*jobs[:MAX_ROWS], *late]
    keys = {id(job) for job in rows}
    return rows, [job for job in jobs if id(job) not in keys]


def _job_cells(
    job: JobView, tags: Mapping[str, bool], metrics: Sequence[str], progress: bool, stable: bool
) -> list[Html]:
    """Give the cells of a job's row; `tags` says of each whether its column holds numbers."""
    state: list[object] = [_state(job.state, job.reason)]
    aside = [] if stable else _asides(job)
    if aside:
        state.append(el("span", " " + ", ".join(aside), cls="xpm-dim"))
    cells = [
        el("td", clean(job.task, 60), " ", _identifier(job.identifier), title=job.type_name),
        el("td", *state),
    ]
    values = dict(job.tags)
    cells += [
        el(
            "td",
            clean(values.get(name, ""), 60),
            title=_long(values.get(name, ""), 60),
            cls="xpm-num" if number else None,
        )
        for name, number in tags.items()
    ]
    if progress:
        cells.append(el("td", _progress(job)))
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


def _long(text: str, limit: int) -> str | None:
    return text if len(text) > limit else None


def _job_rows(job: JobView, cells: list[Html]) -> list[Html]:
    """Give the row of a job, and one below it with what went wrong."""
    notes = []
    if job.message:
        notes.append(clean(job.message, MAX_MESSAGE, lines=True))
    if job.callback_error:
        notes.append("callback: " + clean(job.callback_error, MAX_MESSAGE, lines=True))
    names = f"xpm-{job.state.value}-row"
    if not notes:
        return [el("tr", *cells, cls=names)]
    note = el("td", Html(_html.escape("\n".join(notes))), colspan=str(len(cells)))
    return [el("tr", *cells, cls=f"{names} xpm-with-note"), el("tr", note, cls="xpm-note")]


def experiment_text(view: ExperimentView) -> str:
    """Write an experiment in a line, and one more for each of the first failures."""
    return jobs_text(view.jobs, view.name)


def jobs_text(jobs: Sequence[JobView], title: str = "jobs") -> str:
    """Write jobs in a line, and one more for each of the first failures."""
    counts = counts_text(_count_states(jobs))
    lines = [
        f"{clean(title, 100)}: {plural(len(jobs), 'job')}" + (f" ({counts})" if counts else "")
    ]
    bad = [job for job in jobs if job.state is JobState.ERROR]
    for job in bad[:5]:
        why = _first_line(job.message)
        lines.append(
            f"  {clean(job.task, 60)} [{short(job.identifier)}] {_word(job)}"
            + (f": {why}" if why else "")
        )
    if len(bad) > 5:
        lines.append(f"  … and {len(bad) - 5} more in error")
    for job in [job for job in jobs if job.callback_error][:5]:
        why = _first_line(job.callback_error)
        lines.append(f"  {clean(job.task, 60)} [{short(job.identifier)}] callback: {why}")
    return "\n".join(lines)


# -- tables of results --------------------------------------------------------------------------


def table_html(view: TableView) -> str:
    """Show a table of results."""
    head = [clean(name, 60) for name in view.columns]
    rows = [
        el(
            "tr",
            *(
                el(
                    "td",
                    clean(cell, 100),
                    cls="xpm-num" if any(view.numeric[i : i + 1]) else None,
                    title=_long(cell, 100),
                )
                for i, cell in enumerate(row)
            ),
        )
        for row in view.rows[:MAX_ROWS]
    ]
    parts: list[object] = []
    if view.caption:
        parts.append(el("p", el("strong", el("bdi", clean(view.caption, 200))), cls="xpm-head"))
    parts.append(
        _table(head, rows, view.numeric) if head else el("p", "no results", cls="xpm-foot")
    )
    rest = len(view.rows) - len(rows)
    if rest > 0:
        parts.append(el("p", f"… and {plural(rest, 'more row')}", cls="xpm-foot"))
    return _page("results", *parts)


def table_text(view: TableView) -> str:
    """Write a table of results in aligned columns."""
    if not view.columns:
        return clean(view.caption, 200) or "no results"
    grid = [[clean(name, 40) for name in view.columns]]
    grid += [[clean(cell, 40) for cell in row] for row in view.rows[:TEXT_ROWS]]
    widths = [max(_width(row[i]) for row in grid if i < len(row)) for i in range(len(grid[0]))]
    lines = [_line(row, widths, view.numeric) for row in grid]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if view.caption:
        lines.insert(0, clean(view.caption, 200))
    if len(view.rows) > TEXT_ROWS:
        lines.append(f"… and {plural(len(view.rows) - TEXT_ROWS, 'more row')}")
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = []
    for i, cell in enumerate(row[: len(widths)]):
        space = " " * (widths[i] - _width(cell))
        cells.append(space + cell if any(numeric[i : i + 1]) else cell + space)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Count the columns that a terminal needs."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


# -- what went wrong ----------------------------------------------------------------------------


def problem_html(title: str, message: str, detail: str = "") -> str:
    """Show an error: what, why, and the details folded away."""
    parts: list[object] = [
        el("p", el("strong", clean(title, MAX_TEXT)), cls="xpm-head"),
        el("pre", _body(clean(message, 4 * MAX_MESSAGE, lines=True)), cls="xpm-log"),
    ]
    if detail:
        parts.append(el("details", el("summary", "details"), _log(detail)))
    return _page("error", el("div", *parts, cls="xpm-problem"))


def problem_text(title: str, message: str) -> str:
    """Write an error in a line or two."""
    return f"{clean(title, MAX_TEXT)}: {clean(message, MAX_MESSAGE, lines=True)}"


# -- bundles ------------------------------------------------------------------------------------


def brief(view: ExperimentView) -> dict[str, str]:
    """Give the bundle of an experiment's name alone."""
    title = el("p", el("strong", el("bdi", clean(view.name, 100))), " experiment", cls="xpm-head")
    return {
        "text/plain": f"experiment {clean(view.name, 100)}",
        "text/html": _page("experiment", title),
    }


def bundle(
    view: ConfigView | JobView | ExperimentView | TableView,
    *,
    log: str = "",
    now: float | None = None,
    stable: bool = False,
) -> dict[str, str]:
    """Give the mime bundle of a view: `text/html` and `text/plain`."""
    match view:
        case ConfigView():
            page = config_html(view, stable=stable)
            return {"text/plain": config_text(view, stable=stable), "text/html": page}
        case JobView():
            page = job_html(view, log=log, now=now, stable=stable)
            return {"text/plain": job_text(view, stable=stable), "text/html": page}
        case ExperimentView():
            page = experiment_html(view, now=now, stable=stable)
            return {"text/plain": experiment_text(view), "text/html": page}
        case TableView():
            return {"text/plain": table_text(view), "text/html": table_html(view)}
