"""Edits of cells and modules, in real kernels: which results are stale, and what becomes of them."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.slow

HELPERS = """
def deep(x):
    return x + 1

def helper(x):
    "A docstring."
    return deep(x)
"""
TASK = """
import tools

class Answer(Task):
    n: Param[int]
    plus: Param[int] = 0
    def execute(self):
        return [helper(self.n) + self.plus, tools.word()]
"""
TEXT = "xp._repr_mimebundle_()['text/plain']"
SUBMIT = "task = Answer.C(n=41).submit(); xp.wait(timeout_s=60)"
TOOLS = "import more\n\ndef word():\n    return more.WORD\n"


def write(lab, name, text):
    path = lab.path / name
    path.write_text(text)
    at = path.stat().st_mtime_ns
    os.utime(path, ns=(at, at))


@pytest.fixture
def kernel(lab):
    write(lab, "tools.py", TOOLS)
    write(lab, "more.py", "WORD = 'one'\n")
    kernel = lab.kernel()
    kernel.run("xp = start('edits')")
    kernel.run(HELPERS)
    kernel.run(TASK)
    kernel.run(SUBMIT)
    return kernel


def stale(kernel):
    return kernel.value("task.job.view().stale")


CELLS = {
    "the body": (TASK.replace("+ self.plus", "- self.plus"), "code"),
    "a helper in another cell": (HELPERS.replace("deep(x)\n", "deep(x) * 2\n"), "code"),
    "a helper of the helper": (HELPERS.replace("x + 1", "x + 2"), "code"),
    "a default": (TASK.replace("= 0", "= 1"), "default"),
    "a comment": (HELPERS.replace("return deep(x)", "return deep(x)  # a comment"), ""),
    "a docstring": (HELPERS.replace("A docstring.", "Another."), ""),
    "a blank line": (HELPERS.replace("\n\n", "\n\n\n\n"), ""),
}


def test_all_cells_run_again_after_an_import_of_the_future(lab, kernel):
    """It comes in a later cell, so that what was executed before it is compiled otherwise now."""
    text = "class Answer(Task):\n  n: Param[int]\n  plus: Param[int] = 0\n"
    cells = [
        "import dataclasses, typing\n@dataclasses.dataclass\nclass Pair:\n  a: int\n  b: int = 2",
        "def total(pair: Pair) -> int: return pair.a + pair.b",
        f"{text}  def execute(self): return total(Pair(self.n))",
        SUBMIT,
        "from __future__ import annotations",
    ]
    for expected in ("code", ""):  # the first time, the code is another one
        for cell in cells:
            kernel.run(cell)
        assert stale(kernel) == expected
        kernel.run("task.job.rerun(); xp.wait(timeout_s=60)")
        assert kernel.value("task.result()") == 43
    # What reads annotations may tell them from the text that they are now.
    text += "  def execute(self): return len(str(typing.get_type_hints(total)))"
    kernel.run("get_ipython().compile.reset_compiler_flags()")
    for cell in (*cells[:2], text, SUBMIT, "task.job.rerun(); xp.wait(timeout_s=60)", *cells[-1:]):
        kernel.run(cell)
    for cell in (*cells[:2], text, SUBMIT):
        kernel.run(cell)
    assert stale(kernel) == "code"
    said = kernel.run("print(task.why())").stdout
    assert "`from __future__ import annotations` holds for its cells now, and did not then" in said


def test_edits(lab, kernel):
    assert kernel.value("task.result()") == [42, "one"]
    assert stale(kernel) == ""
    for name, (text, expected) in CELLS.items():
        kernel.run(text)
        kernel.run(SUBMIT)
        assert stale(kernel) == expected, name
        assert kernel.value("task.result()") == [42, "one"], name
        kernel.run(TASK)
        kernel.run(HELPERS)  # now in another order
        kernel.run(SUBMIT)
        assert stale(kernel) == "", name
    for file, text in (
        ("tools.py", TOOLS.replace("more.WORD", "more.WORD * 2")),
        ("more.py", "WORD = 'two'\n"),
    ):
        before = (lab.path / file).read_text()
        write(lab, file, text)
        kernel.run(SUBMIT)
        assert stale(kernel) == "code", file
        write(lab, file, f"# a comment\n{before}")
        kernel.run(SUBMIT)
        assert stale(kernel) == "", file
    (identifier,) = lab.started()
    assert lab.started()[identifier] == 1


PIPELINE = """
class Train(Task):
    n: Param[int]
    def load(self):
        return Path(self.jobpath if hasattr(self, "jobpath") else ".")
    def execute(self):
        return train_helper(self.n)

