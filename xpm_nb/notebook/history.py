"""What the kernel remembers of executed cells, for those who must know without knowing IPython.

IPython's compiler counts the file names it gives to cells, and its history keeps the executed text
(``!`` and ``%`` lines already turned into Python). Both go back to the kernel's first cell, also
when this package is loaded later; hooks such as ``pre_run_cell`` would see only what comes after.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from xpm_nb.code.cells import notebook_run


def executed_cells(shell: Any) -> tuple[dict[str, int], dict[int, str]]:
    """Give the cells that a shell has executed.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        What ``get_ipython()`` gives.

    Returns
    -------
    numbers : dict[str, int]
        The execution number of each file name under which a cell was compiled; that of the last
        time when equal text was executed again.
    texts : dict[int, str]
        The executed text of each execution number.
    """
    texts = {n: text for n, text in enumerate(shell.history_manager.input_hist_parsed) if text}
    known = getattr(shell.compile, "_filename_map", None)
    if known is not None:
        return _with_run(known, texts), texts
    raw = shell.history_manager.input_hist_raw
    return {shell.compile.get_code_name(raw[n], texts[n], n): n for n in texts}, texts


def _with_run(known: Mapping[str, int], texts: Mapping[int, str]) -> dict[str, int]:
    """Add the cells of notebooks that were executed by ``%run``.

    IPython compiles them apart and counts them nowhere; Python's cache of lines has them in order.
    They are of the cell that has run the notebook.
    """
    runs = [n for n, text in texts.items() if notebook_run(text)]
    if not runs:
        return dict(known)
    folders = {os.path.dirname(name) for name in known if not name.startswith("<")}
    found: dict[str, int] = {}
    last = 0
    for name, entry in list(linecache.cache.items()):
        if name in known:
            last = known[name]
        elif len(entry) > 1 and entry[1] is None and _is_cells(name, folders):  # of no file
            found[name] = next((n for n in runs if n >= last), runs[-1])
    return dict(known) | found


def _is_cells(filename: str, folders: Collection[str]) -> bool:
    return os.path.dirname(filename) in folders or filename.startswith("<ipython-input-")


class Cells(Mapping[str, int]):
    """The cells of this session: for the file name of a cell's code, its last execution's number.

    ipykernel names a cell's file by a hash of its text and of the process, IPython by text and
    number: the shell's compiler knows which is which in both.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._known: Mapping[str, int] = shell.compile._filename_map
        # What a cell magic runs has a file name of its own: number and first line of its cell.
        self._nested: dict[str, tuple[int, int]] = {}
        self._ids: dict[int, str] = {}  # execution number -> the front-end's id of the cell
        running = getattr(shell.displayhook, "exec_result", None)  # of the cell that loads us
        cell_id = getattr(getattr(running, "info", None), "cell_id", None)
        if cell_id:
            self._ids[self.now] = cell_id

    def __getitem__(self, filename: str) -> int:
        nested = self._nested.get(filename)
        return self._known[filename] if nested is None else nested[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def now(self) -> int:
        """The number of the latest cell, which is the one that runs if one does.

        The shell's own counter does not tell: it is raised after a cell up to IPython 8, before it
        from 9 on.
        """
        return len(self.shell.history_manager.input_hist_raw) - 1

    def before(self, info: Any) -> None:
        """Take note of the cell that is about to run (IPython's event ``pre_run_cell``)."""
        if not info.store_history:  # a magic such as %%capture runs the rest of its cell
            before = self._typed(self.now).partition(info.raw_cell.strip())[0]
            self._nested[self._filename(info)] = (self.now, before.count("\n"))
            return
        if self._nested:
            self._nested.pop(self._filename(info), None)
        if getattr(info, "cell_id", None):  # None in headless runs
            self._ids[self.now + 1] = info.cell_id

    def _filename(self, info: Any) -> str:
        text = getattr(info, "transformed_cell", None) or info.raw_cell
        return str(
            self.shell.compile.get_code_name(info.raw_cell, text, self.shell.execution_count)
        )

    def _typed(self, number: int) -> str:
        texts: Sequence[str] = self.shell.history_manager.input_hist_raw
        return texts[number] if 0 <= number < len(texts) else ""  # none without a history

    def place(self, filename: str, lineno: int) -> str:
        """Write a place in words: ``In[7], line 2``, as an editor counts lines."""
        if filename in self._nested:
            number, first = self._nested[filename]
        elif filename in self._known:
            number = self._known[filename]
            text = self._typed(number)
            first = text[: len(text) - len(text.lstrip())].count("\n")  # IPython drops empty lines
        else:
            return f"{filename}:{lineno}"
        return f"In[{number}], line {lineno + first}"

    def cell_of(self, filename: str) -> tuple[str, int]:
        """Give what stays the same when a cell is run again, and the number of this execution."""
        number = self.get(filename)
        cell_id = None if number is None else self._ids.get(number)
        return cell_id or filename, self.now

    def executed(self) -> list[tuple[int, str]] | None:
        """Give number and text of all cells that were executed, as they were typed.

        None at the end of a terminal, whose history is gone by then.
        """
        if self.shell.history_manager is None:
            return None
        texts: Sequence[str] = self.shell.history_manager.input_hist_raw
        return [(number, text) for number, text in enumerate(texts) if number and text.strip()]
