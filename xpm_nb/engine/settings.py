"""What a user may set once for a kernel: ``Settings.instance().slots = 4``.

In IPython the same names work in a configuration file (``c.Settings.workspace = "~/runs"``) once
``%load_ext xpm_nb`` has made the instance with the shell as its parent.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from traitlets import Bool, Float, Int, TraitError, Unicode, validate
from traitlets.config import SingletonConfigurable


class Settings(SingletonConfigurable):
    """Defaults of this kernel; arguments of ``start`` and ``experiment`` win over them."""

    workspace = Unicode(
        "", help="Directory of all jobs. Empty: $XPM_WORKSPACE, else ./xpm-workspace."
    ).tag(config=True)
    slots = Int(0, help="How many local jobs run at once. 0: as many as there are CPUs.").tag(
        config=True
    )
    refresh_hz = Float(4.0, help="How often progress and metrics of running jobs are read.").tag(
        config=True
    )
    grace_s = Float(10.0, help="Seconds between asking a cancelled job to end and killing it.").tag(
        config=True
    )
    durable = Bool(
        False, help="Whether what jobs leave is on the disk itself before they count as done."
    ).tag(config=True)

    @validate("slots", "grace_s")
    def _not_negative(self, proposal: Any) -> Any:
        if proposal["value"] < 0:
            raise TraitError(f"{proposal['trait'].name} cannot be negative: {proposal['value']}")
        return proposal["value"]

    @validate("refresh_hz")
    def _a_rate(self, proposal: Any) -> Any:
        if not 0 < proposal["value"] <= 50:
            raise TraitError(f"refresh_hz is above 0 and at most 50: {proposal['value']}")
        return proposal["value"]


def workspace_root(given: str | os.PathLike[str] | None = None) -> Path:
    """Say which directory is the workspace: the argument, ``$XPM_WORKSPACE``, the setting, here."""
    named = os.fspath(given) if given is not None else ""
    chosen = named or os.environ.get("XPM_WORKSPACE", "") or Settings.instance().workspace
    return Path(os.path.abspath(os.path.expanduser(chosen or "xpm-workspace")))


def default_slots() -> int:
    """Say how many jobs run at once if nobody said so."""
    wanted: int = Settings.instance().slots
    if wanted:
        return wanted
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # fewer than the machine has, in a container
    return os.cpu_count() or 1


def default_durable() -> bool:
    """Say whether jobs sync what they leave if nobody said so."""
    return bool(Settings.instance().durable)
