"""From a notebook to a project: an experiment as a package, with a script that submits its tasks.

What is written is tried before anybody gets it: a fresh process, without IPython, imports the
package and plans the tasks, and each must have the identifier that it has here. So whoever runs the
script finds all results that are there.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from xpm_nb.code import carrier, package
from xpm_nb.core import config as configs
from xpm_nb.core.identifier import namespaced
from xpm_nb.core.names import own_name
from xpm_nb.core.spelled import Spelling
from xpm_nb.engine.job import Job
from xpm_nb.errors import ExportError
from xpm_nb.store.files import write_text

MAX_DIFF = 60  # lines in a message
TRIAL_S = 120.0
FORMAT_S = 60.0

# Executed by the trial, after `where` and `name`.
_TRIAL = """
import sys
sys.path[0] = where
import run, {package}
assert "IPython" not in sys.modules, "the package imports IPython"
from xpm_nb import RunMode, experiment
with experiment(where + "/no-workspace", name, run_mode=RunMode.DRY_RUN) as xp:
    run.submit()
for job in xp.jobs:
    print("planned", job.type, job.identifier)
"""

_RUN = '''\
"""Submits the tasks of the experiment {name}; those that are done are not run again."""

{imports}
HERE = Path(__file__).resolve().parent
WORKSPACE = {workspace}
{more}

def submit():
    """Submit all tasks to the open experiment."""
{lines}


if __name__ == "__main__":
    with experiment(WORKSPACE, "{name}") as xp:
        submit()
    print(xp)
'''


class Exported(NamedTuple):
    """What an export has written.

    Attributes
    ----------
    path : Path
        The directory.
    package : str
        The name of the package in it.
    files : tuple[str, ...]
        The files, by their paths in the directory.
    tasks : int
        How many tasks ``run.py`` submits.
    notes : tuple[str, ...]
        What was left out, or has to be at hand.
    """

    path: Path
    package: str
    files: tuple[str, ...]
    tasks: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"{self.tasks} tasks in {self.path}: {', '.join(self.files)}", *self.notes]
        return "\n  ".join(lines)


def export(xp: Any, directory: str | os.PathLike[str], executed: Any) -> Exported:
    """Write an experiment as a package (for `Experiment.export`).

    Parameters
    ----------
    xp : Experiment
        Its tasks are those that this kernel has submitted.
    directory : path
        Where; made if it is not there. Other files in it stay.
    executed : tuple or None
        File names with numbers and texts of the executed cells.

    Raises
    ------
    ExportError
        Nothing is there to export, something cannot be written as code, or a file that is there
        already says something else. Nothing is written then.
    CarrierError
        The code of a class cannot be found.
    """
    target = Path(directory).expanduser().absolute()
    jobs = [job for job in xp.jobs if job.latest is not None]
    if not jobs:
        raise ExportError(
            f"{xp.name!r} has no task that was submitted by this kernel: run the cells that submit"
        )
    name = _package_name(xp.name, target)
    for folder in (target, target / name):
        if folder.exists() and not folder.is_dir():
            raise ExportError(f"{folder} is a file: name another directory to export to")
    carried = _carried(jobs, executed)
    files = {
        f"{name}/__init__.py": "",
        f"{name}/tasks.py": "",
        "run.py": "",
    }
    classes = _classes(jobs)
    names = _type_names(carried, classes, xp.namespace)
    doc = f"The classes and functions of the experiment {xp.name}."
    code = carrier.Read((), carrier.parts(carried.source)).code
    files[f"{name}/tasks.py"] = package.module_text(code, doc, carried.futures, names)
    ours = [cls for cls in classes if cls.__module__ == "__main__"]
    public = sorted({cls.__qualname__.partition(".")[0] for cls in ours})
    files[f"{name}/__init__.py"] = _init_text(xp.name, name, public)
    roots = _first_party(carried.modules, target)
    files["run.py"] = _run_text(xp, jobs, f"{name}.tasks", target, roots)
    with _staged(target, files) as stage:
        _format(stage, files)
        _try(stage, name, xp, jobs)
        written = {path: (stage / path).read_text("utf-8") for path in files}
        _check_target(target, written)
        for path in files:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(target / path, written[path])
    return Exported(target, name, tuple(files), len(jobs), tuple(_notes(xp, jobs, roots)))


# -- what is written --------------------------------------------------------------------------


def _carried(jobs: Sequence[Job], executed: Any) -> carrier.Carried:
    numbers, texts = executed if executed is not None else ({}, None)
    carried = carrier.carry(
        _classes(jobs),
        namespace_globals=vars(sys.modules["__main__"]),
        numbers=numbers,
        texts=texts,
        site=configs.site,
        whole=True,
    )
    if carried.unknown:
        names = ", ".join(carried.unknown)
        raise ExportError(
            f"the source of {names} is unknown: {next(iter(carried.unknown.values()))}"
        )
    return carried


def _classes(jobs: Sequence[Job]) -> list[type]:
    found: dict[type, None] = {}
    for job in jobs:
        for config in configs.walk(_task(job), producers=True):
            found.update(dict.fromkeys(configs.classes_of(config)))
    return list(found)


def _task(job: Job) -> Any:
    """Give the task as it was last submitted; with its tags, if that was once more without any."""
    tagged = configs.tags_of(job.latest) or not configs.tags_of(job.config)
    return job.latest if tagged else job.config


def _type_names(
    carried: carrier.Carried, classes: Iterable[type], namespace: str
) -> dict[str, str]:
    """Give the ``__xpmid__`` of the classes that are named by the experiment."""
    space = vars(sys.modules["__main__"])
    known = {base for cls in classes for base in cls.__mro__}
    known |= {space[name] for name in carried.names if isinstance(space.get(name), type)}
    found: dict[str, str] = {}
    for cls in known:
        if cls.__module__ != "__main__" or cls.__qualname__.partition(".")[0] not in carried.names:
            continue
        if issubclass(cls, Enum):
            named = isinstance(vars(cls).get("__xpmid__"), str)
        elif hasattr(cls, "__xpm_config__"):
            named = own_name(cls) is not None or "__xpm_deprecated__" in vars(cls)
        else:
            continue
        if not named and not _is_made_by_call(cls, carried):
            found[cls.__qualname__] = namespaced("__main__", cls.__qualname__, namespace)
    return found


def _is_made_by_call(cls: type, carried: carrier.Carried) -> bool:
    """Tell whether an enum comes from ``Enum("Size", "S M")``, which has no body to write into."""
    return not any(statement.definition(cls.__qualname__) for statement in carried.statements)


def _init_text(experiment: str, name: str, public: Sequence[str]) -> str:
    listed = "".join(f'    "{one}",\n' for one in public)
    imported = "".join(f"    {one},\n" for one in public)
    return (
        f'"""The experiment {experiment}, as a package."""\n\n'
        f"from {name}.tasks import (\n{imported})\n\n__all__ = [\n{listed}]\n"
    )


def _run_text(xp: Any, jobs: Sequence[Job], home: str, target: Path, roots: Sequence[Path]) -> str:
    spelling = Spelling(home, [_task(job) for job in jobs])
    for job in jobs:
        spelling.submit(_task(job), _options(job))
    spelling.imports.setdefault("xpm_nb", set()).add("experiment")
    spelling.imports.setdefault("pathlib", set()).add("Path")
    before = (
        [f"sys.path += [{', '.join(f'str({_from(target, root)})' for root in roots)}]"]
        if roots
        else []
    )
    # The package is imported inside: what it needs may lie beside the notebook, and whether it is
    # of the project or not, formatters see differently from different directories.
    own = sorted(module for module in spelling.imports if module == home)
    local = [_import(module, spelling.imports.pop(module)) for module in own]
    grouped: dict[bool, list[str]] = {True: ["import sys"] if roots else [], False: []}
    for module, names in sorted(spelling.imports.items()):
        standard = module.partition(".")[0] in sys.stdlib_module_names
        elsewhere = local if roots and module != "xpm_nb" else grouped[False]
        (grouped[True] if standard else elsewhere).append(_import(module, names))
    body = "\n".join(f"    {line}" if line else "" for line in (*local, "", *spelling.lines))
    imports = "\n\n".join("\n".join(lines) for lines in grouped.values() if lines) + "\n"
    return _RUN.format(
        name=xp.name,
        imports=imports,
        workspace=_from(target, xp.workspace.root),
        more="".join(f"{line}\n" for line in before),
        lines=body,
    )


def _import(module: str, names: Iterable[str]) -> str:
    return f"from {module} import {', '.join(sorted(names))}"


def _from(target: Path, path: Path) -> str:
    """Write a path as seen from the script, so that both can move together."""
    return f'HERE / "{os.path.relpath(path, target)}"'


def _options(job: Job) -> dict[str, str]:
    record = job.entry.record
    if record is None or record.max_retries == type(record)._field_defaults["max_retries"]:
        return {}
    return {"max_retries": str(record.max_retries)}


def _notes(xp: Any, jobs: Sequence[Job], roots: Sequence[Path]) -> Iterator[str]:
    left = len(xp.jobs) - len(jobs)
    if left:
        yield f"{left} jobs of earlier runs are left out: this kernel has not submitted them"
    for root in roots:
        yield f"run.py looks for modules in {root}, which were not copied"


# -- names and paths --------------------------------------------------------------------------


def _package_name(experiment: str, target: Path) -> str:
    """Turn an experiment's name into one that can be imported, and means nothing else."""
    name = re.sub(r"\W", "_", experiment.lower())
    if not name.isidentifier() or name in sys.stdlib_module_names or name in ("run", "xpm_nb"):
        name = f"{name if name[:1].isidentifier() else f'experiment_{name}'}_tasks"
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            here = Path(spec.origin).resolve().parent == (target / name).resolve()
            return name if here else f"{name}_tasks"
    return name


