"""What a name of a module means, and when it means something else though no file has changed."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

from xpm_nb.code import modules, places
from xpm_nb.code.modules import Import, Unreadable


class Project:
    """A folder with a notebook's modules, and one further back on the path."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("here", "back"):
            (folder / name).mkdir()
        self.paths = (str(folder / "here"), str(folder / "back"), *sys.path)

    def write(self, name, text="x = 1\n"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def install(self, name, version, text="x = 1\n"):
        """Put a distribution with one module where others are installed."""
        for old in (self.folder / "back").glob(f"{name}-*"):
            shutil.rmtree(old)
        self.write(f"back/{name}/__init__.py", text)
        info = f"back/{name}-{version}.dist-info"
        self.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        self.write(f"{info}/top_level.txt", f"{name}\n")

    def settle(self):
        """Wait until whatever is done next will show, so that what was found may be kept."""
        for path in (self.folder, *self.folder.rglob("*")):
            while places.look(str(path)).is_young(time.time_ns()):
                time.sleep(0.01)

    def found(self, *imports):
        """Give what imports lead to: file or version by name; or why that is not known."""
        try:
            reached = modules.reach([Import(*one) for one in imports], self.paths)
        except Unreadable as error:
            return str(error)
        here = {m.name: str(Path(m.path).relative_to(self.folder)) for m in reached.modules}
        return here | reached.packages


@pytest.fixture
def project(tmp_path):
    yield Project(tmp_path)
    for name in [name for name in sys.modules if name.startswith("met_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", "a\0b", "\ud800", "../one", "met_m.", ".x"]
)
def test_what_is_no_name_of_a_module(project, name):
    project.write("one.py")
    project.write("here/met_m.py")
    assert set(project.found((name,))) <= {"met_m"}


def swap(path, other):
    """Have a link lead elsewhere."""
    os.symlink(other, f"{path}.new")
    os.replace(f"{path}.new", path)


def one_module(p):
    p.write("back/met_m.py")


def package_with_a_choice(p):
    p.write("here/met_lab/__init__.py", "try:\n  from . import fast\nexcept: from . import slow\n")
    p.write("here/met_lab/slow.py")


def a_package(p):
    p.write("here/met_lab/__init__.py", "from . import slow")
    p.write("here/met_lab/slow.py")


def data_beside_a_module(p):
    p.write("here/met_m.py")
    p.write("here/met_m/data.txt")


def a_namespace(p):
    p.write("back/met_ns/one.py")
    p.write("back/met_ns/two.py")


def a_link(p):
    p.write("one.py", "x = 1\n")
    p.write("two.py", "x = 2\n")
    os.symlink(p.folder / "one.py", p.folder / "here" / "met_m.py")


def a_linked_folder(p):
    p.write("v1/met_m.py", "x = 1\n")
    p.write("v2/met_m.py", "x = 2\n")
    (p.folder / "here").rmdir()
    os.symlink(p.folder / "v1", p.folder / "here")


def a_folder_to_come(p):
    (p.folder / "here").rmdir()
    p.write("back/met_m.py")


def installed(p):
    p.install("met_m", "1.0")


SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
M, LAB = ("met_m",), ("met_lab",)
PARTS = ("met_ns", ("one", "two"))

# What is there, what is imported, what happens then, and what the imports lead to before and after.
CASES = {
    "something nearer": (
        one_module,
        [M],
        lambda p: p.write("here/met_m.py"),
        {"met_m": "back/met_m.py"},
        {"met_m": "here/met_m.py"},
    ),
    "a folder of the path that was not there": (
        a_folder_to_come,
        [M],
        lambda p: p.write("here/met_m.py"),
        {"met_m": "back/met_m.py"},
        {"met_m": "here/met_m.py"},
    ),
    "an optional module": (
        one_module,
        [M, ("met_optional",)],
        lambda p: p.write("here/met_optional.py"),
        {"met_m": "back/met_m.py"},
        {"met_m": "back/met_m.py", "met_optional": "here/met_optional.py"},
    ),
    "an optional module of a package": (
        package_with_a_choice,
        [LAB],
        lambda p: p.write("here/met_lab/fast.py"),
        {"met_lab": "here/met_lab/__init__.py", "met_lab.slow": "here/met_lab/slow.py"},
        {
            "met_lab": "here/met_lab/__init__.py",
            "met_lab.fast": "here/met_lab/fast.py",
            "met_lab.slow": "here/met_lab/slow.py",
        },
    ),
    "a package in place of a module": (
        one_module,
        [M],
        lambda p: p.write("back/met_m/__init__.py"),
        {"met_m": "back/met_m.py"},
        {"met_m": "back/met_m/__init__.py"},
    ),
    "a folder of data that becomes a package": (
        data_beside_a_module,
        [M],
        lambda p: p.write("here/met_m/__init__.py"),
        {"met_m": "here/met_m.py"},
        {"met_m": "here/met_m/__init__.py"},
    ),
    "a module is gone": (
        one_module,
        [M],
        lambda p: (p.folder / "back/met_m.py").unlink(),
        {"met_m": "back/met_m.py"},
        {},
    ),
    "a package has another name": (
        a_package,
        [LAB],
        lambda p: (p.folder / "here/met_lab").rename(p.folder / "here/met_other"),
        {"met_lab": "here/met_lab/__init__.py", "met_lab.slow": "here/met_lab/slow.py"},
        {},
    ),
    "a module of a namespace is gone": (
        a_namespace,
        [PARTS],
        lambda p: (p.folder / "back/met_ns/two.py").unlink(),
        {"met_ns.one": "back/met_ns/one.py", "met_ns.two": "back/met_ns/two.py"},
        {"met_ns.one": "back/met_ns/one.py"},
    ),
    "a nearer portion of a namespace": (
        a_namespace,
        [PARTS],
        lambda p: p.write("here/met_ns/one.py"),
        {"met_ns.one": "back/met_ns/one.py", "met_ns.two": "back/met_ns/two.py"},
        {"met_ns.one": "here/met_ns/one.py", "met_ns.two": "back/met_ns/two.py"},
    ),
    "a package in place of a namespace": (
        a_namespace,
        [PARTS],
        lambda p: p.write("back/met_ns/__init__.py"),
        {"met_ns.one": "back/met_ns/one.py", "met_ns.two": "back/met_ns/two.py"},
        {
            "met_ns": "back/met_ns/__init__.py",
            "met_ns.one": "back/met_ns/one.py",
            "met_ns.two": "back/met_ns/two.py",
        },
    ),
    "compiled": (
        one_module,
        [M],
        lambda p: p.write(f"back/met_m{SUFFIX}"),
        {"met_m": "back/met_m.py"},
        {"met_m": f"back/met_m{SUFFIX}"},
    ),
    "in the place of what is installed": (
        installed,
        [M],
        lambda p: p.write("here/met_m.py"),
        {"met_m": "1.0"},
        {"met_m": "here/met_m.py"},
    ),
    "installed anew": (
        installed,
        [M],
        lambda p: p.install("met_m", "2.0"),
        {"met_m": "1.0"},
        {"met_m": "2.0"},
    ),
    "in the place of Python's own": (
        one_module,
        [("colorsys",)],
        lambda p: p.write("here/colorsys.py"),
        {},
        {"colorsys": "here/colorsys.py"},
    ),
    "beside what Python has in itself": (
        one_module,
        [("os",), ("sys",)],
        lambda p: (p.write("here/os.py"), p.write("here/sys.py")),
        {},
        {},
    ),
}


@pytest.mark.parametrize("loaded", [False, True], ids=["", "loaded"])
@pytest.mark.parametrize("name", CASES)
def test_what_names_mean(project, name, loaded, monkeypatch):
    begin, imports, act, before, after = CASES[name]
    begin(project)
    if loaded:  # what this process has of it does not count
        monkeypatch.setattr(sys, "path", list(project.paths))
        for module, *names in imports:
            for one in (module, *(f"{module}.{n}" for n in (names or [()])[0])):
                if one.startswith("met_") and one != "met_optional":
                    importlib.import_module(one)
    project.settle()
    assert project.found(*imports) == before
    act(project)
    assert project.found(*imports) == after


def digests(project, *imports):
    reached = modules.reach([Import(*one) for one in imports], project.paths)
    return [module.digest for module in reached.modules]


LINKS = {
    "a link to a file": (a_link, lambda p: swap(p.folder / "here/met_m.py", p.folder / "two.py")),
    "a link to a folder": (a_linked_folder, lambda p: swap(p.folder / "here", p.folder / "v2")),
}


@pytest.mark.parametrize("name", LINKS)
def test_links_that_lead_elsewhere(project, name):
    begin, act = LINKS[name]
    begin(project)
    at = 10**18
    for path in project.folder.rglob("*"):  # unpacked from one archive, say
        os.utime(path, ns=(at, at))
    project.settle()
    before = digests(project, M)
    act(project)
    assert digests(project, M) != before


def test_what_is_in_an_archive_is_not_known(project):
    with zipfile.ZipFile(project.folder / "all.zip", "w") as file:
        file.writestr("met_m.py", "x = 1\n")
    project.paths = (str(project.folder / "all.zip"), *project.paths)
    said = project.found(M)
    assert said.endswith(
        "all.zip/met_m.py cannot be read: it is in an archive, into which nobody looks"
    )


def test_what_is_found_off_the_path(project, monkeypatch):
    """As with an editable install that brings a finder of its own."""
    project.write("off/met_m.py")
    monkeypatch.setattr(sys, "path", [str(project.folder / "off"), *sys.path])
    importlib.import_module("met_m")
    project.settle()
    assert project.found(M) == {"met_m": "off/met_m.py"}
    del sys.modules["met_m"]
    assert project.found(M) == {}
    importlib.import_module("met_m")
    assert project.found(M) == {"met_m": "off/met_m.py"}
    (project.folder / "off/met_m.py").unlink()
    assert project.found(M) == {}


def test_nothing_is_looked_for_twice(project, monkeypatch):
    package_with_a_choice(project)
    project.settle()
    before = modules.reach([Import("met_lab")], project.paths)
    with monkeypatch.context() as patched:
        patched.setattr(modules, "_follow", None)
        assert modules.reach([Import("met_lab")], project.paths) is before
    project.write("here/unrelated.txt")
    again = modules.reach([Import("met_lab")], project.paths)
    assert again == before
    assert again is not before


def test_what_was_written_a_moment_ago_is_read_again(project):
    """A file may be written twice within a tick of the clock."""
    project.write("here/met_m.py", "x = 1\n")
    path = str(project.folder / "here/met_m.py")
    seen = places.look(path)
    later = seen._replace(written=seen.written + 1, changed=seen.changed + 1)
    assert seen.is_young(seen.changed)
    assert seen.is_young(seen.changed - places.TICK_NS), "while others were looked at"
    assert not seen.is_young(seen.changed + 2 * places.WHOLE_NS)
    assert not seen.is_young(seen.changed - 2 * places.AFTER_NS), "a clock that goes wrong"
    whole = later._replace(changed=later.changed // 10**9 * 10**9 + 10**9)
    assert whole.is_young(whole.changed + 10 * places.TICK_NS), "whole seconds are counted"


def test_the_path_of_jobs(monkeypatch, tmp_path):
    # (what is no text, Python passes over)
    monkeypatch.chdir(tmp_path)
    library = sysconfig.get_path("stdlib")
    monkeypatch.setattr(sys, "path", ["/a", "", library, tmp_path / "c", b"/d", "b", "/a"])
    expected = ("/a", library, str(tmp_path), str(tmp_path / "b"))
    assert places.import_path() == expected


def test_the_path_of_jobs_from_a_folder_that_is_gone(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(sys, "path", ["/a", "", "b"])
    assert places.import_path() == ("/a",)
