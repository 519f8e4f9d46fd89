"""Text that would be a script, an order to a terminal or a mirror is text, wherever it shows."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Window, only_lab

pytestmark = pytest.mark.slow

NASTY = r"""
NASTY = (
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
    "<svg onload='window.pwned = 3'></svg>\"'><b>bold</b> javascript:window.pwned=4 {{7*7}} ${7*7}"
)
ODD = "\x1b[31mred\x1b[0m \u202eevil\u202c \x00 \ud83d \u2028 \t"


class Nasty(Task):
    text: Param[str]
    fails: Param[bool] = False

    def execute(self):
        import sys

        print("x" * 10_000_000)
        print(self.text)
        print(self.text, file=sys.stderr)
        sys.stdout.write("one\rtwo\n")
        log_metrics({self.text[:60]: 1.0}, step=0)
        progress(0.5, desc=self.text)
        if self.fails:
            raise ValueError(self.text)
        return self.text


def said():
    print(NASTY)
    print(ODD)
    raise RuntimeError(NASTY)


xp = start("nasty")
jobs = [
    Nasty.C(text=text, fails=fails).tag("kind", text).tag(NASTY[:40], str(number)).submit()
    for number, text in enumerate([NASTY, "plain", ODD.replace("\x00", "").replace("\ud83d", "")])
    for fails in (False, True)
]
for job in jobs:
    job.on_completed(said)
"""

SAFE = "() => window.pwned === undefined"
STRANGERS = """root => [...root.querySelectorAll(
  'script, b, img:not([src^="data:image/"]), iframe, object, embed, a[href^="javascript:"], [onerror], [onload]'
)].map(node => node.outerHTML.slice(0, 100))"""


@only_lab
def test_nothing_of_a_users_text_is_executed(window: Window) -> None:
    window.start(
        NASTY, "xp.wait()", "xp.table()", "jobs[0]", "xp.jobs[1]", "jobs[0] - jobs[2]", "xp.plan()"
    )
    for cell in range(1, 8):
        window.run(cell)
    panel = window.panel(2)
    expect(panel.root).to_have_attribute("data-state", "done")
    expect(panel.rows()).to_have_count(6)
    expect(panel.rows("error")).to_have_count(3)
    for row in range(6):
        panel.rows().nth(row).dblclick()
        drawer = panel.root.locator(".xpm-drawer")
        for name in ("Log", "Parameters", "Callbacks", "Details"):
            drawer.get_by_role("tab", name=name).click()
            if name == "Log":
                expect(panel.root.locator(".xpm-log")).to_contain_text("two")
            assert window.page.evaluate(SAFE)
    panel.rows().nth(0).dblclick()
    log = panel.root.locator(".xpm-log")
    drawer.get_by_role("tab", name="Log").click()
    expect(log).to_contain_text("<script>window.pwned = 1</script>")
    assert "onetwo" not in log.inner_text()
    window.shot("nasty", panel.root)
    panel.rows().nth(2).click(modifiers=["Control"])
    panel.button("diff").click()
    expect(panel.root.locator(".xpm-diff")).to_be_visible()
    for name in ("graph", "timeline", "curves", "results"):
        panel.tab(name).click()
        expect(panel.tab(name)).to_have_attribute("aria-selected", "true")
    expect(panel.root.locator(".xpm-results table")).to_contain_text("<script>")
    for cell in range(2, 8):
        found = window.output(cell).evaluate(STRANGERS)
        assert found == [], (cell, found)
        assert window.spilled(window.output(cell)) == []
    assert window.page.evaluate(SAFE)


@only_lab
def test_malformed_messages_change_nothing(window: Window) -> None:
    """Whatever a page sends that is no message of ours is dropped, and the panel lives on."""
    window.start(
        "xp = start('quiet', slots=1)\nruns = [Gated.C(n=n, gates=Path.cwd()).submit() for n in range(2)]",
        "xp",
        "from xpm_nb.notebook import bridge\nbridge.current().live(xp).dropped",
    )  # fmt: skip
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(1)
    job = panel.rows().first.get_attribute("data-id")
    window.page.evaluate(SEND_ALL, job)
    expect(panel.root).to_have_attribute("data-state", "live")
    # an answer to a well-formed message says that those before it were dealt with
    panel.rows().nth(1).click()
    panel.button("cancel").click()
    expect(panel.rows("error")).to_have_count(1)
    assert panel.states() == ["running", "error"]
    assert int(window.run(3).inner_text().split()[-1]) >= 14


# Over the comm of the panel itself, as a front-end with evil intentions would.
SEND_ALL = """async job => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const comms = (await kernel.requestCommInfo({target_name: "jupyter.widget"})).content.comms;
  const now = Date.now() / 1000;
  const bad = [
    null, 1, "cancel", [], {}, {do: "cancel"}, {do: "cancel", id: 1}, {do: "erase", id: 1, at: now},
    {do: "cancel", id: 1, at: now, jobs: job}, {do: "cancel", id: 1, at: now, jobs: [7]},
    {do: "cancel", id: 1, at: now, jobs: [null, job]}, {do: "cancel", id: "1", at: now, jobs: [job]},
    {do: "cancel", id: 1, at: "now", jobs: [job]}, {do: "cancel", id: 1, at: now, jobs: [job], more: 1},
    {do: "cancel", id: 1, at: now, jobs: Array(20000).fill(job)}, {do: "cancel", id: -1, at: NaN, jobs: [job]},
    {do: "watch", id: 2, at: now, view: "x".repeat(1000), log: job}, {do: "__class__", id: 3, at: now},
  ];
  for (const id of Object.keys(comms)) {
    const comm = kernel.hasComm?.(id) ? kernel._comms.get(id) : null;
    if (!comm) continue;
    for (const content of bad) await comm.send({method: "custom", content}).done?.catch?.(() => 0);
    await comm.send({method: "update", state: {snapshot: {v: 1, seq: 999, rows: []}, uid: "x"}}).done?.catch?.(() => 0);
  }
}"""
