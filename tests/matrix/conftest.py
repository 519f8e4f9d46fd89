"""Kernels of several versions: each lies in a folder of its own that comes first on their path.

``python3 tests/run.py matrix`` makes these folders and says where they are; then a version that is
not there is a failure. Without it, the kernels that are not there are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernels.conftest import Kernel, Lab

CURRENT = "current"
VERSIONS = ("6.31.0", "7.1.0", CURRENT)
FOLDER = Path(__file__).resolve().parents[2] / ".venv-test" / "kernels"


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(tmp_path: Path, version: str) -> Iterator[Lab]:
    """Give a folder for kernels of one version."""
    lab = Lab(tmp_path)
    if version != CURRENT:
        given = os.environ.get("XPM_TEST_KERNELS")
        folder = Path(given or FOLDER) / version
        if not (folder / "ipykernel").is_dir():
            text = f"there is no ipykernel {version} in {folder.parent}"
            if given:
                pytest.fail(text)
            pytest.skip(f"{text}: `python3 tests/run.py matrix` makes it")
        lab.env["PYTHONPATH"] = f"{folder}{os.pathsep}{lab.env['PYTHONPATH']}"
    yield lab
    for kernel in lab.kernels:
        kernel.stop()
    lab.end_jobs()


@pytest.fixture
def kernel_of(lab: Lab, version: str) -> Callable[[], Kernel]:
    """Give what starts a kernel, and makes sure that it is of the version that was asked for."""

    def start() -> Kernel:
        kernel = lab.kernel()
        found = kernel.value("__import__('ipykernel').__version__")
        assert version == CURRENT or found == version
        return kernel

    return start
