"""What is saved in a folder can be given away, and loaded without executing what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store import saved_things as things
from xpm_nb.core import config
from xpm_nb.core.config import tag
from xpm_nb.errors import (
    ConfigError,
    ConfigTypeError,
    MissingClassError,
    RecordError,
    WorkspaceError,
)
from xpm_nb.store import saved
from xpm_nb.store.layout import SavedPaths, Workspace
from xpm_nb.store.saved import (
    deserialize,
    from_state_dict,
    from_task_dir,
    load,
    save,
    serialize,
    state_dict,
)

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.txt").write_text("words")
    (tmp_path / "in" / "folder").mkdir()
    (tmp_path / "in" / "folder" / "x").write_text("inside")
    words = things.Words.C(data=tmp_path / "in" / "a b.txt", color=tag(things.Color.BLUE))
    other = things.Words.C(data=tmp_path / "in" / "folder")
    return things.Model.C(words=words, same=words, more={"k": [other, words]})


def definition(folder):
    return json.loads((folder / "experimaestro.json").read_text())


def test_a_folder_with_files_that_is_moved(model, tmp_path):
    save(model, tmp_path / "out")
    assert model.words.data == tmp_path / "in" / "a b.txt"
    shutil.rmtree(tmp_path / "in")
    shutil.move(tmp_path / "out", tmp_path / "given away")
    back = load(tmp_path / "given away")
    assert config.identify(back, None) == config.identify(model, None)
    assert back.words is back.same is back.more["k"][1]
    assert back.words.color is things.Color.BLUE
    assert back.tags() == {"color": "Color.BLUE"} or back.tags() == model.tags()
    assert back.words.data.read_text() == "words"
    assert back.words.data.name == "a b.txt"
    assert (back.more["k"][0].data / "x").read_text() == "inside"
    assert str(tmp_path) not in (tmp_path / "given away" / "experimaestro.json").read_text()


def test_it_can_be_read_by_hand(model, tmp_path):
    save(model, tmp_path / "out")
    lines = (tmp_path / "out" / "experimaestro.json").read_text().splitlines()
    assert sum('"type": "Words"' in line for line in lines) == 2
    data = definition(tmp_path / "out")["objects"][0]["fields"]["data"]
    assert data == {
        "type": "path.serialized", "value": "files-1/1.data/a b.txt", "is_folder": False,
    }  # fmt: skip


def test_values_that_hold_configurations_and_instances_that_share(model, tmp_path):
    save([model, {"w": model.words}, 3], str(tmp_path / "out"), "mine.json")
    one, table, three = load(tmp_path / "out", definition_filename="mine.json")
    assert (one.words is table["w"], three) == (True, 3)
    one, table, three = load(tmp_path / "out", True, definition_filename="mine.json")
    assert type(one) is things.Model
    assert one.words is one.same is table["w"]
    assert table["w"].text() == "words"
    assert three == 3


def test_saving_again_replaces_what_was_there(model, tmp_path):
    out = tmp_path / "out"
    save(model, out)
    (out / "notes.txt").write_text("mine")
    save(load(out), out)  # whose files lie in the folder itself
    back = load(out)
    assert back.words.data.read_text() == "words"
    assert sorted(p.name for p in out.iterdir()) == ["experimaestro.json", "files-2", "notes.txt"]


def test_a_saving_that_fails_leaves_what_was_there(model, tmp_path, monkeypatch):
    out = tmp_path / "out"
    save(model, out)
    gone = things.Words.C(data=tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"Words\.data: .*gone is not there"):
        save([model.words, gone], out)
    assert load(out).words.data.read_text() == "words"
    assert [p.name for p in SavedPaths(out).folders()] == ["files-1"]
    with pytest.raises(ConfigError, match="inside of it"):
        save(things.Words.C(data=tmp_path / "in"), tmp_path / "in" / "out")
    (tmp_path / "a file").touch()
    with pytest.raises(WorkspaceError, match="cannot save in"):
        save(model, tmp_path / "a file")


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "good").symlink_to(tmp_path)
    (folder / "deep" / "bad").symlink_to("gone")
    with pytest.raises(
        ConfigError, match=r"data: .*deep/bad in it is a link to gone, which is not"
    ):
        save(things.Words.C(data=folder), tmp_path / "out")


def test_init_tasks_are_executed_on_the_shared_instance(model, tmp_path):
    reads = [things.Read.C(model=model), things.Read.C(model=model, times=2)]
    serialize(model, tmp_path / "out", init_tasks=reads)
    back, tasks = deserialize(tmp_path / "out")
    assert config.identify(back, None) == config.identify(model, None)
    assert [task.times for task in tasks] == [1, 2]
    assert tasks[0].model is back
    instance = deserialize(tmp_path / "out", as_instance=True)
    assert instance.words.loaded == "words" * 3
    assert load(tmp_path / "out", True)[0].words.loaded == ""
    with pytest.raises(ConfigError, match="Model is no init task"):
        serialize(model, tmp_path / "out", init_tasks=[model])
    save(model, tmp_path / "plain")
    assert deserialize(tmp_path / "plain")[1] == []


def test_states(model, tmp_path):
    state = json.loads(json.dumps(state_dict(None, [model, 1])))
    assert state == json.loads(json.dumps(state_dict([model, 1])))
    back, _ = from_state_dict(state)
    assert back.words.data == model.words.data
    with pytest.raises(ConfigTypeError, match=r"the dictionary that state_dict\(\) gave, not 5"):
        from_state_dict(5)
    instance, _ = from_state_dict(state, as_instance=True)
    assert instance.words.text() == "words"
    save(model, tmp_path / "out")
    state = definition(tmp_path / "out")
    assert from_state_dict(state, tmp_path / "out").words.data.read_text() == "words"
    with pytest.raises(RecordError, match="give the path"):
        from_state_dict(state)


def test_a_function_that_finds_files(model, tmp_path):
    save(model, tmp_path / "out")
    asked = []

    def find(name):
        asked.append(name)
        return tmp_path / "out" / name

    assert load(find).words.data.read_text() == "words"
    assert {"experimaestro.json", "files-1/1.data/a b.txt"} <= set(asked)


def without(folder, **changes):
    """Have the definition name other classes."""
    file = folder / "experimaestro.json"
    text = file.read_text()
    for old, new in changes.items():
        text = text.replace(f'"type": "{old}"', f'"type": "{new}"')
        text = text.replace(f'"enum": "{old}"', f'"enum": "{new}"')
    file.write_text(text)


def test_missing_classes_are_all_named_and_the_rest_can_be_looked_at(model, tmp_path):
    out = tmp_path / "out"
    before = config.identify(model, None)
    save(model, out)
    without(out, Words="Gone", Color="Colour")
    with pytest.raises(MissingClassError, match=r"saved_things\.Gone .*missing_ok=True") as found:
        load(out)
    module = things.__name__
    assert set(found.value.classes) == {f"{module}.Gone", f"{module}.Colour"}
    back = load(out, missing_ok=True)
    assert config.identify(back, None) == before
    assert back.words.color.name == "BLUE"
    assert back.words.data.read_text() == "words"
    with pytest.raises(MissingClassError, match="Gone"):
        load(out, as_instance=True, missing_ok=True)
    with pytest.raises(MissingClassError, match="Gone"):
        back.instance()
    save(back, tmp_path / "again")
    without(tmp_path / "again", Gone="Words", Colour="Color")
    assert load(tmp_path / "again").words.data.read_text() == "words"


@pytest.mark.parametrize(
    ("module", "name", "why"),
    [
        ("no.such.module", "Model", "No module named"),
        ("json", "loads", "no class"),
        ("json", "JSONDecoder", "no class"),
        (things.__name__, "Words.text", "no class"),
        (things.__name__, "REPOSITORY", "no class"),
        ("__main__", "Words", "no cell defines it"),
        ("tests.store.raises_when_imported", "Words", "ZeroDivisionError"),
    ],
)
def test_only_classes_of_configurations_are_found(module, name, why):
    with pytest.raises(LookupError, match=why):
        saved.find_class(module, name, config.Config)


def test_what_a_file_names_is_imported_and_nothing_else_is_executed(model, tmp_path, monkeypatch):
    save(model, tmp_path / "out")
    canary = tmp_path / "canary"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(canary)!r}, 'w')\n")
    document = definition(tmp_path / "out")
    for item in document["objects"]:
        item["file"] = str(evil)  # experimaestro would execute it
        item["type"] = "system"
        item["module"] = "os"
        item["fields"]["x"] = {"type": "enum", "module": "os", "enum": "system", "value": "x"}
    with pytest.raises(MissingClassError, match=r"os\.system"):
        from_state_dict(document, tmp_path)
    from_state_dict(document, tmp_path, missing_ok=True)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "damaged"),
        ('{"objects": [', "damaged"),
        ("[]", "object is expected"),
        ('{"objects": 3, "data": 3}', "list of 'objects'"),
        ('{"objects": []}', "no 'data'"),
        ('{"objects": [], "data": {"type": "python", "value": 3}}', "cannot be loaded"),
        ('{"format": 99}', "upgrade"),
        ('{"version": 99, "data": 1}', "upgrade"),
        ('{"objects": [], "data": {"type": "enum"}}', "damaged: KeyError"),
    ],
)
def test_a_damaged_definition(tmp_path, text, why):
    (tmp_path / "experimaestro.json").write_text(text)
    with pytest.raises(RecordError, match=why) as found:
        load(tmp_path)
    assert "experimaestro.json" in str(found.value)


def test_there_is_nothing(tmp_path):
    with pytest.raises(RecordError, match="nothing was saved in"):
        load(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="no job's directory"):
        from_task_dir(tmp_path)
    with pytest.raises(ConfigError, match="definition"):
        save(3, tmp_path, "../x")
    with pytest.raises((ConfigTypeError, ConfigError)):
        serialize(3, tmp_path, init_tasks=[3])


OLD = {
    "workspace": "/somewhere/else/ws", "tags": {}, "version": 2,
    "objects": [
        {"id": 140, "module": things.__name__, "type": "Words",
         "typename": f"{things.__name__}.Words", "identifier": "ab" * 32,
         "file": "/somewhere/else/things.py", "fields": {
             "data": {"type": "path", "value": "/somewhere/else/ws/jobs/t/x/out.txt"},
             "color": {"type": "enum", "module": things.__name__, "enum": "Color",
                       "value": "BLUE"}}},
        {"id": 150, "module": things.__name__, "type": "Model",
         "typename": f"{things.__name__}.Model", "identifier": "cd" * 32, "task": 170,
         "fields": {"words": {"type": "python", "value": 140},
                    "same": {"type": "python", "value": 140}, "more": {}}},
        {"id": 170, "module": things.__name__, "type": "Learn",
         "typename": f"{things.__name__}.Learn", "identifier": "ef" * 32, "task": 170,
         "fields": {"model": {"type": "python", "value": 150}}},
    ],
}  # fmt: skip


def test_parameters_as_experimaestro_1_wrote_them(tmp_path):
    paths = Workspace(tmp_path / "ws").create().job("t.learn", "ef" * 32).create()
    paths.params.write_text(json.dumps(OLD))
    task = from_task_dir(paths.path)
    assert task.__identifier__().hex() == "ef" * 32
    assert task.model.words.data == tmp_path / "ws" / "jobs/t/x/out.txt"
    assert task.model.words is task.model.same
    instance = from_task_dir(str(paths.path), as_instance=True)
    assert instance.__taskdir__ == paths.path
    assert instance.model.words.color is things.Color.BLUE
    elsewhere = shutil.copytree(paths.path, tmp_path / "alone")
    assert from_task_dir(elsewhere).model.words.data == Path("/somewhere/else/ws/jobs/t/x/out.txt")
    older = json.loads(json.dumps(OLD))  # than a parameter of the class
    del older["objects"][0]["fields"]["color"], older["objects"][1]["fields"]["more"]
    paths.params.write_text(json.dumps(older))
    task = from_task_dir(paths.path)
    assert (task.model.words.color, task.model.more) == (things.Color.RED, {})
    assert task.__identifier__().hex() == "ef" * 32
    without_class = json.loads(json.dumps(OLD))
    without_class["objects"][0]["type"] = "Gone"
    paths.params.write_text(json.dumps(without_class))
    with pytest.raises(MissingClassError, match="Gone"):
        from_task_dir(paths.path)
    assert from_task_dir(paths.path, missing_ok=True).model.words.data.name == "out.txt"


@pytest.mark.slow
def test_a_long_chain_goes_to_disk_and_back(tmp_path):
    class Link(config.Config):
        next: config.Any = None

    from tests.core.test_graph import Link as Deep  # of a module that can be imported

    made = Deep.C()
    for number in range(5000):
        made = Deep.C(next=made, n=number)
    save(made, tmp_path / "out")
    back = load(tmp_path / "out")
    assert back == made.seal()
    instance, depth = load(tmp_path / "out", as_instance=True), 0
    while instance.next is not None:
        instance, depth = instance.next, depth + 1
    assert depth == 5000
    assert len(from_state_dict(state_dict(made), missing_ok=True).__identifier__().hex()) == 64


@pytest.mark.slow
def test_classes_of_a_script(tmp_path):
    """A class of `__main__` is found where it is defined, with or without an experiment."""
    head = (
        "import sys\nfrom xpm_nb import Config, Param, Task, load, save, start, MissingClassError\n"
    )
    made = "class Mine(Config):\n    n: Param[int]\nclass Run(Task):\n    m: Param[Mine]\n    def execute(self): pass\n"
    saving = "save(Mine.C(n=3), sys.argv[1] + '/plain')\nxp = start('e', workspace=sys.argv[1] + '/ws')\nsave(Mine.C(n=3), sys.argv[1] + '/named')\nprint(Run.C(m=Mine.C(n=3)).__identifier__())\n"
    loading = "xp = start('e', workspace=sys.argv[1] + '/ws')\nfor n in ('plain', 'named'): print(Run.C(m=load(sys.argv[1] + '/' + n)).__identifier__())\n"
    lost = "try:\n    load(sys.argv[1] + '/named')\nexcept MissingClassError as error: print(error)\nprint(load(sys.argv[1] + '/named', missing_ok=True))\n"

    def run(code):
        script = tmp_path / "script.py"
        script.write_text(code)
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path)], cwd=tmp_path, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[:-1]

    (identifier,) = run(head + made + saving)
    assert run(head + made + loading) == [identifier, identifier]
    said = run(head + lost)
    assert "__main__.Mine (no cell defines it)" in said[0]
    assert said[1].startswith("Mine(n=3)")
