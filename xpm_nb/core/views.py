"""Frozen copies of what the outside may see: the shapes of everything that is displayed.

A view is plain data: no method acts, nothing in it changes, `as_json` gives what a front-end gets.
Durations and times are plain numbers, seconds and seconds since the epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import PurePath
from typing import Any, NamedTuple

from xpm_nb.core.editing import edit as edit
from xpm_nb.core.editing import input_of, items_of
from xpm_nb.core.fields import FieldSpec
from xpm_nb.core.graph import added_dependencies, dependencies, tags_of
from xpm_nb.core.identifier import SCALARS, digest_of
from xpm_nb.core.names import plain_name, shorten, type_name
from xpm_nb.core.nodes import ConfigInfo, in_order, info, node_of, value_text
from xpm_nb.core.serial import equals_default, hashed_names
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.written import Written
from xpm_nb.core.written import items as written_items
from xpm_nb.core.written import walk as walk_written
from xpm_nb.errors import ConfigError, NoExperimentError, UnsetError


@dataclass(frozen=True, slots=True)
class ParamView:
    """One parameter of a config: a leaf has `text`, a nested config has `config`."""

    name: str
    kind: str  # "param", "meta", "constant"
    type: str  # the annotation as a person would write it
    text: str  # the value, cut at a sensible length; "" where `config` stands
    config: ConfigView | None = None
    default: bool = False  # the value equals the default
    hashed: bool = True  # it went into the identifier
    help: str = ""
    input: str = ""  # how it is edited: "int", "float", "bool", "choice", "text"; "" for not at all
    choices: tuple[str, ...] = ()  # for "choice"
    raw: str = ""  # for an input: the value in full, as it would be typed
    error: str = ""  # what is wrong with what was typed last


@dataclass(frozen=True, slots=True)
class ConfigView:
    """A config or task as a tree; a config met again is a `shared` stub without parameters."""

    name: str  # the class's name
    type_name: str  # the type name (lower case)
    identifier: str  # 64 hex digits, "" if it cannot be known yet
    note: str = ""  # why there is no identifier
    params: tuple[ParamView, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    dependencies: tuple[tuple[str, str], ...] = ()  # (task name, identifier) it needs done first
    shared: bool = False
    state: JobState | None = None  # of its job, once submitted
    stale: str = ""  # see `JobView`
    drift: str = ""  # see `JobView`
    number: int = 0  # of the configs of the tree, from 0 on; a shared stub has that of its original


class Said(NamedTuple):
    """Something that a callback printed, displayed or raised."""

    kind: str  # "out", "err", "display", "error"
    text: str
    image: str = ""  # a data URI, where an image was displayed


@dataclass(frozen=True, slots=True)
class JobView:
    """One job of an experiment."""

    key: str  # "<type name>/<identifier>": unique in a workspace
    identifier: str
    type_name: str
    name: str  # last dotted part of the type name, as on disk
    task: str  # the class's name, as the user wrote it
    state: JobState
    reason: FailureReason | None = None
    message: str = ""  # one or a few lines on what went wrong
    tags: tuple[tuple[str, str], ...] = ()
    dependencies: tuple[str, ...] = ()  # keys
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    progress: float | None = None  # fraction, 0 to 1
    progress_text: str = ""
    metrics: tuple[tuple[str, float], ...] = ()  # the latest value of each
    attempt: int = 1
    reused: bool = False  # it was done before this run asked for it
    elsewhere: bool = False  # another kernel started it
    earlier: bool = False  # submitted in an earlier run of the experiment, not (yet) in this one
    path: str = ""  # the job's directory, absolute
    launcher: str = "local"
    callback_error: str = ""  # the last exception of a completion callback
    said: tuple[Said, ...] = ()  # what its callbacks printed, displayed and raised, in order
    stale: str = ""  # why its result may not be what would be computed now: `freshness.Stale`
    unknown: tuple[str, ...] = ()  # classes that were pickled: their source is unknown
    drift: str = ""  # how the environment differs from that of its run, where that is notable

    def as_json(self) -> dict[str, Any]:
        """Give a dictionary of JSON values (enums by their value)."""
        plain: dict[str, Any] = _plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """An experiment with its jobs, in the order in which they were submitted."""

    name: str
    workspace: str
    namespace: str
    jobs: tuple[JobView, ...] = ()
    slots: int = 1
    counts: dict[str, int] = field(init=False, default_factory=dict)  # per state, none left out

    def __post_init__(self) -> None:
        found = Counter(job.state for job in self.jobs)
        object.__setattr__(self, "counts", {state.value: found[state] for state in JobState})

    @property
    def finished(self) -> bool:
        """No job will change by itself any more."""
        return all(job.state.idle for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Give a dictionary of JSON values (enums by their value)."""
        plain: dict[str, Any] = _plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class TableView:
    """Results of jobs: one row a job, a column for each tag and metric that varies or was asked."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]  # per column: aligned to the right
    keys: tuple[str, ...] = ()  # the job of each row
    caption: str = ""
    best: tuple[tuple[int, int], ...] = ()  # (row, column) of the best figure of each column
    hidden: tuple[tuple[str, str], ...] = ()  # constant columns left out: (name, value)


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A box of a graph: one job, or all jobs of one task."""

    key: str  # the job's key, or the task's name
    label: str
    sublabel: str  # identifier (8 digits), or how many jobs
    x: float  # the left upper corner, in units of a pixel
    y: float
    counts: tuple[tuple[str, int], ...]  # (state, how many jobs), none of them zero


