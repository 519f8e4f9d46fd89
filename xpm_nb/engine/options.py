"""What callers may say when they open or submit: checked here, with messages that say what may."""

from __future__ import annotations

import re
from typing import Any

from xpm_nb.core.config import RunMode
from xpm_nb.core.states import TransientMode
from xpm_nb.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def whole(name: str, value: Any) -> int | None:
    """Check a number of times; raises `ConfigError` for what is no whole number from 0 on."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ConfigError(f"{name} is a whole number from 0 on, not {value!r}")
    return value


def launcher_of(launcher: Any) -> Any:
    """Check what is to start jobs; raises `ConfigError` for what cannot."""
    verbs = ("launch", "attach", "poll", "kill", "as_dict")
    able = all(callable(getattr(launcher, verb, None)) for verb in verbs)
    if launcher is not None and (isinstance(launcher, type) or not able):
        raise ConfigError(f"launcher is a launcher, as LocalLauncher() is, not {launcher!r}")
    return launcher


def run_mode_of(mode: Any) -> RunMode:
    """Give the run mode that is meant; raises `ConfigError` for what is none."""
    try:
        return RunMode(mode)
    except ValueError:
        known = ", ".join(f"RunMode.{one.name}" for one in RunMode)
        raise ConfigError(f"run_mode is one of {known}, not {mode!r}") from None


def transient_of(mode: Any) -> TransientMode:
    """Give the mode that is meant, NONE for None; raises `ConfigError` for what is none."""
    if mode is None or isinstance(mode, TransientMode):
        return mode or TransientMode.NONE
    known = ", ".join(f"TransientMode.{one.name}" for one in TransientMode)
    raise ConfigError(f"transient is one of {known}, not {mode!r}")


def check_name(name: Any, what: str) -> str:
    """Give a name that may stand in a path; raises `ConfigError` for another."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be {what}: letters, digits, '.', '_' and '-', at most 100, the first "
            "a letter or digit"
        )
    return name
