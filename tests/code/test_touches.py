"""What a statement changes of the things that names lead to."""

from __future__ import annotations

import pytest

from xpm_nb.code.touches import Inner, Touch, inner_touches, touches

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


INNER = {
    "def f(): A.w = 1": [Inner(("A", "w"), False, True)],
    "def f(): CACHE['x'] = 1": [Inner(("CACHE",), False, False)],
    "def f(): CACHE.setdefault(1, 2)": [Inner(("CACHE",), False, False)],
    "def f(): SEEN['x'] += 1": [Inner(("SEEN",), False, False)],
    "def f():\n  global N\n  N += 1": [Inner(("N",), False, True)],
    "def f():\n  R = {}\n  R['x'] = 1": [Inner(("R",), True, False)],
    "def f(R): R.append(1)": [Inner(("R",), True, False)],
    "def f():\n  def g(): R.a[0].b.pop()\n  return g": [Inner(("R", "a", "[]", "b"), False, False)],
    "class A:\n  def f(self): self.n = 1": [Inner(("self", "n"), True, True)],
    "class A:\n  def f(self): type(self).n = 1": [Inner(("cls", "n"), True, True)],
    "class A:\n  def f(self): self.__class__.n.append(1)": [Inner(("cls", "n"), True, False)],
    "class A:\n  def f(self): setattr(A, 'n', 1)": [Inner(("A", "n"), False, True)],
    "def f(k): setattr(A, k, 1)": [Inner(("A", "?"), False, True)],
    "f = lambda: R.append(1)": [Inner(("R",), False, False)],
    "R.append(1)": [],
    "def f(): return R.copy()": [],
    "def f(): N = 1": [],
}


@pytest.mark.parametrize("text", INNER)
def test_what_functions_change(text):
    assert inner_touches(text) == (frozenset(INNER[text]),)
