"""What the live panel costs: ``python tests/benchmarks/front.py [JOBS…]`` prints it.

For 100, 1,000 and 10,000 jobs of which 50 a second change, in a real JupyterLab page: how long
until the first row is there, messages and bytes a second to the page, the share of a processor
that the kernel and the page's main thread take, nodes of the document. Beside it, for 100 jobs, a
table of plain ipywidgets (a label, a bar, a word and a button a row), as one would write it.

The jobs are invented: their views change by the hand of a thread of the kernel. Everything from
there on is the real thing: publisher, protocol, widget, page. Figures, no assertions.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser.conftest import LONG_MS, Jupyter, Window, chromium

SIZES = (100, 1_000, 10_000)
CHANGES = 50  # a second
WATCH_S = 10  # for so long, messages are counted

# Runs in the kernel. The invented experiment offers just what the publisher asks of a real one.
INVENTED = f"""
import random, threading, time
from dataclasses import replace
from types import SimpleNamespace
from xpm_nb import RunMode
from xpm_nb.core.states import JobState
from xpm_nb.core.views import ExperimentView, JobView

CHANGES = {CHANGES}
RUNNING = 16


class Invented:
    name, namespace, slots, run_mode = "invented", "invented", RUNNING, RunMode.NORMAL
    workspace = SimpleNamespace(root="/nowhere/xpm-workspace")
    way_back = 'from xpm_nb import start; xp = start("invented")'
    jobs = ()  # nothing to act upon

    def __init__(self, count):
        self.random = random.Random(count)
        now = time.time()
        self.views = {{}}
        for n in range(count):
            digits = f"{{self.random.getrandbits(256):064x}}"
            key = f"invented.train/{{digits}}"
            self.views[key] = JobView(
                key=key, identifier=digits, type_name="invented.train", name="train", task="Train",
                state=JobState.WAITING, submitted=now,
                tags=(("rate", f"{{10.0 ** -(n % 5):g}}"), ("model", "abc"[n % 3]), ("seed", str(n))),
            )
        self.waiting = list(self.views)
        self.running = []
        for _ in range(RUNNING):
            self.begin(now)

    def begin(self, now):
        if self.waiting:
            key = self.waiting.pop(0)
            self.views[key] = replace(
                self.views[key], state=JobState.RUNNING, started=now, progress=0.0
            )
            self.running.append(key)
            return key

    def change(self):
        '''One job goes on, or ends and lets another begin; give what changed.'''
        if not self.running:
            return []
        now, key = time.time(), self.random.choice(self.running)
        view = self.views[key]
        share = view.progress + 0.02
        if share < 1:
            loss = (("loss", self.random.random()), ("accuracy", share))
            self.views[key] = replace(view, progress=share, metrics=loss)
            return [key]
        self.running.remove(key)
        self.views[key] = replace(view, state=JobState.DONE, progress=1.0, ended=now)
        return [key, self.begin(now)]

    def view(self):
        return ExperimentView(self.name, "/nowhere", self.namespace, tuple(self.views.values()))

    def peek(self, keys):
        return tuple(self.views[key] for key in keys if key in self.views)

    def table(self, *args, **options):
        raise NotImplementedError


def simulate(change, told):
    due = time.monotonic()
    while True:
        due += 1 / CHANGES
        time.sleep(max(0.0, due - time.monotonic()))
        told([key for key in change() if key])
"""
PANEL = """
from xpm_nb.notebook import bridge
invented = Invented(COUNT)
bridge.current().draw(invented, get_ipython())
threading.Thread(target=simulate, args=(invented.change, bridge.current().touch), daemon=True).start()
"""
PLAIN = """
import ipywidgets as w
invented = Invented(COUNT)


class Row:
    def __init__(self, view):
        self.parts = (
            w.Label(f"Train {view.identifier[:8]}"), w.Label(dict(view.tags)["rate"]),
            w.Label(view.state.value), w.FloatProgress(max=1.0), w.Label(), w.Button(description="cancel"),
        )
        self.box = w.HBox(self.parts)

    def show(self, view):
        self.parts[2].value = view.state.value
        self.parts[3].value = view.progress or 0.0
        self.parts[4].value = ", ".join(f"{k}={v:.4f}" for k, v in view.metrics)


rows = {key: Row(view) for key, view in invented.views.items()}


