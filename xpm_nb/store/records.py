"""What is inside the files of a workspace, with a format number.

Rule 1: reading is tolerant of what a newer version adds. Anything else that cannot be understood is
a `RecordError` that names the file.

Job processes import this module: NamedTuple and not dataclass (which imports inspect, 10 ms);
change a copy with ``record._replace(attempt=2)``.
"""

# No `from __future__ import annotations`: NamedTuple would compile each of them, 2 ms in each job.
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from xpm_nb.core.states import FailureReason, TransientMode
from xpm_nb.errors import RecordError
from xpm_nb.store import fs
from xpm_nb.store.files import (
    FORMAT,
    append_line,
    exact_json,
    kind_of,
    params_text,
    printable,
    read_all_lines,
    read_json,
    read_lines,
    read_object,
    write_bytes,
    write_json,
    write_text,
)
from xpm_nb.store.layout import (
    PRIVATE,
    JobPaths,
    RunPaths,
    Workspace,
    gone,
    make_directory,
    make_next,
)

_NOTHING: Mapping[str, Any] = {}  # the default of all fields that are objects; never changed


class JobRecord(NamedTuple):
    """What was submitted, as far as params.json does not say it (``job.json``).

    Attributes
    ----------
    dependencies : tuple[str, ...]
        Keys (``type/hex``) of the jobs that must be done first.
    launcher : dict
        ``launcher.as_dict()``.
    environ : dict
        Variables set on top of the inherited ones.
    sys_path : tuple[str, ...]
        The import path of the submitting process, absolute.
    tags : dict
        Those of the submission that wrote the record; ``__tags__`` in the job.
    max_retries : int
        How often it may be run again by itself after its time limit.
    retries : int
        How often that has led to the present attempt.
    resumable : bool
        The task goes on where an earlier attempt ended: what that one wrote stays.
    transient : str
        Value of a `TransientMode`.
    code : dict
        Fingerprint of the code that `execute` reaches; empty if unknown.
    tokens : dict
        How many units of which token it holds while it runs.
    partials : tuple[str, ...]
        Directories, relative to the workspace, that no other job may write in while it runs.
    durable : bool
        All that it leaves is on the disk itself before its marker is.
    main : str
        That of them which is its ``__maintaskdir__``; "" for the job's directory.
    """

    type_name: str
    identifier: str
    name: str
    task: str
    namespace: str | None = None
    experiment: str = ""
    dependencies: tuple[str, ...] = ()
    launcher: Mapping[str, Any] = _NOTHING
    environ: Mapping[str, str] = _NOTHING
    sys_path: tuple[str, ...] = ()
    python: str = ""
    submitted: float = 0.0
    tags: Mapping[str, Any] = _NOTHING
    max_retries: int = 3
    attempt: int = 1
    retries: int = 0
    resumable: bool = False
    transient: str = TransientMode.NONE.value
    code: Mapping[str, Any] = _NOTHING
    tokens: Mapping[str, int] = _NOTHING
    partials: tuple[str, ...] = ()
    main: str = ""
    durable: bool = False
    scheme: int = 1
    format: int = FORMAT

    @property
    def key(self) -> str:
        """``<type name>/<identifier>``."""
        return f"{self.type_name}/{self.identifier}"

    @property
    def retries_left(self) -> int:
        """How often it may still be run again by itself after its time limit."""
        return max(0, self.max_retries - self.retries) if self.resumable else 0


def transient_mode(record: "JobRecord | RunJob | None") -> TransientMode:
    """Say whether a job may be left out; a word of a newer version says that it may not."""
    known = [
        mode for mode in TransientMode if record is not None and mode.value == record.transient
    ]
    return known[0] if known else TransientMode.NONE


def time_limit_s(record: JobRecord) -> float | None:
    """Give how many seconds an attempt may take, None if its launcher has no time limit."""
    minutes = record.launcher.get("time_min")
    return 60.0 * minutes if isinstance(minutes, (int, float)) else None


def limit_reached(record: JobRecord | None) -> str:
    """Say that an attempt has come to its time limit."""
    limit_s = None if record is None else time_limit_s(record)
    if limit_s is None:
        return "its time limit was reached"
    text = f"{limit_s:g} s" if limit_s < 120 else f"{limit_s / 60:g} min"
    return f"its time limit of {text} was reached"


