"""The static displays: what they say of each kind of thing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.notebook.reading import parse, rows_of, without_style, words
from tests.notebook.samples import digits, job
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import ConfigView, ExperimentView, ParamView, Said, TableView
from xpm_nb.notebook import html


def test_the_style_sheet_loads_nothing_and_touches_nothing_else():
    sheet = html.style()
    assert "url(" not in sheet
    assert "@import" not in sheet
    assert "<" not in sheet
    # One rule stands outside: it hides what a front-end writes just above a picture of ours.
    body, found = re.subn(r"\.jp-OutputArea-child:has\([^{}]*\[data-xpm\]\)\{", ".xpm{", sheet)
    assert found == 1
    # What front-ends say of their theme stands before ours.
    themes = r'(?:\[data-jp-theme-light="false"\]|\.vscode-[a-z:().-]+|\.dark) (?=\.xpm)'
    body = re.sub(r"\([^()]*\)", "()", re.sub(themes, "", body))
    body = re.sub(r"@media print\{|@container xpm-compare \(\)\{", "", body)
    for selectors in re.findall(r"([^{}]+)\{", body):
        assert all(part.strip().startswith(".xpm") for part in selectors.split(",")), selectors


SWEEP = ExperimentView(
    "digits",
    "/home/me/xpm-workspace",
    "digits",
    (
        job(text="split", task="Split", started=0.0, ended=1.25, reused=True),
        job(
            text="a",
            tags=(("model", "svc"), ("C", "1.0")),
            metrics=(("accuracy", 0.98765),),
            progress=1.0,
            started=5.0,
            ended=190.0,
        ),
        job(
            JobState.RUNNING,
            "b",
            tags=(("model", "forest"),),
            progress=0.625,
            progress_text="tree 5",
            started=10.0,
            path="/home/me/xpm-workspace/jobs/b",
        ),
        job(
            JobState.ERROR,
            "c",
            reason=FailureReason.FAILED,
            message="ValueError: no such kernel\nbut there are others",
        ),
        job(JobState.WAITING, "d"),
    ),
)


def test_experiment_has_header_cells_and_a_row_for_each_job():
    rows = rows_of(html.experiment_html(SWEEP, now=40.0))
    assert rows[0] == ["job", "state", "model", "C", "progress", "accuracy", "time"]
    assert rows[1] == [f"Split {digits('split')[:8]}", "✓ done (reused)", "", "", "", "", "1.2 s"]
    name = f"Train {digits('a')[:8]}"
    assert rows[2] == [name, "✓ done", "svc", "1.0", "", "0.9877", "3 min 05 s"]
    assert rows[3][1:] == ["▶ running", "forest", "", "62% tree 5", "", "30 s"]
    assert rows[4][1] == "✗ error (failed)"
    assert rows[5] == ["ValueError: no such kernel but there are others"]
    assert rows[6][1] == "○ waiting"
    heads = list(parse(html.experiment_html(SWEEP)).iter("th"))
    assert all(cell.attrib["scope"] == "col" for cell in heads)


def test_experiment_reads_without_style():
    text = without_style(html.experiment_html(SWEEP, now=40.0))
    assert text.startswith("digits 5 jobs ✓ 2 done ✗ 1 error ▶ 1 running ○ 1 waiting")
    assert re.search(r"workspace /home/me/xpm-workspace( ?, as of \d\d:\d\d:\d\d)?$", text)


def test_full_identifier_is_in_the_title():
    page = parse(html.experiment_html(SWEEP))
    codes = [node for node in page.iter("code") if node.attrib.get("class") == "xpm-id"]
    assert [node.attrib["title"] for node in codes] == [job.identifier for job in SWEEP.jobs]
    assert [node.text for node in codes] == [job.identifier[:8] for job in SWEEP.jobs]


def test_stable_form_has_no_time_no_path_and_says_nothing_of_reuse():
    page = html.experiment_html(SWEEP, now=40.0, stable=True)
    assert rows_of(page)[0] == ["job", "state", "model", "C", "progress", "accuracy"]
    assert rows_of(page)[2][-1] == "0.99"
    assert "reused" not in page
    assert "/home/me" not in page
    later = html.experiment_html(SWEEP, now=4_000.0, stable=True)
    assert later == page


def test_an_empty_experiment_says_what_to_do():
    page = html.experiment_html(ExperimentView("digits", "/w", "digits"))
    assert "no jobs yet: submit a task" in without_style(page)
    assert html.experiment_text(ExperimentView("digits", "/w", "digits")) == "digits: 0 jobs"


def test_a_thousand_jobs_are_cut_and_counted_and_late_errors_still_seen():
    jobs = [job(JobState.DONE, f"job{i}") for i in range(1_000)]
    jobs[700] = job(JobState.ERROR, "late", message="boom")
    for i in range(900, 1_000):
        jobs[i] = job(JobState.WAITING, f"job{i}")
    page = html.experiment_html(ExperimentView("big", "/w", "big", tuple(jobs)))
    rows = rows_of(page)
    assert len(rows) == 1 + html.MAX_ROWS + 1
    assert rows[-1] == ["boom"]
    assert "… and 900 more: 800 done, 100 waiting" in without_style(page)
    assert len(page) < 60_000


def many(make) -> ExperimentView:
    return ExperimentView("big", "/w", "big", tuple(make(i) for i in range(1_000)))


@pytest.mark.parametrize(
    "make",
    [
        lambda i: job(text=str(i), tags=(("a", str(i)), ("b", "x" * 60)), metrics=(("m", i / 7),)),
        lambda i: job(JobState.ERROR, str(i), message="ValueError: " + "x" * 2_000),
        lambda i: job(JobState.ERROR, str(i), message=f"{i} " + "x" * 2_000),
        lambda i: job(JobState.RUNNING, str(i), progress=0.5, progress_text="y" * 80, started=0.0),
        lambda i: job(text=str(i), said=(Said("out", "z" * 5_000),) * 9),
        lambda i: job(text=str(i), tags=tuple((f"tag{j}", f"{i}<>{j}") for j in range(30))),
        lambda i: job(text=str(i), metrics=tuple((f"metric{j}", i / 3 + j) for j in range(30))),
        lambda i: job(text=str(i), dependencies=(job(text=str(i - 1)).key,)),
    ],
    ids=["tags", "one error", "errors", "running", "said", "wide", "metrics", "chain"],
)
def test_the_picture_of_a_thousand_jobs_is_small(make):
    page = html.experiment_html(many(make), now=9.0, uid="u", back="b" * 200, eta=9.0)
    assert len(page.encode()) <= 60_000
    assert without_style(page).startswith("big 1000 jobs")


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((2.5, 11.0, 0.125), ["2.500", "11.000", "0.125"]),
        ((0.5, float("nan"), 1.0), ["0.5", "nan", "1.0"]),
        ((3, 11), ["3", "11"]),
        ((3, 0.25), ["3.00", "0.25"]),
        ((1.5e-7, 2.0), ["1.5e-07", "2"]),  # with common decimals one of them reads badly
    ],
)
def test_figures_of_a_metric_stand_below_each_other(values, shown):
    jobs = [job(text=str(i), metrics=(("m", value),)) for i, value in enumerate(values)]
    assert [row[2] for row in rows_of(html.jobs_html(jobs))[1:]] == shown


def test_many_that_fail_alike_are_told_why_once():
    jobs = [job(JobState.ERROR, str(i), message="ValueError: no\nway") for i in range(30)]
    page = html.experiment_html(ExperimentView("alike", "/w", "alike", tuple(jobs)))
    assert page.count("ValueError") == 1
    assert page.count("as above") == 29


def test_a_long_name_leaves_room_for_the_identifier():
    page = html.jobs_html([job(text="x", task="A" * 70)])
    assert rows_of(page)[1][0] == f"{'A' * 27}… {digits('x')[:8]}"
    assert f'title="{"A" * 70}"' in page


def test_a_text_of_a_table_has_room_for_its_last_column():
    view = TableView(("task", "needs", "plan"), (("T" * 90, "N" * 90, "p" * 70),), (False,) * 3)
    row = html.table_text(view).splitlines()[-1]
    assert row == f"{'T' * 39}…  {'N' * 39}…  {'p' * 70}"


def test_a_name_of_what_could_go_is_known_by_its_end():
    name = f"{'long-' * 9}experiment.learn 01234567"
    view = TableView(("why", "what", "size"), (("failed", name, "1 kB"),), (False, False, True))
    assert name in html.table_text(view)
    assert f'<td class="xpm-words">{name}</td>' in html.table_html(view)


def test_a_remark_is_no_error():
    jobs = [job(JobState.UNSCHEDULED, message="it runs when a job needs it")]
    page = html.jobs_html(jobs)
    assert "it runs when a job needs it" in without_style(page)
    assert 'class="xpm-why"' not in page
    assert 'class="xpm-why"' in html.jobs_html([job(JobState.ERROR, message="no")])


def test_those_that_failed_or_run_are_shown_wherever_they_stand():
    jobs = [job(text=str(i)) for i in range(1_000)]
    jobs[500] = job(JobState.RUNNING, "late", task="Late")
    jobs[900] = job(JobState.ERROR, "later", task="Later")
    rows = rows_of(html.experiment_html(ExperimentView("big", "/w", "big", tuple(jobs))))
    assert [row[0].split()[0] for row in rows[-2:]] == ["Late", "Later"]
    assert len(rows) == 1 + html.MAX_ROWS


def test_what_all_share_is_told_below():
    tags = [(("model", name), ("data", "digits")) for name in ("svc", "mlp")]
    page = html.jobs_html([job(text=name[0][1], tags=name) for name in tags])
    assert rows_of(page)[0] == ["job", "state", "model"]
    assert "constant: data=digits" in without_style(page)
    assert rows_of(html.jobs_html([job(tags=tags[0])]))[0] == ["job", "state", "model", "data"]


def test_too_many_columns_are_cut_and_counted():
    tags = tuple((f"t{i}", str(i)) for i in range(30))
    page = html.jobs_html([job(tags=tags)])
    assert len(rows_of(page)[0]) == 2 + 12
    assert "18 columns not shown" in without_style(page)


def test_experiment_text_is_few_lines():
    assert html.experiment_text(SWEEP).splitlines() == [
        "digits: 5 jobs (2 done, 1 error, 1 running, 1 waiting)",
        f"  Train [{digits('c')[:8]}] error (failed): ValueError: no such kernel",
    ]


MODEL = ConfigView(
    "SVC",
    "digits.svc",
    digits("svc"),
    params=(
        ParamView("C", "param", "float", "10.0", help="regularisation"),
        ParamView("kernel", "param", "str", "'rbf'", default=True),
    ),
)
TRAIN = ConfigView(
    "Train",
    "digits.train",
    digits("train"),
    params=(
        ParamView("model", "param", "Model", "", config=MODEL),
        ParamView("cache", "meta", "Path", "PosixPath('c')", hashed=False),
        ParamView("version", "constant", "int", "1"),
        ParamView("device", "param", "str", "'cpu'", hashed=False),
    ),
    tags=(("C", "10.0"),),
    dependencies=(("Split", digits("split")),),
    state=JobState.DONE,
)


def test_config_shows_identifier_tags_dependencies_and_a_tree():
    page = html.config_html(TRAIN)
    text = without_style(page)
    assert text.startswith(f"Train {digits('train')[:8]} ✓ done digits.train tags: C=10.0 needs: ")
    assert f"Split {digits('split')[:8]}" in text
    rows = rows_of(page)
    assert rows[0] == ["parameter", "value", ""]
    assert ["C", "10.0", ""] in rows
    assert ["kernel", "'rbf'", "default"] in rows
    assert ["cache", "PosixPath('c')", "meta"] in rows
    assert ["version", "1", "constant"] in rows
    assert ["device", "'cpu'", "not in the identifier"] in rows
    details = list(parse(page).iter("details"))
    assert len(details) == 1
    assert words(details[0].find("summary")) == f"SVC {digits('svc')[:8]}"
    titles = {node.text: node.attrib.get("title") for node in parse(page).iter("td")}
    assert titles["C"] == "float: regularisation"


def test_config_without_identifier_says_why():
    view = ConfigView("Train", "train", "", note="identifier: once an experiment is open")
    assert "identifier: once an experiment is open" in without_style(html.config_html(view))
    assert html.config_text(view) == "Train()"


def test_config_text_is_one_line_without_defaults():
    expected = "Train(model=SVC(C=10.0), device='cpu')"
    assert html.config_text(TRAIN) == f"{expected} [{digits('train')[:8]}]"


def test_a_stale_result_is_told_wherever_its_task_is_shown():
    view = replace(TRAIN, state=JobState.DONE, stale="code")
    assert "stale: code changed" in html.config_html(view)
    assert html.config_text(view).endswith("(stale: code changed)")
    assert "stale" not in html.config_text(view, stable=True)


def test_a_result_of_another_environment_is_told_wherever_it_is_shown():
    how = "numpy 1.26.4 then, 2.0.1 now"
    drifted = job(drift=how, stale="code")
    words = "(stale: code changed, environment changed)"
    assert html.job_text(drifted).endswith(words)
    assert html.job_text(drifted, stable=True).endswith("(stale: code changed)")
    assert "environment changed" in html.jobs_html([drifted])
    assert "environment changed" not in html.jobs_html([drifted], stable=True)
    assert f"1 result: environment changed ({how})" in html.jobs_text([drifted])
    other = job(text="other", drift="branch main then, dev now")
    lines = html.jobs_text([drifted, other]).splitlines()
    assert lines[-1] == "  2 results: environment changed"
    assert "environment" not in html.jobs_text([drifted, other], stable=True)
    view = replace(TRAIN, state=JobState.DONE, drift=how)
    assert "environment changed" in html.config_html(view)
    assert html.config_text(view).endswith("(environment changed)")


def test_a_failure_whose_frames_were_kept_says_what_opens_them():
    failed = job(JobState.ERROR, reason=FailureReason.FAILED)
    assert f"%xpm debug {digits('train')[:8]}" in html.job_html(failed, framed=True)
    assert "%xpm debug" not in html.job_html(failed)


def test_what_is_done_and_not_to_be_trusted_is_told():
    text = html.jobs_text([job(message="bad input: Make was disowned (bad data)")])
    assert f"  Train [{digits('train')[:8]}] bad input: Make was disowned" in text


def test_config_text_gathers_the_items_of_a_container():
    rows = [ParamView(f"layers[{i}]", "param", "list[M]", "", config=MODEL) for i in range(2)]
    view = ConfigView("Net", "net", "", params=(*rows, ParamView("n", "param", "int", "1")))
    assert html.config_text(view) == "Net(layers=[SVC(C=10.0), SVC(C=10.0)], n=1)"


def test_stable_config_has_no_state_and_no_path():
    page = html.config_html(TRAIN, stable=True)
    assert "done" not in without_style(page)
    assert ["cache", "(path)", "meta"] in rows_of(page)


def test_a_deep_config_is_cut():
    view = ConfigView("End", "end", digits("end"), params=(ParamView("x", "param", "int", "1"),))
    for i in range(50):
        inner = ParamView("next", "param", "Node", "", config=view)
        view = ConfigView("Node", "node", digits(str(i)), params=(inner,))
    page = html.config_html(view)
    assert "deeper levels left out" in page
    assert page.count("<details") < html.MAX_DEPTH
    assert len(html.config_text(view)) < 420


def test_a_shared_config_is_shown_once():
    stub = ConfigView("SVC", "digits.svc", digits("svc"), shared=True)
    params = (
        ParamView("a", "param", "M", "", config=MODEL),
        ParamView("b", "param", "M", "", config=stub),
    )
    view = ConfigView("Pair", "pair", digits("pair"), params=params)
    assert f"SVC {digits('svc')[:8]} shown above" in without_style(html.config_html(view))


def test_job_shows_what_happened_and_the_end_of_its_log():
    view = job(
        JobState.ERROR,
        reason=FailureReason.FAILED,
        message="ValueError: no",
        tags=(("C", "1.0"),),
        progress=0.5,
        started=0.0,
        ended=2.0,
        dependencies=(f"digits.split/{digits('split')}",),
        path="/w/jobs/train",
        attempt=2,
    )
    page = html.job_html(view, log="one\n 10%\r 20%\r\n\x1b[31mtwo\x1b[0m\n")
    rows = dict(rows_of(page))
    assert rows["what happened"] == "ValueError: no"
    assert rows["tags"] == "C=1.0"
    assert rows["progress"] == "50%"
    assert rows["needs"] == f"split {digits('split')[:8]}"
    assert rows["time"] == "2.0 s"
    assert rows["directory"] == "/w/jobs/train"
    assert rows["attempt"] == "2"
    [log] = parse(page).iter("pre")
    assert log.find("span").text == "one\n 20%\ntwo"
    stable = dict(rows_of(html.job_html(view, stable=True)))
    assert set(stable) == {"what happened", "tags", "progress", "needs"}
    assert html.job_text(view).splitlines() == [
        f"Train [{digits('train')[:8]}] error (failed) C=1.0",
        "  ValueError: no",
    ]


def test_a_long_log_keeps_its_end():
    page = html.log_html("".join(f"line {i}\n" for i in range(100_000)), "Train")
    assert "line 99999" in page
    assert "line 100\n" not in page
    assert len(page) < 40_000


RESULTS = TableView(
    ("model", "C", "accuracy"),
    (("svc", "1.0", "0.98"), ("forest", "", "0.97")),
    (False, True, True),
    ("k1", "k2"),
    "digits: 2 runs",
)


def test_results_table():
    page = html.table_html(RESULTS)
    assert rows_of(page) == [["model", "C", "accuracy"], *map(list, RESULTS.rows)]
    assert html.table_text(RESULTS).splitlines() == [
        "digits: 2 runs",
        "model     C  accuracy",
        "------  ---  --------",
        "svc     1.0      0.98",
        "forest           0.97",
    ]


def test_states_in_a_table_are_shown_as_everywhere():
    cells = ("done", "done (stale: code changed)", "error (timeout)", "3 done, 1 error")
    view = TableView(("job", "state"), tuple(("1f3a9c02", cell) for cell in cells), (False, False))
    page = html.table_html(view)
    assert [row[1] for row in rows_of(page)[1:]] == [
        "✓ done", "✓ done (stale: code changed)", "✗ error (timeout)", "3 done, 1 error",
    ]  # fmt: skip
    assert page.count('<code class="xpm-id">1f3a9c02</code>') == 4


def test_an_empty_results_table():
    empty = TableView((), (), ())
    assert "no results" in html.table_html(empty)
    assert html.table_text(empty) == "no results"


def test_a_long_results_table_is_cut():
    table = TableView(("n",), tuple((str(i),) for i in range(1_000)), (True,))
    assert len(rows_of(html.table_html(table))) == 1 + html.MAX_TABLE_ROWS
    assert "… and 800 more rows" in without_style(html.table_html(table))
    assert html.table_text(table).endswith("… and 940 more rows")


def test_problem_form():
    text = without_style(html.problem_html("CarrierError", "cell In[3]: model", "Traceback…"))
    assert text == "CarrierError cell In[3]: model details Traceback…"
    assert html.problem_text("CarrierError", "no") == "CarrierError: no"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (184.2, "3 min 04 s"),
        (3_599.9, "1 h 00 min"),
        (7_500.0, "2 h 05 min"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    assert html.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.987654, "0.9877"),
        (3, "3"),
        (3.0, "3"),
        (123456.7, "123457"),
        (0.931, "0.9310"),
        (1.23e12, "1.23e+12"),
        (1e-9, "1e-09"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1e300, "1e+300"),
    ],
)
def test_numbers(value, text):
    assert html.number_text(value) == text


def test_text_that_would_not_show_is_shown_as_escapes():
    assert html.clean("a\x00b\u202ec\ud800d\U000e0041\n") == (
        "a\\x00b\\u202ec\\ud800d\\U000e0041\\n"
    )
    assert html.clean("café שלום 你好 👩‍🔬") == "café שלום 你好 👩‍🔬"
    assert html.clean("abcdef", 4) == "abc…"


def test_no_module_of_a_front_end_is_needed():
    import subprocess
    import sys

    code = "import sys, xpm_nb.notebook.html; print([m for m in ('IPython', 'ipywidgets', 'anywidget', 'threading') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['threading']")


def test_a_picture_of_unfinished_jobs_says_when_it_was_taken():
    assert re.search(r", as of \d\d:\d\d:\d\d</p>", html.experiment_html(SWEEP, now=40.0))
    assert "as of" not in html.experiment_html(SWEEP, now=40.0, stable=True)
    done = replace(SWEEP, jobs=SWEEP.jobs[:1])
    assert "as of" not in html.experiment_html(done, now=40.0)
