"""A job as its directory tells it, as HTML and text."""

from __future__ import annotations

from collections.abc import Sequence

from xpm_nb.engine.garbage import size_text
from xpm_nb.engine.inspection import InspectionView
from xpm_nb.notebook.html_configs import config_html, config_text
from xpm_nb.notebook.html_job import job_html, job_text
from xpm_nb.notebook.markup import MAX_MESSAGE, Html, clean, el, foot, join, page, table
from xpm_nb.notebook.words import plural

TEXT_FILES = 20
DAMAGED = "cannot be read"


def inspection_html(view: InspectionView, *, stable: bool = False) -> str:
    """Show a job: its card, its parameters, its files."""
    rows = [
        el("tr", el("td", el("code", clean(name, 200))), el("td", size_text(size), cls="xpm-num"))
        for name, size in view.files
    ]
    files = table(["file", "size"], rows, [False, True]) if rows else foot("no files")
    more = plural(view.attempts, "earlier attempt") if view.attempts else ""
    return join(
        [
            el("div", Html(job_html(view.job, log=view.log, stable=stable))),
            *([el("div", Html(_damage_html(view.damage)))] if view.damage else []),
            *(
                ()
                if view.params is None
                else [el("div", Html(config_html(view.params, stable=stable)))]
            ),
            el("div", Html(page("files", files, foot(more) if more else ""))),
        ]
    )


def _damage_html(damage: Sequence[str]) -> str:
    """Say what cannot be read, and that the rest is what it is."""
    rows = [el("tr", el("td", clean(text, MAX_MESSAGE), cls="xpm-wrap")) for text in damage]
    return page("damage", el("div", table([DAMAGED], rows), cls="xpm-problem"))


def inspection_text(view: InspectionView, *, stable: bool = False) -> str:
    """Write a job: its line, its parameters, the names of its files."""
    lines = [job_text(view.job, stable=stable)]
    lines += [f"  {DAMAGED}: {clean(text, MAX_MESSAGE)}" for text in view.damage]
    lines += [] if view.params is None else [config_text(view.params, stable=stable)]
    if view.job.metrics:
        lines.append(", ".join(f"{clean(n, 60)} {v:.6g}" for n, v in view.job.metrics))
    names = [clean(name, 100) for name, _ in view.files[:TEXT_FILES]]
    rest = len(view.files) - len(names)
    lines.append(f"files: {', '.join(names) or 'none'}" + (f" and {rest} more" if rest else ""))
    return "\n".join(lines)