class ProcessRecord(NamedTuple):
    """Which process runs a job (``process.json``): a hint, the lock is the truth.

    Attributes
    ----------
    start : int
        When the process started, in clock ticks after boot (0 where the system does not tell).
    boot_id : str
        Which boot of which machine `pid` and `start` belong to.
    started : float
        When the attempt started, seconds since the epoch.
    """

    pid: int
    start: int
    boot_id: str
    host: str
    attempt: int = 1
    started: float = 0.0
    type: str = "local"  # of the launcher
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """Give what ``launcher.attach`` takes."""
        return self._asdict()


class Claim(NamedTuple):
    """A share of what jobs have in common: it counts as long as the job's lock is held."""

    job: str  # its key
    units: int = 1


class Waiter(NamedTuple):
    """A job that stands in a queue; forgotten if it is not said again."""

    job: str
    since: float = 0.0  # when it was submitted
    until: float = 0.0


class TokenRecord(NamedTuple):
    """Who has how much of what jobs have in common, and who waits for it (``token.json``)."""

    total: int = 1
    claims: tuple[Claim, ...] = ()
    waiting: tuple[Waiter, ...] = ()
    format: int = FORMAT


class Failure(NamedTuple):
    """The content of a failed marker."""

    reason: FailureReason
    code: int | None = None
    message: str = ""


class EndNote(NamedTuple):
    """Why somebody asked an attempt to end, and until when it may live (0.0: nobody knows).

    ``by``: the number of the process that asked, 0 if nobody knows.
    """

    reason: FailureReason
    until: float = 0.0
    by: int = 0


class Times(NamedTuple):
    """When an attempt started and ended, seconds since the epoch; None where it is not known."""

    started: float | None
    ended: float | None


class Loaded(NamedTuple):
    """A module of the user's own that a task loaded although nothing in its code names it.

    Attributes
    ----------
    name, path : str
        The module, and its file.
    digest : str
        Of what the file says, as that of a `CodePart`.
    stamp : tuple[int, ...]
        When it was written (ns) and its size.
    text : str
        What the file says, "" if that was not kept, or was not asked for.
    """

    name: str
    path: str
    digest: str
    stamp: tuple[int, ...] = ()
    text: str = ""


class Meaning(NamedTuple):
    """What a type name stands for: the parameters with their types, as a notebook says."""

    notebook: str
    fields: Mapping[str, str] = _NOTHING
    format: int = FORMAT


class Output(NamedTuple):
    """One output that a task reported while it ran: the name of a method, and its arguments."""

    method: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = _NOTHING

    @property
    def key(self) -> str:
        """Text that is equal for equal outputs."""
        return json.dumps([self.method, list(self.args), dict(self.options)], sort_keys=True)


class Disowned(NamedTuple):
    """Who took a result back, when (seconds since the epoch) and why."""

    by: str
    time: float
    reason: str
    format: int = FORMAT


class Removal(NamedTuple):
    """One line of ``removals.jsonl``: the files of attempts were removed, as nobody needed them.

    Attributes
    ----------
    attempt : int
        The last one.
    submitted, started, ended : float
        When that was, seconds since the epoch; 0.0 where it is not known.
    time : float
        When they were removed.
    by : str
        By whom: user and host.
    experiments : tuple[str, ...]
        Those that had asked for the job.
    """

    attempt: int = 1
    submitted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    time: float = 0.0
    by: str = ""
    experiments: tuple[str, ...] = ()
    format: int = FORMAT


class RunJob(NamedTuple):
    """One line of a run's list of jobs; `job` is ``jobs/<type name>/<64 hex>``.

    ``transient``: value of the `TransientMode` with which the run asked for it.
    """

    job: str
    task: str
    tags: Mapping[str, Any] = _NOTHING
    submitted: float = 0.0
    launcher: Mapping[str, Any] = _NOTHING
    transient: str = TransientMode.NONE.value


class CodePart(NamedTuple):
    """One piece of the code that a job reaches.

    Attributes
    ----------
    kind : str
        ``cell`` for a statement of a cell or script, ``needed`` for the class of a task that is
        only needed (its `execute` does not count), ``module`` for a whole file.
    name : str
        What it defines, or the module's name.
    where : str
        ``In[3], line 2``, or the path of the file.
    digest : str
        Of what it says: comments, docstrings and looks left out.
    uses : tuple[int, ...]
        Numbers of the parts that it needs.
    stamp : tuple[int, ...]
        Of a file: when it was written (ns) and its size.
    """

    kind: str
    name: str
    where: str
    source: str
    digest: str
    uses: tuple[int, ...] = ()
    stamp: tuple[int, ...] = ()


