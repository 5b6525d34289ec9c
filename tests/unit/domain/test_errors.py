"""The tree of errors, and the message of each."""

import inspect
import re
from uuid import UUID

import pytest

from taskmill.domain import errors
from taskmill.domain.errors import (
    BadCursor,
    ConfigurationError,
    IdempotencyConflict,
    InvalidInput,
    KeyInFlight,
    MalformedJson,
    QueueLimitReached,
    QueueNotEmpty,
    QueueNotFound,
    RejectionNotFound,
    TaskmillError,
    TaskNotFound,
    TooLarge,
    TransitionRefused,
    Unavailable,
    UnservedTypeLimitReached,
    Violation,
)
from taskmill.domain.lifecycle import Status

TASK_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
TREE_LINE = re.compile(r"^    (?P<indent>[ │]*)[├└]── (?P<name>\w+)", re.MULTILINE)


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    in_tree = [match["name"] for match in TREE_LINE.finditer(errors.__doc__ or "")]
    real = [
        name
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, TaskmillError) and member is not TaskmillError
    ]
    assert sorted(in_tree) == sorted(real)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidInput.at("/name", "a string", "null"), "/name: expected a string, got null"),
        (InvalidInput.at("", "an object", "null"), "the body: expected an object, got null"),
        (MalformedJson("not JSON"), "not JSON"),
        (TooLarge(1024), "the body is larger than 1024 bytes"),
        (TaskNotFound(TASK_ID), f"there is no task {TASK_ID}"),
        (QueueNotFound("mail"), "there is no queue 'mail'"),
        (
            QueueNotEmpty("mail", waiting=2, running=1),
            "queue 'mail' is not empty: 2 of its tasks wait, and 1 run; cancel them or let them end first",
        ),
        (RejectionNotFound(TASK_ID), f"there is no rejection {TASK_ID}"),
        (
            TransitionRefused(TASK_ID, Status.SUCCEEDED, "cancel"),
            f"can't cancel task {TASK_ID}: it is succeeded",
        ),
        (
            IdempotencyConflict("k"),
            "the idempotency key 'k' was used for a request with another body",
        ),
        (KeyInFlight("k"), "a request with the idempotency key 'k' is still being answered"),
        (
            UnservedTypeLimitReached(500),
            (
                "tasks of 500 types without a contract and without a live worker wait already, and no more "
                "such types may: start a worker for the type, or register a contract"
            ),
        ),
        (QueueLimitReached(1000), "there are 1000 queues already, and no more may be made"),
        (Unavailable(1.5, "the database"), "the database is not available; try again in 1.5 s"),
        (ConfigurationError("TASKMILL_X is unknown"), "TASKMILL_X is unknown"),
    ],
)
def test_an_error_has_its_message(error: TaskmillError, words: str) -> None:
    assert str(error) == words


def test_invalid_input_names_every_violation() -> None:
    violations = (
        Violation(pointer="/name", expected="a string", got="null"),
        Violation(pointer="query:limit", expected="1 to 500", got="0"),
    )
    error = InvalidInput(violations)
    assert error.violations == violations
    assert str(error) == "/name: expected a string, got null; query:limit: expected 1 to 500, got 0"


def test_a_bad_cursor_is_a_violation_of_the_query() -> None:
    (violation,) = BadCursor("one with other filters").violations
    assert violation.pointer == "query:cursor"
    assert violation.got == "one with other filters"


def test_errors_carry_typed_fields() -> None:
    refused = TransitionRefused(TASK_ID, Status.FAILED, "cancel")
    assert (refused.task_id, refused.status, refused.action) == (TASK_ID, Status.FAILED, "cancel")
    away = Unavailable(2.0, "the database")
    assert (away.retry_after_s, away.what) == (2.0, "the database")
    assert TooLarge(7).limit_bytes == 7
    assert QueueLimitReached(7).limit == 7
    assert (KeyInFlight("a").key, IdempotencyConflict("b").key) == ("a", "b")
    assert (QueueNotFound("q").name, TaskNotFound(TASK_ID).task_id) == ("q", TASK_ID)
    assert (MalformedJson("m").message, ConfigurationError("c").message) == ("m", "c")
