"""The notebook on what is alive, in a browser: the claims that only a page can keep."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CELL_MS, ROOT, Window

NOTEBOOK = ROOT / "notebooks" / "05_live_widgets_and_magics.ipynb"
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
CODE = [n for n, cell in enumerate(CELLS) if cell.cell_type == "code"]

pytestmark = pytest.mark.slow


def number(text: str) -> int:
    """Give the number of the cell that says this."""
    (found,) = [n for n in CODE if text in CELLS[n].source]
    return found


def test_all_cells_run_and_what_they_show_is_alive(window: Window) -> None:
    shutil.copy(NOTEBOOK, window.folder / "fifth.ipynb")
    window.open("fifth.ipynb")
    window.execute("notebook:run-all-cells")
    for count, n in enumerate(CODE, start=1):
        expect(window.cell(n).locator(".jp-InputPrompt")).to_have_text(
            f"[{count}]:", timeout=CELL_MS
        )
    for kind in ("error", "stderr"):
        wrong = window.page.locator(f'[data-mime-type="application/vnd.jupyter.{kind}"]')
        expect(wrong).to_have_count(0)

    panel = window.panel(number("await xp"))
    expect(panel.root).to_have_attribute("data-state", "done")
    expect(panel.root.locator('[data-count="done"]')).to_have_text("18 done")
    window.shot("fifth-panel", panel.root)
    # the table that was displayed before anything had run has its figures
    early = window.output(number('xp.table("distance"')).locator("table")
    expect(early.locator("tbody tr")).to_have_count(6)
    for row in range(6):
        expect(early.locator("tbody tr").nth(row)).to_contain_text(re.compile(r"\d\.\d\d ± \d"))
    window.shot("fifth-table", early)
    news = window.output(number("def told")).locator(".widget-label").last
    expect(news).to_contain_text("nearest so far: 0.0")
    panel.rows().nth(0).click()
    drawer = panel.root.locator(".xpm-drawer")
    drawer.get_by_role("tab", name="Callbacks").click()
    expect(drawer).to_contain_text(re.compile(r"0\.\d\d away from the bottom"))

    form = window.output(number("form = widget")).locator(".xpm-form")
    fate = form.locator(".xpm-fate")
    expect(fate).to_have_attribute("data-kind", "computed")  # as one of the eighteen
    form.locator('[data-act="edit"]').click()
    momentum = form.locator('[data-path="descent.momentum"]')
    for text, kind in (("0.5", "new"), ("0.9", "computed")):
        momentum.fill(text)
        momentum.press("Tab")
        expect(fate).to_have_attribute("data-kind", kind)
    window.shot("fifth-form", form)