class Code(NamedTuple):
    """The code that a job's task reaches (``code.json``).

    Attributes
    ----------
    fingerprint : str
        64 hexadecimal digits; "" where it is not known.
    unknown : str
        Why it is not known.
    roots : tuple[str, ...]
        The classes of the task, ``module:qualified name``, and of those that it needs (``-``
        before the name), whose `execute` does not count.
    parts : tuple[CodePart, ...]
        What counts.
    left_out : dict
        Parameters that are not in the identifier because they have their default: as text, by
        ``Class.name``.
    futures : tuple[str, ...]
        Features of ``__future__`` that its cells are compiled under, and that count.
    packages : dict
        Versions of the installed distributions that it imports; they do not count.
    changed : str
        What was changed between the submission and the start.
    aside : tuple[str, ...]
        Files of the user's own that its script loads and that do not count: they belong to jobs
        that it needs.
    imports : tuple[str, ...]
        What it imports, as far as that counts: of each a module, and the names taken from it,
        with blanks between. What they mean may change though no file does that is among the parts.
    """

    fingerprint: str = ""
    unknown: str = ""
    roots: tuple[str, ...] = ()
    parts: tuple[CodePart, ...] = ()
    left_out: Mapping[str, str] = _NOTHING
    futures: tuple[str, ...] = ()
    packages: Mapping[str, str] = _NOTHING
    changed: str = ""
    aside: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    format: int = FORMAT

    def summary(self) -> dict[str, Any]:
        """Give what ``job.json`` says of it: all but the parts, of which only files are named."""
        files = [[p.where, *p.stamp, p.name] for p in self.parts if p.stamp]
        said = {
            "fingerprint": self.fingerprint,
            "reason": self.unknown,
            "left_out": dict(self.left_out),
            "packages": dict(self.packages),
            "changed": self.changed,
            "files": files,
            "aside": list(self.aside),
        }
        return {name: value for name, value in said.items() if value}


class Kept(NamedTuple):
    """One line of ``kept.jsonl``: somebody accepted a result although the code has changed.

    Attributes
    ----------
    fingerprint, left_out, inputs, loaded
        The code, defaults and inputs for which it was accepted; see `Code` and ``job.json``.
        Digests of what it `Loaded`, by path.
    """

    fingerprint: str
    left_out: Mapping[str, str] = _NOTHING
    inputs: Mapping[str, str] = _NOTHING
    loaded: Mapping[str, str] = _NOTHING
    reason: str = ""
    by: str = ""
    host: str = ""
    time: float = 0.0
    format: int = FORMAT


Outcome = Literal["done"] | Failure | None


# --- records ---------------------------------------------------------------------------------

# What the fields of all records are in JSON; those that are not named here are objects.
_EXPECTED: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("type_name", "identifier", "name", "task", "experiment", "python"), (str,)),
    **dict.fromkeys(("boot_id", "host", "type", "job", "notebook"), (str,)),
    **dict.fromkeys(("fingerprint", "unknown", "changed", "kind", "where", "source"), (str,)),
    **dict.fromkeys(("digest", "reason", "by", "transient"), (str,)),
    **dict.fromkeys(("pid", "start", "attempt", "scheme", "format"), (int,)),
    **dict.fromkeys(("max_retries", "retries"), (int,)),
    **dict.fromkeys(("resumable", "durable"), (bool,)),
    **dict.fromkeys(("submitted", "started", "ended", "time"), (int, float)),
    **dict.fromkeys(
        ("dependencies", "sys_path", "roots", "parts", "uses", "stamp", "futures", "aside"),
        (list,),
    ),
    **dict.fromkeys(("main",), (str,)),  # of what jobs share
    **dict.fromkeys(("total", "units"), (int,)),
    **dict.fromkeys(("since", "until"), (int, float)),
    **dict.fromkeys(("partials", "claims", "waiting", "imports", "experiments"), (list,)),
    "namespace": (str, type(None)),
}


_TEXTS = frozenset({"dependencies", "sys_path", "partials", "imports", "experiments"})


