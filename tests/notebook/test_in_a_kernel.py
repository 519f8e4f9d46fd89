"""What a front-end is sent: by a real kernel, by nbclient, by IPython in a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from tests.kernels.conftest import Lab
from xpm_nb.notebook import protocol

pytestmark = pytest.mark.slow

VIEW = "application/vnd.jupyter.widget-view+json"

SLEEP = """
from xpm_nb import *

class Nap(Task):
    n: Param[int]
    def execute(self):
        import time
        for i in range(10):
            progress((i + 1) / 10)
            time.sleep(0.05)
        log_metrics({"slept": 0.5 + self.n})

xp = start("naps", slots=1)
naps = [Nap.C(n=tag(n)).submit() for n in range(3)]
"""


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    for kernel in lab.kernels:
        kernel.stop()
    lab.end_jobs()


def run(kernel, code, **metadata):
    """Run a cell as a front-end does that names its cells."""
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    message = kernel.client.session.msg("execute_request", content, metadata=metadata)
    kernel.client.shell_channel.send(message)
    answer = kernel.answer(message["header"]["msg_id"])
    assert answer.status == "ok", answer.error
    return answer


@pytest.mark.parametrize("wait", ["xp.wait()", "await xp", "%xpm wait"])
def test_waiting_shows_one_table_that_ends_with_the_truth(lab, wait):
    kernel = lab.kernel(load=False)
    kernel.run("%load_ext xpm_nb")
    kernel.run(SLEEP)
    answer = kernel.run(wait)
    assert answer.stdout == answer.stderr == ""
    live, picture = answer.displays  # the value of the cell is not drawn a second time
    assert VIEW in live
    assert "text/plain" not in live
    assert picture["text/plain"].startswith("naps: 3 jobs (")
    assert len({update["transient"]["display_id"] for update in answer.updates}) == 1
    last = answer.updates[-1]["data"]
    assert last["text/plain"].startswith("naps: 3 jobs (3 done)\n")
    assert last["text/html"].count("✓") == 4
    snapshots = [c["data"]["state"] for c in answer.comms if c["data"].get("method") == "update"]
    whole = protocol.unpack(snapshots[-1]["snapshot"])
    assert [row[1][0] for row in whole["rows"]] == ["d"] * 3
    deltas = [c["data"]["content"] for c in answer.comms if c["data"].get("method") == "custom"]
    assert len(deltas) >= 2
    assert all(delta["prev"] == delta["seq"] - 1 for delta in deltas)
    threads = "[t.name for t in __import__('threading').enumerate() if t.name.startswith('xpm-p')]"
    assert kernel.value(threads) == ["xpm-publisher"]


def test_a_value_is_kept_up_to_date_after_its_cell(lab):
    kernel = lab.kernel(load=False)
    answer = kernel.run(SLEEP + "\nxp")
    assert [VIEW in display for display in answer.displays] == [True, False]
    updates = []

    def ended():
        updates.extend(kernel.run("import time; time.sleep(0.3)").updates)
        return updates and updates[-1]["data"]["text/plain"].startswith("naps: 3 jobs (3 done)\n")

    lab.wait_for(ended)


def test_without_load_ext_cells_are_known_and_the_magic_is_there(lab):
    kernel = lab.kernel(load=False)
    kernel.run("import xpm_nb\nfrom xpm_nb import Config, Param")
    error = kernel.fails("class Model(Config):\n    n: Param[int]\n\nModel.C(n='many')").error
    assert "In[2], line 4" in error
    assert "start" in kernel.run("%xpm help").result
    kernel.run("%load_ext xpm_nb")
    kernel.run(SLEEP)
    answer = kernel.run("xp.wait()")
    assert "<table" in answer.displays[-1]["text/html"]
    (path,) = lab.wait_for(lambda: list(lab.workspace.glob("experiments/*/*/*/cells.ipynb")))
    notebook = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in notebook.cells][:3] == [1, 2, 3]
    assert notebook.cells[0].source.startswith("import xpm_nb")


def test_an_edited_cell_replaces_its_callback(lab):
    kernel = lab.kernel(load=False)
    kernel.run(SLEEP + "\ncalls = []\nxp.cancel(*xp.jobs)")
    register = "def note():\n    calls.append({})\nnaps[0].on_completed(note)"
    run(kernel, register.format(1), cellId="cell-a")
    run(kernel, register.format(2) + "\n# edited", cellId="cell-a")
    kernel.run("xp.wait(timeout_s=60)")
    kernel.run("for nap in naps: nap.job.retry()\nxp.wait(timeout_s=60)")
    assert kernel.value("calls") == [2]


def test_the_first_cell_of_all_replaces_its_callback_too(lab):
    """The cell that imports us is known, though its event was over before we were there."""
    kernel = lab.kernel(load=False)
    cell = "calls = []\n" + SLEEP + "\nnaps[0].on_completed(lambda: calls.append(1))"
    run(kernel, cell.replace("calls = []", "calls = []  # first"), cellId="cell-a")
    run(kernel, cell, cellId="cell-a")
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("calls") == [1]


class Text(HTMLParser):
    """The text of a page without its styles and scripts, and the tags that carry it."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[str] = []
        self._skip = 0

    def handle_starttag(self, tag, attrs):
        self._skip += tag in ("style", "script")
        self.tags.append(tag)

    def handle_endtag(self, tag):
        self._skip -= tag in ("style", "script")

    def handle_data(self, data):
        if not self._skip:
            self.parts.append(data)


def test_nbclient_keeps_the_end_and_nbconvert_shows_it(lab):
    cells = ["%load_ext xpm_nb", SLEEP, "xp", "xp.wait()", "xp.table('slept')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(lab.path)}}
    )
    client.execute(env=lab.env)
    for cell in notebook.cells[2:4]:
        live, picture = cell.outputs
        assert VIEW in live.data
        assert picture.data["text/plain"].startswith("naps: 3 jobs (3 done)\n")
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    (panel,) = [it.state.snapshot for it in states.values() if "snapshot" in it.state]
    assert [row[1][0] for row in protocol.unpack(panel)["rows"]] == ["d"] * 3
    for kept in (True, False):  # with the widgets' state, and without
        if not kept:
            del notebook.metadata["widgets"]
        check_page(HTMLExporter().from_notebook_node(notebook)[0])


def check_page(html: str) -> None:
    page = Text()
    page.feed(html)
    text = " ".join(" ".join(page.parts).split())
    for n in range(3):
        assert re.search(rf"Nap [0-9a-f]{{8}} ✓ done {n} {0.5 + n}", text), text
    assert {"table", "th"} <= set(page.tags)


def test_a_terminal_gets_text_once(lab):
    script = lab.path / "script.ipy"
    script.write_text(SLEEP + "\nxp.wait()\nprint('end')\n%xpm jobs --state done\n")
    done = subprocess.run(
        [*(sys.executable, "-m", "IPython", "--HistoryManager.enabled=False"), str(script)],
        cwd=lab.path,
        env=lab.env | {"TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == "naps: 3 jobs (3 done)"
    assert "end" in lines
    assert done.stdout.count("naps: 3 jobs") == 1
    assert done.stderr == ""


def test_a_plain_script_needs_no_ipython(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SLEEP + "\nxp.wait()\nprint(xp.table('slept'))\nimport sys\n")
    with script.open("a") as file:
        file.write("print([m for m in ('IPython', 'ipywidgets') if m in sys.modules])\n")
    root = Path(__file__).parents[2]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("XPM_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].split() == ["n", "state", "slept"]
    assert done.stdout.splitlines()[-1] == "[]"
