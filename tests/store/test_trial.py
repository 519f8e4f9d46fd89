"""Locks are tried with a real second process; file systems that cheat are played by the first."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess

import pytest

from xpm_nb.store import locks, trial
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_tried", {})
    return Workspace(tmp_path / "ws").create()


@pytest.fixture(params=["ofd", "flock"])
def kind(request, monkeypatch):
    monkeypatch.setattr(locks, "kind_of_lock", lambda: request.param)
    return request.param


def test_a_disk_that_locks(workspace, kind):
    before = sorted(os.listdir(workspace.root))
    assert trial.trouble(workspace) == ""
    assert sorted(os.listdir(workspace.root)) == before


def test_each_file_system_is_tried_once(workspace, monkeypatch):
    assert trial.trouble(workspace) == ""
    monkeypatch.setattr(locks, "_take", lambda fd: pytest.fail("it is tried again"))
    assert trial.trouble(workspace) == ""


def test_one_that_says_yes_to_everybody(workspace, kind, monkeypatch):
    monkeypatch.setattr(locks, "_take", lambda fd: True)  # and no lock is there
    text = trial.trouble(workspace)
    assert "gives to another process a lock that is held" in text
    assert str(workspace.root) in text
    assert "a job may be started twice" in text
    assert "XPM_WORKSPACE" in text
    assert trial.trouble(workspace) == text


def test_one_that_loses_a_lock_when_a_descriptor_is_closed(workspace, monkeypatch):
    """Some network file systems make of each lock one of the process."""

    def take(fd):
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    monkeypatch.setattr(locks, "_take", take)
    assert "loses a lock that is handed to another process" in trial.trouble(workspace)


def test_one_that_has_no_locks(workspace, monkeypatch):
    def take(fd):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "_take", take)
    assert "No locks available" in trial.trouble(workspace)
    assert not [name for name in os.listdir(workspace.root) if "writing" in name]


def test_one_where_a_lock_outlives_its_holder(workspace, monkeypatch):
    monkeypatch.setattr(locks, "file_held", lambda path: True)
    assert "keeps the lock of a process that has ended" in trial.trouble(workspace)


def test_nothing_is_said_where_nothing_can_be_tried(workspace, monkeypatch, caplog):
    def refuse(*args, **options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with caplog.at_level(logging.WARNING, "xpm_nb"):
        assert trial.trouble(workspace) == ""
    assert "locks could not be tried" in caplog.text
    assert trial._tried == {}
