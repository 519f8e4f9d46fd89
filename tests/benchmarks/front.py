"""What the live panel costs: a real JupyterLab, a real kernel, a real Chromium, simulated jobs.

    python tests/benchmarks/front.py [--jobs 100,1000,10000] [--seconds 20] [--rate 50]

Prints a table; asserts nothing, as machines differ. A line of it holds, for so many jobs:

first row   From the command that runs the cell to the first row in the page: of the first display
            in a kernel and a page that have shown nothing yet (median of some), and of later ones.
msg/s kB/s  All messages of the kernel's IOPub channel, states of the kernel included.
CPU         Processor time of the kernel, less that of the same kernel with the simulator alone, in
            per cent of one processor; and that of the thread that sends the changes, by itself.
page CPU    Time for which the page's main thread was busy, in per cent.
nodes       Elements of the panel in the page, the most that were seen.
notebook    Size of the saved notebook once all jobs have ended, as nbclient saves it without and
            with the states of widgets, and as JupyterLab saves it while jobs run.

Plain ipywidgets rows (a box of six labels for each job) stand beside it for 100 jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import nbformat  # noqa: E402
import zmq  # noqa: E402
from jupyter_client.blocking.client import BlockingKernelClient  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from tests.browser.conftest import LONG_MS, Jupyter, Window, chromium  # noqa: E402

SETTLE_S = 3.0  # after a display, before anything is counted
LOOKS = 8  # at the elements of the page
COMPARED = 100  # jobs of the comparison

SETUP = """
%load_ext xpm_nb
from pathlib import Path
from tests.benchmarks import simulator
sim = simulator.Simulator({count}, Path.cwd())
xp = sim.xp
"""
PANEL = "xp"
ROWS = "rows = simulator.Rows(sim)\nrows.box"

# Runs a cell, and gives the milliseconds until something is there, and until it is painted.
FIRST = """async ([n, selector]) => {
  const there = () => document.querySelector(selector);
  const began = performance.now();
  const found = new Promise(resolve => {
    const look = () => { if (there()) { watcher.disconnect(); resolve(performance.now()); } };
    const watcher = new MutationObserver(look);
    watcher.observe(document.body, {childList: true, subtree: true});
  });
  const book = window.jupyterapp.shell.currentWidget.content;
  book.activeCellIndex = n;
  book.deselectAll();
  const ran = window.jupyterapp.commands.execute("notebook:run-cell");
  const at = await found;
  await ran;
  return at - began;
}"""
CLEAR = """async n => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = n;
  await window.jupyterapp.commands.execute("notebook:clear-cell-output");
}"""
NODES = "selector => document.querySelector(selector)?.querySelectorAll('*').length ?? 0"


class Ear:
    """Counts what the kernel publishes."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.heard: list[tuple[float, str, int]] = []
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.connect(client._make_url("iopub"))
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            if not self._socket.poll(100):
                continue
            frames = self._socket.recv_multipart()
            if b"<IDS|MSG>" not in frames:  # a welcome
                continue
            at = frames.index(b"<IDS|MSG>")
            header, content = json.loads(frames[at + 2]), frames[at + 5]
            kind = header["msg_type"]
            if kind.startswith("comm_"):
                data = json.loads(content).get("data", {})
                kind = (data.get("content") or {}).get("t") or data.get("method") or kind
                kind = f"panel {kind}"
            self.heard.append((time.monotonic(), kind, sum(map(len, frames))))

    def since(self, began: float) -> list[tuple[float, str, int]]:
        return [one for one in self.heard if one[0] >= began]

    def stop(self) -> None:
        self._stop = True
        self._thread.join()
        self._socket.close()


class Kernel:
    """The kernel of a notebook, asked beside the page and without a trace in it."""

    def __init__(self, jupyter: Jupyter, folder: str) -> None:
        (number,) = jupyter.kernels(folder)
        self.client = BlockingKernelClient()
        self.client.load_connection_file(str(jupyter.folder / "runtime" / f"kernel-{number}.json"))
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.ear = Ear(self.client)

    def ask(self, expression: str) -> Any:
        """Give the value of an expression."""
        wanted = {"value": f"__import__('json').dumps({expression})"}
        reply = self.client.execute(
            "", silent=True, user_expressions=wanted, reply=True, timeout=60
        )
        value = reply["content"]["user_expressions"]["value"]
        if value["status"] != "ok":
            raise RuntimeError(f"{expression}: {value['evalue']}")
        return json.loads(eval(value["data"]["text/plain"]))

    def stop(self) -> None:
        self.ear.stop()
        self.client.stop_channels()


