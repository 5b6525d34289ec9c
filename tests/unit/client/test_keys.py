"""Idempotency keys of the client and of its callers."""

import orjson

from taskmill.client import TaskmillClient
from tests.support.fake_service import FakeService
from tests.support.fake_transport import ID, TASK, FakeTransport, a_response


def test_an_empty_key_of_the_callers_own_is_sent_alone() -> None:
    transport = FakeTransport(a_response(TASK, 201))
    transport.client().create("a task", idempotency_key="")
    assert "Idempotency-Key" not in transport.requests[0].headers
    assert orjson.loads(transport.requests[0].content)["idempotency_key"] == ""


def test_an_empty_key_in_a_batch_is_sent_as_it_is() -> None:
    transport = FakeTransport(a_response({"ids": [str(ID), str(ID)]}, 201))
    tasks: list[dict[str, str | None]] = [
        {"name": "a", "idempotency_key": key} for key in ("", None)
    ]
    transport.client().create_batch(tasks)
    first, second = orjson.loads(transport.requests[0].content)
    assert first["idempotency_key"] == ""
    assert second["idempotency_key"]


def test_two_creates_have_two_keys(client: TaskmillClient) -> None:
    assert client.create("same").id != client.create("same").id


def test_a_key_of_the_callers_own_is_sent_in_the_body_alone(
    client: TaskmillClient, service: FakeService
) -> None:
    first = client.create("mine", idempotency_key="k")

    assert client.create("mine", idempotency_key="k").id == first.id
    assert "idempotency-key" not in service.requests[-1][2]
