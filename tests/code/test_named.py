"""Names that are looked up by a text: which, and where the text is computed."""

from __future__ import annotations

import ast

import pytest

from xpm_nb.code.named import named

CASES = {
    "globals()['X']": ["X"],
    "globals().get('X', other['Y'])": ["X"],
    "'X' in globals() and 'Y' not in globals()": ["X", "Y"],
    "globals()[name]": [""],
    "globals()": [""],
    "f(**globals())": [""],
    "vars()['X']": [],  # of a function, its own
    "import __main__\n__main__.X": ["X"],
    "import __main__ as m\nm.X, m.__dict__['Y'], vars(m)['Z'], getattr(m, 'U', 1)": ["X", "Y", "Z", "U"],
    "getattr(__main__, name)": [""],
    "hasattr(__main__, 'X')": ["X"],
    "getattr(other, 'X')": [],
    "sys.modules['__main__'].X": ["X"],
    "sys.modules['json'].X": [],
    "importlib.import_module('__main__').X": ["X"],
    "f.__globals__['X']": ["X"],
    "eval('X + y')": ["X", "y"],
    "eval('[z for z in X]')": ["X"],
    "exec('Y = X', globals())": ["X"],
    "eval('X', {})": [],
    "eval('X', space)": [],
    "eval(text)": [""],
    "eval(f'{x}')": [""],
    "eval('no python')": [],
    "eval('1 + 1')": [],
    "model.eval()": [],
    "frame.eval('X + Y')": [],
    "def f(y):\n  z = 1\n  return eval('X + y + z')": ["X"],
    "def f(eval): return eval('X')": [],
    "lambda y: eval('y')": [],
    "class A:\n  def f(self): return globals()['X']": ["X"],
    "x = 'globals()'": [],
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_each_way(text):
    tree = ast.parse(text)
    assert [one.name for one in named(tree)] == CASES[text]


def test_where_and_how():
    (one,) = named(ast.parse("a = 1\nb = globals()[\n  name\n]"))
    assert one == ("", 2, "globals()[name]")
