"""A real JupyterLab and a real Notebook 7 in a real Chromium, and a driver for their pages.

One Jupyter server serves both for the whole session; each test has a folder, a notebook, a kernel
and a window of its own. Tests wait for conditions of the page (Playwright's `expect`) or for the
end of a cell, which the page itself reports, never for a while.

What a test meets in the page is written down in `Window.panel` and the functions beside it: the
attributes there are what our JavaScript promises.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "not-a-secret"  # the server listens on this machine only, while the tests run
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
LONG_MS = 180_000  # for what takes processes to start on a busy machine
EXPECT_MS = 60_000  # for what is on its way
CELL_MS = 600_000  # for a cell that waits for jobs that compute
STARTS = 3  # of the server: somebody else may have taken its port meanwhile
SHOTS = os.environ.get("XPM_TEST_SHOTS")  # a folder for the pictures that tests take on their way

# Words of the console that are not ours and mean nothing.
HARMLESS = re.compile(
    "|".join(
        [
            r"favicon",
            r"the server responded with a status of 404",  # settings that nobody has made
            # Notebook 7.6 says these of itself, on any page
            r"^page error: Cannot read properties of undefined \(reading 'schema'\)",
            r"^page error: Command 'filebrowser:open-path' not registered",
        ]
    )
)

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}

PREAMBLE = """
%load_ext xpm_nb
import os, sys, threading, time
from pathlib import Path
from xpm_nb import *
"""

# A task whose end the test decides: it goes on when a file is there. Whoever waits for a file in a
# job can only look again.
GATED = '''
class Gated(Task):
    """Waits for a file, then learns a little."""

    n: Param[int]
    gates: Meta[Path]

    def execute(self):
        import time

        print(f"number {self.n} begins", flush=True)
        log_metrics({"loss": 10.0 + self.n}, step=0)
        progress(0.25, desc="at the gate")
        while not (self.gates / f"open-{self.n}").exists() and not (self.gates / "open").exists():
            time.sleep(0.02)
        if (self.gates / f"fail-{self.n}").exists():
            raise ValueError(f"number {self.n} was told to fail")
        for step in range(1, 4):
            log_metrics({"loss": (10.0 + self.n) / (step + 1)}, step=step)
        print(f"number {self.n} ends", flush=True)
        return self.n
'''


def chromium() -> str:
    """Give the browser; what set up the tests says where it is, else it is looked for."""
    given = os.environ.get("XPM_TEST_CHROMIUM")
    found = given or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium (python3 tests/run.py browser installs it as root)")
    return found


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_for(predicate: Callable[[], Any], timeout_s: float = 180) -> Any:
    """Wait for something outside this process and the page: the only way is to look again."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {predicate}"
        time.sleep(0.02)
    return value


