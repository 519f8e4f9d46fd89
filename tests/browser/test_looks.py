"""Themes, narrow columns, keyboards, screen readers: what a panel and a form are to each of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, Window, only_lab
from tests.browser.test_form import LEARN
from tests.browser.test_panel import FOUR, four

pytestmark = pytest.mark.slow

AXE = Path(
    os.environ.get("XPM_TEST_AXE")
    or ROOT / ".venv-test" / "node" / "node_modules" / "axe-core" / "axe.min.js"
)
LOOK = """async root => {
  const found = await axe.run(root, {resultTypes: ["violations", "incomplete"]});
  const tell = list => list.map(rule =>
    `${rule.id} (${rule.impact}): ` + rule.nodes.map(n => `${n.html.slice(0, 150)} ${n.failureSummary}`).join("; "));
  return tell(found.violations);
}"""


def axe(window: Window) -> None:
    """Put what looks for barriers into the page."""
    if not AXE.is_file():
        text = f"there is no {AXE}: `python3 tests/run.py browser` installs it"
        if os.environ.get("XPM_TEST_AXE"):
            pytest.fail(text)
        pytest.skip(text)
    window.page.evaluate(AXE.read_text())


def barriers(locator: Any, where: str) -> list[str]:
    return [f"{where}: {barrier}" for barrier in locator.evaluate(LOOK)]


def everything(window: Window) -> Any:
    """Show a panel with jobs in several states and a form, and give what shows them."""
    window.folder.joinpath("fail-1").touch()
    window.start(FOUR, "xp", LEARN.replace('xp = start("forms")', ""), "learn")
    for cell in range(1, 5):
        window.run(cell)
    panel = window.panel(2)
    window.let("open-0", "open-1")
    expect(panel.rows("done")).to_have_count(1)
    expect(panel.rows("error")).to_have_count(1)
    expect(panel.rows("running")).to_have_count(2)
    return panel, window.output(4).locator(".xpm-form")


def visit(window: Window, panel: Any, form: Any, theme: str) -> list[str]:
    """Look for barriers in each part of panel and form."""
    found = []
    panel.rows().nth(0).click()
    for name in ("Log", "Parameters", "Callbacks", "Details"):
        panel.root.locator(".xpm-drawer").get_by_role("tab", name=name).click()
        found += barriers(panel.root, f"{theme}, {name}")
    window.shot(f"{theme}-drawer", panel.root)
    panel.rows("error").first.click()
    panel.root.locator(".xpm-drawer").get_by_role("tab", name="Failure").click()
    expect(panel.root.locator(".xpm-frame[open]").first).to_be_visible()
    found += barriers(panel.root, f"{theme}, Failure")
    window.shot(f"{theme}-failure", panel.root)
    for tab in ("graph", "timeline", "curves", "results", "jobs"):
        panel.tab(tab).click()
        expect(panel.tab(tab)).to_have_attribute("aria-selected", "true")
        expect(panel.root.locator(f"[role=tabpanel][id$=panel-{tab}]")).to_be_visible()
        expect(panel.root.locator(CONTENT[tab]).first).to_be_visible()
        found += barriers(panel.root, f"{theme}, {tab}")
        window.shot(f"{theme}-{tab}", panel.root)
    edit = form.locator('[data-act="edit"]')
    found += barriers(form, f"{theme}, config")
    edit.click()
    rate = form.locator('[data-path="rate"]')
    rate.fill("much")
    rate.press("Tab")
    expect(form.locator('[data-error-for="rate"]')).to_be_visible()
    found += barriers(form, f"{theme}, form")
    window.shot(f"{theme}-form", form)
    form.locator('[data-act="reset"]').click()
    edit.click()
    return found


# What is in each tab once it has come from the kernel.
CONTENT = {
    "jobs": "[role=row][data-id]",
    "graph": "[data-node]",
    "timeline": ".xpm-timeline canvas",
    "curves": ".xpm-chart svg",
    "results": ".xpm-results tbody tr",
}
THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")


@only_lab
def test_no_barrier_in_any_theme(window: Window) -> None:
    panel, form = everything(window)
    axe(window)
    found = []
    for theme in THEMES:
        window.theme(theme)
        found += visit(window, panel, form, theme.rpartition(" ")[2].lower())
        assert window.spilled(panel.root) == []
    assert found == [], "\n".join(found)


@only_lab
def test_narrow_columns_cut_and_do_not_spill(window: Window) -> None:
    panel, form = everything(window)
    panel.rows().nth(0).click()
    panel.root.evaluate("root => { root.parentElement.style.width = '420px' }")
    form.evaluate("root => { root.parentElement.style.width = '420px' }")
    expect(panel.rows("running")).to_have_count(2)
    panel.rows("error").first.click()
    panel.root.locator(".xpm-drawer").get_by_role("tab", name="Failure").click()
    expect(panel.root.locator(".xpm-frame[open]").first).to_be_visible()
    for tab, content in CONTENT.items():
        panel.tab(tab).click()
        expect(panel.root.locator(content).first).to_be_visible()
        assert window.spilled(panel.root) == [], tab
        window.shot(f"narrow-{tab}", panel.root)
    form.locator('[data-act="edit"]').click()
    assert window.spilled(form) == []
    window.shot("narrow-form", form)


SCALE = """
def scale(value):
    # how much of it counts
    return value * 0.5


