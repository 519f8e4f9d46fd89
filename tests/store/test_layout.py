from __future__ import annotations

import os
import shutil
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xpm_nb.errors import ConfigError, WorkspaceError
from xpm_nb.store import locks, removal
from xpm_nb.store.layout import (
    JobPaths,
    Workspace,
    component,
    gone,
    inside,
    make_next,
    numbered,
)

HEX = "ab" * 32

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc",
    "a/../../b",
    "/etc/passwd",
    "..\\..\\x",
    "a\0b",
    "%2e%2e%2f",
    "%252e%252e%252fx",
    "a\nb",
    "a\u202eb",
    "a\u2028b",
    "x" * 300,
    "é" * 200,
    "~root",
    "$(touch x)",
    "'; rm -rf .",
    "\ud800",
    "C:\\x",
    "-rf",
    "a.",
    "a..",
    "m..",
    "con",
    ".experimaestro",
]

names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=300),
    st.text("./\\%2e~ \0a", max_size=20),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("/".join),
)


def test_names_are_those_of_experimaestro(tmp_path):
    job = Workspace(tmp_path).job("my.pkg.learn", HEX)
    assert job.path == tmp_path / "jobs" / "my.pkg.learn" / HEX
    assert [
        p.name for p in (job.script, job.stdout, job.stderr, job.done, job.failed, job.pid)
    ] == [
        "learn.py",
        "learn.out",
        "learn.err",
        "learn.done",
        "learn.failed",
        "learn.pid",
    ]
    assert job.params == job.path / "params.json"
    assert job.key == f"my.pkg.learn/{HEX}"
    assert job.relative == f"jobs/my.pkg.learn/{HEX}"
    again = JobPaths.of(job.path)
    assert again == job
    assert (again.workspace, again.type_name, again.name) == (tmp_path, "my.pkg.learn", "learn")


def test_names_with_signs_are_fine(tmp_path):
    workspace = Workspace(tmp_path / 'it\'s a "place"\n').create()
    for name in ("m.f.<locals>.learn", "réseau.été", "$(touch x)", "a b", "%2e%2e"):
        job = workspace.job(name, HEX).create()
        assert job.private.is_dir()
    assert len(workspace.jobs()) == 5


@given(type_name=names, experiment=names, run=names, identifier=names)
@example(type_name="a." + ".." * 3, experiment="..", run="..", identifier=HEX + "\n")
@example(type_name="m..", experiment="a\n", run="a/b", identifier=HEX)
def test_hostile_names_are_refused_or_stay_inside(
    tmp_path_factory, type_name, experiment, run, identifier
):
    base = tmp_path_factory.getbasetemp() / "hostile"
    workspace = Workspace(base)
    for make in (
        lambda: workspace.job(type_name, HEX).script,
        lambda: workspace.job(type_name, HEX).private,
        lambda: workspace.job("m.learn", identifier).path,
        lambda: workspace.job_at(f"jobs/{type_name}/{HEX}").failed,
        lambda: workspace.job_at(type_name).path,
        lambda: workspace.experiment(experiment).path,
        lambda: workspace.experiment("a").run(run).jobs,
    ):
        try:
            path = make()
        except ConfigError:
            continue
        assert os.path.normpath(path) == str(path)
        assert str(path).startswith(str(base) + "/")
        assert all(len(os.fsencode(part)) <= 255 for part in path.parts)


@given(names)
def test_a_component_is_one_part(text):
    try:
        component(text)
    except ConfigError:
        return
    assert os.path.basename(os.path.normpath("/a/" + text)) == text
    os.fsencode(text)


def test_every_write_of_a_job_stays_in_the_workspace(tmp_path):
    """An audit hook sees what is really opened, made, moved and removed."""
    import subprocess

    code = """
import os, sys
from pathlib import Path
from xpm_nb.store import attempts, files, layout, locks, records, results
from xpm_nb.core.states import FailureReason
root = sys.argv[1]
seen = []
def hook(event, args):
    if event in ("os.rename", "os.link"):
        seen.extend(map(str, args[:2]))
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.symlink"):
        seen.append(str(args[0]))
    elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
        seen.append(str(args[0]))
sys.addaudithook(hook)
for name in sys.argv[2:]:
    job = layout.Workspace(root).create().job(name, "ab" * 32).create()
    lock = locks.try_lock(job)
    records.write_params(job, {"a": 1})
    records.write_script(job, "pass")
    results.store_result(job, {1, 2})
    files.append_line(job.metrics, {"a": 1})
    records.write_failed(job, FailureReason.FAILED, 1, "x")
    attempts.archive_attempt(job)
    records.write_done(job)
    lock.release()
bad = [p for p in seen if not os.path.realpath(p).startswith(os.path.realpath(root))]
assert not bad, bad
assert len(seen) > 20
"""
    root = tmp_path / "work space"
    names = ["m.learn", "$(touch x)", "a'b\"c", "%2e%2e", "~root", "-rf"]
    run = [sys.executable, "-c", code, str(root), *names]
    subprocess.run(run, check=True, env={**os.environ, "PYTHONPATH": "."}, timeout=60)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["work space"]


