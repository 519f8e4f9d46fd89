"""A submitter of our own: what an engine does, without one."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from xpm_nb.core import config, doors, graph


class Submitter:
    """Prepares and marks tasks as an experiment does; nothing runs."""

    def __init__(self):
        self.space = "exp"
        self.submitted = []

    def namespace(self):
        return self.space

    def submit(self, task, *, init_tasks=(), run_mode=None, **_options):
        identifier = config.prepare(task, self.space, init_tasks)
        name = config.type_name(config.declared_class(task), self.space)
        root = PurePosixPath("/ws/jobs") / name / identifier.hex()
        config.mark_submitted(
            task, job=Job(root), identifier=identifier, namespace=self.space, root=root
        )
        self.submitted.append(task)
        return config.output(task)


class Job:
    def __init__(self, path):
        self.path = path
        self.state = "state"

    def stdout(self):
        return self.path / "out"

    def wait(self, timeout_s=None):
        return f"waited {timeout_s}"

    def result(self):
        return 42

    def __await__(self):
        yield "awaited"


@pytest.fixture
def submitter(monkeypatch):
    found = Submitter()
    monkeypatch.setattr(doors, "submitter", found)
    monkeypatch.setattr(graph, "_JOB_ROOTS", {})
    # Nothing runs here: most tasks of these tests do without.
    for base in (config.Task, config.LightweightTask):
        monkeypatch.setattr(base, "execute", lambda self: None, raising=False)
    return found


@pytest.fixture(autouse=True)
def no_experiment(monkeypatch):
    """The core on its own: doors as they are before anything fills them."""
    monkeypatch.setattr(doors, "submitter", doors._Nowhere())
    monkeypatch.setattr(doors, "renderer", doors._text_only)
    monkeypatch.setattr(doors, "place", doors._file_and_line)
