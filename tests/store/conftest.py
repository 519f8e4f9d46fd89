"""A job whose directory is there."""

from __future__ import annotations

import pytest

from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import JobRecord

HEX = "ab" * 32


def pytest_addoption(parser):
    parser.addoption("--every-call", action="store_true", help="have each call fail, in turn")


@pytest.fixture
def job(tmp_path):
    return Workspace(tmp_path).create().job("m.learn", HEX).create()


RECORD = JobRecord(
    type_name="m.learn",
    identifier=HEX,
    name="learn",
    task="Learn",
    namespace="sweep",
    experiment="sweep",
    dependencies=(f"m.split/{HEX}",),
    launcher={"type": "local"},
    environ={"A": "1"},
    sys_path=("/a", "/b"),
    python="/usr/bin/python3",
    submitted=12.5,
    tags={"lr": 1e-3, "model": "CNN"},
    attempt=2,
    code={"sha256": "00"},
)
