"""Exported files put in order by ruff, as far as they stay the program that the cells are.

Rule 1: nobody's settings count. The code of a notebook is not to be changed because a file above
the place it is exported to asks for changes of code.
Rule 2: of what the user wrote, ruff sorts the imports and leaves out those that nothing needs. What
else it finds there is marked in its line.
Rule 3: what it made is compared with what it was given, and dropped if it says something else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from xpm_nb.code import tidied
from xpm_nb.engine import staging
from xpm_nb.store.files import write_text

TIDY_S = 60.0
REASON = "as in the notebook"

_SORT = ("check", "--fix", "--select", "I")
_FEWER = ("check", "--fix", "--select", "I,F401")
_DEFAULTS = ("check", "--fix", "--extend-select", "I,F401")


class _Ruff:
    """The program, where it is installed."""

    def __init__(self, stage: Path) -> None:
        beside = os.path.dirname(sys.executable)
        self._stage = stage
        self._program = shutil.which("ruff", path=beside) or shutil.which("ruff")

    def __call__(self, *words: str) -> bool:
        """Run it in the stage; tell whether it could do what it was asked for."""
        if self._program is None:
            return False
        quiet = ("--quiet", "--isolated", "--no-cache")
        careful = ("--no-unsafe-fixes", "--exit-zero") if words[0] == "check" else ()
        try:
            code, _ = staging.run([self._program, *words, *quiet, *careful], self._stage, TIDY_S)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return code == 0


def tidy(
    stage: Path, ours: Iterable[str], theirs: Iterable[str], apart: Sequence[Collection[str]]
) -> None:
    """Put staged files in order.

    Parameters
    ----------
    stage
        The directory.
    ours, theirs
        Files in it: those that the export has made up, and those with the user's statements.
    apart
        Modules beside the notebook: see `tidied.unsorted`.
    """
    ruff = _Ruff(stage)
    for name in (*ours, *theirs):
        mine = name in ours
        path = stage / name
        for tries in ((_DEFAULTS,) if mine else (_FEWER, _SORT), (("format",),)):
            before = path.read_text("utf-8")
            for words in tries:
                ruff(*words, name)
                after = path.read_text("utf-8")
                if after == before or mine or tidied.same_program(before, after):
                    break
                write_text(path, before)
        if not mine:
            _mark(ruff, path, name, apart)


def _mark(ruff: _Ruff, path: Path, name: str, apart: Sequence[Collection[str]]) -> None:
    """Say in the lines of the user's code which rules they do not keep."""
    before = path.read_text("utf-8")
    write_text(path, tidied.unsorted(before, apart))
    words = ("check", "--extend-select", "I", name)
    ruff(*words, f"--add-noqa={REASON}") or ruff(*words, "--add-noqa")  # older ones give no reason
    if not tidied.same_program(before, path.read_text("utf-8")):
        write_text(path, before)
