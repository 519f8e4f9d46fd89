"""Statements of cells as a module: the names of classes are written in, nothing else changes."""

from __future__ import annotations

import pytest

from xpm_nb.code.cells import Cell
from xpm_nb.code.package import checked_imports, module_text, with_names
from xpm_nb.errors import ExportError

CASES = {
    "class A:\n    x = 1\n": 'class A:\n    __xpmid__ = "n.A"\n\n    x = 1\n',
    "class A(B):\n  '''Doc.'''\n\n  x = 1\n": "class A(B):\n  '''Doc.'''\n\n  __xpmid__ = \"n.A\"\n\n  x = 1\n",
    "class A:\n    pass\n": 'class A:\n    __xpmid__ = "n.A"\n',
    "class A: pass\n": 'class A:\n    __xpmid__ = "n.A"\n',
    "class A: x = 1; y = 'é'\n": "class A:\n    __xpmid__ = \"n.A\"\n    x = 1; y = 'é'\n",
    "class A: 'Doc.'\n": "class A:\n    'Doc.'\n\n    __xpmid__ = \"n.A\"\n",
    "class A:\n    # why\n    x = 1\n": 'class A:\n    __xpmid__ = "n.A"\n\n    # why\n    x = 1\n',
    "class A:\n\n    @deco\n    def f(self): ...\n": 'class A:\n    __xpmid__ = "n.A"\n\n\n    @deco\n    def f(self): ...\n',
    "@deco(\n    1,\n)\nclass A(\n    B,  # base\n):\n    x = 1\n": '@deco(\n    1,\n)\nclass A(\n    B,  # base\n):\n    __xpmid__ = "n.A"\n\n    x = 1\n',
    "if True:\n    class A:\n        x = 1\n": 'if True:\n    class A:\n        __xpmid__ = "n.A"\n\n        x = 1\n',
    'class A:\n    """Doc\n    of lines."""\n': 'class A:\n    """Doc\n    of lines."""\n\n    __xpmid__ = "n.A"\n',
}


@pytest.mark.parametrize("source", CASES)
def test_a_name_is_written_into_the_class(source):
    names = {"A": "n.A"}
    text = with_names(source, names)
    assert text == CASES[source]
    assert names == {}
    space = {"deco": lambda *a: (lambda c: c) if a == (1,) else a[0], "B": object}
    exec(text, space)
    assert space["A"].__xpmid__ == "n.A"


def test_classes_inside_classes_have_names_of_their_own():
    names = {"A": "n.A", "A.B": "n.A.B"}
    text = with_names("class A:\n    class B: pass\n    y = 1\n", names)
    assert text == (
        'class A:\n    __xpmid__ = "n.A"\n\n    class B:\n        __xpmid__ = "n.A.B"\n    y = 1\n'
    )


def test_imports_come_first_unless_something_else_has_their_name():
    code = "import os\n\n\ndef f(): ...\n\n\nfrom a import f\n\n\nclass A: ...\n\n\nimport re\n"
    assert module_text(code, "Doc.", ("annotations",), {"A": "n.A"}) == (
        '"""Doc."""\n\nfrom __future__ import annotations\nimport os\nimport re\n\n\n'
        'def f(): ...\n\n\nfrom a import f\n\n\nclass A:\n    __xpmid__ = "n.A"\n    ...\n'
    )


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(ExportError, match="B: there is no class statement"):
        module_text("class A: ...\n", "Doc.", (), {"A": "n.A", "B": "n.B"})


def test_imports_of_what_lies_beside_the_notebook_stand_apart():
    code = "import mine\nimport os\nfrom other.deep import x\nfrom yours import y\n"
    assert module_text(code, "Doc.", (), {}, ({"mine", "yours"}, {"other"})) == (
        '"""Doc."""\n\nimport os\n\n# isort: split\nimport mine\nfrom yours import y\n\n'
        "# isort: split\nfrom other.deep import x\n\n\n"
    )


def test_imports_for_type_checkers_are_kept_where_annotations_need_them():
    cells = [
        Cell(
            1,
            "In[1]",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import old as pd\n",
        ),
        Cell(
            2,
            "In[2]",
            "if typing.TYPE_CHECKING:\n    import a.b, pandas as pd\n    from x import y as z, w\n"
            "if other:\n    import f\nif not typing.TYPE_CHECKING:\n    from q import h\n",
        ),
    ]
    code = "def g(p: 'pd.DataFrame', q: list['z'] = None) -> 'h | f': ...\n"
    assert checked_imports(code, cells) == ["from x import y as z", "import pandas as pd"]
    assert checked_imports("def g(p: pd.X): ...\nimport pd\n", cells) == []
    assert checked_imports("def g(p: 'no name', q): return pd\n", cells) == []
    text = module_text("import os\n", "Doc.", (), {}, (), ["import pandas as pd"])
    assert text == (
        '"""Doc."""\n\nimport os\nfrom typing import TYPE_CHECKING\n\n\n'
        "if TYPE_CHECKING:\n    import pandas as pd\n"
    )
