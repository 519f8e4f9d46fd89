"""The JavaScript that widgets carry, and what they let in."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import threading
from collections import Counter

import pytest

from xpm_nb.notebook import widgets

BUNDLES = {"panel": widgets.PANEL, "form": widgets.FORM}
EXPORT = re.compile(r"^export\s+(?:async\s+)?(?:function\*?|class|const|let)\s+(\w+)", re.M)


def sources(name: str) -> dict[str, str]:
    files = {n: widgets.STATIC / "js" / f"{n}.js" for n in BUNDLES[name]}
    return {n: file.read_text(encoding="utf-8") for n, file in files.items()}


@pytest.mark.parametrize("name", BUNDLES)
def test_modules_export_different_names(name):
    exported = Counter(word for text in sources(name).values() for word in EXPORT.findall(text))
    assert [word for word, count in exported.items() if count > 1] == []


@pytest.mark.parametrize("name", BUNDLES)
def test_modules_import_what_stands_before_them(name):
    known: set[str] = set()
    for module, text in sources(name).items():
        for names, origin in re.findall(r"import\s*\{([^}]*)\}\s*from\s*\"\./(\w+)\.js\"", text):
            wanted = {word.strip() for word in names.split(",") if word.strip()}
            assert wanted <= known, f"{module}.js takes {wanted - known} from {origin}.js"
        known |= set(EXPORT.findall(text))


@pytest.mark.parametrize("name", BUNDLES)
def test_the_joined_module_is_one(name, tmp_path):
    text = f'const sheet = "";\n{widgets.esm(*BUNDLES[name])}'
    assert text.count("export default") == 1
    assert not re.search(r"^import\b", text, re.M)
    assert not re.search(r"https?://(?!www\.w3\.org/)", text), "no network"
    if shutil.which("node"):
        file = tmp_path / "joined.mjs"
        file.write_text(text, encoding="utf-8")
        subprocess.run(["node", "--check", str(file)], check=True)
        code = "const m = await import(process.argv[1]); if (!m.default.render) throw 1"
        done = subprocess.run(
            ["node", "--input-type=module", "-e", code, str(file)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_is_the_joined_module(name):
    text = widgets.packed(BUNDLES[name], ("xpm", "panel"))
    (data,) = re.findall(r'atob\("([^"]+)"\)', text)
    sheet, _, rest = gzip.decompress(base64.b64decode(data)).decode().partition(";\n")
    assert json.loads(sheet.removeprefix("const sheet = ")) == widgets.css("xpm", "panel")
    assert rest.startswith(widgets.esm(*BUNDLES[name]))
    assert len(text) < 80_000


def test_joining(tmp_path, monkeypatch):
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text(
        "// @ts-check\n/** Doc.\n * more */\nexport const one = 1;\n"
        "const own = 'a';\nexport function twice(x) {\n  // why\n  return one + own.length + x;\n}\n"
    )
    (tmp_path / "js" / "b.js").write_text(
        'import { one,\n  twice } from "./a.js";\nconst own = 5;\n'
        "/** @type {number} */\nlet z = /** @type {any} */ (own);\n"
        "export default { render: () => twice(one) + z };\n"
    )
    (tmp_path / "js" / "bad.js").write_text('import { one as un } from "./a.js";\n')
    monkeypatch.setattr(widgets, "STATIC", tmp_path)
    widgets.esm.cache_clear()
    try:
        assert widgets.esm("a", "b") == (
            "const { one, twice } = (() => {\nconst one = 1;\nconst own = 'a';\n"
            "function twice(x) {\nreturn one + own.length + x;\n}\nreturn { one, twice };\n})();\n"
            "\nconst { default_b } = (() => {\nconst own = 5;\n"
            "let z = /** @type {any} */ (own);\n"
            "const default_b = { render: () => twice(one) + z };\nreturn { default_b };\n})();\n"
            "\nexport default dressed(default_b, sheet);\n"
        )
        with pytest.raises(ValueError, match=r"bad\.js"):
            widgets.esm("a", "bad")
    finally:
        widgets.esm.cache_clear()


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": None},
        {"content": {"data": None}},
        {"content": {"data": {"method": "update", "state": {"uid": "x", "view": {"a": 1}}}}},
        {"content": {"data": {"method": "custom"}}},
        {"content": {"data": {"method": "custom", "content": "boom"}}},
    ],
)
def test_nothing_that_comes_in_raises_or_sets(message, monkeypatch):
    monkeypatch.setattr(widgets, "packed", lambda *names: "export default {}")
    heard = []

    def hear(content):
        heard.append(content)
        raise RuntimeError(content)

    form = widgets.FormWidget("abc", hear, None, threading.RLock(), view={"config": {}})
    form._handle_msg(message)
    assert (form.uid, form.view) == ("abc", {"config": {}})
    assert heard == (["boom"] if "boom" in str(message) else [])
