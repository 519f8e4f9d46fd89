"""The static form of every view: `text/html` that reads well with no style, and `text/plain`.

Pure functions of frozen views. The time comes as an argument; ``stable=True`` leaves out whatever
differs between two runs of one notebook (times, paths, whether a job was reused). `bundle` gives
both forms of any view; the other modules ``html_…`` hold one kind of view each, on the ground of
`markup`, `words` and `svg`.

Nothing here knows IPython: the command line and reports use these functions too.
"""

from __future__ import annotations

from collections.abc import Sequence

from xpm_nb.core.kept import FramesView
from xpm_nb.core.views import (
    ConfigView,
    CurveView,
    DiffView,
    ExperimentView,
    GraphView,
    JobView,
    SourceView,
    TableView,
    WhyView,
)
from xpm_nb.engine.inspection import InspectionView
from xpm_nb.notebook.html_configs import MAX_DEPTH, config_html, config_text
from xpm_nb.notebook.html_frames import frames_html, frames_text
from xpm_nb.notebook.html_inspection import inspection_html, inspection_text
from xpm_nb.notebook.html_job import job_html, job_text, log_html, text_html
from xpm_nb.notebook.html_jobs import (
    MAX_ROWS,
    experiment_html,
    experiment_text,
    jobs_html,
    jobs_text,
)
from xpm_nb.notebook.html_source import source_html, source_text
from xpm_nb.notebook.html_tables import (
    MAX_TABLE_ROWS,
    diff_html,
    diff_text,
    table_html,
    table_text,
)
from xpm_nb.notebook.html_why import why_html, why_text
from xpm_nb.notebook.markup import (
    MAX_MESSAGE,
    MAX_TEXT,
    Html,
    body,
    clean,
    clean_log,
    el,
    log_block,
    style,
)
from xpm_nb.notebook.markup import page as _page
from xpm_nb.notebook.svg import curves_svg, curves_text, graph_svg, graph_text
from xpm_nb.notebook.words import (
    counts_text,
    duration_text,
    left_text,
    number_text,
    plural,
    short,
    state_text,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_ROWS",
    "MAX_TABLE_ROWS",
    "View",
    "brief",
    "bundle",
    "clean",
    "clean_log",
    "config_html",
    "config_text",
    "counts_text",
    "curves_html",
    "curves_text",
    "diff_html",
    "diff_text",
    "duration_text",
    "experiment_html",
    "experiment_text",
    "frames_html",
    "frames_text",
    "graph_html",
    "graph_text",
    "job_html",
    "job_text",
    "jobs_html",
    "jobs_text",
    "left_text",
    "log_html",
    "number_text",
    "plural",
    "problem_html",
    "problem_text",
    "short",
    "source_html",
    "source_text",
    "state_text",
    "style",
    "table_html",
    "table_text",
    "text_html",
]

View = (
    ConfigView
    | JobView
    | ExperimentView
    | TableView
    | GraphView
    | DiffView
    | SourceView
    | WhyView
    | FramesView
    | InspectionView
)

Bundle = dict[str, str]


# -- pictures by themselves ---------------------------------------------------------------------


def graph_html(view: GraphView, title: str = "") -> str:
    """Show what needs what."""
    head = el("p", el("strong", el("bdi", clean(title, 100))), cls="xpm-head") if title else ""
    return _page("graph-page", head, graph_svg(view))


def curves_html(curves: Sequence[CurveView], title: str = "") -> str:
    """Show metrics over steps."""
    head = el("p", el("strong", el("bdi", clean(title, 100))), cls="xpm-head") if title else ""
    return _page("curves-page", head, curves_svg(curves))


# -- what went wrong ----------------------------------------------------------------------------


def problem_html(title: str, message: str, detail: str = "") -> str:
    """Show an error: what, why, and the details folded away."""
    parts: list[object] = [
        el("p", el("strong", clean(title, MAX_TEXT)), cls="xpm-head"),
        el("pre", body(clean(message, 4 * MAX_MESSAGE, lines=True)), cls="xpm-log"),
    ]
    if detail:
        parts.append(el("details", el("summary", "details"), log_block(detail)))
    return _page("error", el("div", *parts, cls="xpm-problem"))


def problem_text(title: str, message: str) -> str:
    """Write an error in a line or two."""
    return f"{clean(title, MAX_TEXT)}: {clean(message, MAX_MESSAGE, lines=True)}"


# -- bundles ------------------------------------------------------------------------------------


def brief(view: ExperimentView) -> Bundle:
    """Give the bundle of an experiment's name alone."""
    title: Html = el("strong", el("bdi", clean(view.name, 100)))
    return {
        "text/plain": f"experiment {clean(view.name, 100)}",
        "text/html": _page("experiment", el("p", title, " experiment", cls="xpm-head")),
    }


def bundle(
    view: View,
    *,
    log: str = "",
    now: float | None = None,
    stable: bool = False,
    uid: str = "",
    back: str = "",
    eta: float | None = None,
    graph: GraphView | None = None,
    curves: Sequence[CurveView] = (),
    fate: str = "",
    drift: str = "",
    framed: bool = False,
) -> Bundle:
    """Give the mime bundle of a view: `text/html` and `text/plain`.

    Parameters
    ----------
    view : View
        What to show.
    now : float, optional
        The time, for the elapsed times of running jobs.
    stable : bool
        Leave out what differs between two runs of one notebook.
    uid : str
        Of an experiment, a config or a table: the live display that this one stands in for.
    back, eta, graph, curves
        Of an experiment: a line of Python that opens it again, the seconds that are left, what
        needs what, metrics over steps.
    fate : str
        Of a config: what would become of it if it were submitted, in words.
    log, drift, framed
        Of a job: the last lines of its output, how its environment differs from the present one,
        whether the frames of its failure were kept.
    """
    match view:
        case ConfigView():
            text = config_text(view, stable=stable)
            page = config_html(view, stable=stable, uid=uid, fate=fate)
        case JobView():
            text = job_text(view, stable=stable)
            page = job_html(view, log=log, now=now, stable=stable, drift=drift, framed=framed)
        case ExperimentView():
            text = experiment_text(view, back="" if stable else back, stable=stable)
            page = experiment_html(
                view,
                now=now,
                stable=stable,
                uid=uid,
                back=back,
                eta=eta,
                graph=graph,
                curves=curves,
            )
        case TableView():
            text, page = table_text(view), table_html(view, uid=uid)
        case _:
            text, page = _plain(view, stable)
    return {"text/plain": text, "text/html": page}


def _plain(
    view: GraphView | WhyView | SourceView | DiffView | FramesView | InspectionView, stable: bool
) -> tuple[str, str]:
    """Give both forms of a view that says all by itself."""
    match view:
        case GraphView():
            return graph_text(view), graph_html(view)
        case WhyView():
            return why_text(view), why_html(view)
        case SourceView():
            return source_text(view), source_html(view)
        case DiffView():
            return diff_text(view), diff_html(view)
        case FramesView():
            return frames_text(view, stable=stable), frames_html(view, stable=stable)
        case InspectionView():
            return inspection_text(view, stable=stable), inspection_html(view, stable=stable)
