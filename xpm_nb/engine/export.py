"""From a notebook to a project: an experiment as a package, with a script that submits its tasks.

What is written is tried before anybody gets it: a fresh process, without IPython, imports the
package and plans the tasks, and each must have the identifier that it has here. So whoever runs the
script finds all results that are there. Those that are fresh are accepted for the code of the
package: the fingerprint of a module is not that of the cells it was written from.
"""

from __future__ import annotations

import difflib
import importlib.util
import keyword
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from xpm_nb.code import carrier, package
from xpm_nb.code.cells import Cell, Cells
from xpm_nb.core import config as configs
from xpm_nb.core.freshness import Making
from xpm_nb.core.identifier import namespaced
from xpm_nb.core.names import own_name
from xpm_nb.core.spelled import Spelling
from xpm_nb.core.states import JobState
from xpm_nb.engine import staging, tidying
from xpm_nb.engine.job import Job
from xpm_nb.errors import ExportError
from xpm_nb.store.files import write_text

MAX_DIFF = 60  # lines in a message
MAX_NAMED = 5  # jobs that are left out, each in a line of its own

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
    try:
        with experiment(WORKSPACE, "{name}", run_mode=RunMode.DRY_RUN) as xp:
            submit()
    except ModuleNotFoundError as error:
        sys.exit(f"{{error}}: install it; if it lay beside the notebook, copy it into {{HERE}}")
    print(xp.plan())
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


Accept = Callable[[Sequence[Job], Mapping[str, Making], str], int]
"""Accepts the fresh ones among results for the code of another place; tells how many are not."""


def export(xp: Any, directory: str | os.PathLike[str], executed: Any, accept: Accept) -> Exported:
    """Write an experiment as a package (for `Experiment.export`).

    Parameters
    ----------
    xp : Experiment
        Its tasks are those that this kernel has submitted.
    directory : path
        Where; made if it is not there. Other files in it stay.
    executed : tuple or None
        File names with numbers and texts of the executed cells.
    accept : callable
        See `Accept`.

    Raises
    ------
    ExportError
        Nothing is there to export (jobs of classes that were defined anew since are left out, and
        named in the notes), something cannot be written as code, or a file that is there
        already says something else. Nothing is written then.
    CarrierError
        The code of a class cannot be found.
    """
    target = Path(directory).expanduser().absolute()
    jobs, former = _jobs(xp, executed)
    name = _package_name(xp.name, target)
    for folder in (target, target / name):
        if folder.exists() and not folder.is_dir():
            raise ExportError(f"{folder} is a file: name another directory to export to")
    carried = _carried(jobs, executed)
    roots = _first_party(carried.modules, target)
    tasks, apart = f"{name}/tasks.py", tuple(map(frozenset, roots.values()))
    texts = {
        f"{name}/__init__.py": _init_text(xp.name, name, jobs),
        tasks: _tasks_text(xp, jobs, carried, apart, executed),
        "run.py": _run_text(xp, jobs, f"{name}.tasks", target, list(roots)),
    }
    with staging.staged(target, texts) as stage:
        tidying.tidy(stage, [path for path in texts if path != tasks], (tasks,), apart)
        planned = staging.planned(stage, name, xp.name)
        _check_identifiers(jobs, planned)
        written = {path: (stage / path).read_text("utf-8") for path in texts}
    _check_target(target, written)
    for path, text in written.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(target / path, text)
    stale = accept(jobs, planned, f"exported as {name}")
    notes = (*_of_former(former), *_notes(xp, jobs, len(former), roots, stale))
    return Exported(target, name, tuple(texts), len(jobs), notes)


def _jobs(xp: Any, executed: Any) -> tuple[list[Job], dict[Job, str]]:
    """Give the jobs to export, and those that are left out, with why."""
    submitted = [job for job in xp.jobs if job.latest is not None]
    if not submitted:
        raise ExportError(
            f"{xp.name!r} has no task that was submitted by this kernel: run the cells that submit"
        )
    jobs, former = _present(submitted, executed)
    if not jobs:
        raise ExportError(
            f"{next(iter(former.values()))}: run the cells again that make the tasks, and submit"
        )
    return jobs, former


def _present(jobs: Sequence[Job], executed: Any) -> tuple[list[Job], dict[Job, str]]:
    """Tell jobs whose classes are what their names mean from others; of these, say why."""
    numbers, texts = executed if executed is not None else ({}, None)
    former = carrier.defined_anew(
        _classes(jobs),
        namespace_globals=vars(sys.modules["__main__"]),
        numbers=numbers,
        texts=texts,
        site=configs.site,
    )
    present: list[Job] = []
    others: dict[Job, str] = {}
    for job in jobs:
        known = [cls for cls in _classes([job]) if cls in former]
        if known:
            others[job] = (
                f"{job.view().task} {job.identifier[:8]} was made with a "
                f"{known[0].__qualname__} that {former[known[0]]} has defined anew since"
            )
        else:
            present.append(job)
    return present, others


def _of_former(jobs: Mapping[Job, str]) -> Iterator[str]:
    """Say which jobs are left out because their code is not what the notebook says now."""
    for job in list(jobs)[:MAX_NAMED]:
        yield f"left out: {jobs[job]}"
    if len(jobs) > MAX_NAMED:
        yield f"left out as well: {len(jobs) - MAX_NAMED} more jobs like these"


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


