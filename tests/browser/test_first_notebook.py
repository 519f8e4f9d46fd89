"""The first notebook of the tour, in a browser, as a stranger runs it."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CELL_MS, ROOT, Window

NOTEBOOK = ROOT / "notebooks" / "01_first_experiment.ipynb"
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
CODE = [n for n, cell in enumerate(CELLS) if cell.cell_type == "code"]

pytestmark = pytest.mark.slow


def number(text: str) -> int:
    """Give the number of the cell that says this."""
    (found,) = [n for n in CODE if text in CELLS[n].source]
    return found


def test_all_cells_run(window: Window) -> None:
    shutil.copy(NOTEBOOK, window.folder / "first.ipynb")
    window.open("first.ipynb")
    window.execute("notebook:run-all-cells")
    for count, n in enumerate(CODE, start=1):
        expect(window.cell(n).locator(".jp-InputPrompt")).to_have_text(
            f"[{count}]:", timeout=CELL_MS
        )
    expect(window.page.locator('[data-mime-type="application/vnd.jupyter.error"]')).to_have_count(0)
    expect(window.page.locator('[data-mime-type="application/vnd.jupyter.stderr"]')).to_have_count(
        0
    )

    label = window.output(number("count()\n")).locator(".widget-label")
    expect(label).to_have_text("12 of 12 runs finished")

    waited = window.output(number("xp.wait()"))
    expect(waited).to_contain_text(re.compile(r"\b14\b.*done"))
    window.shot("first-waited", waited)
    results = window.output(number('xp.table("accuracy"')).locator("table")
    expect(results.locator("tbody tr")).to_have_count(12)
    assert window.spilled(results) == []

    figure = window.output(number("plt.show()")).locator("img")
    assert figure.evaluate("image => image.naturalWidth") > 500
