"""The notebooks of the tour as people use them: left half-way, begun again, run once more."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CELL_MS, ROOT, Window, only_lab

TOUR = sorted(
    path for path in (ROOT / "notebooks").glob("*.ipynb") if path.name[:2] not in ("01", "05")
)  # these two have tests of their own
THEMES = ("JupyterLab Light", "JupyterLab Dark")

pytestmark = pytest.mark.slow

# Only the end of a log may come first: of anything else, the words would be turned around.
TURNED = """() => [...document.querySelectorAll("pre.xpm-log")].filter(pre =>
  pre.childNodes.length > 1 && getComputedStyle(pre).flexDirection.endsWith("reverse")).length"""


def run_all(window: Window, code: list[int], before: int) -> None:
    """Run all cells; before them, so many were executed in this kernel."""
    window.execute("notebook:run-all-cells")
    for count, n in enumerate(code, start=before + 1):
        expect(window.cell(n).locator(".jp-InputPrompt")).to_have_text(
            f"[{count}]:", timeout=CELL_MS
        )
    for kind in ("error", "stderr"):
        wrong = window.page.locator(f'[data-mime-type="application/vnd.jupyter.{kind}"]')
        expect(wrong).to_have_count(0)


@only_lab
@pytest.mark.parametrize("path", TOUR, ids=lambda path: path.stem[:2])
def test_it_can_be_left_half_way_and_run_again(window: Window, path: Path) -> None:
    shutil.copy(path, window.folder / "tour.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    code = [n for n, cell in enumerate(cells) if cell.cell_type == "code"]
    window.open("tour.ipynb")
    for n in code[: 2 * len(code) // 3]:
        window.run(n)
    window.restart_kernel()
    window.ready()
    run_all(window, code, before=0)
    run_all(window, code, before=len(code))
    assert window.page.evaluate(TURNED) == 0
    for n in code:
        # what was drawn while its cell was out of sight is there as well
        assert window.undrawn(window.output(n)) == [], n
    for theme in THEMES:
        window.theme(theme)
        for n in code:
            if cells[n].outputs:
                look = theme.rpartition(" ")[2].lower()
                window.shot(f"tour-{path.stem[:2]}-{n:02}-{look}", window.output(n))
