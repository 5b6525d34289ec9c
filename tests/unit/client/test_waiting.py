"""Waiting for the end of a task, also while the service is away."""

import pytest

from taskmill.client import StillRunning, TaskmillClient, TaskNotFound, Unreachable
from taskmill.domain.lifecycle import Status
from tests.support.fake_service import FakeService
from tests.support.fake_transport import (
    ENDED,
    ID,
    LOST,
    WAITING,
    FakeTransport,
    a_response,
    of_a_proxy,
    refused,
)


def test_a_wait_outlasts_the_service_going_away() -> None:
    transport = FakeTransport(
        a_response(WAITING), LOST, of_a_proxy(502), refused(503), a_response(ENDED)
    )
    assert transport.client(retries=0).wait(ID).status is Status.SUCCEEDED
    assert len(transport.requests) == 5


async def test_a_wait_outlasts_the_service_going_away_asynchronously() -> None:
    transport = FakeTransport(a_response(WAITING), LOST, a_response(ENDED))
    async with transport.async_client() as client:
        assert (await client.wait(ID)).status is Status.SUCCEEDED
    assert len(transport.requests) == 3


def test_a_wait_ends_in_time_though_the_service_stays_away() -> None:
    transport = FakeTransport(a_response(WAITING), LOST)
    with pytest.raises(StillRunning):
        transport.client().wait(ID, timeout_s=0.2)


def test_a_wait_ends_when_the_service_refuses() -> None:
    transport = FakeTransport(a_response(WAITING), refused(404, "/problems/task-not-found"))
    with pytest.raises(TaskNotFound):
        transport.client().wait(ID)
    with pytest.raises(Unreachable):
        FakeTransport(LOST).client(retries=0).wait(ID)


def test_waiting_returns_the_task_once_it_has_ended(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()
    service.on_read += [lambda _: None, service.claim, service.end]

    assert client.wait(task["id"], timeout_s=10).status is Status.SUCCEEDED


def test_waiting_too_long_is_an_error_that_leaves_the_task_alone(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()

    with pytest.raises(StillRunning, match="still new"):
        client.wait(task["id"], timeout_s=0.1)


async def test_the_asynchronous_client_tries_again_and_waits() -> None:
    service = FakeService()
    task = service.add()
    service.refuse_next(503)
    service.on_read += [lambda _: None, service.claim, lambda stored: service.end(stored, "failed")]
    async with service.async_client() as client:
        assert (await client.wait(task["id"], timeout_s=10)).status is Status.FAILED
