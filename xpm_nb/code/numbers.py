"""Arrays and generators of random numbers: what they come to, to be compared.

Numpy is asked only where somebody has imported it.
"""

from __future__ import annotations

import ast
import random
import sys
from typing import Any

#: Modules of the classes of what is known here.
MODULES = frozenset({"numpy", "random", "numpy.random._generator", "numpy.random.mtrand"})

# Functions that may write into what they are given, after how many other arguments.
_FILLING = {"concatenate": 2, "cumsum": 3, "outer": 2, "round": 2, "stack": 2}

#: Bytes of an array from which on it is data, and not compared.
LARGE = 1 << 20


def is_array(value: Any) -> bool:
    """Tell whether a value is an array of numpy's that holds numbers, texts or the like."""
    return _is_any_array(value) and not value.dtype.hasobject


def _is_any_array(value: Any) -> bool:
    if type(value).__module__ != "numpy":
        return False
    return type(value) is getattr(sys.modules.get("numpy"), "ndarray", None)


def is_large(value: Any) -> bool:
    """Tell whether a value is an array that is too large to be made again and compared."""
    return is_array(value) and value.nbytes > LARGE


def is_seeded(function: Any) -> bool:
    """Tell whether a callable makes a generator of random numbers, which a seed determines."""
    return function is random.Random or function in _of_numpy("default_rng", "RandomState")


def may_fill(function: Any, call: ast.Call) -> bool:
    """Tell whether a call of a function of numpy's may write into an array that it is given."""
    module = sys.modules.get("numpy")
    if module is None:
        return False
    if isinstance(function, module.ufunc):
        before = function.nin
    else:
        of_name = [n for name, n in _FILLING.items() if getattr(module, name) is function]
        if not of_name:
            return False
        before = of_name[0]
    unseen = any(isinstance(part, ast.Starred) for part in call.args)
    named = {keyword.arg for keyword in call.keywords}
    return unseen or len(call.args) > before or bool(named & {"out", None})


def state_of(value: Any) -> Any:
    """Give what an array or a generator of random numbers comes to; None for anything else."""
    if type(value).__module__ not in MODULES:
        return None
    if type(value) is random.Random:
        return value.getstate()
    if _is_any_array(value):
        held = value.tolist() if value.dtype.hasobject else value.tobytes()
        return str(value.dtype), value.shape, held
    kinds = _of_numpy("Generator", "RandomState")
    if type(value) in kinds:
        return value.bit_generator.state if type(value) is kinds[0] else value.get_state()
    return None


def is_generator(value: Any) -> bool:
    """Tell whether a value is a generator of random numbers."""
    return type(value) is random.Random or type(value) in _of_numpy("Generator", "RandomState")


def digest(value: Any) -> str:
    """Tell the state of an array of numbers or a generator from any other; "" for anything else."""
    if is_array(value):
        return str(hash(state_of(value)))
    return str(hash(repr(state_of(value)))) if is_generator(value) else ""


def _of_numpy(*names: str) -> list[Any]:
    module = sys.modules.get("numpy.random")
    return [getattr(module, name, None) for name in names] if module is not None else []
