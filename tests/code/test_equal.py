"""Whether two values are equal, with equal types all the way down."""

from __future__ import annotations

import argparse
import enum
import functools
import math
import operator
import re
import threading
import typing
from collections import ChainMap, deque, namedtuple
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest

from xpm_nb.code.equal import same_value

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
    (Decimal("nan"), Decimal("nan")),
    (np.array([None, 1]), np.array([None, 1])),
    (SimpleNamespace(w=np.zeros(2)), SimpleNamespace(w=np.zeros(2))),
    (argparse.Namespace(w=np.zeros(2)), argparse.Namespace(w=np.zeros(2))),
    (deque([np.zeros(2)], 3), deque([np.zeros(2)], 3)),
    (MappingProxyType({"w": np.zeros(2)}), MappingProxyType({"w": np.zeros(2)})),
    (ChainMap({"w": np.zeros(2)}), ChainMap({"w": np.zeros(2)})),
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
    (Path, enum.Enum),
    (math, re),
    (Decimal("1.0"), Decimal("1.00")),
    (np.array([None, 1]), np.array([None, True])),
    (np.zeros(1, [("a", int)]), np.zeros(1, [("b", int)])),
    (SimpleNamespace(n=1), SimpleNamespace(n=True)),
    (argparse.Namespace(n=1), argparse.Namespace(n=True)),
    (deque([1], 3), deque([1], 4)),
    (deque([1]), deque([True])),
    (MappingProxyType({"n": 1}), MappingProxyType({"n": True})),
    (ChainMap({}, {"n": 1}), ChainMap({"n": 1})),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_same(a, b):
    assert same_value(a, b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different(a, b):
    assert not same_value(a, b)
    assert not same_value([a], [b])


@pytest.mark.parametrize("hold", [list, SimpleNamespace])
def test_what_holds_itself_is_no_plain_value(hold):
    a, b = hold(), hold()
    for one in (a, b):
        one.append(one) if hold is list else vars(one).update(me=one)
    assert same_value(a, a)
    assert not same_value(a, b)
