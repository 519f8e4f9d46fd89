"""From a notebook to a project: what was computed stays computed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

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
    for words in (["check"], ["format", "--check"]):
        run(None, "-m", "ruff", *words, "--no-cache", cwd=project)


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
    assert run(lab, "project/run.py") == "Experiment('digits': 14 done)\n"
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
    assert run(lab, "deep/project/run.py") == "Experiment('tricky-1': 3 done)\n", text
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
