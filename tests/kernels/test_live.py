"""Panels and forms of a real kernel, spoken to as a front-end does: while cells run, too."""

from __future__ import annotations

import queue
import time

import pytest
from jupyter_client.session import Session

from xpm_nb.notebook import protocol

pytestmark = pytest.mark.slow

WORK = """
class Work(Task):
    n: Param[int]
    def execute(self):
        print("line 1", flush=True)
        print("line 2", flush=True)
        log_metrics({"loss": 1.5}, step=0)
        log_metrics({"loss": 0.5}, step=1)
        while not Path(os.environ["XPM_TEST_LOG"] + f".{self.n}").exists():
            time.sleep(0.02)
        return self.n

xp = start("live", slots=2)
works = [Work.C(n=tag(n)).submit() for n in range(3)]
"""

SPIN = """
deadline = time.monotonic() + 300
while time.monotonic() < deadline and not all(job.state.final for job in xp.jobs):
    sum(range(1000))
"""


class Front:
    """A front-end with one model, on a subshell of the kernel as JupyterLab has it."""

    def __init__(self, kernel) -> None:
        self.kernel = kernel
        self.client = kernel.client
        self.comm = ""
        self.rows: list[list] = []
        self.seq = -1
        self.gaps = 0
        self.heard: list[dict] = []
        self.state: dict = {}
        self.snapshot: dict = {}
        self.displays: list[dict] = []
        self.updates: list[dict] = []
        self.streams: list[str] = []
        self.idle: set[str] = set()
        self.number = 0
        self.subshell = ""

    def open_subshell(self) -> None:
        session: Session = self.client.session
        message = session.msg("create_subshell_request")
        self.client.control_channel.send(message)
        while True:
            reply = self.client.control_channel.get_msg(timeout=120)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                self.subshell = reply["content"]["subshell_id"]
                return

    def listen(self, until, timeout_s: float = 120):
        """Take what the kernel publishes, until something is so; give that."""
        deadline = time.monotonic() + timeout_s
        while not (found := until()):
            assert time.monotonic() < deadline, f"not within {timeout_s} s; heard {self.heard[-5:]}"
            try:
                message = self.client.get_iopub_msg(timeout=0.5)
            except queue.Empty:
                continue
            self.take(message["msg_type"], message["content"], message["parent_header"])
        return found

    def take(self, kind: str, content: dict, parent: dict) -> None:
        if kind == "status" and content["execution_state"] == "idle":
            self.idle.add(parent["msg_id"])
        elif kind == "display_data":
            self.displays.append(content["data"])
        elif kind == "update_display_data":
            self.updates.append(content["data"])
        elif kind == "stream":
            self.streams.append(content["text"])
        elif kind == "error":
            raise AssertionError(content["evalue"])
        elif kind == "comm_open" and self.is_ours(content["data"]["state"]):
            self.comm = content["comm_id"]
            self.set(content["data"]["state"])
        elif kind == "comm_close" and content["comm_id"] == self.comm:
            self.comm = ""
        elif kind == "comm_msg" and content["comm_id"] == self.comm:
            if content["data"]["method"] == "custom":
                self.hear(content["data"]["content"])
            else:
                self.set(content["data"]["state"])

    @staticmethod
    def is_ours(state: dict) -> bool:
        return "snapshot" in state or "view" in state

    def set(self, state: dict) -> None:
        self.state.update(state)
        if "snapshot" in state:
            self.snapshot = protocol.unpack(state["snapshot"])
            self.seq = self.snapshot["seq"]
            self.rows = [row[1] for row in self.snapshot["rows"]]

    def hear(self, message: dict) -> None:
        self.heard.append(message)
        if message["t"] != "d" or message["seq"] <= self.seq:
            return
        if message["prev"] != self.seq:
            self.gaps += 1
            return
        self.seq = message["seq"]
        for i, row in message["r"]:
            self.rows[i] = row
        self.rows += [row for _, row in message["n"]]

    def of(self, kind: str) -> list[dict]:
        return [message for message in self.heard if message["t"] == kind]

    def ids(self) -> list[str]:
        return [row[0][0] for row in self.snapshot["rows"]]

    def send(self, content: dict) -> None:
        session: Session = self.client.session
        data = {"method": "custom", "content": content}
        message = session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def ask(self, do: str, **more) -> dict:
        """Send a message, and give its answer; nobody clicks on what is not displayed yet."""
        self.listen(lambda: self.displays)
        self.number += 1
        number = self.number
        self.send({"do": do, "id": number, **more})
        return self.listen(lambda: [m for m in self.of("ack") if m["id"] == number])[0]

    def click(self, do: str, jobs: list[str]) -> dict:
        """Have something done, as a person does: once more if the kernel was busy for too long."""
        while True:
            answer = self.ask(do, jobs=jobs, at=time.time())
            if not answer["note"].startswith("came too late"):
                return answer

    def execute(self, code: str) -> str:
        return self.client.execute(code)

    def finished(self, msg_id: str) -> None:
        self.listen(lambda: msg_id in self.idle)

    def states(self) -> str:
        return "".join(row[0] for row in self.rows)


