"""`%xpm` and the cells of a session, in a shell of IPython within this process."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.engine.conftest import fake, new_kernel
from tests.engine.some_tasks import Learn, Model, Score
from xpm_nb.core.config import tag
from xpm_nb.engine import callbacks, experiment, host, loop, opening
from xpm_nb.engine.jobs import Jobs
from xpm_nb.errors import ConfigError
from xpm_nb.notebook import bridge, magics

__all__ = ["fake", "new_kernel"]  # fixtures


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("XPM_NB_DETERMINISTIC", raising=False)
    InteractiveShell.clear_instance()
    options = Config()
    options.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=options)
    magics.load_ipython_extension(shell)
    yield shell
    magics.unload_ipython_extension(shell)
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def run(shell, text, **options):
    options = {"store_history": True} | options
    result = shell.run_cell(text, **options)
    result.raise_error()
    return result.result


# -- cells --------------------------------------------------------------------------------------


def test_places_are_cells(shell):
    run(shell, "def one(): pass")
    run(shell, "def two():\n    pass\ntwo")
    cells = magics._cells
    one, two = (shell.user_ns[name].__code__.co_filename for name in ("one", "two"))
    assert cells.place(one, 1) == "In[1], line 1"
    assert cells.place(two, 2) == "In[2], line 2"
    assert cells.place("/elsewhere.py", 3) == "/elsewhere.py:3"
    assert cells.place(__file__, 3) == f"{__file__}:3"
    assert dict(cells) == {one: 1, two: 2}
    assert len(cells) == 2


def test_a_cell_that_is_run_in_a_magic_has_the_number_of_its_cell(shell):
    run(shell, "1")
    run(shell, "%%capture\ndef inner(): pass")
    name = shell.user_ns["inner"].__code__.co_filename
    assert magics._cells.place(name, 1) == "In[2], line 2"
    run(shell, "2")
    assert magics._cells.place(name, 1) == "In[2], line 2"


def test_lines_are_counted_as_an_editor_does(shell):
    run(shell, "\n  \n\ndef f():\n    pass")
    code = shell.user_ns["f"].__code__
    assert magics._cells.place(code.co_filename, code.co_firstlineno) == "In[1], line 4"


def test_executed_cells_are_as_typed(shell):
    run(shell, "%xpm help")
    run(shell, "   ")
    run(shell, "a = 1\n")
    assert magics._cells.executed() == [(1, "%xpm help"), (2, "a = 1")]
    assert magics._cells.now == 2


def test_a_cell_is_itself_after_an_edit_when_the_front_end_says_so(shell):
    name = "def f(): pass"
    run(shell, name, cell_id="cell-a")
    first = magics._cells.cell_of(shell.user_ns["f"].__code__.co_filename)
    run(shell, name + "\nedited = 1", cell_id="cell-a")
    second = magics._cells.cell_of(shell.user_ns["f"].__code__.co_filename)
    run(shell, name, cell_id="cell-b")
    third = magics._cells.cell_of(shell.user_ns["f"].__code__.co_filename)
    assert first == ("cell-a", 1)
    assert second == ("cell-a", 2)
    assert third == ("cell-b", 3)
    assert magics._cells.cell_of("/module.py") == ("/module.py", 3)


def test_the_engine_knows_the_cells_until_unload(shell):
    run(shell, "def f(): pass", cell_id="cell-a")
    assert callbacks.identity(shell.user_ns["f"]) == ("cell-a", "f", 1)
    assert host.cells_source() == [(1, "def f(): pass")]
    assert host.on_wait is bridge.watch
    magics.load_ipython_extension(shell)
    assert host.cells_source() == [(1, "def f(): pass")]
    magics.unload_ipython_extension(shell)
    magics.unload_ipython_extension(shell)
    assert host.cells_source is None
    assert host.on_wait is None
    assert callbacks.identity(shell.user_ns["f"])[0] != "cell-a"
    with pytest.raises(UsageError, match="not found"):
        shell.run_line_magic("xpm", "help")


def test_the_notebook_has_a_name_if_anything_says_so(shell, monkeypatch):
    for name in ("XPM_NOTEBOOK", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert magics.notebook_name() == ""
    monkeypatch.setenv("JPY_SESSION_NAME", "work/a.ipynb")
    assert magics.notebook_name() == "work/a.ipynb"
    shell.user_ns["__vsc_ipynb_file__"] = "/home/b.ipynb"
    assert magics.notebook_name() == "/home/b.ipynb"
    monkeypatch.setenv("XPM_NOTEBOOK", "c.ipynb")
    assert magics.notebook_name() == "c.ipynb"


# -- verbs --------------------------------------------------------------------------------------


@pytest.fixture
def xp(shell, new_kernel, fake):
    """An experiment with a job in each of four states, the last of a chain of two."""
    xp = opening.start("tour", launcher=fake, slots=3)
    learns = [
        Learn.C(lr=tag(lr), model=Model.C(hidden=hidden)).submit()
        for lr, hidden in ((0.1, 8), (0.2, 8), (0.3, 16))
    ]
    Score.C(learn=learns[2]).submit()
    fake.wait_for(3)
    fake.finish(learns[0].job.identifier)
    fake.fail(learns[1].job.identifier, "ValueError: no such kernel")
    for learn in learns[:2]:
        assert learn.job.entry.settled.wait(10)
    shell.user_ns["learns"] = learns
    return xp


def magic(shell, line):
    result = shell.run_line_magic("xpm", line)
    assert loop.current().sync(10)
    return result


def states(xp):
    assert loop.current().sync(10)
    return [job.state.value for job in xp.jobs]


def html_of(thing):
    return thing._repr_mimebundle_()["text/html"]


def test_start_opens_an_experiment(shell, new_kernel, tmp_path):
    started = magic(shell, f"start digits --slots 2 -w '{tmp_path}/my runs'")
    assert started is experiment.current()
    assert (started.name, started.slots) == ("digits", 2)
    assert started.workspace.root == tmp_path / "my runs"
    assert magic(shell, "start digits") is not started
    assert magic(shell, "status").workspace.root == tmp_path / "xpm-workspace"


def test_status_and_wait_give_the_experiment(shell, xp, fake):
    assert magic(shell, "status") is xp
    assert magic(shell, "wait --timeout 0") is xp
    fake.finish(xp.jobs[2].identifier)
    fake.finish(fake.wait_for(4)[3])
    assert magic(shell, "wait") is xp
    assert states(xp) == ["done", "error", "done", "done"]


def test_jobs_are_chosen_by_state_task_and_tag(shell, xp):
    rows = run(shell, "rows = %xpm jobs --state error\nrows")
    assert isinstance(rows, Jobs)
    assert list(rows) == [xp.jobs[1]]
    assert "<table" in html_of(rows)
    shown, _ = shell.display_formatter.format(rows)
    assert shown["text/plain"].startswith("1 job (1 error)\njob ")
    assert list(magic(shell, "jobs")) == list(xp.jobs)
    assert list(magic(shell, "jobs --task Score")) == [xp.jobs[3]]
    assert list(magic(shell, "jobs --task Learn --tag lr=0.3")) == [xp.jobs[2]]
    assert list(magic(shell, "jobs --tag lr=0.1 --tag lr=0.3")) == []


def test_why_takes_a_task_of_which_there_is_one_job(shell, xp):
    score, some = xp.jobs[3], ", ".join(job.identifier[:8] for job in xp.jobs[:3])
    assert score.identifier[:8] in repr(magic(shell, "why Score"))
    verbs = magics.XpmMagics(shell)
    with pytest.raises(ConfigError, match=rf"has 3 jobs of Learn: say which of {some}$"):
        verbs.why("Learn")
    with pytest.raises(ConfigError, match="Nobody"):
        verbs.why("Nobody")


def test_log_is_the_text(shell, xp):
    job = xp.jobs[0]
    job.stdout().write_text("".join(f"line {i}\n" for i in range(100)))
    shell.user_ns["prefix"] = job.identifier[:8]
    page = run(shell, "page = %xpm log $prefix -n 3\npage")
    assert page.splitlines() == ["line 97", "line 98", "line 99"]
    assert repr(page) == page.strip()
    assert "<pre" in html_of(page)


def test_a_job_has_a_name_too(shell, xp):
    assert magic(shell, f"cancel learn_{xp.jobs[2].identifier[:8]}") is xp.jobs[2]
    with pytest.raises(UsageError, match=rf"did you mean learn_{xp.jobs[2].identifier[:8]}\?"):
        magic(shell, f"log lern_{xp.jobs[2].identifier[:8]}")


def test_graph_is_drawn_as_it_is_when_it_is_shown(shell, xp, fake):
    graph = magic(shell, "graph")
    assert repr(graph).splitlines()[-1].endswith("(1 waiting)")
    by_task = magic(shell, "graph --by task")
    assert repr(by_task).splitlines() == [
        "Learn 3 jobs (1 done, 1 error, 1 running) → Score",
        "Score 1 job (1 waiting)",
    ]
    assert "<img" in html_of(by_task)
    fake.finish(xp.jobs[2].identifier)
    assert xp.jobs[2].entry.settled.wait(10)
    assert "2 done" in repr(by_task)


def test_table_of_results(shell, xp):
    table = magic(shell, "table")
    assert len(table) == 4
    assert len(magic(shell, "table --task Score")) == 1
    grouped = magic(shell, "table --task Learn --over lr")
    assert len(grouped) == 1


def test_plan_of_this_run_and_of_variables(shell, xp):
    assert len(magic(shell, "plan")) == 4
    shell.user_ns["more"] = [Learn.C(lr=0.1), Learn.C(lr=0.9)]
    plan = magic(shell, "plan more")
    assert (plan.counts["computed"], plan.counts["new"]) == (1, 1)


def test_diff_of_two_jobs_and_of_configs(shell, xp):
    a, b = (job.identifier[:8] for job in xp.jobs[1:3])
    diff = magic(shell, f"diff {a} {b}")
    assert [row.path for row in diff.rows] == ["lr", "model.hidden"]
    assert "not in the identifier" not in html_of(diff)
    assert ">hidden</th>" in html_of(diff)
    shell.user_ns["other"] = Learn.C(lr=0.2, model=Model.C(hidden=9))
    assert [row.path for row in magic(shell, f"diff {a} other").rows] == ["model.hidden"]


# -- acting on jobs -----------------------------------------------------------------------------


def test_one_identifier_gives_its_job(shell, xp):
    running = xp.jobs[2]
    assert magic(shell, f"cancel {running.identifier[:6].upper()}") is running
    assert running.entry.settled.wait(10)
    assert states(xp) == ["done", "error", "error", "error"]


def test_several_give_jobs(shell, xp, fake):
    both = " ".join(job.identifier[:8] for job in (xp.jobs[1], xp.jobs[3], xp.jobs[1]))
    assert list(magic(shell, f"cancel {both}")) == [xp.jobs[1], xp.jobs[3]]
    assert states(xp) == ["done", "error", "running", "error"]


def test_all_are_those_on_which_it_acts(shell, xp, fake):
    assert list(magic(shell, "cancel --all")) == [xp.jobs[2], xp.jobs[3]]
    assert xp.jobs[2].entry.settled.wait(10)
    assert list(magic(shell, "retry --all")) == list(xp.jobs[1:])
    assert len(fake.wait_for(5)) == 5
    assert states(xp) == ["done", "running", "running", "waiting"]


def test_by_state_and_task(shell, xp, fake):
    assert list(magic(shell, "cancel --task Score")) == [xp.jobs[3]]
    assert list(magic(shell, "cancel --state waiting")) == []
    assert list(magic(shell, "retry --state error --task Learn")) == [xp.jobs[1]]
    fake.wait_for(4)
    assert states(xp) == ["done", "running", "running", "error"]


def test_rerun_runs_what_is_done(shell, xp, fake):
    done = xp.jobs[0]
    assert magic(shell, f"rerun {done.identifier[:8]}") is done
    fake.finish(fake.wait_for(4)[3])
    assert done.entry.settled.wait(10)
    assert done.view().attempt == 2
    assert list(magic(shell, "rerun --state done")) == [done]
    assert len(fake.wait_for(5)) == 5
    assert list(magic(shell, "rerun --all")) == [xp.jobs[1]]


def test_one_that_is_in_no_state_for_it_says_why(shell, xp):
    done, _, running, _ = (job.identifier[:8] for job in xp.jobs)
    with pytest.raises(UsageError, match="has not ended"):
        magic(shell, f"rerun {running}")
    with pytest.raises(UsageError, match="rerun"):
        magic(shell, f"retry {done}")
    assert states(xp) == ["done", "error", "running", "waiting"]


def test_none_are_none_and_not_all(shell, xp):
    assert list(magic(shell, "cancel --state scheduled")) == []
    assert list(magic(shell, "retry --task Score")) == []
    assert states(xp) == ["done", "error", "running", "waiting"]


@pytest.mark.parametrize("verb", ["cancel", "retry", "rerun"])
@pytest.mark.parametrize("words", ["", "{0} --all", "{0} --task Learn", "{0} --state done"])
def test_which_jobs_must_be_said_in_one_way(shell, xp, verb, words):
    with pytest.raises(UsageError, match=f"give identifiers, or --all.* %xpm {verb}"):
        magic(shell, f"{verb} {words.format(xp.jobs[0].identifier[:8])}")
    assert states(xp) == ["done", "error", "running", "waiting"]


# -- wrong words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("statsu", "no verb 'statsu': did you mean status"),
        ("frobnicate", "no verb 'frobnicate': there are start, status"),
        ("__init__", "no verb"),
        ("_variable a", "no verb"),
        ("log", r"arguments are required: id; usage: %xpm log \[-n N\] id"),
        ("log -n -5 1f3a", "-5 is no number from 1 on"),
        ("start x --slots 0", "0 is no number from 1 on"),
        ("start ..", "cannot be an experiment's name"),
        ("wait --timeout -1", "-1 is no number of seconds"),
        ("retry zzzz", "no job of 'tour' begins with 'zzzz'"),
        ("log zzzz", "no job of 'tour' begins with 'zzzz'"),
        ("cancel zzzz", "no job of 'tour' begins with 'zzzz'"),
        ("cancel ''", "an empty text names no job"),
        ("diff zzzz yyyy", "no job of 'tour' begins with 'zzzz'"),
        ("diff zzzz", "arguments are required: B"),
        ("jobs --state finished", "no state is called 'finished': there is unscheduled, waiting"),
        ("jobs --state runing", "did you mean running"),
        ("jobs --task Lern", "no task is called 'Lern': did you mean Learn"),
        ("cancel --task Frob", "no task is called 'Frob': there is Learn, Score"),
        ("jobs --tag lrr=1", "no tag is called 'lrr': did you mean lr"),
        ("jobs --tag lr", "--tag lr: write lr=VALUE"),
        ("jobs --tag lr=0.11", "no value of lr is called '0.11': did you mean 0.1"),
        ("table --over seed", "no tag is called 'seed': there is lr"),
        ("table --task Lern", "did you mean Learn"),
        ("graph --by tag", "invalid choice: 'tag'"),
        ("plan lerns", "no variable is called 'lerns': did you mean learns"),
        ("plan In", "a plan is made of tasks"),
        ("wait --timeout soon", "invalid _seconds value"),
        ("start a b", "unrecognized arguments: b"),
        ("start 'a", "No closing quotation"),
        ("help me", "no verb 'me'"),
    ],
)
def test_wrong_words(shell, xp, line, message):
    with pytest.raises(UsageError, match=message):
        magic(shell, line)
    assert states(xp) == ["done", "error", "running", "waiting"]


def test_the_nearest_identifier_is_named(shell, xp):
    digits = xp.jobs[0].identifier[:8]
    wrong = digits[:-1] + ("0" if digits[-1] != "0" else "1")
    with pytest.raises(UsageError, match=f"did you mean {digits}"):
        magic(shell, f"log {wrong}")


@pytest.mark.parametrize(
    "line",
    [
        *("status", "jobs", "wait", "plan", "graph", "table", "log 1f3a", "diff 1f 2e"),
        *("cancel 1f3a", "retry 1f3a", "rerun 1f3a", "cancel --all"),
    ],
)
def test_with_nothing_open(shell, new_kernel, line):
    with pytest.raises(UsageError, match="no experiment is open: %xpm start NAME"):
        shell.run_line_magic("xpm", line)


def test_it_takes_no_cell(shell):
    with pytest.raises(UsageError, match="%%xpm takes no cell"):
        shell.run_cell_magic("xpm", "", "a = 1")


# -- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["log -h", "help log", "log --help", "log ?"])
def test_a_verb_is_explained(shell, line):
    assert shell.run_line_magic("xpm", line).startswith("%xpm log [-n N] id")


@pytest.mark.parametrize("line", ["", "help", "  help  ", "-h", "--help", "help;"])
def test_help_lists_all_verbs(shell, line):
    page = shell.run_line_magic("xpm", line)
    for verb in magics.VERBS:
        assert f"%xpm {verb}" in page


@pytest.mark.parametrize("verb", magics.VERBS)
def test_each_verb_has_help(shell, verb):
    page = shell.run_line_magic("xpm", f"help {verb}")
    assert page.startswith(f"%xpm {verb}")
    assert getattr(magics.XpmMagics, verb).__doc__


# -- completion ---------------------------------------------------------------------------------


def completed(shell, text):
    with provisionalcompleter():
        return list(shell.Completer.completions(text, len(text)))


def completions(shell, text):
    return [item.text for item in completed(shell, text)]


def test_verbs_are_completed(shell, xp):
    assert completions(shell, "%xpm ") == list(magics.VERBS)
    assert completions(shell, "%xpm st") == ["start", "status", "stale"]
    assert completions(shell, "rows = %xpm jo") == ["jobs"]
    assert completions(shell, "%xpm help wa") == ["wait"]
    assert [item.type for item in completed(shell, "%xpm wai")] == [
        "Wait until all jobs of the current experiment have ended"
    ]
    magics.unload_ipython_extension(shell)
    assert "status" not in completions(shell, "%xpm st")


def test_identifiers_are_shown_with_their_tags(shell, xp):
    digits = [job.identifier[:8] for job in xp.jobs]
    shown = {item.text: item.type for item in completed(shell, "%xpm log ")}
    assert shown == {
        digits[0]: "Learn lr=0.1",
        digits[1]: "Learn lr=0.2",
        digits[2]: "Learn lr=0.3",
        digits[3]: shown[digits[3]],
    }
    assert shown[digits[3]].startswith("Score")
    assert completions(shell, f"%xpm log {digits[1][:5]}") == [digits[1]]


def test_verbs_that_act_offer_the_jobs_on_which_they_do(shell, xp):
    digits = [job.identifier[:8] for job in xp.jobs]
    options = ["--all", "--state", "--task"]
    assert completions(shell, "%xpm cancel ") == [*digits[2:], *options]
    assert completions(shell, f"%xpm cancel {digits[2]} ") == [digits[3], *options]
    assert completions(shell, "%xpm retry ") == [digits[1], *options]
    assert completions(shell, "%xpm rerun ") == [*digits[:2], *options, "--stale", "--unknown"]
    assert completions(shell, "%xpm rerun --all ") == [
        *digits[:2],
        "--state",
        "--task",
        "--stale",
        "--unknown",
    ]
    assert completions(shell, f"%xpm diff {digits[0]} ") == digits[1:]


def test_stale_results_are_run_again_and_what_is_left_out_is_said(shell, xp, capsys):
    done = xp.jobs[0]
    done.entry.facts.stale = "unknown"
    done.entry.record = None  # nothing says what made it
    assert list(run(shell, "%xpm rerun --stale")) == []
    said = capsys.readouterr().out
    assert f"left out: 1 result of which nobody can tell ({done.entry.name}: the code that" in said
    assert "%xpm rerun --unknown runs them again" in said
    assert "1 result of which nobody" in str(run(shell, "%xpm stale"))
    assert list(run(shell, "%xpm stale --unknown")) == [done]
    with pytest.raises(UsageError, match="--stale and --unknown say which jobs"):
        run(shell, f"%xpm rerun --unknown {done.identifier[:8]}")
    assert list(run(shell, "%xpm rerun --unknown --task Score")) == []
    capsys.readouterr()
    assert list(run(shell, "%xpm rerun --unknown")) == [done]
    assert "left out" not in capsys.readouterr().out


def test_options_and_their_values_are_completed(shell, xp):
    assert completions(shell, "%xpm jobs --") == ["--state", "--task", "--tag"]
    assert completions(shell, "%xpm jobs --state r") == ["ready", "running"]
    assert completions(shell, "%xpm jobs --task ") == ["Learn", "Score"]
    assert completions(shell, "%xpm jobs --tag ") == ["lr=0.1", "lr=0.2", "lr=0.3"]
    assert completions(shell, "%xpm jobs --tag lr=0.3") == ["lr=0.3"]
    assert completions(shell, "%xpm jobs --tag lr=0.3 --task L") == ["Learn"]
    assert "--tag" in completions(shell, "%xpm jobs --tag lr=0.3 --")
    assert completions(shell, "%xpm graph --by ") == ["job", "task"]
    assert completions(shell, "%xpm table --over ") == ["lr"]


def test_names_of_experiments_are_completed(shell, xp, tmp_path):
    assert completions(shell, "%xpm start t") == ["tour"]
    (tmp_path / "other" / "experiments" / "elsewhere").mkdir(parents=True)
    assert completions(shell, f"%xpm start -w {tmp_path}/other e") == ["elsewhere"]
    assert "elsewhere" not in completions(shell, f"%xpm start -w {tmp_path}/none e")


@pytest.mark.parametrize("text", ["x = 'a %xpm st", "%xpmst", "print(%xpm st"])
def test_nothing_is_offered_elsewhere(shell, xp, text):
    assert "status" not in completions(shell, text)


def test_a_help_page_begins_at_its_beginning():
    page = magics.XpmMagics(None).help("")
    shown = page._repr_mimebundle_()
    assert "<span>" not in shown["text/html"]  # of a log, which begins to scroll at its end
    assert "\n%xpm start NAME" in page
    assert "``" not in magics.XpmMagics.xpm.__doc__