def _fields(path: Path, data: Mapping[str, Any], cls: Any) -> dict[str, Any]:
    """Take a record's fields from an object: what lacks has a default, more is ignored."""
    values: dict[str, Any] = {}
    for name in cls._fields:
        if name not in data:
            if name not in cls._field_defaults:
                raise RecordError(f"{path} is damaged: it has no {name!r}")
            continue
        value = data[name]
        if type(value) not in _EXPECTED.get(name, (dict,)):
            raise RecordError(f"{path} is damaged: {name!r} is {kind_of(value)}")
        if name in _TEXTS and not all(type(item) is str for item in value):
            raise RecordError(f"{path} is damaged: {name!r} holds more than texts")
        values[name] = tuple(value) if isinstance(value, list) else value
    return values


def write_job(paths: JobPaths, record: JobRecord) -> None:
    """Write ``job.json``."""
    write_json(paths.record, record._asdict(), durable=record.durable)
    if record.durable:
        from xpm_nb.store import durable  # seldom needed

        durable.sync(paths.private)
        durable.sync(paths.path)
        durable.sync(paths.path.parent)  # where its own name is


def read_job(paths: JobPaths) -> JobRecord | None:
    """Read ``job.json``; None if there is none; raises `RecordError`."""
    data = read_object(paths.record)
    return None if data is None else JobRecord(**_fields(paths.record, data, JobRecord))


def write_code(paths: JobPaths, code: Code) -> None:
    """Write ``code.json``."""
    parts = [part._asdict() for part in code.parts]
    write_text(paths.code, params_text(code._asdict() | {"parts": parts}))


def read_code(paths: JobPaths) -> Code | None:
    """Read ``code.json``; None if there is none; raises `RecordError`."""
    data = read_object(paths.code)
    if data is None:
        return None
    fields = _fields(paths.code, data, Code)
    parts = []
    for part in fields.get("parts", ()):
        if not isinstance(part, dict):
            raise RecordError(f"{paths.code} is damaged: a part is {kind_of(part)}")
        parts.append(CodePart(**_fields(paths.code, part, CodePart)))
    used = [number for part in parts for number in part.uses]
    if not all(type(number) is int and 0 <= number < len(parts) for number in used):
        raise RecordError(f"{paths.code} is damaged: a part uses one that is not there")
    return Code(**fields | {"parts": tuple(parts)})


def add_kept(paths: JobPaths, kept: Kept) -> None:
    """Note that a result was accepted; raises OSError."""
    append_line(paths.kept, kept._asdict())


def read_kept(paths: JobPaths) -> list[Kept]:
    """Read for which code the present result was accepted; a damaged line is left out."""
    rows = []
    for data in read_lines(paths.kept)[0]:
        try:
            rows.append(Kept(**_fields(paths.kept, data, Kept)))
        except RecordError:  # a line, of which only this one is lost
            continue
    return rows


def add_removal(paths: JobPaths, removal: Removal) -> None:
    """Note that the files of a job are removed; raises OSError."""
    append_line(paths.removals, removal._asdict())


def read_removals(paths: JobPaths) -> list[Removal]:
    """Read when files of a job were removed, the first time first; a damaged line is left out."""
    rows = []
    for data in read_lines(paths.removals)[0]:
        with suppress(RecordError):  # a line, of which only this one is lost
            rows.append(Removal(**_fields(paths.removals, data, Removal)))
    return rows


def write_script(paths: JobPaths, text: str, *, durable: bool = False) -> None:
    """Write ``<NAME>.py``, the last of what is written of a job before it can be run."""
    write_text(paths.script, text, durable=durable)
    if durable:
        from xpm_nb.store import durable as disk  # seldom needed

        disk.sync(paths.path)


def write_params(paths: JobPaths, document: Mapping[str, Any] | str) -> None:
    """Write ``params.json``: the document of `core.serial.dump`, or its `params_text`."""
    write_text(paths.params, document if isinstance(document, str) else params_text(document))


def read_params(paths: JobPaths) -> dict[str, Any] | None:
    """Read ``params.json``; None if there is none; raises `RecordError`."""
    return read_object(paths.params)


def is_of_ours(paths: JobPaths) -> bool:
    """Tell from its parameters whether we made a job's directory, and not experimaestro."""
    with suppress(RecordError):
        return "format" in (read_params(paths) or {})
    return False


def write_process(paths: JobPaths, record: ProcessRecord) -> None:
    """Say which process runs the job: ``process.json``, and ``<NAME>.pid`` for experimaestro."""
    write_json(paths.process, record._asdict())
    write_json(paths.pid, {"type": record.type, "pid": record.pid})


