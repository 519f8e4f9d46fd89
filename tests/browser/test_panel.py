"""The live panel in a real page: rows that move, acts, filters, logs, graph, other tabs."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Panel, Window, only_lab

pytestmark = pytest.mark.slow

FOUR = """
xp = start("live", slots=2)
runs = [Gated.C(n=tag(n), gates=Path.cwd()).submit() for n in range(4)]
"""


def four(window: Window) -> Panel:
    """Submit four gated jobs, two of which run, and show them."""
    window.start(FOUR, "xp")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.rows()).to_have_count(4)
    expect(panel.rows("running")).to_have_count(2)
    return panel


def test_rows_come_alive(window: Window) -> None:
    panel = four(window)
    expect(panel.root).to_have_attribute("data-state", "live")
    expect(panel.rows("ready")).to_have_count(2)
    expect(panel.rows().nth(0)).to_contain_text("at the gate")
    expect(panel.root.locator('[data-count="running"]')).to_have_text("2 running")
    expect(window.output(2).locator("[data-xpm]")).to_be_hidden()  # the static twin
    assert window.spilled(panel.root) == []
    window.shot("running", panel.root)

    window.let("open-1")
    expect(panel.rows("done")).to_have_count(1)
    expect(panel.rows().nth(1)).to_have_attribute("data-state", "done")
    expect(panel.rows().nth(1)).to_contain_text("2.75")  # its last loss
    expect(panel.rows("running")).to_have_count(2)  # its slot is another's
    window.let("open")
    expect(panel.rows("done")).to_have_count(4)
    expect(panel.root).to_have_attribute("data-state", "done")
    expect(panel.root.locator('[data-count="done"]')).to_have_text("4 done")
    expect(panel.root.locator('[data-count="running"]')).to_be_hidden()
    figures = panel.rows().locator('[data-key="metric"]')
    expect(figures).to_have_text(["2.50", "2.75", "3.00", "3.25"])  # below each other
    assert window.spilled(panel.root) == []
    window.shot("done", panel.root)


def test_cancel_while_a_cell_waits(window: Window) -> None:
    window.start(FOUR, "xp.wait()")
    window.run(1)
    window.begin(2)
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(2)
    panel.rows().nth(0).click()
    panel.button("cancel").click()
    expect(panel.rows().nth(0)).to_have_attribute("data-state", "error")
    expect(panel.rows().nth(0)).to_contain_text("cancelled")
    assert window.running(2)
    window.let("open")
    window.ended(2)
    assert panel.states() == ["error", "done", "done", "done"]
    assert "xpm-live" not in window.text(2)


def test_cancel_while_a_cell_computes(window: Window) -> None:
    window.start(FOUR, "xp", "while not Path('stop').exists(): sum(range(10_000))")
    window.run(1)
    window.run(2)
    window.begin(3)
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(2)
    panel.rows().nth(1).click()
    panel.button("cancel").click()
    expect(panel.rows().nth(1)).to_have_attribute("data-state", "error")
    assert window.running(3)
    window.let("stop")
    window.ended(3)


@only_lab
def test_cancel_while_a_cell_awaits(window: Window) -> None:
    window.start(FOUR, "await xp")
    window.run(1)
    window.begin(2)
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(2)
    panel.rows().nth(0).click()
    panel.button("cancel").click()
    expect(panel.rows().nth(0)).to_have_attribute("data-state", "error")
    assert window.running(2)
    window.let("open")
    window.ended(2)
    assert panel.states() == ["error", "done", "done", "done"]


@only_lab
def test_retry_and_rerun(window: Window) -> None:
    window.folder.joinpath("fail-2").touch()
    window.let("open")
    window.start(FOUR, "xp")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.root).to_have_attribute("data-state", "done")
    assert panel.states() == ["done", "done", "error", "done"]
    expect(panel.rows().nth(2)).to_contain_text("number 2 was told to fail")
    panel.rows().nth(2).click()
    expect(panel.button("cancel")).to_be_disabled()
    expect(panel.button("rerun")).to_be_disabled()
    window.folder.joinpath("fail-2").unlink()
    panel.button("retry").click()
    expect(panel.rows("done")).to_have_count(4)
    expect(panel.rows().nth(2)).to_contain_text("attempt 2")

    panel.rows().nth(0).click()
    panel.button("rerun").click()
    expect(panel.rows().nth(0)).not_to_contain_text("attempt 2")  # it asks first
    panel.button("confirm").click()
    expect(panel.rows().nth(0)).to_contain_text("attempt 2")
    expect(panel.rows("done")).to_have_count(4)


@only_lab
def test_a_selection_is_cancelled_as_one(window: Window) -> None:
    panel = four(window)
    panel.rows().nth(1).click()
    panel.rows().nth(3).click(modifiers=["Shift"])
    panel.rows().nth(2).click(modifiers=["Control"])
    expect(panel.root.locator('[role=row][aria-selected="true"]')).to_have_count(2)
    expect(panel.button("cancel")).to_have_text("cancel 2")
    panel.button("cancel").click()
    expect(panel.rows("error")).to_have_count(2)
    assert panel.states() == ["running", "error", "running", "error"]


@only_lab
def test_filter_and_sort(window: Window) -> None:
    panel = four(window)
    search = panel.root.locator("input[type=search]").first
    search.fill("n=3")
    expect(panel.rows()).to_have_count(1)
    expect(panel.rows().nth(0)).to_have_attribute("data-state", "ready")
    search.fill("no such thing")
    expect(panel.rows()).to_have_count(0)
    search.fill("")
    expect(panel.rows()).to_have_count(4)
    panel.root.locator('[data-count="running"]').click()
    expect(panel.rows()).to_have_count(2)
    window.let("open-0")  # what is filtered stays filtered while jobs move
    expect(panel.root.locator('[data-count="done"]')).to_have_text("1 done")
    expect(panel.rows("running")).to_have_count(2)
    panel.root.locator('[data-count="running"]').click()
    expect(panel.rows()).to_have_count(4)

    first = panel.rows().nth(0).get_attribute("data-id")
    header = panel.root.locator('[role=columnheader][data-key="tag:n"] button')
    header.click()
    header.click()
    sorted_by = panel.root.locator('[role=columnheader][aria-sort="descending"]')
    expect(sorted_by).to_have_attribute("data-key", "tag:n")
    place = panel.row(str(first)).get_attribute("aria-rowindex")
    assert place == "5"  # the last: the header is the first


def test_log_tail_while_a_cell_waits(window: Window) -> None:
    window.start(FOUR, "xp.wait()")
    window.run(1)
    window.begin(2)
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(2)
    panel.rows().nth(0).dblclick()
    log = panel.root.locator(".xpm-log")
    expect(log).to_contain_text("number 0 begins")
    window.shot("log", panel.root)
    assert "ends" not in log.inner_text()
    window.let("open-0")
    expect(log).to_contain_text("number 0 ends")
    assert window.running(2)
    assert window.spilled(panel.root) == []
    window.let("open")
    window.ended(2)


CHAIN = """
class First(Task):
    n: Param[int]

    def execute(self):
        return self.n