class Fit(Task):
    rate: Param[float]

    def execute(self):
        return scale(self.rate)


xp = start("fits")
fit = Fit.C(rate=0.2)
fit.submit()
xp.wait()
"""
EDITED = """
def scale(value):
    # how much of it counts, <b>since</b> the sensors of the second series were moved to the roof
    top = max(value, 1)
    return value * 0.75 / top
"""
WIDTHS = """table => [...table.querySelectorAll("td")].map(cell => cell.offsetWidth).filter(width => width)"""


@only_lab
def test_code_beside_code_is_below_it_where_it_is_narrow(window: Window) -> None:
    window.start(SCALE, EDITED, "fit.why()")
    for n in (1, 2):
        window.run(n)
    output = window.run(3)
    both = output.locator(".xpm-compare")
    axe(window)
    for theme in THEMES:
        window.theme(theme)
        look = theme.rpartition(" ")[2].lower()
        for width, columns in ((1000, 2), (550, 1), (420, 1)):
            both.evaluate("(node, width) => { node.style.width = `${width}px` }", width)
            expect(both.locator("td.xpm-gone").first).to_have_css(
                "display", "block" if columns == 1 else "table-cell"
            )
            (cell,) = set(both.evaluate(WIDTHS))
            assert cell == pytest.approx(both.evaluate("b => b.clientWidth") / columns, abs=1)
            assert window.spilled(both) == []
            window.shot(f"why-{look}-{width}", output)
        assert barriers(output, look) == []
    expect(both).to_contain_text("<b>since</b>")


@only_lab
def test_the_keyboard_alone(window: Window) -> None:
    panel = four(window)
    page, grid = window.page, panel.root.locator("[role=grid]")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    ids = [panel.rows().nth(n).get_attribute("data-id") for n in range(4)]
    grid.focus()
    expect(grid).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    drawer = panel.root.locator(".xpm-drawer")
    expect(drawer).to_contain_text(str(ids[1])[:8])
    expect(panel.root.locator(".xpm-log")).to_contain_text("number 1 begins")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    page.keyboard.press("End")
    page.keyboard.press("Space")
    expect(panel.row(str(ids[3]))).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Delete")
    confirm = panel.root.locator('[data-act="confirm"]:visible')
    expect(panel.row(str(ids[3])).or_(confirm).first).to_be_visible()
    if confirm.count():  # more than one was selected
        confirm.click()
    expect(panel.row(str(ids[3]))).to_have_attribute("data-state", "error")
    grid.focus()
    page.keyboard.press("End")
    page.keyboard.press("r")
    expect(panel.row(str(ids[3]))).not_to_have_attribute("data-state", "error")
    # keys that would do something to the notebook
    for key in ("d", "d", "x", "a", "b", "m", "c", "v", "z"):
        page.keyboard.press(key)
    page.keyboard.press("/")
    expect(panel.root.locator("input[type=search]").first).to_be_focused()
    page.keyboard.type("n=2")
    expect(panel.rows()).to_have_count(1)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert not window.running(2)


@only_lab
def test_reduced_motion_and_forced_colours(window: Window) -> None:
    panel = four(window)
    window.page.emulate_media(reduced_motion="reduce", forced_colors="active")
    moving = """root => root.getAnimations({subtree: true}).filter(a =>
      a.playState === "running" && a.effect.getComputedTiming().duration > 1).length"""
    assert panel.root.evaluate(moving) == 0
    window.shot("forced-colours", panel.root)
    # the state is told in words too
    for row in range(4):
        state = str(panel.rows().nth(row).get_attribute("data-state"))
        expect(panel.rows().nth(row)).to_contain_text(state)
    assert window.spilled(panel.root) == []


@only_lab
def test_panel_and_form_have_our_style(window: Window) -> None:
    """A style sheet that is not there, or one of the page's that weighs more, breaks nothing else."""
    panel, form = everything(window)
    style = "(node, name) => getComputedStyle(node).getPropertyValue(name)"
    for root in (panel.root, form):
        assert root.evaluate(style, "--xpm-fg").strip()
        assert root.evaluate(style, "--xpm-bad").strip()
    name = form.locator(".xpm-tree tbody th").first
    assert name.evaluate(style, "font-weight") == "400"
    assert name.evaluate(style, "text-align") == "left"
    tree = form.locator("table.xpm-tree")
    assert tree.evaluate(style, "border-collapse") == "collapse"
    assert tree.evaluate("table => table.offsetWidth / table.parentElement.clientWidth") > 0.9
    assert form.locator(".xpm-form-head").evaluate(style, "display") == "flex"
    assert panel.rows().nth(0).evaluate(style, "display") == "grid"
    # JupyterLab loads its own sheets anew with a theme: then they come later, and must not win
    panel.rows().nth(0).click()
    for theme in THEMES:
        window.theme(theme)
        expect(panel.root.locator("pre.xpm-log")).to_have_css("font-size", "12px")
    # a chart that is alone takes the space that there is, whatever the static pictures look like
    panel.tab("curves").click()
    chart = panel.root.locator(".xpm-chart svg")
    expect(chart).to_be_visible()
    assert chart.evaluate("svg => svg.clientWidth") > 600
