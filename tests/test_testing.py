"""The fakes that are shipped."""

from xpm_nb.testing import FakeClock, FakeLauncher, temporary_workspace


def test_a_clock_moves_when_told():
    clock, moved = FakeClock(100.0), []
    clock.on_move(lambda: moved.append(clock.time()))
    clock.advance(2.5)
    assert (clock.monotonic(), moved) == (102.5, [102.5])


def test_a_temporary_workspace_is_gone_afterwards():
    with temporary_workspace() as workspace:
        assert workspace.marker.exists()
    assert not workspace.root.exists()


def test_a_fake_launcher_has_started_nothing():
    launcher = FakeLauncher()
    assert launcher.started() == []
    assert launcher.attach({"type": "local"}) is None
    assert launcher.as_dict() == {"type": "fake"}
