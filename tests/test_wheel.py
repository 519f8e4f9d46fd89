"""What is installed is whole: the wheel carries the notebooks, the type marker and nothing odd."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_wheel_carries_notebooks_and_types(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "xpm_nb/py.typed" in names
    assert "xpm_nb/notebooks/01_first_experiment.ipynb" in names
    assert not [
        n for n in names if n.startswith("tests") or "__pycache__" in n or n.endswith(".pyc")
    ]
    assert {n.split("/")[0].split("-")[0] for n in names} == {"xpm_nb"}
