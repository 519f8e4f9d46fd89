"""The config widget: a tree to read, a form to edit, the way to a job."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Window, only_lab
from tests.browser.test_panel import hurry, was_hurried

pytestmark = pytest.mark.slow

LEARN = """
from enum import Enum
from typing import Literal, Optional


class Kind(Enum):
    SGD = 1
    ADAM = 2


class Model(Config):
    hidden: Param[int] = 8
    activation: Param[Literal["relu", "tanh"]] = "relu"


class Learn(Task):
    model: Param[Model]
    rate: Param[float]
    kind: Param[Kind] = Kind.SGD
    shuffle: Param[bool] = False
    name: Param[str] = "first"
    limit: Param[Optional[int]] = None
    notes: Meta[str] = ""

    def execute(self):
        print("learns with", self.rate, self.model.hidden, self.kind, self.shuffle, self.name)
        return self.model.hidden


xp = start("forms")
learn = Learn.C(model=Model.C(), rate=0.1)
"""


def test_edit_and_submit(window: Window) -> None:
    window.start(
        LEARN, "form = widget(learn)\nform", "form.config.rate, form.config.model.hidden", "xp"
    )
    window.run(1)
    window.run(2)
    form = window.output(2).locator(".xpm-form")
    identifier = form.locator("button.xpm-id").first
    fate = form.locator(".xpm-fate")
    expect(fate).to_have_attribute("data-kind", "new")
    before = identifier.get_attribute("data-full")
    assert form.locator("[data-path]").count() == 0
    window.shot("config", form)

    form.locator('[data-act="edit"]').click()
    for path, text in (("limit", "None"), ("notes", "''")):
        expect(form.locator(f'[data-path="{path}"]')).to_have_attribute("placeholder", text)
    hidden = form.locator('[data-path="model.hidden"]')
    hidden.fill("32")
    hidden.press("Tab")
    expect(identifier).not_to_have_attribute("data-full", str(before))
    second = identifier.get_attribute("data-full")
    # errors stand beside the field; nothing can be submitted, and the identifier stays
    rate = form.locator('[data-path="rate"]')
    rate.fill("quick")
    rate.press("Tab")
    expect(form.locator('[data-error-for="rate"]')).to_be_visible()
    expect(form.locator('[data-act="submit"]')).to_be_disabled()
    assert identifier.get_attribute("data-full") == second
    window.shot("config-error", form)
    rate.fill("1e-3")
    rate.press("Tab")
    expect(form.locator("[data-error-for]")).to_have_count(0)
    form.locator('[data-path="kind"]').select_option("ADAM")
    form.locator('[data-path="shuffle"]').check()
    form.locator('[data-path="model.activation"]').select_option("tanh")
    form.locator('[data-path="name"]').fill("<b>second</b>")
    form.locator('[data-path="name"]').press("Tab")
    expect(form.locator('[data-act="submit"]')).to_be_enabled()
    assert window.spilled(form) == []
    window.shot("config-edit", form)

    assert "(0.001, 32)" in window.run(3).inner_text()
    form.locator('[data-act="submit"]').click()
    expect(fate).to_have_attribute("data-kind", "computed")
    window.run(4)
    panel = window.panel(4)
    expect(panel.rows("done")).to_have_count(1)
    shown = str(form.locator("button.xpm-id").first.get_attribute("data-full"))
    assert str(panel.rows().first.get_attribute("data-id")) == shown[:12]
    expect(form.locator("[data-path]")).to_have_count(0)  # sealed
    out = next(window.workspace.glob("jobs/forms.learn/*/learn.out")).read_text()
    assert out.split("\n")[0] == "learns with 0.001 32 Kind.ADAM True <b>second</b>"


@only_lab
def test_the_fate_follows_edits_and_jobs(window: Window) -> None:
    window.start(
        LEARN.replace("rate=0.1)", "rate=0.1)\nLearn.C(model=Model.C(), rate=0.5).submit()\nxp.wait()"),
        "learn",
    )  # fmt: skip
    window.run(1)
    window.run(2)
    form = window.output(2).locator(".xpm-form")
    fate = form.locator(".xpm-fate")
    expect(fate).to_have_attribute("data-kind", "new")
    form.locator('[data-act="edit"]').click()
    rate = form.locator('[data-path="rate"]')
    rate.fill("0.5")
    rate.press("Tab")
    expect(fate).to_have_attribute("data-kind", "computed")
    form.locator('[data-path="notes"]').fill("does not count")
    form.locator('[data-path="notes"]').press("Tab")
    expect(fate).to_have_attribute("data-kind", "computed")
    form.locator('[data-act="reset"]').click()
    expect(fate).to_have_attribute("data-kind", "new")
    expect(rate).to_have_value(re.compile(r"0\.1"))


@only_lab
def test_edits_are_taken_while_a_cell_runs(window: Window) -> None:
    window.start(LEARN, "learn", "while not Path('stop').exists(): pass")
    window.run(1)
    window.run(2)
    window.begin(3)
    form = window.output(2).locator(".xpm-form")
    before = str(form.locator("button.xpm-id").first.get_attribute("data-full"))
    form.locator('[data-act="edit"]').click()
    hidden = form.locator('[data-path="model.hidden"]')
    hidden.fill("64")
    hidden.press("Tab")
    expect(form.locator("button.xpm-id").first).not_to_have_attribute("data-full", before)
    assert window.running(3)
    window.let("stop")
    window.ended(3)


@only_lab
def test_a_cell_that_is_run_again_has_one_form(window: Window) -> None:
    window.start(LEARN, "learn", "import gc\nfrom ipywidgets import Widget")
    window.run(1)
    for _ in range(2):
        window.run(2)
        expect(window.output(2).locator(".xpm-form")).to_have_count(1)
    expect(window.output(2).locator("[data-xpm]")).to_be_hidden()


@only_lab
def test_the_form_follows_what_is_typed(window: Window) -> None:
    window.start(LEARN, "form = widget(learn)\nform", "form.config.rate, form.config.model.hidden")
    window.run(1)
    window.run(2)
    form = window.output(2).locator(".xpm-form")
    identifier, fate = form.locator("button.xpm-id").first, form.locator(".xpm-fate")
    before = str(identifier.get_attribute("data-full"))
    form.locator('[data-act="edit"]').click()
    rate = form.locator('[data-path="rate"]')
    rate.fill("0.25")
    expect(rate).to_be_focused()
    expect(identifier).not_to_have_attribute("data-full", before)
    rate.fill("1.")  # what the kernel makes of it does not get into the field meanwhile
    rate.fill("much")
    expect(form.locator('[data-error-for="rate"]')).to_be_visible()
    expect(fate).to_contain_text("to be put right")
    expect(identifier).to_have_attribute("data-stale", "")
    expect(rate).to_have_value("much")
    rate.press_sequentially("x")
    rate.press("Escape")  # as it was before
    expect(form.locator("[data-error-for]")).to_have_count(0)
    expect(fate).to_have_attribute("data-kind", "new")
    expect(identifier).to_have_attribute("data-full", before)
    expect(rate).to_have_value("0.1")


@only_lab
def test_a_form_without_a_kernel_says_so(window: Window) -> None:
    window.start(LEARN, "learn")
    window.run(1)
    window.run(2)
    form = window.output(2).locator(".xpm-form")
    expect(form.locator('[data-act="submit"]')).to_be_enabled()
    window.page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    expect(form.locator('[data-act="submit"]')).to_be_disabled()
    expect(form.locator(".xpm-form-note")).to_contain_text("kernel")


WIDE = """
Wide = type("Wide", (Config,), {"__annotations__": {f"p{n}": Param[int] for n in range(200)}, "__module__": "__main__"})
"""


@only_lab
def test_many_parameters_are_folded(window: Window) -> None:
    window.start(WIDE, "Wide.C(**{f'p{n}': n for n in range(200)})")
    window.run(1)
    window.run(2)
    form = window.output(2).locator(".xpm-form")
    lines, rest = form.locator(".xpm-tree tbody tr"), form.locator('[data-act="rest"]')
    expect(lines).to_have_count(60)
    expect(rest).to_have_text("… and 140 more lines")
    rest.click()
    expect(lines).to_have_count(200)
    expect(rest).to_be_hidden()


@only_lab
def test_a_form_that_took_too_long_to_load_hears_the_kernel_again(window: Window) -> None:
    hurry(window)
    window.start(LEARN, "learn")
    window.run(1)
    window.run(2)
    form = window.output(2).locator(".xpm-form")
    form.locator('[data-act="edit"]').click()
    before = str(form.locator("button.xpm-id").first.get_attribute("data-full"))
    rate = form.locator('[data-path="rate"]')
    rate.fill("0.25")
    rate.press("Tab")
    expect(form.locator("button.xpm-id").first).not_to_have_attribute("data-full", before)
    expect(form.locator(".xpm-form-note")).to_be_hidden()
    expect(form.locator('[data-act="submit"]')).to_be_enabled()
    assert was_hurried(window)
