from __future__ import annotations

import json
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import strategies
from xpm_nb.core import serial, views
from xpm_nb.core.config import Config, LightweightTask, Task, setmeta, tag
from xpm_nb.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import ExperimentView, JobView, describe, describe_params


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
    assert plain == views.as_json(view)
    row = views.as_json(describe(Model.C(hidden=3), None, editable=True))["params"][0]
    assert (row["name"], row["input"], row["raw"], row["choices"]) == ("hidden", "int", "3", [])
    assert view.finished
    with pytest.raises(AttributeError):
        view.name = "y"


def test_configs_are_numbered():
    model = Model.C(hidden=3)
    view = describe(Learn.C(lr=1, model=model, models=[Model.C(hidden=4), model]), None)
    inner = {row.name: row.config for row in view.params if row.config is not None}
    assert view.number == 0
    assert {name: (c.number, c.shared) for name, c in inner.items()} == {
        "model": (1, False), "models[0]": (2, False), "models[1]": (1, True),
    }  # fmt: skip


def test_sets_of_configs_are_shown_in_an_order_of_their_own():
    class Held(Config):
        models: Param[set[Model]]

    def made(numbers):
        return Held.C(models={Model.C(hidden=n).seal() for n in numbers})

    assert describe(made(range(9)), None) == describe(made(reversed(range(9))), None)


# -- from files


def dumped(config, namespace="n"):
    return json.loads(json.dumps(serial.dump(config, namespace=namespace)))


def test_a_file_as_a_tree():
    model = Model.C(hidden=3)
    made = Learn.C(lr=tag(0.5), model=model, models=[model, setmeta(Model.C(hidden=4), True)])
    made.tag("more", [1])
    view = describe_params(dumped(made))
    live = describe(made, "n")
    assert (view.name, view.type_name, view.identifier) == (
        live.name, live.type_name, live.identifier,
    )  # fmt: skip
    assert view.tags == (("lr", "0.5"), ("more", "[1]")) == live.tags
    rows = {p.name: p for p in view.params}
    assert list(rows) == [
        "lr", "model", "color", "o", "note", "version", "models[0]", "models[1]",
    ]  # fmt: skip
    shown = {n: (p.kind, p.type, p.text, p.default, p.hashed) for n, p in rows.items()}
    assert shown["lr"] == ("param", "", "0.5", False, True)
    assert shown["color"] == ("param", "", "Color.RED", True, True)
    assert shown["o"] == ("param", "", "None", True, False)
    assert shown["note"] == ("meta", "", "'n'", True, False)
    assert shown["version"] == ("constant", "", "1", True, True)
    assert (rows["models[0]"].config.shared, rows["models[0]"].config.number) == (True, 1)
    assert rows["models[1]"].config.params[0].text == "4"


def test_a_file_of_a_task_that_needs_others(submitter):
    class Made(Config):
        size: Param[int] = 1

    class Prepare(Task):
        seed: Param[int]

        def task_outputs(self, dep):
            return dep(Made.C())

    class Warm(LightweightTask):
        made: Param[Made]

    class Evaluate(Task):
        learner: Param[Learn]
        made: Param[Made]

    learner = Learn.C(lr=tag(1), model=Model.C(hidden=1)).submit()
    made = Evaluate.C(learner=learner, made=Prepare.C(seed=tag(1)).submit())
    made.submit(init_tasks=[Warm.C(made=Prepare.C(seed=2).submit())])
    view, live = describe_params(dumped(made, "exp")), describe(made, "exp")
    assert [name for name, _identifier in live.dependencies] == ["Learn", "Prepare", "Prepare"]
    assert view.dependencies == live.dependencies
    assert view.tags == live.tags == (("lr", "1"), ("seed", "1"))


def test_wide_and_deep_files():
    class Link(Config):
        next: Param[Any] = None
        items: Param[Any] = None

    made = Link.C()
    for _ in range(3000):
        made = Link.C(next=made)
    view = describe_params(dumped(made))
    for _ in range(views.MAX_LEVELS - 1):
        view = view.params[0].config
    assert (view.params[0].config, view.params[0].text) == (None, "Link(…)")
    wide = describe_params(dumped(Link.C(items=[Link.C() for _ in range(100)], next=[0] * 999)))
    assert [p.name for p in wide.params][-2:] == ["items[19]", "items[…]"]
    assert wide.params[-1].text == "80 more"
    assert wide.params[0].text.endswith("… (999 items)")
    keyed = describe_params(dumped(Link.C(items={("a", 1): Link.C(), 2: 3})))
    assert [p.name for p in keyed.params] == ["next", "items[('a', 1)]", "items[2]"]


@pytest.mark.parametrize("data", [{}, [], None, {"objects": 3}, {"objects": [{"id": "1"}]}])
def test_files_without_anything(data):
    view = describe_params(data)
    assert (view.name, view.note) == ("?", "the parameters of this job cannot be read")


def test_a_damaged_file():
    item = {
        "id": 1,
        "identifier": "no digits",
        "tags": [],
        "task": 1,
        "init-tasks": [7, "x", 1],
        "fields": {
            "self": {"type": "python", "value": 1},
            "gone": {"type": "python", "value": 2},
            "enum": {"type": "enum"},
            "odd": {"type": "thing", "items": 3},
            "bits": {"type": "float", "bits": "zz"},
            "int": {"type": "int", "hex": 3.5},
            "pairs": {"type": "dict", "items": [[1]]},
        },
        "marks": {"odd": 3, "int": "meta meta unhashed"},
    }
    view = describe_params({"objects": [3, item, {"id": 1.5}]})
    assert (view.name, view.identifier, view.note) == ("?", "", "no identifier in params.json")
    assert view.params[0].config.shared
    assert [p.text for p in view.params[1:]] == [
        "(missing object 2)", "?.?", "{'type': 'thing', 'items': 3}", "float('zz')", "0x?",
        "{'type': 'dict', 'items': [[1]]}",
    ]  # fmt: skip
    assert (view.params[5].kind, view.params[5].hashed) == ("meta", False)


def plain(view):
    """What a file knows of a view: no types, no help, nothing that is not there yet."""
    rows = []
    for row in view.params:
        # Cut, or written, in another way.
        other = len(row.text) > 90 or "Color" in row.text or "nan" in row.text
        rows.append(
            replace(
                row,
                type="",
                help="",
                default=False,
                text="" if other else row.text,
                config=None if row.config is None else plain(row.config),
            )
        )
    return replace(view, params=tuple(row for row in rows if row.text != "(later)"))


@given(strategies.any_configs())
def test_files_show_what_live_configurations_do(made):
    live, view = plain(describe(made, "n")), plain(describe_params(dumped(made)))
    assert view == live


anything = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["id", "objects", "fields", "type", "value", "tags"]), inner
        )
    ),
)


@given(anything)
def test_no_data_raises(data):
    assert describe_params(data).name
