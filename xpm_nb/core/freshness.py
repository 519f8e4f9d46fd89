"""Whether a result was made by the code, the defaults and the inputs that there are now.

A job's `Making` says what it was made from. Where it is known what it would be made from now, the
two are compared; the first difference says why a result is stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

_NOTHING: Mapping[str, str] = {}


class Stale(Enum):
    """Why a result may not be what would be computed now."""

    CODE = "code"  # its own code is another one
    DEFAULT = "default"  # a parameter that the identifier leaves out has another default
    INPUT = "input"  # what it needs is stale, or was computed anew
    UNKNOWN = "unknown"  # the code that made it, or that would make it now, is not known


BADGES = {
    "code": "stale: code changed",
    "default": "stale: default changed",
    "input": "stale: input changed",
    "unknown": "code unknown",
}
"""What displays say beside a state, by the values of `Stale`."""

DRIFTED = "environment changed"
"""What displays say beside the state of a result whose environment is another one now."""


def badges(stale: str, drift: str) -> list[str]:
    """Give what displays say beside a state, by what a `JobView` says."""
    return [*filter(None, [BADGES.get(stale)]), *([DRIFTED] if drift else [])]


class Making(NamedTuple):
    """What a result is made from.

    Attributes
    ----------
    fingerprint : str
        That of the code; "" where it is not known.
    left_out : mapping
        Defaults that the identifier leaves out, as text.
    inputs : mapping
        The `mark` of each job that it needs, by key.
    loaded : mapping
        Digests of modules that only its run could tell of, by path; "" for one that is gone.
    disowned : int
        How many results of it had been taken back before: who was made from one of those was made
        from something else.
    """

    fingerprint: str = ""
    left_out: Mapping[str, str] = _NOTHING
    inputs: Mapping[str, str] = _NOTHING
    loaded: Mapping[str, str] = _NOTHING
    disowned: int = 0

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Making:
        """Read what a job's record says of its code; damaged parts count as missing."""
        fingerprint, disowned = said.get("fingerprint"), said.get("disowned")
        return cls(
            fingerprint if isinstance(fingerprint, str) else "",
            _texts(said.get("left_out")),
            _texts(said.get("inputs")),
            disowned=disowned if type(disowned) is int else 0,
        )

    @property
    def mark(self) -> str:
        """Tell this making from any other, in 16 hexadecimal digits."""
        parts: list[Any] = [
            self.fingerprint,
            sorted(self.left_out.items()),
            sorted(self.inputs.items()),
        ]
        if self.loaded:
            parts.append(sorted(self.loaded.items()))
        if self.disowned:
            parts.append(self.disowned)
        return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()[:16]


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {str(k): v for k, v in value.items() if isinstance(v, str)}


class Verdict(NamedTuple):
    """What is to be thought of a result.

    Attributes
    ----------
    stale : Stale or None
        None: it is what would be computed now, or was accepted as such.
    mark : str
        What those who need it compare with the mark that they were made from.
    kept : bool
        It was accepted.
    """

    stale: Stale | None
    mark: str
    kept: bool = False


def judge(
    made: Making,
    now: Making | None,
    inputs: Mapping[str, str],
    kept: Iterable[Making] = (),
    loaded: Mapping[str, str] = _NOTHING,
) -> Verdict:
    """Compare what a result was made from with what it would be made from now.

    Parameters
    ----------
    made : Making
        From its record.
    now : Making or None
        Code and defaults as they are now; None if nobody has asked for it with the present code.
    inputs : mapping
        The present marks of what it needs, by key.
    kept : iterable of Making
        For which it was accepted.
    loaded : mapping
        The present digests of the modules that only its run could tell of, by path.
    """
    then = Making(made.fingerprint, made.left_out) if now is None else now
    then = then._replace(
        inputs={**made.inputs, **inputs},
        loaded={**made.loaded, **loaded},
        disowned=made.disowned,
    )
    if not then.fingerprint:
        return Verdict(Stale.UNKNOWN, made.mark)
    stale = None
    if not made.fingerprint:
        stale = Stale.UNKNOWN
    elif then.fingerprint != made.fingerprint:
        stale = Stale.CODE
    elif "" in then.loaded.values():
        stale = Stale.UNKNOWN
    elif then.loaded != made.loaded:
        stale = Stale.CODE
    elif then.left_out != made.left_out:
        stale = Stale.DEFAULT
    elif then.inputs != made.inputs:
        stale = Stale.INPUT
    if stale is None or any(one._replace(disowned=made.disowned) == then for one in kept):
        return Verdict(None, made.mark, stale is not None)
    return Verdict(stale, made.mark if stale is Stale.UNKNOWN else then.mark)
