"""From a message to a draft: the body as over HTTP, and what the properties add; the replies."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.errors import InvalidInput, MalformedJson, TaskmillError, TooLarge
from taskmill.domain.rejection import RefusedMessage
from taskmill.domain.task import TaskDraft
from taskmill.wire.masking import plain
from taskmill.wire.messages import (
    CreationMessage,
    MessageLimits,
    created_reply,
    message_draft,
    refused_message,
    refused_reply,
    stored_message,
)
from taskmill.wire.properties import storable_properties
from taskmill.wire.rules import InputLimits
from taskmill.wire.strict_json import canonical_hash
from taskmill.wire.tasks import to_draft
from tests.unit.wire.builders import a_task

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIMITS = MessageLimits(body_bytes=1000)


def a_draft(body: object = None, **properties: Any) -> TaskDraft:  # noqa: ANN401 - the message's own
    content = json.dumps({"name": "a"} if body is None else body).encode()
    return message_draft(CreationMessage(body=content, **properties), LIMITS)


def refusals(body: object = None, **properties: Any) -> dict[str, str]:  # noqa: ANN401 - see above
    """Give what is wrong as pointer → got."""
    with pytest.raises(InvalidInput) as caught:
        a_draft(body, **properties)
    return {violation.pointer: violation.got for violation in caught.value.violations}


def test_a_body_means_what_it_means_over_http() -> None:
    body = {"name": "report", "queue": "reports", "payload": {"a": [1.0, None]}, "delay_s": 2}
    assert a_draft(body) == to_draft(body, source="amqp")


def test_the_message_id_is_the_idempotency_key() -> None:
    draft = a_draft(message_id="order-1")
    assert draft.idempotency is not None
    assert draft.idempotency.key == "order-1"
    assert draft.idempotency.request_hash == canonical_hash({"name": "a"})


@pytest.mark.parametrize("message_id", [None, ""])
def test_a_message_without_an_id_has_no_key(message_id: str | None) -> None:
    assert a_draft(message_id=message_id).idempotency is None


def test_the_key_in_the_body_wins() -> None:
    draft = a_draft({"name": "a", "idempotency_key": "inside"}, message_id="beside")
    assert draft.idempotency is not None
    assert draft.idempotency.key == "inside"


@pytest.mark.parametrize("message_id", ["x" * 256, "two\nlines", "nul\x00"])
def test_a_message_id_that_is_no_key_is_refused_with_all_else(message_id: str) -> None:
    wrong = refusals({"name": "", "colour": 1}, message_id=message_id)
    assert set(wrong) == {"property:message_id", "/name", "/colour"}
    assert set(refusals(message_id=message_id)) == {"property:message_id"}


def test_a_shorter_limit_for_keys_holds_for_message_ids() -> None:
    limits = MessageLimits(input=InputLimits(idempotency_key_chars=5))
    with pytest.raises(InvalidInput, match="property:message_id: expected 1 to 5 printable"):
        message_draft(CreationMessage(body=b'{"name":"a"}', message_id="order-1"), limits)


@pytest.mark.parametrize("unset", [None, 0])
def test_a_priority_of_0_counts_as_unset(unset: int | None) -> None:
    assert a_draft(priority=unset).priority == 4
    assert a_draft(priority=unset, message_id="k") == a_draft(message_id="k")


@pytest.mark.parametrize("priority", [1, 9])
def test_a_priority_is_a_default_and_part_of_the_request(priority: int) -> None:
    draft = a_draft(priority=priority, message_id="k")
    assert draft.priority == priority
    assert draft.idempotency != a_draft(message_id="k").idempotency


def test_the_priority_in_the_body_wins() -> None:
    assert a_draft({"name": "a", "priority": 0}, priority=9).priority == 0
    assert a_draft({"name": "a", "priority": 7}, priority=8) == a_draft(
        {"name": "a", "priority": 7}
    )


@pytest.mark.parametrize("priority", [10, 255])
def test_an_invalid_priority_is_refused(priority: int) -> None:
    assert refusals(priority=priority) == {"property:priority": f"the number {priority}"}


@pytest.mark.parametrize("encoding", [None, "", "identity", "utf-8", "UTF-8", "utf8"])
def test_a_body_may_say_that_it_is_not_encoded(encoding: str | None) -> None:
    assert a_draft(content_encoding=encoding).name == "a"


def test_an_encoded_body_is_refused_without_parsing() -> None:
    message = CreationMessage(body=b"\x1f\x8b\x08", content_encoding="gzip", message_id="k")
    with pytest.raises(InvalidInput) as caught:
        message_draft(message, LIMITS)
    [violation] = caught.value.violations
    assert violation.pointer == "property:content_encoding"
    assert violation.got == 'the string "gzip"'


def test_properties_that_could_not_be_read_are_refused() -> None:
    assert refusals(unreadable="bad text") == {"property:": "bad text"}


def test_a_trace_is_stored_and_other_headers_are_ignored() -> None:
    assert a_draft(headers={"traceparent": TRACEPARENT, "x": b"\xff"}).traceparent == TRACEPARENT
    assert a_draft(headers={"traceparent": b"\xff"}).traceparent is None
    assert a_draft(headers={"traceparent": "rubbish"}).traceparent is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MalformedJson),
        (b'{"name": "a"', MalformedJson),
        (b'{"name": "a", "name": "b"}', MalformedJson),
        (b"\xff", MalformedJson),
        (b'{"name": "\\u0000"}', InvalidInput),
        (b"[]", InvalidInput),
        (b'"text"', InvalidInput),
        (b'{"name": "a"}' + b" " * 1000, TooLarge),
    ],
)
def test_an_invalid_body_is_refused(body: bytes, error: type[TaskmillError]) -> None:
    with pytest.raises(error):
        message_draft(CreationMessage(body=body, priority=5, message_id="k"), LIMITS)


def refused(**parts: Any) -> RefusedMessage:  # noqa: ANN401 - see above
    return refused_message(
        CreationMessage(**{"body": b"{}", **parts}), InvalidInput.at("/name", "a name", "nothing")
    )


def test_a_refused_message_is_stored_with_its_reason_and_properties() -> None:
    stored = refused(
        message_id="order-1",
        priority=3,
        headers={"tenant": "north"},
        others={"content_type": "application/json", "app_id": None},
    )
    assert (stored.source, stored.message_id, stored.body, stored.status) == (
        "amqp",
        "order-1",
        b"{}",
        422,
    )
    assert json.loads(stored.properties) == {
        "priority": 3,
        "headers": {"tenant": "north"},
        "content_type": "application/json",
    }
    assert json.loads(stored.problem)["errors"] == [
        {"pointer": "/name", "expected": "a name", "got": "nothing"}
    ]


def test_an_unexpected_error_is_stored_as_a_fault_without_details() -> None:
    stored = refused_message(CreationMessage(body=b"{}"), ValueError("a secret"))
    assert stored.status == 500
    assert "secret" not in stored.problem


def test_a_stored_message_makes_the_same_draft_when_it_is_read_again() -> None:
    message = CreationMessage(
        body=b'{"name":"a"}',
        message_id="order-1",
        priority=3,
        content_encoding="utf-8",
        headers={"traceparent": TRACEPARENT},
    )
    again = stored_message(refused_message(message, TooLarge(1)))
    assert message_draft(again, LIMITS) == message_draft(message, LIMITS)


def test_an_unprintable_message_id_is_stored_escaped() -> None:
    assert refused(message_id="a\x00b").message_id == "a\\u0000b"


def test_replies_have_a_status_and_the_task_or_the_problem() -> None:
    task = a_task()
    made = json.loads(created_reply(plain(task), replayed=False, warning=None))
    again = json.loads(created_reply(plain(task), replayed=True, warning="nothing comes"))
    assert (made["status"], again["status"]) == (201, 200)
    assert made["task"]["id"] == again["task"]["id"] == str(task.id)
    assert "warning" not in made["task"]
    assert again["task"]["warning"] == "nothing comes"
    reply = json.loads(refused_reply(refused()))
    assert reply["status"] == reply["problem"]["status"] == 422


def test_properties_of_all_kinds_can_be_stored() -> None:
    shown = storable_properties(
        {
            "none": None,
            "nul": "a\x00b",
            "half": "\ud800",
            "bytes": b"\xff",
            "time": datetime(2030, 1, 31, tzinfo=UTC),
            "decimal": Decimal("1.50"),
            "table": {"list": [1, 2.5, True, None, {"\x00": 1}]},
        }
    )
    assert json.loads(shown) == {
        "nul": "a\\u0000b",
        "half": "\\ud800",
        "bytes": {"base64": "/w=="},
        "time": "2030-01-31T00:00:00.000000Z",
        "decimal": "1.50",
        "table": {"list": [1, 2.5, True, None, {"\\u0000": 1}]},
    }


def test_properties_nested_for_ever_are_cut() -> None:
    deep: object = 1
    for _ in range(1000):
        deep = [deep]
    assert "…" in storable_properties({"deep": deep})


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats()
        | st.text()
        | st.binary()
        | st.datetimes(timezones=st.just(UTC)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_properties_become_text_that_postgresql_can_store(value: object) -> None:
    text = storable_properties({"value": value})
    assert "\\u0000" not in text.replace("\\\\u0000", "")
    json.loads(text.encode())
