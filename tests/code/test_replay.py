"""Plain statements, executed once more on values of their own."""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from xpm_nb.code.replay import Replay
from xpm_nb.code.values import NotPlain


@dataclasses.dataclass
class Settings:
    n: int = 1
    sizes: list = dataclasses.field(default_factory=lambda: [1])


class Pair(NamedTuple):
    a: int
    b: int = 2


class Thing:
    REG: list = []  # noqa: RUF012

    def __init__(self, n=0):
        self.n = n

    def append(self, item):
        raise AssertionError("code of the user's was run")

    __iadd__ = __setitem__ = append

    @classmethod
    def add(cls, item):
        cls.REG.append(item)


SPACE = {
    "Settings": Settings,
    "Pair": Pair,
    "Thing": Thing,
    "thing": Thing(),
    "LIVE": [1],
    "TABLE": {"x": [1], "y": [2]},
    "defaultdict": defaultdict,
    "Counter": Counter,
    "SimpleNamespace": SimpleNamespace,
    "PAIR": Pair(1, [2]),
    "COUNTS": Counter("aab"),
}

MADE = {
    "X = [1]\nX += [2]": [1, 2],
    "X = 1\nX += 2\nX = X * 2": 6,
    "X = {'a': {}}\nX['a']['b'] = 1": {"a": {"b": 1}},
    "X = {}\nfor k in range(3): X[k] = k * k": {0: 0, 1: 1, 2: 4},
    "X = []\nfor k, v in TABLE.items():\n  for n in v:\n    if n > 1: X.append((k, n))": [("y", 2)],
    "X = {}\nX.update(a=1)\ndel X['a']\nX.setdefault('b', []).copy()": None,
    "X = [3, 1]\nX.sort()\nX = sorted(X)[:1]": [1],
    "X = LIVE\nX.append(2)": [1, 2],
    "X = TABLE['x']\nX.append(2)": [1, 2],
    "X = Settings(3)\nX.n = 4\nX.sizes.append(X.n)": Settings(4, [*Settings(3).sizes, 4]),
    "X = Settings(3)\nX.n = 4": Settings(4),
    "X = Pair(3)._replace(b=1)": Pair(3, 1),
    "X = SimpleNamespace(a=1)\nX.b = 2": SimpleNamespace(a=1, b=2),
    "X = defaultdict(int)\nfor c in 'aab': X[c] += 1": defaultdict(int, a=2, b=1),
    "X = Counter('aab')\nX.update('b')": Counter("aabb"),
    "X = []\nX.append(COUNTS)": [Counter("aab")],
    "X = [PAIR]\nX[0].b.append(3)": [Pair(1, [2, 3])],
    "X = 'a b'.split()\nX: list = [x.upper() for x in X]": ["A", "B"],
    "X = Thing.REG\nX.append(1)": None,
    "X = [Thing]\nfor t in X: t.append(1)": None,
    "X = [Thing]\nfor t in X: t.n = 1": None,
    "X = [Thing]\nfor t in X: t.add(1)": None,
    "X = [Thing]\nfor t in X: setattr(t, 'n', 1)": None,
    "X = [thing]\nX[0][0] = 1": None,
    "X = {'a': thing}\nX['a'] += 1": None,
    "X = thing": None,
    "X = Thing()": None,
    "X = [1]\nLIVE.append(2)": None,
    "X = 1\nTABLE['z'] = 2": None,
    "X = open('/dev/null')": None,
    "X = []\nX.sort(key=print)": None,
    "X = []\nwhile True: X.append(1)": None,
    "X = [1]\nX[5] = 1": None,
    "X = [1]\nprint(X)": None,
    "X = []\nfor int in [print]: int(1)": None,
}


@pytest.mark.parametrize("text", MADE)
def test_what_statements_make(text):
    replay = Replay(SPACE, {})
    if MADE[text] is None:
        with pytest.raises(NotPlain):
            replay.run(ast.parse(text).body)
    else:
        replay.run(ast.parse(text).body)
        assert replay.names["X"] == MADE[text]
        assert type(replay.names["X"]) is type(MADE[text])
    assert (SPACE["LIVE"], SPACE["PAIR"], SPACE["COUNTS"]) == ([1], (1, [2]), {"a": 2, "b": 1})
    assert SPACE["TABLE"] == {"x": [1], "y": [2]}
    assert (Thing.REG, hasattr(Thing, "n")) == ([], False)


def test_what_stands_for_a_class():
    stand_in = SimpleNamespace(w=[1])
    replay = Replay(SPACE, {"A": stand_in})
    text = (
        "A.w += [2]\nA.w[0] = A.w[1]\nfor k in 'ab': setattr(A, k, A.w[0])\ndel A.b\nA.w.append(3)"
    )
    replay.run(ast.parse(text).body)
    assert vars(stand_in) == {"w": [2, 2, 3], "a": 2}
    with pytest.raises(NotPlain):
        Replay(SPACE, {"A": stand_in}).run(ast.parse("A.w = Thing()").body)
