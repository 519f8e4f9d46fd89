from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from xpm_nb.core import views
from xpm_nb.core.config import Config, Task, setmeta, tag
from xpm_nb.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import ExperimentView, JobView, describe


class Color(Enum):
    RED = 1


class Model(Config):
    hidden: Param[int]
    drop: Param[float] = 0.1


class Learn(Task):
    """Learns.

    Attributes:
        lr: The rate.
    """

    lr: Param[float]
    model: Param[Model]
    color: Param[Color] = field(default=Color.RED)
    o: Param[int | None] = None
    note: Meta[str] = "n"
    version: Constant[int] = 1
    out: Meta[Path] = field(default_factory=PathGenerator("out"))
    models: Param[list[Model]] = field(default=[])


def test_a_config_as_a_tree():
    model = Model.C(hidden=3)
    made = Learn.C(lr=tag(0.5), model=model, models=[model, setmeta(Model.C(hidden=4), True)])
    view = describe(made, None)
    assert (view.name, view.type_name) == ("Learn", "tests.core.test_views.learn")
    assert view.identifier == made.__identifier__().hex()
    assert view.tags == (("lr", "0.5"),)
    rows = {p.name: p for p in view.params}
    assert list(rows) == [
        "lr", "model", "color", "o", "note", "version", "out", "models[0]", "models[1]",
    ]  # fmt: skip
    shown = {n: (p.kind, p.type, p.text, p.default, p.hashed) for n, p in rows.items()}
    assert shown["lr"] == ("param", "float", "0.5", False, True)
    assert shown["color"] == ("param", "Color", "Color.RED", True, True)
    assert shown["o"] == ("param", "int | None", "None", True, False)
    assert shown["note"] == ("meta", "str", "'n'", True, False)
    assert shown["version"] == ("constant", "int", "1", True, True)
    assert shown["out"] == ("meta", "Path", "(later)", False, False)
    assert rows["lr"].help == "The rate."
    inner = rows["model"].config
    assert [(p.name, p.text, p.default) for p in inner.params] == [
        ("hidden", "3", False), ("drop", "0.1", True),
    ]  # fmt: skip
    assert (rows["models[0]"].config.shared, rows["models[0]"].config.params) == (True, ())
    assert rows["models[1]"].config.params[0].text == "4"


def test_why_there_is_no_identifier():
    cell = type("Cell", (Config,), {"__module__": "__main__", "__qualname__": "Cell"})
    view = describe(cell.C(), None)
    assert (view.identifier, view.note) == ("", "identifier: once an experiment is open")
    assert view.type_name == "cell"
    assert describe(cell.C(), "exp").type_name == "exp.cell"
    view = describe(Learn.C(lr=1), None)
    assert view.note.startswith("no identifier: Learn.model has no value")
    assert {p.name: p.text for p in view.params}["model"] == "(not set)"
    assert view.params[0].hashed


def test_a_submitted_task(submitter):
    class Evaluate(Task):
        learner: Param[Learn]

    learner = Learn.C(lr=1, model=Model.C(hidden=1)).submit()
    learner.job.state = JobState.RUNNING
    made = Evaluate.C(learner=learner)
    view = describe(made, "exp")
    assert view.dependencies == (("Learn", learner.__identifier__().hex()),)
    assert view.state is None
    assert view.params[0].config.state is JobState.RUNNING
    assert describe(learner, None).identifier == learner.__identifier__().hex()


def test_deep_wide_and_long():
    class Link(Config):
        next: Param[Link | None] = None
        items: Param[list[Link]] = field(default=[])
        numbers: Param[Any] = None

    made = Link.C()
    for _ in range(50):
        made = Link.C(next=made)
    view = describe(made, None)
    for _ in range(views.MAX_LEVELS - 1):
        view = view.params[0].config
    assert (view.params[0].config, view.params[0].text) == (None, "Link(…)")
    wide = describe(Link.C(items=[Link.C() for _ in range(100)], numbers=list(range(1000))), None)
    assert [p.name for p in wide.params][-3:] == ["items[19]", "items[…]", "numbers"]
    assert wide.params[-2].text == "80 more"
    assert wide.params[-1].text == "[0, 1, 2, 3, 4, 5, 6, 7, …] (1000 items)"
    many = Link.C(items=[Link.C(items=[Link.C() for _ in range(19)]) for _ in range(19)])
    assert len(repr(describe(many, None))) < 200_000


def test_sets_are_shown_in_an_order_of_their_own():
    class Held(Config):
        words: Param[set[str]]

    view = describe(Held.C(words={"b", "a", "c"}), None)
    assert view.params[0].text == "{'a', 'b', 'c'}"
    assert repr(Held.C(words={"b", "a"})).startswith("Held(words={'a', 'b'})")


def test_views_as_json():
    job = JobView("t/1", "1", "t", "t", "T", JobState.ERROR, FailureReason.LOST, tags=(("a", "b"),))
    view = ExperimentView("x", "/ws", "x", (job,))
    plain = view.as_json()
    assert plain["jobs"][0] == job.as_json()
    assert plain["jobs"][0]["state"] == "error"
    assert plain["jobs"][0]["reason"] == "lost"
    assert plain["jobs"][0]["tags"] == [["a", "b"]]
    assert plain["counts"]["error"] == 1
    assert view.finished
    with pytest.raises(AttributeError):
        view.name = "y"
