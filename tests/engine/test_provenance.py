"""What is kept of a run holds no secrets, and says where it came from."""

from __future__ import annotations

import json
import subprocess

import pytest

from xpm_nb.core.masks import mask
from xpm_nb.engine import callbacks
from xpm_nb.engine.provenance import Run, commit, environment
from xpm_nb.store import files, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import RunJob

SECRETS = [
    "API_KEY = 'canary'",
    'api_key="canary"',
    "password: str = 'canary'",
    "login('me', password='canary')",
    "config = {'db_password': 'canary', 'host': 'h'}",
    "os.environ['AWS_SECRET_ACCESS_KEY'] = 'canary'",
    'HF_TOKEN = f"canary"',
    "secret = '''can\ncanary'''",
    'passphrase = "can\\"canary"',
    "%env GITHUB_TOKEN=canary",
    "  !export SLACK_SECRET=canary && run",
    "url = 'https://user:canary@host/x'",
    "!git clone https://canary@github.com/a/b",
    "wandb_key = 'canary'",
    "aws_access_key_id = 'canary'",
    "pwd = 'canary'",
    "password = (\n    'canary'\n)",
    "password = 'my' + 'canary'",
    "xp.setenv('HF_TOKEN', 'canary')",
    "os.environ.setdefault('SECRET', 'canary')",
    "client.set_token('canary')",
    "headers = {'Authorization': 'Bearer canary12'}",
    "!curl -H 'Authorization: Bearer canary12' x",
    "x = 'hf_canarycanarycanary'",
]
HARMLESS = [
    "tokenizer = 'bert'",
    "x = 'a value'",
    "max_tokens = 5",
    "token = get_token()",
    "compass = 'north'",
    "url = 'https://host/x@y'",
    "print('password is', 3)",
    "gpu = xp.token('gpu', 2)",
    "task.tag('key', 'value')",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_masked(text):
    assert "canary" not in mask(f"a = 1\n{text}\nb = 'kept'")
    assert mask(f"a = 1\n{text}\nb = 'kept'").endswith("b = 'kept'")


@pytest.mark.parametrize(
    "line", ["export TOKEN=canary", "API_KEY=canary run", "run --secret=canary"]
)
def test_secrets_of_other_languages_are_masked(line):
    assert mask(f"%%bash\nx=1\n{line}\necho done") == (
        f"%%bash\nx=1\n{line.replace('canary', '***')}\necho done"
    )


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_left_alone(text):
    assert mask(text) == text


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_the_commit_without_credentials(tmp_path):
    assert commit(str(tmp_path)) is None or (tmp_path / ".git").exists() is False
    git(tmp_path, "init", "-q")
    assert commit(str(tmp_path)) is None
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "first")
    git(tmp_path, "remote", "add", "origin", "https://user:canary@host/x.git")
    clean = commit(str(tmp_path))
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert commit(str(tmp_path)) == clean | {"dirty": True}
    assert "canary" not in json.dumps(commit(str(tmp_path)))


@pytest.mark.slow
def test_the_environment_names_versions_and_no_variables(monkeypatch):
    monkeypatch.setenv("MY_SECRET", "canary")
    known = environment("tour.ipynb")
    assert known["packages"]["hypothesis"]
    assert {"python", "host", "user", "git", "platform"} <= set(known)
    assert "canary" not in json.dumps(known)


@pytest.mark.slow
def test_a_run_has_its_directory_from_the_first_job_on(tmp_path):
    workspace = Workspace(tmp_path).create()
    cells = [(1, "x = 1")]
    run = Run(workspace.experiment("e"), keep=True, cells=lambda: cells, notebook=lambda: "")
    run.keep_cells()
    assert workspace.experiment("e").runs() == []
    run.add(RunJob("jobs/t/" + "0" * 64, "T"))
    cells.append((2, "y = 2"))
    run.keep_cells()
    assert callbacks.current().flush(30, chores=True)
    (paths,) = workspace.experiment("e").runs()
    assert len(records.read_run_jobs(paths)) == 1
    assert len(files.read_object(paths.notebook)["cells"]) == 2
    cells.append((3, "z = 3"))
    run.keep_now()
    assert len(files.read_object(paths.notebook)["cells"]) == 3
    second = Run(workspace.experiment("e"), keep=False, cells=lambda: None, notebook=lambda: "")
    second.add(RunJob("jobs/t/" + "0" * 64, "T"))
    names = [found.run_id for found in workspace.experiment("e").runs()]
    assert names == [run.paths.run_id, second.paths.run_id], "the latest is the last"
