"""Failures are shown once each, and none is missed while the feed begins."""

from collections.abc import AsyncIterator

import pytest

from taskmill.cli.top.reading import Failures
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.views.feed import ChangeView
from tests.support.fake_service import FakeService
from tests.support.pictures import a_failure
from tests.support.views import a_view


@pytest.fixture
async def client(url: str, service: FakeService) -> AsyncIterator[AsyncTaskmillClient]:
    assert service.tasks == {}
    async with AsyncTaskmillClient(url) as opened:
        yield opened


def fail(service: FakeService, name: str) -> ChangeView:
    """Have a task fail; returns its change in the feed."""
    task = service.add(name=name)
    service.end(task, "failed", error={"type": "ValueError", "message": "no"})
    parts = {key: task[key] for key in ("queue", "type", "name", "labels")}
    return a_view(ChangeView, {**service.events[task["id"]][-1], **parts, "cursor": "1.1"})


def names(failures: Failures) -> list[str]:
    return [one.name for one in failures.newest()]


async def test_they_are_listed_when_there_are_more_until_the_feed_has_one(
    client: AsyncTaskmillClient, service: FakeService
) -> None:
    failures = Failures()
    await failures.catch_up(client, 0)
    assert service.requests == []
    fail(service, "before the feed")
    await failures.catch_up(client, 1)
    await failures.catch_up(client, 1)
    assert (names(failures), len(service.requests)) == (["before the feed"], 1)
    fail(service, "while it begins")
    failures.add_change(fail(service, "in the feed"))
    await failures.catch_up(client, 3)
    assert names(failures) == ["in the feed", "while it begins", "before the feed"]
    failures.add_change(fail(service, "later"))
    await failures.catch_up(client, 4)
    assert (names(failures)[0], len(service.requests)) == ("later", 2)
    failures.restart_feed()
    fail(service, "missed")
    await failures.catch_up(client, 5)
    assert (names(failures)[0], len(service.requests)) == ("missed", 3)


def test_the_newest_stay() -> None:
    failures = Failures()
    failures.add(a_failure(str(number), number) for number in range(1, 500))
    assert names(failures) == [str(number) for number in range(1, 201)]
