"""In each Python of a chaos run: jobs are noted, and see their own marker; the control has no lock.

The lock is disabled here, from outside, and only for the run that is to show that the referee
would notice.
"""

import atexit
import os
import sys
from pathlib import Path

_chaos = os.environ.get("XPM_TEST_CHAOS")
_script = next((a for a in sys.orig_argv[1:] if a.endswith(".py") and "/jobs/" in a), None)

if _chaos and os.environ.get("XPM_TEST_NO_LOCK"):
    from xpm_nb.store import locks

    locks._take = lambda fd, **_: True
    # That a process lives is a hint: these would hide the missing lock for most of the time.
    locks.unlocked = lambda paths: False
    locks.stray = lambda paths: None

if _chaos and _script:
    import witness

    _job = Path(_script).parent
    _note = witness.Note(Path(_chaos), _job.name)

    def _leave() -> None:
        # The first thing registered is the last that is called: its marker is there or not.
        if os.path.basename(_note.path).startswith(f"{witness.me()}."):
            if witness.marker(_job) is not None:
                history = witness.History(Path(_chaos), _job.name)
                history.add("seen", value=witness.result(_job), by=witness.me())
            _note.remove()

    atexit.register(_leave)
