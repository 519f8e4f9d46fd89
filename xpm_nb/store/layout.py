"""Every file name of the project, and the one door through which user text becomes a path.

Rule 1: no other module names a file of a workspace.
Rule 2: text from people (type names, experiment names, identifiers) becomes part of a path only
through `component`; what is about to be written or deleted goes through `inside` first, which looks
at the resolved path, because a check on strings does not see links.

The tree::

    <workspace>/.__experimaestro__                marker
    <workspace>/jobs/<type name>/<64 hex>/        JobPaths; the job's working directory
    <workspace>/experiments/<name>/xpm_nb/<run>/  RunPaths
    <workspace>/config/<type name>/<64 hex>/      CachePaths
    <workspace>/tokens/<name>/                    what `Workspace.token` names
    <workspace>/partials/<type name>/<partial name>/<64 hex>/   shared by similar tasks
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from xpm_nb.errors import ConfigError, WorkspaceError
from xpm_nb.store import fs

MARKER = ".__experimaestro__"
PARAMS = "params.json"
PRIVATE = ".experimaestro"
DELETING = ".deleting"  # of a workspace: what is there is on its way out

# The longest thing made of a name is "<name>.failed"; 255 bytes is what file systems take.
_MAX_BYTES = 255 - len(".failed")
_HEX = re.compile(r"[0-9a-f]{64}")
_WORD_OF_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_ASIDE = re.compile(r"\.writing-(\d+)-[0-9a-f]{8}")
_FILES = re.compile(r"files-[0-9]{1,9}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def component(text: str, what: str = "name") -> str:
    """Check that a text can be one part of a path, and return it unchanged.

    Letters of any alphabet, spaces and signs such as ``<locals>`` are fine: nothing here is ever
    given to a shell, nor decoded again.

    Parameters
    ----------
    text : str
        What a person wrote.
    what : str
        What it is, for the message: "type name", "experiment name".

    Raises
    ------
    ConfigError
        It is empty, ``.`` or ``..``, too long, or holds a slash, a backslash, a control
        character or an invisible one (such as those that reverse the direction of writing).
    """
    shown = repr(text if len(text) <= 80 else text[:77] + "…")
    if text in ("", ".", ".."):
        raise ConfigError(f"{shown} cannot be a {what}: it does not name anything")
    bad = next((c for c in text if c in "/\\" or not c.isprintable()), None)
    if bad is not None:
        raise ConfigError(f"{shown} cannot be a {what}: it holds the character {bad!r}")
    size = len(text.encode("utf-8"))
    if size > _MAX_BYTES:
        raise ConfigError(f"{shown} cannot be a {what}: {size} bytes, at most {_MAX_BYTES}")
    return text


def inside(root: Path, path: Path) -> Path:
    """Check that a path, links followed, lies under a directory; return it unchanged.

    Called where something is created, written or deleted, just before.

    Raises
    ------
    WorkspaceError
        It lies elsewhere: a link in the workspace leads out of it.
    """
    if _is_plainly_below(root, path):
        return path
    real_root, real = os.path.realpath(root), os.path.realpath(path)
    if real != real_root and not real.startswith(real_root.rstrip("/") + "/"):
        raise WorkspaceError(f"{path} leads out of {root}, to {real}: remove the link")
    return path


def _is_plainly_below(root: Path, path: Path) -> bool:
    """Tell whether a path needs no following: below `root` it has no link, and no way up.

    That is nearly always so, and takes a fifth of the looks at the disk that following takes.
    """
    parts = path.parts
    if parts[: len(root.parts)] != root.parts or ".." in parts:
        return False
    place = os.fspath(root)
    for name in parts[len(root.parts) :]:
        place = f"{place}/{name}"
        try:
            if stat.S_ISLNK(os.lstat(place).st_mode):
                return False
        except FileNotFoundError:
            return True  # nor is what would be below it
        except OSError:
            return False
    return True


def job_around(path: Path) -> JobPaths | None:
    """Give the job in whose directory a path lies, None if it lies in none.

    A job's directory is ``jobs/<type name>/<64 hex>``, and is there.
    """
    real = Path(os.path.realpath(path))
    for place in (real, *real.parents):
        is_one = _HEX.fullmatch(place.name) and place.parent.parent.name == "jobs"
        if is_one and place.is_dir():
            return JobPaths.of(place)
    return None


def stranger(root: Path) -> str:
    """Name the other user to whom a workspace belongs, "" if it is ours, or not there.

    What such a workspace holds was written by that user: it is looked at, and nothing of it runs.
    """
    me = os.geteuid()
    try:
        owner = os.stat(root).st_uid
    except OSError:
        return ""
    if owner == me or me == 0:  # in a container, all directories seem to be somebody else's
        return ""
    import pwd  # seldom needed

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"number {owner}"


def check_ours(root: Path) -> None:
    """Check that a workspace does not belong to another user.

    Raises
    ------
    WorkspaceError
        It does: nothing is written there, and nothing of it runs.
    """
    if owner := stranger(root):
        raise WorkspaceError(
            f"the workspace {root} belongs to the user {owner}: it can be looked at only; copy it,"
            " or choose another with workspace=…"
        )


# Which directories the workspaces are that this process has opened: device and number of each.
_opened: dict[str, tuple[int, int]] = {}


def gone(root: Path) -> str:
    """Say that a workspace is not there any more, "" if it is.

    Nothing makes it anew where it was: half a workspace would be there, and the other half with its
    results elsewhere. For the same reason nobody goes on in another one that stands in its place.
    """
    try:
        found = os.stat(root)
    except OSError:
        other = ""
    else:
        known = _opened.get(os.fspath(root))
        if stat.S_ISDIR(found.st_mode) and known in (None, (found.st_dev, found.st_ino)):
            return ""
        other = ", and another one is in its place"
    return (
        f"the workspace {root} is not there any more: it was moved or deleted while it was open"
        f'{other}; put it back, or open it where it is now with start("…", workspace=…)'
    )


def check_place(root: Path) -> None:
    """Check that a workspace is there still, and does not belong to another user.

    Called where a job is taken to be run or changed, and where something is created.

    Raises
    ------
    WorkspaceError
        Nothing is written there then, and nothing of it runs.
    """
    check_ours(root)
    if text := gone(root):
        raise WorkspaceError(text)


def make_directory(root: Path, path: Path) -> Path:
    """Make a directory (and its parents) under `root`, and return it.

    Raises
    ------
    WorkspaceError
        It leads out of `root`, cannot be made, or `root` is another user's, or gone.
    """
    inside(root, path)
    check_place(root)
    try:
        fs.make_directories(path)
    except OSError as error:
        raise WorkspaceError(f"cannot make the directory {path}: {error.strerror}") from error
    return inside(root, path)


def aside(path: Path) -> Path:
    """Name a file beside `path` in which it is written before it takes its name.

    Asides of a job's files stand in its private directory, so that a process killed while writing
    leaves nothing where people look.
    """
    private = path.parent / PRIVATE
    place = private if path.parent.name != PRIVATE and private.is_dir() else path.parent
    return place / f".writing-{os.getpid()}-{os.urandom(4).hex()}"


def writer_of(name: str) -> int | None:
    """Give the process that wrote an `aside`, from its name; None if it is none."""
    found = _ASIDE.fullmatch(name)
    return None if found is None else int(found[1])


def numbered(directory: Path) -> list[Path]:
    """List the sub-directories named 1, 2, 3, … in that order (attempts, rehearsals)."""
    try:
        names = [name for name in os.listdir(directory) if name.isascii() and name.isdigit()]
    except FileNotFoundError:
        return []
    return [directory / name for name in sorted(names, key=int)]


def make_next(root: Path, directory: Path) -> Path:
    """Make the next of the directories named 1, 2, 3, …; two callers never get the same."""
    make_directory(root, directory)
    while True:
        known = numbered(directory)
        path = directory / str(int(known[-1].name) + 1 if known else 1)
        try:
            fs.mkdir(path)
        except FileExistsError:
            continue
        except OSError as error:
            raise WorkspaceError(f"cannot make the directory {path}: {error.strerror}") from error
        return path


class JobPaths:
    """The files of one job.

    Attributes
    ----------
    path : Path
        The job's directory, which is its working directory too.
    workspace : Path
        The workspace's directory, three levels up.
    type_name, identifier : str
        The two last parts of `path`.
    name : str
        The last dotted part of the type name: the stem of the files that people see.
    """

    __slots__ = ("identifier", "name", "path", "private", "type_name", "workspace")

    def __init__(self, workspace: Path, type_name: str, identifier: str) -> None:
        self.workspace = workspace
        self.type_name = type_name
        self.identifier = identifier
        self.name = type_name.rpartition(".")[2]
        self.path = workspace / "jobs" / type_name / identifier
        self.private = self.path / PRIVATE

    @classmethod
    def of(cls, path: Path | str) -> JobPaths:
        """Name the files of an existing job directory, ``…/jobs/<type name>/<64 hex>``.

        Raises
        ------
        WorkspaceError
            It is not such a directory.
        """
        path = Path(os.path.abspath(path))
        parts = path.parts
        if len(parts) < 4 or parts[-3] != "jobs" or not _HEX.fullmatch(parts[-1]):
            raise WorkspaceError(f"{path} is not a job's directory (jobs/<type name>/<64 hex>)")
        return cls(path.parent.parent.parent, parts[-2], parts[-1])

    def __repr__(self) -> str:
        return f"JobPaths({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobPaths) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def create(self) -> JobPaths:
        """Make the job's directory and its private one.

        Raises
        ------
        WorkspaceError
            It cannot be made, or leads out of the workspace.
        """
        make_directory(self.workspace, self.private)
        return self

    @property
    def key(self) -> str:
        """``<type name>/<identifier>``, unique in a workspace."""
        return f"{self.type_name}/{self.identifier}"

    def sibling(self, key: str) -> JobPaths:
        """Name the files of another job: from its key, or its path if it is of another workspace.

        Raises
        ------
        ConfigError, WorkspaceError
            It names no job.
        """
        if key.startswith("/"):
            return JobPaths.of(key)
        return Workspace(self.workspace).job_at(key)

    @property
    def relative(self) -> str:
        """The directory as seen from the workspace's: what a run's list of jobs holds."""
        return f"jobs/{self.type_name}/{self.identifier}"

    # What people see, named as experimaestro 2.7 names it.

    @property
    def script(self) -> Path:
        """The code that is executed."""
        return self.path / f"{self.name}.py"

    @property
    def stdout(self) -> Path:
        """What the job printed."""
        return self.path / f"{self.name}.out"

    @property
    def stderr(self) -> Path:
        """What the job printed on its error stream."""
        return self.path / f"{self.name}.err"

    @property
    def done(self) -> Path:
        """The marker of success."""
        return self.path / f"{self.name}.done"

    @property
    def failed(self) -> Path:
        """The marker of failure, with the reason in it."""
        return self.path / f"{self.name}.failed"

    @property
    def pid(self) -> Path:
        """Who runs it, for experimaestro; there only while the process lives."""
        return self.path / f"{self.name}.pid"

    @property
    def params(self) -> Path:
        """The task with its parameters."""
        return self.path / PARAMS

    @property
    def legacy_lock(self) -> Path:
        """The lock that experimaestro 2.7 holds while it runs the job."""
        return self.path / f"{self.name}.lock"

    # What is ours.

    @property
    def lock(self) -> Path:
        """The job lock; never deleted."""
        return self.private / "lock"

    @property
    def process(self) -> Path:
        """Which process runs, or ran, the job."""
        return self.private / "process.json"

    @property
    def record(self) -> Path:
        """What was submitted: dependencies, launcher, environment, tags, code."""
        return self.private / "job.json"

    @property
    def code(self) -> Path:
        """The code that counts, in pieces, with the fingerprint."""
        return self.private / "code.json"

    @property
    def kept(self) -> Path:
        """Lines that say for which later code the result was accepted."""
        return self.private / "kept.jsonl"

    @property
    def outcome(self) -> Path:
        """When the last attempt started and ended."""
        return self.private / "outcome.json"

    @property
    def progress(self) -> Path:
        """Lines of progress."""
        return self.private / "progress.jsonl"

    @property
    def metrics(self) -> Path:
        """Lines of metrics."""
        return self.private / "metrics.jsonl"

    @property
    def outputs(self) -> Path:
        """Lines of outputs that the task reported while it ran."""
        return self.private / "outputs.jsonl"

    @property
    def result_json(self) -> Path:
        """What `execute` returned, where JSON gives it back unchanged."""
        return self.private / "result.json"

    @property
    def result_pickle(self) -> Path:
        """What `execute` returned, in all other cases."""
        return self.private / "result.pickle"

    @property
    def error(self) -> Path:
        """The traceback of the failure, as text."""
        return self.private / "error.txt"

    @property
    def frames(self) -> Path:
        """What is kept of the frames of the failure: lines and values."""
        return self.private / "frames.json"

    @property
    def disowned(self) -> Path:
        """The note that somebody trusts the result no more; it moves with the attempt."""
        return self.private / "disowned.json"

    @property
    def removals(self) -> Path:
        """Lines that say when the files of an attempt were removed, which nobody needed."""
        return self.private / "removals.jsonl"

    @property
    def leaving(self) -> Path:
        """The note that somebody is about to take the result away (`store.leaving`)."""
        return self.private / "leaving"

    @property
    def cancel(self) -> Path:
        """The note that somebody asked this attempt to end."""
        return self.private / "cancel.json"

    @property
    def attempts(self) -> Path:
        """Earlier attempts, numbered from 1."""
        return self.private / "attempts"

    @property
    def damaged(self) -> Path:
        """Damaged files that were written anew, in folders numbered from 1."""
        return self.private / "damaged"

    def next_attempt(self) -> int:
        """Give the number of the attempt that follows those in `attempts`."""
        known = numbered(self.attempts)
        return int(known[-1].name) + 1 if known else 1

    def attempt(self, number: int) -> JobPaths:
        """Name the files of an earlier attempt, which stand in one directory."""
        paths = JobPaths(self.workspace, self.type_name, self.identifier)
        paths.path = paths.private = self.attempts / str(number)
        return paths

    @property
    def by_hand(self) -> Path:
        """Rehearsals started from a terminal, numbered from 1."""
        return self.private / "by-hand"

    @staticmethod
    def rehearsed(folder: Path, shared: Path) -> Path:
        """Name what stands, in a rehearsal's folder, for a directory that tasks share."""
        return folder.joinpath("partials", *shared.parts[-3:])


