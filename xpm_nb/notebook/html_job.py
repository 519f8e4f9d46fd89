"""One job as HTML and text: state, what went wrong, facts, what its callbacks said, its log."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xpm_nb.core.freshness import BADGES, badges
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView, Said
from xpm_nb.notebook.markup import (
    MAX_MESSAGE,
    MAX_TEXT,
    Html,
    body,
    clean,
    clean_log,
    el,
    join,
    log_block,
    page,
    void,
)
from xpm_nb.notebook.words import (
    MAX_TAGS,
    duration_text,
    identifier_code,
    key_text,
    number_text,
    plural,
    short,
    state_mark,
    state_text,
    tag_list,
)

MAX_METRICS = 60
MAX_NEEDS = 12
MAX_SAID = 40  # things that callbacks said, of one job
MAX_SAID_TEXT = 6_000  # characters of text of one job
MAX_IMAGES = 100_000  # characters of all images of one display

# What a browser shows as an image and nothing else; in an <img> no script of an SVG is run.
_IMAGE = re.compile(
    r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/]{1,400000}={0,2}"
)
_SAID = {"out": "printed", "err": "stderr", "display": "displayed", "error": "raised"}


def job_html(
    view: JobView,
    *,
    log: str = "",
    now: float | None = None,
    stable: bool = False,
    drift: str = "",
    framed: bool = False,
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
    drift : str
        How the environment differs from the one in which it ran.
    framed : bool
        The frames of its failure were kept.
    """
    head = el(
        "p",
        el("strong", el("bdi", clean(view.task, 80))),
        " ",
        identifier_code(view.identifier),
        " ",
        state_mark(view.state, view.reason),
        cls="xpm-head",
    )
    parts: list[object] = [head, _job_table(view, now, stable, drift, framed)]
    if view.said:
        parts += [el("p", "what its callbacks said", cls="xpm-foot"), said_html(view.said)]
    if log:
        opened = "" if view.state in (JobState.ERROR, JobState.RUNNING) else None
        summary = el("summary", "last lines of the log")
        parts.append(el("details", summary, log_block(log), open=opened))
    return page("job", *parts)


def _job_table(view: JobView, now: float | None, stable: bool, drift: str, framed: bool) -> Html:
    rows = [
        el(
            "tr",
            el("th", name, scope="row", cls="xpm-dim"),
            el("td", value, cls="xpm-wrap"),
            cls=f"xpm-{view.state.value}-row",
        )
        for name, value in _job_facts(view, now, stable)
    ]
    if framed:
        command = el("code", f"%xpm debug {short(view.identifier)}", cls="xpm-copy")
        frames = el("code", "job.frames"), " shows them"
        name = el("th", "frames", scope="row", cls="xpm-dim")
        rows.append(el("tr", name, el("td", command, " opens them in pdb, ", *frames)))
    if drift:
        name = el("th", "environment", scope="row", cls="xpm-dim")
        rows.append(el("tr", name, el("td", clean(drift, MAX_MESSAGE), cls="xpm-wrap")))
    return el("table", el("tbody", join(rows, "\n")), cls="xpm-table")


def _job_facts(view: JobView, now: float | None, stable: bool) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = []
    if view.message:
        facts.append(("what happened", el("code", clean(view.message, MAX_MESSAGE, lines=True))))
    if has_callback_error(view):
        facts.append(("callback", el("code", clean(view.callback_error, MAX_MESSAGE, lines=True))))
    if view.stale in BADGES:
        facts.append(("result", BADGES[view.stale]))
    if view.unknown:
        facts.append(("source", f"unknown, {source_words(view)}"))
    if view.tags:
        facts.append(("tags", tag_list(view.tags)))
    if view.progress is not None and view.state is not JobState.DONE:
        facts.append(("progress", progress_bar(view)))
    if view.metrics:
        words = [f"{clean(n, 60)} {number_text(v)}" for n, v in view.metrics[:MAX_METRICS]]
        facts.append(("metrics", ", ".join(words)))
    if view.dependencies:
        needs = ", ".join(key_text(key) for key in view.dependencies[:MAX_NEEDS])
        rest = len(view.dependencies) - MAX_NEEDS
        facts.append(("needs", needs + (f" and {rest} more" if rest > 0 else "")))
    if not stable:
        elapsed = elapsed_s(view, now)
        if elapsed is not None:
            facts.append(("time", duration_text(elapsed)))
        if view.attempt > 1:
            facts.append(("attempt", str(view.attempt)))
        if view.path:
            facts.append(("directory", el("code", clean(view.path, 400), cls="xpm-copy")))
    return facts or [("type", clean(view.type_name, 120))]


def elapsed_s(view: JobView, now: float | None) -> float | None:
    """Say how long a job ran, or has been running; None while it has not begun."""
    if view.started is None:
        return None
    end = view.ended if view.ended is not None else now if view.state is JobState.RUNNING else None
    # (Clocks are set, and those of two machines differ.)
    return None if end is None else max(0.0, end - view.started)