@dataclass(frozen=True, slots=True)
class GraphView:
    """What needs what, laid out in layers from left to right."""

    by: str  # "task" or "job"
    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[int, int], ...]  # (needed, needing): numbers of nodes
    width: float  # of the whole, and of each box
    height: float
    box: tuple[float, float]
    # Per edge: points between its two boxes, at which it passes those of the layers in between.
    bends: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class CurveView:
    """One metric of one job over its steps."""

    key: str  # the job's
    label: str  # its tags, or its identifier
    metric: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One place at which two configs differ; None where a side has nothing there."""

    path: str  # "model.hidden", "models[1].depth"
    left: str | None
    right: str | None
    hashed: bool = True  # the place counts in the identifier
    type_only: bool = False  # the classes of two nested configs differ


@dataclass(frozen=True, slots=True)
class DiffView:
    """Where two configs differ: only leaves that do, in the order of the parameters."""

    left: tuple[str, str]  # (class name, identifier) of each side
    right: tuple[str, str]
    rows: tuple[DiffRow, ...]


@dataclass(frozen=True, slots=True)
class SourceView:
    """The code that a job ran, and how the cells of now differ from it."""

    task: str
    identifier: str
    parts: tuple[tuple[str, str], ...]  # where statements came from (``In[3]``), and their text
    changes: tuple[str, ...] = ()  # lines of a unified diff: from what ran to what is there now
    note: str = ""  # what there is to say of the present cells
    unknown: tuple[str, ...] = ()  # classes that were pickled: their source is unknown


class CodeRow(NamedTuple):
    """One part of a task's code in the tree of what uses what."""

    depth: int
    name: str  # "helper"
    where: str  # "In[3], line 2", or a file
    mark: str = ""  # "changed", "new", "gone"


class CodeChange(NamedTuple):
    """A part of a task's code that does not do the same any more."""

    name: str
    before: str  # where it stood, "" if it was not there
    now: str
    rows: tuple[tuple[str | None, str | None, bool], ...]  # (old line, new line, changed)


