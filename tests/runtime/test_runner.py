"""Job directories as an engine writes them, run by an engine's launcher and by hand."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from xpm_nb.core.states import FailureReason
from xpm_nb.errors import RecordError
from xpm_nb.launchers.base import LaunchRequest
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import attempts, files, locks, records, results
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow

ROOT = str(Path(__file__).parents[2])
HEX = "ab" * 32

HEADER = """
import sys
sys.path[:] = [p for p in sys.path if p and not p.endswith({hexa!r})]
from pathlib import Path
from xpm_nb.core.config import Config, LightweightTask, Task
from xpm_nb.core.fields import Meta, Param, PathGenerator, field
from xpm_nb.errors import TaskCancelled
"""

FOOTER = """
if __name__ == "__main__":
    from xpm_nb.runtime.runner import main
    main(__file__)
"""


class Lab:
    """A workspace with jobs made from source text and fields."""

    def __init__(self, path):
        self.workspace = Workspace(path / "work space").create()
        self.launcher = LocalLauncher(environ={"PYTHONPATH": ROOT})
        self.handles = []

    def job(self, code, fields=None, *, name="Learn", tags=None, objects=(), init=(), **record):
        """Write a job directory; the task is the class `name` of the script."""
        job = self.workspace.job(f"t.{name.lower()}", HEX).create()
        text = HEADER.format(hexa=HEX) + textwrap.dedent(code) + FOOTER
        records.write_script(job, text)
        task = {
            "id": 100,
            "module": "__main__",
            "type": name,
            "typename": job.type_name,
            "identifier": HEX,
            "task": 100,
            "init-tasks": list(init),
            "fields": fields or {},
        }
        document = {"format": 1, "version": 3, "workspace": "", "objects": [*objects, task]}
        records.write_params(job, document)
        made = records.JobRecord(job.type_name, HEX, job.name, name, tags=tags or {}, **record)
        records.write_job(job, made)
        return job

    def launch(self, job, attempt=1, keep_files=False):
        lock = locks.try_lock(job)
        assert lock is not None
        attempts.archive_attempt(job, keep_files)
        request = LaunchRequest(job.path, job.name, {}, attempt, lock.fileno())
        handle = self.launcher.launch(request)
        lock.hand_over()
        self.handles.append(handle)
        return handle

    def engine(self, job, attempt=1, keep_files=False):
        """Run a job as an engine does, to its end; give its exit code."""
        return finish(self.launch(job, attempt, keep_files))

    def hand(self, job, **options):
        """Run a job's script as a person does."""
        return subprocess.run(
            [sys.executable, job.script.name],
            cwd=job.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": ROOT},
            **options,
        )


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    for handle in lab.handles:
        lab.launcher.kill(handle, force=True)
        finish(handle)
        handle.close()


def finish(handle):
    assert select.select([handle.fileno()], [], [], 60)[0]
    return handle.exit_code()


def wait_for(path):
    """Wait for a whole line: text and its end may be two writes, between which a signal comes."""
    deadline = time.monotonic() + 60
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline, path
        time.sleep(0.005)
    return path.read_text()


