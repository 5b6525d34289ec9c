"""Schedules through the client, against the real API and PostgreSQL's clock."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest

from taskmill.client import (
    AsyncTaskmillClient,
    InvalidInput,
    ScheduleMismatch,
    ScheduleNotFound,
    VersionMismatch,
)
from tests.support.api import Served
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage

TASK = {"name": "nightly", "queue": "reports", "labels": {"team": "finance"}}
HOUR = timedelta(hours=1)


class LosesTheFirstResponse(httpx.AsyncHTTPTransport):
    """Sends all requests; the response to the first one is lost."""

    requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.requests += 1
        if self.requests == 1:
            await response.aclose()
            raise httpx.ReadError("lost")
        return response


@pytest.fixture
async def client(api: Served) -> AsyncIterator[AsyncTaskmillClient]:
    async with AsyncTaskmillClient(api.url) as opened:
        yield opened


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def test_a_schedule_is_put_read_replaced_and_deleted(client: AsyncTaskmillClient) -> None:
    made = await client.put_schedule(
        "report", TASK, cron="30 2 * * *", zone="Europe/Berlin", overlap="skip", within="PT2H"
    )
    assert (made.cron, made.zone, made.overlap, made.within) == (
        "30 2 * * *",
        "Europe/Berlin",
        "skip",
        "PT2H",
    )
    assert (made.task, made.revision, made.paused) == (TASK, 1, False)
    assert await client.schedule("report") == made
    again = await client.put_schedule("report", TASK, every="PT1H", revision=made.revision)
    assert (again.every, again.cron, again.overlap, again.revision) == ("PT1H", None, "allow", 2)
    await client.delete_schedule("report", revision=2)
    with pytest.raises(ScheduleNotFound):
        await client.schedule("report")
    with pytest.raises(ScheduleNotFound):
        await client.delete_schedule("report")


async def test_what_names_another_revision_changes_nothing(client: AsyncTaskmillClient) -> None:
    made = await client.put_schedule("report", TASK, cron="@daily")
    with pytest.raises(ScheduleMismatch) as caught:
        await client.put_schedule("report", TASK, cron="@hourly", revision=7)
    assert isinstance(caught.value, VersionMismatch), "as of tasks"
    with pytest.raises(ScheduleMismatch):
        await client.pause_schedule("report", revision=7)
    with pytest.raises(ScheduleMismatch):
        await client.resume_schedule("report", revision=7)
    with pytest.raises(ScheduleMismatch):
        await client.delete_schedule("report", revision=7)
    assert await client.schedule("report") == made


async def test_what_is_not_allowed_is_refused_with_its_place(client: AsyncTaskmillClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.put_schedule("report", TASK, cron="61 * * * *")
    assert caught.value.pointer == "/cron"


async def test_schedules_come_page_by_page(client: AsyncTaskmillClient) -> None:
    for name in ("c", "a", "b"):
        await client.put_schedule(name, TASK, cron="@daily")
    assert [one.name async for one in client.schedules(page_size=2)] == ["c", "a", "b"]


async def test_a_resumed_schedule_goes_on_or_catches_up(
    client: AsyncTaskmillClient, scheduler: Scheduler
) -> None:
    tasks = []
    for catch_up in (False, True):
        await client.put_schedule("report", TASK, every="PT10M", within="PT10H")
        assert (await client.pause_schedule("report")).paused
        await scheduler.age(HOUR)
        resumed = await client.resume_schedule("report", catch_up=catch_up)
        assert not resumed.paused
        tasks.append(len(await scheduler.tasks()))
        await client.delete_schedule("report")
    assert tasks == [0, 6]


async def test_a_run_with_the_same_key_makes_one_task(
    client: AsyncTaskmillClient, scheduler: Scheduler
) -> None:
    await client.put_schedule("report", TASK, cron="@daily")
    first = await client.run_schedule("report", idempotency_key="k")
    assert (first.name, first.queue, first.labels["schedule"]) == ("nightly", "reports", "report")
    assert (await client.run_schedule("report", idempotency_key="k")).id == first.id
    assert (await client.run_schedule("report")).id != first.id
    await client.put_schedule("report", {"name": "another"}, cron="@daily")
    assert (await client.run_schedule("report", idempotency_key="k")).id == first.id
    assert len(await scheduler.tasks()) == 2


async def test_a_run_whose_response_is_lost_is_repeated_and_makes_one_task(
    api: Served, client: AsyncTaskmillClient, scheduler: Scheduler
) -> None:
    await client.put_schedule("report", TASK, cron="@daily")
    losing = LosesTheFirstResponse()
    async with AsyncTaskmillClient(api.url, transport=losing) as cut:
        made = await cut.run_schedule("report")
    assert losing.requests == 2
    assert [task["id"] for task in await scheduler.tasks()] == [made.id]


async def test_a_backfill_goes_on_where_it_stopped(
    client: AsyncTaskmillClient, scheduler: Scheduler
) -> None:
    await client.put_schedule("report", TASK, every="PT1H", most=2)
    day = (await scheduler.now()).replace(minute=0, second=0) - timedelta(days=1)
    until = day + 3 * HOUR
    dry = await client.backfill_schedule("report", since=day, until=until, dry_run=True)
    assert (dry.ticks, dry.dry_run, dry.next_from) == ([day, day + HOUR], True, day + 2 * HOUR)
    assert await scheduler.tasks() == []
    ticks: list[datetime] = []
    since: datetime | None = day
    while since is not None:
        part = await client.backfill_schedule("report", since=since, until=until, priority=3)
        ticks += part.ticks
        since = part.next_from
    assert ticks == [day + number * HOUR for number in range(4)]
    assert [task["priority"] for task in await scheduler.tasks()] == [3] * 4


async def test_what_became_of_ticks_comes_page_by_page_and_by_outcome(
    client: AsyncTaskmillClient, scheduler: Scheduler
) -> None:
    # The latest tick is five minutes late, whatever the time is: else it may be on time.
    anchor = await scheduler.now() - HOUR / 12
    await client.put_schedule("report", TASK, every="PT10M", anchor=anchor, catch_up="latest")
    await scheduler.age(HOUR)
    await scheduler.fire()
    run = await client.run_schedule("report")
    found = [fire async for fire in client.fires("report", page_size=1)]
    assert [(one.cause, one.outcome, one.ticks) for one in found] == [
        ("manual", "created", 1),
        ("catch_up", "created", 1),
        ("tick", "skipped_missed", 5),
    ]
    assert found[0].task_id == run.id
    made = [fire async for fire in client.fires("report", outcome="created")]
    assert made == found[:2]
    both = client.fires("report", outcome=iter(["held", "skipped_missed"]), page_size=1)
    assert [fire async for fire in both] == found[2:]
