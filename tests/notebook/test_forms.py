"""A config in a form: what is shown, what an edit does, and that the original stays as it is."""

from __future__ import annotations

import threading
from enum import Enum
from pathlib import Path

import comm
import pytest
from comm.base_comm import BaseComm

from xpm_nb import Config, Constant, Meta, Param, Task, setmeta, widget
from xpm_nb.core import config as configs
from xpm_nb.errors import ConfigTypeError
from xpm_nb.notebook import widgets
from xpm_nb.notebook.forms import Form


class Kind(Enum):
    FLAT = 1
    DEEP = 2


class Model(Config):
    depth: Param[int] = 3
    kind: Param[Kind] = Kind.FLAT


class Learn(Task):
    lr: Param[float]
    model: Param[Model]
    spare: Param[Model | None] = None
    epochs: Param[int] = 5
    verbose: Meta[bool] = False
    version: Constant[int] = 2

    def execute(self):
        return self.lr


class Wire(BaseComm):
    sent: list[dict]

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.__dict__.setdefault("sent", []).append(data)


@pytest.fixture
def made(monkeypatch):
    """What makes a form without a kernel, whose messages are kept."""
    monkeypatch.setattr(widgets, "packed", lambda *names: "export default {}")
    monkeypatch.setattr(comm, "create_comm", lambda **options: Wire(**options))
    woken = []

    def make(config) -> Form:
        form = Form(config, lambda: woken.append(1), threading.RLock())
        form.woken = woken
        return form

    return make


def ask(form: Form, **message) -> dict | None:
    """Send a message, and give its answer."""
    form.hear({"id": 1, **message})
    form.answer()
    acks = [d["content"] for d in form.widget.comm.sent if d.get("method") == "custom"]
    return acks[-1] if acks else None


def rows(view: dict, before: str = "") -> dict[str, dict]:
    found = {}
    for param in view["params"]:
        found[before + param["name"]] = param
        if param["config"] is not None:
            found |= rows(param["config"], f"{before}{param['name']}.")
    return found


def learn(**more):
    return Learn.C(lr=0.1, model=Model.C(), **more)


def test_what_is_shown(made):
    view = made(learn()).widget.view
    assert (view["editable"], view["task"], view["experiment"]) == (True, True, "")
    assert (view["fate_kind"], view["fate"][:22]) == ("none", "no experiment is open:")
    shown = rows(view["config"])
    assert {path: row["input"] for path, row in shown.items() if row["input"]} == {
        "lr": "float",
        "model.depth": "int",
        "model.kind": "choice",
        "epochs": "int",
        "verbose": "bool",
    }
    assert shown["model.kind"]["choices"] == ["FLAT", "DEEP"]


def test_what_goes_into_the_identifier(made):
    explain = made(learn(spare=setmeta(Model.C(), True))).widget.view["explain"]
    assert set(explain["in"]) == {"lr", "model", "version"}
    assert dict(explain["out"]) == {
        "spare": "set aside as meta",
        "epochs": "at its default",
        "verbose": "meta",
    }


def test_an_edit_changes_the_copy_alone(made):
    original = learn()
    form = made(original)
    assert ask(form, do="set", path="model.depth", value="7") == {
        "t": "ack",
        "id": 1,
        "ok": True,
        "note": "",
    }
    assert (form.widget.config.model.depth, original.model.depth) == (7, 3)
    assert rows(form.widget.view["config"])["model.depth"]["raw"] == "7"
    assert isinstance(form.widget.config, Learn)


@pytest.mark.parametrize(
    ("path", "value"), [("lr", "fast"), ("model.kind", "ROUND"), ("epochs", "1.5"), ("lr", "")]
)
def test_a_mistake_stands_beside_its_field(made, path, value):
    form = made(learn())
    before = form.widget.view["config"]
    assert ask(form, do="set", path=path, value=value)["ok"]
    shown = rows(form.widget.view["config"])
    assert shown[path]["error"]
    assert not any(row["error"] for other, row in shown.items() if other != path)
    assert form.widget.view["config"]["identifier"] == before["identifier"]
    refused = ask(form, do="submit")
    assert (refused["ok"], refused["note"]) == (
        False,
        'no experiment is open: start("name") opens one',
    )
    ask(form, do="set", path=path, value=rows(before)[path]["raw"])
    assert form.widget.view["config"] == before


@pytest.mark.parametrize(
    "path", ["nothing", "model", "model.nothing", "", "version", "a.b.c", "lr.x"]
)
def test_an_edit_of_what_is_no_field_changes_nothing(made, path):
    form = made(learn())
    before = form.widget.view["config"]["identifier"]
    answer = ask(form, do="set", path=path, value="1")
    view = form.widget.view
    assert view["config"]["identifier"] == before
    assert not any(row["error"] for row in rows(view["config"]).values())
    assert answer["ok"] is False
    assert answer["note"]


def test_reset_goes_back(made):
    form = made(learn())
    before = form.widget.view
    ask(form, do="set", path="lr", value="0.5")
    ask(form, do="set", path="epochs", value="many")
    assert form.widget.view != before
    ask(form, do="reset")
    assert form.widget.view == before
    assert form.widget.config.lr == 0.1


def test_what_is_sealed_is_shown_as_it_is(made):
    sealed = learn()
    configs.seal(sealed)
    form = made(sealed)
    assert form.widget.config is sealed
    assert form.widget.view["editable"] is False
    answer = ask(form, do="set", path="lr", value="0.5")
    assert answer["ok"] is False
    assert sealed.lr == 0.1


def test_a_config_that_is_no_task_cannot_be_submitted(made):
    form = made(Model.C())
    assert form.widget.view["task"] is False
    assert ask(form, do="submit")["note"] == "this is no task: it cannot be run"


def test_a_late_click_submits_nothing(made):
    form = made(learn())
    assert ask(form, do="submit", at=1.0)["note"] == "came too late: click again"


@pytest.mark.parametrize("message", [{"do": "cancel"}, {"do": "set", "path": "lr"}, {"do": 1}])
def test_what_is_no_message_is_dropped(made, message):
    form = made(learn())
    assert ask(form, **message) is None
    assert (form.dropped, form.woken) == (1, [])


def test_the_public_door(made, monkeypatch):
    with pytest.raises(ConfigTypeError, match="an experiment or a config"):
        widget(3)
    with pytest.raises(ConfigTypeError, match="an experiment or a config"):
        widget(Path())


def test_what_is_wrong_is_said_in_few_words(made):
    form = made(learn())
    ask(form, do="set", path="epochs", value="abc")
    assert rows(form.widget.view["config"])["epochs"]["error"] == "int wanted, not 'abc'"
    assert repr(form.widget) == repr(form.config)


class Read(Task):
    place: Meta[Path] = Path("/data")

    def execute(self):
        return None


def test_a_field_that_may_not_be_empty_says_what_it_wants(made):
    form = made(Read.C())
    ask(form, do="set", path="place", value="")
    assert rows(form.widget.view["config"])["place"]["error"] == "Path wanted, not nothing"
