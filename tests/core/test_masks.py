from __future__ import annotations

import pytest

from xpm_nb.core.masks import holds_secret, is_secret, mask


@pytest.mark.parametrize(
    "name", ["password", "API_KEY", "db_pass", "my_token", "CLIENT_SECRET", "credentials", "apikey"]
)
def test_names_of_secrets(name):
    assert is_secret(name)
    assert mask(f"{name} = 'canary'") == f'{name} = "***"'


@pytest.mark.parametrize("name", ["tokenizer", "bypassed", "compass", "keys", "secre"])
def test_names_that_only_sound_like_it(name):
    assert not is_secret(name)
    assert "canary" in mask(f"{name} = 'canary'")


@pytest.mark.parametrize(
    "value", ["hf_abcdefghijklmnop", "postgres://me:hush@db/x", "sk-" + "a" * 20]
)
def test_values_that_give_access(value):
    assert holds_secret(value)


@pytest.mark.parametrize(
    "value", ["<eos>", "basic knowledge of it", "https://example.org/x@y", "task-a"]
)
def test_values_that_do_not(value):
    assert not holds_secret(value)
