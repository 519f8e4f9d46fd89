"""What a callback says stands at its job, whenever it says it, and never in a cell.

Every message of the kernel is listened to: a cell's own prints have that cell as their parent, and
nothing that a callback printed, displayed or raised is in any stream, display or error.
"""

from __future__ import annotations

import queue
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.kernels.conftest import PREAMBLE, Kernel

pytestmark = pytest.mark.slow

TASKS = """
import logging, sys, threading, time, warnings
from IPython.display import HTML, display

here = Path.cwd()

class Gated(Task):
    n: Param[int]
    gates: Meta[Path]

    def execute(self):
        import time

        while not (self.gates / f"open-{self.n}").exists():
            time.sleep(0.01)
        return self.n


def gated(n):
    return Gated.C(n=n, gates=here).submit()


def go(n):
    (here / f"open-{n}").touch()


heard = {}  # by number: set when its callback is over


def loud(n):
    event = heard[n] = threading.Event()

    def callback():
        try:
            print(f"SECRET {n} out")
            sys.stdout.write(f"SECRET {n} written\\n")
            print(f"SECRET {n} err", file=sys.stderr)
            warnings.warn(f"SECRET {n} warned")
            logging.getLogger("mine").warning(f"SECRET {n} logged")
            display(f"SECRET {n} displayed")
            display(HTML(f"<b>SECRET {n} html</b>"))
            sys.stdout.flush()
            raise RuntimeError(f"SECRET {n} raised")
        finally:
            event.set()

    return callback


xp = start("loud", slots=8)
tasks = {n: gated(n) for n in range(6)}
for n, task in tasks.items():
    task.on_completed(loud(n))
"""

# Each ends a job at another bad moment. What a cell says itself begins with its own number.
MOMENTS = {
    # the cell waits
    "waits": "go(0); print('cell waits, begin'); tasks[0].result(); heard[0].wait(); print('cell waits, end')",
    # the cell prints all the time, and a callback runs among its prints
    "prints": """
go(1)
while not heard[1].is_set():
    print('cell prints, x', flush=True)
    time.sleep(0.001)
print('cell prints, end')
""",
    # the cell computes and lets nobody run for longer than it must
    "computes": """
go(2)
n = 0
while not heard[2].is_set():
    n += 1
print('cell computes, end')
""",
    # the cell has ended when its job does
    "leaves": "threading.Timer(0.3, go, (3,)).start(); print('cell leaves, end')",
    "comes": "print('cell comes, begin'); heard[3].wait(); print('cell comes, end')",
    # the cell redirects its output, and the callback falls into that
    "redirects": """
import contextlib, io
caught = io.StringIO()
with contextlib.redirect_stdout(caught):
    print('cell redirects, caught')
    go(4)
    heard[4].wait()
assert caught.getvalue() == 'cell redirects, caught\\n', caught.getvalue()
print('cell redirects, end')
""",
    "again": "go(5); xp.wait(); print('cell again, end')",
}
SAID = """
said = {n: [(s.kind, s.text) for s in task.job.view().said] for n, task in tasks.items()}
"""


def others(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Give (kind, parent, text) of every message that puts something below a cell."""
    found = []
    for message in messages:
        kind, content = message["msg_type"], message["content"]
        parent = message["parent_header"].get("msg_id", "")
        if kind == "stream":
            found.append((kind, parent, content["text"]))
        elif kind in ("display_data", "execute_result", "update_display_data"):
            found.append((kind, parent, str(content["data"].get("text/plain", content["data"]))))
        elif kind == "error":
            found.append((kind, parent, "\n".join(content["traceback"])))
    return found


def listen(kernel: Kernel, code: str, messages: list[dict[str, Any]]) -> str:
    """Run a cell, and keep every message up to its end."""
    msg_id = kernel.send(code)
    while True:
        message = kernel.client.get_iopub_msg(timeout=90)
        messages.append(message)
        mine = message["parent_header"].get("msg_id") == msg_id
        if mine and message["content"].get("execution_state") == "idle":
            break
    reply = kernel.client.get_shell_msg(timeout=90)
    assert reply["content"]["status"] == "ok", reply["content"]
    return msg_id


def drain(kernel: Kernel, messages: list[dict[str, Any]]) -> None:
    """Take what has come after the last cell; a cell of nothing says that there is no more."""
    listen(kernel, "pass", messages)
    while True:
        try:
            messages.append(kernel.client.get_iopub_msg(timeout=0))
        except queue.Empty:
            return


def test_nothing_that_a_callback_says_stands_in_a_cell(kernel_of):
    kernel = kernel_of()
    messages: list[dict[str, Any]] = []
    listen(kernel, TASKS, messages)
    cells = {listen(kernel, code, messages): name for name, code in MOMENTS.items()}
    drain(kernel, messages)
    seen = others(messages)
    for kind, parent, text in seen:
        if "SECRET" in text and not text.startswith("loud: 6 jobs"):  # told at its job is right
            raise AssertionError(f"{kind} in cell {cells.get(parent, '?')!r}: {text}")
    streams = dict.fromkeys(MOMENTS, "")
    for kind, parent, text in seen:
        if kind == "stream":
            streams[cells[parent]] += text  # a line may come in two messages
    for name, text in streams.items():
        assert all(line.startswith(f"cell {name},") for line in text.splitlines()), text
        assert f"cell {name}, end\n" in text


def test_what_a_callback_says_is_at_its_job_and_in_order(kernel_of):
    kernel = kernel_of()
    kernel.run(TASKS)
    for code in MOMENTS.values():
        kernel.run(code)
    kernel.run(SAID)
    said = kernel.value("said")
    for n, items in said.items():
        text = "\n".join(f"{kind}: {text}" for kind, text in items)
        places = [text.find(f"SECRET {n} {what}") for what in (
            "out", "written", "err", "warned", "logged", "displayed", "raised",
        )]  # fmt: skip
        assert -1 not in places, (n, places, text)
        assert places == sorted(places), text
        assert items[-1][0] == "error"
        assert [other for other in range(6) if f"SECRET {other}" in text] == [int(n)]


def test_a_notebook_run_without_a_browser_keeps_its_outputs_apart(lab, version):
    book = nbformat.v4.new_notebook()
    names = ["", "", *MOMENTS]
    cells = [PREAMBLE, TASKS, *MOMENTS.values()]
    book.cells = [nbformat.v4.new_code_cell(text.strip()) for text in cells]
    resources = {"metadata": {"path": str(lab.path)}}
    NotebookClient(book, timeout=120, resources=resources).execute(env=lab.env)
    for name, cell in zip(names, book.cells, strict=True):
        streams = "".join(o["text"] for o in cell.outputs if o.output_type == "stream")
        assert all(line.startswith(f"cell {name},") for line in streams.splitlines()), streams
        assert "SECRET" not in streams
        if name:
            assert f"cell {name}, end" in streams