@pytest.fixture
def front(lab):
    kernel = lab.kernel()
    front = Front(kernel)
    front.finished(front.execute(WORK))
    front.open_subshell()
    return front


def end(lab, *numbers: int) -> None:
    for n in numbers:
        lab.log.with_name(f"{lab.log.name}.{n}").touch()


def test_while_a_cell_computes_the_panel_goes_on(lab, front):
    front.finished(front.execute("xp"))
    assert [sorted(display) for display in front.displays] == [
        ["application/vnd.jupyter.widget-view+json", "text/html"],
        ["text/html", "text/plain"],
    ]
    first, second, third = front.ids()
    cell = front.execute(SPIN)
    front.listen(lambda: front.states() == "rry")
    front.ask("watch", view="v", log=first, lines=2, detail=second, curves=[first, third])
    log = front.listen(lambda: [m for m in front.of("log") if "line 2" in m["text"]])[-1]
    assert (log["job"], log["text"], log["more"]) == (first, "line 1\nline 2", True)
    (detail,) = front.listen(lambda: front.of("detail"))
    assert detail["tags"] == [["n", "1"]]
    assert detail["config"]["params"][0]["text"] == "1"
    curves = front.listen(lambda: [m for m in front.of("curves") if m["curves"]])[-1]["curves"]
    assert [(c["key"], c["metric"], c["points"]) for c in curves] == [
        (first, "loss", [[0, 1.5], [1, 0.5]])
    ]
    used = front.listen(lambda: [m["u"] for m in front.of("d") if "u" in m])[-1]
    assert set(used) <= {"0", "1"}
    assert all(cpu >= 0 and memory > 1 for cpu, memory in used.values())
    assert front.click("cancel", [third])["ok"]
    front.listen(lambda: front.states() == "rre")
    assert cell not in front.idle
    end(lab, 0)
    front.listen(lambda: front.states() == "dre")
    end(lab, 1)
    front.finished(cell)
    assert front.gaps == 0
    assert front.streams == []


def test_clicks_in_a_wait_and_retry(lab, front):
    cell = front.execute("xp.wait()")
    front.listen(lambda: front.states() == "rry")
    assert front.click("cancel", front.ids()[1:])["ok"]
    front.listen(lambda: front.states() == "ree")
    end(lab, 0, 1, 2)
    front.finished(cell)
    assert front.states() == "dee"
    assert front.snapshot["seq"] == front.seq
    assert front.updates[-1]["text/plain"].startswith("live: 3 jobs (1 done, 2 error)")
    assert front.click("retry", front.ids())["ok"]
    front.listen(lambda: front.states() == "ddd")
    assert front.rows[1][6] == 2  # the second attempt
    late = front.ask("retry", jobs=front.ids(), at=time.time() - 6)
    assert (late["ok"], late["note"]) == (False, "came too late: click again")