class CachePaths:
    """What one configuration keeps between jobs; the directory and the names of its files.

    Nothing is made or looked at.
    """

    __slots__ = ("path", "private", "type_name", "workspace")

    def __init__(self, workspace: Path, type_name: str, identifier: str) -> None:
        self.workspace = workspace
        self.type_name = component(type_name, "type name")
        self.path = workspace / "config" / self.type_name / identifier
        self.private = self.path / PRIVATE

    def __repr__(self) -> str:
        return f"CachePaths({str(self.path)!r})"

    def file(self, name: str) -> Path:
        """Where the user's method reads and writes.

        Raises
        ------
        ConfigError
            The name cannot be one part of a path, or is ours.
        """
        if name == PRIVATE:
            raise ConfigError(f"{name!r} cannot be a cache's name: it is a name of ours")
        return self.path / component(name, "cache's name")

    def lock(self, name: str) -> Path:
        """Locked while somebody is in the method."""
        return self.private / f"{name}.lock"

    @property
    def preparing(self) -> Path:
        """Locked while somebody prepares what the configuration stands for."""
        return self.private / "preparing"

    @property
    def prepared(self) -> Path:
        """There once that is done."""
        return self.private / "prepared"

    def begun(self, name: str) -> Path:
        """There while somebody writes what was not there before, and after that broke off."""
        return self.private / f"{name}.begun"

    def broken(self, name: str) -> Path:
        """What was written before a computation broke off."""
        return self.private / f"{name}.broken"


