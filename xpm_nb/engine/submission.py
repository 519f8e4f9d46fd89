"""From a task to what the scheduler is asked: everything that may raise, in the user's cell.

Nothing here waits, or writes a file.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import is_
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any

from xpm_nb.code import carrier, numbers
from xpm_nb.code.places import import_path
from xpm_nb.code.shapes import fields_of, is_open
from xpm_nb.code.touches import touches
from xpm_nb.code.values import NAMESPACES, is_data
from xpm_nb.core import config as configs
from xpm_nb.core import masks, nodes, serial
from xpm_nb.core.fields import Partial
from xpm_nb.core.names import warn
from xpm_nb.core.states import TransientMode
from xpm_nb.engine import proposals, tokens
from xpm_nb.engine.entries import Asked, Entry
from xpm_nb.engine.host import ExecutedCells
from xpm_nb.engine.job import Job
from xpm_nb.engine.loop import Loop
from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.launchers.base import Launcher
from xpm_nb.store import files
from xpm_nb.store.layout import JobPaths, Workspace
from xpm_nb.store.records import Code, JobRecord


@dataclass(frozen=True, slots=True)
class Options:
    """What a submission says beside the task.

    Attributes
    ----------
    environ : mapping
        Variables of the experiment; once it is `settled`, all that are set for the job.
    max_retries : int or None
        None: the default.
    transient : TransientMode
        Whether the job may be left out.
    stale : str
        What becomes of a stale result.
    durable : bool
        What the job leaves is on the disk itself before its marker is.
    """

    launcher: Launcher
    namespace: str
    experiment: str
    environ: Mapping[str, str]
    submitted: float
    max_retries: int | None = None
    transient: TransientMode = TransientMode.NONE
    stale: str = "warn"
    durable: bool = False


def record_of(task: Any, paths: JobPaths, needs: Sequence[Job], options: Options) -> JobRecord:
    """Make the record of a task that was prepared, with options that are `settled`.

    Raises
    ------
    ConfigError
        JSON cannot hold a tag or the launcher.
    """
    cls = configs.declared_class(task)
    launcher = options.launcher
    _warn_of_secrets({**(getattr(launcher, "environ", None) or {}), **options.environ})
    record = JobRecord(
        type_name=paths.type_name,
        identifier=paths.identifier,
        name=paths.name,
        task=configs.local_name(cls),
        namespace=options.namespace if needs_namespace(task) else None,
        experiment=options.experiment,
        dependencies=tuple(_key(paths, job) for job in needs),
        launcher=launcher.as_dict(),
        environ=options.environ,
        sys_path=import_path(),
        python=str(getattr(launcher, "python", None) or sys.executable),
        submitted=options.submitted,
        tags=_json_tags(configs.tags_of(task)),
        resumable=hasattr(cls, "__xpm_resumable__"),
        tokens=tokens.counts_of(task, Workspace(paths.workspace)),
        transient=options.transient.value,
        durable=options.durable,
    )
    shared = configs.shared_places(task, sharing(paths, options.namespace))
    if shared:
        names = tuple(Workspace(paths.workspace).shared_name(Path(place)) for place in shared)
        main = names[0] if configs.info(task).schema.partials() else ""
        record = record._replace(partials=names, main=main)
    if options.max_retries is not None:
        record = record._replace(max_retries=options.max_retries)
    what = {"tags": record.tags, "launcher": record.launcher, "retries": record.max_retries}
    _json_text(record, "its tags or its launcher", what)
    return record


def _warn_of_secrets(environ: Mapping[str, str]) -> None:
    """Warn of variables that should not be kept: jobs are started with what their records hold."""
    for name, value in environ.items():
        if masks.is_secret(name) and len(value) >= SECRET_CHARS and not value.isdigit():
            warn(
                f"{name} looks like a secret, and its value is written into the directory of each "
                f"job (job.json): set os.environ[{name!r}] in the kernel instead; jobs inherit it, "
                "and nothing keeps it"
            )


def sharing(paths: JobPaths, namespace: str) -> Callable[[nodes.ConfigInfo, Partial], Path]:
    """Give what names the directories that a task shares with others."""
    workspace = Workspace(paths.workspace)

    def place(node: nodes.ConfigInfo, part: Partial) -> Path:
        identifier = node.partial_identifier(part, namespace)
        return workspace.partial(node.type_name(namespace), part.name, identifier.hex())

    return place


def settled(
    task: Any, entry: Entry, loop: Loop, needs: Sequence[Job], options: Options, *, hooks: bool
) -> Options:
    """Say with which launcher and variables a job starts: also what its submit hooks say.

    Job over launcher over experiment; the launcher puts all on top of the inherited variables.

    Raises
    ------
    ConfigError
        A hook raised, or asks for what cannot be.
    """
    start = proposals.start_of(options.launcher, options.environ)
    if hooks:
        start = proposals.propose(task, entry, loop, tuple(needs), start)
    return replace(options, launcher=start.launcher, environ=start.environ)


def needs_namespace(task: Any) -> bool:
    """Tell whether a class of a notebook takes part in a task.

    A task that was submitted has been asked already: in a long chain nobody walks to its beginning.
    """
    root = configs.info(task)
    pending, seen = [root], {root}
    while pending:
        node = pending.pop()
        if configs.needs_namespace(node.cls):
            return True
        record = node.job.entry.record if node is not root and isinstance(node.job, Job) else None
        if record is None:
            pending += [child for child in nodes.children(node) if child not in seen]
            seen.update(pending)
        elif record.namespace is not None:
            return True
    return False


def _key(paths: JobPaths, needed: Job) -> str:
    """Name a dependency: by its key in the same workspace, by its directory in another."""
    same = needed.path.parent.parent.parent == paths.workspace
    return needed.key if same else str(needed.path)


def needed_jobs(task: Any) -> list[Job]:
    """Give the jobs that must be done before a task, those too that it was told to wait for.

    Raises
    ------
    ConfigError
        If one of the tasks it needs has no job.
    """
    found: dict[str, Job] = {}
    for needed in (*configs.dependencies(task), *tokens.added_tasks(task)):
        job = needed
        if configs.is_config(needed):
            producer = configs.info(needed).task
            job = None if producer is None else configs.info(producer).job
        if not isinstance(job, Job):
            name = configs.declared_class(needed).__qualname__
            raise ConfigError(f"{name} must be submitted before what needs it")
        found.setdefault(job.entry.id, job)
    return list(found.values())


def loaded(task: Any, init_tasks: Sequence[Any]) -> list[Any]:
    """Give the tasks that a task needs and that were loaded from files, if their jobs are unknown.

    What made those is not looked at: that their jobs know themselves.
    """
    found: dict[int, Any] = {}
    for top in filter(configs.is_config, (task, *init_tasks)):
        for one in (*configs.dependencies(top), configs.info(top).task):
            if one is not None and one is not task:
                node = configs.info(one)
                if node.typename and node.job is None:
                    found[id(one)] = one
    return list(found.values())


def loaded_init_tasks(task: Any) -> tuple[Any, ...]:
    """Give the init tasks of a task that was loaded from its job's directory."""
    node = configs.info(task)
    return node.init_tasks if node.typename and node.job is None else ()


