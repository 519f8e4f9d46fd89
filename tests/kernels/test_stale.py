"""Edits of cells and modules, in real kernels: which results are stale, and what becomes of them."""

from __future__ import annotations

import os

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HELPERS = """
def deep(x):
    return x + 1

def helper(x):
    "A docstring."
    return deep(x)
"""
TASK = """
import tools

class Answer(Task):
    n: Param[int]
    plus: Param[int] = 0
    def execute(self):
        return [helper(self.n) + self.plus, tools.word()]
"""
SUBMIT = "task = Answer.C(n=41).submit(); xp.wait(timeout_s=60)"
TOOLS = "import more\n\ndef word():\n    return more.WORD\n"


def write(lab, name, text):
    path = lab.path / name
    path.write_text(text)
    at = path.stat().st_mtime_ns
    os.utime(path, ns=(at, at))


@pytest.fixture
def kernel(lab):
    write(lab, "tools.py", TOOLS)
    write(lab, "more.py", "WORD = 'one'\n")
    kernel = lab.kernel()
    kernel.run("xp = start('edits')")
    kernel.run(HELPERS)
    kernel.run(TASK)
    kernel.run(SUBMIT)
    return kernel


def stale(kernel):
    return kernel.value("task.job.view().stale")


CELLS = {
    "the body": (TASK.replace("+ self.plus", "- self.plus"), "code"),
    "a helper in another cell": (HELPERS.replace("deep(x)\n", "deep(x) * 2\n"), "code"),
    "a helper of the helper": (HELPERS.replace("x + 1", "x + 2"), "code"),
    "a default": (TASK.replace("= 0", "= 1"), "default"),
    "a comment": (HELPERS.replace("return deep(x)", "return deep(x)  # a comment"), ""),
    "a docstring": (HELPERS.replace("A docstring.", "Another."), ""),
    "a blank line": (HELPERS.replace("\n\n", "\n\n\n\n"), ""),
}


@pytest.mark.timeout(600)
def test_edits(lab, kernel):
    assert kernel.value("task.result()") == [42, "one"]
    assert stale(kernel) == ""
    for name, (text, expected) in CELLS.items():
        kernel.run(text)
        kernel.run(SUBMIT)
        assert stale(kernel) == expected, name
        assert kernel.value("task.result()") == [42, "one"], name
        kernel.run(TASK)
        kernel.run(HELPERS)  # now in another order
        kernel.run(SUBMIT)
        assert stale(kernel) == "", name
    for file, text in (
        ("tools.py", TOOLS.replace("more.WORD", "more.WORD * 2")),
        ("more.py", "WORD = 'two'\n"),
    ):
        before = (lab.path / file).read_text()
        write(lab, file, text)
        kernel.run(SUBMIT)
        assert stale(kernel) == "code", file
        write(lab, file, f"# a comment\n{before}")
        kernel.run(SUBMIT)
        assert stale(kernel) == "", file
    (identifier,) = lab.started()
    assert lab.started()[identifier] == 1
