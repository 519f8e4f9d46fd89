"""Whether a formatter's text is the same program: imports may move, nothing else may change."""

from __future__ import annotations

import pytest

from xpm_nb.code.tidied import same_program, unsorted

SAME = {
    "sorted": ("import re, abc\nx = re\n", "import abc\nimport re\nx = re\n"),
    "left out": ("from typing import Any, List\nx: Any\n", "from typing import Any\nx: Any\n"),
    "of Python itself": ("import re\nx = 1\n", "x = 1\n"),
    "inside": (
        "def f():\n import re, abc\n return re\n",
        "def f():\n import abc\n import re\n return re\n",
    ),
    "twice": (
        "import re\nx = re\n\ndef f():\n    import re\n    return 1\n",
        "import re\nx = re\n\ndef f():\n    return 1\n",
    ),
    "layout": ("x = ( 'a' )  # why\n", 'x = "a"  # noqa\n'),
    "docstring": ("def f():\n  '''A.\n    B.  \n  '''\n", 'def f():\n    """A.\n    B.\n    """\n'),
}

OTHER = {
    "a default": ("def f(a=[]): ...\n", "def f(a=None): ...\n"),
    "a statement less": ("print(1)\nx = 1\n", "x = 1\n"),
    "another meaning": ("import mylib.ops as ops\n", "from mylib import ops\n"),
    "a module that does something": ("import re, my_plugins\n", "import re\n"),
    "another place": ("import re\nx = 1\nimport abc\n", "import abc\nimport re\nx = 1\n"),
    "the last one counts": (
        "from a import f\nfrom b import f\n",
        "from b import f\nfrom a import f\n",
    ),
    "stars": ("from b import *\nfrom a import f\n", "from a import f\nfrom b import *\n"),
    "the future": ("from __future__ import annotations\nx = 1\n", "x = 1\n"),
    "no program": ("x = 1\n", "x = \n"),
    "a text": ("x = '''a\n b'''\n", "x = '''a\nb'''\n"),
    "an import that is needed": ("import re\nx = re\n", "x = re\n"),
    "a module inside that is needed": (
        "import xml.dom\nimport xml.sax\nx = xml.dom\n",
        "import xml.sax\nx = xml.dom\n",
    ),
    "an import more": ("x = 1\n", "import re\nx = 1\n"),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_program(case):
    assert same_program(*SAME[case])


@pytest.mark.parametrize("case", OTHER)
def test_another_program(case):
    assert not same_program(*OTHER[case])


def test_where_the_order_depends_on_the_looker_nothing_is_sorted():
    text = "import abc\n\n# isort: split\nimport mine\n\ndef f():\n    import mine\n    import re\n\ndef g():\n    import abc\n    import re\n"
    skipped = text.replace(
        "    import mine\n    import re",
        "    import mine  # isort: skip\n    import re  # isort: skip",
    )
    assert unsorted(text, ({"mine"},)) == skipped
    assert unsorted(text, ()) == text
