"""The same widgets in marimo, which asks an object for what shows it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import HARMLESS, LONG_MS, free_port, wait_for

pytestmark = pytest.mark.slow

# In a module of its own: what a job runs is found there.
TASKS = """
from pathlib import Path

from xpm_nb import Meta, Param, Task, log_metrics, progress


class Gated(Task):
    n: Param[int]
    gates: Meta[Path]

    def execute(self):
        import time

        print(f"number {self.n} begins", flush=True)
        progress(0.25, desc="at the gate")
        while not (self.gates / "open").exists():  # a job can only look again
            time.sleep(0.02)
        log_metrics({"loss": 2.5}, step=1)
"""

APP = """
import marimo

app = marimo.App()


@app.cell
def _():
    from pathlib import Path

    from gated import Gated
    from xpm_nb import start, tag

    xp = start("marimo", workspace=Path.cwd() / "xpm-workspace", slots=2)
    task = Gated.C(n=7, gates=Path.cwd())
    runs = [Gated.C(n=tag(n), gates=Path.cwd()).submit() for n in range(3)]
    return runs, task, xp


@app.cell
def _(xp):
    xp
    return


@app.cell
def _(task):
    task
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def marimo(tmp_path: Path) -> Iterator[str]:
    """Run the app as a page, and give its address."""
    (tmp_path / "gated.py").write_text(TASKS)
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    options = ["--headless", "--no-token", "--port", str(port)]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "PYTEST"))}
    with (tmp_path / "marimo.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "marimo", "run", "app.py", *options],
            cwd=tmp_path,
            env=env | {"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "marimo.log").read_text()
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"{address}/health", timeout=5).status == 200)
        return False

    try:
        wait_for(answers)
        yield address
    finally:
        (tmp_path / "open").touch()
        process.terminate()
        process.wait(120)


def test_panel_and_form(marimo: str, browser: Any, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(LONG_MS)
    errors: list[str] = []
    try:
        page = context.new_page()
        page.route(lambda url: not url.startswith(marimo), lambda route: route.abort())
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(marimo)
        panel = page.locator(".xpm-live")  # within a shadow of marimo's
        rows = panel.locator("[role=row][data-id]:visible")
        expect(rows).to_have_count(3, timeout=LONG_MS)
        expect(panel.locator('[data-id][data-state="running"]')).to_have_count(2)
        expect(panel).to_have_attribute("data-state", "live")
        rows.nth(2).click()
        panel.locator('[data-act="cancel"]').click()
        expect(rows.nth(2)).to_have_attribute("data-state", "error")
        rows.nth(0).dblclick()
        expect(panel.locator(".xpm-log")).to_contain_text("number 0 begins")
        (tmp_path / "open").touch()
        expect(panel.locator('[data-id][data-state="done"]:visible')).to_have_count(2)
        expect(panel).to_have_attribute("data-state", "done")

        form = page.locator(".xpm-form")
        identifier = form.locator("button.xpm-id").first
        before = str(identifier.get_attribute("data-full"))
        form.locator('[data-act="edit"]').click()
        field = form.locator('[data-path="n"]')
        field.fill("0")
        field.press("Tab")
        expect(identifier).not_to_have_attribute("data-full", before)
        expect(form.locator(".xpm-fate")).to_have_attribute("data-kind", "computed")
        assert [error for error in errors if not HARMLESS.search(error)] == []
        if shots := os.environ.get("XPM_TEST_SHOTS"):
            page.screenshot(path=Path(shots) / "marimo.png")
    finally:
        context.close()
