"""Compiled files that Python would take although their source says something else."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
import time

import pytest

from xpm_nb.code import modules, places


class Compiled:
    """A module, compiled a moment after it was written."""

    def __init__(self, folder):
        self.path = folder / "met.py"
        self.other = folder / "other.py"
        self.file = modules.cache_from_source(str(self.path))

    def write(self, text="X = 'a'\n", other="X = 'b'\n", **options):
        self.path.write_text(text)
        self.other.write_text(other)
        at = int(time.time()) * 10**9 - 10**10
        for path in (self.path, self.other):
            os.utime(path, ns=(at, at))
            self.settle(path)
        py_compile.compile(str(self.path), self.file, **options)
        self.settle(self.file)

    @staticmethod
    def settle(path):
        while places.look(str(path)).is_young(time.time_ns()):
            time.sleep(0.01)

    def said(self):
        """What Python says that imports it."""
        command = [sys.executable, "-B", "-c", "import met; print(met.X)"]
        done = subprocess.run(command, cwd=self.path.parent, capture_output=True, text=True)
        return done.stdout.strip()


@pytest.fixture
def compiled(tmp_path):
    return Compiled(tmp_path)


def again(one):
    """Write another text within the same second."""
    at = one.path.stat().st_mtime_ns
    one.path.write_text("X = 'b'\n")
    os.utime(one.path, ns=(at + 1, at + 1))


def moved(one):
    os.replace(one.other, one.path)


def linked(one):
    os.symlink(one.other, f"{one.other}.link")
    os.replace(f"{one.other}.link", one.path)


@pytest.mark.parametrize("act", [again, moved, linked])
def test_what_looks_the_same_to_python(compiled, act):
    compiled.write()
    assert not modules.drop_outdated(str(compiled.path))
    assert os.path.exists(compiled.file)
    act(compiled)
    assert compiled.said() == "a", "it is no more what the file says"
    assert modules.drop_outdated(str(compiled.path))
    assert compiled.said() == "b"
    assert not modules.drop_outdated(str(compiled.path))


def test_a_digest_that_python_does_not_look_at(compiled):
    compiled.write(invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert not modules.drop_outdated(str(compiled.path))
    assert os.path.exists(compiled.file)
    again(compiled)
    assert compiled.said() == "a"
    assert modules.drop_outdated(str(compiled.path))
    assert compiled.said() == "b"


def test_one_that_may_be_outdated_and_is_not(compiled):
    """It is made anew, and nobody need doubt what was imported."""
    compiled.write()
    compiled.path.chmod(0o600)
    assert not modules.drop_outdated(str(compiled.path))
    assert not os.path.exists(compiled.file)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 40, None])
def test_no_compiled_form_that_counts(compiled, content):
    compiled.write()
    if content is None:
        os.unlink(compiled.file)
    else:
        with open(compiled.file, "wb") as file:
            file.write(content)
    assert not modules.drop_outdated(str(compiled.path))
