"""Whatever cells do, a job computes what the kernel would, or somebody is told.

Cells are drawn at random: definitions, edits of them, changes by statements, by other names, and by
functions that are called. What is carried is executed on its own and compared with the kernel.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.code.conftest import FakeNotebook
from xpm_nb.errors import CarrierError

BEGIN = """
import dataclasses, enum, functools
N = 1
L = [1]
D = {'a': {}}
"""
CLASSES = """
class A:
    w = 1
    t = []
    def m(self): return ['A', self.w, D]
class K(enum.Enum):
    X = 1
@dataclasses.dataclass
class S:
    n: int = 1
    def two(self): return 2 * self.n
"""
USERS = """
class E(A):
    k = K.X
    def e(self): return [self.m(), self.w]
def deco(g):
    @functools.wraps(g)
    def h(*a): return [g(*a), N]
    return h
def f(x=N): return [x, getattr(f, 'k', None), L]
@deco
def g(): return f()
CFG = S(3)
P = [S(1), L]
"""
TASK = """
class Learn:
    a = 0
    def execute(self):
        return repr([N, L, D, A.w, A.t, getattr(A, '_u', None), A().m(), E().e(), f(), g(), CFG.n,
            CFG.two(), K.X.value, E.k.value, P[0].n, P[1], self.a])
"""

number = st.integers(2, 4)
CELLS = st.one_of(
    st.sampled_from([BEGIN, CLASSES, USERS, TASK, "B = A", "B = L", "h = f", "B = E"]),
    st.builds("N = {}".format, number),
    st.builds("N += {}".format, number),
    st.builds("N = N * {} ".format, number),
    st.builds("L.append({})".format, number),
    st.builds("L += [{}]".format, number),
    st.builds("L = L + [N, {}]".format, number),
    st.builds("for i in range({}): L.append(i)".format, number),
    st.builds("for i in range({}): D[i] = L".format, number),
    st.builds("D['a']['b'] = {}".format, number),
    st.builds("D = {{'a': {{}}, 'n': {}}}".format, number),
    st.builds("A.w = {}".format, number),
    st.builds("A.w += {}".format, number),
    st.builds("A.t.append({})".format, number),
    st.builds("A._u = {}".format, number),
    st.builds("A._u = S({})".format, number),
    st.builds("B.w = {}".format, number),
    st.builds("E.w = {}".format, number),
    st.builds("f.k = {}".format, number),
    st.builds("g.k = {}".format, number),
    st.builds("CFG.n = {}".format, number),
    st.builds("CFG = S({})".format, number),
    st.builds("CFG = dataclasses.replace(CFG, n={})".format, number),
    st.builds("P[0].n = {}".format, number),
    st.builds("def setup(): A.w = {}\nsetup()".format, number),
    st.builds("def setup(c): c._u = {}\nsetup(A)".format, number),
    st.builds("def setup():\n  global N\n  N = {}\nsetup()".format, number),
    st.builds("def setup(): L.append({})\nsetup()".format, number),
    st.builds("def setup(x): x.n = {}\nsetup(CFG)".format, number),
    st.builds("def setup(): f.k = {}\nsetup()".format, number),
    st.builds("def f(x={0}): return [x, {0}, L]".format, number),
    st.builds("class A:\n  w = {}\n  t = []\n  def m(self): return self.w".format, number),
    st.builds("class K(enum.Enum):\n  X = {}".format, number),
    st.builds(
        "@dataclasses.dataclass\nclass S:\n  n: int = 1\n  def two(self): return {}".format, number
    ),
    st.builds("class A:\n  w = N\n  t = L\n  def m(self): return {}".format, number),
    st.builds("Learn.a = {}".format, number),
)


def outcome(cls):
    try:
        return cls().execute()
    except (LookupError, NameError, TypeError, AttributeError) as error:
        return repr(error)


@pytest.mark.slow
@settings(
    max_examples=300,
    suppress_health_check=[
        *settings.default.suppress_health_check,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(st.lists(CELLS, min_size=1, max_size=7))
def test_a_job_computes_what_the_kernel_would(monkeypatch, cells):
    notebook = FakeNotebook()
    monkeypatch.setitem(sys.modules, "__main__", notebook.main)
    try:
        for text in (BEGIN, CLASSES, USERS, TASK, *cells):
            with suppress(LookupError, NameError, TypeError, AttributeError):
                notebook.cell(text)  # one that fails half-way is a cell all the same
        try:
            job = notebook.job("Learn")
        except CarrierError:
            return
        if job["__carried__"].doubts:
            return
        assert outcome(job["Learn"]) == outcome(notebook["Learn"])
    finally:
        notebook.close()
