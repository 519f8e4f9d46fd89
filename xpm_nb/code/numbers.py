"""Arrays and generators of random numbers: what they come to, to be compared.

Numpy is asked only where somebody has imported it.
"""

from __future__ import annotations

import random
import sys
from typing import Any

#: Modules of the classes of what is known here.
MODULES = frozenset({"numpy", "random", "numpy.random._generator", "numpy.random.mtrand"})

#: Bytes of an array from which on it is data, and not compared.
LARGE = 1 << 20


def is_array(value: Any) -> bool:
    """Tell whether a value is an array of numpy's that holds numbers, texts or the like."""
    if type(value).__module__ != "numpy":
        return False
    found = type(value) is getattr(sys.modules.get("numpy"), "ndarray", None)
    return found and not value.dtype.hasobject


def is_large(value: Any) -> bool:
    """Tell whether a value is an array that is too large to be made again and compared."""
    return is_array(value) and value.nbytes > LARGE


def is_seeded(function: Any) -> bool:
    """Tell whether a callable makes a generator of random numbers, which a seed determines."""
    return function is random.Random or function in _of_numpy("default_rng", "RandomState")


def state_of(value: Any) -> Any:
    """Give what an array or a generator of random numbers comes to; None for anything else."""
    if type(value).__module__ not in MODULES:
        return None
    if type(value) is random.Random:
        return value.getstate()
    if is_array(value):
        return value.dtype.str, value.shape, value.tobytes()
    kinds = _of_numpy("Generator", "RandomState")
    if type(value) in kinds:
        return value.bit_generator.state if type(value) is kinds[0] else value.get_state()
    return None


def is_generator(value: Any) -> bool:
    """Tell whether a value is a generator of random numbers."""
    return type(value) is random.Random or type(value) in _of_numpy("Generator", "RandomState")


def digest(value: Any) -> str:
    """Tell what `state_of` gives from any other state, shortly; "" if it gives none."""
    state = state_of(value)
    if state is None:
        return ""
    return str(hash(state)) if is_array(value) else str(hash(repr(state)))


def _of_numpy(*names: str) -> list[Any]:
    module = sys.modules.get("numpy.random")
    return [getattr(module, name, None) for name in names] if module is not None else []
