"""What JavaScript expects of a view is what `core.views` gives: the types in its comments, compared."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from xpm_nb.core import freshness, views
from xpm_nb.notebook import protocol

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


def test_badges_have_the_same_words_and_numbers():
    source = (JS / "store.js").read_text(encoding="utf-8")
    (words,) = re.findall(r"const STALE = (\[.*\]);", source)
    assert json.loads(words) == ["", *freshness.BADGES.values()]
    assert "(flags >> 4) & 7" in source
    assert protocol.STALE["code"] == 1 << 4
    assert f'const DRIFTED = "{freshness.DRIFTED}";' in source
    assert f"(flags & {protocol.DRIFTED})" in source
    assert f"(flags & {protocol.UNKNOWN})" in source
