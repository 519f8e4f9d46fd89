"""A result that is taken away, and jobs that begin with it: neither misses the other.

A job may read the files of what it needs for as long as it runs. Who takes a result away (removes
its files, disowns it, runs it again) and who starts a job that needs it may be two processes, and
do so at the same instant. Each first shows what it is about to do, and then looks at the other:

==============================================  ================================================
who takes it away                               who starts a job that needs it
==============================================  ================================================
1. takes the lock of the result's job           1. takes the lock of the job, for its process
2. puts its note there (`announced`)
3. looks who holds a job that needs it:         2. looks whether the result is there, and nobody
   then it stays, and the note goes                is about to take it away (`is_there`)
4. takes it away, the marker first              3. starts the process, or waits again
==============================================  ================================================

If the look of the one (3, on the left) comes before the other has its lock (1), then the note was
there before that look, and so before the look of the other (2), who waits until it is known what
becomes of the result. If it comes after, it finds the lock held. In between both see each other,
and both leave it: nothing is lost. A note beside a lock that nobody holds is that of a process that
is gone, and says nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from xpm_nb.store import fs, locks, records
from xpm_nb.store.layout import JobPaths, inside

WAIT_S = 0.2  # how long a look at who needs a result takes, at most; it is a matter of milliseconds
LOOK_S = 0.002


@contextlib.contextmanager
def announced(paths: JobPaths) -> Iterator[None]:
    """Show that a result is about to be taken away, until it is, or stays.

    The caller holds the job lock, and asks inside who needs the result. The note is an empty file:
    there is room for it where a disk is full, and files are to go for that.

    Raises
    ------
    OSError
        It cannot be written: nothing may be taken away.
    """
    inside(paths.workspace, paths.private)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    os.close(fs.open_fd(paths.leaving, flags))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # gone with the directory; or a note that says nothing
            fs.unlink(paths.leaving)


def about_to(paths: JobPaths) -> bool:
    """Tell whether somebody is about to take a result away."""
    return paths.leaving.exists() and locks.held(paths)


def is_there(paths: JobPaths) -> bool:
    """Tell whether a result is there, for a job whose lock the caller holds.

    Also no while somebody is about to take it away and does not get on with that.
    """
    end = time.monotonic() + WAIT_S
    while about_to(paths):
        if time.monotonic() >= end:
            return False
        time.sleep(LOOK_S)
    return records.is_done(paths)
