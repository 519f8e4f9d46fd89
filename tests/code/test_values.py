from __future__ import annotations

import ast
import enum
import functools
import math
import operator
import re
import threading
import typing
from collections import namedtuple
from pathlib import Path

import pytest

from xpm_nb.code.equal import same_value
from xpm_nb.code.values import NotPlain, evaluate


class Color(enum.Enum):
    RED = 1


class Thing:
    size = 3

    def __radd__(self, other):
        raise AssertionError("code of an object was run")

    __add__ = __getitem__ = __format__ = __radd__


SPACE = {
    "math": math,
    "re": re,
    "typing": typing,
    "Path": Path,
    "Color": Color,
    "Thing": Thing,
    "thing": Thing(),
    "N": 3,
    "FLAG": True,
    "table": {"a": 1},
    "more": type("More", (dict,), {"items": lambda self: 1 / 0})(),
    "names": ["a"],
    "threading": threading,
    "helper": lambda x: x,
    "namedtuple": namedtuple,
}

PLAIN = {
    "1 + N * 2": 7,
    "-1.5": -1.5,
    "[N, (1, {2: 'x'})]": [3, (1, {2: "x"})],
    "f'{N:>3}'": "  3",
    "'a b'.split()": ["a", "b"],
    "{i: i ** 2 for i in range(N) if i}": {1: 1, 2: 4},
    "names + ['b']": ["a", "b"],
    "N if N > 2 else None": 3,
    "5 if FLAG else 10": 5,
    "{v: k for k, v in table.items()}": {1: "a"},
    "sorted(table)[0] + '-'.join(table.keys())": "aa",
    "math.pi": math.pi,
    "Color.RED.value": 1,
    "Path('a') / 'b'": Path("a/b"),
    "sorted({3, 1})": [1, 3],
    "list[int] | None": list[int] | None,
    "typing.Literal['a', 'b']": typing.Literal["a", "b"],
    "float('inf')": math.inf,
    "Thing": Thing,
    "[thing][0:0]": [],
}

NOT_PLAIN = [
    "more.items()",
    "table.pop('a')",
    "names.items()",
    "thing + 1",
    "thing['x']",
    "f'{thing}'",
    "thing.size",
    "Thing()",
    "helper(1)",
    "open('x')",
    "print()",
    "names.append(1)",
    "os.getpid()",
    "sorted(names, key=helper)",
    "missing",
    "[missing]",
    "1 / 0",
    "(x := 3)",
    "[i.real for i in names]",
    "__import__('os')",
    "eval('1')",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_values(text):
    if "thing" in text:  # a list may hold anything, but nothing is done with it then
        with pytest.raises(NotPlain):
            evaluate(ast.parse(text, mode="eval").body, SPACE)
    else:
        assert same_value(evaluate(ast.parse(text, mode="eval").body, SPACE), PLAIN[text])


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_could_have_an_effect_is_not_computed(text):
    with pytest.raises(NotPlain):
        evaluate(ast.parse(text, mode="eval").body, SPACE)


def test_a_container_may_hold_anything():
    value = evaluate(ast.parse("[thing, helper]", mode="eval").body, SPACE)
    assert value == [SPACE["thing"], SPACE["helper"]]


T = typing.TypeVar("T")
SAME = [
    (1, 1),
    (math.nan, math.nan),
    ([1, (2, {"a": {3}})], [1, (2, {"a": {3}})]),
    (complex(1, 0.0), complex(1, 0.0)),
    (object(), object()),
    (threading.Lock(), threading.Lock()),
    (typing.TypeVar("T", bound=int), typing.TypeVar("T", bound=int)),
    (namedtuple("P", "a b"), namedtuple("P", "a b")),
    (enum.Enum("E", "A B"), enum.Enum("E", "A B")),
    (typing.TypedDict("D", {"a": int}), typing.TypedDict("D", {"a": int})),
    (functools.partial(int, base=2), functools.partial(int, base=2)),
    (operator.itemgetter(1), operator.itemgetter(1)),
    (re.compile("a"), re.compile("a")),
    (lambda x: x + 1, lambda x: x + 1),
]
DIFFERENT = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    ([1], (1,)),
    ([1], [1.0]),
    ({1}, {True}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (typing.TypeVar("T"), typing.TypeVar("U")),
    (typing.TypeVar("T", bound=int), typing.TypeVar("T")),
    (namedtuple("P", "a b"), namedtuple("P", "a c")),
    (enum.Enum("E", "A B"), enum.Enum("E", "A")),
    (functools.partial(int, base=2), functools.partial(int, base=3)),
    (operator.itemgetter(1), operator.itemgetter(2)),
    (re.compile("a"), re.compile("b")),
    (lambda x: x + 1, lambda x: x + 2),
    (lambda x=1: x, lambda x=2: x),
    (Thing, Color),
    (math, re),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_same(a, b):
    assert same_value(a, b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different(a, b):
    assert not same_value(a, b)
    assert not same_value([a], [b])
