"""The interface for tests of programs."""

from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from taskmill import AsyncClient, Client, PayloadRefused
from taskmill.client.views.tasks import TaskView
from taskmill.domain.lifecycle import ErrorInfo
from taskmill.testing import Attempted, Line, ServiceInMemory, attempt, attempt_async
from tests.typing.handlers import Order, app, send_email, ships


def attempts() -> None:
    ended = attempt(ships, number=2, is_cancelled=True, order={"number": 1})
    assert_type(ended, Attempted)
    assert_type(attempt(ships, {"number": 1}), Attempted)
    assert_type(ended.succeeded, bool)
    assert_type(ended.result, Any)
    assert_type(ended.error, ErrorInfo | None)
    assert_type(ended.retry_after, timedelta | None)
    assert_type(ended.raised, Exception | None)
    assert_type(ended.progress, list[tuple[float, str | None]])
    assert_type(ended.lines, list[Line])


def requests() -> None:
    try:
        assert_type(send_email.request(to="ada@example.org"), dict[str, Any])
        assert_type(ships.request(Order(number=1)), dict[str, Any])
    except PayloadRefused as error:
        raise AssertionError from error


def services() -> None:
    service = ServiceInMemory(app)
    assert_type(service.client(), Client)
    assert_type(service.async_client(), AsyncClient)
    assert_type(service.now, datetime)
    assert_type(service.tasks, list[TaskView])
    assert_type(service.run_all(most=5), list[TaskView])
    assert_type(service.attempts(UUID(int=7)), list[Attempted])


async def asynchronous() -> None:
    assert_type(await attempt_async(send_email, to="ada@example.org"), Attempted)
    assert_type(await ServiceInMemory().run_all_async(), list[TaskView])
