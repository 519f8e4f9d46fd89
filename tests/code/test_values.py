from __future__ import annotations

import ast
import enum
import math
import re
import threading
import typing
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from xpm_nb.code import values
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
    "np": np,
    "A": np.array([1.0, 2.0]),
    "key_of": {"key": lambda x: 1 / 0},
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
    "dict(key=1, **table)": {"key": 1, "a": 1},
    "np.round(A, 1) is A": False,
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
    "sorted(names, **key_of)",
    "np.exp(A, out=A)",
    "np.exp(A, A)",
    "np.exp(*[A, A])",
    "np.exp(A, **{'out': A})",
    "np.maximum(A, 3, A)",
    "np.cumsum(A, 0, None, A)",
    "np.round(A, 0, A)",
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
    assert SPACE["A"].tolist() == [1.0, 2.0]


def test_a_long_chain_of_methods_is_looked_at_once():
    asked = []
    space = {"thing": SPACE["thing"]}
    text = "thing" + ".then()" * 40
    original = values.check

    def counted(*arguments, **options):
        asked.append(arguments)
        assert len(asked) < 200, "each method is looked at many times"
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "check", counted)
        with pytest.raises(NotPlain):
            evaluate(ast.parse(text, mode="eval").body, space)
    assert asked


def test_a_container_may_hold_anything():
    value = evaluate(ast.parse("[thing, helper]", mode="eval").body, SPACE)
    assert value == [SPACE["thing"], SPACE["helper"]]
