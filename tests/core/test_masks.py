from __future__ import annotations

import pytest

from xpm_nb.core.masks import is_secret, mask


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