class Evaluate(Task):
    train: Param[Train]
    def execute(self):
        return "evaluated"
"""
TRAIN_HELPER = "def train_helper(n):\n    return n + 1\n"
RUN = """
train = Train.C(n=1).submit()
evaluate = Evaluate.C(train=train).submit()
xp.wait(timeout_s=60)
"""


def both(kernel):
    return kernel.value("[train.job.view().stale, evaluate.job.view().stale]")


def test_a_stale_input_is_told_apart_from_own_changes(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('inputs')")
    for cell in (TRAIN_HELPER, PIPELINE, RUN):
        kernel.run(cell)
    assert both(kernel) == ["", ""]
    kernel.run(TRAIN_HELPER.replace("+ 1", "+ 2"))
    kernel.run(RUN)
    assert both(kernel) == ["code", "input"]
    assert kernel.value("len(xp.stale())") == 2
    assert kernel.value("xp.plan(train, evaluate).counts['stale']") == 2
    assert "2 stale" in kernel.value("xp.plan(train, evaluate).caption")
    answer = kernel.value("evaluate.why().answer")
    assert answer == "reused, but stale: what it needs has changed"

    # Kept for the new code, it is an input like any other.
    kernel.run("train.job.keep('only its speed')")
    assert both(kernel) == ["", ""]
    answer = kernel.value("train.why().answer")
    assert answer.startswith("reused: it was accepted by ")
    (kept,) = lab.workspace.glob("jobs/*train/*/.experimaestro/kept.jsonl")
    row = json.loads(kept.read_text())
    assert (row["reason"], bool(row["by"]), bool(row["host"])) == ("only its speed", True, True)
    assert kernel.fails("train.job.keep()").error.startswith("ConfigError")

    # Changed once more it is stale again; run anew, what needs it is not what was made from it.
    kernel.run(TRAIN_HELPER.replace("+ 1", "+ 3"))
    kernel.run("xp.rerun(train); xp.wait(timeout_s=60)")
    assert kernel.value("train.result()") == 4
    assert both(kernel) == ["", "input"]
    kernel.run("%xpm rerun --stale")
    kernel.run("xp.wait(timeout_s=60)")
    assert both(kernel) == ["", ""]
    assert kernel.value("[train.job.view().attempt, evaluate.job.view().attempt]") == [2, 2]


POLICY = """
class Said(Task):
    {policy}
    def execute(self):
        return word()
"""


def test_policies(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('policies', stale='rerun')")
    kernel.run("def word():\n    return 'one'")
    kernel.run(POLICY.format(policy=""))
    submit = "task = Said.C().submit(); xp.wait(timeout_s=60)"
    kernel.run(submit)
    kernel.run("def word():\n    return 'two'")
    kernel.run(submit)
    assert kernel.value("task.result()") == "two"
    kernel.run(submit)
    assert kernel.value("task.job.view().attempt") == 2, "fresh is not run again"
    kernel.run("def word():\n    return 'three'")
    kernel.run(POLICY.format(policy="__stale__ = 'error'"))
    error = kernel.fails("Said.C().submit()").error
    assert error.startswith("StaleError: Said ")
    assert "its code has changed since" in error
    assert "%xpm keep" in error
    kernel.run(POLICY.format(policy="__stale__ = 'ignore'"))
    kernel.run(submit)
    assert kernel.value("[task.result(), task.job.view().stale]") == ["two", ""]
    kernel.run(POLICY.format(policy="__stale__ = 'rurun'"))
    error = kernel.fails("Said.C().submit()").error
    assert "did you mean 'rerun'?" in error
    assert kernel.fails("start('policies', stale='x')").error.startswith("ConfigError: stale=: 'x'")


CHAIN = """
class Middle(Task):
    said: Param[Said]
    def execute(self):
        return 1

class Top(Task):
    middle: Param[Middle]
    k: Param[int] = 0
    def execute(self):
        return 2
