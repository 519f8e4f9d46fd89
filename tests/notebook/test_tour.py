"""Every notebook of the tour as it is stored: whole, run in order, and the same wherever it ran."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def notebook(request):
    book = nbformat.read(request.param, as_version=4)
    nbformat.validate(book)
    return book


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_there_is_a_tour():
    assert [path.stem.partition("_")[0] for path in PATHS] == [
        f"{number:02}" for number in range(1, 7)
    ]


def test_it_was_run_in_order_and_without_errors(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_what_is_stored_is_the_same_wherever_it_ran(notebook):
    for cell in code(notebook):
        for output in cell.outputs:
            data = {k: v for k, v in output.get("data", output).items() if k != "image/png"}
            text = str(data)
            assert "widget-view" not in text
            assert not re.search(r"/tmp/|/home/|/root/|xpm-workspace|object at 0x|<script", text)
    assert "widgets" not in notebook.metadata


def test_it_ends_by_checking_what_it_claims(notebook):
    assert code(notebook)[-1].source.count("assert ") >= 8
    assert notebook.cells[0].source.startswith("# ")
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
