"""Classes of real cells, in a real kernel; what is carried runs in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


# Each case: cells, and what `execute` of the task Learn gives in a process of its own.
CARRIED = {
    "helpers and globals": (
        [BASE, "N = 3\ndef helper(): return N", "class Learn(Task):\n  def execute(self): return helper()"],
        3,
    ),
    "super, metaclass, generic": (
        [
            f"{BASE}\nfrom typing import Generic, TypeVar\nT = TypeVar('T')",
            "class Tagged(type):\n  def label(cls): return cls.__name__",
            "class Other(metaclass=Tagged): pass",
            "class Base(Task, Generic[T]):\n  def execute(self): return [Other.label()]",
            "class Learn(Base[int]):\n  def execute(self): return super().execute() + ['learn']",
        ],
        ["Other", "learn"],
    ),
    "enum, dataclass, named tuple, protocol, new type": (
        [
            f"{BASE}\nimport enum\nfrom dataclasses import dataclass\nfrom typing import *",
            "class Kind(enum.Enum):\n  A = 'a'\n  B = 'b'",
            "@dataclass\nclass Point:\n  x: int = 1\n\nclass Pair(NamedTuple):\n  a: int\n  b: int = 2",
            "class Sized(Protocol):\n  size: int\nUser = NewType('User', int)",
            "class Learn(Task):\n  kind: Param[Kind] = Kind.B\n  def execute(self, s: Sized = None):\n"
            "    return [Kind.A.value, Point().x, Pair(1).b, User(4), self.kind.value]",
        ],
        ["a", 1, 2, 4, "b"],
    ),
    "a dynamic import and a module beside the notebook": (
        [
            f"{BASE}\nimport helpers",
            "class Learn(Task):\n  def execute(self):\n    from importlib import import_module\n"
            "    return [helpers.beside(), import_module('helpers').beside()]",
        ],
        ["beside", "beside"],
    ),
    "a name that is defined later": (
        [BASE, "class Learn(Task):\n  def execute(self): return late()", "def late(): return 'late'"],
        "late",
    ),
    "pure configurations, named by text": (
        [
            BASE,
            "class Model(Config):\n  hidden: Param[int] = 3",
            "class Learn(Task):\n  model: Param['Model']\n  def execute(self):\n    return Learn.__annotations__['model'].__class__.__name__ and Model.hidden if hasattr(Model, 'hidden') else Model.__name__",
        ],
        3,
    ),
    "a star import of everything": (
        ["from xpm_nb import *\nfrom pathlib import Path", "class Learn(Task):\n  at: Meta[Path] = field(default_factory=PathGenerator('x'))\n  def execute(self): return 5"],
        5,
    ),
    "annotations of the future, in force for all cells": (
        [
            f"from __future__ import annotations\n{BASE}",
            "class Model(Config):\n  hidden: Param[int] = 3",
            "class Learn(Task):\n  model: Param[Model]\n  def execute(self): return Learn.__annotations__['model']",
        ],
        "Param[Model]",
    ),
    "aliases of ours": (
        [
            "from typing import Annotated\nfrom pathlib import Path\nfrom xpm_nb import *",
            "Rate = Param[float]\nSize = Annotated[int, Choices([1, 2])]\ng = param_group('iter')",
            "class Model(Config):\n  rate: Rate = 0.5\n  size: Param[Size] = field(default=1, groups=[g])",
            "class Learn(Task):\n  model: Param[Model]\n  ck = partial(exclude_groups=[g])\n"
            "  def execute(self): return Model.__annotations__['rate'] == Rate",
        ],
        True,
    ),
    "%%time": (
        ["%%time\n" + BASE + "\n!true\nN = 2", "%%time\n%pwd\nclass Learn(Task):\n  x: Param[int] = 1\n  def execute(self): return N\n1 + 1"],
        2,
    ),
    "%%time around a pure configuration": (
        [BASE, "%%time\nclass Model(Config):\n  hidden: Param[int] = 3", "class Learn(Task):\n  model: Param[Model]\n  def execute(self): return Model.__name__"],
        "Model",
    ),
    "%%capture, and one magic in another": (
        [BASE, "%%capture out\nimport os\ndef f(): return os.sep", "%%time\n%%capture\n!true\ndef g(): return f()", "class Learn(Task):\n  def execute(self): return g()"],
        "/",
    ),
    "lines for IPython": (
        [
            f"%cd .\n!true\nfiles = !ls\n{BASE}\nclass Learn(Task):\n  def execute(self): return 1\n%who\nLearn?",
        ],
        1,
    ),
    "a cell that awaits": (
        [f"import asyncio\n{BASE}\nawait asyncio.sleep(0)\nclass Learn(Task):\n  def execute(self): return asyncio.__name__"],
        "asyncio",
    ),
    "open, of which IPython has its own": (
        [BASE, "class Learn(Task):\n  def execute(self):\n    with open('/dev/null') as file:\n      return file.read()"],
        "",
    ),
    "a lock": (
        [f"{BASE}\nimport threading\nLOCK = threading.Lock()", "class Learn(Task):\n  def execute(self):\n    with LOCK:\n      return 1"],
        1,
    ),
    "a module that %pylab might have brought": (
        [f"{BASE}\nget_ipython().user_ns['m'] = __import__('math')", "class Learn(Task):\n  def execute(self): return m.floor(2.5)"],
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CARRIED)
def test_carried(kernel, case):
    cells, wanted = CARRIED[case]
    for text in cells:
        kernel.run(text)
    assert kernel.execute("Learn") == wanted


# Each case: cells, and words of the message; {n} is the number of the n-th of these cells.
REFUSED = {
    "a random list": (
        [f"{BASE}\nimport random\nMODEL = [random.random() for _ in range(3)]", "class Learn(Task):\n  def execute(self): return MODEL"],
        ["Learn cannot be carried", "In[{1}], line 2 uses `MODEL`", "In[{0}], line 3", "Param of Learn"],
    ),
    "an open file": (
        [f"{BASE}\nlog = open('/dev/null')", "class Learn(Task):\n  def execute(self): log.write('x')"],
        ["In[{1}], line 2 uses `log`", "In[{0}], line 2", "open('/dev/null')"],
    ),
    "get_ipython": (
        [BASE, "class Learn(Task):\n  def execute(self): get_ipython()"],
        ["`get_ipython`, which exists only in a notebook's kernel"],
    ),
    "display": (
        [BASE, "class Learn(Task):\n  def execute(self): display(1)"],
        ["`display`, which exists only in a notebook's kernel"],
    ),
    "a cell's output": ([BASE, "1 + 1", "class Learn(Task):\n  def execute(self): return Out, _"], ["`Out`"]),
    "a closure": (
        [f"{BASE}\ndef make(n):\n  return lambda: n", "closed = make(7)", "class Learn(Task):\n  def execute(self): return closed()"],
        ["In[{2}], line 2 uses `closed`", "In[{1}], line 1 computes", "make(7)"],
    ),
    "a class of a closure": (
        [f"{BASE}\ndef make(n):\n  class Learn(Task):\n    def execute(self): return n\n  return Learn", "Learn = make(7)"],
        ["make.<locals>.Learn", "top level of a cell"],
    ),
    "a class in a loop": (
        [f"{BASE}\nfor n in range(2):\n  class Learn(Task):\n    def execute(self): return 1", "pass"],
        ["Learn cannot be carried", "In[{0}], line 2 computes while it runs: for n in range(2)"],
    ),
    "exec": (
        [BASE, "exec('class Learn(Task):\\n  def execute(self): return 1')"],
        ["Learn cannot be carried", "exec()"],
    ),
    "a pure configuration made by a call": (
        [BASE, "class Learn(Task):\n  def execute(self): pass", "Learn = type('Learn', (Task,), {})"],
        ["Learn cannot be carried", "type()"],
    ),
    "a shell command": (
        [f"{BASE}\nfiles = !ls", "class Learn(Task):\n  def execute(self): return files"],
        ["`files`", "In[{0}], line 2", "getoutput"],
    ),
    "a value set in %%time": (
        ["%%time\nimport time\n" + BASE + "\nnow = time.time()", "class Learn(Task):\n  def execute(self): return now"],
        ["`now`", "In[{0}], line 4 computes while it runs: now = time.time()"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(kernel, case):
    cells, words = REFUSED[case]
    for text in cells:
        kernel.run(text)
    written = kernel.write("Learn")
    numbers = [kernel.first + n for n in range(len(cells))]
    words = [word.format(*numbers) for word in words]
    assert [word for word in words if word not in written.get("error", str(written))] == []


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
        "class Learn(Task):\n  model: Param['Model']\n  def execute(self): return Model.seen()"
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


def test_names_looked_up_by_text_are_the_limit(kernel):
    kernel.run(f"{BASE}\ndef hidden(): return 1")
    kernel.run("class Learn(Task):\n  def execute(self): return globals()['hidden']()")
    assert "KeyError: 'hidden'" in kernel.execute("Learn", status=1)


def test_functions_of_a_file_that_was_run(kernel):
    (kernel.cwd / "part.py").write_text(
        "import math\nK = 2\ndef part(): return math.floor(K + 0.5)\n"
    )
    kernel.run(f"{BASE}\n%run part.py")
    kernel.run("class Learn(Task):\n  def execute(self): return part()")
    assert kernel.execute("Learn") == 2
    assert "# --- part.py\n" in kernel.source


def test_the_history_may_be_reset(kernel):
    kernel.run(f"{BASE}\n%reset -f in\n{BASE}\nimport kernelside")
    kernel.run("class Learn(Task):\n  def execute(self): return 9")
    assert kernel.execute("Learn") == 9
