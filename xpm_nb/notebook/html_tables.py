"""Results, plans and differences as HTML and text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import DiffRow, DiffView, TableView
from xpm_nb.notebook.markup import Html, clean, el, foot, join, long_title, page, table
from xpm_nb.notebook.words import (
    MAX_TAGS,
    identifier_code,
    noted_state,
    plural,
    short,
    state_mark,
    width,
)

MAX_TABLE_ROWS = 200
TEXT_CELL = 80  # characters of a cell in text: counts of states and the words of a plan have room
TEXT_NAME = 40  # of one with more behind it
TEXT_ROWS = 60  # of a table in text/plain
LONG = ("state", "plan", "what")  # columns of words, and of names that differ in their last letters
MAX_LINE = 500  # of what stands above a table
BEST = "★"
_DIGITS = re.compile(r"[0-9a-f]{8}")
_STATES = {state.value: state for state in JobState}
_REASONS = {reason.value: reason for reason in FailureReason}


def table_html(view: TableView, *, uid: str = "") -> str:
    """Show a table of results, or a plan: its first line is the title, others stand below it."""
    best = set(view.best)
    rows = [
        el("tr", *(_cell(view, i, j, cell, (i, j) in best) for j, cell in enumerate(row)))
        for i, row in enumerate(view.rows[:MAX_TABLE_ROWS])
    ]
    title, *more = [line for line in view.caption.splitlines() if line.strip()][:6] or [""]
    parts: list[object] = []
    if title:
        parts.append(el("p", el("strong", el("bdi", clean(title, 200))), cls="xpm-head"))
    parts += [el("p", clean(line, MAX_LINE), cls="xpm-head") for line in more]
    head = [clean(name, 60) for name in view.columns]
    parts.append(table(head, rows, view.numeric) if head else foot("no results"))
    if len(view.rows) > len(rows):
        parts.append(foot(f"… and {plural(len(view.rows) - len(rows), 'more row')}"))
    parts += [foot(line) for line in _notes(view, BEST)]
    return page("results", *parts, uid=uid)


def _cell(view: TableView, i: int, j: int, cell: str, best: bool) -> Html:
    names = ["xpm-num"] if any(view.numeric[j : j + 1]) else []
    column = view.columns[j] if j < len(view.columns) else ""
    names += ["xpm-words"] if column in LONG else []
    value: object = clean(cell, 100)
    if column == "state":
        value = _state(cell) or value
    elif column == "job" and _DIGITS.fullmatch(cell):
        value = el("code", cell, cls="xpm-id")
    if best:
        names.append("xpm-best")
        value = join([el("span", BEST, cls="xpm-mark", title="the best of its column"), " ",
                      el("strong", value)])  # fmt: skip
    return el("td", value, cls=" ".join(names) or None, title=long_title(cell, 100))


def _state(cell: str) -> Html | None:
    """Show the state of one job as everywhere; None for counts of several."""
    word, _, about = cell.partition(" (")
    if word not in _STATES:
        return None
    about = about.removesuffix(")")
    if about in _REASONS:
        return state_mark(_STATES[word], _REASONS[about])
    return noted_state(_STATES[word], None, [clean(about, 90)] if about else [])


def _notes(view: TableView, mark: str) -> list[str]:
    """Say what the mark means, and what is the same in all rows."""
    notes = [f"{mark} the best of its column"] if view.best else []
    if view.hidden:
        shown = (f"{clean(n, 60)}={clean(v, 60)}" for n, v in view.hidden[:MAX_TAGS])
        rest = len(view.hidden) - MAX_TAGS
        more = f" and {rest} more" if rest > 0 else ""
        notes.append(f"constant: {', '.join(shown)}{more}")
    return notes


def table_text(view: TableView) -> str:
    """Write a table of results in aligned columns."""
    captions = [clean(line, MAX_LINE) for line in view.caption.splitlines() if line.strip()][:6]
    if not view.columns:
        return "\n".join(captions) or "no results"
    best = set(view.best)
    grid = [[clean(name, 40) for name in view.columns]]
    grid += [
        [
            ("* " if (i, j) in best else "") + clean(cell, _room(view, j))
            for j, cell in enumerate(row)
        ]
        for i, row in enumerate(view.rows[:TEXT_ROWS])
    ]
    lines = [*captions, *aligned(grid, view.numeric)]
    if len(view.rows) > TEXT_ROWS:
        lines.append(f"… and {plural(len(view.rows) - TEXT_ROWS, 'more row')}")
    return "\n".join([*lines, *_notes(view, "*")])


def _room(view: TableView, column: int) -> int:
    """Say how many characters a cell may have in text: at the end of a line there are more."""
    name = view.columns[column] if column < len(view.columns) else ""
    last = column == len(view.columns) - 1
    return TEXT_CELL if last or name in LONG else TEXT_NAME


def aligned(grid: Sequence[Sequence[str]], numeric: Sequence[bool] = ()) -> list[str]:
    """Write rows in columns, a line of hyphens below the first."""
    widths = [max(width(row[i]) for row in grid if i < len(row)) for i in range(len(grid[0]))]
    lines = []
    for row in grid:
        cells = []
        for i, cell in enumerate(row[: len(widths)]):
            space = " " * (widths[i] - width(cell))
            cells.append(space + cell if any(numeric[i : i + 1]) else cell + space)
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * number for number in widths).rstrip())
    return lines


# -- differences --------------------------------------------------------------------------------


def diff_html(view: DiffView) -> str:
    """Show two configs beside each other: only the places at which they differ."""
    sides = [_side(name, identifier) for name, identifier in (view.left, view.right)]
    head = el("p", sides[0], " and ", sides[1], cls="xpm-head")
    if not view.rows:
        return page("diff", head, foot("no difference: all parameters are equal"))
    rows = [_diff_row(row) for row in view.rows[:MAX_TABLE_ROWS]]
    parts: list[object] = [head, table(("parameter", *_heads(view), ""), rows)]
    if len(view.rows) > len(rows):
        parts.append(foot(f"… and {plural(len(view.rows) - len(rows), 'more difference')}"))
    return page("diff", *parts)


def _side(name: str, identifier: str) -> Html:
    return join([el("strong", el("bdi", clean(name, 80))), " ", identifier_code(identifier)])


def _heads(view: DiffView) -> tuple[str, str]:
    """Name the two columns by what tells them apart."""
    (left, a), (right, b) = view.left, view.right
    return f"{clean(left, 40)} {short(a)}".strip(), f"{clean(right, 40)} {short(b)}".strip()


def _diff_row(row: DiffRow) -> Html:
    prefix, dot, name = row.path.rpartition(".")
    path = join([el("span", clean(prefix + dot, 120), cls="xpm-dim"), clean(name, 80)])
    return el(
        "tr",
        el("th", path, scope="row", title=long_title(row.path, 120)),
        *(_diff_cell(row, side) for side in (row.left, row.right)),
        el("td", _about(row), cls="xpm-dim"),
        cls=None if row.hashed else "xpm-default",
    )


def _diff_cell(row: DiffRow, value: str | None) -> Html:
    if value is None:
        return el("td", "not there", cls="xpm-dim")
    text = clean(value, 400, lines=True)
    return el("td", text if row.type_only else el("code", text), cls="xpm-wrap")


def _about(row: DiffRow) -> str:
    words = ["another class"] if row.type_only else []
    return ", ".join(words if row.hashed else [*words, "not in the identifier"])


def diff_text(view: DiffView) -> str:
    """Write the differences of two configs in aligned columns."""
    left, right = _heads(view)
    if not view.rows:
        return f"{left} and {right}: no difference"
    grid = [["parameter", left, right, ""]]
    for row in view.rows[:TEXT_ROWS]:
        values = (
            "(not there)" if side is None else clean(side, 60) for side in (row.left, row.right)
        )
        grid.append([clean(row.path, 80), *values, _about(row)])
    lines = aligned(grid)
    if len(view.rows) > TEXT_ROWS:
        lines.append(f"… and {plural(len(view.rows) - TEXT_ROWS, 'more difference')}")
    return "\n".join(lines)