"""


@pytest.fixture
def chain(lab):
    """A kernel with three jobs in a chain, and then another helper of the first."""

    def make(policy):
        kernel = lab.kernel()
        kernel.run(f"xp = start('chain', stale={policy!r})")
        kernel.run("def word():\n    return 'one'")
        kernel.run(POLICY.format(policy=""))
        kernel.run(CHAIN)
        kernel.run("said = Said.C().submit(); middle = Middle.C(said=said).submit()")
        kernel.run("top = Top.C(middle=middle).submit(); xp.wait(timeout_s=60)")
        kernel.run("def word():\n    return 'two'")
        return kernel

    return make


SEEN = "[job.view().stale for job in (said.job, middle.job, top.job)]"


def test_an_input_that_is_not_submitted_again_is_looked_at_too(chain):
    kernel = chain("warn")
    kernel.run("top = Top.C(middle=middle).submit(); xp.wait(timeout_s=60)")
    assert kernel.value(SEEN) == ["code", "input", "input"]
    kernel.run("new = Top.C(middle=middle, k=1).submit(); xp.wait(timeout_s=60)")
    assert kernel.value("new.job.view().stale") == "input", "it was made from what is stale"
    assert "its code has changed" in kernel.run("print(middle.why())").stdout
    kernel.run("def word():\n    return 'one'")
    kernel.run("new = Top.C(middle=middle, k=1).submit(); xp.wait(timeout_s=60)")
    assert kernel.value(SEEN) == ["", "", ""]
    assert kernel.value("new.job.view().stale") == ""


def test_why_looks_at_inputs_too(chain):
    kernel = chain("warn")
    assert "Middle" in kernel.run("print(top.why())").stdout.partition("stale")[2]
    assert kernel.value(SEEN) == ["code", "input", "input"]


def test_why_of_a_task_that_was_not_submitted_looks_at_inputs_too(chain):
    kernel = chain("warn")
    assert "an input has changed" in kernel.run("print(xp.why(Top.C(middle=middle)))").stdout


def test_a_stale_input_is_an_error_where_that_is_asked_for(chain):
    kernel = chain("error")
    error = kernel.fails("Top.C(middle=middle).submit()").error
    assert error.startswith("StaleError: Top ")
    assert "an input has changed since" in error
    error = kernel.fails("Top.C(middle=middle, k=1).submit()").error
    assert error.startswith("StaleError: Top needs the result of Middle ")
    assert "an input has changed since" in error
    number = kernel.value("middle.job.identifier[:8]")
    assert f"%xpm keep {number}" in error
    kernel.run("middle.job.keep('words do not matter')")
    kernel.run("new = Top.C(middle=middle, k=1).submit(); xp.wait(timeout_s=60)")
    assert kernel.value("[new.result(), new.job.view().stale]") == [2, ""]


def test_what_a_stale_input_was_used_for_runs_again_where_that_is_asked_for(chain):
    kernel = chain("rerun")
    kernel.run("top = Top.C(middle=middle).submit(); xp.wait(timeout_s=60)")
    assert kernel.value("top.job.view().attempt") == 2


def test_a_new_kernel_knows_what_other_code_made(lab):
    first = lab.kernel()
    first.run("xp = start('later')")
    first.run("def word():\n    return 'one'")
    first.run(POLICY.format(policy=""))
    first.run("task = Said.C().submit(); xp.wait(timeout_s=60)")
    first.kill()
    kernel = lab.kernel()
    kernel.run("xp = start('later'); job, = xp.jobs")
    assert kernel.value("[len(xp.stale()), job.view().stale]") == [0, ""], "its class is not here"
    kernel.run("def word():\n    return 'two'")
    kernel.run(POLICY.format(policy=""))
    assert kernel.value("job.view().stale") == ""
    assert kernel.run("%xpm stale").result.startswith("1 job (1 done)")
    assert kernel.value("job.view().stale") == "code"
    text = kernel.run("job").result
    assert text.endswith("done (stale: code changed)")
    assert "done (stale: code changed)" in kernel.run("xp.jobs").result
    assert "done (stale: code changed)" in kernel.run("print(xp.table())").stdout
    assert "1 result stale: code changed" in kernel.value(TEXT)
    kernel.run("%xpm rerun --stale")
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("[job.result(), job.view().stale]") == ["two", ""]
    assert "stale" not in kernel.value(TEXT)


def test_code_that_cannot_be_fingerprinted_is_unknown(lab, kernel):
    write(lab, "more.py", "WORD = (\n")
    kernel.run("task = Answer.C(n=41).submit()")
    assert kernel.value("task.result()") == [42, "one"]
    assert stale(kernel) == "unknown"
    text = kernel.run("print(task.why())").stdout
    assert "more.py is no Python" in text
    assert kernel.value("len(xp.stale())") == 0
    write(lab, "more.py", "WORD = 'one'\n")
    kernel.run("task = Answer.C(n=41).submit(); xp.wait(timeout_s=60)")
    assert stale(kernel) == ""


def test_what_changes_before_the_start_is_what_is_recorded(lab, kernel):
    kernel.run("xp.slots = 1")
    kernel.run(
        "class Gate(Task):\n    def execute(self):\n"
        "        while not Path(os.environ['GATE']).exists(): time.sleep(0.01)"
    )
    kernel.run("xp.setenv('GATE', os.path.abspath('gate'))")
    kernel.run("Gate.C().submit(); task = Answer.C(n=1).submit()")
    write(lab, "more.py", "WORD = 'later'\n")
    (lab.path / "gate").touch()
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("task.result()") == [2, "later"]
    code = json.loads(kernel.value("(task.job.path / '.experimaestro' / 'code.json').read_text()"))
    assert code["changed"] == "more"
    assert "WORD = 'later'\n" in [part["source"] for part in code["parts"]]
    assert stale(kernel) == "code", "it was submitted with other code"
    kernel.run("task = Answer.C(n=1).submit(); xp.wait(timeout_s=60)")
    assert stale(kernel) == ""


COMPUTED = {
    "plug/__init__.py": "from importlib import import_module\n"
    "part = import_module('.' + 'pa' + 'rt', __name__)\n"
    "def __getattr__(name):\n"
    "    if name.startswith('_'):\n        raise AttributeError(name)\n"
    "    return import_module('.' + name, __name__)\n",
    "plug/part.py": "WORD = 'part'\n",
    "plug/lazy.py": "WORD = 'lazy'\n",
    "dyn.py": "WORD = 'dyn'\n",
    "aside.py": "WORD = 'aside'\n",
}
PLUGS = """
import importlib, plug
import aside

