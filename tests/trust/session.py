"""What a user does in a session, with names that the attacker chose; run in processes of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from xpm_nb import (
    Meta,
    Param,
    PathGenerator,
    RunMode,
    Task,
    XpmError,
    cache,
    field,
    log_metrics,
    param_group,
    partial,
    progress,
    start,
    tag,
)

group = param_group("g")


class Learn(Task):
    x: Param[int] = 0
    y: Param[int] = field(default=0, groups=[group])
    fail: Meta[bool] = False
    model = partial(exclude_groups=[group])
    out: Meta[Path] = field(default_factory=PathGenerator("out.txt"))
    shared: Meta[Path] = field(default_factory=PathGenerator("shared.txt", partial=model))

    @cache("kept.txt")
    def keep(self, path):
        path.write_text("kept")

    def checkpoint(self, dep, step):
        return dep(self)

    def execute(self):
        progress(0.5)
        log_metrics({"loss": self.x})
        self.keep()
        self.out.write_text("out")
        self.shared.write_text("shared")
        self.register_task_output(self.checkpoint, 1)
        print("printed")
        print("printed", file=sys.stderr)
        if self.fail:
            raise ValueError("on purpose")
        return {"a": object} if self.x == 2 else {"accuracy": self.x}


class Named(Task):
    __xpmid__ = f"made.{os.environ.get('XPM_NAME', 'named')}"
    text: Param[str] = ""

    def execute(self):
        return self.text


def whole(workspace: str, name: str = "tour") -> None:
    """A session with real jobs: one that is done, one with a pickled result, one that fails."""
    xp = start(name, workspace=workspace, slots=2)
    gpu = xp.token("gpu", 1)
    tasks = [Learn.C(x=tag(1)), Learn.C(x=2), Learn.C(x=3, fail=True)]
    gpu(1, tasks[0])
    for task in tasks:
        task.submit()
    xp.wait()
    xp.save(Learn.C(x=7), "saved")
    xp.resultspath.joinpath("note.txt").write_text("note")
    tasks[0].keep()
    xp.close()
    states = [task.job.state.value for task in tasks]
    assert states == ["done", "done", "error"], (states, [t.job.story() for t in tasks])


def look(workspace: str, name: str = "tour") -> None:
    """All that looks at a workspace, and only looks; says what it was told is wrong."""
    from xpm_nb import cli, from_task_dir
    from xpm_nb.core import doors
    from xpm_nb.store.layout import Workspace

    def attempt(act):
        try:
            return act()
        except XpmError as error:
            return error

    xp = attempt(lambda: start(name, workspace=workspace))
    if not isinstance(xp, XpmError):
        jobs = list(xp.jobs)
        for shown in (xp, *jobs):
            attempt(lambda shown=shown: (repr(shown), doors.renderer(shown)))
        for act in (xp.view, xp.plan, lambda: repr(xp.table()), lambda: repr(xp.table("loss"))):
            attempt(lambda act=act: repr(act()))
        attempt(lambda: repr(xp.load(name, "saved")))
        for job in jobs:
            for act in (
                *(job.view, job.log, job.metrics, job.curves, job.params, job.error, job.story),
                *(job.source, job.why, lambda job=job: list(job.files), lambda job=job: job.files),
                *(lambda job=job: job.dependencies, lambda job=job: job.attempts),
            ):
                attempt(lambda act=act: str(act()))
            attempt(lambda job=job: from_task_dir(job.path))
        if len(jobs) > 1:
            attempt(lambda: repr(xp.diff(jobs[0], jobs[1])))
        for act in (xp.stale, lambda: xp.gc(), lambda: xp.close()):
            attempt(lambda act=act: repr(act()))
    for paths in attempt(Workspace(workspace).jobs):
        attempt(lambda paths=paths: from_task_dir(paths.path))
    with contextlib.suppress(SystemExit):
        cli.main(["ls", workspace])


def hostile(workspace: str, kind: str, name: str) -> str:
    """Use a name of a kind as a user would; nothing runs. Gives what was refused, "" if nothing."""
    try:
        _use(workspace, kind, name)
    except XpmError as error:
        return str(error)
    return ""


def execute(self):
    """What tasks made below do."""


def _use(workspace: str, kind: str, name: str) -> None:
    if kind == "experiment":
        start(name, workspace=workspace, run_mode=RunMode.GENERATE_ONLY).close()
        return
    xp = start("tour", workspace=workspace, run_mode=RunMode.GENERATE_ONLY)
    if kind == "namespace":
        start("other", workspace=workspace, namespace=name).close()
    elif kind == "token":
        gpu = xp.token(name, 1)
        gpu(1, Learn.C()).submit()
    elif kind == "saved":
        xp.save(Learn.C(), name)
        xp.load("tour", name)
    elif kind == "loaded":
        xp.load(name, name)
    elif kind == "tag":
        task = Learn.C(x=3).tag(name, name)
        task.submit()
    elif kind == "job":
        xp[name]
    elif kind == "text":
        _made("texts", {"text": Param[str]}, {}).C(text=name).submit()
    else:
        body = {"out": field(default_factory=PathGenerator(name))} if kind == "path" else {}
        if kind == "cache":
            body["keep"] = cache(name)(lambda self, path: path.write_text("x"))
        if kind == "partial":
            body[name] = partial(exclude_all=True)
            body["out"] = field(default_factory=PathGenerator("f", partial=body[name]))
        typed = {"out": Meta[Path]} if "out" in body else {}
        cls = _made(name if kind == "type" else f"made.{kind}", typed, body)
        task = cls.C()
        task.submit()
        if kind == "cache":
            task.keep()


def _made(typename: str, typed: dict, body: dict) -> type:
    made = {"__module__": __name__, "__qualname__": "Made", "__xpmid__": typename}
    made |= {"__annotations__": typed, "execute": execute, **body}
    globals()["Made"] = type("Made", (Task,), made)
    return globals()["Made"]
