"""Every static display against the one that was looked at; valid, and readable without style.

``XPM_WRITE_GOLDEN=1`` writes the files anew: look at what changed.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.notebook import samples
from tests.notebook.reading import read, strictly, without_style
from xpm_nb.notebook import html

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "displays"
NAMES = list(samples.bundles())


@pytest.fixture(scope="module")
def bundles():
    """All displays, as they are in Greenwich."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        found = samples.bundles()
    time.tzset()
    return found


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("XPM_WRITE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_display_is_the_one_that_was_looked_at(bundles, name):
    bundle = bundles[name]
    compare(f"{name}.txt", bundle["text/plain"])
    page = bundle["text/html"]
    compare(f"{name}.html", page.replace(html.style(), "/* xpm.css */"))
    compare(f"{name}.read.txt", read(page))


def test_there_is_no_file_without_a_display():
    names = {path.name.partition(".")[0] for path in GOLDEN.iterdir()}
    assert names == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_display_is_valid(bundles, name):
    page = bundles[name]["text/html"]
    strictly(page)
    assert "<script" not in page
    assert not re.search(r"(?:href|src)=\"(?!data:image/)", page)
    assert "url(" not in page


@pytest.mark.parametrize("name", NAMES)
def test_text_is_few_lines_without_space_at_their_ends(bundles, name):
    text = bundles[name]["text/plain"]
    assert text
    assert len(text.splitlines()) <= 12
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "\x1b" not in text


def test_without_style_the_experiment_says_all_that_matters(bundles):
    text = without_style(bundles["experiment"]["text/html"])
    for fact in (
        "digits 6 jobs ✓ 2 done ✗ 2 error ▶ 1 running ○ 1 waiting about 3 min left",
        "▶ running (started by another kernel)",
        "62% tree 5 of 8",
        "ValueError: no such kernel",
        "✗ error (failed, as above)",
        "printed accuracy 0.98 with C=1",
        "stderr UserWarning: few points",
        "raised ✗ In[7], line 3, in report",
        "constant: data=digits",
        "graph: 6 jobs",
        "curves: loss, accuracy",
        "workspace /home/me/xpm-workspace , as of 00:00:40",
        f"open it again: {samples.BACK}",
    ):
        assert fact in text


@pytest.mark.parametrize("name", [name for name in NAMES if "stable" in name])
def test_stable_displays_hold_no_path_and_no_time(bundles, name):
    for text in bundles[name].values():
        assert "/home/me" not in text
        assert not re.search(r"\d\d:\d\d", text)
