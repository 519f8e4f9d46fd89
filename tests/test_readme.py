"""What the README shows is what happens: its cell is run in a real kernel, its tables are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.conftest import Lab
from xpm_nb.core.states import JobState
from xpm_nb.notebook import magics

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return found[0]


def block_of_tree() -> str:
    return README.partition("```\nxpm-workspace/\n")[2].partition("```")[0]


@pytest.mark.slow
def test_the_cell_gives_its_output(tmp_path):
    lab = Lab(tmp_path)
    try:
        kernel = lab.kernel(load=False)
        for _ in range(2):
            answer = kernel.run(block("python"))
            assert answer.stdout == block("text")
            assert answer.stderr == ""
        tables = [d for d in answer.displays if "<table" in d.get("text/html", "")]
        assert len(tables) == 1
        assert len(lab.started()) == 3
        assert set(lab.started().values()) == {1}
        (folder, *_) = lab.workspace.glob("jobs/circles.pi/*/")
        for name in ("pi.py", "params.json", "pi.out", "pi.err", "pi.done", ".experimaestro"):
            assert name in block_of_tree()
            assert (folder / name).exists()
        (run, *_) = lab.workspace.glob("experiments/circles/xpm_nb/*/")
        for name in ("jobs.jsonl", "environment.json", "cells.ipynb"):
            assert name in block_of_tree()
            lab.wait_for((run / name).exists)  # it is written when nobody waits
    finally:
        for kernel in lab.kernels:
            kernel.stop()
        lab.end_jobs()


def test_the_verbs_are_those_of_the_magic():
    listed = set(re.findall(r"`%xpm (\w+)", README))
    assert listed == set(magics.VERBS)


def test_the_states_are_those_of_jobs():
    line = next(line for line in README.splitlines() if line.startswith("A job is *unscheduled*"))
    assert set(re.findall(r"\*(\w+)\*", line)) == {s.value for s in JobState}


def test_the_commands_are_there():
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[lab,examples]'" in README
    assert "&& .venv/bin/xpm-nb demo" in README
    assert "    python3 tests/run.py" in README


def test_what_is_promised_has_its_test():
    promised = README.partition("## What we promise")[2].partition("\n## ")[0]
    rows = [line for line in promised.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 5
    root = Path(__file__).parent.parent
    for row in rows:
        command = row.rpartition("| `")[2].removesuffix("` |")
        names = re.findall(r"tests/[\w/]+(?:\.py)?", command)
        assert names, row
        for name in names:
            assert (root / name).exists(), row


def test_links_lead_somewhere():
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (root / target).exists(), target