def _cells(executed: Any) -> tuple[Cell, ...]:
    """Give all cells that were executed, or the script."""
    numbers, texts = executed if executed is not None else ({}, None)
    script = vars(sys.modules["__main__"]).get("__file__")
    return Cells(numbers, texts, [str(script)] if script else []).all


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


def _tasks_text(
    xp: Any,
    jobs: Sequence[Job],
    carried: carrier.Carried,
    apart: Sequence[Collection[str]],
    executed: Any,
) -> str:
    code = carrier.Read((), carrier.parts(carried.source)).code
    doc = f"The classes and functions of the experiment {xp.name}."
    names = _type_names(carried, _classes(jobs), xp.namespace)
    checked = package.checked_imports(code, _cells(executed))
    return package.module_text(code, doc, carried.futures, names, apart, checked)


def _init_text(experiment: str, name: str, jobs: Sequence[Job]) -> str:
    ours = [cls for cls in _classes(jobs) if cls.__module__ == "__main__"]
    public = sorted({cls.__qualname__.partition(".")[0] for cls in ours})
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
    spelling.imports["xpm_nb"].add("RunMode")
    spelling.imports.setdefault("sys", set())
    places = ", ".join(f"str({_from(target, root)})" for root in roots)
    # The package is imported inside: what it needs may lie beside the notebook, and whether it is
    # of the project or not, formatters see differently from different directories.
    own = {home: spelling.imports.pop(home)} if home in spelling.imports else {}
    kinds: dict[bool, list[str]] = {True: [], False: []}
    local: list[str] = []
    for module, names in sorted({**spelling.imports}.items()):
        if module.partition(".")[0] in sys.stdlib_module_names or module == "xpm_nb":
            kinds[module != "xpm_nb"].append(_import(module, names))
        elif roots:
            local.append(_import(module, names))
        else:
            kinds[False].append(_import(module, names))
    local += [_import(module, names) for module, names in own.items()]
    inside = f"\n{package.SPLIT}\n".join(local).split("\n") if local else []
    body = "\n".join(f"    {line}" if line else "" for line in (*inside, "", *spelling.lines))
    return _RUN.format(
        name=xp.name,
        imports="\n\n".join("\n".join(lines) for lines in kinds.values() if lines) + "\n",
        workspace=_from(target, xp.workspace.root),
        more=f"sys.path += [{places}]\n" if roots else "",
        lines=body,
    )


def _import(module: str, names: Iterable[str]) -> str:
    if not names:
        return f"import {module}"
    return f"from {module} import {', '.join(sorted(names))}"


def _from(target: Path, path: Path) -> str:
    """Write a path as seen from the script, so that both can move together."""
    return f'HERE / "{os.path.relpath(path, target)}"'


def _options(job: Job) -> dict[str, str]:
    record = job.entry.record
    if record is None or record.max_retries == type(record)._field_defaults["max_retries"]:
        return {}
    return {"max_retries": str(record.max_retries)}


def _notes(
    xp: Any, jobs: Sequence[Job], former: int, roots: Iterable[Path], stale: int
) -> Iterator[str]:
    left = len(xp.jobs) - len(jobs) - former
    if left:
        yield f"{left} jobs of earlier runs are left out: this kernel has not submitted them"
    for root in roots:
        yield f"run.py looks for modules in {root}, which were not copied"
    if stale:
        yield f"{stale} results are stale or of unknown code here, and stay so in the package"
    open_ = sum(job.state is not JobState.DONE for job in jobs)
    if open_:
        yield f"{open_} jobs are not done: what they give is not accepted for the package's code"


# -- names and paths --------------------------------------------------------------------------


def _package_name(experiment: str, target: Path) -> str:
    """Turn an experiment's name into one that can be imported, and means nothing else."""
    name = re.sub(r"\W", "_", experiment.lower())
    if not name.isidentifier() or not _is_free(name):
        name = f"{name if name[:1].isidentifier() else f'experiment_{name}'}_tasks"
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            here = Path(spec.origin).resolve().parent == (target / name).resolve()
            return name if here else f"{name}_tasks"
    return name


def _is_free(name: str) -> bool:
    """Tell whether a name can be that of a package, and is not needed for something else."""
    taken = keyword.iskeyword(name) or name in sys.stdlib_module_names
    return not taken and name not in ("run", "xpm_nb")


def _first_party(modules: Iterable[str], target: Path) -> dict[Path, set[str]]:
    """Give the directories of imported modules that were not installed, with what lies there."""
    installed = [
        Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")
    ]
    installed.append(Path(carrier.__file__).resolve().parents[2])
    found: dict[Path, set[str]] = {}
    for top in dict.fromkeys(module.partition(".")[0] for module in modules):
        file = getattr(sys.modules.get(top), "__file__", None)
        if file is None or top in sys.stdlib_module_names:
            continue
        path = Path(file).resolve()
        root = path.parent.parent if path.name == "__init__.py" else path.parent
        if root != target.resolve() and not any(root.is_relative_to(one) for one in installed):
            found.setdefault(root, set()).add(top)
    return found


# -- trying it out ----------------------------------------------------------------------------


def _check_identifiers(jobs: Sequence[Job], planned: Mapping[str, Making]) -> None:
    missing = [job for job in jobs if job.entry.paths.key not in planned]
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
