"""The text after a field, found in the file or cell that has the class."""

from __future__ import annotations

import inspect
import linecache

import pytest

from xpm_nb.code import literals
from xpm_nb.core import doors
from xpm_nb.core.config import Config
from xpm_nb.core.fields import Param, field, help, schema


class Model(Config):
    """A model.

    Attributes
    ----------
    c : int
        from the docstring
    d : int
        not this
    """

    a: Param[int]
    """How many.

    And a second paragraph.
    """

    b: Param[int] = 3
    "one line"
    c: Param[int] = 4
    d: Param[int] = 5
    """but this"""
    e: Param[int] = field(default=1, help="said")
    """not this"""

    "nobody's"

    def method(self):
        inner: int = 1
        """not a field"""
        return inner


@pytest.fixture(autouse=True)
def door(monkeypatch):
    monkeypatch.setattr(doors, "literals", literals.after_fields)


@pytest.fixture
def run():
    """Execute a text as a cell is: under a file name that linecache knows."""
    names = []

    def execute(text, **space):
        name = f"<cell {len(names)}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        names.append(name)
        space |= {"Config": Config, "Param": Param, "help": help, "__name__": "cells"}
        exec(compile(text, name, "exec", dont_inherit=True), space)
        return space

    yield execute
    for name in names:
        linecache.cache.pop(name, None)


def texts(cls):
    return {name: spec.help_text for name, spec in schema(cls).fields.items()}


def test_texts_of_a_module():
    assert texts(Model) == {
        "a": "How many.\n\nAnd a second paragraph.",
        "b": "one line",
        "c": "from the docstring",
        "d": "but this",
        "e": "said",
    }


def test_a_subclass_has_its_parents():
    class Sub(Model):
        f: Param[int] = 0
        """its own"""

    assert texts(Sub) == texts(Model) | {"f": "its own"}


def test_texts_of_cells(run):
    one = run("class A(Config):\n    x: Param[int]\n    'old'\n")["A"]
    two = run("if True:\n    class A(Config):\n        x: Param[int]\n        'new'\n")["A"]
    assert (texts(one), texts(two)) == ({"x": "old"}, {"x": "new"})
    two = run(
        "class A(Config):\n  x: Param[int]\n  'first'\n"
        "B = A\n@(lambda c: c)\nclass A(Config):\n  x: Param[int]\n  'second'\n"
        "class C(Config):\n  class A(Config):\n    x: Param[int]\n    'inner'\n"
        "def f():\n  class A(Config):\n    x: Param[int]\n    'local'\n  return A\n"
    )
    found = [texts(c)["x"] for c in (two["B"], two["A"], two["C"].A, two["f"]())]
    assert found == ["first", "second", "inner", "local"]


def test_where_there_is_no_text(run):
    space = {"Config": Config, "Param": Param, "__name__": "nowhere"}
    text = "class A(Config):\n    x: Param[int]\n    'unread'\n"
    exec(compile(text, "<string>", "exec", dont_inherit=True), space)
    made = type("Made", (Config,), {"__annotations__": {"x": Param[int]}})
    changed = run("class A(Config):\n    x: Param[int]\n    'text'\n")["A"]
    name = next(n for n in linecache.cache if n == "<cell 0>")
    linecache.cache[name] = (1, None, ["class A(:\n"], name)  # the file was changed meanwhile
    for cls in (space["A"], made, changed):
        assert texts(cls) == {"x": ""}


def test_the_documentation_of_what_makes_configurations():
    assert inspect.getdoc(Model.C).startswith("A model.")
    assert "Parameters\n----------\na : int\n    How many." in inspect.getdoc(Model.C)
    assert "b : int, default 3\n    one line" in inspect.getdoc(Model.C)
    assert inspect.getdoc(Model.C(a=1)) == inspect.getdoc(Model.C)

    class Plain(Config):
        pass

    assert Plain.C.__doc__ is None
