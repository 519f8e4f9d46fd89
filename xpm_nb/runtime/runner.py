"""The process of a job: load, init tasks, execute, commit the marker.

The last line of each ``<NAME>.py`` calls `main`. Started by an engine, the process has inherited
the job lock (see `store.locks`) and is told so by two variables; started by hand it takes the lock
itself, or leaves the job alone:

=====================  ================================================================
not done, not locked   an ordinary attempt, shown on the terminal too
locked                 exit code 75, saying by whom
done                   a rehearsal in ``.experimaestro/by-hand/<n>/``; the job is not touched
=====================  ================================================================

Rule 1: nothing is written in a job's directory without its lock.
Rule 2: the marker is written last: after the result, the figures, the times, and the threads that
the task left running. One that the task wrote itself is none.
Rule 3: as few imports as possible: this runs once per job.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import time as clocks
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from errno import ENOENT
from functools import partial
from pathlib import Path
from time import CLOCK_MONOTONIC, clock_gettime, monotonic, time
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from xpm_nb.core import config as configs
from xpm_nb.core import doors, rebuild
from xpm_nb.core.states import UNWRITTEN, FailureReason
from xpm_nb.errors import (
    ConfigTypeError,
    GracefulTimeout,
    RecordError,
    TaskCancelled,
    XpmError,
)
from xpm_nb.runtime import report
from xpm_nb.store import attempts, files, fs, locks, records, results
from xpm_nb.store.layout import JobPaths, Workspace, make_directory, make_next

if TYPE_CHECKING:
    from xpm_nb.runtime.deadline import Deadline

_CLOCK = getattr(clocks, "CLOCK_BOOTTIME", CLOCK_MONOTONIC)
BUSY = 75  # EX_TEMPFAIL of sysexits.h: somebody else has the job


def main(script: str, namespace: Mapping[str, Any] | None = None) -> NoReturn:
    """Run the job whose script this is, and end the process.

    Parameters
    ----------
    script : str
        ``__file__`` of the script, in the job's directory.
    namespace : Mapping[str, Any], optional
        Where classes that were defined in cells are found; by default the script's globals.
    """
    fd = os.environ.pop(locks.FD_VARIABLE, None)  # at once: nobody we start may take it for theirs
    attempt = os.environ.pop(locks.ATTEMPT_VARIABLE, None)
    path = os.path.dirname(os.path.abspath(script))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) != path]
    if namespace is None:
        namespace = vars(sys.modules["__main__"])
    try:
        job = RunningJob(JobPaths.of(path), namespace)
        code = job.by_hand() if fd is None else job.by_engine(int(fd), int(attempt or 1))
    except XpmError as error:  # before the task has begun: a workspace or record we cannot use
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        code = 1
    if code == UNWRITTEN:
        os._exit(code)  # the end of the interpreter would stumble over what cannot be written, too
    sys.exit(code)


class RunningJob:
    """What `main` was called for."""

    def __init__(self, paths: JobPaths, namespace: Mapping[str, Any]) -> None:
        self.paths = paths
        self.namespace = namespace
        self.lock: locks.JobLock | None = None
        self.timed = False  # an engine sees to it that the time limit is kept
        self.deadline: Deadline | None = None  # which is watched while the task is executed
        self.record_: records.JobRecord | None = None
        self.changed: list[str] = []  # files of its code, after it was launched
        self.loaded: set[str] = set()  # files of modules when it began to execute
        self.looked_at: set[str] = set()  # modules that its record does not name
        self.found: list[records.Loaded] = []  # those among them that are the user's own
        self.doubtful: list[str] = []  # files that may say something else than what was loaded
        self.kept = ""  # what was kept of what it returned

    # --- the three ways ---

    def by_engine(self, fd: int, attempt: int) -> int:
        """Run the attempt for which an engine handed us the lock."""
        self.lock = locks.adopt(self.paths, fd)
        if self.lock is None:
            return self.say_busy()
        if records.is_done(self.paths):
            return 0
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # the cells may have put another there
                stream.reconfigure(line_buffering=True)
        self.timed = True
        return self.attempt(attempt)

    def by_hand(self) -> int:
        """Do what a person at a terminal may want of this job."""
        if records.is_done(self.paths):
            return self.rehearse()
        if locks.legacy_holder(self.paths) is not None:
            return self.say_busy()
        lock = locks.try_lock(self.paths)
        if lock is None:
            return self.say_busy()
        if not self.paths.process.exists() and (stray := locks.stray(self.paths)) is not None:
            lock.release()
            return self.say_busy(locks.tell_stray(stray.pid))
        if records.is_done(self.paths):  # it ended just now
            lock.release()
            return self.rehearse()
        self.lock = lock
        record = self.record()
        if record is not None and not self.take_shares(record):
            lock.release()
            return BUSY
        resumes = record is not None and record.resumable
        attempts.archive_attempt(self.paths, keep_files=resumes)
        attempt = self.paths.next_attempt()
        self.note(f"attempt {attempt} of {self.paths.key}")
        for key in record.dependencies if record else ():
            if not records.is_done(self.paths.sibling(key)):
                self.note(f"warning: it depends on {key}, which is not done")
        out, err = sys.stdout, sys.stderr
        with _log(self.paths.stdout) as out_log, _log(self.paths.stderr) as err_log:
            sys.stdout, sys.stderr = _Tee(out, out_log), _Tee(err, err_log)
            try:
                return self.attempt(attempt)
            finally:
                sys.stdout, sys.stderr = out, err

    def take_shares(self, record: records.JobRecord) -> bool:
        """Take what the job shares with others while it runs; say who has it if that fails."""
        if not (record.tokens or record.partials):
            return True
        from xpm_nb.store import tokens  # seldom needed

        needs = tokens.needs_of(record)
        since = record.submitted
        refusal = tokens.take(self.paths, needs, since=since, now=time(), wait=False)
        if refusal is None:
            return True
        what = ", ".join(need.text for need in refusal.needs) or "what it shares with others"
        holders = f" ({', '.join(refusal.holders)} first)" if refusal.holders else ""
        self.note(f"{self.paths.key} needs {what}, which is not to be had now{holders}")
        return False

    def rehearse(self) -> int:
        """Execute a job that is done once more, elsewhere: nothing of it is touched."""
        self.record()
        folder = make_next(self.paths.workspace, self.paths.by_hand)
        os.chdir(folder)
        self.note(f"{self.paths.key} is done; rehearsal in {folder}")
        try:
            self.execute(folder)
        except Exception as error:  # a border: the user's code
            sys.stderr.write(_describe(error)[1])
            return 1
        return 0

    def say_busy(self, holder: str | None = None) -> int:
        """Say who has the job."""
        holder = holder or locks.legacy_holder(self.paths)
        process = records.read_process(self.paths)
        if holder is None and process is not None and locks.alive(process):
            holder = f"process {process.pid} on {process.host} (attempt {process.attempt})"
        self.note(f"{self.paths.key} is being run by {holder or 'another process'}")
        return BUSY

    def note(self, text: str) -> None:
        """Tell the person at the terminal."""
        sys.stderr.write(f"xpm_nb: {text}\n")
        sys.stderr.flush()

    def record(self) -> records.JobRecord | None:
        """Read the record, and set its variables as an engine would."""
        record = records.read_job(self.paths)
        if record is not None:
            os.environ.update(record.environ)
        return record

    # --- one attempt ---

    def attempt(self, attempt: int) -> int:
        """Run the task under the lock, to its marker; return the exit code."""
        started, pid, began = time(), os.getpid(), _running_s()
        failure: records.Failure | None = None
        signals = _Signals(self.end_note)
        try:
            try:
                self.begin(attempt, started)
                value = self.execute(self.paths.path)
                _join_threads()
            finally:
                signals.disarm()
                if self.deadline is not None:
                    self.deadline.over = True
                if os.getpid() != pid:
                    _end_of_a_fork()
            _flush()
            report.close_job()
            self.kept = results.store_result(self.moved(), value)
        except BaseException as error:  # the border round execute(): whatever it is, it is recorded
            failure, text = _describe(error, signals.received)
            failure = self.asked_to_end(error, failure)
            for act in (
                partial(_say, text),
                report.close_job,
                lambda: files.write_text(self.moved().error, text),
                partial(self.keep_frames, error, failure),
            ):
                with suppress(OSError, ValueError):  # a full disk: the marker may find a place
                    act()
        # The clock on the wall may have been set: an attempt takes as long as it takes.
        code = self.commit(started, started + _running_s() - began, failure)
        asked = (FailureReason.CANCELLED, FailureReason.TIMEOUT)
        if failure and failure.reason in asked and _left_threads():
            os._exit(code)  # the interpreter would wait for them, and we are asked to end
        return code

    def commit(self, started: float, ended: float, failure: records.Failure | None) -> int:
        """Write how the attempt ended, the marker last; return the exit code.

        `UNWRITTEN` if that is not possible: who waits for the process then tells what it was.
        """
        try:
            paths = self.moved()
            records.set_aside_done(paths)
            records.write_times(paths, started, ended, *self.met(), result=self.kept)
            durable = records.sync_outputs(paths, self.record_)
            if failure is None:
                records.write_done(paths)
            else:
                records.write_failed(paths, *failure)
            if durable:
                records.sync_marker(paths)
            records.clear_pid(paths)
        except (OSError, XpmError) as error:
            with suppress(OSError, ValueError):
                _say(f"xpm_nb: how it ended cannot be written: {error}\n")
            return UNWRITTEN
        return 0 if failure is None else failure.code or 1

    def moved(self) -> JobPaths:
        """Give the job's files where they are now: the workspace may have been moved meanwhile.

        The lock's file, which we have open, shows the way. (Linux tells; elsewhere, as it was.)

        Raises
        ------
        FileNotFoundError
            Our directory was deleted. Where it was another attempt may be at work by now: whatever
            was written there would be taken for its own.
        """
        if self.lock is None or self.lock.is_of(self.paths):
            return self.paths
        with suppress(OSError, XpmError):
            now = JobPaths.of(self.lock.place().parent.parent)
            if self.lock.is_of(now):
                self.paths = now
                return now
        with suppress(RecordError):  # a task may have closed all descriptors
            process = records.read_process(self.paths)
            if process is not None and process.pid == os.getpid() and locks.alive(process):
                return self.paths
        raise FileNotFoundError(ENOENT, "its directory was deleted while it ran")

    def keep_frames(self, error: BaseException, failure: records.Failure) -> None:
        """Keep what can be looked at afterwards, of an error that is nobody's wish."""
        if failure.reason not in (FailureReason.FAILED, FailureReason.MEMORY):
            return
        if isinstance(error, XpmError) and _all_ours(error.__traceback__):
            return
        try:
            from xpm_nb.runtime import frames

            kept = frames.describe(error, _users(error.__traceback__))
            records.write_frames(self.moved(), kept)
        except BaseException as trouble:  # a border: the failure must still find its marker
            _say(f"xpm_nb: its frames are not kept: {type(trouble).__name__}\n")

    def end_note(self) -> records.EndNote | None:
        """Read why it was asked to end, wherever its directory is by then."""
        with suppress(OSError, XpmError):
            return records.read_end_note(self.moved())
        return None

    def asked_to_end(self, error: BaseException, failure: records.Failure) -> records.Failure:
        """Say why the attempt ended, if that was because an engine asked it to."""
        note = self.end_note()
        told = isinstance(error, (TaskCancelled, GracefulTimeout))
        if note is None or not (told or failure.reason is FailureReason.CANCELLED):
            return failure
        message = failure.message
        if note.reason is FailureReason.CANCELLED and told:
            message = "cancelled"  # by us: the signal is no news
        elif isinstance(error, TaskCancelled):
            with suppress(RecordError):  # it is damaged by now
                message = records.limit_reached(records.read_job(self.paths))
        return failure._replace(reason=note.reason, message=message)

    def met(self) -> tuple[list[str], list[records.Loaded]]:
        """Give what only the run could tell of its code.

        Returns
        -------
        tuple
            Files that may not be what the record says that they are, and the modules of the
            user's own that it does not name (imported by a computed name).
        """
        # What was loaded before the task began is compared then: later, people may edit it.
        late = set(_files_loaded()) - self.loaded
        changed = [*self.changed, *(f for f in records.changed_files(self.record_) if f in late)]
        self.look_at_strange()
        return [*changed, *_loaded_elsewhere(self.record_), *self.doubtful], self.found

    def look_at_strange(self) -> None:
        """Note modules that the record does not name and that were not looked at before."""
        strange = {
            name: file for name, file in self.strange().items() if name not in self.looked_at
        }
        if not strange:
            return
        self.looked_at.update(strange)
        try:
            from xpm_nb.code import loaded  # seldom needed

            process = records.read_process(self.paths)
            since = 0.0 if process is None else locks.began(process)
            found, doubtful = loaded.look(strange, since)
        except Exception as trouble:  # a border: files that anybody may have written, or be writing
            with suppress(OSError, ValueError):  # a closed stream: the marker must still be written
                _say(f"xpm_nb: what it has loaded is not known: {trouble}\n")
            found, doubtful = [], list(strange.values())
        self.found += found
        self.doubtful += doubtful

    def strange(self) -> dict[str, str]:
        """Give modules that may be the user's own and that the record does not know of."""
        known = () if self.record_ is None else records.known_files(self.record_)
        ours, home = os.path.dirname(os.path.dirname(os.path.abspath(__file__))), self.paths.path
        others = [f"{ours}{os.sep}", f"{home}{os.sep}", f"{os.path.dirname(os.__file__)}{os.sep}"]
        others += [f"{entry}{os.sep}" for entry in sys.path if entry.endswith("-packages")]
        files = _files_loaded().items()
        return {
            name: file
            for file, name in files
            if file not in known and not file.startswith(tuple(others)) and name not in _SITES
        }

    def begin(self, attempt: int, started: float) -> None:
        """Say who runs the job, and take its place."""
        process = locks.identify(os.getpid(), attempt=attempt, started=started)
        assert process is not None  # we live
        records.write_process(self.paths, process)
        os.chdir(self.paths.path)
        report.open_job(self.moved)

    def execute(self, root: Path) -> Any:
        """Build the instances with `root` as the task's directory, and run them."""
        document = records.read_params(self.paths)
        if document is None:
            raise RecordError(f"{self.paths.params} is missing")
        record = records.read_job(self.paths)
        shared = self.shared(record, root)
        workspace: rebuild.Folder = self.paths.workspace
        if shared and root != self.paths.path:
            workspace = _Rehearsed(self.paths.workspace, shared)
        loaded = rebuild.load(document, resolve=self.resolve, workspace=workspace, job=root)
        doors.fill(
            cache_path=partial(_cache_path, self.paths, document.get("namespace")),
            reporter=report.task_output,
        )
        if self.timed and record is not None:
            self.limit(record)
        tags = dict(record.tags) if record is not None else configs.tags_of(loaded[-1])
        main = next(iter(shared.values())) if record is not None and record.main else root
        objects: dict[Any, Any] = {}
        task, *init_tasks = [
            configs.build_instance(config, objects=objects, taskdir=root, maindir=main, tags=tags)
            for config in (loaded[-1], *configs.info(loaded[-1]).init_tasks)
        ]
        for instance in (*init_tasks, task):
            vars(instance)["__maintaskdir__"] = main
        self.prepare(objects, document.get("namespace"))
        self.record_, self.changed = record, records.changed_files(record)
        self.loaded = set(_files_loaded())
        self.look_at_strange()
        for init_task in init_tasks:
            _executed(init_task.execute())
        return _executed(task.execute())

    def prepare(self, objects: Mapping[Any, Any], namespace: str | None) -> None:
        """Make ready what no kernel has: one that is gone was to do it."""
        found = [node for node in objects if hasattr(node.cls, "__xpm_prepare__")]
        if not found:
            return
        from xpm_nb.store import cache  # seldom needed

        for node in found:
            paths = cache.paths_of(Workspace(self.paths.workspace), namespace, node.config)
            cache.prepare(paths, objects[node].prepare)

    def limit(self, record: records.JobRecord) -> None:
        """Let the task know how long it may take, and see to it where no engine does."""
        limit_s, process = records.time_limit_s(record), records.read_process(self.paths)
        if limit_s is not None and process is not None:
            # Imports have taken their part of it. (The clock on the wall may be set meanwhile.)
            end = monotonic() + locks.began(process) - time() + limit_s
            doors.fill(remaining_time=lambda: max(0.0, end - monotonic()))
            from xpm_nb.runtime import deadline  # only where there is a limit

            self.deadline = deadline.Deadline(end, self.moved)
            self.deadline.watch()

    def shared(self, record: records.JobRecord | None, root: Path) -> dict[Path, Path]:
        """Make the directories that it shares with others, the main one first.

        A rehearsal has its own instead of each.
        """
        if record is None or not record.partials:
            return {}
        workspace = Workspace(self.paths.workspace)
        places = {}
        for name in record.partials:
            place = new = workspace.shared(name)
            if root != self.paths.path:
                new = self.paths.rehearsed(root, place)
            places[place] = make_directory(workspace.root, new)
        return places

    def resolve(self, module: str, qualname: str, typename: str) -> type:
        """Find a class: one of a cell in the script, any other in its module."""
        if module == "__main__":
            # The script has at its top what a function in a cell had inside.
            first, *rest = qualname.rpartition("<locals>.")[2].split(".")
            found: Any = self.namespace.get(first)
        else:
            found, rest = importlib.import_module(module), qualname.split(".")
        for name in rest:
            found = getattr(found, name, None)
        if not isinstance(found, type):
            where = self.paths.script if module == "__main__" else f"the module {module}"
            raise RecordError(f"{typename}: there is no class {qualname} in {where}")
        return found