def read_process(paths: JobPaths) -> ProcessRecord | None:
    """Read which process runs, or ran, the job; None if nothing says so; raises `RecordError`."""
    data = read_object(paths.process)
    return None if data is None else as_process(paths.process, data)


def as_process(path: Path, data: Any) -> ProcessRecord:
    """Take the description of a process from what a file holds; raises `RecordError`."""
    if not isinstance(data, dict):
        raise RecordError(f"{path} is damaged: a process is {kind_of(data)}")
    return ProcessRecord(**_fields(path, data, ProcessRecord))


def clear_pid(paths: JobPaths) -> None:
    """Remove ``<NAME>.pid``: the process ends."""
    with suppress(FileNotFoundError):
        fs.unlink(paths.pid)


def read_pid(paths: JobPaths) -> int | None:
    """Read ``<NAME>.pid``, whoever wrote it; None if there is none; raises `RecordError`."""
    data = read_object(paths.pid)
    if data is None:
        return None
    pid = data.get("pid")
    if type(pid) is not int or pid <= 0:
        raise RecordError(f"{paths.pid} is damaged: its pid is {pid!r}")
    return pid


def write_end_note(
    paths: JobPaths, reason: FailureReason = FailureReason.CANCELLED, within_s: float = 0.0
) -> None:
    """Note that the running attempt is asked to end: its end is then no loss.

    Parameters
    ----------
    paths : JobPaths
        The job.
    reason : FailureReason
        CANCELLED or TIMEOUT.
    within_s : float
        How long it may live yet, in seconds from now; 0.0 if nobody knows.
    """
    now = time.time()
    until = now + within_s if within_s else 0.0
    data = {"format": FORMAT, "reason": reason.value, "time": now, "until": until}
    write_json(paths.cancel, data | {"by": os.getpid()})


def read_end_note(paths: JobPaths) -> EndNote | None:
    """Read why this attempt was asked to end; None if it was not.

    A note that cannot be understood says that it was cancelled.
    """
    try:
        data = read_object(paths.cancel)
    except RecordError:
        return EndNote(FailureReason.CANCELLED)
    if data is None:
        return None
    timeout = data.get("reason") == FailureReason.TIMEOUT.value
    reason = FailureReason.TIMEOUT if timeout else FailureReason.CANCELLED
    by = data.get("by")
    return EndNote(reason, _number(data.get("until")) or 0.0, by if type(by) is int else 0)


# --- what jobs share -------------------------------------------------------------------------


def write_token(path: Path, record: TokenRecord) -> None:
    """Write a ``token.json``; the caller holds the lock of all of them."""
    data = record._asdict()
    data["claims"] = [claim._asdict() for claim in record.claims]
    data["waiting"] = [waiter._asdict() for waiter in record.waiting]
    write_json(path, data)


def read_token(path: Path) -> TokenRecord | None:
    """Read a ``token.json``; None if there is none; raises `RecordError`."""
    data = read_object(path)
    if data is None:
        return None
    fields = _fields(path, data, TokenRecord)
    for name, cls in (("claims", Claim), ("waiting", Waiter)):
        rows = fields.get(name, ())
        if not all(isinstance(row, dict) for row in rows):
            raise RecordError(f"{path} is damaged: {name!r} holds no objects")
        fields[name] = tuple(cls(**_fields(path, row, cls)) for row in rows)
    record = TokenRecord(**fields)
    if record.total < 1 or any(claim.units < 1 for claim in record.claims):
        raise RecordError(f"{path} is damaged: it counts {record.total}")
    return record


# --- how a job ended -------------------------------------------------------------------------


def write_times(
    paths: JobPaths,
    started: float | None,
    ended: float,
    changed: Sequence[str] = (),
    loaded: Sequence[Loaded] = (),
    result: str = "",
) -> None:
    """Keep when an attempt started and ended; written before the marker.

    With the files of its code that changed while it started: nobody knows which it ran. With the
    modules that nothing but its run could tell of. And with what `results.store_result` says that
    it has kept, without which a file that was lost would be taken for a result that is None.
    """
    data: dict[str, Any] = {"format": FORMAT, "started": started, "ended": ended}
    if result:
        data["result"] = result
    if changed:
        data["changed"] = ", ".join(changed)
    if loaded:
        data["loaded"] = [
            [one.name, one.path, one.digest, *one.stamp, *filter(None, [one.text])]
            for one in loaded
        ]
    write_json(paths.outcome, data)


