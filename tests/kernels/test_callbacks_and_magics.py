"""Callbacks that update a user's widget, and %xpm, in a real kernel."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

LABEL = """
import ipywidgets
label = ipywidgets.Label("none yet")
calls = []

class Answer(Task):
    n: Param[int]
    def execute(self):
        return self.n
"""

REGISTER = """
xp = start("labels")
task = Answer.C(n=42)
def show():
    calls.append(1)
    label.value = f"{len(calls)} done"
task.submit()
task.on_completed(show)
xp.wait(timeout_s=60)
label
"""


def test_a_callback_updates_a_label_once(lab):
    kernel = lab.kernel()
    kernel.run(LABEL)
    first = kernel.run(REGISTER)
    seen = [
        update
        for comm in first.comms
        if (update := comm.get("data", {}).get("state", {}).get("value"))
    ]
    if "1 done" not in seen:  # the message may come right after the cell's end
        lab.wait_for(lambda: kernel.value("label.value") == "1 done")
        comms = kernel.run("label.send_state()").comms
        seen = [c.get("data", {}).get("state", {}).get("value") for c in comms]
    assert "1 done" in seen
    kernel.run(REGISTER)
    kernel.run("import threading")
    assert kernel.value("len(calls)") == 1
    assert kernel.value("label.value") == "1 done"


def test_a_callback_that_raises_is_told_at_its_job(lab):
    kernel = lab.kernel()
    kernel.run(LABEL)
    kernel.run("""
xp = start("raising")
def boom():
    raise RuntimeError("callback trouble")
task = Answer.C(n=1).submit()
task.on_completed(boom)
other = Answer.C(n=2).submit()
other.on_completed(lambda: calls.append(2))
xp.wait(timeout_s=60)
""")
    lab.wait_for(lambda: kernel.value("calls") == [2])
    assert "callback trouble" in kernel.value("task.job.view().callback_error")
    assert kernel.value("task.state.value") == "done"


def test_magics_return_their_objects(lab):
    kernel = lab.kernel()
    kernel.run(LABEL)
    kernel.run("xp = %xpm start tour --slots 1")
    assert kernel.value("[xp.name, xp.slots]") == ["tour", 1]
    kernel.run("task = Answer.C(n=7).submit()")
    kernel.run("%xpm wait")
    assert kernel.value("task.state.value") == "done"
    kernel.run("rows = %xpm jobs")
    assert kernel.value("len(rows)") == 1
    status = kernel.run("%xpm status")
    assert "<table" in status.displays[-1]["text/html"]
    assert "tour" in status.displays[-1]["text/plain"]
    kernel.run("prefix = task.job.identifier[:8]")
    kernel.run("log = %xpm log $prefix")
    assert "start" in kernel.run("%xpm help").result + kernel.run("%xpm help").stdout


def test_a_wrong_verb_has_a_suggestion(lab):
    kernel = lab.kernel()
    answer = kernel.answer(kernel.send("%xpm statsu"))
    assert "UsageError" in answer.stderr + answer.error
    assert "status" in answer.stderr + answer.error
    kernel.run("xp = start('x')")
    answer = kernel.answer(kernel.send("%xpm log 1234"))
    assert "UsageError" in answer.stderr + answer.error


def test_reload_ext_keeps_everything(lab):
    kernel = lab.kernel()
    kernel.run(LABEL)
    kernel.run("xp = start('kept')\ntask = Answer.C(n=3).submit()")
    kernel.run("%reload_ext xpm_nb")
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("[task.state.value, start('kept') is xp]") == ["done", True]
    threads = "sorted(t.name for t in __import__('threading').enumerate() if t.name[:4] == 'xpm-')"
    names = kernel.value(threads)
    assert len(names) == len(set(names))
