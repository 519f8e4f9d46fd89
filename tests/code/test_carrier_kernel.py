"""What was carried from a real kernel; what whole jobs make of cells: kernels/test_carrier_table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
BASE = "from xpm_nb import Config, Param, Task"

# In place of the runner: the class named last is made without its parameters, and executed.
STUB = """
import json, sys
def main(script):
    space = vars(sys.modules["__main__"])
    learn = space["Learn"]
    loaded = [m for m in ("IPython", "ipykernel") if m in sys.modules]
    print(json.dumps({"value": learn.__new__(learn).execute(), "loaded": loaded}, default=repr))
"""

pytestmark = pytest.mark.slow


class Kernel:
    def __init__(self, cwd):
        (cwd / "helpers.py").write_text("def beside(): return 'beside'\n")
        stub = cwd / "stub" / "xpm_nb" / "runtime"
        stub.mkdir(parents=True)
        (stub / "runner.py").write_text(STUB)
        for name in ("core", "errors.py", "code", "__init__.py"):
            (cwd / "stub" / "xpm_nb" / name).symlink_to(REPOSITORY / "xpm_nb" / name)
        env = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{HERE}", "IPYTHONDIR": str(cwd / "ipy")}
        self.cwd = cwd
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(cwd), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code, *, ok=True):
        said = []

        def listen(message):
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, output_hook=listen, timeout=60)["content"]
        assert (reply["status"] == "ok") == ok, f"{code}\n{reply}\n{''.join(said)}"
        self.last = reply["execution_count"]
        return "".join(said)

    def begin(self):
        self.run(
            "import kernelside; kernelside.clean(globals())\n"
            "get_ipython().compile.reset_compiler_flags()"
        )
        self.first = self.last + 1

    def write(self, *classes):
        out = self.run(f"kernelside.write(get_ipython(), {', '.join(classes)})")
        return json.loads(out.strip().splitlines()[-1])

    def execute(self, *classes, status=0):
        """Execute `Learn` in a process of its own."""
        written = self.write(*classes)
        assert "error" not in written, written["error"]
        self.source = written["source"]
        done = subprocess.run(
            [sys.executable, written["path"]], capture_output=True, text=True, cwd="/", check=False
        )
        assert done.returncode == status, done.stderr + self.source
        if status:
            return done.stderr
        said = json.loads(done.stdout.strip().splitlines()[-1])
        assert said["loaded"] == []
        return said["value"]

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(live):
    live.begin()
    return live


def test_the_version_in_hand(kernel):
    kernel.run(BASE)
    kernel.run(
        "class Learn(Task):\n  def execute(self): return 'first'\nFirst = Learn\n"
        "class Learn(Task):\n  def execute(self): return 'second'\nSecond = Learn"
    )
    kernel.run("class Learn(Task):\n  def execute(self): return 'third'")
    assert kernel.execute("First") == "first"
    assert kernel.execute("Second") == "second"
    assert kernel.execute("Learn") == "third"
    assert f"# --- In[{kernel.first + 2}]\nclass Learn" in kernel.source


def test_configurations_without_methods_are_told_apart(kernel):
    kernel.run(BASE)
    kernel.run("class Model(Config):\n  n: Param[int] = 1\nOld = Model")
    kernel.run(
        "class Learn(Task):\n  model: Param['Model']\n  def execute(self): return self.model.n"
    )
    kernel.run("class Model(Config):\n  n: Param[int] = 2\n  m: Param[int] = 3")
    kernel.write("Learn", "Old")
    source = kernel.write("Learn", "Old")["source"]
    assert "n: Param[int] = 1" in source
    assert "m: Param" not in source
    source = kernel.write("Learn", "Model")["source"]
    assert "n: Param[int] = 2\n  m: Param[int] = 3" in source
    assert "two versions" in kernel.write("Old", "Model")["error"]


def test_a_cell_executed_again(kernel):
    base = "class Model(Config):\n  def f(self): return 1"
    kernel.run(BASE)
    kernel.run(base)
    kernel.run("class Learn(Model, Task):\n  def execute(self): return self.f()")
    kernel.run(base)
    assert kernel.execute("Learn") == 1
    assert kernel.source.index("class Model") < kernel.source.index("class Learn")


def test_a_cell_that_fails_half_way(kernel):
    kernel.run(f"{BASE}\nLIMIT = 1")
    kernel.run("class Learn(Task):\n  def execute(self): return LIMIT")
    kernel.run("1 / 0\nLIMIT = 2\nclass Learn(Task):\n  def execute(self): return 5", ok=False)
    assert kernel.execute("Learn") == 1


def test_names_looked_up_by_a_computed_text_are_the_limit(kernel):
    kernel.run(f"{BASE}\ndef hidden(): return 1")
    kernel.run("class Learn(Task):\n  def execute(self): return globals()['hid' + 'den']()")
    assert "KeyError: 'hidden'" in kernel.execute("Learn", status=1)


def test_functions_of_a_file_that_was_run(kernel):
    (kernel.cwd / "part.py").write_text(
        "import math\nK = 2\ndef part(): return math.floor(K + 0.5)\n"
    )
    kernel.run(f"{BASE}\n%run part.py")
    kernel.run("class Learn(Task):\n  def execute(self): return part()")
    assert kernel.execute("Learn") == 2
    assert "# --- part.py\n" in kernel.source


def test_a_file_that_was_edited_and_run_again(kernel):
    part = kernel.cwd / "part.py"
    text = "K = 2\ndef part(): return K\n"
    part.write_text(text)
    kernel.run(f"{BASE}\n%run part.py")
    kernel.run("class Learn(Task):\n  def execute(self): return part()")
    assert kernel.execute("Learn") == 2
    part.write_text(text.replace("return K", "return 10 * K"))
    kernel.run("%run part.py")
    assert kernel.execute("Learn") == 20
    part.write_text(text.replace("return K", "return 10 * K").replace("K = 2", "K = 3"))
    assert kernel.execute("Learn") == 20, "that is not executed yet"
    kernel.run("%run part.py")
    assert kernel.execute("Learn") == 30


def write_notebook(path, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    nbformat.write(notebook, path)


def test_a_notebook_that_was_run(kernel):
    path = kernel.cwd / "helpers.ipynb"
    write_notebook(
        path, f"{BASE}\nimport math\nK = 2", "M = math.floor(2.5)\ndef part(): return K * M"
    )
    kernel.run("%%time\n1")
    kernel.run("%run helpers.ipynb")
    kernel.run("class Learn(Task):\n  def execute(self): return part() + math.ceil(0.5)")
    assert kernel.execute("Learn") == 5
    assert "# --- helpers.ipynb\n" in kernel.source
    write_notebook(
        path, f"{BASE}\nimport math\nK = 7", "M = math.floor(2.5)\ndef part(): return K * M"
    )
    kernel.run("K = 5")
    kernel.run("%run helpers.ipynb")
    assert kernel.execute("Learn") == 15
    kernel.run("K = 5")
    assert kernel.execute("Learn") == 11


def test_cells_of_a_notebook_that_was_run_come_in_its_order(kernel):
    write_notebook(kernel.cwd / "helpers.ipynb", f"{BASE}\nclass A:\n  v = 0\nA.v = 1", "A.v = 2")
    kernel.run("%run helpers.ipynb")
    kernel.run("class Learn(Task):\n  def execute(self): return A.v")
    assert kernel.execute("Learn") == 2


def test_the_history_may_be_reset(kernel):
    kernel.run(f"{BASE}\n%reset -f in\n{BASE}\nimport kernelside")
    kernel.run("class Learn(Task):\n  def execute(self): return 9")
    assert kernel.execute("Learn") == 9
