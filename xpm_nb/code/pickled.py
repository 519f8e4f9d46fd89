"""Classes whose source cannot be found, carried by cloudpickle: only where the class asks for it.

A class that says ``__carrier__ = "pickle"`` and that no statement of a cell makes again goes into
the script as text that nobody can read. What else of the task is carried by its source is the same
object in the job for it, too: it is taken by its name.
"""

from __future__ import annotations

import base64
import io
import pickle
import textwrap
from collections.abc import Mapping
from typing import Any

from xpm_nb.errors import CarrierError

_WIDTH = 96


def asks(cls: type) -> bool:
    """Tell whether a class wants to be pickled where its source cannot be found.

    Raises
    ------
    CarrierError
        If it asks for a way that there is not.
    """
    wanted = getattr(cls, "__carrier__", None)
    if wanted not in (None, "source", "pickle"):
        raise CarrierError(
            f'{cls.__qualname__}.__carrier__ is "source" (the default) or "pickle", not {wanted!r}'
        )
    return bool(wanted == "pickle")


def dump(cls: type, known: Mapping[int, str], used: set[str]) -> str:
    """Pickle a class by value, as lines of text.

    Parameters
    ----------
    cls
        The class.
    known
        Names of what the job has anyhow, by the ``id`` of each.
    used
        Gets those of these names that are needed.

    Raises
    ------
    CarrierError
        If cloudpickle cannot take it.
    """
    import cloudpickle  # slow to import, and seldom needed

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, value: Any) -> str | None:
            name = known.get(id(value)) if value is not cls else None
            if name is not None:
                used.add(name)
            return name

    stream = io.BytesIO()
    try:
        Pickler(stream).dump(cls)
    except Exception as error:  # a border: pickling runs the user's code
        raise CarrierError(
            f"{cls.__qualname__} cannot be carried into a job: its source cannot be found, and "
            f"cloudpickle cannot take it: {type(error).__name__}: {error}"
        ) from error
    return "\n".join(textwrap.wrap(base64.b64encode(stream.getvalue()).decode(), _WIDTH))


def lines(cls: type, name: str, reason: str, text: str) -> str:
    """Write the lines of a script that give a name to what `dump` made of a class."""
    about = f"{cls.__qualname__} was carried by cloudpickle, as it asks for: {reason}"
    comment = textwrap.fill(
        " ".join(about.split()), 98, initial_indent="# ", subsequent_indent="# "
    )
    return (
        f"{comment}\nfrom xpm_nb.code.pickled import load as _xpm_load\n\n"
        f'{name} = _xpm_load(\n    globals(),\n    """\n{text}\n""",\n)\n'
    )


def load(space: Mapping[str, Any], text: str) -> Any:
    """Give the class again, in a job whose script has these globals."""

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, name: str) -> Any:
            first, *rest = name.split(".")
            found = space[first]
            for part in rest:
                found = getattr(found, part)
            return found

    return Unpickler(io.BytesIO(base64.b64decode(text))).load()