class Jupyter:
    """One server for JupyterLab and Notebook 7, with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.log = folder / "server.log"
        self.reset_settings()
        for left in reversed(range(STARTS)):
            self.start()
            try:
                wait_for(self.answers)
                break
            except AssertionError:
                if not left or self.process.poll() is None:
                    raise

    def start(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.root,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def reset_settings(self) -> None:
        """Forget what pages have changed: the next one is as after the installation."""
        settings = self.folder / "settings"
        shutil.rmtree(settings, ignore_errors=True)
        for name, values in SETTINGS.items():
            path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
            f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}", f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.terminals_enabled=False", "--LabApp.extension_manager=readonly",
            "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        plain = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("XPM_", "COV_", "PYTEST", "JUPYTER"))
        }
        return plain | {name: str(self.folder / path) for name, path in own.items()}

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended:\n{self.log.read_text()}")
        with contextlib.suppress(OSError):
            self.api("GET", "status")
            return True
        return False

    def api(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def kernels(self, folder: str) -> list[str]:
        """Give the kernels of the notebooks in a folder."""
        return [
            session["kernel"]["id"]
            for session in self.api("GET", "sessions")
            if session["path"].startswith(f"{folder}/") and session["kernel"]
        ]

    def end_kernels(self, folder: str) -> None:
        for kernel in self.kernels(folder):
            with contextlib.suppress(OSError):
                self.api("DELETE", f"kernels/{kernel}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


# -- the page -----------------------------------------------------------------------------------

# The cells of a notebook run by the front-end's own command. It gives a promise that is kept when
# the cell has ended; the driver keeps it in the page, as the test may want to do something before.
RUN = """async n => {
  const book = window.jupyterapp.shell.currentWidget.content;
  book.activeCellIndex = n;
  book.deselectAll();
  (window.__runs ??= {})[n] = window.jupyterapp.commands.execute("notebook:run-cell");
}"""
ENDED = "async n => { await window.__runs[n]; }"
READY = """async () => {
  const app = window.jupyterapp;
  await app.restored;
  const panel = app.shell.currentWidget;
  if (!panel || !panel.sessionContext) return false;
  await panel.revealed;
  await panel.context.ready;
  await panel.sessionContext.ready;
  return true;
}"""
EXECUTE = "async ([command, args]) => { await window.jupyterapp.commands.execute(command, args); }"
SHOW = """n => {
  const book = window.jupyterapp.shell.currentWidget.content;
  return book.scrollToItem(n, "start").then(() => true, () => true);
}"""

# What the browser forgot to lay out: neither hidden nor there.
UNDRAWN = """root => {
  const words = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), place = document.createRange(), found = [];
  const hidden = node => {
    for (let up = node; up && up !== root; up = up.parentElement)
      if (getComputedStyle(up).display === "none" || up.matches("option, svg, details:not([open]) > :not(summary)")) return true;
    return false;
  };
  while (words.nextNode()) {
    const { currentNode: node } = words;
    place.selectNodeContents(node);
    if (node.data.trim() && !place.getClientRects().length && !hidden(node.parentElement)) found.push(node.data);
  }
  return found;
}"""

# What sticks out of a box, other than within something that scrolls or clips.
SPILLED = """root => {
  const spilled = [], box = root.getBoundingClientRect();
  const cut = node => {
    for (let up = node.parentElement; up && up !== root; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return true;
    return getComputedStyle(root).overflowX !== "visible" && root.scrollWidth <= root.clientWidth;
  };
  for (const node of root.querySelectorAll("*")) {
    const r = node.getBoundingClientRect();
    if (!r.width || !r.height || getComputedStyle(node).position === "fixed") continue;
    if ((r.left < box.left - 1 || r.right > box.right + 1) && !cut(node))
      spilled.push(`${node.tagName}.${node.className}: ${r.left}..${r.right} of ${box.left}..${box.right}`);
  }
  return spilled;
}"""


class Window:
    """A notebook in a window of a front-end, and hands for it."""

    def __init__(self, front: str, jupyter: Jupyter, context: Any, folder: Path) -> None:
        self.front = front
        self.jupyter = jupyter
        self.context = context
        self.folder = folder
        self.page = context.new_page()
        self.errors: list[str] = []
        self.harmless = HARMLESS
        self.elsewhere: list[str] = []  # what the page asked of other machines
        self.page.on("console", self._heard)
        self.page.on("pageerror", self._failed)
        self.page.route(lambda url: not url.startswith(jupyter.url), self._refuse)
        self.path = ""

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not self.harmless.search(
            f"{message.text} {message.location}"
        ):
            self.errors.append(f"console: {message.text} ({message.location})")

    def _failed(self, error: Any) -> None:
        if not self.harmless.search(f"page error: {error}"):
            self.errors.append(f"page error: {error} {getattr(error, 'stack', '')}")

    def _refuse(self, route: Any) -> None:
        if route.request.url.startswith(("data:", "blob:", "about:")):
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()

    def may_say(self, text: str) -> None:
        """Let the page say something that is no error of this test, whether it does or not."""
        self.harmless = re.compile(f"{self.harmless.pattern}|{re.escape(text)}")

    # -- the notebook -----------------------------------------------------------------------

    def write(self, *cells: str, name: str = "test.ipynb") -> None:
        """Write a notebook into the test's folder."""
        book = nbformat.v4.new_notebook()
        book.metadata["kernelspec"] = {
            "display_name": "Python 3", "language": "python", "name": "python3",
        }  # fmt: skip
        book.cells = [nbformat.v4.new_code_cell(text.strip("\n")) for text in cells]
        nbformat.write(book, self.folder / name)

    def open(self, name: str = "test.ipynb") -> None:
        """Open a notebook of the test's folder."""
        self.path = f"{self.folder.name}/{name}"
        place = "lab/tree" if self.front == "lab" else "notebooks"
        self.page.goto(f"{self.jupyter.url}/{place}/{self.path}?token={TOKEN}&reset")
        self.ready()

    def start(self, *cells: str) -> None:
        """Write a notebook with our preamble as cell 0, open it, run that cell."""
        self.write(PREAMBLE + GATED, *cells)
        self.open()
        self.run(0)

    def ready(self) -> None:
        """Wait until a notebook and its kernel are there."""
        self.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
        assert self.page.evaluate(READY)

    def reload(self) -> None:
        self.page.reload()
        self.ready()

    def execute(self, command: str, **args: Any) -> None:
        """Let the front-end do one of its commands, and wait until it has."""
        self.page.evaluate(EXECUTE, [command, args])

    def theme(self, name: str) -> None:
        """Change the theme, and wait until it is there and its splash is gone.

        JupyterLab takes the splash of a change away 200 ms later, and throws if one of the next
        change has been taken away meanwhile.
        """
        from playwright.sync_api import expect

        self.execute("apputils:change-theme", theme=name)
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", name)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def save(self) -> None:
        self.execute("docmanager:save")

    def saved(self) -> Any:
        """Give the notebook as it was saved."""
        return nbformat.read(self.jupyter.root / self.path, as_version=4)

    def restart_kernel(self) -> None:
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )

    def begin(self, number: int) -> None:
        """Start a cell and do not wait for its end."""
        self.page.evaluate(RUN, number)

    def ended(self, number: int) -> None:
        """Wait for the end of a cell that was begun."""
        self.page.evaluate(ENDED, number)

    def run(self, number: int) -> Any:
        """Run a cell to its end."""
        self.begin(number)
        self.ended(number)
        return self.output(number)

    def running(self, number: int) -> bool:
        return "[*]" in self.cell(number).locator(".jp-InputPrompt").inner_text()

    def cell(self, number: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number: int) -> Any:
        """Give the output area of a cell, and bring it to view."""
        self.page.evaluate(SHOW, number)
        return self.cell(number).locator(".jp-Cell-outputWrapper")

    def text(self, number: int) -> str:
        """What is written below a cell."""
        return str(self.output(number).inner_text())

    # -- what we put into it ------------------------------------------------------------------

    def panel(self, number: int) -> Panel:
        return Panel(self, self.output(number).locator(".xpm-live"))

    def spilled(self, locator: Any) -> list[str]:
        """List what sticks out of a box."""
        found: list[str] = locator.evaluate(SPILLED)
        return found

    def undrawn(self, locator: Any) -> list[str]:
        """List the words that nothing hides and that have no place on the page."""
        found: list[str] = locator.evaluate(UNDRAWN)
        return found

    def shot(self, name: str, locator: Any = None) -> None:
        """Take a picture on the way, if somebody wants to see it."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            path = Path(SHOTS) / f"{self.front}-{name}.png"
            # (Playwright would write it in a thread of its own, which stays.)
            path.write_bytes((self.page if locator is None else locator).screenshot())

    # -- jobs -----------------------------------------------------------------------------------

    @property
    def workspace(self) -> Path:
        return self.folder / "xpm-workspace"

    def let(self, *names: str) -> None:
        """Let jobs go on: "open" for all, "open-3" for number 3, "fail-3" for it to fail."""
        for name in names:
            (self.folder / name).touch()

    def end_jobs(self) -> None:
        """Jobs outlive their kernels: what a test left running is ended by its id."""
        for path in self.workspace.glob("jobs/*/*/*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError, KeyError):
                os.killpg(json.loads(path.read_text())["pid"], signal.SIGKILL)


class Panel:
    """The live panel of an experiment in a page."""

    def __init__(self, window: Window, root: Any) -> None:
        self.window = window
        self.root = root

    def rows(self, state: str | None = None) -> Any:
        """Give the rows of jobs, or those in one state."""
        more = "" if state is None else f'[data-state="{state}"]'
        return self.root.locator(f"[role=row][data-id]{more}:visible")

    def row(self, identifier: str) -> Any:
        return self.root.locator(f'[role=row][data-id="{identifier[:12]}"]')

    def tab(self, name: str) -> Any:
        return self.root.locator(f'[role=tab][data-tab="{name}"]')

    def button(self, act: str) -> Any:
        return self.root.locator(f'[data-act="{act}"]:visible').first

    def states(self) -> list[str]:
        """Give the states of all rows that are drawn."""
        found: list[str] = self.rows().evaluate_all("rows => rows.map(r => r.dataset.state)")
        return found


# -- fixtures -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    chromium()  # no server without a browser
    server = Jupyter(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    program = chromium()
    if not os.environ.get("XPM_TEST_CHROMIUM"):
        pytest.importorskip("playwright")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=EXPECT_MS)

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture(params=["lab", "notebook"])
def front(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# For what is the panel's own doing: Notebook 7 is made of the same parts as JupyterLab.
only_lab = pytest.mark.parametrize("front", ["lab"], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """Tell the fixtures whether the test failed."""
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report


@pytest.fixture
def window(
    request: pytest.FixtureRequest, front: str, jupyter: Jupyter, browser: Any
) -> Iterator[Window]:
    """Give a window of its own, in which nothing may be written on the console as an error."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    folder = jupyter.root / name
    folder.mkdir()
    jupyter.reset_settings()
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(LONG_MS)
    opened = Window(front, jupyter, context, folder)
    try:
        yield opened
        failed = getattr(request.node, "report_call", None)
        if failed is None or failed.failed:
            keep(opened, name)
        else:
            tell(opened)
            assert opened.errors == []
            assert opened.elsewhere == []
    finally:
        opened.let("open")
        with contextlib.suppress(Exception):
            context.close()
        jupyter.end_kernels(folder.name)
        opened.end_jobs()


def keep(window: Window, name: str) -> None:
    """Keep what a failed test left on the screen, and say where."""
    folder = Path(SHOTS or window.jupyter.folder / "failed")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Exception):  # a border: the page may be gone
        (folder / f"{name}.png").write_bytes(window.page.screenshot())  # (see `Window.shot`)
        (folder / f"{name}.html").write_text(window.page.content())
    print(f"\nwhat was on the screen: {folder / name}.png, .html")
    tell(window)


def tell(window: Window) -> None:
    """Say what was wrong on the console, and what was asked of other machines."""
    for line in (*window.errors, *window.elsewhere):
        print(line)
