"""The public names: sorted, all there, and nothing heavy loaded by importing the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import xpm_nb

HEAVY_FOR_IMPORT = ("IPython", "ipywidgets", "anywidget", "asyncio")


def test_all_is_sorted_and_complete():
    assert list(xpm_nb.__all__) == sorted(xpm_nb.__all__)
    for name in xpm_nb.__all__:
        assert getattr(xpm_nb, name) is not None
    assert set(xpm_nb.__all__) <= set(dir(xpm_nb))


def test_public_classes_are_documented():
    undocumented = [n for n in xpm_nb.__all__ if not getattr(getattr(xpm_nb, n), "__doc__", "")]
    assert not undocumented


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        xpm_nb.no_such_name  # noqa: B018


@pytest.mark.slow
def test_importing_loads_nothing_heavy():
    code = f"import sys, xpm_nb; print([m for m in {HEAVY_FOR_IMPORT} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
