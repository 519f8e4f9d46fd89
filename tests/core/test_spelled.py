"""Configurations as code: what the code makes is what it was written from."""

from __future__ import annotations

import enum
import math
from pathlib import Path

import pytest

from xpm_nb.core import config as configs
from xpm_nb.core.config import Config, sealed_set, setmeta, stop_tags, tag
from xpm_nb.core.fields import Meta, Param, field
from xpm_nb.core.spelled import Spelling
from xpm_nb.errors import ExportError

SPACE = globals()


class Kind(enum.Enum):
    A = 1
    B = 2


class Leaf(Config):
    n: Param[int] = 0


class HTTPThing(Config):
    kind: Param[Kind] = Kind.A
    rate: Param[float] = 0.5
    names: Param[dict[str, list[int]]] = field(default_factory=dict)
    pair: Param[tuple[int, str]] = (1, "a")
    leaf: Param[Leaf | None]
    leaves: Param[list[Leaf]] = field(default_factory=list)
    at: Meta[Path | None]


def spelled(config):
    spelling = Spelling("home", [config])
    text = spelling.value(config)
    space = dict(SPACE)
    for line in spelling.lines:
        exec(line, space)
    return text, spelling, eval(text, space)


MADE = {
    "HTTPThing.C()": lambda: HTTPThing.C(),
    "HTTPThing.C(kind=Kind.B)": lambda: HTTPThing.C(kind=Kind.B),
    'HTTPThing.C(rate=float("nan"))': lambda: HTTPThing.C(rate=math.nan),
    'HTTPThing.C(rate=float("-inf"))': lambda: HTTPThing.C(rate=-math.inf),
    "HTTPThing.C(rate=-0.0)": lambda: HTTPThing.C(rate=-0.0),
    """HTTPThing.C(names={"it's": [1], 'a "b"': []})""": lambda: HTTPThing.C(names={"it's": [1], 'a "b"': []}),
    'HTTPThing.C(pair=(2, "b\\n"))': lambda: HTTPThing.C(pair=(2, "b\n")),
    'HTTPThing.C(at=Path("/a b"))': lambda: HTTPThing.C(at="/a b"),
    "HTTPThing.C(rate=tag(0.5))": lambda: HTTPThing.C(rate=tag(0.5)),
    'HTTPThing.C().tag("rate", 1)': lambda: HTTPThing.C().tag("rate", 1),
    "HTTPThing.C(leaf=stop_tags(Leaf.C(n=tag(1))))": lambda: HTTPThing.C(leaf=stop_tags(Leaf.C(n=tag(1)))),
    "HTTPThing.C(leaf=setmeta(Leaf.C(), True))": lambda: HTTPThing.C(leaf=setmeta(Leaf.C(), True)),
    "HTTPThing.C(leaves=[Leaf.C(n=1), Leaf.C(n=2)])": lambda: HTTPThing.C(leaves=[Leaf.C(n=1), Leaf.C(n=2)]),
}  # fmt: skip


@pytest.mark.parametrize("text", MADE)
def test_the_code_makes_it_again(text):
    config = MADE[text]()
    written, _, again = spelled(config)
    assert written == text
    assert configs.same(again, config)
    assert again.tags() == config.tags()
    assert configs.identify(again, "n") == configs.identify(config, "n")


def test_what_is_shared_is_made_once_and_has_a_name():
    leaf = Leaf.C(n=4)
    text, spelling, again = spelled(HTTPThing.C(leaf=leaf, leaves=[leaf, Leaf.C(n=4)]))
    assert spelling.lines == ["leaf = Leaf.C(n=4)"]
    assert text == "HTTPThing.C(leaf=leaf, leaves=[leaf, Leaf.C(n=4)])"
    assert again.leaf is again.leaves[0]


def test_names_keep_off_those_of_classes_and_of_the_language():
    spelling = Spelling("home", [])
    names = [spelling._new_name(type(name, (), {})) for name in ("HTTPThing", "Class", "tag", "A")]
    assert names == ["http_thing", "class_2", "tag_2", "a"]
    assert spelling._new_name(type("A", (), {})) == "a_2"


def test_sets_and_imports():
    spelling = Spelling("home", [])
    assert spelling.value(sealed_set(Leaf.C(n=2), Leaf.C(n=1))) == (
        "sealed_set(Leaf.C(n=1), Leaf.C(n=2))"
    )
    assert spelling.value({2, 1}) == "{1, 2}"
    assert spelling.value(set()) == "set()"
    assert spelling.value((1,)) == "(1,)"
    assert spelling.imports == {"xpm_nb": {"sealed_set"}, __name__: {"Leaf"}}


def test_what_cannot_be_written_is_named():
    with pytest.raises(ExportError, match="a value of type object cannot be written as code"):
        Spelling("home", []).value([object()])
