"""Refused messages: what those that were refused alike have in common, and which a filter admits."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.rejection import RejectionFilter, RejectionSummary, reason_of


def a_problem(*pointers: str, got: str = "the number 12") -> dict[str, Any]:
    errors = [{"pointer": one, "expected": "a name", "got": got} for one in pointers]
    return {"title": "It says something", "detail": "a detail", "errors": errors}


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (a_problem("/priority"), "/priority: expected a name"),
        (a_problem("/priority", got="another"), "/priority: expected a name"),
        (a_problem("/queues/17"), "/queues/#: expected a name"),
        (a_problem("/a/3/b/4/c5"), "/a/#/b/#/c5: expected a name"),
        (a_problem("/a/1/2"), "/a/#/#: expected a name"),
        (a_problem("", "/priority"), "/: expected a name"),
        ({"title": "The body is too large", "detail": "12345 bytes"}, "The body is too large"),
        ({"title": "x", "errors": None}, "x"),
        ({}, ""),
    ],
)
def test_messages_that_were_refused_alike_have_one_reason(
    problem: dict[str, Any], reason: str
) -> None:
    assert reason_of(problem) == reason


def a_message(**parts: Any) -> RejectionSummary:  # noqa: ANN401 - of a message
    usual: dict[str, Any] = {
        "id": UUID(int=1),
        "created_at": datetime(2031, 1, 31, tzinfo=UTC),
        "source": "amqp",
        "message_id": "order-42",
        "body_bytes": 2,
        "properties": "{}",
        "status": 422,
        "problem": "{}",
        "redeliveries": 0,
        "resent_at": None,
        "task_id": None,
        "queue": "mail",
    }
    return RejectionSummary(**usual | parts)


RESENT = {"task_id": UUID(int=2)}


@pytest.mark.parametrize(
    ("wanted", "parts", "is_admitted"),
    [
        (RejectionFilter(), {}, True),
        (RejectionFilter(queue="mail"), {}, True),
        (RejectionFilter(queue="mail"), {"queue": None}, False),
        (RejectionFilter(status=422), {"status": 413}, False),
        (RejectionFilter(text="ORDER-4"), {}, True),
        (RejectionFilter(text="expected A"), {}, True),
        (RejectionFilter(text="elsewhere"), {}, False),
        (RejectionFilter(reason="expected a name"), {}, True),
        (RejectionFilter(reason="another"), {}, False),
        (RejectionFilter(is_open=True), {}, True),
        (RejectionFilter(is_open=True), RESENT, False),
        (RejectionFilter(is_open=False), {}, False),
        (RejectionFilter(is_open=False), RESENT, True),
    ],
)
def test_a_filter_admits_what_fits_all_of_it(
    wanted: RejectionFilter, parts: dict[str, Any], *, is_admitted: bool
) -> None:
    assert wanted.admits(a_message(**parts), "expected a name") is is_admitted


def test_a_filter_of_a_state_alone_is_not_narrow() -> None:
    assert [RejectionFilter(is_open=True).is_narrow, RejectionFilter(queue="q").is_narrow] == [
        False,
        True,
    ]
