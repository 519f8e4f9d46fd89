"""One notebook in several Pythons: its code has the same fingerprints in all of them.

``python3 tests/run.py pythons`` makes an environment for each Python that it finds on the machine
and says which; these must be there. The others, and without it those not yet made, are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from xpm_nb.store import records
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow

VERSIONS = ("3.11", "3.12", "3.13")
CURRENT = f"{sys.version_info[0]}.{sys.version_info[1]}"
REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / ".venv-test" / "pythons"

MODULE = '''
"""Of one's own, beside the notebook."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Scale:
    by: float = 1.5

def scaled(x: float, *, scale: Scale = Scale()) -> float:
    """Say it."""
    return x * scale.by
'''
CELLS = [
    """
from __future__ import annotations
import enum, math
from typing import Generic, TypeVar
from xpm_nb import Config, Constant, Meta, Param, Task, field, start
import scales
xp = start("prints")
""",
    '''
T = TypeVar("T")

class Kind(enum.Enum):
    PLAIN = "plain"
    WIDE = "wide"

class Model(Config):
    """A model."""
    width: Param[int] = 3
    kind: Param[Kind] = Kind.PLAIN
''',
    """
def text_of(x, *rest, sep=", "):
    match rest:
        case [first, *_]:
            return f"{x:>{len(rest) + 2}.2f}{sep!r}{first=}"
        case _:
            return f'{"quoted" if x else ""} {x!s:>5} {{}}'

def spread(xs):
    found = 0.0
    try:
        found = max(xs) - min(xs)
    except* ValueError:
        pass
    return found
""",
    """
class Learn(Task):
    model: Param[Model]
    steps: Param[int] = 2
    note: Meta[str] = "n"
    version: Constant[int] = 1

    def execute(self):
        lam = lambda v, /, w=2: v ** w if v else -v  # a comment
        total = sum(scales.scaled(lam(i)) for i in range(self.steps) if i % 2)
        with open("text.txt", "w") as file:
            print(text_of(total, "a", "b"), file=file)
        return {"spread": spread([total, math.pi]), **{"kind": self.model.kind.value}}

class After(Task):
    learn: Param[Learn]

    def execute(self):
        return [*self.learn.model.kind.name, self.learn.steps]
""",
    """
learn = Learn.C(model=Model.C()).submit()
After.C(learn=learn).submit()
xp.wait(timeout_s=120)
assert [job.state.value for job in xp.jobs] == ["done", "done"]
""",
]
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
NotebookClient(nbformat.read(sys.argv[1], as_version=4), kernel_name="python3").execute()
"""


def python_of(version: str) -> str:
    if version == CURRENT:
        return sys.executable
    must = os.environ.get("XPM_TEST_PYTHONS", "").split()
    path = FOLDER / version / "bin" / "python"
    if version in must:
        assert path.exists(), f"there is no {path}"
    elif not path.exists():
        pytest.skip(f"there is no Python {version}: `python3 tests/run.py pythons` looks for it")
    return str(path)


def prints(folder: Path, version: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Execute the notebook in a Python; give fingerprint and parts of the code of each job."""
    python = python_of(version)
    folder.mkdir()
    (folder / "scales.py").write_text(MODULE)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbformat.write(book, folder / "book.ipynb")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "PYTHON"))}
    env["PYTHONPATH"] = str(REPOSITORY)
    env["PATH"] = f"{Path(python).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        [python, "-W", "ignore", "-c", EXECUTE, "book.ipynb"],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {}
    for job in Workspace(folder / "xpm-workspace").jobs():
        code = records.read_code(job)
        record = records.read_job(job)
        assert code is not None
        assert record is not None
        assert f"/{version}/" in record.python or version == CURRENT
        parts = sorted((part.name, part.digest) for part in code.parts)
        found[job.identifier] = (code.fingerprint, parts)
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return prints(tmp_path_factory.mktemp("ours") / "book", CURRENT)


def test_this_python_knows_the_code(ours):
    learn, after = sorted(ours.values(), key=lambda found: -len(found[1]))
    assert len(learn[0]) == len(after[0]) == 64
    assert {"Learn", "text_of", "spread"} <= {name.rpartition(".")[2] for name, _ in learn[1]}


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != CURRENT])
def test_another_python_finds_the_same(ours, tmp_path, version):
    assert prints(tmp_path / "book", version) == ours
