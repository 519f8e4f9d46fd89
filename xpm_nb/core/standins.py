"""Classes that stand in for those that are not there, so that what was written can be looked at.

A configuration of a stand-in shows its values and keeps its identifier; it can be compared, saved
again, and searched, but neither built nor submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from xpm_nb.core.config import Config
from xpm_nb.core.fields import DataPath, Meta, Param
from xpm_nb.core.names import place_text
from xpm_nb.core.nodes import node_of
from xpm_nb.errors import MissingClassError


def stand_in(document: Mapping[str, Any], module: str, qualname: str, typename: str) -> type:
    """Make a class with the name, and the parameters, that a document tells of.

    Parameters
    ----------
    document : Mapping
        What `serial` wrote.
    module, qualname, typename : str
        Of the class; the last is "" for an enum.
    """
    if not typename:
        return _enum(document, module, qualname)
    annotations: dict[str, Any] = {}
    for item in document["objects"]:
        if (item["module"], item["type"]) == (module, qualname):
            for name, value in item["fields"].items():
                if name.isidentifier() and not name.startswith("__"):
                    words = str(item.get("marks", {}).get(name, "")).split()
                    annotations[name] = _annotation(value, words)
    body: dict[str, Any] = {
        "__module__": module,
        "__qualname__": qualname,
        "__doc__": f"Stands in for {module}.{qualname}, which is not there.",
        "__xpmid__": typename,
        "__annotations__": annotations,
        "__validate__": _refuse,
    }
    return type(qualname.rpartition(".")[2], (Config,), body)


def _annotation(value: Any, words: list[str]) -> Any:
    if isinstance(value, dict) and value.get("type") == "path.serialized":
        return DataPath  # its file goes along when it is saved again
    kind: Any = Meta if "meta" in words else Param
    return kind[Any]


def _refuse(self: Any) -> None:
    node = node_of(self)
    assert node is not None
    name = f"{node.cls.__module__}.{node.cls.__qualname__}"
    raise MissingClassError(
        f"{name} is not there: what was loaded without it can only be looked at ({place_text()})",
        [name],
    )


def _enum(document: Mapping[str, Any], module: str, qualname: str) -> type:
    names: dict[str, str] = {}
    pending: list[Any] = [item["fields"] for item in document["objects"]]
    pending.append(document.get("data"))
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            if value.get("type") == "enum" and value.get("enum") == qualname:
                names[str(value.get("value"))] = str(value.get("value"))
    make: Any = Enum  # by its function, of which mypy knows constant names only
    return cast("type", make(qualname.rpartition(".")[2], names, module=module, qualname=qualname))
