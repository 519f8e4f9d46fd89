from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from xpm_nb.core import compare, doors, serial
from xpm_nb.core.compare import between, diff
from xpm_nb.core.config import Config, LightweightTask, Task, seal, sealed_set, setmeta
from xpm_nb.core.fields import Meta, Param, PathGenerator, field
from xpm_nb.core.views import DiffRow


class Color(Enum):
    RED = 1
    BLUE = 2


class Model(Config):
    hidden: Param[int] = 8
    sizes: Param[list[int]] = field(default=[])


class CNN(Model):
    kernel: Param[int] = 3


class Forest(Model):
    trees: Param[int]
    hidden = 9


class Learn(Task):
    lr: Param[float] = 0.1
    model: Param[Model | None] = None
    models: Param[list[Model]] = field(default=[])
    named: Param[dict[str, Model]] = field(default={})
    words: Param[set[str]] = field(default=set())
    color: Param[Color] = Color.RED
    data: Param[Path] = Path("/data")
    anything: Param[Any] = None
    note: Meta[str] = "n"
    out: Meta[Path] = field(default_factory=PathGenerator("out"))


def rows(a, b):
    """The rows, with what is the rule left out."""
    return [
        (r.path, r.left, r.right, *(["unhashed"] * (not r.hashed) + ["type"] * r.type_only))
        for r in between(a, b, None).rows
    ]


def test_leaves_that_differ():
    a, b = Learn.C(), Learn.C(lr=0.2, color=Color.BLUE, data="/else", note="m")
    assert rows(a, b) == [
        ("lr", "0.1", "0.2"),
        ("color", "Color.RED", "Color.BLUE"),
        ("data", "/data", "/else", "unhashed"),
        ("note", "'n'", "'m'", "unhashed"),
    ]
    view = between(a, b, None)
    assert view.left == ("Learn", a.__identifier__().hex())
    assert view.right == ("Learn", b.__identifier__().hex())


def test_nested_and_in_containers():
    a = Learn.C(model=Model.C(), models=[Model.C(), Model.C(hidden=1)], named={"a": Model.C()})
    b = Learn.C(model=Model.C(hidden=2), models=[Model.C(sizes=[1])], named={"b": Model.C()})
    assert rows(a, b) == [
        ("model.hidden", "8", "2"),
        ("models[0].sizes[0]", None, "1"),
        ("models[1]", "Model", None, "type"),
        ("models[1].hidden", "1", None),
        ("models[1].sizes", "[]", None),
        ("named['a']", "Model", None, "type"),
        ("named['a'].hidden", "8", None, "unhashed"),  # a bare default is left out
        ("named['a'].sizes", "[]", None),
        ("named['b']", None, "Model", "type"),
        ("named['b'].hidden", None, "8", "unhashed"),
        ("named['b'].sizes", None, "[]"),
    ]
    assert rows(Learn.C(words={"b", "a"}), Learn.C(words={"a", "c"})) == [
        ("words{'b'}", "'b'", None),
        ("words{'c'}", None, "'c'"),
    ]


def test_other_classes():
    a, b = Learn.C(model=CNN.C(sizes=[1])), Learn.C(model=Forest.C(trees=4, sizes=[2]))
    assert rows(a, b) == [
        ("model", "CNN", "Forest", "type"),
        ("model.hidden", "8", "9", "unhashed"),  # both are the default of their class
        ("model.sizes[0]", "1", "2"),
        ("model.kernel", "3", None, "unhashed"),
        ("model.trees", None, "4"),
    ]
    assert rows(Learn.C(), Learn.C(model=CNN.C(kernel=5)))[:2] == [
        ("model", "None", "CNN", "type"),
        ("model.hidden", None, "8", "unhashed"),
    ]
    assert rows(CNN.C(), Model.C()) == [
        ("(type)", "CNN", "Model", "type"),
        ("kernel", "3", None, "unhashed"),
    ]


def test_classes_of_one_name():
    def define(module):
        body = {"__module__": module, "__qualname__": "Same", "__annotations__": {}}
        return type("Same", (Config,), body)

    assert rows(define("a").C(), define("b").C()) == [("(type)", "a.same", "b.same", "type")]