class Measured(dict[str, Any]):
    """What was seen of one display."""


class Bench:
    """A server and a browser, and what is measured with them."""

    def __init__(self, jupyter: Jupyter, browser: Any, options: argparse.Namespace) -> None:
        self.jupyter, self.browser, self.options = jupyter, browser, options
        self.number = 0

    @contextmanager
    def page(self, count: int, *cells: str) -> Iterator[tuple[Window, Kernel]]:
        """Open a notebook whose first cell makes the jobs, and run that."""
        self.number += 1
        folder = self.jupyter.root / f"page-{self.number}"
        folder.mkdir()
        context = self.browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(3 * LONG_MS)
        window = Window("lab", self.jupyter, context, folder)
        try:
            window.write(SETUP.format(count=count), *cells)
            window.open()
            window.run(0)
            kernel = Kernel(self.jupyter, folder.name)
            try:
                yield window, kernel
            finally:
                kernel.stop()
        finally:
            context.close()
            self.jupyter.end_kernels(folder.name)

    def first(self, window: Window, selector: str, cell: int = 1) -> float:
        """Give the seconds until the first row."""
        window.page.evaluate(CLEAR, cell)
        window.page.wait_for_function(f"!document.querySelector('{selector}')")
        return float(window.page.evaluate(FIRST, [cell, selector])) / 1000

    def display(self, count: int, cell: str, root: str, row: str) -> Measured:
        """Measure one kind of display for so many jobs."""
        out = Measured(jobs=count)
        selector = f"{root} {row}"
        firsts, again = [], []
        for turn in range(self.options.pages):
            last = turn == self.options.pages - 1
            with self.page(count, cell) as (window, kernel):
                if last:
                    out["alone"] = self.alone(kernel)
                began = time.monotonic()
                firsts.append(self.first(window, selector))
                if turn == 0:
                    time.sleep(1)
                    heard = kernel.ear.since(began)
                    out["open"] = (len(heard), sum(size for *_, size in heard) / 1000)
                if cell == PANEL:
                    for _ in range(self.options.again):
                        kernel.ask("simulator.forget(xp)")
                        again.append(self.first(window, selector))
                if last:
                    self.watch(window, kernel, root, out)
        out["first"] = statistics.median(firsts)
        out["again"] = statistics.median(again) if again else None
        return out

    def alone(self, kernel: Kernel) -> dict[str, float]:
        """Give what the simulator uses while nothing is displayed, in seconds a second."""
        kernel.ask(f"sim.run({self.options.rate})")
        time.sleep(1)
        used = self.used(kernel, self.options.seconds)
        kernel.ask("sim.stop()")
        return used

    def used(self, kernel: Kernel, seconds: float, during: Any = time.sleep) -> dict[str, float]:
        before = kernel.ask("simulator.used()")
        during(seconds)
        after = kernel.ask("simulator.used()")
        passed = after.pop("at") - before.pop("at")
        return {name: (after[name] - before.get(name, 0.0)) / passed for name in after}

    def watch(self, window: Window, kernel: Kernel, root: str, out: Measured) -> None:
        """Let jobs change for a while, and look at everything."""
        seconds, nodes = self.options.seconds, []
        session = window.context.new_cdp_session(window.page)
        session.send("Performance.enable")

        def busy() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

        def look(seconds: float) -> None:
            for _ in range(LOOKS):
                time.sleep(seconds / LOOKS)
                nodes.append(window.page.evaluate(NODES, root))

        kernel.ask(f"sim.run({self.options.rate})")
        time.sleep(SETTLE_S)
        changes = kernel.ask("sim.changes")
        task, began = busy(), time.monotonic()
        out["used"] = self.used(kernel, seconds, look)
        passed = time.monotonic() - began
        out["page"] = (busy() - task) / passed
        # What the benchmark itself asked for is answered at both ends: not what is measured.
        heard = [one for one in kernel.ear.since(began) if began + 0.2 < one[0] < began + seconds]
        out["messages"] = len(heard) / (seconds - 0.2)
        out["bytes"] = sum(size for *_, size in heard) / (seconds - 0.2)
        out["kinds"] = {
            kind: (count / seconds, sum(size for _, k, size in heard if k == kind) / seconds)
            for kind, count in Counter(kind for _, kind, _ in heard).most_common()
        }
        out["changes"] = (kernel.ask("sim.changes") - changes) / passed
        out["nodes"] = max(nodes)
        window.save()
        out["lab"] = (self.jupyter.root / window.path).stat().st_size
        kernel.ask("sim.stop()")
        if window.errors:
            print("the page reported:", *window.errors, sep="\n  ")

    def saved(self, count: int, cell: str) -> tuple[int, int]:
        """Give the sizes of the notebook at the end, without and with the states of widgets."""
        folder = self.jupyter.folder / f"saved-{self.number}-{count}"
        folder.mkdir()
        self.number += 1
        texts = [SETUP.format(count=count), "sim.finish()", cell]
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in texts])
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(book, kernel_name="python3", timeout=300, resources=resources)
        client.execute(env=self.jupyter.environment())
        whole = len(nbformat.writes(book).encode())
        del book.metadata["widgets"]
        return len(nbformat.writes(book).encode()), whole


