"""Two versions of code beside each other."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core.codetree import beside, changes, tree
from xpm_nb.core.views import CodeRow


class P(NamedTuple):
    name: str
    source: str
    uses: tuple[int, ...] = ()
    kind: str = "cell"
    where: str = "In[1], line 1"

    @property
    def digest(self):
        return self.source


NOW = [
    P("Learn", "class Learn: …", (1, 2)),
    P("helper", "def helper(): 2", (3,)),
    P("tools", "import tools", (4,)),
    P("deep", "def deep(): 1", (1,)),
    P("tools", "x = 1", (), "module", "/a/tools.py"),
    P("fresh", "def fresh(): 1"),
]
BEFORE = [
    P("Learn", "class Learn: …", (1, 2)),
    P("helper", "def helper(): 1", (3,)),
    P("tools", "import tools", (4,)),
    P("deep", "def deep(): 1", (1,)),
    P("tools", "x = 1", (), "module", "/a/tools.py"),
    P("old", "def old(): 1"),
]


def test_the_tree_marks_what_changed():
    assert tree(NOW, BEFORE, {"Learn"}) == [
        CodeRow(0, "Learn", "In[1], line 1", ""),
        CodeRow(1, "helper", "In[1], line 1", "changed"),
        CodeRow(2, "deep", "In[1], line 1", ""),
        CodeRow(1, "tools", "/a/tools.py", ""),
        CodeRow(0, "fresh", "In[1], line 1", "new"),
        CodeRow(0, "old", "In[1], line 1", "gone"),
    ]


def test_changes_name_both_places():
    found = changes(NOW, BEFORE)
    assert [(c.name, bool(c.before), bool(c.now)) for c in found] == [
        ("helper", True, True),
        ("fresh", False, True),
        ("old", True, False),
    ]
    assert found[0].rows == (("def helper(): 1", "def helper(): 2", True),)
    assert found[1].rows == ((None, "def fresh(): 1", True),)


lines = st.lists(st.sampled_from("abc"), max_size=12)


@given(lines, lines)
def test_no_changed_line_is_lost(old, new):
    rows = beside("\n".join(old), "\n".join(new))
    assert (old == new) == (rows == ())
    left = [a for a, _, changed in rows if changed and a is not None]
    right = [b for _, b, changed in rows if changed and b is not None]
    assert len(old) - len(left) == len(new) - len(right)  # what is equal is so on both sides
    assert all(a == b for a, b, changed in rows if not changed)


def test_pieces_that_are_apart_are_told_apart():
    old = [str(i) for i in range(40)]
    new = [*old]
    new[3] = new[30] = "x"
    rows = beside("\n".join(old), "\n".join(new))
    assert rows.count((None, None, False)) == 1
    assert len(rows) < 15