def test_values_of_other_types():
    def anything(one, other):
        return rows(Learn.C(anything=one), Learn.C(anything=other))

    assert anything(1, 1.0) == [("anything", "1", "1.0")]
    assert anything(1, True) == [("anything", "1", "True")]
    assert anything(0.0, -0.0) == [("anything", "0.0", "-0.0")]
    assert anything([1], (1,)) == [("anything", "[1]", "(1,)")]
    assert anything([], set()) == [("anything", "[]", "set()")]
    assert anything({"a": 1}, {1: 1}) == [("anything[1]", None, "1"), ("anything['a']", "1", None)]
    assert anything([{"a": (1, [2])}], [{"a": (1, [3])}]) == [("anything[0]['a'][1][0]", "2", "3")]
    assert anything(float("nan"), float("nan")) == []
    assert anything(None, None) == []
    assert anything({"type": "path"}, {"type": "path"}) == []


def test_enums_that_look_alike():
    def define(module):
        return Enum("Look", {"RED": 1}, module=module, qualname="Look")

    one, other = define("a").RED, define("b").RED
    assert rows(Learn.C(anything=one), Learn.C(anything=other)) == [
        ("anything", "a:Look:RED", "b:Look:RED")
    ]


def test_long_values_show_where_they_differ(monkeypatch):
    def one(value, other):
        [row] = between(Learn.C(anything=value), Learn.C(anything=other), None).rows
        return row.left, row.right

    left, right = one("x" * 1000 + "left" + "y" * 1000, "x" * 1000 + "right" + "y" * 1000)
    assert left == "…" + "x" * 30 + "left" + "y" * 86 + "…"
    assert right == "…" + "x" * 30 + "right" + "y" * 85 + "…"
    left, right = one("x" * 1000, "x" * 1001)
    assert (left, right) == ("…" + "x" * 30 + "'", "…" + "x" * 31 + "'")
    left, right = one(list(range(1000)), [*range(700), *range(701, 1001)])
    assert left.startswith("…4, 695, 696, 697, 698, 699, 700, 701, ")
    assert right.startswith("…4, 695, 696, 697, 698, 699, 701, 702, ")
    left, right = one("a", "b" * 500)
    assert (left, right) == ("'a'", "'" + "b" * 119 + "…")
    monkeypatch.setattr(compare, "READ", 1000)
    far = [0] * 400
    assert one([*far, *range(30)], [*far, *range(1, 31)]) == (
        ("(it differs behind the first 1,000 characters)",) * 2
    )


def test_few_items_that_differ_are_shown_by_themselves():
    a = Learn.C(anything=list(range(500)))
    b = Learn.C(anything=[*range(200), -1, *range(201, 500)])
    assert rows(a, b) == [("anything[200]", "200", "-1")]


def test_what_counts_and_what_does_not():
    a = Learn.C(model=setmeta(Model.C(hidden=1), True))
    b = Learn.C(model=setmeta(Model.C(hidden=2), True))
    assert a.__identifier__() == b.__identifier__()
    assert rows(a, b) == [("model.hidden", "1", "2", "unhashed")]
    assert rows(a, Learn.C(model=Model.C(hidden=1))) == [("model (meta)", "True", None)]


def test_shared_and_looped():
    class Node(Config):
        value: Param[int]
        one: Param[Any] = None
        other: Param[Any] = None

    def diamond(value):
        inner = Node.C(value=value)
        for _ in range(60):  # 2 ** 60 ways lead to it
            inner = Node.C(value=0, one=inner, other=inner)
        return inner

    found = rows(diamond(1), diamond(2))
    assert [row[1:] for row in found] == [("1", "2")]
    assert found[0][0] == "one.one.one.one.… 49 more ….one.one.one.one.one.one.one.value"
    looped = []
    for value, length in ((1, 2), (2, 3)):
        nodes = [Node.C(value=value) for _ in range(length)]
        for node, other in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            node.one = [other]
        looped.append(nodes[0])
    assert len(rows(*looped)) == 6  # each of two with each of three