class SavedPaths:
    """A folder in which configurations were saved, with the files that they name."""

    __slots__ = ("definition", "path")

    DEFINITIONS = ("experimaestro.json", "definition.json")  # the second: of experimaestro 1

    def __init__(self, path: Path, definition: str = "") -> None:
        self.path = path
        name = component(definition, "definition's name") if definition else self.DEFINITIONS[0]
        self.definition = path / name

    def __repr__(self) -> str:
        return f"SavedPaths({str(self.path)!r})"

    def folders(self) -> list[Path]:
        """List the folders in which files were kept, of this and earlier savings."""
        return [self.path / name for name in _names(self.path) if _FILES.fullmatch(name)]

    def new_folder(self) -> Path:
        """Name a folder for files that is not there yet."""
        names = {folder.name for folder in self.folders()}
        number = 1
        while (name := f"files-{number}") in names:
            number += 1
        return self.path / name


class RunPaths:
    """The files of one run of an experiment."""

    __slots__ = ("path", "run_id")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name

    def __repr__(self) -> str:
        return f"RunPaths({str(self.path)!r})"

    @property
    def jobs(self) -> Path:
        """Lines, one for each job submitted."""
        return self.path / "jobs.jsonl"

    @property
    def environment(self) -> Path:
        """Python, packages, host, commit."""
        return self.path / "environment.json"

    @property
    def notebook(self) -> Path:
        """The cells that were executed."""
        return self.path / "cells.ipynb"

    @property
    def results(self) -> Path:
        """What the user keeps of this run."""
        return self.path / "results"

    def saved(self, name: str) -> Path:
        """Where configurations are saved under a name."""
        return self.path / "saved" / component(name, "name")

    def all_saved(self) -> list[Path]:
        """List what `saved` names that is there."""
        return [self.path / "saved" / name for name in _names(self.path / "saved")]


