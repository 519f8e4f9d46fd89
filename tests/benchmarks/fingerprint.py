"""What the fingerprint costs: milliseconds per submit, in notebooks of 10, 100 and 1,000 cells.

    python tests/benchmarks/fingerprint.py

Each notebook defines a helper in each of its cells but the last, of which the task reaches one in
ten, through a chain; and a module of the user's own. "first" is the first submit, "cell run" a
submit after another cell was executed, "repeated" one of many from the same cell; "of that, code"
is what carrying and fingerprint take of it. Nothing is started: what is measured is what a cell
waits for.
"""

from __future__ import annotations

import ast
import itertools
import linecache
import statistics
import sys
import tempfile
import time
from pathlib import Path

from xpm_nb import Param, RunMode, Task, start
from xpm_nb.engine import host

SIZES = (10, 100, 1_000)
REPEATS = 50
MODULE = "import json\n" + "".join(f"def f{i}(x):\n    return x + {i}\n" for i in range(300))


class Notebook:
    """Cells as IPython has them, in this process."""

    def __init__(self) -> None:
        self.space = vars(sys.modules["__main__"])
        self.numbers: dict[str, int] = {}
        self.texts: dict[int, str] = {}
        host.executed_cells = lambda: (dict(self.numbers), dict(self.texts))

    def run(self, text: str) -> None:
        number = len(self.texts) + 1
        name = f"/tmp/bench_{number}_{abs(hash(text))}.py"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        self.numbers[name], self.texts[number] = number, text
        for node in ast.parse(text).body:  # one by one, as IPython does
            exec(compile(ast.Module([node], []), name, "exec"), self.space)


def cells(count: int) -> list[str]:
    """A notebook's cells: helpers, a chain through one in ten of them, and the task."""
    found = []
    for i in range(count - 1):
        inner = f"helper_{i - 10}(x)" if i >= 10 and i % 10 == 0 else "x"
        found.append(
            f"# cell {i}\nimport os\n\ndef helper_{i}(x):\n    'What it does.'\n"
            f"    y = [{inner} for _ in range({i})]\n    return os.sep, y\n"
        )
    last = (count - 2) // 10 * 10
    found.append(
        "import bench_module\nclass Learn(Task):\n    n: Param[int]\n    def execute(self):\n"
        f"        return helper_{last}(self.n), bench_module.f1(1)\n"
    )
    return found


def ms(act) -> float:
    begin = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - begin)


def measure(count: int, folder: Path) -> list[float]:
    notebook = Notebook()
    for text in cells(count):
        notebook.run(text)
    xp = start(f"bench{count}", workspace=folder, run_mode=RunMode.GENERATE_ONLY)
    time.sleep(0.1)  # the workspace is below the module's folder
    learn, numbers = notebook.space["Learn"], itertools.count()

    def submit() -> None:
        xp.submit(learn.C(n=next(numbers)))

    def after_a_cell() -> float:
        notebook.run(f"value = {next(numbers)}")
        return ms(submit)

    first = ms(submit)
    later = statistics.median(after_a_cell() for _ in range(10))
    repeated = statistics.median(ms(submit) for _ in range(REPEATS))
    task = learn.C(n=0)
    code = statistics.median(
        ms(lambda: xp._codes.of(task, host.executed_cells)) for _ in range(REPEATS)
    )
    xp.wait()
    xp.close()
    return [first, later, repeated, code]


def main() -> None:
    sys.modules["__main__"].__dict__.update(Task=Task, Param=Param)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        (Path(folder) / "bench_module.py").write_text(MODULE)
        sys.path.insert(0, folder)
        time.sleep(0.1)  # what was written a moment ago is read each time
        print(
            f"{'cells':>6} {'first':>9} {'cell run':>9} {'repeated':>9} {'of that, code':>14}   ms"
        )
        for count in SIZES:
            first, later, repeated, code = measure(count, Path(folder) / "workspace")
            print(f"{count:>6} {first:>9.1f} {later:>9.2f} {repeated:>9.2f} {code:>14.2f}")


if __name__ == "__main__":
    main()
