"""From a notebook to a project: what was computed stays computed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_experiment.ipynb"


def run(lab, *words, ok=True, cwd=None):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd or lab.path,
        env=lab.env if lab else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stderr + done.stdout
    return done.stdout if ok else done.stderr


def check_style(project):
    """What a project asks for depends on who looks, and the sorting of imports on from where."""
    for cwd in (project, *list(project.parents)[:3]):
        for words in (["check", "--extend-select", "I"], ["format", "--check"]):
            run(None, "-m", "ruff", *words, "--no-cache", str(project), cwd=cwd)


LOOK = """
import sys
sys.path.insert(0, sys.argv[1])
import run
from xpm_nb import start
xp = start(sys.argv[2], workspace=run.WORKSPACE)
run.submit()
xp.wait(timeout_s=60)
xp.stale()
print(sorted({job.view().stale for job in xp.jobs if job.latest is not None}), len(xp.stale()))
"""


def staleness(lab, project, name):
    """What is stale in a fresh process that submits what the package has."""
    return run(lab, "-c", LOOK, str(project), name).strip()


def test_the_first_notebook(lab):
    kernel = lab.kernel(load=False, MPLBACKEND="agg")
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            kernel.run(cell.source)
    started = lab.started()
    assert sum(started.values()) == 14
    said = kernel.run("%xpm export project").result
    files = "digits/__init__.py, digits/tasks.py, run.py"
    assert said == f"14 tasks in {lab.path / 'project'}: {files}"
    project = lab.path / "project"
    check_style(project)
    run(lab, "-c", "import digits, sys; assert 'IPython' not in sys.modules", cwd=project)
    said_by_run = run(lab, "project/run.py")
    assert said_by_run.startswith("14 jobs: 14 done\n")
    assert said_by_run.endswith("\nExperiment('digits': 14 done)\n")
    assert staleness(lab, project, "digits") == "[''] 0"
    assert lab.started() == started  # no process of any job
    text = (project / "run.py").read_text()
    assert "digits = Split.C().submit()" in text
    assert text.count(".submit()") == 14
    assert text.count("tag(") == 12 * 3  # also of the run that was submitted again without tags
    assert text.count("model=support_vectors)") == 2  # the winner: of its run, and of the test
    assert kernel.run("%xpm export project").result == said  # the same once more


CELLS = [
    "import enum\nfrom pathlib import Path\nfrom dataclasses import dataclass\nimport helper_module\nfrom xpm_nb import *",
    "class Kind(enum.Enum): A = 1; B = 2\nSIZE = 3\ndouble = [2 * n for n in range(SIZE)]",
    "class Part(Config): pass",
    """class Model(Config):
    # what it is
    kind: Param[Kind] = Kind.A
    rate: Param[float] = 0.5
    part: Param[Part | None]

    class Options(Config):
        \\"\\"\\"Inside.\\"\\"\\"

        names: Param[dict[str, list[int]]]
""".replace("\\", ""),
    """@dataclass
class Point:
    x: int = helper_module.FOUR
class Named(Config):
    __xpmid__ = "my.named"
    n: Param[int]

class Made(Task):
    model: Param[Model]
    options: Param[Model.Options]
    named: Param[Named]
    where: Meta[Path] = field(default_factory=PathGenerator("x"))
    def task_outputs(self, dep):
        return [dep(Named.C(n=self.named.n + 1)), {"two": dep(Named.C(n=7))}]
    def execute(self): return [Point().x, double, self.model.kind.name]
class Uses(Task):
    made: Param[Made]
    one: Param[Named]
    two: Param[Named]
    some: Param[set[Named]]
    at: Meta[Path] = Path("/tmp")
    def execute(self): return self.made.model.rate
class First(LightweightTask):
    n: Param[int]
    def execute(self): pass
""",
    """part = Part.C()
