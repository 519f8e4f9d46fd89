"""Equal text for equal code, whatever the version of Python, and another one for other code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.run import interpreter
from xpm_nb.code import canonical
from xpm_nb.code.canonical import digest, documents, reads_annotations, reads_documents

SAMPLE = (Path(__file__).parent / "sample.txt").read_text(encoding="utf-8")
DIGEST = "2a3a642daa5e3cceff87a562c449b76e81c0bfd5a80f2e28eb3cce9a39d90054"
VERSIONS = ("3.11", "3.12", "3.13")

SAME = {
    "a comment": ("x = 1  # one", "x = 1"),
    "a docstring": ('def f():\n    "doc"\n    return 1', "def f():\n    return 1"),
    "a docstring alone": ('def f():\n    "doc"', "def f():\n    pass"),
    "a help text": (
        'class A:\n    x: int\n    "help"\n    y: int',
        "class A:\n    x: int\n    y: int",
    ),
    "blank lines and spaces": ("def f( a ):\n\n\n    return (a)", "def f(a):\n    return a"),
    "quotes": ("x = 'a'", 'x = "a"'),
    "the prefix of an old Python": ("x = u'a'", "x = 'a'"),
    "pieces of text": ("x = 'a' 'b'", "x = 'ab'"),
    "pieces of an f-string": ("x = f'a{y}' 'b'", "x = f'a{y}b'"),
    "a way to write numbers": ("x = 0x10 + 1_000", "x = 16 + 1000"),
    "a type comment": ("x = []  # type: list[int]", "x = []"),
    "the default of a parameter": (
        "class A:\n    x: Param[int] = 1",
        "class A:\n    x: Param[int]",
    ),
    "of one whose type is text": (
        "class A:\n    x: 'Param[int]' = 1",
        "class A:\n    x: 'Param[int]'",
    ),
    "in a field": (
        "class A:\n    x: m.Param[int] = field(default=1, groups=[g])",
        "class A:\n    x: m.Param[int] = field(default=2, groups=[g])",
    ),
}
OTHER = {
    "a number": ("x = 1", "x = 2"),
    "its type": ("x = 1", "x = 1.0"),
    "its sign": ("x = 0.0", "x = -0.0"),
    "True": ("x = 1", "x = True"),
    "None": ("return_ = None", "return_ = 'None'"),
    "a name that looks like a value": ("x = None", "x = 'None;'"),
    "text and bytes": ("x = 'a'", "x = b'a'"),
    "an operator": ("x = a < b", "x = a <= b"),
    "order": ("x = 1\ny = 2", "y = 2\nx = 1"),
    "a default of a function": ("def f(a=1): g(a)", "def f(a=2): g(a)"),
    "which argument has it": ("def f(*, a=1, b): g(a)", "def f(*, a, b=1): g(a)"),
    "a default of a plain class": ("class A:\n    x: int = 1", "class A:\n    x: int = 2"),
    "a generated path": (
        "class A:\n    x: Meta[Path] = field(default_factory=PathGenerator('a'))",
        "class A:\n    x: Meta[Path] = field(default_factory=PathGenerator('b'))",
    ),
    "another default=": ("x = field(default=1)", "x = field(default=2)"),
    "where a branch ends": ("if a:\n    b()\nc()", "if a:\n    b()\n    c()"),
    "else": ("if a:\n    b()", "if a:\n    pass\nelse:\n    b()"),
    "finally": ("try:\n    a()\nfinally:\n    b()", "try:\n    a()\nexcept:\n    b()"),
    "the end of an f-string": ("x = f'{y:>3}'", "x = f'{y:>4}'"),
    "a text in an f-string": ("x = f'{y}a'", "x = f'a{y}'"),
    "async": ("def f(): g()", "async def f(): g()"),
    "a star": ("f(*a)", "f(a)"),
    "two stars in a dict": ("x = {**a}", "x = {None: a}"),
    "an annotation": ("def f(a: int): g(a)", "def f(a: str): g(a)"),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_what_it_looks_like_does_not_count(pair):
    assert digest(pair[0]) == digest(pair[1])


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_what_it_does_counts(pair):
    assert digest(pair[0]) != digest(pair[1])


def test_nothing_is_too_deep_or_too_long():
    assert digest("x = " + "-" * 50 + "1" + " + 1" * 900) != digest("x = 1")
    assert digest(f"x = 0x{'f' * 10_000}") != digest(f"x = 0x{'f' * 9_999}")


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_are_told_apart(a, b):
    same = canonical.canonical([ast.Constant(a)]) == canonical.canonical([ast.Constant(b)])
    assert same == (a == b)


def test_a_tree_can_be_asked_twice():
    (node,) = ast.parse(SAME["in a field"][0]).body
    assert canonical.digest_of([node]) == canonical.digest_of([node])


def test_the_digest_of_the_sample():
    assert digest(SAMPLE) == DIGEST


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_versions_of_python_agree(version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} is installed here")
    program = (
        "import runpy, sys\n"
        "canonical = runpy.run_path(sys.argv[1])\n"
        "print(canonical['digest'](open(sys.argv[2], encoding='utf-8').read()))\n"
    )
    sample = str(Path(__file__).parent / "sample.txt")
    done = subprocess.run(
        [python, "-I", "-c", program, canonical.__file__, sample],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == DIGEST


@pytest.mark.slow
def test_at_least_two_versions_are_there():
    assert sum(interpreter(version) is not None for version in VERSIONS) >= 2


def test_the_module_needs_nothing_else():
    text = Path(canonical.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:from|import) (\w+)", text, re.M)) <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("x = f.__doc__", True),
        ("x = inspect.getdoc(f)", True),
        ("x = getattr(f, '__doc__')", True),
        ("x = __doc__", True),
        ("help(f)", True),
        ("f.__doc__ = 'text'", False),
        ("class A:\n  x: Annotated[int, help('text')] = 1", False),
        ("def f():\n  '''help(f)'''\n  return help", False),
    ],
)
def test_code_that_reads_docstrings(text, reads):
    assert reads_documents(ast.parse(text).body) == reads


def test_docstrings_where_they_count():
    one, two, three = (
        documents(ast.parse(text).body)
        for text in (
            "def f():\n  'A.'\n  class B:\n    'B.'\n",
            "def f():\n  'A.'\n  class B:\n    'C.'\n",
            "def f():\n  class B:\n    'A.'\n    'B.'\n",
        )
    )
    assert len({one, two, three}) == 3
    assert documents(ast.parse("# a comment\n\ndef f():\n    'A.'\n    class B: 'B.'").body) == one


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("x = f.__annotations__", True),
        ("x = getattr(f, '__annotations__')", True),
        ("x = inspect.signature(f)", True),
        ("from typing import get_type_hints as hints", True),
        ("def f():\n  return fields(A)", True),
        ("def f(x: int) -> str: pass", False),
        ("x = 'signature'", False),
    ],
)
def test_code_that_reads_annotations(text, reads):
    assert reads_annotations(ast.parse(text).body) == reads