class Before(Task):
    n: Param[int] = 1
    def execute(self):
        return aside.WORD

class Plugged(Task):
    before: Param[Before]
    def execute(self):
        dyn = importlib.import_module("d" + "yn")
        return [dyn.WORD, plug.part.WORD, plug.lazy.WORD]
"""


@pytest.fixture
def plugged(lab):
    (lab.path / "plug").mkdir()
    for name, text in COMPUTED.items():
        write(lab, name, text)
    kernel = lab.kernel()
    kernel.run("xp = start('plugs')")
    kernel.run(PLUGS)
    return kernel


PLUG = """
before = Before.C().submit()
task = Plugged.C(before=before).submit()
xp.wait(timeout_s=60)
"""


def test_modules_that_are_imported_by_a_computed_name(lab, plugged):
    plugged.run(PLUG)
    assert plugged.value("task.result()") == ["dyn", "part", "lazy"]
    assert stale(plugged) == ""
    for name in ("dyn.py", "plug/part.py", "plug/lazy.py"):
        write(lab, name, COMPUTED[name].replace("= '", "= 'new "))
        plugged.run(PLUG)
        assert stale(plugged) == "code", name
        assert len(plugged.run("list(xp.stale())").result) > 2
        module = name.removesuffix(".py").replace("/", ".")
        why = plugged.run("print(task.why())").stdout
        assert f"{module} ({lab.path / name}) has changed: it was imported while" in why
        word = COMPUTED[name].partition("'")[2].rstrip("'\n")
        assert f"- WORD = '{word}'" in why, why
        assert f"+ WORD = 'new {word}'" in why, why
        assert plugged.run("task.job.keep('the same'); xp.stale()").status == "ok"
        assert stale(plugged) == "", name
        write(lab, name, f"# a comment\n{COMPUTED[name]}")
        plugged.run(PLUG)
        assert stale(plugged) == "", name
    (lab.path / "dyn.py").rename(lab.path / "away")
    plugged.run(PLUG)
    assert stale(plugged) == "unknown"
    why = plugged.run("print(task.why())").stdout
    assert f"{lab.path / 'dyn.py'}, imported while the task ran, cannot be read now" in why
    (lab.path / "away").rename(lab.path / "dyn.py")
    # What is imported for the task that it needs is no code of its own.
    write(lab, "aside.py", "WORD = 'another'\n")
    plugged.run(PLUG)
    assert plugged.value("[before.job.view().stale, task.job.view().stale]") == ["code", "input"]
    write(lab, "aside.py", COMPUTED["aside.py"])
    write(lab, "dyn.py", "WORD = 'at last'\n")
    again = lab.kernel()
    again.run("xp = start('plugs', stale='rerun')")
    again.run(PLUGS)
    again.run(PLUG)
    assert again.value("task.result()") == ["at last", "part", "lazy"]
    assert stale(again) == ""
    assert sorted(lab.started().values()) == [1, 2]


def test_a_module_that_is_written_while_it_is_imported_is_in_doubt(lab, plugged):
    writing = '        Path("../../../../dyn.py").write_text("WORD = 5")\n        dyn = '
    plugged.run(PLUGS.replace("        dyn = ", writing))
    plugged.run(PLUG)
    assert plugged.value("task.result()")[0] == 5
    assert stale(plugged) == "unknown"
    why = plugged.run("print(task.why())").stdout
    assert f"while it started, these files changed: {lab.path / 'dyn.py'}" in why


# What appears, what it says, what a job gives then, and how `why` marks that.
APPEARS = [
    ("prep.py", "here", ["here", "slow"], "prep (#/prep.py)  ✗ changed"),
    ("prep/__init__.py", "package", ["package", "slow"], "prep (prep/__init__.py)  ✗ changed"),
    ("src/fast.py", "fast", ["package", "fast", "slow"], "fast (src/fast.py)  + new"),
    ("lab/fast.py", "lab", ["package", "fast", "lab"], "lab.fast (lab/fast.py)  + new"),
]
CHOICES = """
class Chosen(Task):
    n: Param[int]
    def execute(self):
        found = []
        import prep
        found.append(prep.WORD)
        try:
            import fast
            found.append(fast.WORD)
        except ImportError:
            pass
        return [*found, lab.impl.WORD, fakepkg.WORD]
