from __future__ import annotations

import copy
import math
import struct
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import strategies
from xpm_nb.core import editing
from xpm_nb.core.config import Config, Task, seal, tag, tags_of
from xpm_nb.core.fields import Choices, Constant, Meta, Param, PathGenerator, field
from xpm_nb.core.nodes import info, value_text
from xpm_nb.core.views import describe, edit
from xpm_nb.errors import ConfigError, FrozenError, XpmError


class Color(Enum):
    RED = 1
    BLUE = "b"


class Model(Config):
    hidden: Param[int]
    inner: Param[Model | None] = None


class All(Task):
    i: Param[int] = 1
    f: Param[float] = 0.5
    b: Param[bool] = True
    s: Param[str] = "s"
    e: Param[Color] = Color.RED
    lit: Param[Literal["a", "b", 3]] = "a"
    few: Param[Annotated[float, Choices([0.1, 0.2])]] = 0.1
    io: Param[int | None] = None
    fo: Param[float | None] = None
    bo: Param[bool | None] = None
    so: Param[str | None] = None
    eo: Param[Color | None] = None
    po: Param[Path | None] = None
    num: Param[int | float] = 1
    path: Param[Path] = Path("/data")
    ints: Param[list[int]] = field(default=[1, 2])
    pair: Param[tuple[int, str]] = (1, "a")
    table: Param[dict[str, float]] = field(default={})
    words: Param[set[str]] = field(default=set())
    anything: Param[Any] = None
    either: Param[int | str] = 1
    const: Constant[int] = 1
    out: Meta[Path] = field(default_factory=PathGenerator("out"))
    model: Param[Model | None] = None
    models: Param[list[Model]] = field(default=[])
    named: Param[dict[str, Model]] = field(default={})


def rows(config, **more):
    return {row.name: row for row in describe(config, "n", editable=True, **more).params}


def test_how_values_are_typed():
    found = {name: (row.input, row.raw) for name, row in rows(All.C()).items()}
    assert found == {
        "i": ("int", "1"), "f": ("float", "0.5"), "b": ("bool", "true"), "s": ("text", "s"),
        "e": ("choice", "RED"), "lit": ("choice", "a"), "few": ("choice", "0.1"),
        "io": ("int", ""), "fo": ("float", ""), "bo": ("choice", ""), "so": ("text", ""),
        "eo": ("choice", ""), "po": ("text", ""), "num": ("float", "1"), "path": ("text", "/data"),
        "ints": ("text", "[1, 2]"), "pair": ("text", "(1, 'a')"), "table": ("text", "{}"),
        "words": ("text", "set()"),
        **dict.fromkeys(
            ["anything", "either", "const", "out", "model", "models", "named"], ("", "")
        ),
    }  # fmt: skip
    choices = {name: row.choices for name, row in rows(All.C()).items() if row.choices}
    assert choices == {
        "e": ("RED", "BLUE"), "lit": ("a", "b", "3"), "few": ("0.1", "0.2"),
        "bo": ("", "true", "false"), "eo": ("", "RED", "BLUE"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("i", "3", 3), ("i", " 0x10 ", 16), ("i", "1e3", 1000), ("i", "1_000", 1000),
        ("i", "007", 7), ("i", "-0", 0), ("i", "9" * 50, int("9" * 50)),
        ("f", "3", 3.0), ("f", "1e-3", 0.001), ("f", "-inf", -math.inf), ("f", "-0.0", -0.0),
        ("b", "false", False), ("b", "True", True), ("b", "no", False), ("b", "1", True),
        ("s", "", ""), ("s", " 1 ", " 1 "), ("s", '"x"', '"x"'), ("s", "None", "None"),
        ("e", "BLUE", Color.BLUE), ("lit", "b", "b"), ("lit", "3", 3), ("few", "0.2", 0.2),
        ("io", "3", 3), ("io", " ", None), ("io", "None", None), ("io", "null", None),
        ("fo", "3", 3.0), ("bo", "", None), ("bo", "false", False), ("eo", "RED", Color.RED),
        ("so", "", None), ("so", '""', ""), ("so", "None", "None"), ("so", "x", "x"),
        ("po", "/x", Path("/x")), ("po", "", None), ("path", "x", Path("x").absolute()),
        ("num", "3", 3), ("num", "3.5", 3.5),
        ("ints", "[3]", [3]), ("ints", "3, 4", [3, 4]), ("ints", "[]", []),
        ("ints", "[1.0, 0x2]", [1, 2]),
        ("pair", "(2, 'b')", (2, "b")), ("pair", '[2, "b"]', (2, "b")),
        ("table", '{"a": 1}', {"a": 1.0}), ("table", '{"a": Infinity}', {"a": math.inf}),
        ("table", "{'a': -inf, 'b': 1e3}", {"a": -math.inf, "b": 1000.0}),
        ("words", "{'a', 'b'}", {"a", "b"}), ("words", "'a', 'b'", {"a", "b"}),
    ],
)  # fmt: skip
def test_what_is_typed(name, text, value):
    made = All.C(io=1, fo=1, bo=True, so="o", eo=Color.BLUE, po="/o")
    edit(made, name, text)
    found = getattr(made, name)
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value) or name == "words"


