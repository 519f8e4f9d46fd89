"""Everything that is said about tasks, done for real: one test for each claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bakery
from tests.bakery import (
    Bake,
    Decorate,
    Double,
    Fail,
    Feed,
    Flour,
    Knead,
    Loaf,
    Look,
    Prices,
    Prove,
    Rest,
    Roast,
    Season,
    Sell,
    Shape,
    Shelf,
    Shop,
    Smell,
    Sourdough,
    Taste,
    TasteAt,
    Tray,
    Visit,
    Wake,
)
from tests.engine.lab import Lab, in_use, until
from xpm_nb import (
    FailedExperiment,
    JobError,
    JobState,
    LightweightTask,
    LocalLauncher,
    RunMode,
    experiment,
    start,
    tag,
)
from xpm_nb.errors import ConfigError

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    bakery.needs_oven.asked.clear()
    yield from in_use(Lab(tmp_path), monkeypatch)


def opened(lab, **options):
    return experiment(lab.workspace, "bread", **options)


def identifier(config):
    return config.__identifier__().hex()


# -- a task is a configuration that is submitted, and executed


def test_a_task_is_submitted_and_executed(lab):
    with opened(lab):
        task = Knead.C(flour=Flour.C(grain="rye"), minutes=3)
        assert task.submit() is task
    assert task.state is JobState.DONE
    assert task.dough.read_text() == "rye x 3"
    with opened(lab):
        assert Knead.C(flour=Flour.C(grain="rye"), minutes=3).submit().state is JobState.DONE
    assert task.job.view().attempt == 1


def test_what_counts_in_the_identifier():
    rye = Knead.C(flour=Flour.C(grain="rye"))
    assert identifier(rye) == identifier(Knead.C(flour=Flour.C(grain="rye"), minutes=12))
    assert identifier(rye) != identifier(Knead.C(flour=Flour.C(grain="rye"), minutes=13))
    assert identifier(rye) != identifier(Knead.C(flour=Flour.C(grain="spelt")))
    assert identifier(rye) == identifier(Knead.C(flour=Flour.C(grain=tag("rye"))))
    assert identifier(Loaf.C(path="/a")) == identifier(Loaf.C(path="/b"))


# -- while it runs


def test_what_a_task_finds_while_it_runs(lab):
    with opened(lab):
        task = Knead.C(flour=Flour.C(grain=tag("rye"))).tag("baker", "Ada").submit()
    found, folder = task.result(), str(task.jobpath)
    assert found["cwd"] == found["taskdir"] == found["maintaskdir"] == folder
    assert found["tags"] == {"baker": "Ada", "grain": "rye"}
    assert found["dough"] == f"{folder}/dough.txt" == str(task.dough)


def test_sub_parameters_share_the_directory_of_the_main_task(lab):
    with opened(lab):
        rye = Flour.C(grain="rye")
        light, salty = (Season.C(flour=rye, salt=salt).submit() for salt in (1, 2))
        other = Season.C(flour=Flour.C(grain="oat"), salt=1).submit()
    folders = [task.result() for task in (light, salty, other)]
    assert [own for own, _ in folders] == [str(t.jobpath) for t in (light, salty, other)]
    assert len({own for own, _ in folders}) == 3
    mains = [Path(main) for _, main in folders]
    assert mains[0] == mains[1] != mains[2]
    assert sorted((mains[0] / "spoons.txt").read_text().split()) == ["1", "2"]
    assert mains[0].parent == lab.workspace / "partials" / "tests.bakery.season" / "main"


# -- what a task gives to others


def test_what_is_needed_runs_first(lab):
    with opened(lab, slots=2):
        first = Prove.C(hours=1, gate=lab.gate)
        assert first.submit() is first
        second = Shape.C(proved=first).submit()
        assert second.job.dependencies == (first.job,)
        until(lambda: first.state is JobState.RUNNING)
        until(lambda: second.state is JobState.WAITING)
        lab.open_gate()
    assert lab.said() == ["prove", "shape"]


def test_without_task_outputs_a_task_is_its_own_output(lab):
    with opened(lab):
        dough = Knead.C(flour=Flour.C(grain="oat")).submit()
        rest = Rest.C(dough=dough).submit()
        assert rest.job.dependencies == (dough.job,)
    assert rest.result() == "oat x 12"
    with opened(lab), pytest.raises(ConfigError, match="submit"):
        Rest.C(dough=Knead.C(flour=Flour.C(grain="barley"))).submit()


def test_some_parts_of_an_output_are_marked_and_others_are_not(lab):
    cellar = lab.path / "cellar.txt"
    cellar.write_text("flour")
    old = Shop.C(window=Shelf.C(path=cellar), cellar=Shelf.C(path=cellar))
    with opened(lab):
        decorate = Decorate.C(shop=old, seed=1)
        shop = decorate.submit()
        visit = Visit.C(shop=shop).submit()
        window = Look.C(shelf=shop.window).submit()
        below = Look.C(shelf=shop.cellar).submit()
        assert visit.job.dependencies == window.job.dependencies == (decorate.job,)
        assert below.job.dependencies == ()
        assert shop.job == shop.window.job == decorate.job
        other = Decorate.C(shop=old, seed=2).submit()
    assert visit.result() == ["window 1", "flour"]
    assert window.result() == "window 1"
    assert below.result() == "flour"
    # What was made by another task is another thing; what nobody made is the same.
    assert identifier(shop) != identifier(other)
    assert identifier(shop.window) != identifier(other.window)
    assert identifier(shop.cellar) == identifier(other.cellar) == identifier(old.cellar)


# -- the common use case


def test_a_path_alone_does_not_say_what_made_it(lab):
    """The identifier would be the same for each heat: it is refused, with both ways out."""
    with opened(lab, run_mode=RunMode.GENERATE_ONLY):
        bake = Bake.C(heat=200)
        bake.submit()
        with pytest.raises(ConfigError, match=r"wrap them(.|\n)*init_tasks") as caught:
            TasteAt.C(path=bake.where).submit()
        assert str(bake.jobpath / "loaf.txt") in str(caught.value)
    assert identifier(TasteAt.C(path="/a")) == identifier(TasteAt.C(path="/b"))


def test_a_wrapped_path_does(lab):
    with opened(lab):
        mild, hot = Bake.C(heat=180), Bake.C(heat=250)
        tastes = [Taste.C(loaf=bake.submit()).submit() for bake in (mild, hot)]
        assert [t.job.dependencies for t in tastes] == [(mild.job,), (hot.job,)]
        assert tastes[0].loaf.path == mild.jobpath / "loaf.txt"
    assert [t.result() for t in tastes] == ["baked at 180", "baked at 250"]
    assert len({identifier(t) for t in tastes}) == 2


def test_init_tasks_run_before_the_task_on_the_objects_that_it_uses(lab):
    with opened(lab, slots=2):
        sourdough = Sourdough.C(strain="alpine")
        feed = Feed.C(sourdough=sourdough, days=21)
        wake = feed.submit()
        assert isinstance(wake, Wake)
        assert isinstance(wake, LightweightTask)
        smell = Smell.C(sourdough=sourdough).submit(
            init_tasks=[wake, Double.C(sourdough=sourdough)]
        )
        assert smell.job.dependencies == (feed.job,)
    assert smell.result() == 42
    assert lab.said() == ["feed", "wake", "double", "smell"]


def test_init_tasks_count_in_the_identifier_in_their_order(lab):
    with opened(lab, run_mode=RunMode.GENERATE_ONLY):
        sourdough = Sourdough.C(strain="alpine")
        wakes = [Feed.C(sourdough=sourdough, days=days).submit() for days in (1, 2)]
        double = Double.C(sourdough=sourdough)
        orders = [[], [wakes[0]], [wakes[1]], [wakes[0], double], [double, wakes[0]]]
        made = [Smell.C(sourdough=sourdough).submit(init_tasks=order) for order in orders]
    assert len({task.job.identifier for task in made}) == len(orders)


# -- submit hooks


def test_a_hook_sets_what_the_job_sees_once_for_all_that_ask(lab):
    launcher = LocalLauncher()
    with opened(lab, launcher=launcher):
        roast = Roast.C(trays=[Tray.C(number=1), Tray.C(number=2)]).submit()
    assert roast.result() == ["/ovens/3", "amber"]
    assert bakery.needs_oven.asked == [3]
    assert roast.job.environ == {"OVEN_HOME": "/ovens/3", "LIGHT": "amber"}
    assert launcher.environ == {}


def test_what_a_hook_set_is_there_when_the_job_is_run_again(lab):
    with opened(lab):
        roast = Roast.C(trays=[]).submit()
    roast.job.rerun()
    assert roast.result() == ["/ovens/3", "amber"]
    assert bakery.needs_oven.asked == [3, 3]
    lab.new_kernel()
    xp = start("bread", workspace=lab.workspace)  # without the class: what its directory says
    (job,) = xp.rerun(*xp.jobs)
    assert job.result() == ["/ovens/3", "amber"]
    assert job.retry_count == 2
    assert bakery.needs_oven.asked == [3, 3]


# -- events


def test_a_callback_is_called_when_the_task_ends_well(lab):
    called = []
    good, bad = Prove.C(hours=1), Fail.C()
    good.on_completed(lambda: called.append("good"))
    with pytest.raises(FailedExperiment, match="burnt"), opened(lab):  # noqa: PT012
        good.submit()
        bad.submit()
        bad.on_completed(lambda: called.append("bad"))
    assert called == ["good"]
    good.on_completed(lambda: called.append("late"))  # it has ended already
    good.wait()
    assert called == ["good", "late"]
    with pytest.raises(JobError, match="burnt"):
        bad.result()


# -- caches


def test_what_is_cached_is_computed_once_while_two_jobs_ask(lab):
    with opened(lab, slots=2) as xp:
        prices = Prices.C(year=1931, gate=lab.gate)
        sells = [Sell.C(prices=prices, loaves=n).submit() for n in (1, 2)]
        until(lambda: len(lab.said()) == 3)  # both ask, one computes
        lab.open_gate()
        xp.wait()
        assert prices.load() == sells[0].result()  # and here
    assert sorted(lab.said()) == ["compute prices", "sell 1", "sell 2"]
    assert sells[0].result() == sells[1].result()
    year, path = sells[0].result()
    assert year == 1931
    folder = lab.workspace / "config" / "tests.bakery.prices" / identifier(prices)
    assert Path(path) == folder / "prices.json"


# -- the directory of a task


def test_the_directory_of_a_task(lab):
    with opened(lab):
        task = Knead.C(flour=Flour.C(grain="rye")).submit()
    assert task.jobpath == lab.workspace / "jobs" / "tests.bakery.knead" / identifier(task)
    names = {path.name for path in task.jobpath.iterdir()}
    assert names == {
        *(".experimaestro", "knead.py", "knead.out", "knead.err", "knead.done"),
        *("params.json", "dough.txt"),
    }
    assert task.stdout().read_text() == "kneaded\n"
    assert task.stderr().read_text() == ""
    assert (task.jobpath / ".experimaestro").is_dir()
    assert "tests.bakery" in (task.jobpath / "knead.py").read_text()
