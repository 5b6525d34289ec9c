"""The form of signing secrets."""

from base64 import b64encode

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.signing import is_secret, secret_of


@given(st.binary(min_size=24, max_size=64))
def test_what_is_made_of_24_to_64_bytes_is_a_secret(randomness: bytes) -> None:
    secret = secret_of(randomness)
    assert secret == f"whsec_{b64encode(randomness).decode()}"
    assert is_secret(secret)


def test_the_shortest_and_the_longest_secret_are_in_base64() -> None:
    assert secret_of(b"abc" * 8) == f"whsec_{'YWJj' * 8}"
    assert is_secret(secret_of(b"x" * 24))
    assert is_secret(secret_of(b"x" * 64))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        secret_of(b"x" * 23),
        secret_of(b"x" * 65),
        secret_of(b"x" * 24).removeprefix("whsec_"),
        secret_of(b"x" * 24).replace("whsec_", "WHSEC_"),
        f"whsec_{secret_of(b'x' * 24)}",
        f"{secret_of(b'x' * 24)}!",
        f"{secret_of(b'x' * 24)}é",
    ],
)
def test_everything_else_is_none(text: str) -> None:
    assert not is_secret(text)
