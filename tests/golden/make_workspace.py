"""Writes the golden workspace of the present format: `tests/golden/workspace-<format>/`.

    .venv-test/bin/python tests/golden/make_workspace.py

It was run once for each format. What it wrote is never edited: a test asserts its digest, opens a
copy and uses it. A new format gets a folder of its own, beside those that are here.

The cells run in a real kernel. Afterwards all that is of this machine (places, names of host and
user, what is installed) is replaced, so that nothing depends on where it was written.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent
HOME = GOLDEN.parents[1]

NAMED = ("xpm-nb", "xpm_nb", "ipykernel", "ipywidgets")  # of the packages, who is named

CLASSES = """
from pathlib import Path
from xpm_nb import *

training = param_group("training")

class Model(Config):
    hidden: Param[int] = 8

class Learn(Task):
    lr: Param[float]
    model: Param[Model] = field(default_factory=Model.C)
    out: Meta[Path] = field(default_factory=PathGenerator("weights.txt"))
    def execute(self):
        print("learning with", self.lr)
        for step in range(3):
            progress((step + 1) / 3, desc=f"step {step}")
            log_metrics({"loss": self.lr / (step + 1)}, step=step)
        self.out.write_text(str(self.lr))
        return {"accuracy": 1 - self.lr}

class Break(Task):
    at: Param[int]
    def execute(self):
        values = list(range(self.at))
        return values[self.at]

class Shared(Task):
    model_ = partial(exclude_groups=[training])
    hidden: Param[int]
    epochs: Param[int] = field(groups=[training])
    out: Meta[Path] = field(default_factory=PathGenerator("shared.txt", partial=model_))
    def execute(self):
        self.out.write_text(str(self.hidden))
        return (self.hidden, self.epochs)

class Report(Task):
    learn: Param[Learn]
    def execute(self):
        return (self.learn.out).read_text()
"""

SUBMITS = """
learns = [Learn.C(lr=tag(lr)) for lr in (0.25, 0.5, 0.75)]
for learn in learns:
    learn.submit()
report = Report.C(learn=learns[0])
report.submit()
gpu = xp.token("gpu", 2)
shared = Shared.C(hidden=tag(16), epochs=2)
gpu(1, shared).submit()
"""

FAILS = """
broken = Break.C(at=3)
broken.submit()
"""

AFTERWARDS = """
learns[1].job.keep("looked at by hand")
learns[2].job.disown("wrong data")
xp.save(Model.C(hidden=32), "model")
"""


def write(kernel) -> None:
    """Have a kernel write the workspace at its usual place."""
    kernel.run("%load_ext xpm_nb\n%xpm start golden")
    kernel.run(CLASSES)
    kernel.run("from xpm_nb import *\nxp = start('golden')")
    kernel.run(SUBMITS)
    kernel.run(FAILS)
    kernel.run("try:\n    xp.wait(120)\nexcept XpmError:\n    pass")
    kernel.run(CLASSES.replace("learning with", "learning now with"))
    kernel.run(SUBMITS.replace("report.submit()", ""))
    kernel.run("xp.wait(120)")
    kernel.run(AFTERWARDS)
    kernel.run("xp.close()")


def neutral(root: Path, places: dict[str, str]) -> None:
    """Replace what is of this machine; take away what is of the moment."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.name.endswith(".lock") or path.name == "lock" or path.suffix == ".pid":
            continue
        data = path.read_bytes()
        for mine, other in places.items():
            data = data.replace(mine.encode(), other.encode())
        data = re.sub(rb'"boot_id": "[^"]*"', b'"boot_id": "of another time"', data)
        path.write_bytes(data)
    for path in sorted(root.glob("experiments/*/xpm_nb/*/*.json")):
        told = json.loads(path.read_text())
        if isinstance(told, dict) and "packages" in told:
            told["packages"] = {k: v for k, v in told["packages"].items() if k in NAMED}
            path.write_text(json.dumps(told, indent=1) + "\n")


def digest(root: Path) -> str:
    """One number for the names and contents of all files of a tree."""
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=lambda p: p.relative_to(root).as_posix()):
        if path.is_file():
            whole.update(path.relative_to(root).as_posix().encode() + b"\0")
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def main() -> None:
    sys.path.insert(0, str(HOME))
    from tests.kernels.conftest import Kernel
    from xpm_nb.store.files import FORMAT

    target = GOLDEN / f"workspace-{FORMAT}"
    if target.exists():
        raise SystemExit(f"{target} is there: it is never written again")
    with tempfile.TemporaryDirectory(prefix="golden-") as made:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "PYTEST"))}
        kernel = Kernel(Path(made), env | {"PYTHONPATH": str(HOME)})
        try:
            write(kernel)
        finally:
            kernel.stop()
        places = {
            made: "/home/me/notes",
            sys.prefix: "/home/me/venv",
            str(HOME): "/home/me/xpm_nb",
            sys.base_prefix: "/opt/python",
            f"{getpass.getuser()}@{platform.node()}": "me@desk",
            f'"user": "{getpass.getuser()}"': '"user": "me"',
            platform.platform(): "Linux",
            platform.node(): "desk",
        }
        neutral(Path(made) / "xpm-workspace", places)
        shutil.copytree(Path(made) / "xpm-workspace", target, symlinks=True)
    print(target, digest(target))


if __name__ == "__main__":
    main()
