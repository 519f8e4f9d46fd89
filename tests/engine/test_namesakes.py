"""What is kept of a type name, and when it is told; no job runs here."""

import warnings

import pytest

from xpm_nb.core.config import Config
from xpm_nb.core.fields import Meta, Param
from xpm_nb.engine import callbacks
from xpm_nb.engine.namesakes import Namesakes
from xpm_nb.store.layout import Workspace


def cell_class(**fields):
    body = {"__annotations__": fields, "__module__": "__main__", "__qualname__": "Model"}
    return type("Model", (Config,), body)


@pytest.fixture
def say(tmp_path):
    """What is warned of when a class is submitted in a notebook."""
    workspace = Workspace(tmp_path / "ws").create()

    def said(notebook, cls, namespace="tour"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Namesakes(workspace, namespace, lambda: notebook).check([cls])
        assert callbacks.current().flush(10, chores=True)
        return [str(w.message) for w in caught]

    return said


def test_another_notebook_with_other_parameters_is_told_once(say):
    one, two = cell_class(a=Param[int]), cell_class(a=Param[str], b=Meta[int])
    assert say("a.ipynb", one) == []
    (text,) = say("b.ipynb", two)
    assert "a.ipynb that it has a: int, and b.ipynb that it has a: str, b: meta int" in text
    assert "namespace=" in text
    assert say("b.ipynb", two) == []
    assert len(say("a.ipynb", one)) == 1  # it is the other's by now


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("a.ipynb", "tour"), ("a.ipynb", "tour")),
        (("a.ipynb", "tour"), ("b.ipynb", "mine")),
        (("", "tour"), ("b.ipynb", "tour")),
        (("a.ipynb", "tour"), ("", "tour")),
    ],
)
def test_what_is_no_news(say, first, then):
    assert say(first[0], cell_class(a=Param[int]), first[1]) == []
    assert say(then[0], cell_class(a=Param[str]), then[1]) == []


def test_equal_parameters_are_no_news_and_modules_have_no_notebook(say, tmp_path):
    assert say("a.ipynb", cell_class(a=Param[int])) == []
    assert say("b.ipynb", cell_class(a=Param[int])) == []
    imported = type("Other", (Config,), {"__annotations__": {"a": Param[int]}})
    assert say("a.ipynb", imported) == []
    assert {path.name for path in (tmp_path / "ws" / "config").iterdir()} == {"tour.model"}


def test_a_damaged_file_is_only_a_hint_lost(say, tmp_path):
    assert say("a.ipynb", cell_class(a=Param[int])) == []
    (path,) = (tmp_path / "ws").glob("config/*/meaning.json")
    path.write_text("{")
    assert say("b.ipynb", cell_class(a=Param[str])) == []
    assert len(say("a.ipynb", cell_class(a=Param[int]))) == 1
