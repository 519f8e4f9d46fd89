"""What callbacks print, display and raise is at their job, in order, and in no cell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DEFINE = """
import logging, sys, threading, warnings
xp = start("voices")
class Answer(Task):
    n: Param[int]
    def execute(self):
        return self.n
def said(task):
    return [list(one) for one in task.job.view().said]
"""

SPEAK = """
handler = logging.StreamHandler()
logging.getLogger("mine").addHandler(handler)
def speak():
    print("one", 2)
    sys.stderr.write("three\\n")
    display({"text/plain": "four"}, raw=True)
    print("five")
    logging.getLogger("mine").warning("six")
    warnings.warn("seven")
    other = threading.Thread(target=print, args=("of a thread",))
    other.start()
    other.join()
    raise RuntimeError("eight")
"""


def streams(kernel) -> list[tuple[str, str]]:
    """Everything that any cell, or nobody, was given since the last call."""
    found = []
    while kernel.client.iopub_channel.msg_ready():
        message = kernel.client.get_iopub_msg(timeout=5)
        if message["msg_type"] in ("stream", "display_data", "clear_output"):
            found.append(str(message["content"]))
    return found


@pytest.fixture(params=os.environ.get("XPM_TEST_IPYKERNELS", "").split(":"))
def kernel(lab, request):
    """A kernel; also of the ipykernels in the folders that the variable names, if there is one."""
    path = [request.param, lab.env["PYTHONPATH"], str(Path(__file__).parents[2])]
    kernel = lab.kernel(PYTHONPATH=os.pathsep.join(filter(None, path)))
    where = kernel.value("__import__('ipykernel').__file__")
    assert where.startswith(request.param)
    return kernel


def test_everything_is_at_the_job_and_in_order(kernel):
    kernel.run(DEFINE)
    kernel.run(SPEAK)
    answer = kernel.run("task = Answer.C(n=1).submit(); task.on_completed(speak); task.wait(60);")
    assert (answer.stdout, answer.stderr) == ("of a thread\n", "")
    said = kernel.value("said(task)")
    assert [kind for kind, _, _ in said] == ["out", "err", "display", "out", "err", "error"]
    texts = [text for _, text, _ in said]
    assert texts[:4] == ["one 2\n", "three\n", "four", "five\n"]
    assert texts[4].startswith("six\n")
    assert "UserWarning: seven" in texts[4]
    assert "In[" in texts[5]
    assert texts[5].endswith("RuntimeError: eight")
    assert kernel.value("task.job.view().callback_error") == "RuntimeError: eight"
    assert streams(kernel) == []


def test_the_view_grows_while_the_callback_runs_and_cells_print_as_ever(kernel):
    kernel.run(DEFINE)
    kernel.run("""
gate = threading.Event()
def slow():
    print("begun")
    gate.wait(60)
    print("over")
task = Answer.C(n=2).submit()
task.on_completed(slow)
""")
    kernel.run("while said(task) != [['out', 'begun\\n', '']]: time.sleep(0.01)")
    assert kernel.run("print('mine'); display('too')").stdout == "mine\n"
    assert kernel.run("print('mine', file=sys.stderr)").stderr == "mine\n"
    assert kernel.run("gate.set(); task.wait(60); print('too')").stdout == "too\n"
    assert kernel.value("said(task)") == [["out", "begun\nover\n", ""]]
    streams = "[type(one).write.__qualname__ for one in (sys.stdout, sys.stderr)]"
    assert kernel.value(streams) == ["OutStream.write"] * 2
    assert kernel.value("'publish' in vars(get_ipython().display_pub)") is False


def test_a_redirection_around_the_wait_gets_nothing_and_its_end_lets_nothing_out(kernel):
    kernel.run(DEFINE)
    kernel.run("""
begun, gate = threading.Event(), threading.Event()
def slow():
    print("a")
    begun.set()
    gate.wait(60)
    print("b")
    display({"text/plain": "c"}, raw=True)
""")
    kernel.run("""%%capture kept
task = Answer.C(n=3).submit()
task.on_completed(slow)
_ = begun.wait(60)
""")
    answer = kernel.run("gate.set(); task.wait(60); print('mine')")
    assert answer.stdout == "mine\n"
    assert answer.displays == []
    assert kernel.value("[kept.stdout, len(kept.outputs)]") == ["", 0]
    assert kernel.value("said(task)") == [["out", "a\nb\n", ""], ["display", "c", ""]]
    assert streams(kernel) == []


def test_displays_images_and_figures(kernel):
    kernel.run(DEFINE)
    kernel.run("import matplotlib.pyplot as plt")
    kernel.run("""
from IPython.display import HTML, Markdown, clear_output
handle = display("of a cell", display_id=True)
def show():
    print("forgotten")
    clear_output(wait=True)
    display(Markdown("# head"), HTML("<b>x</b>"), 7)
    handle.update("updated")
    mine = display("first", display_id=True)
    mine.update("second")
    plt.plot([1, 2]); plt.show()
    plt.plot([2, 1])
""")
    answer = kernel.run("task = Answer.C(n=4).submit(); task.on_completed(show); task.wait(60);")
    assert [update["data"]["text/plain"] for update in answer.updates] == ["'updated'"]
    assert answer.displays == []
    said = kernel.value("[[kind, text, image[:22]] for kind, text, image in said(task)]")
    assert said[:5] == [
        ["display", "# head", ""],
        ["display", "<IPython.core.display.HTML object>", ""],
        ["display", "7", ""],
        ["display", "'first'", ""],
        ["display", "'second'", ""],
    ]
    # As in a cell, the first figure is closed only by the end: `show` shows all that are open.
    assert {image for _, _, image in said[5:]} == {"data:image/png;base64,"}
    assert kernel.run("print('next')").displays == []
    assert len(kernel.run("plt.plot([1, 2]);").displays) == 1, "a cell's own figures are its own"


def test_widgets_of_the_users_are_updated(kernel):
    kernel.run(DEFINE)
    kernel.run("""
import ipywidgets
label, out = ipywidgets.Label("none"), ipywidgets.Output()
def show():
    label.value = "done"
    out.append_stdout("appended")
    display(label)
    with out:
        print("in a block")
task = Answer.C(n=7).submit()
task.on_completed(show)
task.wait(60)
""")
    assert kernel.value("[label.value, out.outputs[0]['text']]") == ["done", "appended"]
    assert kernel.value("said(task)") == [
        ["display", "Label(value='done')", ""],
        ["out", "in a block\n", ""],
    ]


def test_a_callback_may_load_the_plotting_and_submit_more(kernel):
    kernel.run(DEFINE)
    answer = kernel.run("""
def more():
    import matplotlib.pyplot as plt
    plt.plot([1, 2])
    task = Answer.C(n=6).submit()
    task.on_completed(lambda: print("after", task.n))
    sys.exit("of the callback only")
task = Answer.C(n=5).submit()
task.on_completed(more)
xp.wait(60)
first, second = xp.jobs
""")
    assert (answer.stdout, answer.stderr) == ("", "")
    kinds = kernel.value("[one.kind for one in first.view().said]")
    assert kinds == ["display", "error"]
    assert kernel.value("said(second.config)") == [["out", "after 6\n", ""]]
    assert kernel.run("1").displays[-1]["text/plain"] == "1"
