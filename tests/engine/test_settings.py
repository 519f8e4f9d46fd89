import os

import pytest
from traitlets import TraitError

from xpm_nb.engine.settings import Settings, default_slots, workspace_root


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("XPM_WORKSPACE", raising=False)
    Settings.clear_instance()
    yield
    Settings.clear_instance()


def test_the_workspace_is_the_argument_then_the_variable_then_the_setting(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert workspace_root() == tmp_path / "xpm-workspace"
    Settings.instance().workspace = "~/of-setting"
    assert str(workspace_root()) == os.path.expanduser("~/of-setting")
    monkeypatch.setenv("XPM_WORKSPACE", str(tmp_path / "of-variable"))
    assert workspace_root() == tmp_path / "of-variable"
    assert workspace_root("given") == tmp_path / "given"


def test_slots_are_those_set_or_the_processors_we_may_use():
    assert default_slots() == len(os.sched_getaffinity(0))
    Settings.instance().slots = 3
    assert default_slots() == 3


@pytest.mark.parametrize(("name", "value"), [("slots", -1), ("refresh_hz", 0), ("grace_s", -2)])
def test_a_setting_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(TraitError, match=name):
        setattr(Settings.instance(), name, value)