def told(keys):
    for key in keys:
        rows[key].show(invented.views[key])


display(w.VBox([row.box for row in rows.values()]))
threading.Thread(target=simulate, args=(invented.change, told), daemon=True).start()
"""
SHARE = """
import psutil
_process = psutil.Process()
def _spent():
    times = _process.cpu_times()
    return times.user + times.system
print(_spent())
"""

# The time from the cell's start to the frame in which its first row can be seen.
FIRST_ROW = """async ([n, what]) => {
  const begun = performance.now();
  const book = window.jupyterapp.shell.currentWidget.content;
  const seen = new Promise(resolve => {
    const look = () => document.querySelector(what)?.getBoundingClientRect().height
      ? resolve(performance.now() - begun) : requestAnimationFrame(look);
    look();
  });
  book.activeCellIndex = n;
  const ran = window.jupyterapp.commands.execute("notebook:run-cell");
  const first = await seen;
  await ran;
  return [first / 1000, (performance.now() - begun) / 1000];
}"""
NODES = "what => document.querySelector(what).querySelectorAll('*').length"


class Count:
    """What comes over the page's web sockets."""

    def __init__(self, page: Any) -> None:
        self.messages = self.bytes = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self.take))

    def take(self, payload: Any) -> None:
        self.messages += 1
        self.bytes += len(payload)

    def now(self) -> tuple[int, int]:
        return self.messages, self.bytes


def measure(jupyter: Jupyter, browser: Any, kind: str, count: int) -> dict[str, float]:
    """Show so many jobs, watch for a while, and give the figures."""
    folder = jupyter.root / f"{kind}-{count}"
    folder.mkdir()
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(4 * LONG_MS)
    window = Window("lab", jupyter, context, folder)
    counted = Count(window.page)
    code, what, root = {
        "panel": (PANEL, "[role=row][data-id]", ".xpm-live"),
        "ipywidgets": (PLAIN, ".widget-hbox .widget-label", ".widget-vbox"),
    }[kind]
    try:
        window.write(
            "%load_ext xpm_nb\nimport anywidget, ipywidgets",
            INVENTED,
            code.replace("COUNT", str(count)),
            SHARE,
        )
        window.open()
        window.run(0)
        window.run(1)
        before = counted.now()
        first, whole = window.page.evaluate(FIRST_ROW, [2, what])
        opened = [b - a for a, b in zip(before, counted.now(), strict=True)]
        cdp = context.new_cdp_session(window.page)
        cdp.send("Performance.enable")
        spent = float(window.run(3).inner_text().split()[-1])
        busy, begun, seen = task_s(cdp), time.monotonic(), counted.now()
        window.page.wait_for_timeout(WATCH_S * 1000)
        came = [b - a for a, b in zip(seen, counted.now(), strict=True)]
        passed, busy = time.monotonic() - begun, task_s(cdp) - busy
        spent = float(window.run(3).inner_text().split()[-1]) - spent
        nodes = window.page.evaluate(NODES, root)
    finally:
        context.close()
        jupyter.end_kernels(folder.name)
    return {
        "first row s": first,
        "cell s": whole,
        "opening messages": opened[0],
        "opening kB": opened[1] / 1000,
        "messages/s": came[0] / passed,
        "kB/s": came[1] / passed / 1000,
        "kernel %": 100 * spent / passed,
        "page %": 100 * busy / passed,
        "nodes": nodes,
    }


def task_s(cdp: Any) -> float:
    """How long the page's main thread was busy."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))


def main(sizes: list[int]) -> None:
    from playwright.sync_api import sync_playwright

    runs = [("panel", size) for size in sizes] + [("ipywidgets", 100)]
    print(
        f"{CHANGES} changes a second, watched for {WATCH_S} s; goals: first row under 0.5 s, under"
    )
    print("6 messages/s, 10 kB/s, 2 % of a processor and 300 nodes with 10,000 jobs\n")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        jupyter = Jupyter(Path(folder) / "jupyter")
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            for number, (kind, size) in enumerate(runs):
                figures = measure(jupyter, browser, kind, size)
                if number == 0:
                    print(f"{'':18}" + "".join(f"{name:>17}" for name in figures))
                words = "".join(f"{value:17.4g}" for value in figures.values())
                print(f"{kind:10} {size:7,}{words}", flush=True)
        finally:
            browser.close()
            jupyter.stop()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(SIZES))
