"""Claims count as long as the job's lock is held; queues are for fairness."""

from __future__ import annotations

import hashlib
import os

import pytest

from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import locks, records, tokens
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Claim, JobRecord
from xpm_nb.store.tokens import LEASE_S, Need, take

GPU = Need("gpu", 1)
NOW = 1000.0


@pytest.fixture
def ws(tmp_path):
    return Workspace(tmp_path / "ws").create()


class Runner:
    """A job that holds its lock."""

    def __init__(self, ws, name):
        self.paths = ws.job(f"t.{name}", hashlib.sha256(name.encode()).hexdigest()).create()
        self.lock = None

    def take(self, *needs, since=0.0, now=NOW, **options):
        self.lock = self.lock or locks.try_lock(self.paths)
        refusal = take(self.paths, needs, since=since, now=now, **options)
        if refusal is not None:
            self.end()
        return refusal

    def end(self):
        self.lock.release()
        self.lock = None

    @property
    def key(self):
        return self.paths.key


@pytest.fixture
def job(ws):
    made = {}

    def get(name):
        return made.setdefault(name, Runner(ws, name))

    yield get
    for one in made.values():
        if one.lock is not None:
            one.end()


def test_a_share_lives_as_long_as_the_lock_of_its_job(ws, job):
    tokens.set_total(ws, "gpu", 1)
    assert job("a").take(GPU) is None
    refusal = job("b").take(GPU)
    assert refusal.needs == (GPU,)
    assert refusal.holders == (job("a").key,)
    job("a").end()  # as when its process dies: nothing is given back
    assert tokens.read(ws, GPU).claims == (Claim(job("a").key, 1),)
    assert tokens.live_claims(ws, tokens.read(ws, GPU)) == []
    assert job("b").take(GPU) is None
    assert tokens.read(ws, GPU).claims == (Claim(job("b").key, 1),)


def test_an_earlier_attempt_of_the_job_itself_does_not_count(ws, job):
    tokens.set_total(ws, "gpu", 1)
    assert job("a").take(GPU) is None
    job("a").end()
    assert job("a").take(GPU) is None


def test_all_shares_or_none(ws, job):
    disk = Need("disk", 1)
    tokens.set_total(ws, "gpu", 1)
    tokens.set_total(ws, "disk", 1)
    assert job("a").take(disk) is None
    assert job("b").take(GPU, disk).needs == (disk,)
    assert tokens.read(ws, GPU).claims == ()


def test_units_add_up(ws, job):
    tokens.set_total(ws, "gpu", 3)
    assert job("a").take(Need("gpu", 2)) is None
    assert job("b").take(Need("gpu", 2)) is not None
    tokens.set_total(ws, "gpu", 4)
    assert job("b").take(Need("gpu", 2)) is None


def test_more_than_there_is_by_now_means_all(ws, job):
    tokens.set_total(ws, "gpu", 3)
    assert job("a").take(Need("gpu", 2)) is None
    assert tokens.set_total(ws, "gpu", 1) == 3
    assert job("b").take(Need("gpu", 3)) is not None, "what is held stays held"
    job("a").end()
    assert job("b").take(Need("gpu", 3)) is None
    assert tokens.read(ws, GPU).claims == (Claim(job("b").key, 1),)


def test_who_was_submitted_first_goes_first_while_somebody_asks_for_him(ws, job):
    tokens.set_total(ws, "gpu", 1)
    assert job("a").take(GPU) is None
    assert job("late").take(GPU, since=20.0) is not None
    assert job("early").take(GPU, since=10.0) is not None
    job("a").end()
    assert job("late").take(GPU, since=20.0).holders == (job("early").key,)
    assert job("early").take(GPU, since=10.0) is None
    assert [w.job for w in tokens.read(ws, GPU).waiting] == [job("late").key]


@pytest.mark.parametrize("later", [LEASE_S, -LEASE_S - 1])  # the clock may be set back
def test_who_is_no_longer_asked_for_holds_nobody_up(ws, job, later):
    tokens.set_total(ws, "gpu", 1)
    assert job("a").take(GPU) is None
    assert job("early").take(GPU, since=10.0) is not None
    job("a").end()
    assert job("late").take(GPU, since=20.0, now=NOW + later) is None


def test_who_asks_once_is_not_noted(ws, job):
    tokens.set_total(ws, "gpu", 1)
    assert job("a").take(GPU) is None
    assert job("early").take(GPU, since=10.0, wait=False) is not None
    assert tokens.read(ws, GPU).waiting == ()


def test_while_somebody_counts_nobody_waits(ws, job):
    tokens.set_total(ws, "gpu", 1)
    with locks.exclusive(ws.shares_lock):
        refusal = job("a").take(GPU)
    assert refusal == tokens.Refusal()
    assert job("a").take(GPU) is None


def test_a_shared_directory_is_a_token_of_one(ws, job):
    place = ws.partial("t.learn", "model", "ab" * 32)
    need = Need(ws.shared_name(place), 1, directory=True)
    assert job("a").take(need) is None
    assert place.is_dir()
    assert job("b").take(need).needs == (need,)
    assert need.text == "the directory partials/t.learn/model/abababab…"
    assert "token 'gpu'" in GPU.text


def test_what_a_record_says_becomes_needs(ws):
    place = ws.shared_name(ws.partial("t.learn", "model", "ab" * 32))
    record = JobRecord("t.a", "0" * 64, "a", "A", tokens={"gpu": 2}, partials=(place, place))
    assert tokens.needs_of(record) == (Need("gpu", 2), Need(place, 1, directory=True))
    for bad in (0, "2", True, None):
        with pytest.raises(RecordError, match="damaged"):
            tokens.needs_of(record._replace(tokens={"gpu": bad}))


def test_a_damaged_count_is_told_and_not_guessed(ws, job):
    tokens.set_total(ws, "gpu", 1)
    for text in ("{", "[]", '{"total": 0}', '{"claims": [3]}', '{"claims": [{"units": 1}]}'):
        ws.token("gpu").write_text(text)
        with pytest.raises(
            RecordError, match=r"damaged.*; move it away when no job has token 'gpu'"
        ):
            job("a").take(GPU)
        with pytest.raises(RecordError, match=r"and say anew how many there are: xp\.token"):
            tokens.set_total(ws, "gpu", 1)
    ws.token("gpu").write_text('{"total": 2, "news": 1, "claims": [{"job": "../x"}]}')
    with pytest.raises(RecordError, match=r"token\.json is damaged"):
        job("a").take(GPU)


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 300, ".experimaestro", "\0", 3, None])
def test_names_that_are_none(ws, name):
    with pytest.raises(ConfigError, match="token's name"):
        tokens.set_total(ws, name, 1)


@pytest.mark.parametrize("name", ["partials/../x", "tokens/a/b/c", "partials/a/b/" + "g" * 64])
def test_directories_that_are_none(ws, name):
    with pytest.raises(ConfigError):
        tokens.read(ws, Need(name, 1, directory=True))


def test_a_link_does_not_lead_out(ws, job, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    ws.shares_lock.parent.mkdir(parents=True)
    os.symlink(tmp_path / "elsewhere", ws.token("gpu").parent)
    with pytest.raises(Exception, match="leads out"):
        job("a").take(GPU)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_written_is_read(ws):
    record = records.TokenRecord(3, (Claim("t.a/00", 2),), (records.Waiter("t.b/00", 1.0, 2.0),))
    ws.token("gpu").parent.mkdir(parents=True)
    records.write_token(ws.token("gpu"), record)
    assert records.read_token(ws.token("gpu")) == record
