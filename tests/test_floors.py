"""Imports go down, never up; the core is pure; threads have three homes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "xpm_nb"

# Ground first: a module may import those before it, never those after it.
FLOORS = str.split("""
errors
core.doors core.forms core.generics core.types core.identifier core.names core.deprecated core.fields core.nodes core.methods core.hooks core.graph core.masks core.kept
core.derive core.spelled core.config core.rebuild core.serial core.standins core.editing core.written core.states core.freshness core.views core.codetree core.compare core.drawing core.estimate core.events core.pools core.planned core.plan
store.fs store.durable store.layout store.files store.owners store.records store.classes store.results store.attempts store.locks store.leaving store.holders store.trial store.removal store.damage store.troubles store.tokens store.told store.cache store.saved store.index
code.canonical code.same code.places code.modules code.loaded code.named code.bytecode code.literals code.shapes code.numbers code.values code.equal code.differing code.touches code.replay code.scripts code.cells code.drift code.origin code.imports code.instances code.binding code.changes code.submitting code.pickled code.pieces code.versions code.former code.own code.finding code.gather code.carrier code.package code.tidied
code.fingerprint
runtime.report runtime.texts runtime.frames runtime.deadline runtime.runner
launchers.base launchers.local launchers.warm launchers.slurm launchers.dask
engine.attributes engine.unguarded engine.host engine.settings engine.usage engine.reading engine.story engine.voices engine.needed engine.readers engine.entries engine.looking engine.locked engine.trust engine.staleness engine.limits engine.messages engine.hub engine.preparations engine.shares engine.others engine.ends engine.processes engine.arrivals engine.starts engine.reruns engine.missed engine.news engine.scheduler engine.loop engine.callbacks engine.listening engine.waiting engine.provenance engine.surroundings engine.keeping
engine.figures engine.results engine.outlook engine.postmortem engine.garbage engine.rehearsal engine.inspection engine.afterwards engine.source engine.job engine.preparing engine.jobs engine.proposals engine.namesakes engine.tokens engine.submission engine.codes engine.staging engine.tidying engine.export engine.contents engine.why engine.judging engine.options engine.intake engine.uncalled engine.handing engine.experiment engine.opening engine.offers engine.detached
notebook.markup notebook.words notebook.svg notebook.html_configs notebook.html_job notebook.html_jobs notebook.html_source notebook.html_tables notebook.html_frames notebook.html_inspection notebook.html_why notebook.html
notebook.history notebook.protocol notebook.capture notebook.widgets notebook.live notebook.forms notebook.bridge notebook.completion notebook.magics
cli testing __init__
""")

IMPURE = {"os", "time", "threading", "asyncio", "subprocess", "IPython", "ipywidgets", "anywidget"}
THREAD_HOMES = {"engine.loop", "engine.callbacks", "notebook.bridge"}


SEAM = "store.fs"
# What changes files or locks, and may stand in the seam only; read by name in the syntax tree.
ACTS = {
    "os": {"open", "write", "pwrite", "fsync", "fdatasync", "replace", "rename", "renames", "link"}
    | {"symlink", "unlink", "remove", "mkdir", "makedirs", "rmdir", "removedirs", "truncate"}
    | {"ftruncate", "mkfifo", "mknod", "chmod", "fchmod", "lchmod", "chown", "fchown", "lchown"},
    "shutil": {"rmtree", "copy", "copy2", "copyfile", "copytree", "move"},
    "fcntl": {"fcntl", "flock", "lockf"},
}
METHODS = {"write_text", "write_bytes", "unlink", "mkdir", "touch", "rmdir", "rename"}
METHODS |= {"symlink_to", "hardlink_to", "chmod", "lchmod"}
ELSEWHERE = {  # what is not in a workspace
    "engine.loop": {"os.write"},  # the pipe that wakes its thread
    "engine.export": {"mkdir"},  # a folder of the user's own
    "engine.staging": {"mkdir", "shutil.rmtree"},  # the same, aside
}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if name.endswith(".__init__"):
            assert not path.read_text().strip(), f"{path}: sub-packages have an empty __init__"
            continue
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.AST) -> list[str]:
    """Every dotted name that is imported, inside functions and TYPE_CHECKING too."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def ours(name: str) -> str | None:
    """The module of ours that an imported dotted name stands for."""
    if name == "xpm_nb":
        return None  # `from xpm_nb import x` is judged by x
    if not name.startswith("xpm_nb."):
        return None
    rest = name.removeprefix("xpm_nb.")
    while rest and rest not in FLOORS:
        rest = rest.rpartition(".")[0]
    return rest or "__init__"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_has_its_place(name):
    assert name in FLOORS


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"__init__"}))
def test_imports_go_down(name):
    above = [
        target
        for imported in imports(MODULES[name])
        if (target := ours(imported)) is not None and FLOORS.index(target) >= FLOORS.index(name)
    ]
    assert not above, f"{name} imports {above}, which stand above it"


@pytest.mark.parametrize("name", [m for m in sorted(MODULES) if m.startswith("core.")])
def test_the_core_is_pure(name):
    heads = {imported.split(".")[0] for imported in imports(MODULES[name])}
    assert not heads & IMPURE


def acts(tree: ast.AST) -> set[str]:
    """The calls of a module that change files or locks without the seam."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name("files" | "fs" | "records"), _):  # ours
                continue
            case ast.Attribute(ast.Name(module), act) if act in ACTS.get(module, ()):
                found.add(f"{module}.{act}")
            case ast.Call(ast.Attribute(value, act)) if act in METHODS:
                if not isinstance(value, ast.Name) or value.id not in ("files", "fs", *ACTS):
                    found.add(act)
            case ast.Call(ast.Attribute(_, "open"), [ast.Constant(str(mode)), *_]):
                found |= {"open"} if set(mode) & set("wax+") else set()
            case ast.ImportFrom(module=module) if module in ACTS or module == f"xpm_nb.{SEAM}":
                found |= {a.name for a in node.names if a.name in ACTS.get(module, {a.name})}
    return found


@pytest.mark.parametrize(
    "name", [m for m in sorted(MODULES) if m.startswith(("store.", "engine.", "runtime.", "laun"))]
)
def test_workspaces_are_written_through_one_module(name):
    if name != SEAM:
        assert acts(MODULES[name]) <= ELSEWHERE.get(name, set())


def test_who_goes_by_the_seam_is_seen():
    source = """
import os, shutil, fcntl
from os import replace
from xpm_nb.store.fs import link
os.fsync(1)
call = os.unlink
path.parent.write_text("")
path.open("a")
fcntl.flock(1, 2)
files.write_text(path, "")
path.open("rb")
"""
    seen = {"replace", "link", "os.fsync", "os.unlink", "write_text", "open", "fcntl.flock"}
    assert acts(ast.parse(source)) == seen


@pytest.mark.parametrize("name", sorted(MODULES))
def test_threads_are_started_in_three_places(name):
    started = [
        node
        for node in ast.walk(MODULES[name])
        if (isinstance(node, ast.Attribute) and node.attr == "Thread")
        or (isinstance(node, ast.Name) and node.id == "Thread")
    ]
    assert not started or name in THREAD_HOMES


@pytest.mark.parametrize("name", [m for m in sorted(MODULES) if not m.startswith("notebook.")])
def test_only_the_notebook_floor_knows_ipython(name):
    heads = {imported.split(".")[0] for imported in imports(MODULES[name])}
    assert not heads & {"IPython", "ipywidgets", "anywidget"}
