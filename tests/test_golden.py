"""The golden identifiers, as their definitions compute them: in a dry run of an experiment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.slow
def test_a_dry_run_gives_all_68(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import vectors_defs; vectors_defs.main('found.json')"],
        cwd=tmp_path,
        env={
            **os.environ,
            "XPM_VECTORS_PACKAGE": "xpm_nb",
            "PYTHONPATH": f"{GOLDEN.parents[1]}:{GOLDEN}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["vectors"]
    expected = json.loads((GOLDEN / "vectors.json").read_text())["vectors"]
    assert len(found) == 68
    assert {name: v["identifier"] for name, v in found.items()} == {
        name: v["identifier"] for name, v in expected.items()
    }
