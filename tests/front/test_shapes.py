"""What JavaScript expects of a view is what `core.views` gives: the types in its comments, compared."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from xpm_nb.core import views

JS = Path(__file__).resolve().parents[2] / "xpm_nb" / "notebook" / "static" / "js"

LISTED = re.compile(r"@typedef \{object\} (\w+).*?\n(.*?)\*/", re.DOTALL)
INLINE = re.compile(r"@typedef \{\{(.*?)\}\} (\w+)")


def expected(module: str) -> dict[str, set[str]]:
    """The names of the properties that each type in the comments of a module must have."""
    source = (JS / f"{module}.js").read_text(encoding="utf-8")
    types = {
        name: set(re.findall(r"@property \{.*\} (\w+)", body))
        for name, body in LISTED.findall(source)
    }
    for body, name in INLINE.findall(source):
        types[name] = set(re.findall(r"(?:^|, )(\w+):", body))
    return types


@pytest.mark.parametrize(
    ("module", "name", "view", "all_of_it"),
    [
        ("config", "Param", views.ParamView, True),
        ("config", "ConfigTree", views.ConfigView, False),
        ("graph", "GraphNode", views.GraphNode, True),
        ("graph", "Graph", views.GraphView, False),
        ("curves", "Curve", views.CurveView, True),
        ("results", "Table", views.TableView, True),
    ],
)
def test_a_view_has_what_its_tab_expects(module, name, view, all_of_it):
    wanted = expected(module)[name]
    given = {field.name for field in fields(view)}
    assert wanted
    assert wanted <= given
    if all_of_it:
        assert wanted == given