"""


def test_modules_that_appear_where_no_file_was(lab):
    """Each is what a job would import from then on, though no file that counted has changed."""

    def put(name, text):
        (lab.path / name).parent.mkdir(exist_ok=True)
        (lab.path / name).write_text(text)

    def install(version):
        for old in (lab.path / "src").glob("fakepkg-*"):
            old.rename(lab.path / f"gone-{version}")
        put("src/fakepkg/__init__.py", f"WORD = {version!r}\n")
        head = "Metadata-Version: 2.1\nName: fakepkg"
        put(f"src/fakepkg-{version}.dist-info/METADATA", f"{head}\nVersion: {version}\n")

    put("src/prep.py", "WORD = 'src'\n")
    put(
        "lab/__init__.py",
        "try:\n  from . import fast as impl\nexcept ImportError:\n  from . import slow as impl\n",
    )
    put("lab/slow.py", "WORD = 'slow'\n")
    kernel = lab.kernel()
    kernel.run("import sys; sys.path.append('src')")
    install("1.0")
    kernel.run("import lab, prep, fakepkg; xp = start('appears')")
    kernel.run(CHOICES)
    submit = "task = Chosen.C(n={}).submit(); xp.wait(timeout_s=60)"
    words = ["src", "slow"]
    for n, (name, word, after, mark) in enumerate(APPEARS):
        kernel.run(submit.format(n))
        assert kernel.value("task.result()") == [*words, "1.0"], name
        assert stale(kernel) == "", name
        put(name, f"WORD = {word!r}\n")
        words = after
        kernel.run(submit.format(n))
        assert stale(kernel) == "code", name
        why = kernel.run("print(task.why())").stdout
        assert "its code has changed" in why
        assert mark.replace("#", lab.path.name) in why, why
    kernel.run(submit.format(7))
    install("2.0")
    assert kernel.value("str(task.job.drift())") == "fakepkg 1.0 then, 2.0 now"
    kernel.run(submit.format(8))
    # All of this is what another kernel finds, too.
    other = lab.kernel()
    other.run("import sys; sys.path.append('src')")
    other.run("import lab, prep, fakepkg; xp = start('appears')")
    other.run(CHOICES)
    for kernel_ in (kernel, other):
        kernel_.run(submit.format(8))
        assert kernel_.value("task.result()") == [*words, "2.0"]
        assert stale(kernel_) == ""
        assert kernel_.value("str(task.job.drift())") == ""
        kernel_.run(submit.format(3))
        assert stale(kernel_) == "code"
    assert len(lab.started()) == 6
    assert set(lab.started().values()) == {1}


def test_a_module_from_elsewhere_than_the_record_says(lab):
    """The task looks in a place of its own: which file counts is not what its code says."""
    for name in ("prep.py", "private/prep.py", "private/more.py"):
        (lab.path / name).parent.mkdir(exist_ok=True)
        write(lab, name, f"WORD = {name!r}\n")
    kernel = lab.kernel()
    kernel.run("import sys; xp = start('elsewhere')")
    kernel.run(
        "class Looking(Task):\n  place: Param[str]\n  def execute(self):\n"
        "    sys.path.insert(0, self.place)\n    import prep, more\n    return [prep.WORD, more.WORD]"
    )
    submit = "task = Looking.C(place=os.path.abspath('private')).submit(); xp.wait(timeout_s=60)"
    kernel.run(submit)
    assert kernel.value("task.result()") == ["private/prep.py", "private/more.py"]
    assert stale(kernel) == "unknown"
    why = kernel.run("print(task.why())").stdout
    there, here = lab.path / "private/prep.py", lab.path / "prep.py"
    assert f"{there} (loaded as prep, in place of {here})" in why
    # Without one in its place, the run tells of it.
    (lab.path / "prep.py").unlink()
    kernel.run("task.job.rerun(); xp.wait(timeout_s=60)")
    assert stale(kernel) == ""
    write(lab, "private/prep.py", "WORD = 'another'\n")
    kernel.run(submit)
    assert stale(kernel) == "code"
    write(lab, "private/prep.py", "WORD = 'private/prep.py'\n")
    kernel.run(submit)
    assert stale(kernel) == ""
    write(lab, "prep.py", "WORD = 'private/prep.py'\n")
    kernel.run(submit)
    assert stale(kernel) == "code"
    why = kernel.run("print(task.why())").stdout
    assert f"prep ({there}) was found by its run only, and belongs to its code now" in why


def test_texts_say_at_once_that_a_result_is_stale(lab, kernel):
    kernel.run(HELPERS.replace("x + 1", "x + 2"))
    said = "task = Answer.C(n=41).submit(); said = [str(xp.jobs), repr(task.job), repr(xp)]"
    kernel.run(f"{said}; said += [str(xp.plan()), str(xp.table())]")
    for text in kernel.value("said"):
        assert "stale: code changed" in text


def test_what_was_made_from_an_ignored_result_is_not_stale(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('inputs')")
    ignoring = PIPELINE.replace("n: Param[int]", "n: Param[int]\n    __stale__ = 'ignore'")
    for cell in (TRAIN_HELPER, ignoring, RUN, TRAIN_HELPER.replace("+ 1", "+ 2"), RUN):
        kernel.run(cell)
    assert both(kernel) == ["", ""]
    assert kernel.value("len(xp.stale())") == 0


UNSEEN = """
import tools
NAME = "LIMIT"
LIMIT = 1