def loaded_namespace(task: Any) -> str | None:
    """Say which namespace the type name of a task that was loaded begins with."""
    node = configs.info(task)
    if not configs.needs_namespace(node.cls):
        return None
    return node.typename.removesuffix(configs.type_name(node.cls, "x")[1:]) or None


def job_of(task: Any) -> Job | None:
    """Give the job of a task that was submitted (not only looked at, in a dry run)."""
    job = configs.info(task).job
    return job if isinstance(job, Job) and not job.dry else None


def again(
    before: Job, launcher: Launcher | None, workspace: Workspace, options: Options
) -> Options:
    """Check that the same object is submitted as it was before, and take over how that was.

    Raises
    ------
    ConfigError
        Naming the difference.
    """
    task = before.name
    root = before.entry.paths.workspace
    if root != workspace.root:
        raise ConfigError(
            f"this {task} was submitted in the workspace {root}: copy() it to run it in "
            f"{workspace.root}"
        )
    old = before.given_launcher
    if old is None:
        return options
    if launcher is not None and launcher.as_dict() != old.as_dict():
        raise ConfigError(
            f"this {task} was submitted with launcher={old!r}, and now with {launcher!r}: copy() "
            "it to submit it once more"
        )
    return replace(options, launcher=old)


def asked(
    task: Any,
    paths: JobPaths,
    record: JobRecord,
    carried: carrier.Carried | None,
    options: Options,
    code: Code | None = None,
    *,
    damaged: bool = False,
) -> Asked:
    """Put together what is to be run; without code, what the job's directory holds.

    Of a job of which something is damaged, the parameters are put together all the same.

    The parameters are made JSON text here already, so that what JSON cannot hold is told in the
    user's cell and not found in the scheduler's thread.

    Raises
    ------
    ConfigError
        JSON cannot hold a parameter.
    """
    if carried is None and not damaged:
        return Asked(None, None, record, options.launcher, code=code, policy=options.stale)
    document = serial.dump(
        task, namespace=options.namespace, workspace=paths.workspace, job=paths.path
    )
    params = _json_text(record, "its parameters", document)
    if carried is None:
        return Asked(None, params, record, options.launcher, code=code, policy=options.stale)
    if carried.unknown:
        record = record._replace(code={**record.code, "unknown": dict(carried.unknown)})
    text = _script(carried, record)
    return Asked(text, params, record, options.launcher, code=code, policy=options.stale)


