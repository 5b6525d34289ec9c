"""The errors about API keys: the words of each, and its fields."""

from collections.abc import Callable

import pytest

from taskmill.domain.api_key_errors import (
    ApiKeyLimitReached,
    ApiKeyNotFound,
    NotAuthenticated,
    ScopeMissing,
)
from taskmill.domain.errors import TaskmillError
from taskmill.domain.grants import Scope


# They are made in the test: what made them wrong at import would go unnoticed.
@pytest.mark.parametrize(
    ("make", "words", "fields"),
    [
        (lambda: ApiKeyNotFound("k"), "there is no API key 'k'", {"wanted": "k"}),
        (
            lambda: ApiKeyNotFound("k", state="live"),
            "there is no live API key 'k'",
            {"wanted": "k"},
        ),
        (
            lambda: ApiKeyLimitReached("k", ("a", "b"), "revoke one"),
            "'k' has live API keys already (a, b): revoke one",
            {"name": "k", "ids": ("a", "b")},
        ),
        (
            NotAuthenticated,
            "a valid API key is needed, as Authorization: Bearer tm_..., or in TASKMILL_API_KEY for commands",
            {},
        ),
        (
            lambda: ScopeMissing(Scope.TASKS_READ),
            "the API key does not grant tasks:read",
            {"scope": Scope.TASKS_READ},
        ),
        (
            lambda: ScopeMissing(Scope.TASKS_READ, "queue mail"),
            "the API key does not grant tasks:read for queue mail",
            {"scope": Scope.TASKS_READ},
        ),
    ],
)
def test_an_error_has_words_for_people_and_fields_for_programs(
    make: Callable[[], TaskmillError], words: str, fields: dict[str, object]
) -> None:
    error = make()
    assert str(error) == words
    assert vars(error) == fields
