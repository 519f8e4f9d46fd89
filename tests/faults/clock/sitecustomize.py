"""The clock on the wall is set by so many seconds as a file says; clocks that only run are not."""

import os
import time

_real, _file = time.time, os.environ["XPM_TEST_CLOCK"]


def _set_time() -> float:
    try:
        with open(_file, encoding="ascii") as file:
            return _real() + float(file.read() or 0)
    except OSError:
        return _real()


time.time = _set_time