def _log(path: Path) -> TextIO:
    """Open a log, to be written on."""
    fd = fs.open_fd(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW)
    return open(fd, "a", encoding="utf-8", errors="backslashreplace")


def _cache_path(
    paths: JobPaths, namespace: str | None, config: Any, name: str
) -> AbstractContextManager[Path]:
    from xpm_nb.store import cache  # seldom needed

    return cache.of_config(Workspace(paths.workspace), namespace, config, name)


class _Rehearsed:
    """A workspace in which other directories stand for those that tasks share."""

    def __init__(self, root: Path, shared: Mapping[Path, Path]) -> None:
        self._root, self._shared = root, shared

    def __truediv__(self, name: str) -> Path:
        path = self._root / name
        for real, other in self._shared.items():
            if path.is_relative_to(real):
                return other / path.relative_to(real)
        return path


class _Signals:
    """Turns the first SIGTERM or SIGINT into a `TaskCancelled` in the main thread."""

    def __init__(self, end_note: Callable[[], records.EndNote | None]) -> None:
        self.end_note = end_note
        self.received: int | None = None
        self._armed = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Once only: the task may be saving its work. Whoever is in a hurry sends SIGKILL.
        if self._armed:
            self._armed = False
            self.received = number
            note, left = self.end_note(), None
            if note is not None and note.until:
                left = max(0.0, note.until - time())
            raise TaskCancelled(f"{signal.Signals(number).name} was received", left)

    def disarm(self) -> None:
        """Let nothing interrupt what follows: the marker is to be written."""
        self._armed = False