xp = start("tricky-1")
models = [Model.C(kind=Kind.B, rate=float("inf"), part=part), setmeta(Model.C(part=part), True)]
made = [
    Made.C(model=model, options=Model.Options.C(names={"it's": [1], 'a "b"': []}), named=Named.C(n=-1)).tag("i", i)
    for i, model in enumerate(models)
]
outs = [one.submit() for one in made]
uses = Uses.C(made=made[0], one=outs[0][0], two=stop_tags(outs[1][1]["two"]), some=sealed_set(Named.C(n=1), Named.C(n=2))).submit(init_tasks=[First.C(n=1)], max_retries=7)
xp.wait()
""",
]


@pytest.fixture
def tricky(lab):
    (lab.path / "helper_module.py").write_text("FOUR = 4\n")
    kernel = lab.kernel(load=False)
    for text in CELLS:
        kernel.run(text)
    return kernel


def test_what_notebooks_do_to_tasks(lab, tricky):
    assert tricky.value("[job.result() for job in xp]")[:2] == [
        [4, [0, 2, 4], "B"],
        [4, [0, 2, 4], "A"],
    ]
    started = lab.started()
    tricky.run('from pathlib import Path\nsaid = xp.export(Path("deep/project"))')
    assert tricky.value("list(said.notes)") == [
        f"run.py looks for modules in {lab.path}, which were not copied"
    ]
    project = lab.path / "deep" / "project"
    text = (project / "run.py").read_text()
    assert run(lab, "deep/project/run.py").endswith("\nExperiment('tricky-1': 3 done)\n"), text
    assert staleness(lab, project, "tricky-1") == "[''] 0"
    assert lab.started() == started
    assert "max_retries=7" in text
    check_style(project)
    tasks = (project / "tricky_1" / "tasks.py").read_text()
    assert 'class Part(Config):\n    __xpmid__ = "tricky-1.Part"\n' in tasks
    assert '    """Inside."""\n\n        __xpmid__ = "tricky-1.Model.Options"\n' in tasks
    assert tasks.count('__xpmid__ = "my.named"') == 1
    assert "    # what it is\n    kind: Param[Kind]" in tasks


def test_what_is_there_is_not_written_over(lab, tricky):
    tricky.run('xp.export("project")')
    run_py = lab.path / "project" / "run.py"
    before = run_py.read_text()
    run_py.write_text(before.replace("submit()", "submit_all()"))
    (lab.path / "project" / "notes.txt").write_text("mine")
    tricky.run(
        "Made.C(model=Model.C(part=part), options=made[0].options, named=Named.C(n=4)).submit()"
    )
    error = tricky.fails("xp.export('project')").error
    assert "holds something else; nothing was written" in error
    assert "-def submit_all():\n+def submit():" in error
    assert "submit_all" in run_py.read_text()
    assert sorted(p.name for p in lab.path.glob("project/*")) == ["notes.txt", "run.py", "tricky_1"]
    assert not list(lab.path.glob(".xpm-export-*"))
    error = tricky.fails("xp.export('project/notes.txt')").error
    assert error.startswith("ExportError")
    assert "notes.txt is a file: name another" in error


def test_what_cannot_be_exported_is_named(lab):
    kernel = lab.kernel()
    kernel.run('xp = start("first")')
    assert "has no task that was submitted by this kernel" in kernel.fails("xp.export('x')").error
    kernel.run(
        "exec('class Learn(Task):\\n  __carrier__ = \"pickle\"\\n  def execute(self): return 1')\n"
        "Learn.C().submit()"
    )
    error = kernel.fails("xp.export('x')").error
    assert "ExportError: the source of Learn is unknown: its source is in no cell" in error
    assert "the source of Learn is unknown" in kernel.fails("%xpm export x").stderr
    assert not (lab.path / "x").exists()


SMALL = """
class Double(Task):
    n: Param[int]
    def execute(self):
        if self.n > 2:
            raise ValueError("too large")
        return 2 * self.n