def read_changed(paths: JobPaths) -> str:
    """Name the files of its code that changed while the last attempt started; "" for none."""
    return read_met(paths)[0]


def read_met(paths: JobPaths, *, texts: bool = False) -> tuple[str, tuple[Loaded, ...]]:
    """Give what only the last attempt could tell of its code; the texts of files if asked.

    Returns
    -------
    tuple
        See `read_changed`, and the modules that it loaded although nothing in its code names them.
    """
    data = read_object(paths.outcome) or {}
    said = data.get("loaded")
    found = []
    for one in said if isinstance(said, list) else ():
        match one:
            case [str(name), str(path), str(digest), int(written), int(size), *more]:
                text = str(more[0]) if more and texts else ""
                found.append(Loaded(name, path, digest, (written, size), text))
    return str(data.get("changed") or ""), tuple(found)


def read_result_note(paths: JobPaths) -> str | None:
    """Say what the last attempt noted of its result: "none", or the file that holds it.

    Returns
    -------
    str or None
        "" if the attempt ran with an earlier version, which noted nothing; None if how it ended was
        not written at all, as by experimaestro.

    Raises
    ------
    RecordError
        The file that should say it is damaged.
    """
    data = read_object(paths.outcome)
    return None if data is None else str(data.get("result") or "")


def known_files(record: JobRecord) -> frozenset[str]:
    """Give the files that the record of a job says its code comes from, or does not count."""
    listed, aside = record.code.get("files"), record.code.get("aside")
    rows = listed if isinstance(listed, list) else ()
    found = {row[0] for row in rows if isinstance(row, list) and row}
    return frozenset(str(file) for file in (*found, *(aside if isinstance(aside, list) else ())))


def module_files(record: JobRecord | None) -> dict[str, str]:
    """Give the files that the record of a job says its modules come from, by their names."""
    listed = None if record is None else record.code.get("files")
    found = {}
    for row in listed if isinstance(listed, list) else ():
        match row:
            case [str(path), _, _, str(name)]:
                found[name] = path
    return found


def changed_files(record: JobRecord | None) -> list[str]:
    """Name the files of a job's code that are not what they were when it was launched."""
    files = () if record is None else record.code.get("files", ())
    found = []
    for file in files if isinstance(files, list) else ():
        match file:
            case [str(path), int(written), int(size), *_]:
                try:
                    now = os.stat(path)
                except OSError:
                    found.append(path)
                    continue
                if (now.st_mtime_ns, now.st_size) != (written, size):
                    found.append(path)
    return found


def read_times(paths: JobPaths) -> Times:
    """Read when the last attempt started and ended, also of jobs that experimaestro ran.

    Raises
    ------
    RecordError
        A file that should say it is damaged.
    """
    data = read_object(paths.outcome)
    if data is not None:
        return Times(_number(data.get("started")), _number(data.get("ended")))
    process = read_process(paths)
    ended = next((_mtime(m) for m in (paths.done, paths.failed) if m.exists()), None)
    return Times(process.started if process else None, ended)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def written_at(path: Path) -> float | None:
    """Tell when a file was written, seconds since the epoch; None if there is none."""
    try:
        return _mtime(path)
    except OSError:
        return None