def _first_party(modules: Iterable[str], target: Path) -> list[Path]:
    """Give the directories of imported modules that were not installed, nor belong to Python."""
    installed = [
        Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")
    ]
    installed.append(Path(carrier.__file__).resolve().parents[2])
    found: dict[Path, None] = {}
    for top in dict.fromkeys(module.partition(".")[0] for module in modules):
        file = getattr(sys.modules.get(top), "__file__", None)
        if file is None or top in sys.stdlib_module_names:
            continue
        path = Path(file).resolve()
        root = path.parent.parent if path.name == "__init__.py" else path.parent
        if root != target.resolve() and not any(root.is_relative_to(one) for one in installed):
            found[root] = None
    return list(found)


# -- trying it out ----------------------------------------------------------------------------


@contextmanager
def _staged(target: Path, files: Mapping[str, str]) -> Iterator[Path]:
    """Write files beside the target for a while, where what is said of that place holds too."""
    above = target.parent
    while not above.is_dir():
        above = above.parent
    try:
        made = Path(tempfile.mkdtemp(prefix=".xpm-export-", dir=above))
    except OSError as error:
        raise ExportError(f"cannot write in {above}: {error.strerror}") from error
    try:
        # As deep as the target: the script finds other places from where it is.
        stage = made.joinpath(*target.relative_to(above).parts[1:])
        stage.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            (stage / path).parent.mkdir(exist_ok=True)
            write_text(stage / path, text)
        yield stage
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _format(stage: Path, files: Mapping[str, str]) -> None:
    """Have ruff put the files in order, where it is installed."""
    found = shutil.which("ruff", path=os.path.dirname(sys.executable)) or shutil.which("ruff")
    if found is None:
        return
    for words in (["check", "--fix", "--extend-select", "I,F401", "--exit-zero"], ["format"]):
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [found, *words, "--quiet", "--no-cache", *files],
                cwd=stage,
                capture_output=True,
                timeout=FORMAT_S,
                check=False,
            )