class Sum(Task):
    some: Param[list[Double]]
    def execute(self):
        return len(self.some)
"""
SUBMIT = """
doubles = [Double.C(n=i).submit() for i in range(3)]
total = Sum.C(some=doubles).submit()
xp.wait(timeout_s=60)
"""


def test_an_edit_of_the_package_makes_its_results_stale(lab):
    kernel = lab.kernel()
    kernel.run('xp = start("small")')
    kernel.run(SMALL)
    kernel.run(SUBMIT)
    kernel.run('first = xp.export("project"); second = xp.export("other")')
    kernel.run('xp.export("project")')
    (notes,) = {len(path.read_text().splitlines()) for path in lab.path.glob("**/kept.jsonl")}
    assert notes == 1, "what was accepted once is so"
    assert kernel.value("[job.view().stale for job in xp.jobs]") == [""] * 4
    assert kernel.value("doubles[0].why().answer").startswith("reused: it is done, and nothing")
    project = lab.path / "project"
    started = lab.started()
    assert staleness(lab, project, "small") == "[''] 0"
    tasks = project / "small" / "tasks.py"
    text = tasks.read_text()
    tasks.write_text(f"# only a comment\n{text}")
    assert staleness(lab, project, "small") == "[''] 0"
    tasks.write_text(text.replace("2 * self.n", "self.n + self.n"))
    assert staleness(lab, project, "small") == "['code'] 4"
    assert staleness(lab, lab.path / "other", "small") == "[''] 0"
    assert lab.started() == started

    # In the notebook the results are what they were, and an edit of the cell counts as ever.
    kernel.run(SMALL.replace("2 * self.n", "self.n + self.n"))
    assert kernel.value("len(xp.stale())") == 4


def test_jobs_of_former_classes_are_left_out_by_name(lab):
    kernel = lab.kernel()
    kernel.run('xp = start("small")')
    kernel.run(SMALL)
    kernel.run(SUBMIT)
    place = f"In[{kernel.run('len(In)').result}], line 1"
    kernel.run(SMALL.replace("2 * self.n", "3 * self.n"))
    error = kernel.fails("xp.export('project')").error
    assert f"was made with a Double that {place} has defined anew since: run the cells" in error
    kernel.run("Double.C(n=-1).submit(); xp.wait(timeout_s=60)")
    kernel.run('said = xp.export("project")')
    assert kernel.value("said.tasks") == 1
    notes = kernel.value("list(said.notes)")
    assert [note.partition(" was made")[2] for note in notes] == [
        f" with a Double that {place} has defined anew since"
    ] * 4
    assert {note.split()[2] for note in notes} == {"Double", "Sum"}
    assert run(lab, "project/run.py").startswith("1 job: 1 done\n")
    assert "3 * self.n" in (lab.path / "project" / "small" / "tasks.py").read_text()
    kernel.run(SUBMIT)  # with the classes of now
    assert kernel.value("list(xp.export('other').notes)") == [
        "4 results are stale or of unknown code here, and stay so in the package"
    ]


def test_what_was_stale_or_in_error_stays_so_and_run_says_what_it_does(lab):
    kernel = lab.kernel()
    kernel.run('xp = start("small")')
    kernel.run(SMALL)
    kernel.run(SUBMIT)
    kernel.run(SMALL.replace("2 * self.n", "self.n * 2"))
    kernel.run(SUBMIT)
    kernel.run("bad = Double.C(n=3).submit(); bad.wait(60)")
    kernel.run('said = xp.export("project")')
    assert kernel.value("list(said.notes)") == [
        "4 results are stale or of unknown code here, and stay so in the package",
        "1 jobs are not done: what they give is not accepted for the package's code",
    ]
    assert not list(lab.path.glob("**/kept.jsonl"))
    project = lab.path / "project"
    done = subprocess.run(
        [sys.executable, "project/run.py"],
        cwd=lab.path,
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("5 jobs: 4 done, 1 in error; about ")
    assert "failed before (failed): would run again" in done.stdout
    assert "FailedExperiment: 1 of 5 jobs" in done.stderr
    assert staleness(lab, project, "small").startswith("['', 'code'] ")


def test_a_module_that_is_gone_is_named_with_what_to_do(lab, tricky):
    tricky.run('xp.export("project")')
    helper = lab.path / "helper_module.py"
    (lab.path / "project" / "helper_module.py").write_text(helper.read_text())
    helper.unlink()
    assert run(lab, "project/run.py").endswith("Experiment('tricky-1': 3 done)\n")
    assert staleness(lab, lab.path / "project", "tricky-1") == "[''] 0"
    (lab.path / "project" / "helper_module.py").unlink()
    said = run(lab, "project/run.py", ok=False)
    assert said == (
        "No module named 'helper_module': install it; if it lay beside the notebook, copy it into "
        f"{lab.path / 'project'}\n"
    )


ODD = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import decimal, mylib.types_only as types
import json, mylib.ops as ops
import mylib.deep
def f(x: "types.Any", acc=[]):
    acc.append(x)
    return len(acc)
class Odd(Task):
    x: Param[int]
    sizes: Param[list[int]] = [1, 2]
    def execute(self):
        import re, mylib.deep, json
        flag = None
        print("kept")
        open("some.txt", "w").write("x")
        return [f(1), f(2), flag == None, ops.scale(2), json.dumps(1), mylib.deep.ONE, re.escape('a')]
"""


