"""Values whose names look like secrets, taken out of texts that are kept.

The job's process imports this module when a task has failed.
"""

from __future__ import annotations

import re

_SECRET = (
    r"(?:(?<![a-z])pass(?![a-z])|passw(?:or)?d|passphrase|(?<![a-z])pwd(?![a-z])|secret"
    r"|token(?!iz)|(?:api|private|access|auth|wandb)_?key|credential)"
)
_STRING = (
    r"[rbfu]{0,2}"
    r"(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
)
_STRINGS = rf"{_STRING}(?:\s*\+?\s*{_STRING})*"  # what is put together from several
# password = "…", token: str = ("…"), login(password="…"), {"api_key": "…"}, environ["SECRET"] = "…"
_ASSIGNED = re.compile(
    rf"(\b\w*{_SECRET}s?\w*[\"'\]]*\s*(?::\s*[\w.\[\]|]+\s*)?[=:]\s*\(*\s*){_STRINGS}",
    re.IGNORECASE | re.DOTALL,
)
# setenv("HF_TOKEN", "…"), set_token("…")
_GIVEN = re.compile(
    rf"([\"'][\w.-]*{_SECRET}\w*[\"']\s*,\s*|\bset\w*{_SECRET}\w*\(\s*){_STRINGS}",
    re.IGNORECASE | re.DOTALL,
)
_BASH = re.compile(rf"(?im)^(.*?\b\w*{_SECRET}\w*=)(\S+)")
_BEARER = re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
# What some services give out, which can be told by its beginning.
_KNOWN = re.compile(r"\b(sk-|gh[pousr]_|github_pat_|hf_|glpat-|xox[abprs]-|AKIA)[A-Za-z0-9_-]{12,}")
_SHELL = re.compile(rf"(?im)^(\s*[%!].*?\b\w*{_SECRET}\w*(?:=|\s+))(\S+)")
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@", re.IGNORECASE)
_NAME = re.compile(_SECRET, re.IGNORECASE)


def mask(text: str) -> str:
    """Take values out of a text whose names look like secrets, and the logins out of addresses.

    >>> mask('API_KEY = "abc"; x = 1')
    'API_KEY = "***"; x = 1'
    """
    if text.lstrip().startswith("%%"):  # a cell that is no Python, maybe
        text = _BASH.sub(r"\1***", text)
    text = _ASSIGNED.sub(r'\1"***"', text)
    text = _GIVEN.sub(r'\1"***"', text)
    text = _SHELL.sub(r"\1***", text)
    text = _KNOWN.sub(r"\1***", _BEARER.sub(r"\1***", text))
    return _URL.sub(r"\1***@", text)


def is_secret(name: str) -> bool:
    """Tell whether a name looks like that of a secret.

    >>> is_secret("API_KEY"), is_secret("tokenizer")
    (True, False)
    """
    return _NAME.search(name) is not None


def holds_secret(value: str) -> bool:
    """Tell by the value itself whether it gives access: the keys of some services, an URL's login.

    >>> holds_secret("postgres://me:hush@db/x"), holds_secret("<eos>")
    (True, False)
    """
    return _KNOWN.search(value) is not None or _URL.search(value) is not None