def _script(carried: carrier.Carried, record: JobRecord) -> str:
    return carrier.script(
        carried,
        task=record.task,
        type_name=record.type_name,
        identifier=record.identifier,
        namespace=record.namespace,
        name=record.name,
        sys_path=record.sys_path,
        python=record.python,
    )


def afresh(
    job: Job,
    loop: Loop,
    options: Options,
    carried: carrier.Carried,
    code: Code | None = None,
) -> Asked:
    """Put together what is run when a job is run again: its task as it was last submitted here.

    Raises
    ------
    ConfigError
        JSON cannot hold a parameter, or a submit hook raised.
    """
    task, paths = job.latest, job.entry.paths
    needs = needed_jobs(task)
    options = settled(task, job.entry, loop, needs, options, hooks=True)
    record = record_of(task, paths, needs, options)
    if (before := job.entry.record) is not None:  # what is submitted without tags keeps them
        tags = record.tags or before.tags
        record = record._replace(
            tags=tags, max_retries=before.max_retries, transient=before.transient
        )
    return asked(task, paths, record, carried, options, code)


def renewed(
    job: Job, options: Options, carried: carrier.Carried, code: Code | None
) -> Asked | None:
    """Put together what is run when a job of another kernel is run again, with present code.

    None where its directory does not say with which parameters.
    """
    record, paths = job.entry.record, job.entry.paths
    params = files.read_text(paths.params)
    if record is None or params is None:
        return None
    record = record._replace(submitted=options.submitted, sys_path=import_path())
    text = _script(carried, record)
    launcher = job.entry.launcher or options.launcher
    return Asked(text, params, record, launcher, code=code, policy=options.stale)


def tell_doubts(carried: carrier.Carried) -> None:
    """Warn of what a job may come to otherwise than the kernel would, once for each line."""
    for doubt in carried.doubts:
        warn(doubt)


def _json_text(record: JobRecord, what: str, data: Any) -> str:
    try:
        return files.params_text(data)
    except RecordError as error:
        raise ConfigError(f"{record.task}: {what} cannot be written as JSON: {error}") from error


_MISSING = object()
_CONTAINERS = (list, tuple, dict, set, frozenset, deque, MappingProxyType)
SECRET_CHARS = 6  # from which on a value may be one
MAX_KNOWN = 64  # sets of classes whose code is kept in memory


class _Stamp:
    """What a value is made of: tells it from another, and from what a cell made of it since.

    The parts are held, so that no other object gets the place of one.
    """

    __slots__ = ("_parts", "_text")

    def __init__(self, value: Any) -> None:
        parts, text = [value], ""
        if isinstance(value, type):
            kept = [pair for pair in vars(value).items() if not pair[0].startswith("__xpm_")]
            parts += [part for _, part in kept]
            text = " ".join(name for name, _ in kept)
        elif isinstance(value, FunctionType):
            parts += [value.__code__, value.__defaults__, value.__kwdefaults__]
            parts += [value.__closure__, *vars(value).values()]
        sizes = [size for part in [*parts] for size in _sizes(part, parts)]
        self._parts, self._text = parts, " ".join([text, *sizes])

    def is_of(self, value: Any) -> bool:
        """Tell whether a value is still the one that this was made of."""
        now = _Stamp(value)
        mine, theirs = self._parts, now._parts
        return len(mine) == len(theirs) and self._text == now._text and all(map(is_, mine, theirs))


