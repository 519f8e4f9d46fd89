"""A job that is run again: what the attempt before has left goes out of the way.

Rule 1: the marker goes first: nobody may take the new attempt for the old one's success.
Rule 2: the caller holds the job's lock.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import RecordError
from xpm_nb.store import fs
from xpm_nb.store.files import write_json
from xpm_nb.store.layout import PRIVATE, JobPaths, inside, make_next, numbered
from xpm_nb.store.records import Disowned, read_disowned, read_failed, write_failed


def archive_attempt(paths: JobPaths, keep_files: bool = False) -> Path | None:
    """Move what an attempt left to ``attempts/<n>/``; the caller holds the job lock.

    The marker goes first: from then on the job is neither done nor failed. Script, parameters and
    record are copied, not moved, so that a job known before is known at every instant.

    Parameters
    ----------
    paths : JobPaths
        The job.
    keep_files : bool
        Leave the files that the task itself wrote, its metrics, and what it said of the files (a
        task that resumes).

    Returns
    -------
    Path or None
        The new directory, or None if there was nothing to move.
    """
    inside(paths.workspace, paths.private)
    _forget_disowned(paths)
    markers = (paths.done, paths.failed)
    private = [paths.process, paths.outcome, paths.progress, paths.error, paths.cancel, paths.kept]
    private.append(paths.frames)
    private += [paths.result_json, paths.result_pickle]
    logs = [paths.stdout, paths.stderr, paths.pid]
    if not keep_files:
        private += [paths.metrics, paths.outputs]
        stays = {paths.script.name, paths.params.name, paths.legacy_lock.name, PRIVATE}
        stays.update(path.name for path in (*markers, *logs))
        logs += [paths.path / name for name in sorted(os.listdir(paths.path)) if name not in stays]
    old = [path for path in (*markers, *logs, *private) if os.path.lexists(path)]
    if not old:
        return None
    target = _unfinished(paths, old) or make_next(paths.workspace, paths.attempts)
    try:
        for path in old:
            fs.rename(path, target / path.name)
        for path in (paths.script, paths.params, paths.record, paths.code):
            _copy(path, target / path.name)
    except BaseException:
        _put_back(old, target)
        raise
    return target


def _unfinished(paths: JobPaths, old: list[Path]) -> Path | None:
    """Give the directory into which an attempt was being moved by a process that is gone.

    The record is copied last but one: one without it has not got all yet. What is left of that
    attempt belongs there, a result with its marker.
    """
    known = numbered(paths.attempts)
    if not known or not paths.record.exists():
        return None
    there = {path.name for path in known[-1].iterdir()}
    if paths.record.name in there or there & {path.name for path in old}:
        return None
    return inside(paths.workspace, known[-1])


def _put_back(old: list[Path], target: Path) -> None:
    """Move back what was moved, the marker last: a result has its marker, or both are away."""
    with suppress(OSError):  # then the rest stays there too, for `_unfinished`
        for path in reversed(old):
            if os.path.lexists(target / path.name):
                fs.rename(target / path.name, path)
        fs.remove_tree(target)


def disown(paths: JobPaths, note: Disowned) -> Path:
    """Move a result away, with a note; the job has failed then. The caller holds the job lock."""
    target = archive_attempt(paths)
    assert target is not None  # its marker was there
    write_json(target / paths.disowned.name, note._asdict())
    write_failed(paths, FailureReason.DISOWNED, None, f"disowned by {note.by}: {note.reason}")
    return target


def disowned(paths: JobPaths) -> tuple[Disowned, ...]:
    """Read what was disowned of a job, the first one first; a damaged note is left out."""
    found = []
    for folder in numbered(paths.attempts):
        try:
            note = read_disowned(folder / paths.disowned.name)
        except RecordError:
            continue
        if note is not None:
            found.append(note)
    return tuple(found)


def _forget_disowned(paths: JobPaths) -> None:
    """Take away the marker of a job that was disowned: its attempt is among the others already."""
    try:
        failure = read_failed(paths)
    except RecordError:
        return
    if failure is not None and failure.reason is FailureReason.DISOWNED:
        fs.unlink(paths.failed)


def _copy(source: Path, target: Path) -> None:
    # A link is as good as a copy: nobody writes into these files, they are replaced.
    try:
        fs.link(source, target)
    except FileNotFoundError:
        return
    except OSError:  # a file system without links
        if stat.S_ISREG(os.lstat(source).st_mode) and not os.path.lexists(target):
            fs.copy_file(source, target)