def test_nested_and_shared():
    inner = Model.C(hidden=1)
    made = All.C(
        model=Model.C(hidden=2, inner=inner),
        models=[inner, Model.C(hidden=3)],
        named={"a.b]": Model.C(hidden=4), "x" * 50: Model.C(hidden=5)},
    )
    view = describe(made, "n", editable=True)
    paths = {}
    pending = [(view, "")]
    while pending:
        one, path = pending.pop()
        for row in one.params:
            paths[path + row.name] = row
            if row.config is not None:
                pending.append((row.config, f"{path}{row.name}."))
    hidden = {p: row.raw for p, row in paths.items() if p.endswith("hidden")}
    assert hidden == {
        "model.hidden": "2",
        "model.inner.hidden": "1",
        "models[1].hidden": "3",
        "named['a.b]'].hidden": "4",
        f"named['{'x' * 19} … {'x' * 16}'].hidden": "5",
    }
    for path, raw in hidden.items():
        edit(made, path, f"1{raw}")
    assert (made.model.hidden, inner.hidden) == (12, 11)
    assert [m.hidden for m in made.models] == [11, 13]
    assert [m.hidden for m in made.named.values()] == [14, 15]
    edit(made, "models[0].hidden", "20")  # where it is a stub
    assert inner.hidden == 20


def test_keys_that_look_alike_when_cut():
    keys = [f"{'x' * 30}{n}{'y' * 30}" for n in range(2)]
    made = All.C(named={key: Model.C(hidden=n) for n, key in enumerate(keys)})
    names = [name for name in rows(made) if name.startswith("named")]
    assert names == [f"named[{key!r}]" for key in keys]
    edit(made, f"{names[1]}.hidden", "5")
    assert [m.hidden for m in made.named.values()] == [0, 5]


def test_errors_stand_at_their_rows():
    made = All.C(models=[Model.C(hidden=1), Model.C(hidden=2)])
    errors = {"i": "bad", "models[1].hidden": "worse", "models[1]": "also", "gone": "not shown"}
    found = rows(made, errors=errors)
    assert found["i"].error == "bad"
    assert found["models[1]"].error == "also"
    assert found["models[1]"].config.params[0].error == "worse"
    assert found["models[0]"].config.params[0].error == ""


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("i", "x", "All.i: int wanted, not 'x' (str); input should be a valid integer"),
        ("i", "1.5", "All.i: int wanted, not 1.5 (float); input should be a valid integer"),
        ("f", "", "All.f: float wanted, not '' (str); input should be a valid number"),
        ("b", "maybe", "All.b: bool wanted, not 'maybe'"),
        ("e", "GREEN", "a member is needed: Color.RED, Color.BLUE"),
        ("few", "0.3", "it is not one of 0.1, 0.2"),
        ("lit", "c", "it is not one of 'a', 'b', 3"),
        ("ints", "[1.5]", "at $.ints[0]: 1.5"),
        ("ints", "[1", "All.ints: list[int] wanted, not '[1' (str)"),
        ("ints", "__import__('os')", "All.ints: list[int] wanted, not"),
        ("words", r"['\d']", "All.words: set[str] wanted, not"),
        ("ints", "[i]", "All.ints: list[int] wanted, not '[i]' (str)"),
        ("ints", "[" * 5000, "All.ints: list[int] wanted, not"),
        ("words", "[1], [2]", "All.words: set[str] wanted, not"),
        ("anything", "1", "All.anything: Any cannot be typed in; set it in code"),
        ("model", "1", "All.model: Model | None cannot be typed in"),
        ("modle.hidden", "1", "All has no parameter 'modle'; did you mean 'model'?"),
        ("model.hiden", "1", "Model has no parameter 'hiden'; did you mean 'hidden'?"),
        ("models[1].hidden", "1", "'models[1].hidden' leads to no parameter: All.models is ["),
        ("i.x", "1", "'i.x' leads to no parameter: All.i is 1"),
        ("", "1", "All has no parameter ''"),
    ],
)
def test_what_cannot_be(path, text, message):
    made = All.C(model=Model.C(hidden=1), models=[Model.C(hidden=1)])
    before = made.copy()
    with pytest.raises(ConfigError) as caught:
        edit(made, path, text)
    assert message in str(caught.value)
    assert str(caught.value).endswith("in the form)")
    assert made == before


