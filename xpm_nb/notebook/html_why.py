"""Why the result of a task is reused, or why not: as HTML and text."""

from __future__ import annotations

import os.path

from xpm_nb.core.views import CodeChange, CodeRow, WhyView
from xpm_nb.notebook.html_tables import diff_html, diff_text
from xpm_nb.notebook.markup import MAX_MESSAGE, Html, body, clean, el, foot, page, table
from xpm_nb.notebook.words import identifier_code, plural, short

MAX_ROWS = 60  # parts of the code
MAX_LINES = 200  # of one change
MAX_CHANGES = 12
MAX_LINE = 200  # characters
_MARKS = {"changed": "✗ changed", "new": "+ new", "gone": "- gone"}


def why_html(view: WhyView) -> str:
    """Show the reason, the code as a tree, and old and new source beside each other."""
    name = el("strong", el("bdi", clean(view.task, 80)))
    head = el("p", name, " ", identifier_code(view.identifier), cls="xpm-head")
    parts: list[object] = [head, el("p", clean(view.answer, MAX_MESSAGE), cls="xpm-head")]
    parts += [foot(clean(line, MAX_MESSAGE)) for line in view.details]
    if view.nearest is not None and view.nearest.rows:
        parts.append(Html(diff_html(view.nearest)))
    if view.code:
        rows = [_row(row) for row in view.code[:MAX_ROWS]]
        parts.append(table(("code", "where", ""), rows))
        if len(view.code) > len(rows):
            parts.append(foot(f"… and {plural(len(view.code) - len(rows), 'more part')}"))
    parts += [_change(change) for change in view.changes[:MAX_CHANGES]]
    if len(view.changes) > MAX_CHANGES:
        parts.append(foot(f"… and {plural(len(view.changes) - MAX_CHANGES, 'more change')}"))
    return page("why", *parts)


def _row(row: CodeRow) -> Html:
    name = el("code", "\u00a0\u00a0" * row.depth, clean(row.name, 80))
    mark = el("strong", _MARKS[row.mark]) if row.mark in _MARKS else ""
    return el("tr", el("td", name), el("td", _place(row.where), cls="xpm-dim"), el("td", mark))


def _place(where: str) -> str:
    """Say where code stands: of a file, the last parts of its path."""
    if os.path.isabs(where):
        where = "/".join(where.split("/")[-2:])
    return clean(where, 80)


def _change(change: CodeChange) -> Html:
    rows = [_lines(*row) for row in change.rows[:MAX_LINES]]
    heads = (_head("before", change.before), _head("now", change.now))
    parts: list[object] = [el("summary", el("code", clean(change.name, 80)))]
    parts.append(el("div", table(heads, rows), cls="xpm-compare"))
    if len(change.rows) > len(rows):
        parts.append(foot(f"… and {plural(len(change.rows) - len(rows), 'more line')}"))
    if not rows:
        parts.append(foot("no lines to show: they were not kept, or are compiled in another way"))
    return el("details", *parts, open="")


def _head(word: str, where: str) -> str:
    return f"{word}: {_place(where)}" if where else f"{word}: not there"


def _lines(left: str | None, right: str | None, changed: bool) -> Html:
    if left is None and right is None and not changed:
        return el("tr", el("td", "⋮", colspan="2", cls="xpm-dim"))
    cells = _line(left, "-", changed), _line(right, "+", changed)
    return el("tr", *cells, cls=None if changed else "xpm-same")


def _line(text: str | None, sign: str, changed: bool) -> Html:
    if text is None:
        return el("td")
    shown = body(clean(text, MAX_LINE, lines=True)) or "\u00a0"
    before = el("span", sign if changed else "\u00a0", cls="xpm-sign")
    code = el("code", before, "\u00a0", shown, style="white-space:pre-wrap")
    names = {"-": "xpm-gone", "+": "xpm-new"}
    return el("td", code, style="text-align:left", cls=names[sign] if changed else None)


# -- text ---------------------------------------------------------------------------------------


def why_text(view: WhyView) -> str:
    """Write the reason, the tree, and the lines that differ."""
    lines = [f"{clean(view.task, 80)} {short(view.identifier)}: {clean(view.answer, MAX_MESSAGE)}"]
    lines += [f"  {clean(line, MAX_MESSAGE)}" for line in view.details]
    if view.nearest is not None and view.nearest.rows:
        lines += [f"  {line}" for line in diff_text(view.nearest).splitlines()]
    for row in view.code[:MAX_ROWS]:
        mark = f"  {_MARKS[row.mark]}" if row.mark in _MARKS else ""
        lines.append(f"  {'  ' * row.depth}{clean(row.name, 80)} ({_place(row.where)}){mark}")
    if len(view.code) > MAX_ROWS:
        lines.append(f"  … and {plural(len(view.code) - MAX_ROWS, 'more part')}")
    for change in view.changes[:MAX_CHANGES]:
        before, now = _head("before", change.before), _head("now", change.now)
        lines += [f"{clean(change.name, 80)} ({before}; {now})"]
        for left, right, changed in _grouped(change):
            lines += _text_lines(left, right, changed)
    if len(view.changes) > MAX_CHANGES:
        lines.append(f"… and {plural(len(view.changes) - MAX_CHANGES, 'more change')}")
    return "\n".join(line.rstrip() for line in lines)


def _grouped(change: CodeChange) -> list[tuple[str | None, str | None, bool]]:
    """Put what went before what came, in each run of changed lines."""
    rows: list[tuple[str | None, str | None, bool]] = []
    came: list[tuple[str | None, str | None, bool]] = []
    for left, right, changed in change.rows[:MAX_LINES]:
        if not changed:
            rows += [*came, (left, right, False)]
            came = []
            continue
        rows += [(left, None, True)] if left is not None else []
        came += [(None, right, True)] if right is not None else []
    return rows + came


def _text_lines(left: str | None, right: str | None, changed: bool) -> list[str]:
    if not changed:
        return ["  ⋮" if left is None else f"    {clean(left, MAX_LINE, lines=True)}"]
    found = [] if left is None else [f"  - {clean(left, MAX_LINE, lines=True)}"]
    return found + ([] if right is None else [f"  + {clean(right, MAX_LINE, lines=True)}"])