def _sizes(value: Any, parts: list[Any]) -> Iterator[str]:
    """Give the sizes of a container and those inside it, and add what they hold to `parts`.

    Of arrays and the like it is what they come to. No code runs.
    """
    stack, seen = [value], set[int]()
    held: list[Any] = []  # so that no other gets the number of what was made here
    while stack:
        item = stack.pop()
        kind = type(item)
        if digest := numbers.digest(item):
            yield digest
        elif kind in NAMESPACES or is_open(item):
            item, kind = vars(item), dict
        elif is_data(item):
            item, kind = dict(fields_of(item)), dict
            held.append(item)
        known = kind.__module__ in ("builtins", "collections") and isinstance(item, _CONTAINERS)
        if not known or id(item) in seen:
            continue
        seen.add(id(item))
        inside = [*item, *item.values()] if isinstance(item, Mapping) else [*item]
        parts += inside
        stack += inside
        yield str(len(item))


class Carrier:
    """Carries the code of classes; that of the same classes once, as long as nothing changed.

    A sweep submits the same classes hundreds of times from one cell, and reading the cells takes
    milliseconds.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[type, ...], _Known] = {}

    def carry(self, task: Any, executed: ExecutedCells | None) -> carrier.Carried:
        """Give the code of a task's classes.

        Raises
        ------
        CarrierError
            Naming class, cell, variable and the way out.
        """
        carried = self.carry_classes(tuple(configs.classes_of(task)), executed)
        tell_doubts(carried)
        return carried

    def carry_classes(
        self, classes: tuple[type, ...], executed: ExecutedCells | None
    ) -> carrier.Carried:
        """Give the code of classes; raises as `carry` does."""
        space = vars(sys.modules["__main__"])
        numbers: Mapping[str, int] = {}
        texts: Mapping[int, str] | None = None
        if executed is not None:
            numbers, texts = executed()
        known = self._known.get(classes)
        # What is pickled may hold anything.
        if known is None or known.carried.unknown or not known.holds(texts):
            carried = carrier.carry(
                classes,
                namespace_globals=space,
                numbers=numbers,
                texts=texts,
                site=configs.site,
            )
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[classes] = _known(carried, classes, space, texts)
        return known.carried


@dataclass(frozen=True, slots=True)
class _Known:
    """Code that was carried, and what it was made from, as it was then."""

    carried: carrier.Carried
    classes: tuple[tuple[type, _Stamp], ...]
    names: tuple[tuple[Mapping[str, Any], str, _Stamp], ...]
    derived: tuple[type, ...]
    last: int

    def holds(self, texts: Mapping[int, str] | None) -> bool:
        """Tell whether nothing of it was bound or changed since."""
        if not all(stamp.is_of(cls) for cls, stamp in self.classes):
            return False
        if not all(stamp.is_of(space.get(name, _MISSING)) for space, name, stamp in self.names):
            return False
        names = {name for _, name, _ in self.names}
        new = [text for number, text in (texts or {}).items() if number > self.last]
        touched = (touch.name for text in new for some in touches(text) for touch in some)
        return not names.intersection(touched) and self.derived == _derived(self.carried)


def _derived(carried: carrier.Carried) -> tuple[type, ...]:
    """Give the classes derived from those that are carried, if its code asks for them."""
    asks = any(
        "__subclasses__" in piece.statement.reads.attributes
        for piece in carried.pieces
        if piece.statement is not None
    )
    found: dict[type, None] = {}
    for piece in carried.pieces if asks else ():
        for name in piece.binds:
            if isinstance(cls := piece.space.get(name), type) and cls.__module__ == "__main__":
                found.update(dict.fromkeys(type.__subclasses__(cls)))
    return tuple(found)


def _known(
    carried: carrier.Carried,
    classes: Iterable[type],
    space: Mapping[str, Any],
    texts: Mapping[int, str] | None,
) -> _Known:
    """Note what code was carried from: classes, what it binds, and all names that it reads."""
    names: dict[tuple[int, str], tuple[Mapping[str, Any], str]] = {
        (id(space), name): (space, name) for name in carried.names
    }
    for piece in carried.pieces:
        if piece.statement is not None:
            reads = piece.statement.reads
            for name in (*reads.now, *reads.later, *reads.hints):
                names[id(piece.space), name] = piece.space, name
    above = dict.fromkeys(base for cls in classes for base in cls.__mro__)
    ours = [cls for cls in above if cls.__module__ == "__main__"]
    return _Known(
        carried,
        tuple((cls, _Stamp(cls)) for cls in ours),
        tuple((where, name, _Stamp(where.get(name, _MISSING))) for where, name in names.values()),
        _derived(carried),
        max(texts or {}, default=0),
    )


def _json_value(value: Any) -> Any:
    """Give what a record can hold: plain values as they are, anything else as text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _json_tags(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Give tags as a record holds them."""
    return {str(name): _json_value(value) for name, value in tags.items()}
