"""What is damaged among the files of a job: looked for in passing, and moved aside to be mended.

Rule: nothing is deleted. What is written anew lies in ``.experimaestro/damaged/<n>/`` afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from xpm_nb.errors import RecordError
from xpm_nb.store import files, fs, records
from xpm_nb.store.layout import JobPaths, make_next

_HEAD, _TAIL = 1024, 16  # bytes that are looked at; ours names its format in the first lines
_FORMAT = re.compile(rb'"format": *([0-9]{1,9})')


def of_params(paths: JobPaths) -> str:
    """Say what is wrong with ``params.json``, "" if nothing seems to be.

    Its beginning and its end are looked at: that of the last job of a chain holds all before it,
    and there may be thousands of jobs.
    """
    path = paths.params
    try:
        with files.open_file(path) as file:
            head = file.read(_HEAD)
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            tail = file.read().rstrip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    if not head.strip():
        return f"{path} is damaged: it is empty"
    if not head.lstrip().startswith(b"{") or not tail.endswith(b"}"):
        return f"{path} is damaged: it is not a whole JSON object"
    written = _FORMAT.search(head.partition(b'"objects"')[0])
    if written is not None and int(written[1]) > files.FORMAT:
        return (
            f"{path} has format {int(written[1])}, and this version of xpm_nb knows"
            f" {files.FORMAT}: upgrade"
        )
    return ""


def of_record(paths: JobPaths) -> str:
    """Say what is wrong with ``job.json``, "" if nothing is."""
    try:
        records.read_job(paths)
    except RecordError as error:
        return str(error)
    return ""


def of_marker(paths: JobPaths) -> str:
    """Say what is wrong with the marker of success, "" if nothing is."""
    if paths.done.is_dir():
        return f"{paths.done} is a directory, and no marker"
    return ""


def set_aside(paths: JobPaths) -> list[Path]:
    """Move what is damaged, of the files that say what is run, out of the way; name the files.

    The caller holds the job lock, and writes them anew.
    """
    bad = [
        path
        for path, why in (
            (paths.record, of_record(paths)),
            (paths.params, of_params(paths)),
            *((path, "a folder") for path in (paths.script, paths.code) if path.is_dir()),
        )
        if why
    ]
    if bad:
        _move(bad, make_next(paths.workspace, paths.damaged))
    return bad


def _move(some: Iterable[Path], folder: Path) -> None:
    for path in some:
        fs.rename(path, folder / path.name)
