"""What nobody needs: on directories made by hand, with links and locks in the way."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from xpm_nb.core.states import FailureReason
from xpm_nb.engine import garbage
from xpm_nb.engine.garbage import find, seconds_of
from xpm_nb.engine.needed import Needed
from xpm_nb.errors import ConfigError
from xpm_nb.store import leaving, locks, records, removal
from xpm_nb.store.layout import DELETING, Workspace
from xpm_nb.store.records import JobRecord, RunJob


class Place:
    """A workspace with jobs called a, b, c…"""

    def __init__(self, path: Path) -> None:
        self.workspace = Workspace(path / "ws").create()
        self.run = self.workspace.experiment("tour").create_run("20260101-000000-000-1")
        self.canary = path / "canary"
        (self.canary / "deep").mkdir(parents=True)
        (self.canary / "deep" / "treasure").write_text("gold")

    def job(self, name: str, *needs: str, how: str = "done", listed: bool = True):
        paths = self.workspace.job(f"t.{name}", hashlib.sha256(name.encode()).hexdigest()).create()
        keys = tuple(self.workspace.job(f"t.{n}", _hex(n)).key for n in needs)
        records.write_job(paths, JobRecord(paths.type_name, paths.identifier, name, name.upper(),
                                           dependencies=keys))  # fmt: skip
        records.write_params(paths, {"objects": []})
        records.write_script(paths, "# nothing\n")
        (paths.path / "model.bin").write_bytes(b"x" * 1000)
        if how == "done":
            records.write_done(paths)
        elif how == "failed":
            records.write_failed(paths, FailureReason.FAILED, 1, "no")
        if listed:
            records.add_run_job(self.run, RunJob(paths.relative, name.upper()))
        return paths

    def found(self, **options) -> list[tuple[str, str]]:
        return [(p.kind, p.path.name[:8]) for p in find(self.workspace, **options)]

    def kinds(self, **options) -> dict[str, str]:
        """For each job that could go: its name, and why."""
        return {
            p.job.name: p.kind
            for p in find(self.workspace, **options)
            if p.job is not None and p.path == p.job.path
        }

    def safe(self) -> bool:
        return (self.canary / "deep" / "treasure").read_text() == "gold"


def _hex(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    assert place.safe()


def test_what_an_experiment_refers_to_stays_and_what_that_needs(place):
    place.job("a", listed=False)
    place.job("b", "a")
    place.job("c", listed=False)
    place.job("d", "c", listed=False)
    assert place.kinds() == {"c": "unreferenced", "d": "unreferenced"}
    assert len(find(place.workspace).delete()) == 2
    assert place.kinds() == {}
    assert {p.name for p in place.workspace.jobs()} == {"a", "b"}


def test_failed_jobs_go_and_leave_the_list_of_their_run(place):
    a = place.job("a", how="failed")
    place.job("b")
    assert place.kinds(failed=True) == {"a": "failed"}
    done = find(place.workspace, failed=True).delete()
    assert [p.job.name for p in done] == ["a"]
    assert not a.path.exists()
    assert [row.task for row in records.read_run_jobs(place.run)] == ["B"]
    place.job("a")  # submitted again
    assert [row.task for row in records.read_run_jobs(place.run)] == ["B", "A"]
    assert not (place.workspace.root / DELETING).exists()


def test_what_a_waiting_job_needs_stays_whatever_it_is(place):
    place.job("a", listed=False)
    place.job("b", "a", how="waits")
    assert place.kinds() == {}
    assert place.kinds(is_stale=lambda paths: True) == {}
    records.write_done(place.workspace.job("t.b", _hex("b")))
    assert place.kinds(is_stale=lambda paths: paths.name == "a") == {"a": "stale"}


def test_a_job_that_waits_for_what_has_failed_keeps_nothing(place):
    place.job("a", how="failed")
    place.job("b", "a", how="waits")
    assert place.kinds() == {"a": "failed"}


@pytest.mark.parametrize("how", ["failed", "done", "waits"])
def test_what_is_held_stays_and_what_it_needs(place, how):
    a = place.job("a", listed=False)
    b = place.job("b", "a", how=how, listed=False)
    preview = find(place.workspace)
    assert len(preview) == 2
    lock = locks.try_lock(b)
    try:
        assert place.kinds() == {}
        after = preview.delete()  # it was made before
    finally:
        lock.release()
    assert len(after) == 0
    assert len(after.left) == 2
    assert a.done.exists()
    assert b.record.exists()


def test_what_is_submitted_after_the_preview_stays(place):
    place.job("a", listed=False)
    preview = find(place.workspace)
    assert len(preview) == 1
    place.job("b", "a", how="waits")
    after = preview.delete()
    assert len(after) == 0
    assert "waits" in after.left[0][1]


def test_what_this_kernel_has_under_way_stays(place):
    a = place.job("a", listed=False)
    busy = [a.key]
    assert place.kinds(busy=lambda: busy) == {}
    busy.clear()
    preview = find(place.workspace, busy=lambda: busy)
    busy.append(a.key)
    assert "this kernel" in preview.delete().left[0][1]


def test_a_failed_job_that_is_done_by_now_stays(place):
    a = place.job("a", how="failed")
    preview = find(place.workspace)
    a.failed.unlink()
    records.write_done(a)
    assert len(preview.delete()) == 0
    assert a.done.exists()


def test_a_job_that_is_a_link_is_left_alone(place):
    a = place.job("a", listed=False)
    os.rename(a.path, a.path.with_name("moved"))
    a.path.symlink_to(place.canary)
    assert place.kinds() == {}


def test_a_job_that_becomes_a_link_after_the_preview_is_left_alone(place):
    a = place.job("a", listed=False)
    preview = find(place.workspace)
    os.rename(a.path, a.path.with_name("moved"))
    a.path.symlink_to(place.canary)
    after = preview.delete()
    assert len(after) == 0
    assert "link" in after.left[0][1]
    assert sorted(os.listdir(place.canary)) == ["deep"]


def test_a_type_that_becomes_a_link_is_left_alone(place):
    a = place.job("a", listed=False)
    preview = find(place.workspace)
    (place.canary / a.identifier / "inner").mkdir(parents=True)
    os.rename(a.path.parent, place.workspace.jobs_dir / "moved")
    a.path.parent.symlink_to(place.canary)
    assert "link" in preview.delete().left[0][1]
    assert sorted(os.listdir(place.canary)) == sorted(["deep", a.identifier])
    assert os.listdir(place.canary / a.identifier) == ["inner"]


def test_links_inside_of_a_job_go_and_not_what_they_point_to(place):
    a = place.job("a", listed=False)
    (a.path / "data").symlink_to(place.canary)
    (a.private / "attempts").symlink_to(place.canary)
    assert len(find(place.workspace).delete()) == 1
    assert not a.path.exists()


def test_a_job_that_is_replaced_at_the_last_moment_is_left_alone(place, monkeypatch):
    a = place.job("a", listed=False)
    preview = find(place.workspace)

    def swapped(workspace, parent, name, fd, away=removal._away):
        os.rename(a.path, a.path.with_name("moved"))
        a.path.symlink_to(place.canary)
        away(workspace, parent, name, fd)

    monkeypatch.setattr(removal, "_away", swapped)
    after = preview.delete()
    assert "replaced" in after.left[0][1]
    assert a.path.is_symlink()
    assert (a.path.with_name("moved") / "model.bin").exists()


def test_where_things_are_deleted_is_no_link_either(place):
    place.job("a", listed=False)
    (place.workspace.root / DELETING).symlink_to(place.canary)
    after = find(place.workspace).delete()
    assert [why for _, why in after.left if "link" in why]
    assert os.listdir(place.canary) == ["deep"]


def test_a_workspace_that_is_reached_through_a_link(place, tmp_path):
    place.job("a", listed=False)
    (tmp_path / "door").symlink_to(place.workspace.root)
    assert len(find(Workspace(tmp_path / "door")).delete()) == 1


def test_orphans(place):
    a = place.job("a")
    empty = place.workspace.job("t.empty", _hex("empty"))
    empty.path.mkdir(parents=True)
    (empty.path / "rest.txt").write_text("?")
    for folder in (a.attempts / "1", a.attempts / "2", a.by_hand / "1"):
        folder.mkdir(parents=True)
    (a.attempts / "2" / a.disowned.name).write_text("{}")
    old = a.private / f".writing-{2**22 + 1}-00000000"
    new = a.private / f".writing-{os.getpid()}-00000000"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (1, 1))
    cache = place.workspace.cache("t.terms", _hex("terms"))
    cache.private.mkdir(parents=True)
    cache.lock("x").write_text("")
    kept = place.workspace.cache("t.terms", _hex("kept"))
    kept.path.mkdir(parents=True)
    records.write_params(a, {"objects": [{"identifier": _hex("kept")}]})
    found = find(place.workspace, orphans=True)
    assert sorted(p.kind for p in found) == [
        "attempt", "cache", "no record", "rehearsal", "unfinished write",
    ]  # fmt: skip
    fd = os.open(cache.lock("x"), os.O_RDWR)
    with locks.exclusive(cache.lock("x")):
        after = found.delete()
    os.close(fd)
    assert [why for _, why in after.left if "computed" in why]
    assert not (a.attempts / "1").exists()
    assert (a.attempts / "2").exists()
    assert new.exists()
    assert not old.exists()
    assert not empty.path.exists()
    assert len(find(place.workspace, orphans=True).delete()) == 1
    assert not cache.path.exists()
    assert kept.path.exists()


def test_links_of_other_tools_are_references(place):
    a = place.job("a", listed=False)
    link = place.workspace.root / "xp" / "theirs" / "jobs" / a.type_name / a.identifier
    link.parent.mkdir(parents=True)
    link.symlink_to(a.path)
    assert place.kinds() == {}


def test_only_what_is_old(place):
    a, b = place.job("a", listed=False), place.job("b", listed=False)
    old = time.time() - 40 * 86400
    for path in [a.path, *a.path.rglob("*")]:
        os.utime(path, (old, old))
    assert place.kinds(older_than="30d") == {"a": "unreferenced"}
    assert place.kinds(older_than="6w") == {}
    assert place.kinds(older_than=0) == {"a": "unreferenced", "b": "unreferenced"}
    assert b.path.exists()


@pytest.mark.parametrize(
    ("age", "seconds"), [("30d", 30 * 86400), ("12h", 43200), ("1.5m", 90), (2, 172800)]
)
def test_ages(age, seconds):
    assert seconds_of(age) == seconds


@pytest.mark.parametrize("age", ["", "d", "-3d", "3 moons", True, None, "1e3"])
def test_what_is_no_age(age):
    with pytest.raises(ConfigError, match="is no age"):
        seconds_of(age)


def test_a_deletion_that_broke_off_is_found(place):
    half = place.workspace.deleting / "0011"
    half.mkdir(parents=True)
    assert place.found() == []
    os.utime(half, (1, 1))
    assert place.found() == [("half deleted", "0011")]
    find(place.workspace).delete()
    assert not half.exists()


def test_displays(place):
    place.job("a", how="failed")
    found = find(place.workspace)
    view = found.view()
    assert view.rows[0][:2] == ("failed", f"t.a {_hex('a')[:8]}")
    assert "nothing is deleted yet" in view.caption
    assert "deleted 1 thing" in found.delete().view().caption
    assert find(place.workspace).view().caption.startswith("0 things")
    assert garbage.size_text(1234567) == "1.23 MB"
    assert garbage.age_text(3 * 86400) == "3 d ago"


def test_what_began_to_run_since_the_look_keeps_what_it_needs(place):
    """No list has changed: it had failed, and was tried again."""
    needed = place.job("a", listed=False)
    user = place.job("b", "a", how="failed", listed=False)
    preview = find(place.workspace, unreferenced=True)
    assert [piece.job for piece in preview] == [needed]
    known = Needed(place.workspace, None)
    known.look()
    assert known.why(needed) == ""
    lock = locks.try_lock(user)
    try:
        assert (
            known.why(needed)
            == f"t.a {needed.identifier[:8]} runs, waits, or is needed by what does"
        )
        (left,) = preview.delete().left
        assert "is needed by what does" in left[1]
    finally:
        lock.release()
    assert preview.delete().deleted
    assert not needed.path.exists()


def test_that_a_job_is_deleted_is_announced_to_those_that_begin_with_it(place, monkeypatch):
    paths = place.job("a", listed=False)
    said = []
    monkeypatch.setattr(Needed, "why", lambda self, job: said.append(leaving.about_to(job)) or "")
    find(place.workspace).delete()
    assert said == [True]
    assert not paths.path.exists()
