"""`%xpm` and the cells of a session, in a shell of IPython within this process."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from xpm_nb.core.states import JobState
from xpm_nb.core.views import ExperimentView, JobView
from xpm_nb.engine import callbacks, experiment
from xpm_nb.errors import ConfigError
from xpm_nb.notebook import bridge, magics


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
    assert experiment.cells_source() == [(1, "def f(): pass")]
    assert experiment.on_wait is bridge.watch
    magics.load_ipython_extension(shell)
    assert experiment.cells_source() == [(1, "def f(): pass")]
    magics.unload_ipython_extension(shell)
    magics.unload_ipython_extension(shell)
    assert experiment.cells_source is None
    assert experiment.on_wait is None
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


class Job:
    def __init__(self, identifier, state=JobState.DONE):
        self.identifier, self.state = identifier, state
        self.cancelled = self.retried = False

    def view(self):
        return JobView(f"t/{self.identifier}", self.identifier, "t", "t", "Train", self.state)

    def log(self, n):
        return "\n".join(f"line {i}" for i in range(n))

    def cancel(self):
        self.cancelled = True

    def retry(self):
        self.retried = True


class Experiment:
    def __init__(self, name="digits", **options):
        self.name, self.options = name, options
        self.jobs = [Job("1f3a" + "0" * 60), Job("1f3b" + "0" * 60, JobState.ERROR)]
        self.waited = []

    def __getitem__(self, prefix):
        for job in self.jobs:
            if job.identifier.startswith(prefix.lower()):
                return job
        raise ConfigError(f"no job begins with {prefix!r}")

    def wait(self, timeout_s=None):
        self.waited.append(timeout_s)

    def view(self):
        return ExperimentView(self.name, "/w", self.name, tuple(j.view() for j in self.jobs))


@pytest.fixture
def opened(shell, monkeypatch):
    opened = Experiment()
    monkeypatch.setattr(experiment, "current", lambda: opened)
    return opened


def test_start_hands_its_options_over(shell, monkeypatch):
    monkeypatch.setattr(experiment, "start", Experiment)
    started = shell.run_line_magic("xpm", "start digits --slots 2 -w '/tmp/my runs'")
    assert (started.name, started.options) == ("digits", {"slots": 2, "workspace": "/tmp/my runs"})
    plain = shell.run_line_magic("xpm", "start digits")
    assert plain.options == {"slots": None, "workspace": None}


def test_verbs_give_their_objects(shell, opened):
    assert shell.run_line_magic("xpm", "status") is opened
    assert shell.run_line_magic("xpm", "wait --timeout 3") is opened
    assert shell.run_line_magic("xpm", "wait") is opened
    assert opened.waited == [3.0, None]
    rows = run(shell, "rows = %xpm jobs --state error\nrows")
    assert list(rows) == [opened.jobs[1]]
    assert repr(rows).startswith("jobs: 1 job (1 error)")
    assert "<table" in rows._repr_mimebundle_()["text/html"]
    assert len(shell.run_line_magic("xpm", "jobs")) == 2
    assert shell.run_line_magic("xpm", "cancel 1f3B") is opened.jobs[1]
    assert [job.cancelled for job in opened.jobs] == [False, True]


def test_log_is_the_text(shell, opened):
    shell.user_ns["prefix"] = "1f3a"
    page = run(shell, "page = %xpm log $prefix -n 3\npage")
    assert page == "line 0\nline 1\nline 2"
    assert repr(page) == page
    assert "<pre" in page._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("statsu", "no verb 'statsu': did you mean status"),
        ("frobnicate", "no verb 'frobnicate': there are start, status"),
        ("__init__", "no verb"),
        ("log", r"arguments are required: id; usage: %xpm log \[-n N\] id"),
        ("log -n -5 1f3a", "-5 is no number from 1 on"),
        ("start x --slots 0", "0 is no number from 1 on"),
        ("wait --timeout -1", "-1 is no number of seconds"),
        ("retry zzzz", "no job begins with 'zzzz'"),
        ("log zzzz", "no job begins with 'zzzz'"),
        ("cancel zzzz", "no job begins with 'zzzz'"),
        ("jobs --state finished", "invalid choice: 'finished'"),
        ("wait --timeout soon", "invalid _seconds value"),
        ("start a b", "unrecognized arguments: b"),
        ("start 'a", "No closing quotation"),
        ("help me", "no verb 'me'"),
    ],
)
def test_wrong_words(shell, opened, line, message):
    with pytest.raises(UsageError, match=message):
        shell.run_line_magic("xpm", line)


@pytest.mark.parametrize("line", ["status", "jobs", "wait", "log 1f3a", "cancel 1f3a"])
def test_with_nothing_open(shell, monkeypatch, line):
    monkeypatch.setattr(experiment, "current", lambda: None)
    with pytest.raises(UsageError, match="no experiment is open: %xpm start NAME"):
        shell.run_line_magic("xpm", line)


def test_retry_gives_the_job(shell, opened):
    job = run(shell, "%xpm retry 1f3a;")
    assert job.retried


def test_it_takes_no_cell(shell):
    with pytest.raises(UsageError, match="%%xpm takes no cell"):
        shell.run_cell_magic("xpm", "", "a = 1")


@pytest.mark.parametrize("line", ["log -h", "help log", "log --help"])
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


def completions(shell, text):
    with provisionalcompleter():
        return [item.text for item in shell.Completer.completions(text, len(text))]


@pytest.mark.slow
def test_completion(shell, opened):
    assert completions(shell, "%xpm ") == sorted(magics.VERBS)
    assert completions(shell, "%xpm st") == ["start", "status"]
    assert completions(shell, "rows = %xpm jo") == ["jobs"]
    assert completions(shell, "%xpm help wa") == ["wait"]
    assert completions(shell, "%xpm jobs --state r") == ["ready", "running"]
    assert completions(shell, "%xpm log 1f3") == ["1f3a0000", "1f3b0000"]
    magics.unload_ipython_extension(shell)
    assert "status" not in completions(shell, "%xpm st")
