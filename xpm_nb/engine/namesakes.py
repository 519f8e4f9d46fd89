"""Two notebooks that define one type name in one workspace: told when a task is submitted.

Their jobs would lie in one place under one name, and be taken for each other where values happen to
be equal. What a type name means is kept beside the caches of its configurations, with the notebook
that said so last. Editing a class in its own notebook is no news; nor is a notebook without a name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core.names import warn
from xpm_nb.engine import callbacks
from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Meaning


class Namesakes:
    """Looks at the classes that an experiment's tasks are made of, each once."""

    def __init__(self, workspace: Workspace, namespace: str, notebook: Callable[[], str]) -> None:
        self._workspace = workspace
        self._namespace = namespace
        self._notebook = notebook
        self._seen: set[type] = set()

    def check(self, classes: Iterable[type]) -> None:
        """Warn of classes whose type names another notebook uses for something else."""
        for cls in classes:
            if cls in self._seen or not hasattr(cls, "__xpm_config__"):
                continue
            self._seen.add(cls)
            if configs.needs_namespace(cls) and (notebook := self._notebook()):
                with contextlib.suppress(ConfigError):  # a name that no file can have
                    self._compare(cls, notebook)

    def _compare(self, cls: type, notebook: str) -> None:
        path = self._workspace.meaning(configs.type_name(cls, self._namespace))
        before, now = _known(path), Meaning(notebook, _fields(cls))
        if before == now:
            return
        if before is not None and before.notebook != notebook and before.fields != now.fields:
            warn(_clash(cls, self._namespace, before, now))
        root = self._workspace.root
        callbacks.current().put_chore(lambda: records.write_meaning(root, path, now))


def _known(path: Path) -> Meaning | None:
    try:
        return records.read_meaning(path)
    except RecordError:  # only a hint, which is written anew
        return None


def _fields(cls: type) -> dict[str, str]:
    """Say what parameters a class has: their kinds and types."""
    found: dict[str, str] = {}
    for name, spec in configs.schema_of(cls).fields.items():
        kind = "" if spec.kind == "param" else f"{spec.kind} "
        found[name] = f"{kind}{spec.type_text}"
    return found


def _clash(cls: type, namespace: str, before: Meaning, now: Meaning) -> str:
    other = before.notebook.rpartition("/")[2].removesuffix(".ipynb")
    return (
        f"two notebooks say what {configs.type_name(cls, namespace)} is: {before.notebook} that it"
        f" has {_words(before, now)}, and {now.notebook} that it has {_words(now, before)}. Their"
        f" jobs are kept under one name: open one of the two with namespace=, in another than"
        f" {namespace!r} (the name of {other}, say), or give the class another name"
    )


def _words(mine: Meaning, others: Meaning) -> str:
    differ: list[Any] = [
        f"{name}: {kind}" for name, kind in mine.fields.items() if others.fields.get(name) != kind
    ]
    return ", ".join(differ) or "no more than that"