@pytest.fixture
def mylib(lab):
    (lab.path / "mylib").mkdir()
    (lab.path / "mylib" / "__init__.py").write_text("def ops(x):\n    return 'function'\n")
    (lab.path / "mylib" / "ops.py").write_text("def scale(x):\n    return x * 3\n")
    (lab.path / "mylib" / "deep.py").write_text("ONE = 1\n")


AGAIN = """
import sys
sys.path[:0] = ["project", "."]
from xpm_nb import start
from {name}.tasks import {cls}
xp = start("{name}", workspace="xpm-workspace")
task = {cls}.C(x=2).submit()
xp.wait(timeout_s=60)
print(task.result())
"""


def test_the_package_is_the_code_of_the_cells_whatever_a_formatter_would_make_of_it(lab, mylib):
    (lab.path / "ruff.toml").write_text(
        'unsafe-fixes = true\n[lint]\nselect = ["F", "T20", "B", "SIM", "RUF", "E", "PL"]\n'
    )
    kernel = lab.kernel()
    kernel.run(f'{ODD}\nxp = start("odd")\ntask = Odd.C(x=1).submit()\nxp.wait(timeout_s=60)')
    kernel.run('xp.export("project")')
    (lab.path / "ruff.toml").unlink()
    text = (lab.path / "project" / "odd" / "tasks.py").read_text()
    for line in (
        'def f(x: "types.Any", acc=[]):  # noqa: B006 as in the notebook',
        "if TYPE_CHECKING:\n    import mylib.types_only as types",
        '        print("kept")',
        "        import mylib.deep  # isort: skip",
    ):
        assert line in text, text
    check_style(lab.path / "project")
    here = kernel.value("task.result()")
    assert run(lab, "-c", AGAIN.format(name="odd", cls="Odd")).strip().endswith(repr(here))


def test_an_experiment_may_have_the_name_of_anything(lab):
    kernel = lab.kernel()
    kernel.run(SMALL)
    for name in ("class", "lambda"):
        kernel.run(f'xp = start("{name}"); Double.C(n=1).submit(); xp.wait(timeout_s=60)')
        assert kernel.value(f'xp.export("to-{name}").package') == f"{name}_tasks"
        assert run(lab, f"to-{name}/run.py").startswith("1 job: 1 done\n")