def progress_bar(view: JobView) -> Html:
    """Show how far a job is, as a bar and in percent, with what it says of it."""
    fraction = view.progress
    if fraction is None or fraction != fraction:
        return Html("")
    fraction = min(1.0, max(0.0, fraction))
    percent = f"{int(fraction * 100)}%"
    bar = el("progress", value=f"{fraction:.3f}", max="1", aria_label=percent)
    note = el("span", " ", clean(view.progress_text, 60), cls="xpm-dim")
    return join([bar, " ", percent, note if view.progress_text else ""])


# -- what callbacks said ------------------------------------------------------------------------


class Room:
    """How many characters of images a display has left: a saved notebook must stay small."""

    def __init__(self, characters: int = MAX_IMAGES) -> None:
        self.left = characters

    def take(self, characters: int) -> bool:
        """Take some of it, if there is as much."""
        if characters > self.left:
            return False
        self.left -= characters
        return True


def has_callback_error(view: JobView) -> bool:
    """Tell whether a callback's exception is to be shown: not if it stands among what was said."""
    return bool(view.callback_error) and not any(said.kind == "error" for said in view.said)


def said_html(said: Sequence[Said], limit: int = MAX_SAID_TEXT, room: Room | None = None) -> Html:
    """Show what callbacks printed, displayed and raised, in order; the end, if there was much.

    Parameters
    ----------
    said : sequence of Said
        In order.
    limit : int
        Characters of text that are kept, from the end.
    room : Room, optional
        How much of images may still be shown; those without room are told by their text.
    """
    room = Room() if room is None else room
    parts: list[Html] = []
    left = limit
    for item in reversed(said[-MAX_SAID:]):
        if left <= 0:
            break
        text = clean_log(item.text, min(left, 4 * MAX_MESSAGE))
        left -= len(text) + 8
        parts.append(_said(item, text, room))
    parts.reverse()
    missing = len(said) - len(parts)
    if missing > 0:
        parts.insert(0, el("p", f"… {plural(missing, 'earlier output')}", cls="xpm-dim"))
    return el("div", join(parts, "\n"), cls="xpm-said")


def _said(item: Said, text: str, room: Room) -> Html:
    kind = item.kind if item.kind in _SAID else "out"
    label = el("span", _SAID[kind], cls="xpm-dim")
    if item.image:
        if not _IMAGE.fullmatch(item.image):
            text = f"{text} (an image that cannot be shown)"
        elif not room.take(len(item.image)):
            text = f"{text} (an image of {max(1, len(item.image) // 1334)} kB, not kept here)"
        else:
            shown = void("img", src=Html(item.image), alt=clean(text, MAX_TEXT))
            return el("p", label, " ", shown, cls=f"xpm-{kind}")
    mark = "✗ " if kind == "error" else ""
    return el("pre", label, " ", el("span", mark, body(text)), cls=f"xpm-{kind}")


# -- text ---------------------------------------------------------------------------------------


def job_text(view: JobView, *, stable: bool = False) -> str:
    """Write a job in a line, and a second one if something went wrong."""
    tags = " ".join(f"{clean(n, 40)}={clean(v, 40)}" for n, v in view.tags[:MAX_TAGS])
    line = f"{clean(view.task, 80)} [{short(view.identifier)}] {state_word(view)}"
    line += f" {tags}" if tags else ""
    if not stable and view.state is JobState.RUNNING and view.progress is not None:
        line += f" {int(min(1.0, max(0.0, view.progress)) * 100)}%"
    line += " (source unknown)" if view.unknown else ""
    words = badges(view.stale, "" if stable else view.drift)
    line += f" ({', '.join(words)})" if words else ""
    return line if not view.message else f"{line}\n  {first_line(view.message)}"


def state_word(view: JobView) -> str:
    """Give the word of a job's state, with the reason of an error."""
    return state_text(view.state, view.reason).partition(" ")[2]


def source_words(view: JobView) -> str:
    """Say which classes of a job were carried in a form that nobody can read."""
    return f"pickled: {clean(', '.join(view.unknown), MAX_TEXT)}"


def first_line(message: str) -> str:
    """Give the first line that says something."""
    lines = [line for line in message.splitlines() if line.strip()]
    return clean(lines[0].strip(), MAX_TEXT) if lines else ""


def text_html(text: str) -> str:
    """Show a text from its beginning."""
    return page("output", el("pre", body(clean_log(text)), cls="xpm-log xpm-whole", tabindex="0"))


def log_html(text: str, title: str = "") -> str:
    """Show the end of a job's log."""
    head = el("p", clean(title, MAX_TEXT), cls="xpm-head") if title else ""
    return page("output", head, log_block(text) if text else "the job has printed nothing")
