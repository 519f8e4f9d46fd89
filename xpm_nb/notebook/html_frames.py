"""The frames of a failed job as HTML and text: where it was, line by line, with what it had."""

from __future__ import annotations

from xpm_nb.core.kept import ErrorView, FramesView, FrameView
from xpm_nb.notebook.markup import Html, body, clean, el, foot, join, page
from xpm_nb.notebook.words import identifier_code, plural, short

MAX_FRAMES = 40
AROUND = 4  # lines before and after the present one
MAX_VALUES = 60
TEXT_VALUES = 12
VALUE_CELL = 600
TEXT_VALUE = 100

_LINKS = {
    "cause": "which was caused by this",
    "context": "which came up while this was dealt with",
}


def frames_html(view: FramesView, *, stable: bool = False) -> str:
    """Show what was kept of a failure: the innermost frame of each error is open."""
    title: list[object] = [el("strong", el("bdi", clean(view.name, 100))), " "]
    parts: list[object] = [el("p", *title, identifier_code(view.identifier), cls="xpm-head")]
    if not view.errors:
        parts.append(foot("no frames were kept"))
    for error in view.errors:
        if error.link:
            parts.append(foot(_LINKS.get(error.link, "before that")))
        parts.append(el("p", el("code", clean(error.said, 600, lines=True)), cls="xpm-head"))
        shown = error.frames[-MAX_FRAMES:]
        if error.left_out:
            parts.append(foot(f"{plural(error.left_out, 'frame')} in the middle left out"))
        parts += [_frame_html(frame, frame is shown[-1], stable) for frame in shown]
    return page("frames", *parts)


def _frame_html(frame: FrameView, opened: bool, stable: bool) -> Html:
    short_file = f" {clean(frame.file.rpartition('/')[2], 100)}, line {frame.line}"
    words = el("code", clean(frame.function, 100)), el("span", short_file, cls="xpm-dim")
    where = el("summary", *words, title=None if stable else clean(frame.file, 300))
    lines = body("\n".join(_lines(frame)))
    parts: list[object] = [where, el("pre", lines, cls="xpm-log", tabindex="0")]
    if frame.values:
        rows = [
            el(
                "tr",
                el("th", clean(name, 80), scope="row", cls="xpm-dim"),
                el("td", el("code", clean(text, VALUE_CELL, lines=True)), cls="xpm-wrap"),
            )
            for name, text in frame.values[:MAX_VALUES]
        ]
        parts.append(el("table", el("tbody", join(rows, "\n")), cls="xpm-table"))
    return el("details", *parts, open="" if opened else None)


def _where(frame: FrameView, stable: bool) -> str:
    file = frame.file.rpartition("/")[2] if stable else frame.file
    return f"{file}:{frame.line}, in {frame.function}"


def _lines(frame: FrameView) -> list[str]:
    """Give the lines around the present one, each with its number."""
    index = frame.line - frame.first
    start = max(0, index - AROUND)
    end = index + AROUND + 1
    width = len(str(frame.first + end))
    return [
        f"{'->' if number == index else '  '} {frame.first + number:>{width}}  {clean(text, 200)}"
        for number, text in enumerate(frame.lines[start:end], start)
    ]


def frames_text(view: FramesView, *, stable: bool = False) -> str:
    """Write what was kept of a failure as a traceback, with the values below each line."""
    out = [f"{clean(view.name, 100)} [{short(view.identifier)}]"]
    if not view.errors:
        out.append("no frames were kept")
    for error in view.errors:
        out += [f"{_LINKS.get(error.link, 'before that')}:"] if error.link else []
        out += _error_text(error, stable)
    return "\n".join(out)


def _error_text(error: ErrorView, stable: bool) -> list[str]:
    out = []
    for frame in error.frames[-MAX_FRAMES:]:
        out.append(f"  {clean(_where(frame, stable), 300)}")
        out += [f"    {clean(frame.text, 200)}"] if frame.text else []
        out += [
            f"      {clean(name, 40)} = {clean(text, TEXT_VALUE)}"
            for name, text in frame.values[:TEXT_VALUES]
        ]
        more = len(frame.values) - TEXT_VALUES
        out += [f"      and {more} more"] if more > 0 else []
    return [*out, clean(error.said, 600, lines=True)]