class Second(Task):
    first: Param[First]
    n: Param[int]

    def execute(self):
        return self.n


xp = start("chain")
firsts = [First.C(n=n).submit() for n in range(2)]
seconds = [Second.C(first=firsts[n // 2], n=n).submit() for n in range(4)]
"""


@only_lab
def test_graph_click_leads_to_the_row(window: Window) -> None:
    window.start(CHAIN, "xp.wait()")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.rows("done")).to_have_count(6)
    panel.tab("graph").click()
    nodes = panel.root.locator("[data-node]:visible")
    expect(nodes).to_have_count(6)
    window.shot("graph", panel.root)
    identifier = str(panel.root.locator("[data-node]:visible").nth(3).get_attribute("data-node"))
    nodes.nth(3).click()
    expect(panel.row(identifier)).to_have_attribute("aria-selected", "true")
    expect(panel.root.locator(".xpm-drawer")).to_contain_text(identifier[:8])
    assert window.spilled(panel.root) == []

    panel.root.locator('.xpm-graph [data-value="task"]').click()
    expect(nodes).to_have_count(2)
    nodes.nth(1).click()
    expect(panel.tab("jobs")).to_have_attribute("aria-selected", "true")
    expect(panel.rows()).to_have_count(4)  # those of the second task


@only_lab
def test_timeline_curves_and_results(window: Window) -> None:
    panel = four(window)
    panel.tab("timeline").click()
    expect(panel.root.locator(".xpm-timeline canvas")).to_be_visible()
    window.shot("timeline", panel.root)
    panel.tab("curves").click()
    chart = panel.root.locator('.xpm-chart[data-metric="loss"]')
    expect(chart).to_be_visible()
    expect(chart.locator(".xpm-lines [data-id]").first).to_be_attached()
    window.let("open")
    expect(panel.root).to_have_attribute("data-state", "done")
    # now each has its four steps
    path = chart.locator("path[data-id]").first
    expect(path).to_have_attribute("d", re.compile(r"M[^L]*(L[^L]*){3}"))
    window.shot("curves", panel.root)
    panel.tab("results").click()
    results = panel.root.locator(".xpm-results table tbody tr")
    expect(results).to_have_count(4)
    expect(results.nth(3)).to_contain_text("3.25")
    window.shot("results", panel.root)
    assert window.spilled(panel.root) == []


@only_lab
def test_two_selected_rows_are_compared(window: Window) -> None:
    panel = four(window)
    panel.rows().nth(0).click()
    panel.rows().nth(3).click(modifiers=["Control"])
    panel.button("diff").click()
    difference = panel.root.locator(".xpm-diff")
    expect(difference.locator("tbody tr")).to_have_count(1)
    expect(difference.locator("tbody tr")).to_contain_text("n")
    cells = difference.locator("tbody tr td")
    assert cells.all_inner_texts()[:2] == ["0", "3"]


@only_lab
def test_parameters_and_way_back(window: Window) -> None:
    panel = four(window)
    panel.rows().nth(2).dblclick()
    drawer = panel.root.locator(".xpm-drawer")
    drawer.get_by_role("tab", name="Parameters").click()
    expect(drawer.locator(".xpm-params")).to_contain_text("n")
    drawer.get_by_role("tab", name="Details").click()
    expect(drawer).to_contain_text(str(window.workspace / "jobs" / "live.gated"))
    expect(panel.root.locator(".xpm-back")).to_have_text(
        f'from xpm_nb import start; xp = start("live", workspace="{window.workspace}")'
    )


@only_lab
def test_two_views_of_one_experiment(window: Window) -> None:
    window.start(FOUR, "xp", "xp")
    for cell in (1, 2, 3):
        window.run(cell)
    one, two = window.panel(2), window.panel(3)
    for panel in (one, two):
        expect(panel.rows("running")).to_have_count(2)
    uids = {panel.root.get_attribute("data-uid") for panel in (one, two)}
    assert len(uids) == 1
    one.rows().nth(0).click()
    expect(two.root.locator('[aria-selected="true"][data-id]')).to_have_count(0)
    one.button("cancel").click()
    for panel in (one, two):
        expect(panel.rows("error")).to_have_count(1)
    two.rows().nth(2).dblclick()
    expect(two.root.locator(".xpm-log")).to_contain_text("number 2 begins")
    expect(one.root.locator(".xpm-log")).not_to_contain_text("number 2")
    # one goes, the other lives on
    window.output(2)
    window.page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2 }"
    )
    window.execute("notebook:clear-cell-output")
    expect(one.root).to_have_count(0)
    window.let("open")
    expect(two.rows("done")).to_have_count(3)
    expect(two.root).to_have_attribute("data-state", "done")


CALLBACKS = """
from ipywidgets import Label

label = Label("nothing yet")
heard = []


def told():
    heard.append(1)
    print("SAID one")
    label.value = f"{len(heard)} heard"
    print("SAID two")


def raises():
    while not Path("late").exists():
        time.sleep(0.02)
    print("SAID before")
    raise RuntimeError("SAID trouble")


xp = start("callbacks")
runs = [Gated.C(n=n, gates=Path.cwd()).submit() for n in range(2)]
runs[0].on_completed(told)
runs[1].on_completed(raises)
"""


def test_callbacks(window: Window) -> None:
    window.start(CALLBACKS, "label", "xp", "while not Path('stop').exists(): pass\nprint('end')")
    for cell in (1, 2, 3):
        window.run(cell)
    panel = window.panel(3)
    expect(panel.rows("running")).to_have_count(2)
    window.begin(4)
    window.let("open")
    # After the end, with nothing to tell, there is no column for news any more.
    expect(panel.root).to_have_attribute("data-state", "done")
    expect(panel.rows().nth(1).locator('[data-key="progress"]')).to_have_count(0)
    window.let("late")
    expect(panel.rows().nth(1)).to_contain_text("callback failed")
    expect(window.output(2).locator(".widget-label")).to_have_text("1 heard")
    panel.rows().nth(0).dblclick()
    drawer = panel.root.locator(".xpm-drawer")
    drawer.get_by_role("tab", name="Callbacks").click()
    expect(drawer).to_contain_text(re.compile(r"SAID one\s+SAID two"))
    panel.rows().nth(1).dblclick()
    expect(drawer).to_contain_text("SAID before")
    expect(drawer).to_contain_text("RuntimeError: SAID trouble")
    window.shot("callbacks", panel.root)
    assert window.running(4)
    window.let("stop")
    window.ended(4)
    assert window.text(4).split() == ["end"]
    assert "SAID" not in window.text(1) + window.text(2)


NAMED = """
class Named(Task):
    name: Param[str]

    def execute(self):
        return self.name


xp = start("named")
runs = [Named.C(name=tag(f"{n} " + "long name " * 3)).submit() for n in range(3)]
xp.wait()
"""


@only_lab
def test_columns_are_right_from_the_beginning(window: Window) -> None:
    """That they are measured again shows nothing else."""
    window.start(NAMED)
    window.run(1)
    panel = window.panel(1)
    expect(panel.rows("done")).to_have_count(3)
    jobs = panel.root.locator(".xpm-jobs")
    expect(jobs).to_have_attribute("style", re.compile("--xpm-columns"))
    first = str(jobs.get_attribute("style"))
    window.page.set_viewport_size({"width": 700, "height": 1000})
    expect(jobs).not_to_have_attribute("style", first)
    window.page.set_viewport_size({"width": 1280, "height": 1000})
    expect(jobs).to_have_attribute("style", first)


REMARKS = """
class Keep(Task):
    made: Param[Gated]

    def execute(self):
        return 1


xp = start("remarks", slots=4)
pen = xp.token("pen", 1)
runs = [pen(1, Gated.C(n=n, gates=Path.cwd())).submit() for n in range(2)]
kept = Keep.C(made=runs[0]).submit()
"""


@only_lab
def test_rows_say_why_a_job_waits_and_what_is_to_be_thought_of_its_result(window: Window) -> None:
    window.start(REMARKS, "xp", "runs[0].job.disown('noise')")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    note = panel.root.get_by_role("note", name="remark")
    expect(panel.rows("ready")).to_contain_text("waits for token 'pen'")
    window.shot("waits", panel.root)
    panel.rows().nth(1).dblclick()
    expect(note).to_contain_text("waits for token 'pen'")
    window.let("open")
    expect(panel.root).to_have_attribute("data-state", "done")
    expect(note).to_have_count(0)
    window.run(3)
    panel = window.panel(2)
    expect(panel.rows().nth(0)).to_contain_text("disowned")
    expect(panel.rows().nth(2)).to_have_attribute("data-state", "done")
    expect(panel.rows().nth(2)).to_contain_text("bad input: Gated")
    panel.rows().nth(2).dblclick()
    expect(note).to_contain_text("was disowned (noise)")
    window.shot("bad-input", panel.root)


@only_lab
def test_reload_ext_keeps_everything(window: Window) -> None:
    window.start(
        FOUR, "xp", "before = (xp, threads())", "%reload_ext xpm_nb",
        "xp is before[0], start('live') is xp, threads() == before[1]", "xp.wait()",
    )  # fmt: skip
    window.run(1)
    window.page.evaluate(RUN_CODE, THREADS)
    for cell in (2, 3, 4):
        window.run(cell)
    assert window.run(5).inner_text().endswith("(True, True, True)")
    panel = window.panel(2)
    expect(panel.rows("running")).to_have_count(2)
    panel.rows().nth(0).click()
    panel.button("cancel").click()
    expect(panel.rows("error")).to_have_count(1)
    window.begin(6)
    window.let("open")
    expect(panel.rows("done")).to_have_count(3)
    expect(window.panel(6).rows("done")).to_have_count(3)
    window.ended(6)


THREADS = """
def threads():
    return sorted(t.ident for t in threading.enumerate() if t.name.startswith("xpm-"))
"""
RUN_CODE = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  await kernel.requestExecute({code}).done;
}"""


FAIL = """
def reach(values, at):
    secret_token = "do-not-show"
    return values[at]

class Reaches(Task):
    at: Param[int]

    def execute(self):
        values = [1, 2, 3]
        text = "<img src=x onerror=alert(1)>"
        return reach(values, self.at)

xp = start("failures", slots=2)
runs = [Reaches.C(at=tag(at)).submit() for at in (1, 7, 8)]
xp.wait()
"""


@only_lab
def test_where_a_job_failed(window: Window) -> None:
    window.start(FAIL, "xp")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.rows("error")).to_have_count(2)
    drawer = panel.root.locator(".xpm-drawer")
    failure = drawer.get_by_role("tab", name="Failure")
    panel.rows("done").first.click()
    expect(drawer.get_by_role("tab", name="Details")).to_be_visible()
    expect(failure).to_be_hidden()
    panel.rows("error").first.click()
    expect(failure).to_be_visible()
    failure.focus()
    window.page.keyboard.press("Enter")
    shown = drawer.get_by_role("tabpanel", name="Failure")
    expect(drawer.get_by_role("note")).to_have_text("IndexError: list index out of range")
    expect(shown).not_to_contain_text("out of range")  # which is said above
    frames = shown.locator("details")
    expect(frames).to_have_count(2)
    expect(frames.nth(1)).to_have_attribute("open", "")
    expect(frames.nth(1).locator("[aria-current=true]")).to_contain_text("return values[at]")
    expect(frames.nth(1).get_by_role("row", name="at 7")).to_be_visible()
    expect(shown).not_to_contain_text("do-not-show")
    expect(frames.nth(0)).not_to_have_attribute("open", "")
    window.page.keyboard.press("Tab")  # into the panel, then to the first frame
    window.page.keyboard.press("Tab")
    window.page.keyboard.press("Enter")
    expect(frames.nth(0)).to_have_attribute("open", "")
    expect(frames.nth(0)).to_contain_text("<img src=x onerror=alert(1)>")
    digits = panel.rows("error").first.get_attribute("data-id") or ""
    expect(shown.locator(".xpm-command")).to_have_text(f"%xpm debug {digits[:8]}")
    window.shot("failure", panel.root)
    # another one that failed: the same tab, its own frames; and one that did not
    panel.rows("error").nth(1).click()
    expect(frames.nth(1).get_by_role("row", name="at 8")).to_be_visible()
    panel.rows("done").first.click()
    expect(drawer.get_by_role("tabpanel", name="Log")).to_be_visible()
    expect(failure).to_be_hidden()
    assert window.spilled(panel.root) == []


HURRY = """{
  const timeout = AbortSignal.timeout;
  const over = {addEventListener: (_name, listener) => { window.late = true; listener(); }};
  AbortSignal.timeout = ms => ms === 2000 ? over : timeout.call(AbortSignal, ms);
}"""


def hurry(window: Window) -> None:
    """Have anywidget wait for no module, and let it say so; it does not always."""
    window.page.add_init_script(HURRY)
    window.may_say("Failed to initialize model")


def was_hurried(window: Window) -> bool:
    """Tell whether a module came too late for anywidget; otherwise a test shows nothing."""
    return bool(window.page.evaluate("window.late"))


@only_lab
def test_a_page_that_took_too_long_to_load_hears_the_kernel_again(window: Window) -> None:
    """anywidget waits two seconds for a module, here for none, and hands nothing on after that."""
    hurry(window)
    panel = four(window)
    window.let("open-0")
    expect(panel.rows("done")).to_have_count(1)
    expect(panel.root).to_have_attribute("data-state", "live")
    panel.rows("running").first.click()
    panel.button("cancel").click()
    expect(panel.rows("error")).to_have_count(1)
    assert was_hurried(window)


WIDE = """
class Wide(Task):
    n: Param[int]

    def execute(self):
        log_metrics({f"a figure, number {k}": 123456789.5 * (-1) ** k for k in range(6)}, step=0)


xp = start("wide")
for n in range(3):
    Wide.C(n=n).tag("n", n).tag("series", "of many measurements " + str(n)).submit()
xp.wait()
"""
# Of each row: what it is at the right edge, and whether its first cell is whole at the left one.
EDGES = """grid => { grid.scrollLeft = 1e6; const box = grid.getBoundingClientRect(); return [...grid.querySelectorAll("[role=row]")]
  .filter(row => row.offsetHeight).map(row => [
    row.getBoundingClientRect().right >= box.right - 1, row.firstElementChild.getBoundingClientRect().left >= box.left - 1,
    row.lastElementChild.getBoundingClientRect().right <= box.right + 1]); }"""
CUT = """root => [...root.querySelectorAll('[role=row][data-id] [data-key="metric"]')]
  .filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.textContent)"""


@only_lab
def test_rows_that_are_wider_than_the_panel_are_whole(window: Window) -> None:
    window.start(WIDE, "xp")
    window.run(1)
    window.run(2)
    panel = window.panel(2)
    expect(panel.rows("done")).to_have_count(3)
    panel.rows().nth(1).click()
    window.page.keyboard.press("Escape")
    grid = panel.root.locator(".xpm-grid")
    assert grid.evaluate("g => g.scrollWidth - g.clientWidth") > 60
    assert grid.evaluate(EDGES) == 4 * [[True, True, True]]
    window.shot("wide-end", panel.root)
    assert panel.root.evaluate(CUT) == []
