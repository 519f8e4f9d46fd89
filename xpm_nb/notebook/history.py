"""What the kernel remembers of executed cells, as the plain mappings that `code` works with.

IPython's compiler counts the file names it gives to cells, and its history keeps the executed text
(``!`` and ``%`` lines already turned into Python). Both go back to the kernel's first cell, also
when this package is loaded later; hooks such as ``pre_run_cell`` would see only what comes after.
"""

from __future__ import annotations

from typing import Any


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
        return dict(known), texts
    raw = shell.history_manager.input_hist_raw
    return {shell.compile.get_code_name(raw[n], texts[n], n): n for n in texts}, texts