class Unseen(Task):
    n: Param[int]
    def execute(self):
        return [tools.WORD, NAME in globals()]
"""


def test_what_is_not_seen_is_warned_of_where_a_result_is_reused(lab):
    write(lab, "tools.py", "WORD = 'one'\n")
    kernel = lab.kernel()
    kernel.run("xp = start('unseen')")
    kernel.run(UNSEEN)
    kernel.run("task = Unseen.C(n=1).submit(); xp.wait(timeout_s=60)")
    kernel.run("LIMIT = 2")
    kernel.run("tools.WORD = 'two'")
    said = kernel.run("again = Unseen.C(n=1).submit()  # is reused").stderr
    assert "changes tools.WORD: the job of Unseen does not see it" in said
    assert "looks up a name by a text that it computes (NAME in globals())" in said
    assert kernel.value("[again.job.view().stale, again.result()]") == ["", ["one", False]]
    assert kernel.run("for _ in range(3): Unseen.C(n=1).submit()").stderr.count("tools.WORD") == 1
    assert "tools.WORD" in kernel.run("Unseen.C(n=2).submit()  # in another cell").stderr
    assert "tools.WORD" in kernel.run("again.job.rerun()").stderr


def test_the_view_says_what_is_to_be_thought_of_a_result_straight_after_its_submission(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('at-once')")
    kernel.run("def word():\n    return 'one'")
    kernel.run(POLICY.format(policy=""))
    kernel.run("task = Said.C().submit(); xp.wait(timeout_s=60)")
    for number in range(20):
        kernel.run(f"def word():\n    return {('one' if number % 2 else 'two')!r}")
        seen = kernel.value("Said.C().submit().job.view().stale")
        assert seen == ("" if number % 2 else "code"), number
