"""What a client tries again by itself, and what it does not."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from taskmill.client import ServiceUnavailable, TaskmillClient, Unexpected, Unreachable
from tests.support.fake_service import FakeService
from tests.support.fake_transport import ID, LOST, TASK, FakeTransport, a_response, of_a_proxy


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxys_error_while_the_service_is_away_is_tried_again(status: int) -> None:
    transport = FakeTransport(of_a_proxy(status), a_response(TASK))
    assert transport.client().get(ID).id == ID
    once = FakeTransport(of_a_proxy(status))
    with pytest.raises(Unexpected, match=f"HTTP {status}"):
        once.client().cancel(ID)
    assert len(once.requests) == 1


def test_a_create_that_is_tried_again_makes_one_task(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(503)

    task = client.create("once")

    assert [stored["id"] for stored in service.tasks.values()] == [str(task.id)]
    first, second = (headers["idempotency-key"] for _, _, headers, _ in service.requests)
    assert first == second


def test_a_create_whose_first_try_is_still_in_flight_is_tried_again(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(409, headers={"Retry-After": "0"})

    assert client.create("once").name == "once"
    assert len(service.requests) == 2


def test_a_client_that_has_sent_too_much_waits_and_goes_on_whatever_it_asked_for() -> None:
    too_many = of_a_proxy(429)
    assert FakeTransport(too_many, a_response(TASK)).client().get(ID).id == ID
    transport = FakeTransport(too_many, a_response(TASK))
    assert transport.client().retry(ID).id == ID
    assert len(transport.requests) == 2


def test_a_batch_that_is_tried_again_makes_its_tasks_once(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(503)

    ids = client.create_many([{"name": "a"}, {"name": "b"}])

    assert [str(task_id) for task_id in ids] == list(service.tasks)
    assert [task["name"] for task in service.tasks.values()] == ["a", "b"]


def test_an_outage_ends_as_unavailable_when_the_tries_are_used_up(
    url: str, service: FakeService
) -> None:
    service.refuse_next(503, detail="the database is not available")
    service.refuse_next(503, detail="the database is not available")

    with TaskmillClient(url, retries=1) as client, pytest.raises(ServiceUnavailable) as caught:
        client.stats()

    assert len(service.requests) == 2
    assert caught.value.retry_after_s == 0


def test_a_read_whose_response_was_lost_is_tried_again() -> None:
    transport = FakeTransport(LOST)
    with transport.client(retries=2) as client, pytest.raises(Unreachable, match="lost"):
        client.get(uuid4())

    assert len(transport.requests) == 3


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_an_action_whose_response_was_lost_is_not_repeated(action: str) -> None:
    transport = FakeTransport(LOST)
    with transport.client() as client, pytest.raises(Unreachable):
        getattr(client, action)(uuid4())

    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("call", "tries"),
    [
        (lambda client: client.create_webhook("https://example.org"), 1),
        (lambda client: client.change_webhook("x", state="paused"), 4),
        (lambda client: client.change_webhook("x", rotate_secret=True), 1),
        (lambda client: client.delete_webhook("x"), 1),
        (lambda client: client.test_webhook("x"), 1),
        (lambda client: client.register_type("x", {}), 4),
        (lambda client: client.drop_type("x"), 1),
        (lambda client: client.delete_queue("x"), 1),
        (lambda client: client.pause_queue("x"), 4),
        (lambda client: client.reschedule("x", delay_s=0), 1),
    ],
)
def test_only_repeatable_requests_are_sent_twice(
    call: Callable[[TaskmillClient], object], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.client.tries._FIRST_PAUSE_S", 0.0)
    transport = FakeTransport(LOST)
    with transport.client() as client, pytest.raises(Unreachable):
        call(client)
    assert len(transport.requests) == tries
