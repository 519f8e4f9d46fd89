"""An exported package, tried before anybody gets it: written aside, and planned.

The trial is a process of its own, without IPython. It says of each task which identifier it has in
the package, and from what it would be made there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xpm_nb.core.freshness import Making
from xpm_nb.engine.codes import Codes
from xpm_nb.errors import ExportError
from xpm_nb.store import files, locks
from xpm_nb.store.files import write_text

TRIAL_S = 120.0

# Executed by the trial, after `where`, `name` and `answers`.
_TRIAL = """
import importlib, sys
sys.path[0] = where
import run
importlib.import_module({package!r})
assert "IPython" not in sys.modules, "the package imports IPython"
from xpm_nb import RunMode, experiment
from xpm_nb.engine import staging
with experiment(where + "/no-workspace", name, run_mode=RunMode.DRY_RUN) as xp:
    run.submit()
staging.answer(xp.jobs, answers)
"""


def answer(jobs: Iterable[Any], path: str) -> None:
    """Write down what jobs would be made from in this process: what the trial is for."""
    codes = Codes()
    for job in jobs:
        code = codes.of(job.latest, None)
        row = {"key": job.entry.paths.key, "fingerprint": code.fingerprint}
        files.append_line(Path(path), row | {"left_out": dict(code.left_out)})


@contextmanager
def staged(target: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    """Write files beside the target for a while, where what is said of that place holds too."""
    above = target.parent
    while not above.is_dir():
        above = above.parent
    try:
        made = Path(tempfile.mkdtemp(prefix=".xpm-export-", dir=above))
    except OSError as error:
        raise ExportError(f"cannot write in {above}: {error.strerror}") from error
    try:
        # As deep as the target: the script finds other places from where it is.
        stage = made.joinpath(*target.relative_to(above).parts[1:])
        stage.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            (stage / path).parent.mkdir(exist_ok=True)
            write_text(stage / path, text)
        yield stage
    finally:
        shutil.rmtree(made, ignore_errors=True)


def planned(stage: Path, package: str, experiment: str) -> dict[str, Making]:
    """Plan the tasks of a staged package in a fresh process.

    Returns
    -------
    dict[str, Making]
        By the keys that their jobs would have: from what they would be made.

    Raises
    ------
    ExportError
        The package does not work.
    """
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder, "answers")
        head = f"where, name, answers = {str(stage)!r}, {experiment!r}, {str(answers)!r}\n"
        try:
            code, said = run(
                [sys.executable, "-c", head + _TRIAL.format(package=package)], stage, TRIAL_S
            )
        except subprocess.TimeoutExpired:
            raise ExportError(f"the package could not be tried within {TRIAL_S:g} s") from None
        if code:
            last = "\n".join(said.strip().splitlines()[-8:])
            raise ExportError(f"the package does not work in a process of its own:\n{last}")
        return {str(row.get("key")): Making.of(row) for row in files.read_lines(answers)[0]}


def run(words: Sequence[str], stage: Path, timeout_s: float) -> tuple[int, str]:
    """Run a program in a staged package; give its exit code, and what it wrote as errors."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONSTARTUP"}
    with locks.no_forks():  # a fork of a cell would keep its streams open
        program = subprocess.Popen(
            words,
            cwd=stage,
            env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    with program:
        try:
            _, said = program.communicate(timeout=timeout_s)
        except BaseException:  # too long, or somebody interrupts the cell: nobody waits for it
            program.kill()
            raise
    return program.returncode, said
