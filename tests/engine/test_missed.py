"""A result that is asked for, of a job that is done for all this kernel knows, and is so no more."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

from tests.engine.lab import until
from tests.engine.some_tasks import Learn
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import job as jobs
from xpm_nb.engine import loop
from xpm_nb.engine.messages import LookAgain
from xpm_nb.engine.results import Results
from xpm_nb.errors import JobError
from xpm_nb.store import attempts, locks, records, results
from xpm_nb.testing import FakeHandle


@pytest.fixture
def job(xp, fake):
    """A job that is done, with the result 1."""
    job = Learn.C(lr=0.5).submit().job
    fake.wait_for(1)
    fake.finish(job.key, 1)
    assert job.wait(10) is JobState.DONE
    return job


def put_away(job):
    """What another process does first, to run a job again."""
    paths = job.entry.paths
    record = records.read_job(paths)
    attempts.archive_attempt(paths)
    records.write_job(paths, record._replace(attempt=2))
    return paths


def end_well(paths, value):
    records.write_times(paths, 5.0, 7.0, result=results.store_result(paths, value))
    records.write_done(paths)


class Asking(threading.Thread):
    """Somebody who waits for a result."""

    def __init__(self, job):
        super().__init__(daemon=True)
        self.job, self.value = job, None
        self.start()

    def run(self):
        self.value = self.job.result()

    def answer(self):
        self.join(30)
        assert not self.is_alive()
        return self.value


def test_the_result_of_another_attempt_is_that_of_the_job(job):
    end_well(put_away(job), 2)
    assert job.result() == 2
    with pytest.raises(JobError, match="has no error: it is done"):
        raise job.error()


def test_it_is_waited_for_where_another_process_runs_it_again(job):
    paths = put_away(job)
    lock = locks.try_lock(paths)
    asking = Asking(job)
    until(lambda: job.state is JobState.RUNNING)
    end_well(paths, 2)
    lock.release()
    assert asking.answer() == 2
    assert (job.view().attempt, job.view().elsewhere) == (2, True)


def test_it_is_waited_for_where_that_begins_at_the_last_moment(job, monkeypatch):
    begun = []

    def flush_and_meanwhile(deadline):
        if not begun:
            begun.append(locks.try_lock(put_away(job)))
            job._loop.post(LookAgain(job.entry))
            until(lambda: job.state is JobState.RUNNING)

    monkeypatch.setattr(jobs, "flush", flush_and_meanwhile)
    asking = Asking(job)
    until(lambda: begun and job.state is JobState.RUNNING)
    end_well(job.entry.paths, 2)
    begun[0].release()
    assert asking.answer() == 2


def test_it_is_run_here_where_another_process_was_about_to_and_is_gone(job, fake):
    put_away(job)
    asking = Asking(job)
    handle: FakeHandle = fake.wait_for(2)[1]
    fake.finish(handle, 2)
    assert asking.answer() == 2


def test_another_attempt_that_was_begun_and_is_gone(job):
    paths = put_away(job)
    records.write_process(paths, records.ProcessRecord(1 << 23, 1, "before", "here", attempt=2))
    with pytest.raises(JobError, match=r"ended in error \(lost\): its process vanished"):
        job.result()
    assert records.read_failed(paths).reason is FailureReason.LOST  # for all to see


def test_a_result_that_another_process_disowned(job):
    attempts.disown(job.entry.paths, records.Disowned("me@here", 1.0, "bad"))
    with pytest.raises(JobError, match=r"ended in error \(disowned\): disowned by me@here: bad"):
        job.result()
    assert job.state is JobState.ERROR


@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_a_directory_that_is_gone(job, how):
    if how == "deleted":
        shutil.rmtree(job.path)
    else:
        job.path.rename(job.path.with_name("elsewhere"))
    with pytest.raises(JobError, match=r"its directory is not there any more .*: submit the task"):
        job.result()


def test_a_marker_that_was_deleted(job, fake):
    job.entry.paths.done.unlink()
    with pytest.raises(JobError, match="its marker of success was deleted: submit the task again"):
        job.result()
    again = Learn.C(lr=0.5).submit().job
    fake.finish(fake.wait_for(2)[1], 2)
    assert (again.result(), job.result()) == (2, 2)


def test_a_workspace_that_is_gone(xp, job):
    xp.workspace.root.rename(xp.workspace.root.with_name("elsewhere"))
    with pytest.raises(JobError, match=r"the workspace .* is not there any more: it was moved"):
        job.result()


def test_what_was_made_from_it_is_doubted(xp, job, fake):
    other = Learn.C(lr=1.0)
    other.add_dependencies(job)
    made = other.submit().job
    fake.finish(fake.wait_for(2)[1], 2)
    made.wait(10)
    attempts.disown(job.entry.paths, records.Disowned("me@here", time.time(), "bad"))
    with pytest.raises(JobError):
        job.result()
    assert loop.current().sync(10)
    assert "bad input" in made.view().message
    assert made.result() == 2


def test_a_cell_of_a_table_is_empty_as_long_as_there_is_no_result(job):
    read, view = Results(), job.view()
    paths = put_away(job)
    assert read(view) is None
    end_well(paths, 2)
    assert read(view) == 2  # it was not kept that there was none