def _try(stage: Path, name: str, xp: Any, jobs: Sequence[Job]) -> None:
    """Plan the tasks in a fresh process, and compare their identifiers with those of here."""
    head = f"where, name = {str(stage)!r}, {xp.name!r}\n"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONSTARTUP"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", head + _TRIAL.format(package=name)],
            cwd=stage,
            env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"the package could not be tried within {TRIAL_S:g} s") from None
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ExportError(f"the package does not work in a process of its own:\n{last}")
    planned = set(done.stdout.splitlines())
    missing = [job for job in jobs if f"planned {job.type} {job.identifier}" not in planned]
    if missing:
        names = ", ".join(f"{job.name} {job.identifier[:8]}" for job in missing[:5])
        raise ExportError(
            f"{len(missing)} of {len(jobs)} tasks would have other identifiers in the package, and "
            f"lose their results: {names}"
        )


def _check_target(target: Path, written: Mapping[str, str]) -> None:
    """Refuse to write over something else, with what differs."""
    lines: list[str] = []
    for path, text in written.items():
        there = target / path
        if not there.exists():
            continue
        try:
            old = there.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ExportError(f"{there} is there and cannot be read: {error}") from None
        old_lines, new_lines = old.splitlines(), text.splitlines()
        lines += difflib.unified_diff(old_lines, new_lines, str(there), "the export", lineterm="")
    if lines:
        more = f"\n… and {len(lines) - MAX_DIFF} more lines" if len(lines) > MAX_DIFF else ""
        raise ExportError(
            f"{target} holds something else; nothing was written. Delete the files or export to "
            "another directory:\n" + "\n".join(lines[:MAX_DIFF]) + more
        )
