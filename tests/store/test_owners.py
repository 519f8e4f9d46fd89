"""Whether others could have written something: by owner, by rights, by what a mount shows."""

from __future__ import annotations

import grp
import os
import pwd
from types import SimpleNamespace

import pytest

from xpm_nb.errors import RecordError
from xpm_nb.store import owners, records, results
from xpm_nb.store.layout import Workspace

ME = os.geteuid()
OTHER = 54321  # nobody, with luck


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws").create()


@pytest.fixture
def job(workspace):
    return workspace.job("m.learn", "ab" * 32).create()


@pytest.fixture
def as_other(monkeypatch):
    """Be somebody else than who made the files, who is not root either."""
    if ME == 0:
        monkeypatch.setattr(owners, "_ours", lambda root, found: found.st_uid == OTHER)
    else:
        monkeypatch.setattr(owners.os, "geteuid", lambda: OTHER)


def about(job, *, new=False):
    found = owners.doubt_of_job(job, new=new)
    return "" if found is None else f"{found.text}; {found.remedy}"


def write(job):
    records.write_script(job, "print()\n")
    records.write_params(job, "{}")


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_what_we_make_is_ours_whatever_the_umask(tmp_path, umask):
    former = os.umask(umask)
    try:
        workspace = Workspace(tmp_path / "a" / "b" / "ws").create()
        job = workspace.job("m.learn", "ab" * 32).create()
        write(job)
        results.store_result(job, {1, 2})
        records.write_done(job)
    finally:
        os.umask(former)
    for path in (tmp_path / "a", *(tmp_path / "a").rglob("*")):
        assert not path.stat().st_mode & 0o022, path
    assert about(job) == ""
    assert owners.notes(workspace) == []
    assert results.load_result(job) == {1, 2}


@pytest.mark.parametrize("name", ["path", "private", "script", "params"])
@pytest.mark.parametrize("mode", [0o777, 0o666, 0o602])
def test_what_everybody_may_write_is_not_started(job, name, mode):
    write(job)
    path = getattr(job, name)
    path.chmod(mode | 0o100)
    said = about(job)
    assert said.startswith(f"other users could write {path} (its rights are 0")
    assert said.endswith(f"chmod -R go-w {job.workspace}")
    assert bool(about(job, new=True)) == path.is_dir()
    owners.take_back(job)
    assert about(job, new=True) == ""
    assert not path.is_dir() or not path.stat().st_mode & 0o022


def test_what_others_wrote_is_neither_started_nor_loaded(job, as_other):
    write(job)
    results.store_result(job, {1, 2})
    records.write_done(job)
    name = pwd.getpwuid(ME).pw_name
    assert about(job) == (
        f"{job.path} belongs to the user {name}; if you trust that user, set "
        f"XPM_TRUSTED_USERS={name}"
    )
    with pytest.raises(RecordError, match=f"belongs to the user {name}, and .* not loaded") as told:
        results.load_result(job)
    assert f"delete {job.done} and submit it again (if you trust" in str(told.value)


def test_an_open_file_counts_more_than_its_name(job, monkeypatch):
    """Another file took its name, after it was opened or before."""
    results.store_result(job, {1, 2})
    job.result_pickle.chmod(0o666)
    fd = os.open(job.result_pickle, os.O_RDONLY)
    job.result_pickle.unlink()
    results.store_result(job, {1, 2})
    assert owners.doubt(job.workspace, [job.result_pickle]) is None
    try:
        assert owners.doubt(job.workspace, [job.result_pickle], fd) is not None
    finally:
        os.close(fd)


def test_links_count_and_what_they_lead_to(job, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("")
    job.script.symlink_to(script)
    assert owners.doubt(job.workspace, [job.script]) is None
    script.chmod(0o666)
    assert owners.doubt(job.workspace, [job.script]) is not None
    script.unlink()
    assert owners.doubt(job.workspace, [job.script]) is None  # it leads nowhere


@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_a_link_of_somebody_else(job, tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text("")
    job.script.symlink_to(script)
    os.lchown(job.script, OTHER, OTHER)
    assert f"{job.script} belongs to the user number {OTHER}" in about(job)
    for trusted in (str(OTHER), f"nobody-at-all, {OTHER}"):
        monkeypatch.setenv(owners.TRUSTED, trusted)
        assert about(job) == ""


def test_who_may_write_as_a_member_of_a_group(job, monkeypatch):
    job.path.chmod(0o775)
    user = pwd.getpwuid(ME)

    def group(name=user.pw_name, number=user.pw_gid, members=()):
        found = SimpleNamespace(gr_name=name, gr_gid=number, gr_mem=list(members))
        monkeypatch.setattr(grp, "getgrgid", lambda _: found)
        return about(job)

    assert group() == ""
    assert group(members=[user.pw_name]) == ""
    assert "(its rights are 0775)" in group(members=["ann"])
    assert "(its rights are 0775)" in group(name="team")
    assert "(its rights are 0775)" in group(number=OTHER)
    job.path.chmod(0o777)
    assert "(its rights are 0777)" in group()
    job.path.chmod(0o1777)  # what is in there stays whose it is
    assert group() == ""


def test_a_mount_that_shows_other_owners_and_rights(job, workspace, monkeypatch):
    write(job)
    here = os.stat(job.path)
    for path in (workspace.root, workspace.jobs_dir, job.path, job.private, job.script):
        path.chmod(0o777)
    new = {"st_uid": here.st_uid, "st_dev": here.st_dev, "st_mode": 0o100777}
    monkeypatch.setattr(owners, "_new_file", lambda root: SimpleNamespace(**new))
    assert about(job) == ""
    (note,) = owners.notes(workspace)
    assert "keeps no rights" in note
    new["st_dev"] += 1  # a link leads to such a mount: it says nothing of the workspace
    assert "(its rights are 0777)" in about(job)
    monkeypatch.undo()
    assert "(its rights are 0777)" in about(job)


@pytest.mark.parametrize("name", ["root", "jobs_dir"])
def test_a_workspace_in_which_others_can_replace_jobs_is_told_of(workspace, name):
    place = getattr(workspace, name)
    place.chmod(0o777)
    (note,) = owners.notes(workspace)
    assert note.startswith(f"other users can replace jobs in the workspace {workspace.root}")
    assert note.endswith(f"chmod go-w {place}")
    place.chmod(0o1777)
    assert owners.notes(workspace) == []
    assert not [path for path in workspace.root.iterdir() if path.name.startswith(".writing")]


@pytest.mark.skipif(ME != 0, reason="it is about root")
def test_root_is_told_whose_workspace_it_opens(workspace, monkeypatch):
    os.chown(workspace.root, OTHER, OTHER)
    (note,) = owners.notes(workspace)
    assert f"belongs to the user number {OTHER}, and this is root" in note
    assert f"unless you set XPM_TRUSTED_USERS={OTHER}" in note
    monkeypatch.setenv(owners.TRUSTED, str(OTHER))
    assert owners.notes(workspace) == []


def test_names_that_nobody_has(workspace, monkeypatch):
    monkeypatch.setenv(owners.TRUSTED, f"no-such-user, {pwd.getpwuid(ME).pw_name}")
    (note,) = owners.notes(workspace)
    assert note == "XPM_TRUSTED_USERS names nobody whom this machine knows: no-such-user"


def test_a_workspace_that_is_not_there(tmp_path):
    assert owners.notes(Workspace(tmp_path / "none")) == []