def test_deep_chains():
    class Link(Config):
        value: Param[int]
        next: Param[Any] = None

    def chain(length, step):
        made = Link.C(value=0)
        for n in range(length):
            made = Link.C(value=n % step, next=made)
        return made

    view = between(chain(5000, 3), chain(5000, 4), "n")
    assert len(view.rows) == 5000 - 5000 // 12 * 3 - 3
    assert max(len(row.path) for row in view.rows) < 120
    one_sided = between(chain(5000, 3), chain(0, 3), "n").rows
    assert len(one_sided) < 30
    assert one_sided[-1].left == "Link(…)"


def test_tasks_that_made_something(submitter):
    class Made(Config):
        size: Param[int] = 1

    class Prepare(Task):
        seed: Param[int]

        def task_outputs(self, dep):
            return dep(Made.C())

    class Warm(LightweightTask):
        steps: Param[int]

    class Use(Task):
        made: Param[Made]
        before: Param[Any] = None

    a = Use.C(made=Prepare.C(seed=1).submit())
    b = Use.C(made=Prepare.C(seed=2).submit())
    assert rows(a, b) == [("made (made by).seed", "1", "2")]
    assert rows(a, Use.C(made=Made.C()))[0] == ("made (made by)", "Prepare", None, "type")
    a.submit(init_tasks=[Warm.C(steps=1), Warm.C(steps=2)])
    c = Use.C(made=Prepare.C(seed=1).submit())
    c.submit(init_tasks=[Warm.C(steps=1), Warm.C(steps=3)])
    assert rows(a, c) == [("(init task 1).steps", "2", "3")]
    # The paths of two jobs differ, and say nothing.
    one, other = Learn.C(lr=1).submit(), Learn.C(lr=2).submit()
    assert rows(one, other) == [("lr", "1.0", "2.0")]
    assert rows(Use.C(made=Made.C(), before=one), Use.C(made=Made.C(), before=other)) == [
        ("before.lr", "1.0", "2.0")
    ]


def test_configs_in_sets():
    class Held(Config):
        models: Param[set[Model]]

    a = Held.C(models=sealed_set(Model.C(), Model.C(hidden=2)))
    b = Held.C(models=sealed_set(Model.C(), Model.C(hidden=3)))
    assert [row[1:] for row in rows(a, b)] == [
        ("Model", None, "type"), ("2", None), ("[]", None),
        (None, "Model", "type"), (None, "3"), (None, "[]"),
    ]  # fmt: skip


def test_incomplete_and_nowhere():
    class Odd:
        def __repr__(self):
            return "<odd>"

    cell = type(
        "Cell",
        (Config,),
        {"__module__": "__main__", "__qualname__": "Cell", "__annotations__": {"x": Param[Any]}},
    )
    view = between(cell.C(), cell.C(x=1), None)
    assert (view.left, view.right) == (("Cell", ""), ("Cell", ""))
    assert view.rows == (DiffRow("x", None, "1"),)
    assert between(cell.C(x=1), cell.C(x=1), "exp").left[1]
    odd = cell.C(x=[1])
    odd.x.append(Odd())  # as only a careless hand can
    assert rows(odd, cell.C(x=[1])) == [("x[1]", "<odd>", None)]


def test_minus(submitter):
    a, b = Learn.C(), Learn.C(lr=0.2)
    found = a - b
    assert isinstance(found, compare.Diff)
    assert found.view() == between(a, b, "exp")
    assert (len(found), bool(found), found.rows) == (1, True, (DiffRow("lr", "0.1", "0.2"),))
    assert list(found) == list(found.rows)
    digits = [x.__identifier__().hex()[:8] for x in (a, b)]
    assert repr(found) == f"Learn({digits[0]}) - Learn({digits[1]}): 1 difference\n  lr: 0.1 -> 0.2"
    assert str(found) == repr(found)
    assert not a - Learn.C()
    assert repr(a - Learn.C()).endswith(": no difference")
    with pytest.raises(TypeError, match="unsupported operand"):
        a - 1
    with pytest.raises(TypeError, match="unsupported operand"):
        1 - a


