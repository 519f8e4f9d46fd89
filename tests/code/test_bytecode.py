from __future__ import annotations

import ast
from types import CodeType

import pytest

from xpm_nb.code.bytecode import FUTURES, compiled, nested, parse, reads, same_code

# Each case: a statement; the names it reads when executed; those its functions read; those in text.
READS = {
    "f(a.b, c=d)": ("f a d", "", ""),
    "def f(x: A = B) -> C:\n  y: D = E\n  return F(x.g, y)": ("A B C", "E F", ""),
    "class K(Base, metaclass=M):\n  a = G\n  b = a\n  def m(self): return H(self.a, K)": ("Base M __name__ G", "H K", ""),
    "class K:\n  n = n + 1": ("__name__ n", "", ""),
    "@deco(x)\nclass K:\n  xs = [N for i in R]": ("deco x __name__ R N", "", ""),
    "def f(x: 'A | list[B]'): pass": ("", "", "A list B"),
    "class K:\n  x: Param['M'] = 1\n  y: Literal['n']": ("__name__ Param Literal __annotations__", "", "M"),
    "Alias = list['Model']": ("list", "", "Model"),
    "T = TypeVar('T', bound='Model')": ("TypeVar", "", "Model"),
    "f = lambda x: g(x)": ("", "g", ""),
    "for i in xs: print(i)": ("xs print", "", ""),
    "def f():\n  global a\n  a = 1\n  return lambda: b": ("", "b", ""),
    "def f():\n  x = 1\n  def g(): return x + y\n  return g": ("", "y", ""),
    "text = 'Model'": ("", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("text", READS)
def test_names_that_are_read(text):
    found = reads(text, 0, 0)
    now, later, hints = (set(names.split()) for names in READS[text])
    assert set(found.now) - {"__firstlineno__"} >= now
    # Python 3.14 reads annotations later than earlier versions.
    assert set(found.now) | set(found.later) == now | later
    assert set(found.hints) == hints


def test_postponed_annotations_are_text():
    text = "class K:\n  x: Param[M] = N"
    found = reads(text, 0, FUTURES["annotations"])
    assert "M" not in found.now
    assert {"Param", "M"} <= set(found.hints)
    assert found.now["N"] == 2


def test_lines_are_those_of_the_cell():
    assert reads("\n\ndef f():\n  return (1 +\n    late)", 0, 0).later == {"late": 5}


def code_of(text: str) -> CodeType:
    code = compiled(text, 0, 0)
    assert code is not None
    return next(c for c in nested(code) if c is not code)


SAME = [
    ("def f(x): return x + 1", "\n\ndef f( x ):\n  # a comment\n  return x+1"),
    ("def f(): return {1, 2, 3} and 0.0", "def f(): return {1, 2, 3} and 0.0"),
]
DIFFERENT = [
    ("def f(): return 1", "def f(): return True"),
    ("def f(): return 0.0", "def f(): return -0.0"),
    ("def f(x): return x", "def f(y): return y"),
    ("def f(x): return x", "def f(x, /): return x"),
    ("def f(): return a.b", "def f(): return a.c"),
    ("def f(): return lambda: 1", "def f(): return lambda: 2"),
    ("def f(): return x in (1, 2)", "def f(): return x in (1, True)"),
    ("def f(): yield", "async def f(): yield"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_same_code(a, b):
    assert same_code(code_of(a), code_of(b))


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_other_code(a, b):
    assert not same_code(code_of(a), code_of(b))


@pytest.mark.parametrize("text", ["def f(:", "x = \x00", "%%bash\nls"])
def test_what_is_not_python_has_no_statements(text):
    assert parse(text) == ()


def test_a_statement_that_python_refuses():
    assert compiled("return 1", 0, 0) is None
    assert isinstance(parse("return 1")[0], ast.Return)
    assert reads("return 1", 0, 0).now == {}