@pytest.mark.parametrize("where", ["jobs", "type", "job", "private"])
def test_a_planted_link_is_not_followed(tmp_path, where):
    canary = tmp_path / "canary"
    canary.mkdir()
    workspace = Workspace(tmp_path / "ws")
    job = workspace.job("m.learn", HEX)
    target = {
        "jobs": workspace.jobs_dir,
        "type": job.path.parent,
        "job": job.path,
        "private": job.private,
    }[where]
    target.parent.mkdir(parents=True)
    target.symlink_to(canary)
    with pytest.raises(WorkspaceError, match="leads out of"):
        job.create()
    assert list(canary.iterdir()) == []


def test_links_inside_and_a_linked_workspace_are_fine(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "ws").symlink_to(tmp_path / "disk")
    job = Workspace(tmp_path / "ws").create().job("m.learn", HEX).create()
    assert job.private.is_dir()
    assert inside(tmp_path / "ws", tmp_path / "disk" / "x")


@pytest.mark.parametrize("way", ["a/b/c", "new/x", "a/../a", "a/../../out/x", "round/b", "lead/x"])
@pytest.mark.parametrize("root", ["ws", "linked", "ws/a/..", "out/../ws"])
def test_inside_says_what_following_each_link_says(tmp_path, root, way):
    (tmp_path / "ws" / "a" / "b").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "ws")
    (tmp_path / "ws" / "round").symlink_to(tmp_path / "ws" / "a")
    (tmp_path / "ws" / "lead").symlink_to(tmp_path / "out")
    path = tmp_path / root / way
    if path.resolve().is_relative_to((tmp_path / "ws").resolve()):
        assert inside(tmp_path / root, path) == path
    else:
        with pytest.raises(WorkspaceError, match="leads out of"):
            inside(tmp_path / root, path)


def test_a_workspace_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "deeper", "/proc/nothing"):
        with pytest.raises(WorkspaceError, match="cannot be used") as caught:
            Workspace(root).create()
        assert str(root) in str(caught.value)
        assert "XPM_WORKSPACE" in str(caught.value)


def test_a_workspace_that_cannot_be_written(tmp_path):
    root = tmp_path / "ws"
    Workspace(root).create()
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    root.chmod(0o500)
    with pytest.raises(WorkspaceError, match="Permission denied"):
        Workspace(root).create()


def test_jobs_and_runs_are_listed(tmp_path):
    workspace = Workspace(tmp_path).create()
    assert workspace.marker.read_bytes() == b""
    assert workspace.jobs() == []
    jobs = [workspace.job(t, h * 64).create() for t in ("a.b", "c") for h in "12"]
    (workspace.jobs_dir / "stray").write_text("")
    (workspace.jobs_dir / "a.b" / "stray").mkdir()
    assert workspace.jobs() == jobs
    experiment = workspace.experiment("sweep")
    assert experiment.runs() == []
    made = [experiment.create_run(name) for name in ("20250102T000000-2", "20250101T000000-1")]
    assert [run.run_id for run in experiment.runs()] == sorted(run.run_id for run in made)
    with pytest.raises(FileExistsError):
        experiment.create_run("20250102T000000-2")
    assert [e.name for e in workspace.experiments()] == ["sweep"]


def test_numbered_directories(tmp_path):
    made = [make_next(tmp_path, tmp_path / "attempts") for _ in range(11)]
    assert [path.name for path in made] == [str(n) for n in range(1, 12)]
    (tmp_path / "attempts" / "²").mkdir()
    assert numbered(tmp_path / "attempts") == made


@pytest.mark.parametrize("path", ["/tmp", "/", f"/jobs/{HEX}", f"/x/{HEX}/m.learn", "relative"])
def test_not_a_job_directory(path):
    with pytest.raises(WorkspaceError, match="not a job's directory"):
        JobPaths.of(path)


def test_another_workspace_in_the_place_of_one_that_was_opened(tmp_path):
    opened = Workspace(tmp_path / "ws").create()
    job = opened.job("m.learn", HEX).create()
    assert gone(opened.root) == ""
    opened.root.rename(tmp_path / "away")
    assert "it was moved or deleted while it was open; put it back" in gone(opened.root)
    shutil.copytree(tmp_path / "away", opened.root)
    text = gone(opened.root)
    assert "while it was open, and another one is in its place; put it back, or open it" in text
    for act in (job.create, lambda: locks.try_lock(job), lambda: removal.remove_job(job, str)):
        with pytest.raises(WorkspaceError, match="another one is in its place"):
            act()
    shutil.rmtree(opened.root)
    (tmp_path / "away").rename(opened.root)  # put back
    assert gone(opened.root) == ""
    opened.root.rename(tmp_path / "away")
    Workspace(opened.root).create()  # somebody opened the other one, too
    assert gone(opened.root) == ""
    assert gone(tmp_path / "never opened") != ""
    assert gone(tmp_path / "away") == ""  # it is not known under this name


def test_a_link_to_a_workspace_that_leads_elsewhere_now(tmp_path):
    for name in ("one", "two"):
        Workspace(tmp_path / name).create()
    link = tmp_path / "link"
    link.symlink_to("one")
    opened = Workspace(link).create()
    assert gone(opened.root) == ""
    link.unlink()
    link.symlink_to("two")
    assert "another one is in its place" in gone(opened.root)