def test_how_it_is_shown_is_behind_a_door(monkeypatch):
    found = Learn.C() - Learn.C(lr=1)
    monkeypatch.setattr(doors, "renderer", lambda thing: {"text/plain": f"{len(thing)} rows"})
    assert str(found) == "1 rows"
    assert found._repr_mimebundle_() == {"text/plain": "1 rows"}


def test_a_class_may_have_a_minus_of_its_own():
    class Vector(Config):
        x: Param[int]

        def __sub__(self, other):
            return self.x - other.x

    assert Vector.C(x=3) - Vector.C(x=1) == 2


def test_files_alone():
    a = serial.dump(Learn.C(model=Model.C(hidden=1)), namespace=None)
    b = serial.dump(Learn.C(model=Model.C(hidden=2), note="m"), namespace=None)
    view = diff(json.loads(json.dumps(a)), json.loads(json.dumps(b)))
    assert view.left == ("Learn", a["objects"][-1]["identifier"])
    assert view.rows == (
        DiffRow("model.hidden", "1", "2"),
        DiffRow("note", "'n'", "'m'", hashed=False),
    )
    for written in (a, b):  # as files without marks are
        for item in written["objects"]:
            item.pop("marks", None)
    assert [row.hashed for row in diff(a, b).rows] == [True, True]
    nothing = diff({}, a)
    assert (nothing.left, nothing.right[0]) == (("?", ""), "Learn")
    assert nothing.rows[0] == DiffRow("(type)", None, "Learn", type_only=True)
    assert diff({}, {"objects": [3]}).rows == ()


# -- laws


def dumped(config):
    return json.loads(json.dumps(serial.dump(config, namespace="n")))


def mirrored(view):
    return tuple(DiffRow(r.path, r.right, r.left, r.hashed, r.type_only) for r in view.rows)


@given(strategies.any_configs())
def test_nothing_differs_from_itself(made):
    assert diff(dumped(made), dumped(made)).rows == ()
    assert between(made, made.copy(), "n").rows == ()


@given(strategies.any_configs(), strategies.any_configs())
def test_both_directions_of_two_classes(one, other):
    a, b = dumped(one), dumped(other)
    there, back = diff(a, b), diff(b, a)
    assert back.rows == mirrored(there)
    assert (back.left, back.right) == (there.right, there.left)


@st.composite
def pairs(draw):
    shape = draw(strategies.shapes())
    return draw(strategies.configs(shape)), draw(strategies.configs(shape))


@given(pairs())
def test_a_difference_is_what_equality_says(pair):
    one, other = pair
    view = between(one, other, "n")
    assert bool(view.rows) == (one != other)
    assert between(other, one, "n").rows == mirrored(view)
    assert diff(dumped(one), dumped(other)).rows == view.rows
    assert any(row.hashed for row in view.rows) == (view.left[1] != view.right[1])


written = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "objects",
                    "id",
                    "type",
                    "module",
                    "typename",
                    "identifier",
                    "init-tasks",
                    "task",
                    "meta",
                    "tags",
                    "marks",
                    "fields",
                    "value",
                    "items",
                    "bits",
                    "hex",
                    "enum",
                    "base",
                ]
            ),
            inner
            | st.sampled_from(["python", "enum", "path", "tuple", "set", "dict", "int", "float"])
            | st.integers(0, 3),
            max_size=6,
        )
    ),
    max_leaves=30,
)
objects = st.fixed_dictionaries(
    {"id": st.integers(0, 3)},
    optional={
        "type": written, "typename": written, "identifier": written, "init-tasks": written,
        "task": st.integers(0, 3), "meta": written, "tags": written, "marks": written,
        "fields": st.dictionaries(st.sampled_from("ab"), written, max_size=2),
    },
)  # fmt: skip
damaged = st.fixed_dictionaries({"objects": st.lists(objects, max_size=4)}) | written


@settings(max_examples=300)
@given(damaged, damaged)
def test_damaged_data_raises_nothing(one, other):
    assert diff(one, one).rows == ()
    assert diff(other, one).rows == mirrored(diff(one, other))


def test_sealed_or_not_is_no_difference():
    a, b = Learn.C(), Learn.C()
    seal(b)
    assert rows(a, b) == []