def _mtime(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def write_done(paths: JobPaths) -> None:
    """Write the marker of success; the caller holds the job lock."""
    write_bytes(paths.done, b"")


def sync_outputs(paths: JobPaths, record: JobRecord | None) -> bool:
    """Have all that a job left on the disk, if its record asks for that; tell whether it does.

    To be called before its marker is written; `sync_marker` is for after that. What earlier
    attempts left is not looked at.
    """
    if record is None or not record.durable:
        return False
    from xpm_nb.store import durable  # seldom needed

    durable.sync_tree(paths.path, besides=(PRIVATE,))
    durable.sync_tree(paths.private, besides=(paths.attempts.name,))
    for name in record.partials:
        durable.sync_tree(Workspace(paths.workspace).shared(name))
    return True


def sync_marker(paths: JobPaths) -> None:
    """Have the marker of a job on the disk, and its name."""
    from xpm_nb.store import durable  # seldom needed

    for path in (paths.done, paths.failed, paths.path):
        durable.sync(path)


def write_failed(
    paths: JobPaths,
    reason: FailureReason,
    code: int | None = 1,
    message: str = "",
    *,
    durable: bool = True,
) -> None:
    """Write the marker of failure; the caller holds the job lock.

    With `durable` it is on the disk before it has its name, which takes milliseconds.
    """
    data = {"format": FORMAT, "code": code, "reason": reason.value, "message": message}
    write_json(paths.failed, data, durable=durable)


def write_frames(paths: JobPaths, data: Mapping[str, Any]) -> None:
    """Keep the frames of a failure (see `runtime.frames`); written before the marker."""
    write_json(paths.frames, {"format": FORMAT, **data})


def read_frames(paths: JobPaths) -> dict[str, Any] | None:
    """Read what was kept of the frames of a failure; None if nothing; raises `RecordError`."""
    return read_object(paths.frames)


def read_failed(paths: JobPaths) -> Failure | None:
    """Read the marker of failure, ours or experimaestro's; None if there is none.

    Raises
    ------
    RecordError
        It is damaged.
    """
    data = read_json(paths.failed)
    if data is None:
        return None
    if type(data) is int:  # experimaestro 1 wrote the bare exit code
        return Failure(FailureReason.FAILED, data)
    if not isinstance(data, dict):
        raise RecordError(f"{paths.failed} is damaged: an object is expected, not {kind_of(data)}")
    try:
        reason = FailureReason(str(data.get("reason", "")).lower())
    except ValueError:  # a reason of another tool
        reason = FailureReason.FAILED
    code, message = data.get("code"), printable(str(data.get("message") or ""))
    return Failure(reason, code if type(code) is int else None, message)


def read_outcome(paths: JobPaths) -> Outcome:
    """Read how the job ended: ``"done"``, a `Failure`, or None if it has not.

    A marker beats every other sign, and that of success beats the other.

    Raises
    ------
    RecordError
        The marker of failure is damaged.
    """
    return "done" if is_done(paths) else read_failed(paths)


def is_done(paths: JobPaths) -> bool:
    """Tell whether the marker of success is there, and was not made by the task itself.

    A process of ours writes when it ended before its marker: one that stands there earlier is a
    file of the task that happens to have the name. (Of experimaestro's jobs there is no process.)
    """
    if not paths.done.is_file():  # a directory of that name is no marker
        return False
    return paths.outcome.exists() or not paths.process.exists()


def done_mark(paths: JobPaths) -> tuple[int, ...] | None:
    """Tell one marker of success from any other; None if it is not there.

    As an attempt is moved away its marker goes first, and as one ends it comes last: what is read
    between two looks that give the same belongs to that marker. One that was moved away and is put
    back counts as another.
    """
    if gone(paths.workspace) or not is_done(paths):
        return None
    try:
        found = os.stat(paths.done)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def set_aside_done(paths: JobPaths) -> bool:
    """Move a marker of success away that the task itself made; tell whether there was one.

    The caller holds the job lock.
    """
    if is_done(paths) or not paths.done.is_file():
        return False
    fs.rename(paths.done, make_next(paths.workspace, paths.damaged) / paths.done.name)
    return True


def read_disowned(path: Path) -> Disowned | None:
    """Read the note of an attempt that was disowned; None if it was not; raises `RecordError`."""
    data = read_object(path)
    if data is None:
        return None
    return Disowned(
        str(data.get("by", "")), _number(data.get("time")) or 0.0, str(data.get("reason", ""))
    )


# --- other files ------------------------------------------------------------------------------


def write_meaning(root: Path, path: Path, meaning: Meaning) -> None:
    """Keep what a type name stands for, in a workspace."""
    make_directory(root, path.parent)
    write_json(path, meaning._asdict())


def read_meaning(path: Path) -> Meaning | None:
    """Read what a type name stands for; None if nobody said so; raises `RecordError`."""
    data = read_object(path)
    return None if data is None else Meaning(**_fields(path, data, Meaning))


def add_output(paths: JobPaths, output: Output) -> None:
    """Note an output that a task reports.

    Raises
    ------
    RecordError
        JSON does not give an argument back as it is.
    """
    row = {"method": output.method, "args": list(output.args), "options": dict(output.options)}
    if exact_json([row["args"], row["options"]]) is None:
        raise RecordError(
            f"the arguments of {output.method}() must be what JSON gives back unchanged (numbers, "
            f"text, lists, dicts with names, None), not {_shown_arguments(output)}"
        )
    append_line(paths.outputs, {"format": FORMAT, "time": time.time(), **row})


def _shown_arguments(output: Output) -> str:
    texts = [f"{value!r:.60}" for value in output.args]
    texts += [f"{name}={value!r:.60}" for name, value in output.options.items()]
    return f"({', '.join(texts)})"


def read_outputs(paths: JobPaths, file: int = 0, offset: int = 0) -> tuple[list[Output], int, int]:
    """Read what a task reported after an offset; a line that is damaged is left out.

    Parameters
    ----------
    file, offset : int
        What the last call gave. A file that another one has replaced (the job was run again, and
        its files are new) is read from its beginning.

    Returns
    -------
    tuple[list[Output], int, int]
        The outputs, and the `file` and `offset` for the next call.

    Raises
    ------
    RecordError
        The file cannot be read.
    """
    found = state_of(paths.outputs)[0]
    rows, offset = read_lines(paths.outputs, offset if file == found else 0)
    outputs = []
    for row in rows:
        method, args, options = row.get("method"), row.get("args"), row.get("options")
        if isinstance(method, str) and isinstance(args, list) and isinstance(options, dict):
            outputs.append(Output(method, tuple(args), options))
    return outputs, found, offset


def state_of(path: Path) -> tuple[int, int]:
    """Give a number that tells a file from the one that takes its place, and its size."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_size


def add_run_job(run: RunPaths, row: RunJob) -> None:
    """Add a job to a run's list."""
    append_line(run.jobs, {"format": FORMAT, **row._asdict()})


def read_run_jobs(run: RunPaths) -> list[RunJob]:
    """Read a run's list of jobs, in order of submission; a damaged line is left out."""
    return read_run_list(run)[0]


def read_run_list(run: RunPaths) -> tuple[list[RunJob], int]:
    """Read a run's list of jobs, and count the lines that cannot be understood."""
    found, damaged = read_all_lines(run.jobs)
    rows, _, others = _run_jobs(run, found)
    return rows, damaged + others


def read_run_news(run: RunPaths, offset: int) -> tuple[list[RunJob], set[str], int]:
    """Read what stands in a run's list of jobs after an offset.

    Returns
    -------
    tuple[list[RunJob], set[str], int]
        The jobs; those (`RunJob.job`) of which nothing before counts; the offset for the next call.

    Raises
    ------
    RecordError
        The list cannot be read.
    """
    found, offset = read_lines(run.jobs, offset)
    rows, gone, _ = _run_jobs(run, found)
    return rows, gone, offset


def read_run_end(run: RunPaths, size_bytes: int) -> tuple[list[RunJob], bool]:
    """Read the last part of a run's list of jobs, and say whether there is more before it."""
    before = max(0, state_of(run.jobs)[1] - size_bytes)
    return _run_jobs(run, read_lines(run.jobs, before)[0])[0], before > 0


def _run_jobs(
    run: RunPaths, found: Sequence[Mapping[str, Any]]
) -> tuple[list[RunJob], set[str], int]:
    """Take the jobs of lines, those that were deleted, and count what cannot be understood."""
    rows: list[RunJob] = []
    gone: set[str] = set()
    damaged = 0
    for data in reversed(found):
        if "deleted" in data:  # what stands before
            gone.add(str(data.get("job")))
            continue
        try:
            row = RunJob(**_fields(run.jobs, data, RunJob))
        except RecordError:  # a line, of which only this one is lost
            damaged += 1
            continue
        if row.job not in gone:
            rows.append(row)
    return rows[::-1], gone, damaged


def forget_run_job(run: RunPaths, job: str, deleted: float) -> None:
    """Note in a run's list that a job was deleted: it is not in the list any more."""
    append_line(run.jobs, {"format": FORMAT, "job": job, "deleted": deleted})


def write_notebook(
    path: Path, cells: Sequence[tuple[int, str]], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write executed cells, (number, source) each, as a notebook without outputs."""
    # By hand: importing nbformat takes up to seconds, in a thread whose callbacks users wait for.
    document = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": count,
                "id": f"cell-{number}",
                "metadata": {},
                "outputs": [],
                "source": source.splitlines(keepends=True),
            }
            for number, (count, source) in enumerate(cells)
        ],
        "metadata": dict(metadata or {}),
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    write_json(path, document)
