from __future__ import annotations

import functools
import linecache

import pytest

from xpm_nb.code.cells import Cell, Cells, command_text, functions_in

MAGIC = "get_ipython().run_cell_magic({!r}, '', {!r})\n"


def cells(*texts: str) -> Cells:
    """Cells 1, 2, … with these texts, in files of their own."""
    numbers = {f"/cells/{n}.py": n for n, _ in enumerate(texts, 1)}
    return Cells(numbers, dict(enumerate(texts, 1)))


def test_the_source_of_a_statement():
    text = (
        "import os; import re\n"
        "# far away\n"
        "\n"
        "# close\n"
        "# by\n"
        "@deco\n"
        "@deco(\n  1)\n"
        "def f():  # here\n"
        "    return '''a\n  b'''  # there\n"
        "x = (1 +\n  2); y = 3\n"
        "z = 'é'; w = 'ü'\n"
    )
    assert [s.source for s in Cell(1, "In[1]", text).statements()] == [
        "import os\n",
        "import re\n",
        "# close\n# by\n@deco\n@deco(\n  1)\ndef f():  # here\n    return '''a\n  b'''  # there\n",
        "x = (1 +\n  2)\n",
        "y = 3\n",
        "z = 'é'\n",
        "w = 'ü'\n",
    ]


BINDS = {
    "import a.b, c as d": "a d",
    "from m import x, y as z": "x z",
    "from m import *": "*",
    "a, (b, *c) = d = e": "a b c d",
    "x: int = 1": "x",
    "n += 1": "n",
    "for i, j in xs: k = [l for l in i]": "i j k",
    "with open(a) as f, g() as (h, k): pass": "f h k",
    "try:\n  import m\nexcept E as e:\n  m = None": "m e",
    "def f(a):\n  b = 1": "f",
    "class K:\n  c = 1": "K",
    "a.b = 1": "",
    "a[0] = 1": "",
    "f = lambda x: (y := x)": "f",
    "print(n := 3)": "n",
}


@pytest.mark.parametrize("text", BINDS)
def test_the_names_that_a_statement_binds(text):
    (statement,) = Cell(1, "In[1]", text).statements()
    assert statement.binds == frozenset(BINDS[text].split())


def test_binders_come_in_order_of_execution():
    known = Cells({"/a": 3, "/b": 1}, {1: "x = 1\nx = 2", 3: "x = 3", 2: "%%bad", 4: ""})
    assert [s.place for s in known.binders("x")] == [
        "In[1], line 1",
        "In[1], line 2",
        "In[3], line 1",
    ]
    assert known.binders("y") == []


def test_a_text_executed_twice_counts_as_the_last():
    known = Cells({"/a": 3}, {1: "x = 1", 2: "y = 1", 3: "x = 1"})
    assert [s.place for s in known.binders("x")] == ["In[3], line 1"]


def test_the_cells_of_a_notebook_that_was_run_count_in_its_order(monkeypatch):
    for name, text in (("/a", "x = 1\n"), ("/b", "x = 2\n"), ("/c", "x = 1\n")):
        monkeypatch.setitem(linecache.cache, name, (len(text), None, [text], name))
    run = "get_ipython().run_line_magic('run', 'part.ipynb')\n"
    known = Cells({"/a": 1, "/b": 1, "/c": 1}, {1: run})
    assert [s.source for s in known.binders("x")] == ["x = 2\n", "x = 1\n"]


def test_the_body_of_a_cell_magic():
    body = "%%capture\n!ls\n%cd x\nfiles = !ls\nwhat?\ndef f():\n  return 1\n"
    known = cells("import os", MAGIC.format("time", body))
    (statement,) = known.binders("f")
    assert statement.place == "In[2], line 7"  # as seen in the cell: %%time, %%capture, !ls, …
    assert statement.source == "def f():\n  return 1\n"
    space: dict = {}
    exec(
        compile("\n\n\n\ndef f():\n  return 1\n", "<timed exec>", "exec", dont_inherit=True), space
    )
    assert known.holding(space["f"].__code__) == statement
    exec(
        compile("\n\n\n\ndef f():\n  return 2\n", "<timed exec>", "exec", dont_inherit=True), space
    )
    assert known.holding(space["f"].__code__) is None


def test_one_file_name_for_all_cells():
    # What IPYKERNEL_CELL_NAME does: the name leads to the latest cell only.
    known = Cells({"cell.py": 2}, {1: "def f():\n  return 1", 2: "def f():\n  return 2"})
    found = []
    for n in (1, 2):
        space: dict = {}
        exec(compile(f"def f():\n  return {n}", "cell.py", "exec", dont_inherit=True), space)
        found.append(known.holding(space["f"].__code__).place)
    assert found == ["In[1], line 1", "In[2], line 1"]


def test_two_definitions_on_one_line():
    known = cells("f = lambda: 1; g = lambda: 2")
    space: dict = {}
    exec(compile("f = lambda: 1; g = lambda: 2", "/cells/1.py", "exec", dont_inherit=True), space)
    assert [known.holding(space[n].__code__).index for n in "fg"] == [0, 1]


def test_functions_inside():
    def f():
        return 1

    @functools.wraps(f)
    def wrapper(*args):
        return f(*args)

    class Callable:
        def __init__(self, inner):
            self.inner = inner

        def __call__(self):
            return self.inner()

    for value in (
        f,
        wrapper,
        staticmethod(f),
        property(f),
        functools.partial(f),
        functools.cached_property(f),
        functools.lru_cache(f),
        Callable(wrapper),
    ):
        assert f in list(functions_in(value))
    for value in (None, 3, "x", [f], {"f": f}, Callable):
        assert list(functions_in(value)) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-c|x = 1|-c|y", "x = 1"),
        ("-Ic|x = 1", "x = 1"),
        ("-cx = 1", "x = 1"),
        ("-W|error|-Xutf8|-X|dev|-c|x = 1", "x = 1"),
        ("--check-hash-based-pycs|never|-c|x = 1", "x = 1"),
        ("train.py|-c|x = 1", ""),
        ("-m|train|-c|x = 1", ""),
        ("-|-c|x = 1", ""),
        ("-c", ""),
        ("-i", ""),
    ],
)
def test_the_code_of_a_command_line(words, text):
    assert command_text(["python", *words.split("|")]) == text