def test_graph_table_and_differences(lab, front):
    end(lab, 0, 1, 2)
    front.finished(front.execute("xp.wait()"))
    front.ask("watch", view="v", graph="job", table={"over": None})
    graph = front.listen(lambda: front.of("graph"))[0]["graph"]
    assert sorted(node["key"] for node in graph["nodes"]) == sorted(front.ids())
    table = front.listen(lambda: front.of("table"))[0]["table"]
    assert table["keys"] == front.ids()
    assert front.ask("diff", jobs=front.ids()[:2])["ok"]
    (diff,) = [m["diff"] for m in front.of("diff")]
    assert [(row["path"], row["left"], row["right"]) for row in diff["rows"]] == [("n", "0", "1")]
    assert not front.ask("diff", jobs=["nothing", "else"])["ok"]


def test_nonsense_changes_nothing(lab, front):
    front.finished(front.execute("xp"))
    front.listen(lambda: front.states() == "rry")
    for content in [{"do": "rm"}, {"do": "cancel", "id": 1}, [], 1, {"do": "cancel", "jobs": "*"}]:
        front.send(content)
    front.client.shell_channel.send(
        front.client.session.msg("comm_msg", {"comm_id": front.comm, "data": {"method": "custom"}})
    )
    assert front.ask("ping")["ok"]
    assert len(front.of("ack")) == 1
    assert front.states() == "rry"
    assert front.streams == []
    end(lab, 0, 1, 2)


def test_a_page_that_comes_later_gets_what_there_is(lab, front):
    front.finished(front.execute("xp"))
    end(lab, 0, 1, 2)
    front.listen(lambda: front.states() == "ddd")
    late = Front(front.kernel)
    late.comm, late.displays = front.comm, front.displays
    session = late.client.session
    data = {"method": "request_state"}
    late.client.shell_channel.send(session.msg("comm_msg", {"comm_id": late.comm, "data": data}))
    late.listen(lambda: late.states() == "ddd")
    assert late.ask("watch", view="late")["ok"]
    greetings = [message for message in late.of("d") if message["prev"] == message["seq"]]
    assert [greeting["seq"] for greeting in greetings] == [late.seq]


def test_a_form_is_edited_submitted_and_followed(lab, front):
    front.finished(front.execute("task = Work.C(n=7)\nform = widget(task)\nform"))
    view = front.state["view"]
    assert (view["editable"], view["fate_kind"], view["experiment"]) == (True, "new", "live")
    before = view["config"]["identifier"]
    assert front.ask("set", path="n", value="seven")["ok"]
    assert "int wanted" in front.state["view"]["config"]["params"][0]["error"]
    refused = front.ask("submit")
    assert (refused["ok"], refused["note"]) == (False, "n: to be put right first")
    front.ask("set", path="n", value="1")
    view = front.state["view"]
    assert view["config"]["identifier"] != before
    assert view["fate_kind"] in ("running", "waiting")
    front.ask("set", path="n", value="8")
    assert front.ask("submit")["ok"]
    assert not front.state["view"]["editable"]
    end(lab, 0, 1, 2, 8)
    front.listen(lambda: front.state["view"]["fate_kind"] == "computed")
    assert front.ask("set", path="n", value="9")["note"]
    front.ask("reset")
    view = front.state["view"]
    assert (view["editable"], view["config"]["identifier"]) == (True, before)
    assert front.kernel.value("[form.config.n, task.n]") == [7, 7]


def test_a_form_of_a_cell_that_runs_again_is_closed(lab, front):
    content = {"code": "Work.C(n=7)", "silent": False, "store_history": True}
    for _ in range(2):
        message = front.client.session.msg(
            "execute_request", content, metadata={"cellId": "cell-of-the-form"}
        )
        known = front.comm
        front.client.shell_channel.send(message)
        front.finished(message["header"]["msg_id"])
        assert front.comm != known
    widgets = "[w for w in __import__('ipywidgets').Widget.get_manager_state()['state'].values()]"
    kinds = front.kernel.value(f"[w['model_module'] for w in {widgets}]")
    assert kinds.count("anywidget") == 1


def test_a_table_fills_in(lab, front):
    front.finished(front.execute("xp.table('result')"))
    assert "done" not in front.displays[-1]["text/plain"]
    end(lab, 0, 1, 2)
    front.listen(lambda: front.updates and front.updates[-1]["text/plain"].count("done") == 3)
