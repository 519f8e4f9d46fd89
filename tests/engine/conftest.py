"""A loop with a fake launcher, and experiments with one, on real workspaces; and real jobs."""

from __future__ import annotations

import hashlib
import threading

import pytest

from tests import fresh
from tests.engine.lab import Lab, in_use
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop, opening, provenance
from xpm_nb.engine.entries import Asked
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import CancelJobs, OpenJobs, RerunJobs, RetryJobs, SubmitJob
from xpm_nb.engine.opening import start
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import JobRecord
from xpm_nb.testing import FakeClock, FakeLauncher

PATIENCE_S = 300  # with thousands of jobs, on a machine that has other things to do


class Desk:
    """What a test does with jobs called a, b, c…"""

    def __init__(self, workspace: Workspace, *, slots: int = 1, **launcher) -> None:
        self.workspace = workspace
        self.launcher = FakeLauncher(**launcher)
        self.clock = FakeClock()
        self.loop = self.new_loop(slots)

    def new_loop(self, slots: int) -> Loop:
        loop = Loop(
            slots=slots,
            grace_s=5,
            clock=self.clock,
            launchers={"fake": lambda data: self.launcher},
        )
        self.clock.on_move(lambda: self.loop is loop and loop.wake())
        return loop

    def paths(self, name: str):
        return self.workspace.job(f"t.{name}", hashlib.sha256(name.encode()).hexdigest())

    def entry(self, name: str):
        return self.loop.entry(self.paths(name))

    def submit(self, name: str, *needs: str, record=None, **options):
        paths = self.paths(name)
        record = JobRecord(
            type_name=paths.type_name,
            identifier=paths.identifier,
            name=paths.name,
            task=name.upper(),
            dependencies=tuple(self.paths(n).key for n in needs),
            launcher=self.launcher.as_dict(),
            submitted=self.clock.time(),
            tags={"n": name},
        )._replace(**(record or {}))
        entry = self.entry(name)
        entry.expect()
        asked = Asked(f"# {name}\n", '{"objects": []}', record, self.launcher)
        self.loop.post(SubmitJob(entry, asked, **options))
        return entry

    def open(self, *names: str):
        entries = tuple(self.entry(n) for n in names)
        ready = threading.Event()
        self.loop.post(OpenJobs(entries, ready))
        assert ready.wait(PATIENCE_S)
        return entries

    def restart(self, slots: int = 1) -> None:
        """The kernel dies where it stands, and there is a new one."""
        self.loop.stop()
        self.loop = self.new_loop(slots)

    def end(self) -> None:
        self.loop.stop()
        for handle in self.launcher.handles:
            handle.end(None)
            handle.close()

    def cancel(self, *names: str) -> None:
        self.loop.post(CancelJobs(tuple(self.entry(n) for n in names)))

    def retry(self, *names: str) -> None:
        entries = tuple(self.entry(n) for n in names)
        for entry in entries:
            entry.expect()
        self.loop.post(RetryJobs(entries))

    def rerun(self, *names: str) -> None:
        """As `Job.rerun` does, with what directories hold, and without its questions."""
        wanted = tuple((self.entry(n), None) for n in names)
        for entry, _ in wanted:
            entry.expect()
        self.loop.post(RerunJobs(wanted))

    def sync(self) -> None:
        assert self.loop.sync(PATIENCE_S)

    def started(self) -> list[str]:
        self.sync()
        return [handle.paths.name for handle in self.launcher.handles]

    def view(self, name: str):
        self.sync()
        return self.entry(name).view

    def states(self, names: str) -> list[str]:
        self.sync()
        return [self.entry(n).view.state.value for n in names]

    def settled(self, name: str) -> JobState:
        assert self.entry(name).settled.wait(PATIENCE_S), self.entry(name)
        return self.entry(name).view.state


@pytest.fixture
def desk(tmp_path):
    desk = Desk(Workspace(tmp_path / "ws").create())
    yield desk
    desk.end()


@pytest.fixture
def make_desk(tmp_path):
    desks = []

    def make(**options):
        desks.append(Desk(Workspace(tmp_path / "ws").create(), **options))
        return desks[-1]

    yield make
    for desk in desks:
        desk.end()


# -- experiments with jobs that end when told ---------------------------------------------------


@pytest.fixture
def fake():
    return FakeLauncher()


@pytest.fixture
def new_kernel(monkeypatch, tmp_path, fake):
    """What a kernel begins with; call it to begin again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPM_WORKSPACE", raising=False)
    monkeypatch.setattr(opening, "_noted", set())
    monkeypatch.setitem(loop.LAUNCHERS, "fake", lambda data: fake)
    monkeypatch.setattr(provenance, "environment", lambda notebook: {"format": 1})
    yield fresh.new_kernel
    fresh.new_kernel()  # first: nobody is to run again what is ended now
    for handle in fake.handles:
        handle.end(None)
        handle.close()


@pytest.fixture
def xp(new_kernel, fake):
    return start("tour", launcher=fake, slots=2)


# -- real jobs ----------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path, monkeypatch):
    yield from in_use(Lab(tmp_path), monkeypatch)
