"""Submit hooks of cells: the job's process has the variable, and nothing of the hook."""

import pytest

pytestmark = pytest.mark.slow


def test_a_hook_of_a_cell_reaches_the_jobs_process(lab):
    kernel = lab.kernel()
    kernel.run(
        """
stock = {"jdk": open(os.devnull)}  # what only this kernel has

class needs_java(SubmitHook):
    def __init__(self, version):
        self.version = version
    def spec(self):
        return self.version
    def process(self, job: Job, launcher: Launcher):
        stock["asked"] = stock.get("asked", 0) + 1
        job.environ["JAVA_HOME"] = f"/opt/jdk-{self.version}"

@submit_hook_decorator
def with_threads(job, launcher, count):
    launcher.environ["OMP_NUM_THREADS"] = str(count)
"""
    )
    kernel.run(
        """
@needs_java(11)
class Analyzer(Config):
    name: Param[str]

@with_threads(3)
@needs_java(11)
class Index(Task):
    analyzer: Param[Analyzer]
    def execute(self):
        import sys
        engine = [name for name in sys.modules if name.startswith("xpm_nb.engine")]
        return [os.environ["JAVA_HOME"], os.environ["OMP_NUM_THREADS"], engine]
"""
    )
    kernel.run("xp = start('hooks')\ntask = Index.C(analyzer=Analyzer.C(name='a'))\ntask.submit()")
    assert kernel.value("task.result()") == ["/opt/jdk-11", "3", []]
    assert kernel.value("stock['asked']") == 1
    assert kernel.value("dict(xp.launcher.environ)") == {}
    (script,) = lab.workspace.glob("jobs/*/*/index.py")
    assert "# @needs_java(11)" in script.read_text()
    assert "class needs_java" not in script.read_text()


def test_an_error_of_a_hook_names_it_in_the_cell(lab):
    kernel = lab.kernel()
    answer = kernel.fails(
        """
@submit_hook_decorator
def needs_key(job, launcher):
    job.environ["KEY"] = {}["key"]

@needs_key()
class Ask(Task):
    def execute(self): ...

xp = start('hooks')
Ask.C().submit()
"""
    )
    assert "ConfigError" in answer.error
    assert (
        "the submit hook needs_key of Ask raised in its process(): KeyError: 'key'" in answer.error
    )
    assert kernel.value("len(xp.jobs)") == 0
