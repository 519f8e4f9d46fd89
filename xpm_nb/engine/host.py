"""What surrounds us, if it is a notebook: its cells, its name, and how a wait is drawn there.

Filled by the notebook's side; elsewhere all of it is None, and nothing here changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

# Number of each file name of a cell's code, and executed text of each number.
ExecutedCells = Callable[[], tuple[Mapping[str, int], Mapping[int, str]]]
CellsSource = Callable[[], list[tuple[int, str]] | None]

cells_source: CellsSource | None = None  # the executed cells as they were typed
executed_cells: ExecutedCells | None = None  # as they were compiled
notebook_name: Callable[[], str] | None = None
on_wait: Callable[[Any], AbstractContextManager[Any]] | None = None  # draws while we wait


def notebook() -> str:
    """Give the notebook's file name, "" where it is not known."""
    return "" if notebook_name is None else notebook_name()


def compiled() -> tuple[Mapping[str, int], Mapping[int, str]] | None:
    """Give what `executed_cells` gives now, None where there are no cells."""
    return None if executed_cells is None else executed_cells()
