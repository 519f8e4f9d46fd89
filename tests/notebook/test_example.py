"""The stored example: read as a stranger reads it, on a page with neither style nor script."""

from __future__ import annotations

import re
from pathlib import Path

import html5lib
import nbformat
import pytest
from nbconvert import HTMLExporter

PATH = Path(__file__).parents[2] / "notebooks" / "01_first_experiment.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
SVM = [(c, gamma, "svm", "", "") for c in ("0.1", "10.0") for gamma in ("0.0001", "0.001", "0.01")]
FORESTS = [
    ("", "", "forest", trees, depth) for trees in ("10", "50", "100") for depth in ["5", "15"]
]


@pytest.fixture(scope="module")
def tables():
    page = html5lib.parse(
        HTMLExporter().from_notebook_node(NOTEBOOK)[0], namespaceHTMLElements=False
    )
    for parent in list(page.iter()):
        for child in list(parent):
            if child.tag in ("style", "script"):
                parent.remove(child)
    return [
        [
            [(cell.tag, " ".join("".join(cell.itertext()).split())) for cell in row]
            for row in table.iter("tr")
        ]
        for table in page.iter("table")
    ]


@pytest.mark.slow
def test_the_jobs_are_a_table_with_header_cells_tags_states_and_accuracies(tables):
    (jobs,) = [t for t in tables if t[0][0] == ("th", "job")]
    assert {tag for tag, _ in jobs[0]} == {"th"}
    names = [name for _, name in jobs[0]]
    assert names == [
        "job",
        "state",
        "c",
        "gamma",
        "model",
        "trees",
        "depth",
        "accuracy",
    ]
    runs = [[text for _, text in row] for row in jobs[1:] if row[0][1].startswith("Train")]
    assert [tuple(run[2:7]) for run in runs] == [*SVM, *FORESTS]
    assert {run[1] for run in runs} == {"✓ done"}
    assert all(re.fullmatch(r"0\.\d\d?", run[-1]) for run in runs)
    assert all(re.fullmatch(r"Train [0-9a-f]{8}", run[0]) for run in runs)


@pytest.mark.slow
def test_the_results_are_a_table(tables):
    (results,) = [t for t in tables if t[0][-1] == ("th", "accuracy") and t[0][0] != ("th", "job")]
    assert len(results) == 13
    figures = [row[-1][1] for row in results[1:]]
    assert all(re.fullmatch(r"(?:★ )?0\.\d\d", figure) for figure in figures)
    (best,) = [figure for figure in figures if figure.startswith("★ ")]
    assert best.removeprefix("★ ") == max(figure.removeprefix("★ ") for figure in figures)


def test_what_is_stored_is_the_deterministic_form():
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))
    assert all(cell.source.strip() for cell in NOTEBOOK.cells)
    for cell in CODE:
        for output in cell.outputs:
            text = str({k: v for k, v in output.get("data", output).items() if k != "image/png"})
            assert "widget-view" not in text
            assert "/tmp/" not in text
            assert "xpm-workspace" not in text
    assert PATH.stat().st_size < 300_000
    assert "widgets" not in NOTEBOOK.metadata


def test_the_last_cell_asserts():
    assert CODE[-1].source.count("assert ") >= 8