def test_what_may_not_be_set():
    made = All.C()
    for name in ("const", "out"):
        with pytest.raises(FrozenError, match=f"All.{name} is .*in the form"):
            edit(made, name, "1")
    with pytest.raises(FrozenError, match=r"All.path cannot be None: .*in the form"):
        edit(made, "path", "")
    seal(made)
    for name in ("i", "anything"):
        with pytest.raises(FrozenError, match=r"is sealed .*in the form"):
            edit(made, name, "1")
    assert not any(row.input or row.raw for row in rows(made).values())


def test_what_is_sealed_below_is_not_typed():
    made = All.C(model=seal_of(Model.C(hidden=1)))
    found = rows(made)
    assert found["i"].input
    assert not found["model"].config.params[0].input
    with pytest.raises(FrozenError, match="sealed"):
        edit(made, "model.hidden", "2")


def seal_of(config):
    seal(config)
    return config


def test_without_a_value():
    made = Model.C()
    row = rows(made)["hidden"]
    assert (row.input, row.raw, row.text) == ("int", "", "(not set)")
    with pytest.raises(ConfigError, match="int wanted, not ''"):
        edit(made, "hidden", "")
    edit(made, "hidden", "3")
    assert made.hidden == 3


def test_a_name_that_is_not_defined_yet():
    class Later(Config):
        x: Param[Undefined]  # noqa: F821

    assert rows(Later.C())["x"].input == ""
    with pytest.raises(ConfigError, match="name 'Undefined' is not defined"):
        edit(Later.C(), "x", "1")


def test_tags_follow():
    made = All.C(i=tag(3), f=tag(1)).tag("s", "a word of mine").tag("fo", [1])
    for name, text in (("i", "4"), ("f", "0.25"), ("s", "t"), ("fo", "1")):
        edit(made, name, text)
    assert tags_of(made) == {"i": 4, "f": 0.25, "s": "a word of mine", "fo": [1]}


def test_values_that_no_form_gives_back():
    odd_nan = struct.unpack("!d", bytes.fromhex("7ff8000000000001"))[0]
    made = All.C(s="a\x00b", f=odd_nan)
    assert rows(made)["s"].input == ""
    identifier = made.__identifier__()
    edit(made, "f", rows(made)["f"].raw)  # "nan", and unchanged
    assert made.__identifier__() == identifier
    for text in ("\ud800", "x" * (editing.MAX_RAW + 1), "\r\n"):
        assert rows(All.C(s=text))["s"].input == ""
    assert rows(All.C(s="two\nlines\t"))["s"].raw == "two\nlines\t"
    assert rows(All.C(ints=list(range(10_000))))["ints"].input == ""


def test_choices_that_look_alike():
    class Held(Config):
        x: Param[Literal["1", 1, None]]
        y: Param[Literal["", "a"] | None] = None

    made = Held.C(x=1)
    assert rows(made)["x"].choices == ("", "'1'", "1")
    assert rows(made)["x"].raw == "1"
    for text, value in (("'1'", "1"), ("1", 1), ("", None)):
        edit(made, "x", text)
        assert (made.x, type(made.x)) == (value, type(value))
    assert rows(made)["y"].choices == ("None", "", "a")
    edit(made, "y", "")
    assert made.y == ""


# -- laws


def typed_rows(view, path=""):
    """Every row that can be typed, with its path."""
    pending = [(view, path)]
    while pending:
        one, before = pending.pop()
        for row in one.params:
            if row.input:
                yield before + row.name, row
            if row.config is not None:
                pending.append((row.config, f"{before}{row.name}."))


@given(strategies.any_configs())
def test_typing_what_is_there_changes_nothing(made):
    view = describe(made, "n", editable=True)
    before = copy.deepcopy(made)
    for path, row in typed_rows(view):
        edit(made, path, row.raw)
    assert made == before
    assert describe(made, "n", editable=True) == view


@given(st.data())
def test_what_one_configuration_shows_another_takes(data):
    shape = data.draw(strategies.shapes(levels=0))
    one, other = (data.draw(strategies.configs(shape)) for _ in range(2))
    for path, row in typed_rows(describe(one, "n", editable=True)):
        if row.raw:  # for nothing, texts are empty, and others None
            edit(other, path, row.raw)
            mine, theirs = (info(c).values[path] for c in (one, other))
            assert type(mine) is type(theirs)
            assert value_text(mine, 10_000) == value_text(theirs, 10_000)  # NaNs of any bits


@given(st.sampled_from(list(All.C.__xpm_schema__.fields)), st.text(max_size=20))
def test_any_text_gives_a_value_or_an_error(name, text):
    made = All.C()
    try:
        edit(made, name, text)
    except XpmError:
        assert made == All.C()
    assert describe(made, "n", editable=True)
