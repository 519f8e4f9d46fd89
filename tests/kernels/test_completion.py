"""Completion and errors of %xpm as a front-end meets them: by the kernel's own messages."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.kernels.conftest import Lab
from xpm_nb.notebook.magics import VERBS

pytestmark = pytest.mark.slow

JOBS = """
class Square(Task):
    n: Param[int]
    def execute(self):
        log_metrics({"square": float(self.n**2)})
        return self.n**2

class Sum(Task):
    parts: Param[list[Square]]
    def execute(self):
        return 0

xp = start("squares", slots=2)
parts = [Square.C(n=tag(n)) for n in (2, 3)]
for part in parts:
    part.submit()
Sum.C(parts=parts).submit()
xp.wait(timeout_s=60)
"""


def complete(kernel, line: str) -> list[dict]:
    """What the front-end shows: each text with its type, at the place that it replaces."""
    reply = kernel.client.complete(line, len(line), reply=True, timeout=60)["content"]
    assert reply["status"] == "ok"
    shown = reply["metadata"]["_jupyter_types_experimental"]
    assert [item["text"] for item in shown] == reply["matches"]
    assert reply["cursor_end"] == len(line)
    return [item | {"line": line[: item["start"]] + item["text"]} for item in shown]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    here = str(Path(__file__).resolve().parents[2])
    kernel = lab.kernel(PYTHONPATH=os.pathsep.join([here, lab.env["PYTHONPATH"]]))
    kernel.run(JOBS)
    yield kernel
    kernel.stop()
    lab.end_jobs()


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("%xpm ", " ".join(VERBS)),
        ("%xpm sta", " ".join(verb for verb in VERBS if verb.startswith("sta"))),
        ("rows = %xpm jo", "jobs"),
        ("a = 1\n%xpm can", "cancel"),
        ("%xpm jobs --s", "--state"),
        ("%xpm jobs --state do", "done"),
        ("%xpm jobs --task S", "Square Sum"),
        ("%xpm jobs --tag n=", "n=2 n=3"),
        ("%xpm jobs --tag n=3", "n=3"),
        ("%xpm table squ", "square"),
        ("%xpm table --over ", "n"),
        ("%xpm start squ", "squares"),
        ("%xpm graph --by t", "task"),
        ("%xpm help rer", "rerun"),
    ],
)
def test_words_are_completed_where_they_stand(kernel, line, texts):
    found = complete(kernel, line)
    assert [item["text"] for item in found] == texts.split()
    word = re.split(r"\s", line)[-1]
    assert all(item["line"].endswith(line.removesuffix(word) + item["text"]) for item in found)


def test_identifiers_come_with_task_and_tags(kernel):
    found = complete(kernel, "%xpm rerun ")
    assert [item["type"] for item in found[:3]][:2] == ["Square n=2", "Square n=3"]
    assert found[2]["type"].startswith("Sum")
    assert all(re.fullmatch("[0-9a-f]{8}", item["text"]) for item in found[:3])
    first = found[0]["text"]
    again = complete(kernel, f"%xpm log {first[:4]}")
    assert [(item["text"], item["line"]) for item in again] == [(first, f"%xpm log {first}")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%xpm stats", "UsageError: %xpm has no verb 'stats': did you mean status?"),
        ("%xpm log", "UsageError: the following arguments are required: id; usage: %xpm log"),
        ("%xpm jobs --task Squar", "UsageError: no task is called 'Squar': did you mean Square?"),
        ("%xpm cancel zzzz", "UsageError: no job of 'squares' begins with 'zzzz'"),
    ],
)
def test_a_wrong_word_is_a_line_without_a_traceback(kernel, line, message):
    answer = kernel.answer(kernel.send(line))
    assert message in answer.stderr + answer.error
    assert "Traceback" not in answer.stderr + answer.error + answer.stdout


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("%xpm jobs --task Sum", "1 job (1 done)"),
        ("%xpm graph --by task", "Square 2 jobs (2 done) → Sum"),
        ("%xpm table square", "square"),
        ("%xpm plan", "Square"),
    ],
)
def test_verbs_are_displayed(kernel, line, text):
    assert text in kernel.run(line).result


def test_the_first_tab_after_a_bare_import(tmp_path):
    lab = Lab(tmp_path)
    here = str(Path(__file__).resolve().parents[2])
    kernel = lab.kernel(PYTHONPATH=os.pathsep.join([here, lab.env["PYTHONPATH"]]))
    try:
        kernel.run("import xpm_nb")
        wanted = [verb for verb in VERBS if verb.startswith("s")]
        assert [item["text"] for item in complete(kernel, "%xpm s")] == wanted
        kernel.run("%load_ext xpm_nb")  # no second matcher stays
        assert [item["text"] for item in complete(kernel, "%xpm s")] == wanted
        kernel.run("%unload_ext xpm_nb")
        assert "start" not in [item["text"] for item in complete(kernel, "%xpm s")]
    finally:
        kernel.stop()
        lab.end_jobs()
