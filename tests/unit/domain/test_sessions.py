"""The tokens of the dashboard's sessions."""

from hashlib import sha256

import pytest

from taskmill.domain.sessions import is_token, token_hash

TOKEN = "0aZ_-" * 8 + "abc"


def test_a_token_has_43_characters_of_base64_for_urls() -> None:
    assert is_token(TOKEN)


@pytest.mark.parametrize(
    "text", ["", TOKEN[1:], f"{TOKEN}0", f"{TOKEN}\n", f"+{TOKEN[1:]}", f"\u0661{TOKEN[1:]}"]
)
def test_nothing_else_is_a_token(text: str) -> None:
    assert not is_token(text)


def test_the_hash_of_a_token_is_stored() -> None:
    assert token_hash(TOKEN) == sha256(TOKEN.encode()).digest()
