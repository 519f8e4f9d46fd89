"""Configurations from configurations: copies, changes by dotted paths, grids; and their text."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar, cast

from xpm_nb.core import doors
from xpm_nb.core.fields import FieldSpec
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.forms import alternatives, bare
from xpm_nb.core.graph import identify, seal, walk_nodes
from xpm_nb.core.names import place_text, shorten, user_place
from xpm_nb.core.nodes import (
    ConfigInfo,
    Tagged,
    accept,
    convert,
    info,
    is_config,
    node_of,
    put,
    same_containers,
    unknown_name,
    value_text,
)
from xpm_nb.errors import ConfigError, ConfigTypeError, NoExperimentError, UnsetError

K = TypeVar("K")


def sealed_set(*configs: K) -> set[K]:
    """Seal configurations, and give the set of them."""
    for config in configs:
        seal(config)
    return set(configs)


def copyconfig(config: K, /, **changes: Any) -> K:
    """Copy a configuration, with other values for some parameters.

    Nested configurations are shared with the original. Generated values and the marks of a
    submission are dropped, tags are kept.
    """
    node = info(config)
    new = cast(Any, object.__new__(type(node.config)))
    copied = ConfigInfo(new, node.schema, {})
    new.__dict__["__xpm__"] = copied
    copied.place = user_place()
    for name, value in node.values.items():
        if node.schema.fields[name].generator is None:
            copied.values[name] = same_containers(value)
    copied.untagged = node.untagged
    copied.own_tags = {k: v for k, v in node.own_tags.items() if k not in changes}
    copied.meta = node.meta
    copied.pins, copied.bindings = node.pins, node.bindings
    for name, value in changes.items():
        put(copied, name, value)
    return cast(K, new)


def derive(config: Any, changes: Mapping[str, Any]) -> Any:
    """Copy a configuration with changes given by dotted paths: ``{"opt.lr": 1e-3}``."""
    own: dict[str, Any] = {}
    deeper: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        name, dot, rest = path.partition(".")
        if dot:
            deeper.setdefault(name, {})[rest] = value
        else:
            own[name] = value
    node = info(config)
    for name, inner in deeper.items():
        if name not in node.schema.fields:
            raise unknown_name(node.cls, name)
        base = own.get(name, node.values.get(name))
        if node_of(base) is None:
            raise ConfigError(
                f"{node.cls.__qualname__}.{name} is {shorten(base)}, which has no parameters"
                f" ({place_text()})"
            )
        if info(base).task is not None:
            raise ConfigError(
                f"{node.cls.__qualname__}.{name} comes from a submitted task: change that task and"
                f" submit it, then give its output ({place_text()})"
            )
        own[name] = derive(base, inner)
    return copyconfig(config, **own)


def deep_copy(root: ConfigInfo, memo: dict[int, Any]) -> Any:
    """Copy a whole graph; outputs of submitted tasks, and these tasks, are shared."""
    new: dict[ConfigInfo, Any] = {}
    for node in walk_nodes(root):
        marked = node.task is not None and node is not root
        new[node] = node.config if marked else copyconfig(node.config)
    for node, config in new.items():
        if config is not node.config:
            values = info(config).values
            for name, value in values.items():
                values[name] = _replaced(value, new)
    memo[id(root.config)] = new[root]
    return new[root]


def _replaced(value: Any, new: Mapping[ConfigInfo, Any]) -> Any:
    node = node_of(value)
    if node is not None:
        return new.get(node, value)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, new) for item in value)
    if isinstance(value, dict):
        return {key: _replaced(item, new) for key, item in value.items()}
    return value


def plug(outer: ConfigInfo, inner: Any) -> Any:
    """Set the one parameter of a configuration that takes another one."""
    fitting = []
    for name, spec in outer.schema.fields.items():
        for form in map(bare, alternatives(spec.form)):
            if form[0] == "config" and spec.kind != "constant":
                try:
                    accept(form[1], inner)
                except ValueError:
                    continue
                fitting.append(name)
                break
    name = outer.cls.__qualname__
    if len(fitting) != 1:
        what = "none" if not fitting else f"several ({', '.join(fitting)})"
        raise ConfigError(
            f"{name} @ {info(inner).cls.__qualname__}: one parameter of {name} must take it, there"
            f" are {what} ({place_text()})"
        )
    put(outer, fitting[0], inner)
    return outer.config


def grid(base: Any, /, **axes: Any) -> list[Any]:
    """Make a configuration for each combination of values, tagged with what varies.

    Parameters
    ----------
    base : type or config
        A class (``Learn`` or ``Learn.C``) or a configuration to derive from.
    **axes
        A list, tuple or range varies; anything else is the same for all. Two underscores go into a
        nested configuration: ``model__hidden=[32, 64]``. A parameter that is a list itself takes a
        list of lists: ``sizes=[[8, 8], [16]]``.

    Returns
    -------
    list of configs
        The last axis varies fastest.

    Raises
    ------
    ConfigTypeError
        The base is neither.
    ConfigError
        A value does not fit, or a list is no list of values.

    Examples
    --------
    >>> grid(Learn, lr=[1e-3, 1e-4], model__hidden=[32, 64])  # doctest: +SKIP
    """
    if node_of(base) is None and not isinstance(base, type):
        raise ConfigTypeError(
            f"grid() takes a class of a config or task, or a config to derive from, not"
            f" {shorten(base)} ({place_text()})"
        )
    cls = info(base).cls if node_of(base) is not None else base.__dict__.get("__xpm_class__", base)
    if not hasattr(cls, "__xpm_config__"):
        raise ConfigTypeError(
            f"grid(): {cls.__qualname__} is no class of a config or task ({place_text()})"
        )
    varying = {name: list(v) for name, v in axes.items() if isinstance(v, (list, tuple, range))}
    for name, axis in varying.items():
        _check_axis(cls, name, axis)
    fixed = {name: value for name, value in axes.items() if name not in varying}
    made = []
    for values in itertools.product(*varying.values()):
        chosen = dict(zip(varying, values, strict=True))
        config = _from_axes(base, fixed | chosen)
        for name, value in chosen.items():
            plain = value.value if isinstance(value, Tagged) else value
            info(config).own_tags[name.replace("__", ".")] = plain, user_place()
        made.append(config)
    return made


def _check_axis(cls: type, name: str, values: list[Any]) -> None:
    """Refuse one value of a parameter that is a list, where a list of values is meant."""
    spec = schema_of(cls).fields.get(name)
    if spec is None or not _fits(cls, spec, values):
        return
    if not values or not all(_fits(cls, spec, value) for value in values):
        raise ConfigError(
            f"grid({cls.__qualname__}): {name}={shorten(values)} is one value of {spec.type_text},"
            f" and a list of values is needed: write {name}=[{shorten(values)}] ({place_text()})"
        )


def _fits(cls: type, spec: FieldSpec, value: Any) -> bool:
    try:
        convert(cls, spec, value.value if isinstance(value, Tagged) else value)
    except ConfigError:
        return False
    return True


def _from_axes(base: Any, values: Mapping[str, Any]) -> Any:
    if node_of(base) is not None:
        return derive(base, {name.replace("__", "."): value for name, value in values.items()})
    cls = base.__dict__.get("__xpm_class__", base)
    own: dict[str, Any] = {}
    deeper: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, dot, rest = path.partition("__")
        if dot and name in schema_of(cls).fields:
            deeper.setdefault(name, {})[rest] = value
        else:
            own[path] = value
    for name, inner in deeper.items():
        own[name] = _from_axes(_start(cls, schema_of(cls).fields[name], own, inner), inner)
    return cls.C(**own)


def _start(cls: type, spec: FieldSpec, own: Mapping[str, Any], inner: Mapping[str, Any]) -> Any:
    """Give what a nested configuration is derived from: what is given, the default, its class."""
    start = own.get(spec.name)
    if start is None and spec.has_default:
        start = spec.factory() if spec.factory is not None else spec.default
    if node_of(start) is not None:
        return start
    kinds = [form[1] for form in map(bare, alternatives(spec.form)) if form[0] == "config"]
    if len(kinds) == 1:
        return kinds[0]
    name, what = spec.name, "no configuration" if not kinds else "one of several configurations"
    raise ConfigError(
        f"grid({cls.__qualname__}, {name}__{next(iter(inner))}=…): {name} is {what}; give the one"
        f" to begin with, {name}=….C(…) ({place_text()})"
    )


# -- text


def text_of(config: Any, *, limit: int = 160) -> str:
    """Give the text of a configuration: ``Learn(lr=0.001, model=CNN(hidden=64)) [1f3a9c02]``."""
    node = info(config)
    text = _text(node, 4)
    if len(text) > limit:
        text = f"{text[: limit - 2]}…)"
    try:
        return f"{text} [{identify(config, doors.submitter.namespace()).short}]"
    except (ConfigError, UnsetError, NoExperimentError):
        return text


def _text(node: ConfigInfo, depth: int) -> str:
    """Write a node down to some depth (so that the recursion is shallow)."""
    name = node.cls.__name__
    if depth == 0:
        return f"{name}(…)" if node.values else f"{name}()"
    shown = [
        f"{spec.name}={_value_text(node.values[spec.name], depth)}"
        for spec in node.schema.fields.values()
        if spec.name in node.values and spec.generator is None
    ]
    return f"{name}({', '.join(shown)})"


def _value_text(value: Any, depth: int) -> str:
    inner = node_of(value)
    if inner is not None:
        return _text(inner, depth - 1)
    if isinstance(value, (list, tuple)) and depth:
        items = [_value_text(item, depth - 1) for item in itertools.islice(value, 8)]
        more = ["…"] if len(value) > 8 else []
        left, right = ("[", "]") if isinstance(value, list) else ("(", ")")
        return f"{left}{', '.join(items + more)}{right}"
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, (set, dict)) and any(map(is_config, _flat(value))):
        return "{…}"
    return value_text(value, 60)


def _flat(value: Iterable[Any]) -> list[Any]:
    return [*value, *value.values()] if isinstance(value, dict) else list(value)