class _Tee:
    """A stream of the terminal whose text goes to a log too."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream = stream
        self._log = log

    def write(self, text: str) -> int:
        self._log.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._log.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _executed(value: Any) -> Any:
    """Give what `execute` returned, unless that only promises to run its body some day."""
    kind = _NEVER_RAN.get(type(value))
    if kind is None:
        return value
    if isinstance(value, (CoroutineType, GeneratorType)):
        value.close()  # no warning that nobody awaited it: we say so
    way = "call asyncio.run() in it" if kind == "a coroutine" else "no yield in it"
    raise ConfigTypeError(
        f"execute returned {kind}: its body never ran (make it a plain def, {way})"
    )


_NEVER_RAN = {
    CoroutineType: "a coroutine",
    GeneratorType: "a generator",
    AsyncGeneratorType: "an asynchronous generator",
}


# The modules by which a Python is set up, whatever it runs then; and the job's script.
_SITES = frozenset({"sitecustomize", "usercustomize", "__main__", "__mp_main__"})


def _files_loaded() -> dict[str, str]:
    """Give the files of the modules that are loaded, with the name of each."""
    found = {}
    for name, module in list(sys.modules.items()):
        if file := _file_of(module):
            found[file] = name
    return found


def _file_of(module: object) -> str:
    """Give the file of a module, "" if there is none.

    A module that is loaded when it is first used sleeps on; of one whose own code gives what is
    asked for, nobody knows what that raises.
    """
    try:
        file = object.__getattribute__(module, "__dict__").get("__file__")
        if file is None:
            file = getattr(module, "__file__", None)
    except Exception:  # a border: the user's code
        return ""
    return file if isinstance(file, str) else ""


def _loaded_elsewhere(record: records.JobRecord | None) -> list[str]:
    """Name files that modules were loaded from though the record says others, and does not count.

    One may have appeared after the start; the task may look for modules in other places.
    """
    found = []
    counted = () if record is None else records.known_files(record)
    for name, path in records.module_files(record).items():
        file = _file_of(sys.modules.get(name))
        if file and file not in counted and not _is_same(file, path):
            found.append(f"{file} (loaded as {name}, in place of {path})")
    return found


def _is_same(file: str, other: str) -> bool:
    return os.path.realpath(file) == os.path.realpath(other)


def _left_threads() -> list[Any]:
    """List the threads that the task left and that the end of the interpreter waits for."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    here = threading.current_thread()
    return [t for t in threading.enumerate() if not t.daemon and t is not here]


