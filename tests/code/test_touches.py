"""What a statement changes of the things that names lead to."""

from __future__ import annotations

import ast

import pytest

from xpm_nb.code.touches import Touch, filled, touches
from xpm_nb.code.values import NotPlain

CASES = {
    "A.w = 1": [Touch("A", ("w",))],
    "A.b.c += 1": [Touch("A", ("b", "c"))],
    "del A.w": [Touch("A", ("w",))],
    "A['k'] = A.w": [Touch("A", ("[]",))],
    "A.b[0].c = 1": [Touch("A", ("b", "[]", "c"))],
    "A.x, (B.y, c) = 1, (2, 3)": [Touch("A", ("x",)), Touch("B", ("y",))],
    "setattr(A, 'w', 1)": [Touch("A", ("w",))],
    "delattr(A.b, name)": [Touch("A", ("b", "?"))],
    "A.append(1)": [Touch("A", (), "append")],
    "A.b.update(x=1)": [Touch("A", ("b",), "update")],
    "A.net.eval()": [Touch("A", ("net",), "eval")],
    "A.w.zero_()": [Touch("A", ("w",), "zero_")],
    "A.table.head()": [],
    "Base.register(X)": [Touch("Base", (), "register")],
    "for A.i in range(3): B.append(1)": [Touch("A", ("i",)), Touch("B", (), "append")],
    "class X:\n  A.w = 1": [Touch("A", ("w",))],
    "def f(): A.w = 1": [],
    "g = lambda: A.append(1)": [],
    "Learn.C(x=1).submit()": [],
    "A = 1": [],
    "make().w = 1": [],
    "print(A.w)": [],
}


@pytest.mark.parametrize("text", CASES)
def test_each_kind(text):
    assert touches(text) == (tuple(CASES[text]),)


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ([], "R.append(f); R.extend([1, 2]); del R[0]", [1, 2]),
        ({}, "R['k'] = f; R.update(x=1)", {"k": len, "x": 1}),
        (set(), "R.add(1); R.add(2); R.discard(1)", {2}),
    ],
)
def test_a_container_is_filled_again(start, text, end):
    assert filled(start, ast.parse(text).body, {"f": len, "R": None}) == end


@pytest.mark.parametrize(
    "text",
    [
        "R.append(make())",
        "R.sort(key=f)",
        "R.update(**f)",
        "R.w = 1",
        "for x in [1]: R.append(x)",
        "R['k'] += 1",
        "del R[5]",
        "R.nothing(1)",
    ],
)
def test_what_does_more_is_not_done_again(text):
    def make():
        raise AssertionError("called")

    with pytest.raises(NotPlain):
        filled([], ast.parse(text).body, {"f": len, "R": None, "make": make})


def test_things_of_ones_own_are_not_filled():
    class Own(list):
        pass

    with pytest.raises(NotPlain):
        filled(Own(), ast.parse("R.append(1)").body, {})