# -- what is printed ------------------------------------------------------------------------------

HEAD = (
    "{:>12} {:>7} {:>9} {:>7} {:>14} {:>6} {:>6} {:>6} {:>9} {:>9} {:>6} {:>8} {:>9} {:>8}".format(
        "display", "jobs", "first row", "later", "opening", "chg/s", "msg/s", "kB/s", "CPU",
        "publisher", "page", "nodes", "notebook", "in Lab",
    )
)  # fmt: skip


def line(name: str, out: Measured) -> str:
    used, alone = out["used"], out["alone"]
    share = used["process"] - alone["process"]
    publisher = used.get("xpm-publisher", used.get("rows", 0.0))
    later = "-" if out["again"] is None else f"{out['again']:.2f} s"
    count, size = out["open"]
    without, with_state = (f"{size / 1000:.0f}" for size in out["saved"])
    return (
        f"{name:>12} {out['jobs']:>7,} {out['first']:>7.2f} s {later:>7} "
        f"{f'{count} / {size:.0f} kB':>14} "
        f"{out['changes']:>6.1f} {out['messages']:>6.1f} {out['bytes'] / 1000:>6.1f} "
        f"{share:>9.2%} {publisher:>9.2%} {out['page']:>6.0%} {out['nodes']:>8,} "
        f"{f'{without}/{with_state}':>9} {out['lab'] / 1000:>8.0f}"
    )


def details(name: str, out: Measured) -> str:
    kinds = ", ".join(
        f"{kind} {count:.2f}/s {size / 1000:.2f} kB/s"
        for kind, (count, size) in out["kinds"].items()
    )
    threads = ", ".join(
        f"{thread} {share:.2%} ({out['alone'].get(thread, 0.0):.2%} alone)"
        for thread, share in sorted(out["used"].items(), key=lambda item: -item[1])
        if share > 0.0005
    )
    return f"{name} {out['jobs']:,}\n  sent: {kinds}\n  processor: {threads}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", default="100,1000,10000", help="how many, for each turn")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which each is watched")
    parser.add_argument("--rate", type=float, default=50.0, help="changes of jobs a second")
    parser.add_argument("--pages", type=int, default=3, help="fresh kernels and pages for each")
    parser.add_argument("--again", type=int, default=3, help="further displays in each of them")
    parser.add_argument("--no-rows", action="store_true", help="leave the comparison out")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory(prefix="xpm-front-", ignore_cleanup_errors=True) as folder:
        jupyter = Jupyter(Path(folder))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
                )
                measure(Bench(jupyter, browser, options), options)
                browser.close()
        finally:
            jupyter.stop()


def measure(bench: Bench, options: argparse.Namespace) -> None:
    turns = [
        ("panel", int(count), PANEL, ".xpm-live", "[role=row][data-id]")
        for count in options.jobs.split(",")
    ]
    if not options.no_rows:
        turns.append(("ipywidgets", COMPARED, ROWS, ".benchmark-rows", ".benchmark-row"))
    found = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n{HEAD}", flush=True)
    for name, count, cell, root, row in turns:
        out = bench.display(count, cell, root, row)
        out["saved"] = bench.saved(count, cell)
        print(line(name, out), flush=True)
        found.append((name, out))
    print()
    for name, out in found:
        print(details(name, out))


if __name__ == "__main__":
    main()
