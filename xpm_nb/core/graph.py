"""What is done with a whole graph of configurations: walk, validate, seal, identify, mark, build.

Rule: nothing recurses. A chain of 5,000 nested configurations goes through every function here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias, cast

from xpm_nb.core import doors
from xpm_nb.core.fields import Partial
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.identifier import SCALARS, Identifier, digest_of
from xpm_nb.core.names import local_name, place_text, repr_of, shorten, user_place
from xpm_nb.core.names import warn as warn_user
from xpm_nb.core.nodes import (
    MUTABLE,
    ConfigInfo,
    Tagged,
    Untagged,
    bind_variables,
    children,
    convert,
    default_of,
    in_order,
    info,
    is_config,
    is_default,
    nested,
    node_of,
    prepare_schema,
    same,
    tagged_below,
    value_text,
)
from xpm_nb.errors import ConfigError, ConfigTypeError, FrozenError

# -- going through a graph


def walk_nodes(root: ConfigInfo, *, producers: bool = False) -> list[ConfigInfo]:
    """Give each node once, those below first, the root last."""
    return walk_all([root], producers=producers)


def walk_all(roots: Sequence[ConfigInfo], *, producers: bool = False) -> list[ConfigInfo]:
    """Give each node below some of them once, and them; those below first."""
    order: list[ConfigInfo] = []
    seen: set[ConfigInfo] = set()
    for root in roots:
        if root not in seen:
            order += _walk(root, lambda node: _below(node, producers), seen)
    return order


def _new_nodes(root: ConfigInfo) -> list[ConfigInfo]:
    """Give the nodes, those below first, without submitted tasks and what is below these.

    All that comes before a submission was done for those at their own.
    """
    return _walk(root, lambda node: [child for child in children(node) if not child.submitted])


def to_prepare(task: Any) -> list[Any]:
    """Give what is to be made ready before a task: its `Prepare` configurations.

    Those of tasks that it needs are made ready before these.

    Raises
    ------
    ConfigTypeError
        One of them does not say how.
    """
    found = [node for node in _new_nodes(info(task)) if hasattr(node.cls, "__xpm_prepare__")]
    for node in found:
        if "__xpm_prepare__" in vars(_owner(node.cls, "prepare")):
            raise ConfigTypeError(f"{node.cls.__qualname__} has no method prepare(self): write one")
    return [node.config for node in found]


def _owner(cls: type, name: str) -> type:
    """Give the class of which another has an attribute."""
    return next(base for base in cls.__mro__ if name in vars(base))


def _walk(
    root: ConfigInfo,
    below: Callable[[ConfigInfo], Sequence[ConfigInfo]],
    seen: set[ConfigInfo] | None = None,
) -> list[ConfigInfo]:
    order: list[ConfigInfo] = []
    seen = set() if seen is None else seen
    seen.add(root)
    stack: list[tuple[ConfigInfo, Iterator[ConfigInfo]]] = [(root, iter(below(root)))]
    while stack:
        node, rest = stack[-1]
        for child in rest:
            if child not in seen:
                seen.add(child)
                stack.append((child, iter(below(child))))
                break
        else:
            stack.pop()
            order.append(node)
    return order


def _below(node: ConfigInfo, producers: bool) -> Sequence[ConfigInfo]:
    below = children(node)
    if producers and (producer := node.producer_node()) is not None:
        return [*below, producer]
    return below


def walk(config: Any, *, producers: bool = False) -> list[Any]:
    """Give each distinct configuration of a graph once, those below first, `config` last.

    Parameters
    ----------
    config : config
        Where to begin.
    producers : bool
        Also go from an output to the task that produces it (which need not be part of the graph).
    """
    return [node.config for node in walk_nodes(info(config), producers=producers)]


def classes_of(config: Any) -> list[type]:
    """Give the classes that a job of this configuration needs: of configs, instances and enums."""
    root = info(config)

    def below(node: ConfigInfo) -> Sequence[ConfigInfo]:
        return () if node is not root and node.classes is not None else children(node)

    found: dict[type, None] = {}
    for node in _walk(root, below):
        if node is not root and node.classes is not None:
            found.update(dict.fromkeys(node.classes))
        else:
            found[node.cls] = None
            found[value_class(node.cls)] = None  # it says so itself, where it is defined
            found.update(dict.fromkeys(_enums(node.values.values())))
    if root.submitted:
        root.classes = tuple(found)
    return list(found)


def own_classes(config: Any) -> tuple[tuple[type, ...], tuple[type, ...]]:
    """Give the classes of a task's own code, and the tasks' classes of what it needs done first.

    Those of configurations below a task that was submitted are the task's own too: its code may
    use them. Only what such a task executes is a matter of its own job.
    """
    root = info(config)
    own: dict[type, None] = {}
    needed: dict[type, None] = {}
    for node in _new_nodes(root):
        own.update(dict.fromkeys((node.cls, value_class(node.cls))))
        own.update(dict.fromkeys(_enums(node.values.values())))
        for child in children(node):
            if child.submitted:
                needed.update(dict.fromkeys(child.classes or (child.cls,)))
    for cls in needed:
        if not getattr(cls, "__xpm_task__", False):
            own[cls] = None
    return tuple(own), tuple(cls for cls in needed if cls not in own)


def left_out(config: Any) -> dict[str, str]:
    """Give the parameters that the identifier leaves out because they have their default, as text.

    What belongs to a task that was submitted is a matter of its own. Names are ``Class.parameter``.
    """
    found: dict[str, str] = {}
    for node in _new_nodes(info(config)):
        for spec in node.schema.ordered:
            value = node.values.get(spec.name, spec)
            counts = spec.ignore_default and spec.kind != "constant" and not spec.unhashed
            if counts and value is not spec and is_default(spec, value):
                found[f"{local_name(node.cls)}.{spec.name}"] = value_text(value, 10_000)
    return dict(sorted(found.items()))


def defaults_now(names: Iterable[str], classes: Iterable[type]) -> dict[str, str]:
    """Give the present defaults of parameters (``Class.parameter``), as `left_out` does.

    Of a class or parameter that is not there any more, the text says so.
    """
    schemas = {local_name(cls): schema_of(cls) for cls in classes if hasattr(cls, "__xpm_config__")}
    for known in schemas.values():
        if not known.checked:
            prepare_schema(known)
    found: dict[str, str] = {}
    for name in names:
        owner, _, parameter = name.rpartition(".")
        spec = schemas[owner].fields.get(parameter) if owner in schemas else None
        has_one = spec is not None and (spec.has_default or spec.optional)
        found[name] = value_text(default_of(spec), 10_000) if spec and has_one else "(none)"
    return found


def _enums(values: Iterable[Any]) -> Iterator[type]:
    """Give the enums of values, also inside containers."""
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, Enum):
            yield type(value)
        elif isinstance(value, (list, tuple, set)):
            pending += value
        elif isinstance(value, dict):
            pending += (*value.keys(), *value.values())


# -- before a submission


def validate(config: Any) -> None:
    """Check that every required parameter has a value, and call ``__validate__``, children first.

    Containers are checked once more: elements may have been added.

    Raises
    ------
    ConfigError
        For a missing value, naming its path; what the user's ``__validate__`` raises goes through,
        with a note that says of which configuration.
    """
    root = info(config)
    nodes = _new_nodes(root)
    for node in nodes:
        for spec in node.schema.fields.values():
            if spec.name not in node.values and spec.required:
                path = path_to(root, node)
                raise ConfigError(
                    f"{node.unset_message(spec)}, at {path}.{spec.name} ({place_text()})"
                )
            if not node.sealed and type(node.values.get(spec.name)) in MUTABLE:
                # It may have been changed since it was set.
                node.values[spec.name] = convert(node.cls, spec, node.values[spec.name])
        if not node.sealed:
            bind_variables(node)  # those of what lies below may have been bound since
    for node in nodes:
        check = getattr(node.config, "__validate__", None)
        if check is None:
            continue
        try:
            check()
        except Exception as error:  # a border: the user's method
            if node is not root:
                where = f"{path_to(root, node)} of {root.cls.__qualname__}"
                error.add_note(f"{shorten(node.config)}, at {where}, is not valid ({place_text()})")
            raise


def path_to(root: ConfigInfo, target: ConfigInfo) -> str:
    """Say how to get from a root to a node: ``$.model.layers[2]``."""
    ways: dict[ConfigInfo, tuple[ConfigInfo, str] | None] = {root: None}
    queue = deque([root])
    while queue and target not in ways:
        node = queue.popleft()
        for step, child in steps(node):
            if child not in ways:
                ways[child] = node, step
                queue.append(child)
    text = ""
    way = ways.get(target)
    while way is not None:
        text = way[1] + text
        way = ways[way[0]]
    return "$" + text


def steps(node: ConfigInfo) -> list[tuple[str, ConfigInfo]]:
    """Give the configurations below a node with how they are reached (``.layers[2]``)."""
    found: list[tuple[str, ConfigInfo]] = []
    pending: list[tuple[str, Any]] = [
        (f".{name}", node.values[name]) for name in node.schema.fields if name in node.values
    ]
    pending += [(f" (init task {i})", task) for i, task in enumerate(node.init_tasks)]
    pending.reverse()
    while pending:
        way, value = pending.pop()
        if type(value) in SCALARS:
            continue
        inner = node_of(value)
        if inner is not None:
            found.append((way, inner))
        elif isinstance(value, (list, tuple)):
            pending.extend((f"{way}[{i}]", v) for i, v in reversed(list(enumerate(value))))
        elif isinstance(value, set):
            pending.extend((f"{way}{{{i}}}", v) for i, v in enumerate(in_order(value)))
        elif isinstance(value, dict):
            pending.extend((f"{way}[{repr_of(k)}]", v) for k, v in reversed(value.items()))
    return found


Shared: TypeAlias = Callable[[ConfigInfo, Partial], PurePath]
"""Names the directory that a configuration shares with those of the same partial identifier."""


def seal(config: Any, root: PurePath | None = None, shared: Shared | None = None) -> None:
    """Freeze a configuration with all that lies below it.

    Values of `Meta` parameters with a factory are made now. Generated paths get their place under
    `root`; without it they stay unknown until a later call names one.

    Parameters
    ----------
    config : config
        What to freeze.
    root : PurePath, optional
        The directory of generated paths (a job's).
    shared : callable, optional
        Names the directories of generated paths with a partial; by default they are as others.
    """
    top = info(config)
    if root is not None and top.root is None:
        top.root = root
    seen: set[ConfigInfo] = set()
    taken: set[PurePath] = set()
    pending: list[tuple[ConfigInfo, _Way]] = [(top, None)]
    while pending:
        node, way = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if not node.sealed:
            for spec in node.schema.fields.values():
                if spec.factory is not None and spec.name not in node.values:
                    node.values[spec.name] = convert(node.cls, spec, spec.factory())
            node.sealed = True
        if root is not None and node.schema.generated:
            folder = _folder(root, way, taken)
            for spec in node.schema.generated:
                if spec.generator is not None and spec.name not in node.values:
                    part = spec.generator.partial
                    own = part is None or shared is None
                    place = folder if own else shared(node, part)  # type: ignore[misc,arg-type]
                    node.values[spec.name] = place / spec.generator.name
        if node is not top and node.submitted and (root is None or node.root is not None):
            continue  # that was done when it was submitted
        # The first way to a shared node, in order of declaration, is the one that counts.
        pending.extend((child, (way, step)) for step, child in reversed(steps(node)))


_Way: TypeAlias = "tuple[_Way, str] | None"
"""How a node is reached: the way to the one above, and the step from there."""

_WORDS = re.compile(r"[\w-]+")


def _folder(root: PurePath, way: _Way, taken: set[PurePath]) -> PurePath:
    """Give the directory of the generated paths of a nested config.

    ``$.model.d['k'][0]`` is ``out/model/d/k/0``, as in experimaestro.
    """
    if way is None:
        return root
    words: list[str] = []
    while way is not None:
        way, step = way
        words[:0] = [word[:80] for word in _WORDS.findall(step)]
    folder = first = root.joinpath("out", *words)
    number = 2
    while folder in taken:  # two keys that differ in other characters only
        folder, number = first.with_name(f"{first.name}-{number}"), number + 1
    taken.add(folder)
    return folder


def shared_places(task: Any, shared: Shared) -> list[PurePath]:
    """Give the directories that a task shares with others while it runs, its main one first.

    Raises
    ------
    ConfigError
        A partial is no attribute of a class.
    """
    root = info(task)
    found: dict[PurePath, None] = {}
    partials = list(root.schema.partials().values())
    if partials:
        found[shared(root, partials[0])] = None
    for node in _new_nodes(root):
        for spec in node.schema.generated:
            part = spec.generator.partial if spec.generator is not None else None
            if part is None:
                continue
            if not part.name:
                raise ConfigError(
                    f"{node.cls.__qualname__}.{spec.name}: its partial has no name: write it as an"
                    f" attribute of the class, `name = partial(…)` ({place_text()})"
                )
            found[shared(node, part)] = None
    return list(found)


def generated_paths(config: Any) -> dict[str, PurePath]:
    """Give the generated paths of a graph that are known, by how they are reached."""
    root = info(config)
    found = {}
    for node in walk_nodes(root):
        for spec in node.schema.generated:
            if spec.name in node.values:
                found[f"{path_to(root, node)}.{spec.name}"] = node.values[spec.name]
    return found


def identify(config: Any, namespace: str | None) -> Identifier:
    """Give the identifier of a configuration.

    That of a submitted task is fixed, whatever the namespace.

    Raises
    ------
    NoExperimentError
        If a class of a notebook takes part and `namespace` is None.
    ConfigError
        If a value cannot be hashed; the message names its path.
    """
    node = info(config)
    try:
        return Identifier(digest_of(node, namespace, node_of))
    except ConfigError as error:
        raise ConfigError(f"{node.cls.__qualname__}: {error} ({place_text()})") from None


# -- tasks, their outputs, and what they depend on


def set_init_tasks(task: Any, init_tasks: Sequence[Any]) -> None:
    """Note the init tasks of a submission.

    Raises
    ------
    ConfigError
        If the task has been submitted with other ones.
    """
    node = info(task)
    for item in init_tasks:
        if not is_config(item) or not hasattr(info(item).cls, "__xpm_light__"):
            raise ConfigTypeError(
                f"init_tasks of {node.cls.__qualname__}: {shorten(item, 60)} is no LightweightTask"
                f" ({place_text()})"
            )
    if not node.submitted:
        node.init_tasks = tuple(init_tasks)
    elif len(init_tasks) != len(node.init_tasks) or not all(map(same, init_tasks, node.init_tasks)):
        before, now = ("[" + ", ".join(map(repr, t)) + "]" for t in (node.init_tasks, init_tasks))
        raise ConfigError(
            f"{node.cls.__qualname__} was submitted with init_tasks={before}, and now with {now}:"
            f" copy() it to submit it once more ({place_text()})"
        )


def prepare(task: Any, namespace: str | None, init_tasks: Sequence[Any] = ()) -> Identifier:
    """Do all that comes before a job is known: init tasks, checks, sealing, identifier.

    A task that has been submitted already gives its identifier again.

    Raises
    ------
    ConfigError
        For missing or unhashable values, a value of a task's paths that is not marked as its
        output, or init tasks that differ from those of an earlier submission.
    NoExperimentError
        If a namespace is needed and None.
    """
    node = info(task)
    set_init_tasks(task, init_tasks)
    if not node.submitted:
        for one in (node, *node.init_nodes()):
            _check_execute(one.cls)
        validate(task)
        check_paths(task)
        seal(task)
    return identify(task, namespace)


_NEVER_RUNS = {
    0x80: "a coroutine function",
    0x20: "a generator",
    0x200: "an asynchronous generator",
}
"""What a function is whose body a call does not run, by the flag of its code."""


def _check_execute(cls: type) -> None:
    """Refuse a task that a job could not execute.

    Raises
    ------
    ConfigTypeError
        Naming the class.
    """
    execute = getattr(cls, "execute", None)
    if execute is None:
        raise ConfigTypeError(
            f"{cls.__qualname__} has no execute: write `def execute(self)` in it ({place_text()})"
        )
    flags = getattr(getattr(execute, "__code__", None), "co_flags", 0)
    for flag, what in _NEVER_RUNS.items():
        if flags & flag:
            raise ConfigTypeError(
                f"{cls.__qualname__}.execute is {what}: a job would never run its body"
                f" ({place_text()})"
            )


def mark_submitted(
    task: Any,
    *,
    job: Any,
    identifier: Identifier,
    namespace: str | None,
    root: PurePath | None = None,
    shared: Shared | None = None,
) -> None:
    """Fix what a submission decides: the identifier, the job, and where generated paths lie."""
    node = info(task)
    node.job, node.namespace, node.task = job, namespace, task
    node.freeze(identifier.all)
    node.classes = tuple(classes_of(task))
    if root is not None:
        node.shared = () if shared is None else tuple(shared_places(task, shared))
        for place in (root, *node.shared):
            _JOB_ROOTS[str(place)] = node.cls.__qualname__
        seal(task, root, shared)


def do_later(task: Any, job: Any) -> None:
    """Do with the job of a task what was asked for before it was submitted."""
    node = info(task)
    acts, node.later = node.later, []
    for act in acts:
        act(job)


_JOB_ROOTS: dict[str, str] = {}
"""Directories of the jobs submitted by this process, with the names of their tasks."""


def _places(node: ConfigInfo) -> set[str]:
    """Give the directories in which a task's generated paths lie."""
    return {str(node.root), *map(str, node.shared)}


def output(task: Any) -> Any:
    """Give what a submitted task gives to others: the value of its ``task_outputs``.

    Raises
    ------
    ConfigError
        If something is marked that is another task's output, or a returned configuration holds
        paths of the task without being marked.
    """
    node = info(task)
    make = getattr(node.cls, "task_outputs", None)
    if make is None:
        return task
    value = make(task, lambda config: _mark(node, config))
    if node.root is not None:
        _check_output(node, value)
    return value


def early_output(task: Any, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Give the value of a method of a task that has reported it as an output, and still runs.

    Raises
    ------
    ConfigError
        As `output` does.
    """
    node = info(task)
    method = getattr(node.cls, name, None)
    if not callable(method):
        raise ConfigError(f"{node.cls.__qualname__} has no method {name!r}, which its job reported")

    def mark(config: Any) -> Any:
        known = node_of(config)
        early = known is not None and (known.early or known.task is None)
        _mark(node, config, name)
        if known is not None and known is not node:
            known.early = early  # what task_outputs has marked waits for the end, as before
        return config

    value = method(task, mark, *args, **options)
    if node.root is not None:
        _check_output(node, value, name)
    return value


def _mark(node: ConfigInfo, config: Any, method: str = "task_outputs") -> Any:
    name = f"{node.cls.__qualname__}.{method}"
    found = node_of(config)
    if found is None:
        raise ConfigTypeError(
            f"{name}: dep() takes a configuration, not {shorten(config, 60)}"
            f" ({type(config).__qualname__}); wrap it in one"
        )
    if found is not node:
        if found.task is not None and found.task is not node.config:
            owner = info(found.task)
            if owner.known_digest(None) != node.known_digest(None):  # not the same job, once more
                raise ConfigError(
                    f"{name}: {found.cls.__qualname__} is already an output of"
                    f" {owner.cls.__qualname__} ({place_text()})"
                )
        if hasattr(found.cls, "__xpm_task__"):
            raise ConfigError(
                f"{name}: {found.cls.__qualname__} is a task of its own: submit it ({place_text()})"
            )
        found.mark(node.config)
        found.early = False
    return config


def _check_output(node: ConfigInfo, value: Any, method: str = "task_outputs") -> None:
    bad: list[str] = []
    places = _places(node)
    for top in nested([value]):
        seen = {top}
        pending = [] if top.task is not None else [top]
        while pending:
            inner = pending.pop()
            bad += [
                f"{inner.cls.__qualname__}.{name} = {path}"
                for name, path in _paths(inner)
                if any(str(parent) in places for parent in (path, *path.parents))
            ]
            for child in children(inner):
                if child not in seen and child.task is None:
                    seen.add(child)
                    pending.append(child)
    if bad:
        raise ConfigError(
            _unmarked(node.cls.__qualname__, f"{node.cls.__qualname__}.{method}", bad)
        )


def _unmarked(producer: str, where: str, bad: Iterable[str]) -> str:
    listing = "\n".join(f"  {line}" for line in bad)
    return (
        f"{where} holds paths that {producer} generates, but nothing that is marked as its"
        f" output:\n{listing}\nThe identifier would be the same whatever made them, and nothing"
        f" would wait for {producer}. Either wrap them: {producer}.task_outputs(self, dep) returns"
        " dep(SomeConfig.C(path=…)), and that is passed on; or give an output that loads them as an"
        f" init task: submit(init_tasks=[…]) ({place_text()})"
    )


def _paths(node: ConfigInfo) -> list[tuple[str, PurePath]]:
    """Give the paths among the values of a node, also inside containers."""
    found: list[tuple[str, PurePath]] = []
    pending = [(name, value) for name, value in node.values.items() if type(value) not in SCALARS]
    while pending:
        name, value = pending.pop()
        if isinstance(value, PurePath):
            found.append((name, value))
        elif isinstance(value, (list, tuple, set)):
            pending.extend((name, item) for item in value)
        elif isinstance(value, dict):
            pending.extend((name, item) for item in value.values())
    return found


def check_paths(task: Any) -> None:
    """Refuse paths that another job generates where nothing says that this one needs that job.

    Raises
    ------
    ConfigError
        Listing the paths and the two ways out.
    """
    if not _JOB_ROOTS:
        return
    top = info(task)
    suspects: dict[str, list[str]] = {}
    for node in _new_nodes(top):
        for name, path in _paths(node):
            for parent in (path, *path.parents):
                if str(parent) in _JOB_ROOTS:
                    line = f"{path_to(top, node)}.{name} = {path}"
                    suspects.setdefault(str(parent), []).append(line)
    if not suspects:
        return
    known = _places(top)
    known.update(*(_places(info(one)) for one in dependencies(task, early=True)))
    if not suspects.keys() <= known:
        known.update(*(_places(info(one)) for one in _all_needed(task)))
    for root, lines in suspects.items():
        if root not in known:
            raise ConfigError(_unmarked(_JOB_ROOTS[root], top.cls.__qualname__, lines))


def _all_needed(task: Any) -> list[Any]:
    needed: dict[int, Any] = {}
    pending = dependencies(task, early=True)
    while pending:
        one = pending.pop()
        if id(one) not in needed:
            needed[id(one)] = one
            pending += dependencies(one, early=True)
    return list(needed.values())


def dependencies(task: Any, *, early: bool = False) -> list[Any]:
    """Give the submitted tasks that a task needs done first, each once, in order.

    They are found through parameters, containers and init tasks; what those tasks need in turn is
    not looked at. With `early`, also those of which it only has what they reported while they run.
    """
    root = info(task)
    found: dict[int, Any] = {}
    seen: set[ConfigInfo] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if node is not root and node.task is not None:
            if early or not node.early:
                found.setdefault(id(node.task), node.task)
            if node.task is node.config:
                continue
        pending += reversed(children(node))
    return [needed for needed in found.values() if needed is not task]


def add_dependencies(task: Any, more: Sequence[Any]) -> None:
    """Note what a task is to wait for beside what it holds.

    Raises
    ------
    ConfigTypeError
        It can be no dependency.
    ConfigError
        It was not submitted, or the task has been.
    """
    node = info(task)
    name = node.cls.__qualname__
    for one in more:
        if any(one is known or one == known for known in node.added):
            continue
        found = node_of(one)
        if found is None and not hasattr(type(one), "__xpm_dependency__"):
            raise ConfigTypeError(
                f"{name}: {shorten(one, 60)} can be no dependency: a submitted task, an output of"
                f' one, or xp.token("name", 2).dependency(1) is needed ({place_text()})'
            )
        if found is not None and (found.task is None or info(found.task).job is None):
            raise ConfigError(
                f"{name}: a {found.cls.__qualname__} that was not submitted can be no dependency:"
                f" submit it first ({place_text()})"
            )
        if node.submitted:
            raise ConfigError(
                f"this {name} was submitted already: add dependencies before, or copy() it"
                f" ({place_text()})"
            )
        node.added = (*node.added, one)


def added_dependencies(task: Any) -> tuple[Any, ...]:
    """Give what a task was told to wait for: submitted tasks, outputs, jobs, units of tokens."""
    return info(task).added


# -- tags


def tag(value: Any) -> Any:
    """Mark a value, where it is given to a parameter, as one to read results by.

    ``Learn.C(lr=tag(1e-3))`` has the tag ``lr`` = 0.001. Tags never change an identifier.
    """
    return Tagged(value.value if isinstance(value, Tagged) else value, user_place())


def stop_tags(value: Any) -> Any:
    """Let the tags below a value go no further, where it is given to a parameter.

    ``Evaluate.C(model=stop_tags(model))`` has none of the tags of ``model``, which keeps them.
    """
    return Untagged(value.value if isinstance(value, Untagged) else value)


def tags_of(config: Any, *, warn: bool = True) -> dict[str, Any]:
    """Give all tags of a graph; of two with one name the nearest wins, with a warning.

    Tags of the tasks that produce what lies below count too.
    """
    root = info(config)
    clashes: list[str] = []
    found: dict[str, tuple[Any, tuple[str, int]]] = {}
    seen = {root}
    queue = deque([root])
    while queue:
        node = queue.popleft()
        for name, (value, place) in node.own_tags.items():
            if name not in found:
                found[name] = value, place
            elif warn and not same(found[name][0], value):
                first, first_place = found[name]
                clashes.append(
                    f"tag {name!r} of {root.cls.__qualname__} has two values: {shorten(first)}"
                    f" ({doors.place(*first_place)}) is kept, {shorten(value)}"
                    f" ({doors.place(*place)}) is left out"
                )
        producer = node.producer_node()
        for child in (*tagged_below(node), *([] if producer is None else [producer])):
            if child not in seen:
                seen.add(child)
                queue.append(child)
    if clashes:  # one warning, however many there are
        more = len(clashes) - 1
        warn_user(clashes[0] + (f"; as are {more} more of its tags' values" if more else ""))
    return {name: value for name, (value, _place) in found.items()}


def tagspath(config: Any) -> str:
    """Write all tags of a configuration as one part of a path: ``lr=0.001_model=cnn``.

    They stand in order of name; a slash in a name or a value becomes ``-``.
    """
    found = tags_of(config)
    return "_".join(f"{name}={found[name]}".replace("/", "-") for name in sorted(found))


# -- instances


def build_instance(
    config: Any,
    *,
    objects: dict[ConfigInfo, Any] | None = None,
    taskdir: Any = None,
    maindir: Any = None,
    tags: dict[str, Any] | None = None,
) -> Any:
    """Build the live object of a configuration, and of all below it.

    Shared configurations give shared objects, loops are closed. Every object is made (``cls()``)
    before any gets its attributes, and ``__post_init__`` is called last, children first.

    Parameters
    ----------
    config : config
        What to build.
    objects : dict, optional
        Objects built before, which are used again; the new ones are added.
    taskdir, maindir, tags : optional
        What the object of `config` itself finds in ``__taskdir__``, ``__maintaskdir__`` (by default
        the same) and ``__tags__``.
    """
    objects = {} if objects is None else objects
    root = info(config)
    new: list[ConfigInfo] = []
    for node in _to_build(root, objects):
        objects[node] = value_class(node.cls)()
        new.append(node)
    if taskdir is not None:
        vars(objects[root]).update(
            __taskdir__=taskdir, __maintaskdir__=maindir or taskdir, __tags__=dict(tags or {})
        )
    for node in new:
        made = objects[node]
        vars(made)["__xpmconfig__"] = node.config
        for name, value in node.values.items():
            setattr(made, name, _live(value, objects))
    for node in new:
        finish = getattr(objects[node], "__post_init__", None)
        if finish is not None:
            finish()
    return objects[root]


def build_value(value: Any) -> Any:
    """Give a value with live objects in the place of its configurations (see `build_instance`)."""
    objects: dict[ConfigInfo, Any] = {}
    for node in nested([value]):
        build_instance(node.config, objects=objects)
    return _live(value, objects)


def _to_build(root: ConfigInfo, objects: dict[ConfigInfo, Any]) -> list[ConfigInfo]:
    order: list[ConfigInfo] = []
    if root in objects:
        return order
    seen = {root}
    stack = [(root, iter(nested(root.values.values())))]
    while stack:
        node, rest = stack[-1]
        for child in rest:
            if child not in seen and child not in objects:
                seen.add(child)
                stack.append((child, iter(nested(child.values.values()))))
                break
        else:
            stack.pop()
            order.append(node)
    return order


def _live(value: Any, objects: dict[ConfigInfo, Any]) -> Any:
    """Give a value with instances in the place of configurations."""
    if type(value) in SCALARS:
        return value
    node = node_of(value)
    if node is not None:
        return objects[node]
    if isinstance(value, (list, tuple, set)):
        return type(value)(_live(item, objects) for item in value)
    if isinstance(value, dict):
        return {_live(key, objects): _live(item, objects) for key, item in value.items()}
    return value


def value_class(cls: type) -> type:
    """Give the class of the instances of a config class (its ``XPMValue``)."""
    return cast("type", vars(cls).get("__xpm_value__", cls))


def set_value_class(cls: type, value: Any) -> None:
    """Have the instances of a config class be of another class.

    Raises
    ------
    ConfigTypeError
        If it does not derive from the class, or from a value class of its parents.
    """
    name = cls.__qualname__
    shown = getattr(value, "__qualname__", None) or shorten(value)
    if not isinstance(value, type) or value is cls or not issubclass(value, cls):
        raise ConfigTypeError(
            f"{shown} is no value class of {name}: derive one from it, `class"
            f" {cls.__name__}Value({name})` ({place_text()})"
        )
    if "__xpm_class__" in vars(value):
        raise ConfigTypeError(
            f"{shown} is no value class of {name}: it makes configurations ({place_text()})"
        )
    for parent in cls.__mro__[1:]:
        other = vars(parent).get("__xpm_value__")
        if other is not None and not issubclass(value, other):
            raise ConfigTypeError(
                f"{shown}: a value class of {name} must derive from {other.__qualname__} too, the"
                f" value class of {parent.__qualname__} ({place_text()})"
            )
    type.__setattr__(cls, "__xpm_value__", value)


def set_meta(config: Any, meta: bool | None) -> Any:
    """Say whether a configuration counts as `Meta` where it is used; see `setmeta`."""
    node = info(config)
    if node.meta is not meta:
        if node.sealed:
            raise FrozenError(
                f"setmeta: this {node.cls.__qualname__} is sealed; copy() it first ({place_text()})"
            )
        node.meta = meta
    return config