class ExperimentPaths:
    """The directory of one experiment, whose runs are kept apart."""

    __slots__ = ("name", "path", "workspace")

    def __init__(self, workspace: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be an experiment's name: letters, digits, '.', '_' and '-', "
                "at most 100, the first a letter or digit"
            )
        self.workspace = workspace
        self.name = name
        self.path = workspace / "experiments" / name

    def __repr__(self) -> str:
        return f"ExperimentPaths({str(self.path)!r})"

    @property
    def runs_dir(self) -> Path:
        """Where the runs are."""
        return self.path / "xpm_nb"

    @property
    def detached(self) -> DetachedPaths:
        """Where the process lives that finishes it without a kernel; nothing is made."""
        return DetachedPaths(self.workspace, self.path / "detached")

    def runs(self) -> list[RunPaths]:
        """List the runs in order of their names, which is that of time: the latest is the last."""
        try:
            names = sorted(name for name in os.listdir(self.runs_dir) if _NAME.fullmatch(name))
        except FileNotFoundError:
            return []
        return [RunPaths(self.runs_dir / name) for name in names]

    def run(self, run_id: str) -> RunPaths:
        """Name the files of one run; nothing is made."""
        if not _NAME.fullmatch(run_id):
            raise ConfigError(f"{run_id!r} cannot name a run")
        return RunPaths(self.runs_dir / run_id)

    def create_run(self, run_id: str) -> RunPaths:
        """Make the directory of a run that is new.

        Raises
        ------
        FileExistsError
            Another kernel took this name just now.
        WorkspaceError
            It cannot be made.
        """
        run = self.run(run_id)
        make_directory(self.workspace, self.runs_dir)
        try:
            fs.mkdir(run.path)
        except FileExistsError:
            raise
        except OSError as error:
            raise WorkspaceError(f"cannot make {run.path}: {error.strerror}") from error
        return run