def checksums(job):
    return {
        str(path.relative_to(job.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(job.path.rglob("*"))
        if path.is_file() and "by-hand" not in path.parts
    }


SIMPLE = """
class Model(Config):
    hidden: Param[int]

class Learn(Task):
    lr: Param[float]
    model: Param[Model]
    out: Meta[Path] = field(default_factory=PathGenerator("out.txt"))

    def execute(self):
        import os
        self.out.write_text(f"{self.lr} {self.model.hidden}")
        self.anything = 1
        print("here", os.getcwd())
        print("there", file=sys.stderr)
        return {
            "cwd": os.getcwd(), "taskdir": str(self.__taskdir__), "out": str(self.out),
            "main": str(self.__maintaskdir__), "tags": self.__tags__,
            "environ": sorted(k for k in os.environ if k.startswith("XPM_NB")),
        }
"""
MODEL = {"id": 1, "module": "__main__", "type": "Model", "typename": "t.model",
         "identifier": "cd" * 32, "fields": {"hidden": 64}}  # fmt: skip
FIELDS = {
    "lr": 0.5,
    "model": {"type": "python", "value": 1},
    "out": {"type": "path", "value": "out.txt", "base": "job"},
}


def simple(lab, **options):
    return lab.job(SIMPLE, FIELDS, objects=[MODEL], tags={"lr": 0.5}, **options)


def test_a_job_from_start_to_marker(lab):
    job = simple(lab)
    before = time.time()
    assert lab.engine(job) == 0, job.stderr.read_text()
    assert records.read_outcome(job) == "done"
    assert (job.path / "out.txt").read_text() == "0.5 64"
    assert results.load_result(job) == {
        "cwd": str(job.path),
        "taskdir": str(job.path),
        "main": str(job.path),
        "out": str(job.path / "out.txt"),
        "tags": {"lr": 0.5},
        "environ": [],
    }
    assert job.stdout.read_text() == f"here {job.path}\n"
    assert job.stderr.read_text() == "there\n"
    assert not job.pid.exists()
    times = records.read_times(job)
    assert before <= times.started <= times.ended <= time.time()
    assert records.read_process(job).attempt == 1
    assert not locks.held(job)


def test_while_it_runs(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import time
                print("up")
                time.sleep(60)
        """)
    handle = lab.launch(job, attempt=3)
    assert wait_for(job.stdout) == "up\n"
    process = records.read_process(job)
    assert process._replace(started=0.0) == handle.process
    assert process.attempt == 3
    assert locks.alive(process)
    assert json.loads(job.pid.read_text()) == {"type": "local", "pid": handle.process.pid}
    assert locks.held(job)
    assert records.read_outcome(job) is None
    busy = lab.hand(job)
    assert busy.returncode == 75
    assert f"process {handle.process.pid} on" in busy.stderr
    handle.close()
    again = lab.launcher.attach(process.as_dict())
    lab.launcher.kill(again)
    finish(again)
    again.close()
    handle = lab.handles.pop()
    assert handle.exit_code() == 128 + signal.SIGTERM
    failure = records.read_outcome(job)
    assert failure.reason is FailureReason.CANCELLED
    assert "SIGTERM" in failure.message
    assert not job.pid.exists()


RAISES = """
class Learn(Task):
    how: Param[str]

    def execute(self):
        print("before")
        value = getattr(self, self.how)()
        return 1 if value is None else value

    def lines(self):
        raise ValueError("boom\\nline2")

    def syntax(self):
        compile("x =", "f.py", "exec")

    def group(self):
        raise ExceptionGroup("all", [ValueError("one"), KeyError(2)])

    async def coroutine(self):
        print("never")

    def generator(self):
        yield 1

    async def agenerator(self):
        yield 1

    def value(self):
        raise ValueError("no such luck <b>")

    def memory(self):
        raise MemoryError()

    def exit_0(self):
        sys.exit(0)

    def exit_3(self):
        sys.exit(3)

    def exit_text(self):
        sys.exit("bye")

    def os_exit(self):
        import os
        os._exit(0)

    def kill(self):
        import os
        os.kill(os.getpid(), 9)

    def cancel_itself(self):
        import os
        os.kill(os.getpid(), 15)

    def base(self):
        raise BaseException("rude")

    def broken_str(self):
        class Broken(Exception):
            def __str__(self):
                raise RuntimeError
        raise Broken
"""


@pytest.mark.parametrize(
    ("how", "code", "reason", "message"),
    [
        ("value", 1, "failed", "ValueError: no such luck <b>"),
        ("memory", 1, "memory", "MemoryError"),
        ("exit_0", 1, "failed", "ended without finishing: sys.exit(0)"),
        ("exit_3", 3, "failed", "ended without finishing: sys.exit(3)"),
        ("exit_text", 1, "failed", "ended without finishing: sys.exit('bye')"),
        ("cancel_itself", 143, "cancelled", "SIGTERM was received"),
        ("base", 1, "failed", "BaseException: rude"),
        ("broken_str", 1, "failed", "<exception str() failed>"),
        ("lines", 1, "failed", "ValueError: boom\nline2"),
        ("syntax", 1, "failed", "SyntaxError: "),
        ("group", 1, "failed", "ExceptionGroup: all (2 sub-exceptions)\nValueError: one\nKeyError"),
        (
            "coroutine",
            1,
            "failed",
            "xpm_nb.errors.ConfigTypeError: execute returned a coroutine: its body never ran",
        ),
        (
            "generator",
            1,
            "failed",
            "xpm_nb.errors.ConfigTypeError: execute returned a generator: its body never ran",
        ),
        (
            "agenerator",
            1,
            "failed",
            "xpm_nb.errors.ConfigTypeError: execute returned an asynchronous generator: its",
        ),
        ("os_exit", 0, None, None),
        ("kill", -9, None, None),
    ],
)
def test_ways_to_end_badly(lab, how, code, reason, message):
    job = lab.job(RAISES, {"how": how})
    assert lab.engine(job) == code
    assert not job.done.exists()
    assert not locks.held(job)
    failure = records.read_outcome(job)
    if reason is None:  # the engine judges from the exit code
        assert failure is None
        assert job.pid.exists()
        return
    assert failure.reason is FailureReason(reason)
    assert failure.code == code
    assert message in failure.message
    if ": " in message and reason == "failed":
        assert failure.message.startswith(message)
    assert failure.message.splitlines()[-1] in job.stderr.read_text()
    if how.startswith("exit"):
        assert f'{job.script.name}", line ' in job.stderr.read_text(), "it says where"
    assert job.error.read_text() in job.stderr.read_text()
    assert "before\n" in job.stdout.read_text()
    assert "runner.py" not in job.stderr.read_text()
    assert not job.pid.exists()
    assert records.read_times(job).ended is not None


def test_a_traceback_shows_the_users_lines(lab):
    job = lab.job(RAISES, {"how": "value"})
    lab.engine(job)
    text = job.error.read_text()
    assert 'raise ValueError("no such luck <b>")' in text
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.count("File ") == 2


def test_a_second_attempt_keeps_the_first(lab):
    job = lab.job(RAISES, {"how": "value"})
    assert lab.engine(job) == 1
    assert lab.engine(job, attempt=2) == 1
    assert records.read_process(job).attempt == 2
    kept = job.attempts / "1"
    assert (kept / "learn.failed").exists()
    assert (kept / "learn.err").read_text() == job.stderr.read_text()


def test_saving_when_cancelled(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import time, os, signal
                try:
                    try:
                        print("up")
                        time.sleep(60)
                    except Exception:
                        print("swallowed")
                except TaskCancelled:
                    os.kill(os.getpid(), signal.SIGTERM)  # impatience changes nothing
                    Path("checkpoint").write_text("saved")
                    raise RuntimeError("on the way out")
        """)
    handle = lab.launch(job)
    wait_for(job.stdout)
    lab.launcher.kill(handle)
    finish(handle)
    failure = records.read_outcome(job)
    assert failure.reason is FailureReason.CANCELLED
    assert failure.message == "RuntimeError: on the way out"
    assert (job.path / "checkpoint").read_text() == "saved"
    assert job.stdout.read_text() == "up\n"


def test_cancelled_with_a_thread_that_never_ends(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import threading
                threading.Thread(target=threading.Event().wait).start()
                print("up")
        """)
    handle = lab.launch(job)
    wait_for(job.stdout)
    assert not job.done.exists()  # its thread is part of the task
    lab.launcher.kill(handle)
    assert finish(handle) == 128 + signal.SIGTERM
    assert records.read_outcome(job).reason is FailureReason.CANCELLED


def test_threads_that_the_task_left_are_part_of_it(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import threading, time
                def late():
                    time.sleep(0.2)
                    assert not list(Path(".").glob("*.done"))
                    Path("late").write_text("x")
                threading.Thread(target=late).start()
        """)
    assert lab.engine(job) == 0
    assert (job.path / "late").exists()
    assert records.read_outcome(job) == "done"


def test_a_fork_that_comes_back_writes_no_marker(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import os, time
                child = os.fork()
                if child == 0:
                    print("child")
                    return "from the child"
                os.waitpid(child, 0)
                assert not list(Path(".").glob("*.done"))
                if os.fork() == 0:
                    raise ValueError("in the child")
                os.wait()
                return "from the parent"
        """)
    assert lab.engine(job) == 0, job.stderr.read_text()
    assert results.load_result(job) == "from the parent"
    assert job.stdout.read_text() == "child\n"
    assert "ValueError: in the child" in job.stderr.read_text()
    assert not job.failed.exists()


def test_programs_that_the_job_starts_do_not_keep_the_lock(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import os
                os.system("sleep 60 > /dev/null 2>&1 & echo $!")
        """)
    handle = lab.launch(job)
    assert finish(handle) == 0
    assert not locks.held(job)
    left = locks.survivors(handle.process)
    assert len(left) == 1
    locks.kill_survivors(handle.process)


def test_without_the_lock_nothing_is_done(lab, tmp_path):
    """An engine that lost the lock to another, after all."""
    job = simple(lab)
    other = locks.try_lock(job)
    with job.lock.open("r+") as not_it:
        request = LaunchRequest(job.path, job.name, {}, 1, not_it.fileno())
        handle = lab.launcher.launch(request)
        lab.handles.append(handle)
        assert finish(handle) == 75
    assert "is being run by another process" in job.stderr.read_text()
    assert not job.process.exists()
    assert not (job.path / "out.txt").exists()
    other.release()


def test_done_already(lab):
    job = simple(lab)
    records.write_done(job)
    lock = locks.try_lock(job)
    handle = lab.launcher.launch(LaunchRequest(job.path, job.name, {}, 1, lock.fileno()))
    lock.hand_over()
    lab.handles.append(handle)
    assert finish(handle) == 0
    assert not (job.path / "out.txt").exists()


def test_init_tasks_run_first_and_share(lab):
    code = """
        class Model(Config):
            hidden: Param[int]
        class Load(LightweightTask):
            model: Param[Model]
            def execute(self):
                assert Path.cwd() == self.__taskdir__
                self.model.loaded = getattr(self.model, "loaded", []) + ["load"]
        class Warm(LightweightTask):
            model: Param[Model]
            def execute(self):
                self.model.loaded.append("warm")
        class Learn(Task):
            model: Param[Model]
            def execute(self):
                return self.model.loaded
    """
    model = {"model": {"type": "python", "value": 1}}
    objects = [
        MODEL,
        *(
            {"id": n, "module": "__main__", "type": name, "typename": f"t.{name.lower()}",
             "identifier": str(n) * 64, "fields": model}
            for n, name in ((2, "Load"), (3, "Warm"))
        ),
    ]  # fmt: skip
    job = lab.job(code, model, objects=objects, init=[2, 3])
    assert lab.engine(job) == 0, job.stderr.read_text()
    assert results.load_result(job) == ["load", "warm"]


def test_reports_of_a_job(lab):
    job = lab.job("""
        from xpm_nb.runtime.report import log_metrics, progress, tqdm
        class Learn(Task):
            def execute(self):
                for n in tqdm(range(1000), desc="steps"):
                    log_metrics({"n": n}, step=n)
        """)
    assert lab.engine(job) == 0
    assert len(files.read_lines(job.metrics)[0]) == 1000
    assert files.read_lines(job.progress)[0][-1]["progress"] == 1.0
    assert job.stderr.read_text() == ""


def test_cancelled_by_an_engine_says_no_more(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import time
                print("up")
                time.sleep(60)
        """)
    handle = lab.launch(job)
    wait_for(job.stdout)
    records.write_end_note(job)
    lab.launcher.kill(handle)
    finish(handle)
    assert records.read_outcome(job)[::2] == (FailureReason.CANCELLED, "cancelled")


LIMITED = """
    from xpm_nb import GracefulTimeout, ResumableTask

    class Learn(ResumableTask):
        def execute(self):
            import time
            left = self.remaining_time()
            print("no limit" if left is None else f"limit {0 < left <= 30}")
            try:
                time.sleep(60)
            except TaskCancelled as cancelled:
                left = cancelled.remaining_time
                raise END
    """


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("cancelled", "its time limit of 30 s was reached"),
        ("GracefulTimeout(f'{0 < left <= 9}')", "stopped because of its time limit: True"),
        ("ValueError(f'{0 < left <= 9}')", "ValueError: True"),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_ended_at_the_time_limit(lab, end, message, moved):
    job = lab.job(LIMITED.replace("raise END", f"raise {end}"), launcher={"time_min": 0.5})
    handle = lab.launch(job)
    wait_for(job.stdout)
    if moved:  # with its workspace, which an engine has opened where it is now
        job = Workspace(lab.workspace.root.rename(lab.workspace.root.parent / "moved")).job_at(
            job.key
        )
    records.write_end_note(job, FailureReason.TIMEOUT, 9)
    lab.launcher.kill(handle)
    finish(handle)
    failure = records.read_outcome(job)
    assert (failure.reason, failure.message) == (FailureReason.TIMEOUT, message)
    assert job.stdout.read_text() == "limit True\n"


def test_ended_at_the_time_limit_with_a_damaged_record(lab):
    job = lab.job(LIMITED.replace("raise END", "raise cancelled"), launcher={"time_min": 0.5})
    handle = lab.launch(job)
    wait_for(job.stdout)
    job.record.write_text("{")
    records.write_end_note(job, FailureReason.TIMEOUT, 9)
    lab.launcher.kill(handle)
    finish(handle)
    assert records.read_outcome(job).reason is FailureReason.TIMEOUT


def test_what_is_imported_takes_its_part_of_the_time_limit(lab):
    code = """
        import time
        from xpm_nb import ResumableTask

        time.sleep(0.6)

        class Learn(ResumableTask):
            def execute(self):
                return self.remaining_time() < 29.5
        """
    job = lab.job(code, launcher={"time_min": 0.5})
    finish(lab.launch(job))
    assert results.load_result(job) is True


def test_cancelled_before_its_time_limit(lab):
    job = lab.job(LIMITED.replace("raise END", "raise GracefulTimeout('so')"))
    handle = lab.launch(job)
    wait_for(job.stdout)
    records.write_end_note(job)
    lab.launcher.kill(handle)
    finish(handle)
    assert records.read_outcome(job)[::2] == (FailureReason.CANCELLED, "cancelled")
    assert job.stdout.read_text() == "no limit\n"


def test_by_hand_there_is_no_limit_and_files_of_earlier_attempts_stay(lab):
    code = """
        from xpm_nb import GracefulTimeout, ResumableTask

        class Learn(ResumableTask):
            def execute(self):
                assert self.remaining_time() is None
                if not Path("saved").exists():
                    Path("saved").touch()
                    raise GracefulTimeout
                return 1
        """
    job = lab.job(code, launcher={"time_min": 0.5}, resumable=True)
    assert lab.hand(job).returncode == 1
    assert records.read_outcome(job).message == "stopped because of its time limit"
    assert lab.hand(job).returncode == 0
    assert records.read_outcome(job) == "done"


def test_the_marker_comes_after_the_result(lab):
    job = lab.job("""
        class Looks:
            def __reduce__(self):
                return str, ("done" if Path("learn.done").exists() else "not yet",)

        class Learn(Task):
            def execute(self):
                return Looks()
        """)
    assert lab.engine(job) == 0
    assert results.load_result(job) == "not yet"
    assert records.read_outcome(job) == "done"


def test_a_result_that_cannot_be_kept_says_so_when_asked(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                import threading
                return threading.Lock()
        """)
    assert lab.engine(job) == 0
    with pytest.raises(RecordError, match="cannot be stored"):
        results.load_result(job)


@pytest.mark.parametrize("what", ["damaged", "missing", "class"])
def test_records_that_cannot_be_used(lab, what):
    job = simple(lab)
    if what == "damaged":
        job.params.write_text("{")
    elif what == "missing":
        job.params.unlink()
    else:
        job.script.write_text(job.script.read_text().replace("Learn", "Other"))
    assert lab.engine(job) == 1
    failure = records.read_outcome(job)
    assert failure.reason is FailureReason.FAILED
    assert failure.message.startswith("xpm_nb.errors.RecordError: ")
    assert ("class Learn" if what == "class" else str(job.params)) in failure.message


# --- by hand ---------------------------------------------------------------------------------


def test_by_hand_when_nobody_has_run_it(lab):
    job = simple(lab, environ={"FROM_RECORD": "1"}, dependencies=(f"t.split/{HEX}",))
    done = lab.hand(job)
    assert done.returncode == 0, done.stderr
    assert records.read_outcome(job) == "done"
    assert results.load_result(job)["taskdir"] == str(job.path)
    assert f"here {job.path}" in done.stdout
    assert "there" in done.stderr
    assert f"depends on t.split/{HEX}, which is not done" in done.stderr
    assert job.stdout.read_text() == f"here {job.path}\n"
    assert "there\n" in job.stderr.read_text()
    assert not job.pid.exists()


def test_by_hand_after_a_failure(lab):
    job = lab.job(RAISES, {"how": "value"})
    assert lab.engine(job) == 1
    done = lab.hand(job)
    assert done.returncode == 1
    assert "attempt 2" in done.stderr
    assert "ValueError: no such luck" in done.stderr
    assert records.read_process(job).attempt == 2
    assert (job.attempts / "1" / "learn.failed").exists()


def test_a_rehearsal_touches_nothing(lab):
    job = simple(lab, environ={"FROM_RECORD": "1"})
    assert lab.engine(job) == 0
    before = checksums(job)
    for n in (1, 2):
        done = lab.hand(job)
        assert done.returncode == 0, done.stderr
        folder = job.by_hand / str(n)
        assert done.stdout == f"here {folder}\n"
        assert "there\n" in done.stderr
        assert (folder / "out.txt").read_text() == "0.5 64"
        assert checksums(job) == before
    assert results.load_result(job)["out"] == str(job.path / "out.txt")
    assert not locks.held(job)


def test_a_rehearsal_that_fails_says_so_and_touches_nothing(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                from xpm_nb.runtime.report import log_metrics, progress
                progress(0.5)
                log_metrics({"n": 1})
                if "by-hand" in str(Path.cwd()):
                    raise ValueError("only by hand")
        """)
    assert lab.engine(job) == 0
    before = checksums(job)
    done = lab.hand(job)
    assert done.returncode == 1
    assert "ValueError: only by hand" in done.stderr
    assert checksums(job) == before


def test_a_rehearsal_of_a_job_of_experimaestro_makes_no_lock(lab):
    """Its directory has none of our files."""
    job = simple(lab)
    job.record.unlink()
    records.write_done(job)
    assert lab.hand(job).returncode == 0
    assert sorted(p.name for p in job.private.iterdir()) == ["by-hand"]


def test_by_hand_while_experimaestro_runs_it(lab):
    job = simple(lab)
    other = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], cwd=job.path, stdin=subprocess.PIPE
    )
    job.pid.write_text(json.dumps({"type": "local", "pid": other.pid}))
    done = lab.hand(job)
    other.communicate()
    assert done.returncode == 75
    assert f"process {other.pid} of experimaestro; if that is wrong, delete" in done.stderr
    job.pid.write_text('{"type": "local", "pid": 1}')  # of something else
    assert lab.hand(job).returncode == 0


def test_by_hand_with_a_damaged_record_there_is_one_line(lab):
    job = simple(lab)
    job.params.write_text('{"objects": [')
    done = lab.hand(job)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().split("\n")) == 2, "the attempt, and what is wrong"
    assert f"RecordError: {job.params} is damaged" in done.stderr


def test_a_directory_with_the_name_of_the_marker_is_no_marker(lab):
    job = simple(lab)
    job.done.mkdir()
    assert records.read_outcome(job) is None
    assert lab.engine(job) == 0
    assert records.read_outcome(job) == "done"


def test_a_script_that_was_copied_away_says_what_it_is(lab, tmp_path):
    job = simple(lab)
    copy = tmp_path / "learn.py"
    copy.write_text(job.script.read_text())
    done = subprocess.run(
        [sys.executable, str(copy)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert done.returncode == 1
    assert "is not a job's directory" in done.stderr


@pytest.mark.parametrize("name", ["Random", "Code", "Types", "Json", "Numpy"])
def test_scripts_named_like_modules(lab, name):
    job = lab.job(
        f"""
        class {name}(Task):
            def execute(self):
                import random, code, types, json
                return [m.__name__ for m in (random, code, types, json)]
        """,
        name=name,
    )
    for evil in ("json", "pickle", "signal", "sitecustomize", "usercustomize", "xpm_nb"):
        if evil != job.name:
            (job.path / f"{evil}.py").write_text("raise SystemExit('evil')")
    assert lab.engine(job, keep_files=True) == 0, job.stderr.read_text()
    assert results.load_result(job) == ["random", "code", "types", "json"]
    done = lab.hand(job)
    assert done.returncode == 0, done.stderr
    assert list(job.by_hand.iterdir()) == [job.by_hand / "1"]


# --- what it costs ---------------------------------------------------------------------------

HEAVY = {
    "pydantic", "pydantic_core", "filelock", "psutil", "cloudpickle", "asyncio", "traitlets",
    "nbformat", "IPython", "ipywidgets", "anywidget", "threading", "subprocess", "logging",
    "traceback", "multiprocessing", "socket", "ssl",
}  # fmt: skip


def test_a_job_that_imports_nothing_loads_nothing_heavy(lab):
    job = lab.job("""
        class Learn(Task):
            x: Param[int]
            def execute(self):
                return sorted(sys.modules)
        """, {"x": 3})  # fmt: skip
    assert lab.engine(job) == 0, job.stderr.read_text()
    assert not HEAVY & set(results.load_result(job))


def test_modules_that_are_not_loaded_yet_are_left_alone(lab):
    job = lab.job("""
        class Refuses(type(sys)):
            def __getattr__(self, name):
                raise RuntimeError(f"there is no {name} on this machine")

        class Learn(Task):
            def execute(self):
                from importlib import util
                Path("sleeper.py").write_text("open('woken', 'w').close()")
                spec = util.spec_from_file_location("sleeper", "sleeper.py")
                spec.loader = util.LazyLoader(spec.loader)
                sys.modules["sleeper"] = module = util.module_from_spec(spec)
                spec.loader.exec_module(module)
                sys.modules["refuses"] = Refuses("refuses")
                return 3
        """)
    assert lab.engine(job) == 0, job.stderr.read_text()
    assert results.load_result(job) == 3
    assert not (job.path / "woken").exists()


def test_what_cannot_be_told_of_its_modules_costs_no_result(lab, tmp_path):
    (tmp_path / "by_chance.py").touch()
    job = lab.job("""
        class Learn(Task):
            folder: Meta[str]

            def execute(self):
                from xpm_nb.code import loaded
                def look(files, since):
                    raise RuntimeError("no")
                loaded.look = look
                sys.path.append(self.folder)
                import by_chance
                sys.stderr.close()
                return 3
        """, {"folder": str(tmp_path)})  # fmt: skip
    assert lab.engine(job) == 0
    assert records.read_outcome(job) == "done"
    assert str(tmp_path / "by_chance.py") in records.read_met(job)[0]


# -- what is kept of a failure ------------------------------------------------------------------


def test_frames_are_kept_of_a_failure_and_its_marker_comes_whatever_they_do(lab):
    job = lab.job("""
        class Nasty:
            def __repr__(self):
                while True:
                    pass

        class Raises:
            def __repr__(self):
                raise KeyboardInterrupt

        class Learn(Task):
            def execute(self):
                nasty, raises, n = Nasty(), Raises(), 7
                raise ValueError("as it should")
    """)
    assert lab.engine(job) == 1
    assert records.read_failed(job).message == "ValueError: as it should"
    (error,) = records.read_frames(job)["errors"]
    (frame,) = error["frames"]
    assert frame["function"] == "Learn.execute"
    values = dict(frame["values"])
    assert values["n"] == "7"
    assert values["nasty"] == "<Nasty: looking at it took too long>"
    assert values["raises"] == "<Raises: looking at it raised KeyboardInterrupt>"
    lab.engine(job, attempt=2)
    assert (job.attempts / "1" / job.frames.name).exists()


def test_frames_cost_nothing_where_nothing_fails(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                return [name for name in sys.modules if name.startswith("xpm_nb.runtime")]
    """)
    assert lab.engine(job) == 0
    assert "xpm_nb.runtime.frames" not in results.load_result(job)


def test_of_a_job_that_was_cancelled_no_frames_are_kept(lab):
    job = lab.job("""
        class Learn(Task):
            def execute(self):
                raise TaskCancelled("asked to")
    """)
    assert lab.engine(job) != 0
    assert records.read_frames(job) is None
