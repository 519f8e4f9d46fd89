"""Set up everything the tests need and run them all: ``python3 tests/run.py``.

Uses nothing but the standard library, so that it runs on a bare machine. It makes a virtual
environment of its own (``.venv-test``), installs the project with the extra ``test`` and runs the
steps below, every one even if an earlier one failed. The last lines say what passed, what failed
and what was skipped, and the exit code is 0 only if nothing failed.

    python3 tests/run.py              all steps
    python3 tests/run.py ruff pytest  some of them
    XPM_TEST_VENV=DIR                 use (or make) this environment instead
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("XPM_TEST_VENV", ROOT / ".venv-test"))
PYTHON = VENV / "bin" / "python"
CELL_TIMEOUT_S = 300


def install() -> None:
    """Make the environment, once for each content of pyproject.toml."""
    stamp = VENV / "installed-for"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"-- installing into {VENV}", flush=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-e", f"{ROOT}[test]"], check=True)
    stamp.write_text(wanted)


def nbval(workspace: str) -> list[str]:
    """Every example notebook, strictly compared with what is stored in it."""
    return [
        str(PYTHON), "-m", "pytest", "--nbval", "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "-p", "no:cacheprovider",
        "-o", "timeout=0", "-o", "testpaths=", "-W", "default",
        *sorted(str(p) for p in (ROOT / "notebooks").glob("*.ipynb")),
    ]  # fmt: skip


def steps(workspace: str) -> dict[str, list[str]]:
    """Name of each step and its command."""
    module = [str(PYTHON), "-m"]
    return {
        "ruff": [*module, "ruff", "check", "."],
        "format": [*module, "ruff", "format", "--check", "."],
        "mypy": [*module, "mypy"],
        "pytest": [*module, "pytest"],
        "nbval": nbval(workspace),
        "nbval, again": nbval(workspace),
    }


def main(names: list[str]) -> int:
    """Run the steps that are named, or all; give the exit code."""
    install()
    results: list[tuple[str, int, float]] = []
    with tempfile.TemporaryDirectory(prefix="xpm nb ' tests ") as workspace:
        environ = os.environ | {
            "XPM_NB_DETERMINISTIC": "1",
            "XPM_WORKSPACE": workspace,
            "PYTHONDONTWRITEBYTECODE": "1",
            "JUPYTER_PLATFORM_DIRS": "1",
        }
        plain = {k: v for k, v in environ.items() if not k.startswith("XPM_")}
        for name, command in steps(workspace).items():
            if names and name.split(",")[0] not in names:
                continue
            print(f"\n== {name}: {' '.join(command)}", flush=True)
            start = time.monotonic()
            env = environ if name.startswith("nbval") else plain
            # No test may depend on who started this, and IPython needs an open standard input.
            done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)
            results.append((name, done.returncode, time.monotonic() - start))
    print("\n== summary (skipped tests are listed with their reasons by pytest above)")
    for name, code, seconds in results:
        print(f"{'ok    ' if code == 0 else 'FAILED'} {name} ({seconds:.0f} s)")
    failed = sum(code != 0 for _, code, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