class DetachedPaths:
    """Where the process lives that finishes an experiment without a kernel."""

    __slots__ = ("path", "workspace")

    def __init__(self, workspace: Path, path: Path) -> None:
        self.workspace = workspace
        self.path = path

    @property
    def lock(self) -> Path:
        """Held by the process as long as it lives."""
        return self.path / "lock"

    @property
    def process(self) -> Path:
        """Which process that is."""
        return self.path / "process.json"

    @property
    def callbacks(self) -> Path:
        """What kernels could not hand over: their callbacks, and which were called."""
        return self.path / "callbacks.jsonl"

    @property
    def log(self) -> Path:
        """What the process did."""
        return self.path / "log.txt"


class Workspace:
    """The directory of all jobs.

    Parameters
    ----------
    root : Path or str
        Where it is, or will be; made absolute, a leading ``~`` is the home directory.
    """

    __slots__ = ("root",)

    def __init__(self, root: Path | str) -> None:
        self.root = Path(os.path.abspath(os.path.expanduser(root)))

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    @property
    def marker(self) -> Path:
        """The empty file that says what this directory is."""
        return self.root / MARKER

    @property
    def jobs_dir(self) -> Path:
        """Where the jobs are: ``jobs/<type name>/<64 hex>``."""
        return self.root / "jobs"

    def meaning(self, type_name: str) -> Path:
        """Name the file that says what a type name of a notebook means.

        Raises
        ------
        ConfigError
            It cannot be one part of a path.
        """
        return self.root / "config" / component(type_name, "type name") / "meaning.json"

    @property
    def experiments_dir(self) -> Path:
        """Where the experiments are."""
        return self.root / "experiments"

    @property
    def events(self) -> Path:
        """What kernels tell each other, a line each: hints, never the truth."""
        return self.root / "events"

    def create(self) -> Workspace:
        """Make the directory if need be, and see that it can be used.

        From then on this process knows it: of another one in its place `gone` tells, until that is
        opened, too.

        Raises
        ------
        WorkspaceError
            It cannot be made or written, is not a directory, or is another user's.
        """
        advice = "choose another with workspace=… or the variable XPM_WORKSPACE"
        check_ours(self.root)
        try:
            fs.make_directories(self.root)
            os.close(fs.open_fd(self.marker, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW))
            probe = aside(self.marker)  # the marker may be there in a directory of somebody else
            os.close(fs.open_fd(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            fs.unlink(probe)
            found = os.stat(self.root)
            _opened[os.fspath(self.root)] = found.st_dev, found.st_ino
            make_directory(self.root, self.jobs_dir)
        except OSError as error:
            raise WorkspaceError(
                f"the workspace {self.root} cannot be used: {error.strerror}; {advice}"
            ) from error
        return self

    def job(self, type_name: str, identifier: str) -> JobPaths:
        """Name the files of a job; nothing is made or looked at.

        Raises
        ------
        ConfigError
            The type name cannot be a directory's name, or its last dotted part a file's.
        """
        component(type_name, "type name")
        component(type_name.rpartition(".")[2], "type name (its last part)")
        if not _HEX.fullmatch(identifier):
            raise ConfigError(f"{identifier!r} is not an identifier: 64 hexadecimal digits")
        return JobPaths(self.root, type_name, identifier)

    def cache(self, type_name: str, identifier: str) -> CachePaths:
        """Name the files of what a configuration keeps; nothing is made or looked at."""
        return CachePaths(self.root, type_name, identifier)

    @property
    def shares_lock(self) -> Path:
        """Locked while somebody takes shares, or changes how many there are."""
        return self.root / "tokens" / PRIVATE / "lock"

    def token(self, name: str) -> Path:
        """Name the file that says who has how much of a token; nothing is made or looked at.

        Raises
        ------
        ConfigError
            The name cannot be one part of a path, or is ours.
        """
        if not isinstance(name, str):
            raise ConfigError(f"a token's name is a text, not {name!r}")
        if name == PRIVATE:
            raise ConfigError(f"{name!r} cannot be a token's name: it is a name of ours")
        return self.root / "tokens" / component(name, "token's name") / "token.json"

    def partial(self, type_name: str, name: str, identifier: str) -> Path:
        """Name the directory that tasks share whose partial identifier is the same."""
        if not _HEX.fullmatch(identifier):
            raise ConfigError(f"{identifier!r} is not an identifier: 64 hexadecimal digits")
        kind = component(type_name, "type name")
        return self.root / "partials" / kind / component(name, "partial's name") / identifier

    def shared(self, relative: str) -> Path:
        """Name a directory of `partial` from what `shared_name` gave.

        Raises
        ------
        ConfigError
            It is not of that form.
        """
        parts = relative.split("/")
        if len(parts) != 4 or parts[0] != "partials":
            raise ConfigError(f"{relative!r} does not name a directory that tasks share")
        return self.partial(*parts[1:])

    def shared_name(self, path: Path) -> str:
        """Give the name, relative to the workspace, of a directory of `partial`."""
        return path.relative_to(self.root).as_posix()

    def claim_on(self, relative: str) -> Path:
        """Name the file that says who writes in a directory that tasks share."""
        return self.shared(relative) / PRIVATE / "token.json"

    @property
    def deleting(self) -> Path:
        """Where things are on their way out; there only while somebody deletes, or broke off."""
        return self.root / DELETING

    def caches(self) -> list[CachePaths]:
        """List what configurations keep, by type name and identifier."""
        folder = self.root / "config"
        return [
            CachePaths(self.root, name, identifier)
            for name in _names(folder)
            for identifier in _names(folder / name)
            if _HEX.fullmatch(identifier)
        ]

    def job_at(self, relative: str) -> JobPaths:
        """Name the files of a job from ``jobs/<type>/<64 hex>`` or ``<type>/<64 hex>``.

        Raises
        ------
        ConfigError
            It is not of that form.
        """
        parts = relative.split("/")
        if len(parts) == 3 and parts[0] == "jobs":
            parts = parts[1:]
        if len(parts) != 2:
            raise ConfigError(f"{relative!r} does not name a job: <type name>/<64 hex>")
        return self.job(*parts)

    def jobs(self, type_name: str | None = None) -> list[JobPaths]:
        """List all jobs (or those of a type) that have a directory, by type name and identifier."""
        found: list[JobPaths] = []
        for name in _names(self.jobs_dir) if type_name is None else [type_name]:
            found += [
                JobPaths(self.root, name, identifier)
                for identifier in _names(self.jobs_dir / name)
                if _HEX.fullmatch(identifier)
            ]
        return found

    def experiment(self, name: str) -> ExperimentPaths:
        """Name the directory of an experiment; nothing is made.

        Raises
        ------
        ConfigError
            The name cannot be one.
        """
        return ExperimentPaths(self.root, name)

    def experiments(self) -> list[ExperimentPaths]:
        """List the experiments that have a directory."""
        names = [name for name in _names(self.experiments_dir) if _NAME.fullmatch(name)]
        return [ExperimentPaths(self.root, name) for name in names]


def identifiers_in(text: str) -> set[str]:
    """Give everything in a text that looks like an identifier."""
    return set(_WORD_OF_HEX.findall(text))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
