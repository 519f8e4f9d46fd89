"""From a number to the code that made it: the script of a job, read again.

What ran stands in the job's directory. The cells of now are asked only when somebody looks at the
difference.
"""

from __future__ import annotations

import difflib
import sys
from functools import cached_property
from typing import Any

from xpm_nb.code import carrier
from xpm_nb.core import config as configs
from xpm_nb.core import doors
from xpm_nb.core.views import JobView, SourceView
from xpm_nb.core.written import Written
from xpm_nb.engine import host
from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import files, records
from xpm_nb.store.layout import JobPaths


class Source:
    """The code that a job ran; displayed with colours, and with what has changed since.

    Attributes
    ----------
    script : str
        The whole text of the job's script.
    code : str
        Its statements alone: what the job took from cells, as they would stand in one cell.
    parts : tuple[tuple[str, str], ...]
        The same by where they came from: ``("In[3]", "def helper(): …")``.
    """

    def __init__(self, paths: JobPaths, view: JobView) -> None:
        text = files.read_text(paths.script)
        if text is None:
            raise RecordError(f"{paths.script} is missing: nothing says what {view.task} runs")
        self._paths = paths
        self._view = view
        self._read = carrier.read(text)
        self.script = text
        self.code = self._read.code
        self.parts = self._read.parts

    def __str__(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return "\n\n".join(f"# --- {name}\n{text}" for name, text in self.parts).rstrip("\n")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    @property
    def cell(self) -> str:
        """The statements as a cell that may be executed, with a line that says what they are."""
        head = f"# {self._view.task} {self._view.identifier[:8]}, as it ran\n"
        return head + self.code if self._read.futures else f"{head}\n{self.code}"

    def diff(self) -> str:
        """Give how the cells of now differ from what ran, as a unified diff; "" if they do not.

        Raises
        ------
        CarrierError, RecordError
            If that cannot be told: a class is not in this kernel, or could not be carried now.
        """
        return "".join(f"{line}\n" for line in self._changes)

    @cached_property
    def _changes(self) -> tuple[str, ...]:
        cells = host.compiled()
        now = carrier.carry(
            self._classes(),
            namespace_globals=vars(sys.modules["__main__"]),
            numbers={} if cells is None else cells[0],
            texts=None if cells is None else cells[1],
            site=configs.site,
        )
        present = carrier.Read(now.futures, carrier.parts(now.source))
        before, after = carrier.aligned(self.code, present.code)
        lines = difflib.unified_diff(before, after, "what ran", "the cells now", lineterm="")
        return tuple(lines)

    def _classes(self) -> list[type]:
        """Give the classes of now that have the names of the job's."""
        found: list[type] = []
        written = Written(records.read_params(self._paths))
        for item in written.objects.values():
            module, name = str(item.get("module")), str(item.get("type"))
            value: Any = sys.modules.get(module)
            for part in name.rpartition("<locals>.")[2].split("."):
                value = getattr(value, part, None)
            if not isinstance(value, type):
                where = "this kernel" if module == "__main__" else f"the module {module}"
                raise RecordError(f"{name} is not in {where} (any more)")
            found.append(value)
        return found

    def view(self) -> SourceView:
        """Give a frozen copy of what is shown."""
        changes: tuple[str, ...] = ()
        try:
            changes = self._changes
            note = "changed since" if changes else "the cells still say the same"
        except XpmError as error:
            note = f"what has changed since is not known: {error}"
        return SourceView(
            self._view.task, self._view.identifier, self.parts, changes, note, self._view.unknown
        )
