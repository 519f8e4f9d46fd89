"""Small words and signs that all static displays share: states, numbers, durations, identifiers."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView
from xpm_nb.notebook.markup import Html, clean, el, join

MAX_TAGS = 12

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


def number_text(value: float, digits: int = 4, decimals: int | None = None) -> str:
    """Write a metric: so many significant digits, whole numbers whole; or with so many decimals."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == int(value) and abs(value) < 10**9:
        return str(int(value)) if isinstance(value, int) else f"{value:.1f}".removesuffix(".0")
    if 1e-4 <= abs(value) < 1e9:  # in a column, equal precision makes equal widths
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    return f"{value:.{digits}g}"


def duration_text(seconds: float) -> str:
    """Write a duration in at most two units: ``0.4 s``, ``3 min 04 s``, ``2 h 05 min``."""
    if not math.isfinite(seconds):
        return "?"
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


def left_text(seconds: float) -> str:
    """Say how long it will take, no more precisely than one can know: ``about 3 min left``."""
    if not seconds < 10 * 86400:  # nor what is no number
        return "more than 10 days left"
    if seconds < 10:
        return "a few seconds left"
    if seconds < 55:
        return f"about {max(10, round(seconds / 10) * 10)} s left"
    if seconds < 55 * 60:
        return f"about {max(1, round(seconds / 60))} min left"
    if seconds < 36 * 3600:
        return f"about {max(1, round(seconds / 3600))} h left"
    return f"about {round(seconds / 86400)} days left"


def short(identifier: str) -> str:
    """Give the first eight digits of an identifier."""
    return clean(identifier, 64)[:8]


def state_text(state: JobState, reason: FailureReason | None = None) -> str:
    """Give the mark and the word of a state: ``✓ done``, ``✗ error (timeout)``."""
    word = state.value if reason is None else f"{state.value} ({reason.value})"
    return f"{MARKS[state]} {word}"


def counts_text(counts: Mapping[str, int]) -> str:
    """Say how many jobs are in which state: ``9 done, 2 running``; empty for no jobs."""
    return ", ".join(
        f"{counts[state.value]} {state.value}" for state in STATE_ORDER if counts.get(state.value)
    )


def count_states(jobs: Iterable[JobView]) -> dict[str, int]:
    """Count jobs by state, none left out."""
    found = Counter(job.state for job in jobs)
    return {state.value: found[state] for state in JobState}


def plural(number: int, noun: str) -> str:
    """Give ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def key_text(key: str) -> str:
    """Name a job by its key: the last part of its type name, and eight digits."""
    type_name, _, identifier = key.rpartition("/")
    return f"{clean(type_name.rpartition('.')[2], 60)} {short(identifier)}"


def width(text: str) -> int:
    """Count the columns that a terminal needs."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def fit(text: str, columns: int) -> str:
    """Cut text to so many columns, an ellipsis at its end if something is missing."""
    if width(text) <= columns:
        return text
    kept, used = [], 1
    for char in text:
        used += width(char)
        if used > columns:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


# -- the same as markup -------------------------------------------------------------------------


def state_mark(state: JobState, reason: FailureReason | None = None) -> Html:
    """Show a state by mark and word."""
    mark, word = state_text(state, reason).split(" ", 1)
    return el(
        "span", el("span", mark, cls="xpm-mark"), " ", word, cls=f"xpm-state xpm-{state.value}"
    )


def noted_state(
    state: JobState, reason: FailureReason | None = None, notes: Sequence[str] = ()
) -> Html:
    """Show a state, and behind it in parentheses why it is so and what else is to be said."""
    if not notes:
        return state_mark(state, reason)
    told = ", ".join([*([reason.value] if reason else []), *notes])
    return join([state_mark(state), el("span", f" ({told})", cls="xpm-dim")])


def identifier_code(identifier: str, note: str = "") -> Html:
    """Show an identifier by its first digits, in full as the title; or why there is none."""
    if identifier:
        return el("code", short(identifier), cls="xpm-id", title=identifier)
    return el("span", clean(note, 200) or "identifier: not known yet", cls="xpm-dim")


def tag_list(tags: Sequence[tuple[str, str]]) -> Html:
    """Show tags as ``name=value``."""
    shown = [
        el("span", f"{clean(name, 60)}={clean(value, 60)}", cls="xpm-tag")
        for name, value in tags[:MAX_TAGS]
    ]
    rest = len(tags) - len(shown)
    return join([*shown, f"and {rest} more"] if rest > 0 else shown, " ")
