"""A view of every kind, with every field filled somewhere: what the static displays are tested on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace

from xpm_nb.core import drawing
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import (
    ConfigView,
    CurveView,
    DiffRow,
    DiffView,
    ExperimentView,
    JobView,
    ParamView,
    Said,
    TableView,
)
from xpm_nb.notebook import html

# The smallest image that browsers show: one grey point.
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCB"
    "d81ytgAAAABJRU5ErkJggg=="
)
BACK = 'from xpm_nb import start; xp = start("digits", workspace="/home/me/xpm-workspace")'


def digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def job(state: JobState = JobState.DONE, text: str = "train", **changes) -> JobView:
    values = {
        "key": f"digits.{text}/{digits(text)}",
        "identifier": digits(text),
        "type_name": f"digits.{text}",
        "name": text,
        "task": "Train",
        "state": state,
    }
    return JobView(**(values | changes))


# -- configs ------------------------------------------------------------------------------------

MODEL = ConfigView(
    "SVC",
    "digits.svc",
    digits("svc"),
    params=(
        ParamView("C", "param", "float", "10.0", help="regularisation"),
        ParamView("kernel", "param", "str", "'rbf'", default=True),
    ),
    number=1,
)
SHARED = replace(MODEL, params=(), shared=True)
TRAIN = ConfigView(
    "Train",
    "digits.train",
    digits("train"),
    params=(
        ParamView("model", "param", "Model", "", config=MODEL),
        ParamView("rivals[0]", "param", "list[Model]", "", config=SHARED),
        ParamView("cache", "meta", "Path", "/home/me/cache", hashed=False),
        ParamView("version", "constant", "int", "1"),
        ParamView("epochs", "param", "int", "3", input="int", raw="3", error="3.5 is no int"),
        ParamView("device", "param", "str", "'cpu'", hashed=False),
    ),
    tags=(("C", "10.0"),),
    dependencies=(("Split", digits("split")),),
    state=JobState.DONE,
)
UNKNOWN = ConfigView("Train", "train", "", note="identifier: once an experiment is open")


# -- jobs ---------------------------------------------------------------------------------------

SPLIT = job(text="split", task="Split", started=0.0, ended=1.25, reused=True)
DONE = job(
    text="a",
    tags=(("model", "svc"), ("C", "1.0"), ("data", "digits")),
    dependencies=(SPLIT.key,),
    metrics=(("accuracy", 0.98765), ("loss", 0.1)),
    progress=1.0,
    submitted=4.0,
    started=5.0,
    ended=190.0,
    attempt=2,
    path="/home/me/xpm-workspace/jobs/a",
    said=(
        Said("out", "accuracy 0.98 with C=1\nthe best so far\n"),
        Said("err", "UserWarning: few points"),
        Said("display", "<Figure size 1x1>", PNG),
        Said("display", "{'recall': 0.9}"),
        Said("error", "  In[7], line 3, in report\nKeyError: 'recall'"),
    ),
    callback_error="KeyError: 'recall'",
)
RUNNING = job(
    JobState.RUNNING,
    "b",
    tags=(("model", "forest"), ("C", "10.0"), ("data", "digits")),
    dependencies=(SPLIT.key,),
    metrics=(("accuracy", 0.9),),
    progress=0.625,
    progress_text="tree 5 of 8",
    started=10.0,
    elsewhere=True,
    path="/home/me/xpm-workspace/jobs/b",
)
FAILED = job(
    JobState.ERROR,
    "c",
    reason=FailureReason.FAILED,
    message="ValueError: no such kernel\nbut there are others",
    tags=(("model", "svc"), ("data", "digits")),
    dependencies=(SPLIT.key,),
    progress=0.25,
    started=10.0,
    ended=12.0,
    callback_error="ZeroDivisionError: division by zero",
)
ALSO_FAILED = replace(FAILED, key="digits.d/" + digits("d"), identifier=digits("d"))
WAITING = job(JobState.WAITING, "best", task="Best", dependencies=(DONE.key, RUNNING.key))
SWEEP = ExperimentView(
    "digits",
    "/home/me/xpm-workspace",
    "digits",
    (SPLIT, DONE, RUNNING, FAILED, ALSO_FAILED, WAITING),
    slots=4,
)
SMALL = replace(SWEEP, jobs=(DONE, FAILED))
IN_EACH_STATE = {
    state: job(state, reason=FailureReason.TIMEOUT if state is JobState.ERROR else None)
    for state in JobState
} | {JobState.DONE: DONE, JobState.RUNNING: RUNNING, JobState.ERROR: FAILED}


# -- figures ------------------------------------------------------------------------------------

RESULTS = TableView(
    ("model", "C", "accuracy", "loss"),
    (("svc", "1.0", "0.98", "0.10"), ("forest", "", "0.97", "0.08"), ("mlp", "10.0", "", "")),
    (False, True, True, True),
    ("k1", "k2", "k3"),
    "digits: 3 runs",
    best=((0, 2), (1, 3)),
    hidden=(("data", "digits"), ("epochs", "3")),
)
GROUPED = TableView(
    ("model", "accuracy", "n"),
    (("svc", "0.981 ± 0.004", "5"), ("forest", "0.970 ± 0.011", "4")),
    (False, True, True),
    caption="digits: over seed",
    best=((0, 1),),
)
PLAN = TableView(
    ("job", "fate", "C", "needs"),
    (("Split 1f3a9c02", "reused", "", ""), ("Train 2e3a9c02", "new", "10.0", "Split 1f3a9c02")),
    (False, False, True, False),
    caption="plan: 1 reused, 1 new\nabout 3 min with 4 slots",
)
DIFF = DiffView(
    ("Train", digits("left")),
    ("Train", digits("right")),
    (
        DiffRow("lr", "0.1", "0.01"),
        DiffRow("model", "CNN", "Forest", type_only=True),
        DiffRow("model.hidden", "64", None),
        DiffRow("model.trees[2].depth", None, "12"),
        DiffRow("device", "'cpu'", "'cuda'", hashed=False),
    ),
)
EQUAL = DiffView(("Train", digits("left")), ("Train", digits("left")), ())
GRAPH = drawing.graph(SWEEP.jobs, by="job")
BY_TASK = drawing.graph(SWEEP.jobs, by="task")
CURVES = tuple(
    CurveView(one.key, label, metric, tuple((float(x), f(x)) for x in range(0, 50, 7)))
    for metric, f in (("loss", lambda x: math.exp(-x / 9)), ("accuracy", lambda x: 1 - 0.7**x))
    for one, label in ((DONE, "model=svc C=1.0"), (RUNNING, "model=forest C=10.0"))
)
LOG = "one\n 10%\r 20%\r\n\x1b[31mtwo\x1b[0m\n"


# -- all of them --------------------------------------------------------------------------------

Bundle = dict[str, str]


def _experiment(view: ExperimentView) -> Bundle:
    graph = drawing.graph(view.jobs, by="job")
    return html.bundle(view, now=40.0, uid="u1", back=BACK, eta=190.0, graph=graph, curves=CURVES)


def bundles() -> dict[str, Bundle]:
    """Every display that there is, by name."""
    found = {
        "config": html.bundle(TRAIN, fate="already computed"),
        "config-unknown": html.bundle(UNKNOWN),
        "config-stable": html.bundle(TRAIN, stable=True),
        "experiment": _experiment(SWEEP),
        "experiment-done": html.bundle(replace(SWEEP, jobs=SWEEP.jobs[:2]), now=300.0, back=BACK),
        "experiment-stable": html.bundle(SWEEP, now=40.0, back=BACK, eta=3.0, stable=True),
        "experiment-empty": html.bundle(replace(SWEEP, jobs=()), now=40.0),
        "experiment-brief": html.brief(SWEEP),
        "jobs": {
            "text/plain": html.jobs_text(SWEEP.jobs),
            "text/html": html.jobs_html(SWEEP.jobs, now=40.0),
        },
        "table": html.bundle(RESULTS),
        "table-grouped": html.bundle(GROUPED),
        "table-empty": html.bundle(TableView((), (), ())),
        "plan": html.bundle(PLAN),
        "diff": html.bundle(DIFF),
        "diff-equal": html.bundle(EQUAL),
        "graph-job": html.bundle(GRAPH),
        "graph-task": html.bundle(BY_TASK),
        "curves": {
            "text/plain": html.curves_text(CURVES),
            "text/html": html.curves_html(CURVES, "digits"),
        },
        "log": {"text/plain": html.clean_log(LOG), "text/html": html.log_html(LOG, "Train")},
        "problem": {
            "text/plain": html.problem_text("ConfigError", "lr: 'x' is no float"),
            "text/html": html.problem_html("ConfigError", "lr: 'x' is no float", "Traceback…"),
        },
    }
    for state, view in IN_EACH_STATE.items():
        found[f"job-{state.value}"] = html.bundle(view, log=LOG, now=40.0)
    return found


# Each way to a display, with a view that has all its fields filled.
DISPLAYS: dict[str, tuple[object, Callable[..., Bundle]]] = {
    "config": (TRAIN, lambda view: html.bundle(view, fate="new")),
    "job": (DONE, lambda view: html.bundle(view, log=LOG, now=40.0)),
    "failed job": (FAILED, lambda view: html.bundle(view, log=LOG, now=40.0)),
    "running job": (RUNNING, lambda view: html.bundle(view, log=LOG, now=40.0)),
    "experiment": (SMALL, _experiment),
    "stable experiment": (SMALL, lambda view: html.bundle(view, stable=True, back=BACK)),
    "table": (RESULTS, html.bundle),
    "plan": (PLAN, html.bundle),
    "diff": (DIFF, html.bundle),
    "graph": (GRAPH, html.bundle),
    "graph by task": (BY_TASK, html.bundle),
    "curves": (
        CURVES,
        lambda view: {
            "text/plain": html.curves_text(view),
            "text/html": html.curves_html(view, "digits"),
        },
    ),
    "brief": (SWEEP, html.brief),
}
