"""What is the same in the code of two times."""

from __future__ import annotations

import pytest

from xpm_nb.code import same
from xpm_nb.store.records import Code, CodePart


def code(*parts):
    return Code(parts=tuple(CodePart(*part) for part in parts))


def cell(name, text, *uses):
    return "cell", name, "In[1], line 1", text, f"digest of {text}", uses


BASE, KIND, USER = cell("Base", "base"), cell("Kind", "kind", 0), cell("user", "user", 1)


@pytest.mark.parametrize(
    ("then", "now", "found"),
    [
        (code(BASE, KIND, USER), code(BASE, KIND, USER), {"Base", "Kind", "user"}),
        (code(BASE, KIND), code(cell("Base", "other"), KIND), set()),
        (code(BASE, KIND), code(BASE, cell("Kind", "other", 0)), {"Base"}),
        (code(BASE, cell("Kind", "kind")), code(BASE, KIND), {"Base"}),
        (code(BASE, KIND), code(cell("Kind", "kind", 1), BASE), {"Base", "Kind"}),
        (
            code(cell("A", "a", 1), cell("B", "b", 0)),
            code(cell("A", "a", 1), cell("B", "c", 0)),
            set(),
        ),
        (code(BASE), Code(unknown="nobody knows"), set()),
        (code(("module", "Base", "base.py", "base", "x")), code(BASE), set()),
    ],
    ids=["all", "a base", "itself", "uses more", "another order", "a circle", "unknown", "a file"],
)
def test_names(then, now, found):
    assert same.names(then, now) == found
