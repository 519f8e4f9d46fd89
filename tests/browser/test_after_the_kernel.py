"""Pages that are loaded again, kernels that are gone, notebooks that are read elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Window, only_lab
from tests.browser.test_panel import FOUR, four

pytestmark = pytest.mark.slow


def test_a_page_that_is_loaded_again_is_alive(window: Window) -> None:
    panel = four(window)
    window.let("open-0")
    expect(panel.rows("done")).to_have_count(1)
    window.save()
    window.reload()
    panel = window.panel(2)
    expect(panel.rows()).to_have_count(4)
    expect(panel.rows("done")).to_have_count(1)
    expect(window.output(2).locator("[data-xpm]")).to_be_hidden()
    panel.rows().nth(1).click()
    panel.button("cancel").click()
    expect(panel.rows("error")).to_have_count(1)
    window.let("open")
    expect(panel.root).to_have_attribute("data-state", "done")


@only_lab
def test_a_page_that_is_loaded_while_a_cell_runs_catches_up(window: Window) -> None:
    window.start(FOUR, "xp", "while not Path('stop').exists(): time.sleep(0.01)")
    window.run(1)
    window.run(2)
    expect(window.panel(2).rows("running")).to_have_count(2)
    window.save()
    window.begin(3)
    window.reload()
    # until the kernel is free it cannot say what its widgets are: the static picture serves
    expect(window.output(2)).to_contain_text("Gated")
    window.let("open", "stop")
    expect(window.panel(2).rows("done")).to_have_count(4)


def test_a_restarted_kernel_leaves_the_picture(window: Window) -> None:
    window.let("open-0", "open-1", "open-2", "open-3")
    window.start(FOUR, "xp.wait()")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.root).to_have_attribute("data-state", "done")
    panel.rows().nth(0).click()
    expect(panel.button("rerun")).to_be_enabled()
    window.save()
    window.restart_kernel()
    expect(panel.root).to_have_attribute("data-state", "lost")
    expect(panel.button("rerun")).to_be_disabled()
    window.shot("lost", panel.root)
    # the widget manager does if it is ready before the output is drawn
    window.may_say("widget model not found")
    window.reload()
    output = window.output(2)
    table = output.locator("[data-xpm] table").first
    expect(table).to_be_visible()
    assert table.inner_text().count("Gated") == 4
    expect(output.get_by_text("Loading widget")).to_have_count(0)  # only then it says what is wrong
    expect(output.get_by_text("Error displaying widget")).to_be_hidden()
    assert window.panel(2).root.count() == 0
    window.shot("restarted", output)


@only_lab
def test_a_kernel_that_does_not_answer_makes_buttons_grey(window: Window) -> None:
    window.start(FOUR, "xp", "os.getpid()")
    window.run(1)
    window.run(2)
    kernel = int(window.run(3).inner_text().split()[-1])
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(2)
    panel.rows().nth(0).click()
    os.kill(kernel, signal.SIGSTOP)
    try:
        clicked = window.page.evaluate("() => performance.now()")
        panel.button("cancel").click()
        expect(panel.root).to_have_attribute("data-state", "lost")
        expect(panel.button("cancel")).to_be_disabled()
        expect(panel.root).to_contain_text("the kernel does not answer")
        # an act is dropped after five seconds: that is the promise
        window.page.wait_for_function("since => performance.now() > since + 5500", arg=clicked)
    finally:
        os.kill(kernel, signal.SIGCONT)
    expect(panel.root).to_have_attribute("data-state", "live")
    expect(panel.button("cancel")).to_be_enabled()
    assert panel.states()[:2] == ["running", "running"]  # the click came too late
    panel.button("cancel").click()
    expect(panel.rows("error")).to_have_count(1)


SAVE_STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"


def save(window: Window, *, state: bool) -> None:
    """Save the notebook, with the state of its widgets or without (as by default)."""
    if state:
        window.execute(SAVE_STATE)
        window.page.wait_for_function(
            "command => window.jupyterapp.commands.isToggled(command)", arg=SAVE_STATE
        )
    window.save()
    assert bool(window.saved().metadata.get("widgets")) is state


def export(window: Window, name: str, *options: str) -> Path:
    """Export the notebook as it was saved."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "nbconvert",
            "--to",
            "html",
            "--output",
            name,
            *options,
            "test.ipynb",
        ],
        cwd=window.folder,
        check=True,
        capture_output=True,
    )
    return window.folder / f"{name}.html"


@only_lab
@pytest.mark.parametrize("state", [False, True], ids=["stateless", "with state"])
def test_exported_pages_are_readable_without_scripts(window: Window, state: bool) -> None:
    window.let("open-0", "open-1", "open-2", "open-3")
    window.start(FOUR, "xp.wait()", "xp.table('loss')")
    for cell in (1, 2, 3):
        window.run(cell)
    save(window, state=state)
    page = export(window, "exported")
    context = window.context.browser.new_context(java_script_enabled=False, offline=True)
    try:
        opened = context.new_page()
        opened.goto(page.as_uri())
        tables = opened.locator("table:visible")
        texts = "\n".join(tables.all_inner_texts())
        assert texts.count("Gated") >= 4
        assert texts.count("done") >= 8  # in the panel's twin and in the table
        assert "3.25" in texts
    finally:
        context.close()


THOUSAND = """
xp = start("many", run_mode=RunMode.DRY_RUN)
for n in range(1000):
    Gated.C(n=tag(n), gates=Path.cwd()).submit()
"""


@only_lab
def test_a_notebook_with_a_thousand_jobs_stays_small(window: Window) -> None:
    window.start(THOUSAND, "xp")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.rows().first).to_be_visible()
    assert panel.root.evaluate("root => root.querySelectorAll('*').length") < 300
    save(window, state=True)
    assert "snapshot" in str(window.saved().metadata["widgets"])
    assert (window.jupyter.root / window.path).stat().st_size < 200_000
