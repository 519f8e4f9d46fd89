"""The code of tasks as it is in this kernel now: carried, with its fingerprint.

Nothing here is written, and nothing is executed but the user's own texts of values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from xpm_nb.code import carrier, fingerprint
from xpm_nb.code.places import import_path
from xpm_nb.core import config as configs
from xpm_nb.engine.host import ExecutedCells
from xpm_nb.engine.submission import Carrier
from xpm_nb.errors import CarrierError
from xpm_nb.store.records import Code


class Codes:
    """Carries code and makes fingerprints, both once as long as nothing that counts has changed."""

    def __init__(self) -> None:
        self.carrier = Carrier()
        self._prints = fingerprint.Prints()

    def of(self, task: Any, executed: ExecutedCells | None) -> Code:
        """Give the code of a task with its fingerprint; it says so if that is not known."""
        return self.both(task, executed)[1]

    def both(
        self, task: Any, executed: ExecutedCells | None
    ) -> tuple[carrier.Carried | None, Code]:
        """Give what is carried of a task, None if it cannot be, and the code as `of` does."""
        own, needed = configs.own_classes(task)
        classes = tuple(configs.classes_of(task))
        return self._code(classes, own, needed, configs.left_out(task), executed)

    def now(
        self, before: Code, executed: ExecutedCells | None
    ) -> tuple[carrier.Carried | None, Code | None]:
        """Give the code that a job would have with the classes as they are by now.

        Parameters
        ----------
        before : Code
            What it has: its classes are looked up by their names.
        executed : callable or None
            Gives the cells.

        Returns
        -------
        tuple
            What is carried, None if that cannot be, and the code with its fingerprint; None if the
            classes are not defined here (any more).
        """
        own = _classes(root for root in before.roots if not root.startswith("-"))
        needed = _classes(root[1:] for root in before.roots if root.startswith("-"))
        if not own or None in own or None in needed:
            return None, None
        left_out = configs.defaults_now(before.left_out, own)
        return self._code((*own, *needed), own, needed, left_out, executed)

    def _code(
        self,
        classes: tuple[type, ...],
        own: tuple[type, ...],
        needed: tuple[type, ...],
        left_out: dict[str, str],
        executed: ExecutedCells | None,
    ) -> tuple[carrier.Carried | None, Code]:
        try:
            carried = self.carrier.carry_classes(classes, executed)
        except CarrierError as error:
            return None, Code(unknown=str(error), left_out=left_out)
        wanted = fingerprint.Wanted(carried, own, needed, import_path())
        return carried, self._prints.of(wanted, left_out)


def named(module: str, qualname: str) -> type | None:
    """Find a class by its module and name; None if it is not there."""
    value: Any = sys.modules.get(module)
    for name in qualname.split("."):
        value = getattr(value, name, None)
    return value if isinstance(value, type) else None


def _classes(roots: Iterable[str]) -> tuple[Any, ...]:
    """Find classes by module and name; None for one that is not there."""
    return tuple(named(*root.split(":", 1)) for root in roots)