@dataclass(frozen=True, slots=True)
class WhyView:
    """Why a task's result is reused, or why not."""

    task: str  # the class's name
    identifier: str
    answer: str  # in a sentence
    details: tuple[str, ...] = ()  # further sentences
    nearest: DiffView | None = None  # the parameters that differ from the nearest earlier job
    code: tuple[CodeRow, ...] = ()
    changes: tuple[CodeChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of one running job use."""

    cpu: float  # processors: 1.0 is one that is fully used
    memory_mb: float


MAX_LEVELS = 8
MAX_CONFIGS = 200
MAX_ITEMS = 20
MAX_VALUE = 200  # characters


def describe(
    config: Any,
    namespace: str | None,
    *,
    editable: bool = False,
    errors: Mapping[str, str] | None = None,
) -> ConfigView:
    """Show a configuration as a tree, cut at a sensible depth and breadth.

    Parameters
    ----------
    config : config
        What to show.
    namespace : str or None
        That of the current experiment; without it, identifiers that need one are left out.
    editable : bool
        Say how values are typed (`edit` takes what was), where the configuration can still change.
    errors : mapping, optional
        What is wrong with what was typed last, by dotted path: the names of rows, with dots between
        (``models[1].depth``).
    """
    return _Describer(namespace, editable, errors or {}).top(info(config))


def _needed_by(node: ConfigInfo) -> list[ConfigInfo]:
    """Give the tasks that a task needs, those too that it was told to wait for."""
    added = filter(None, map(node_of, added_dependencies(node.config)))
    tasks = [*dependencies(node.config), *(one.task for one in added)]
    return list(dict.fromkeys(map(info, tasks)))


class _Describer:
    """One description: which configurations were shown, and how many more may be."""

    def __init__(self, namespace: str | None, editable: bool, errors: Mapping[str, str]) -> None:
        self.namespace, self.editable, self.errors = namespace, editable, errors
        self.shown: dict[ConfigInfo, int] = {}  # with their numbers

    def top(self, node: ConfigInfo) -> ConfigView:
        tags = tags_of(node.config, warn=False)
        needs = [(one.cls.__name__, self.identifier(one)[0]) for one in _needed_by(node)]
        return self.view(
            node,
            0,
            "",
            tags=tuple(
                (name, value if isinstance(value, str) else _text(value))
                for name, value in tags.items()
            ),
            dependencies=tuple(needs),
        )

    def view(self, node: ConfigInfo, level: int, path: str, **more: Any) -> ConfigView:
        identifier, note = self.identifier(node)
        try:
            name = type_name(node.cls, node.namespace or self.namespace)
        except NoExperimentError:
            name = plain_name(node.cls)
        shared = node in self.shown
        number = self.shown.setdefault(node, len(self.shown))
        state = getattr(node.job, "state", None)
        job = node.job.view() if hasattr(node.job, "view") else None
        return ConfigView(
            name=node.cls.__name__,
            type_name=name,
            identifier=identifier,
            note=note,
            params=() if shared else tuple(self.params(node, level, path)),
            shared=shared,
            state=state if isinstance(state, JobState) else None,
            stale=getattr(job, "stale", ""),
            drift=getattr(job, "drift", ""),
            number=number,
            **more,
        )

    def identifier(self, node: ConfigInfo) -> tuple[str, str]:
        """Give the identifier, or why there is none."""
        try:
            return digest_of(node, self.namespace, node_of).hex(), ""
        except NoExperimentError:
            return "", "identifier: once an experiment is open"
        except (ConfigError, UnsetError) as error:
            return "", f"no identifier: {error}"

    def params(self, node: ConfigInfo, level: int, path: str) -> Iterator[ParamView]:
        hashed = hashed_names(node)
        for spec in node.schema.fields.values():
            if spec.name not in node.values:
                text = "(not set)" if spec.required else "(later)"
                is_hashed = spec.name in hashed
                yield self.row(node, spec, spec.name, path=path, text=text, hashed=is_hashed)
                continue
            value = node.values[spec.name]
            row = partial(
                self.row,
                node,
                spec,
                path=path,
                hashed=spec.name in hashed,
                default=equals_default(spec, value),
            )
            for name, item in _some(spec.name, value):
                inner = node_of(item)
                if inner is None:
                    yield row(name, text=_text(item))
                elif level + 1 >= MAX_LEVELS or len(self.shown) >= MAX_CONFIGS:
                    yield row(name, text=f"{inner.cls.__name__}(…)")
                else:
                    yield row(name, config=self.view(inner, level + 1, f"{path}{name}."))

    def row(
        self,
        node: ConfigInfo,
        spec: FieldSpec,
        name: str,
        *,
        path: str,
        hashed: bool,
        text: str = "",
        default: bool = False,
        config: ConfigView | None = None,
    ) -> ParamView:
        typed = input_of(node, spec) if self.editable and name == spec.name else None
        kind, choices, raw = ("", (), "") if typed is None else typed
        return ParamView(
            name=name,
            kind="meta" if spec.meta else spec.kind,
            type=spec.type_text,
            text=text,
            config=config,
            default=default,
            hashed=hashed,
            help=spec.help_text,
            input=kind,
            choices=choices,
            raw=raw,
            error=self.errors.get(path + name, ""),
        )


def _some(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give the rows of a value, not too many."""
    items = items_of(name, value, MAX_ITEMS)
    if items is None:
        yield name, value
        return
    yield from islice(items, MAX_ITEMS)
    if len(value) > MAX_ITEMS:
        yield f"{name}[…]", _More(len(value) - MAX_ITEMS)


def describe_params(data: Mapping[str, Any]) -> ConfigView:
    """Show the configuration of a params.json, none of whose classes need be here.

    Types and help texts are not known. Damaged data gives a view with a `note`, never an error.
    """
    written = Written(data)
    if written.root is None:
        return ConfigView("?", "", "", note="the parameters of this job cannot be read")
    return _Reader(written).top(written.root)


class _Reader:
    """One description of what was written; see `_Describer`."""

    def __init__(self, written: Written) -> None:
        self.written = written
        self.shown: dict[int, int] = {}

    def top(self, number: int) -> ConfigView:
        written = self.written
        tags: dict[str, str] = {}
        for other in walk_written(written, number):
            for name, value in written.tags(other).items():
                tags.setdefault(
                    name, value if isinstance(value, str) else written.text(value, MAX_VALUE)
                )
        needs = tuple((written.name(n), written.identifier(n)) for n in _needed(written, number))
        return self.view(number, 0, tags=tuple(tags.items()), dependencies=needs)

    def view(self, number: int, level: int, **more: Any) -> ConfigView:
        written = self.written
        shared = number in self.shown
        shown_as = self.shown.setdefault(number, len(self.shown))
        identifier = written.identifier(number)
        return ConfigView(
            name=written.name(number),
            type_name=written.type_name(number),
            identifier=identifier,
            note="" if identifier else "no identifier in params.json",
            params=() if shared else tuple(self.params(number, level)),
            shared=shared,
            number=shown_as,
            **more,
        )

    def params(self, number: int, level: int) -> Iterator[ParamView]:
        for field_name, value in self.written.fields(number).items():
            mark = self.written.mark(number, field_name)
            for name, item in self.rows(field_name, value):
                inner = self.written.reference(item)
                text, config = "", None
                if inner is None:
                    text = item.text if isinstance(item, _More) else self.text(item)
                elif level + 1 >= MAX_LEVELS or len(self.shown) >= MAX_CONFIGS:
                    text = f"{self.written.name(inner)}(…)"
                else:
                    config = self.view(inner, level + 1)
                yield ParamView(
                    name, mark.kind, "", text, config, default=mark.default, hashed=mark.hashed
                )

    def rows(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        held = written_items(value)
        if held is None or all(
            self.written.reference(item) is None for _step, item in held.items[:MAX_ITEMS]
        ):
            yield name, value
            return
        for step, item in held.items[:MAX_ITEMS]:
            key = shorten(step, 40) if type(step) in SCALARS else self.written.text(step, 40)
            yield f"{name}[{key}]", item
        if len(held.items) > MAX_ITEMS:
            yield f"{name}[…]", _More(len(held.items) - MAX_ITEMS)

    def text(self, value: Any) -> str:
        held = written_items(value)
        if held is not None and len(held.items) > 100:
            some = self.written.text(value, 100)
            return f"{some} ({len(held.items)} items)"
        return self.written.text(value, MAX_VALUE)


def _needed(written: Written, root: int) -> list[int]:
    """Give the submitted tasks directly above a written one; see `graph.dependencies`."""
    found: dict[int, None] = {}
    seen: set[int] = set()
    pending = [root]
    while pending:
        number = pending.pop()
        if number in seen:
            continue
        seen.add(number)
        task = written.task(number)
        if number != root and task is not None:
            found[task] = None
            if task == number:
                continue
        pending += reversed(written.below(number))
    found.pop(root, None)
    return list(found)


class _More:
    def __init__(self, count: int) -> None:
        self.count = count

    @property
    def text(self) -> str:
        return f"{self.count} more"

    def __repr__(self) -> str:
        return self.text


def _text(value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (list, tuple, set, dict)) and len(value) > 100:
        some = list(islice(in_order(value) if isinstance(value, set) else value, 8))
        first = shorten(some, 100)
        return f"{first[:-1]}, …{first[-1]} ({len(value)} items)"
    return value_text(value, MAX_VALUE)


def as_json(view: Any) -> Any:
    """Give any view (or a collection of views) as JSON values, enums by their value."""
    return _plain(view)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value
