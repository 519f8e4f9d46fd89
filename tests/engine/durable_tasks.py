"""A task whose files are to be there after a power cut."""

from __future__ import annotations

import os
from pathlib import Path

from xpm_nb import Meta, Param, PathGenerator, Task, field, param_group, partial

many = param_group("many")


class Writes(Task):
    short = partial(exclude_groups=[many])
    n: Param[int] = field(groups=[many])
    model: Meta[Path] = field(default_factory=PathGenerator("model.bin"))
    shared: Meta[Path] = field(default_factory=PathGenerator("checkpoint", partial=short))

    def execute(self):
        self.model.write_bytes(b"x" * 100)
        deep = self.__taskdir__ / "deep" / "er"
        deep.mkdir(parents=True)
        (deep / "file").write_text("y")
        os.symlink("/etc/hostname", deep / "link")
        os.mkfifo(deep / "pipe")
        self.shared.write_text("z")
        if self.n < 0:
            raise ValueError("no such luck")
        return self.n
