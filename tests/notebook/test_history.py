from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from xpm_nb.notebook.history import executed_cells

REPOSITORY = Path(__file__).resolve().parents[2]

TERMINAL = """
from IPython.core.interactiveshell import InteractiveShell
from xpm_nb.code.carrier import carry
from xpm_nb.core.config import site
from xpm_nb.notebook.history import executed_cells

shell = InteractiveShell.instance()
for cell in (
    "from xpm_nb import Config, Task, Param",
    "class Model(Config):\\n    n: Param[int] = 1",
    "!true\\nclass Learn(Task):\\n    model: Param[Model]\\n    def execute(self): return 1",
):
    shell.run_cell(cell, store_history=True).raise_error()
numbers, texts = executed_cells(shell)
print(carry([shell.user_ns["Learn"]], namespace_globals=shell.user_ns, numbers=numbers, texts=texts, site=site).source)
"""


def fake_shell(**compiler):
    history = SimpleNamespace(
        input_hist_raw=["", "!ls", "", "x = 1"],
        input_hist_parsed=["", "get_ipython().system('ls')", "", "x = 1"],
    )
    return SimpleNamespace(history_manager=history, compile=SimpleNamespace(**compiler))


def test_what_the_compiler_has_counted():
    numbers, texts = executed_cells(fake_shell(_filename_map={"/a.py": 3, "/b.py": 1}))
    assert numbers == {"/a.py": 3, "/b.py": 1}
    assert texts == {1: "get_ipython().system('ls')", 3: "x = 1"}


def test_without_that_the_names_are_made_again():
    numbers, _ = executed_cells(fake_shell(get_code_name=lambda raw, text, n: f"<{n}-{raw}>"))
    assert numbers == {"<1-!ls>": 1, "<3-x = 1>": 3}


@pytest.mark.slow
def test_cells_of_a_terminal(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TERMINAL],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.endswith(
        "# --- In[1]\nfrom xpm_nb import Config, Task, Param\n\n\n"
        "# --- In[2]\nclass Model(Config):\n    n: Param[int] = 1\n\n\n"
        "# --- In[3]\nclass Learn(Task):\n    model: Param[Model]\n    def execute(self): return 1\n\n"
    )