def _join_threads() -> None:
    for thread in _left_threads():
        thread.join()


def _end_of_a_fork() -> None:
    """End a process that the task forked and that came back from `execute` beside its parent."""
    error = sys.exception()
    code = 0
    if error is not None:
        failure, text = _describe(error)
        code = failure.code or 1
        if isinstance(error, SystemExit) and error.code in (None, 0):
            code = 0
        else:
            sys.stderr.write(text)
    _flush()
    os._exit(code)


def _running_s() -> float:
    """Give seconds that go on whatever is done to the clock, also while the machine sleeps."""
    return clock_gettime(_CLOCK)


def _say(text: str) -> None:
    """Write on the error stream, which may be closed, or on a full disk."""
    if sys.stderr is not None:
        sys.stderr.write(text)
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()


def _describe(error: BaseException, received: int | None = None) -> tuple[records.Failure, str]:
    """Give what the marker says of an exception, and the text for people."""
    import traceback  # only when something went wrong

    if isinstance(error, TaskCancelled):
        code = 128 + (received or signal.SIGTERM)
        return records.Failure(FailureReason.CANCELLED, code, str(error)), f"cancelled: {error}\n"
    if isinstance(error, GracefulTimeout):
        message = f"stopped because of its time limit: {error}".removesuffix(": ")
        return records.Failure(FailureReason.TIMEOUT, 1, message[:2000]), f"{message}\n"
    if isinstance(error, SystemExit):
        message = f"ended without finishing: sys.exit({error.code!r})"
        code = error.code if isinstance(error.code, int) and 0 < error.code < 256 else 1
        where = traceback.format_tb(_users(error.__traceback__))
        head = "Traceback (most recent call last):\n" if where else ""
        return records.Failure(
            FailureReason.FAILED, code, message
        ), f"{head}{''.join(where)}{message}\n"
    reason = FailureReason.MEMORY if isinstance(error, MemoryError) else FailureReason.FAILED
    if received is not None:  # told to end, it ended in a way of its own
        reason = FailureReason.CANCELLED
    message = _message(error)
    if isinstance(error, XpmError) and _all_ours(error.__traceback__):
        # A record we cannot use: the way we found that out tells nobody anything.
        return records.Failure(reason, 1, message[:2000]), f"{message}\n"
    lines = traceback.format_exception(type(error), error, _users(error.__traceback__))
    return records.Failure(reason, 1, message[:2000]), "".join(lines)


def _message(error: BaseException) -> str:
    """Say what an exception says: its kind and its own first line first, where a table ends."""
    kind = type(error)
    plain = kind.__module__ in ("builtins", "__main__")
    name = kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
    try:
        said = str(error.msg if isinstance(error, SyntaxError) else error).strip()
    except Exception:  # a border: the user's code
        said = "<exception str() failed>"
    lines = [f"{name}: {said}" if said else name]
    if isinstance(error, SyntaxError):
        lines.append(f'File "{error.filename}", line {error.lineno}')
    if isinstance(error, BaseExceptionGroup):
        lines += [_message(one) for one in error.exceptions]
    lines += [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return "\n".join(lines)


def _all_ours(tb: TracebackType | None) -> bool:
    """Tell whether only files of this package were at work."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inner = _users(tb)
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(package + os.sep):
        inner = inner.tb_next
    return inner is None


def _users(tb: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this module, unless the error is ours."""
    inner = tb
    while inner is not None and inner.tb_frame.f_code.co_filename == __file__:
        inner = inner.tb_next
    return inner or tb
