"""`taskmill.put_schedule` and `pause_schedule`: what they ask for is done by maintenance after the commit."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from taskmill.composition.maintenance import maintenance_services
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.fires import FireOutcome, StoredSchedule
from taskmill.domain.schedule_errors import ScheduleNotFound
from taskmill.settings import Settings
from taskmill.storage import duties
from taskmill.storage.rights import ENQUEUE
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.polling import eventually
from tests.support.roles import as_role
from tests.support.scheduling import Scheduler
from tests.support.sql import a_session
from tests.support.sql_schedules import (
    do_requests,
    pause_schedule,
    put_schedule,
    requests_duty,
)
from tests.support.stage import Stage
from tests.support.verifying import found_in

NOON = datetime(2031, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def problem_of(scheduler: Scheduler, name: str = "report") -> dict[str, Any]:
    """The problem for which what was asked for under a name was refused."""
    request = (await scheduler.get(name)).request
    assert request is not None
    problem: dict[str, Any] = orjson.loads(request.problem or "null")
    return problem


async def listed(scheduler: Scheduler, *, limit: int = 500) -> list[StoredSchedule]:
    """All that is listed, page by page."""
    found: list[StoredSchedule] = []
    after: int | None = None
    while True:
        page = await scheduler.schedules.page(after=after, limit=limit)
        found += page
        if not page.has_more:
            return found
        after = page[-1].id


async def test_a_schedule_is_there_when_the_transaction_has_committed(scheduler: Scheduler) -> None:
    async with a_session(scheduler.stage) as mine:
        async with mine.transaction():
            await put_schedule(
                mine,
                cron="30 2 * * *",
                zone="Europe/Moscow",
                task={"name": "report", "priority": 9, "payload": {"a": 1.50}},
                overlap="skip",
                within="90 min",
            )
            await do_requests(scheduler)
            with pytest.raises(ScheduleNotFound):
                await scheduler.get()
        await do_requests(scheduler)
    stored = await scheduler.get()
    asked = await scheduler.put(
        "asked",
        cron="30 2 * * *",
        zone="Europe/Moscow",
        task={"name": "report", "priority": 9, "payload": {"a": 1.50}},
        overlap="skip",
        within="PT90M",
    )
    assert (stored.content, stored.next_at) == (asked.content, asked.next_at)
    assert (stored.revision, stored.request) == (1, None)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"every": "36 hours", "anchor": NOON}, {"every": "PT36H", "anchor": NOON.isoformat()}),
        ({"every": "1.5 seconds"}, {"every": "PT1.5S"}),
        ({"every": "36525 days"}, {"every": "P36525D"}),
        ({"at": [NOON]}, {"at": [NOON.isoformat()]}),
        (
            {"cron": "@daily", "gap": "skip", "fold": "both", "starts_at": NOON, "jitter_s": 0.5},
            {
                "cron": "@daily",
                "gap": "skip",
                "fold": "both",
                "starts_at": NOON.isoformat(),
                "jitter_s": 0.5,
            },
        ),
        (
            {"cron": "@daily", "catch_up": "all", "most": 7, "ends_at": NOON},
            {"cron": "@daily", "catch_up": "all", "most": 7, "ends_at": NOON.isoformat()},
        ),
    ],
)
async def test_it_stores_what_a_request_over_http_would(
    scheduler: Scheduler, given: dict[str, Any], same: dict[str, Any]
) -> None:
    await put_schedule(scheduler.stage.sql, **given)
    await do_requests(scheduler)
    asked = await scheduler.put("asked", task={"name": "report"}, **same)
    assert (await scheduler.get()).content == asked.content


async def test_a_rollback_leaves_nothing(scheduler: Scheduler) -> None:
    transaction = scheduler.stage.sql.transaction()
    await transaction.start()
    await put_schedule(scheduler.stage.sql)
    await transaction.rollback()
    await do_requests(scheduler)
    assert await listed(scheduler) == []


async def test_the_template_is_tried_and_nothing_is_left_of_that(stage: Stage) -> None:
    await put_schedule(stage.sql, task={"name": "x", "queue": "new", "type": "unheard-of"})
    for table in ("task", "dispatch", "change_batch", "task_event", "unserved_type", "queue"):
        assert await stage.sql.fetchval(f"SELECT count(*) FROM taskmill.{table}") == 0, table  # noqa: S608 - ours


async def test_what_only_a_clock_of_zones_can_say_is_refused_later_and_shown(
    scheduler: Scheduler,
) -> None:
    sql = scheduler.stage.sql
    await put_schedule(sql, "never", cron="0 0 31 2 *")
    await put_schedule(sql, "nowhere", cron="@daily", zone="Europe/Berln")
    await put_schedule(sql, "fine", cron="@daily")
    await do_requests(scheduler)
    assert (await problem_of(scheduler, "never"))["errors"][0]["pointer"] == "/cron"
    assert "Europe/Berlin" in (await problem_of(scheduler, "nowhere"))["detail"]
    assert [(one.name, one.revision) for one in await listed(scheduler)] == [
        ("fine", 1),
        ("never", 0),
        ("nowhere", 0),
    ]
    assert [one.name for one in await listed(scheduler, limit=1)] == ["fine", "never", "nowhere"]
    assert not (await duties.find(scheduler.database, soon_s=3)).schedule_requests


async def test_a_payload_that_its_contract_refuses_is_refused_later(scheduler: Scheduler) -> None:
    await registered(scheduler.stage, a_contract())
    await put_schedule(scheduler.stage.sql, task={"name": "x", "type": TYPE, "payload": {"to": 5}})
    await do_requests(scheduler)
    assert (await problem_of(scheduler))["errors"][0]["pointer"].startswith("/task/payload")


async def test_a_refused_replacement_leaves_the_schedule_as_it_was(scheduler: Scheduler) -> None:
    before = await scheduler.put(every="PT1H")
    await put_schedule(scheduler.stage.sql, cron="0 0 31 2 *")
    await do_requests(scheduler)
    after = await scheduler.get()
    assert (after.revision, after.content) == (1, before.content)
    assert (await problem_of(scheduler))["status"] == 422
    await scheduler.age(timedelta(hours=1))
    await scheduler.fire()
    assert await scheduler.outcomes() == [(FireOutcome.CREATED, 1)]


async def test_asking_again_replaces_what_was_refused(scheduler: Scheduler) -> None:
    await put_schedule(scheduler.stage.sql, cron="0 0 31 2 *")
    await do_requests(scheduler)
    await put_schedule(scheduler.stage.sql, cron="0 0 31 1 *")
    await do_requests(scheduler)
    assert ((await scheduler.get()).revision, (await scheduler.get()).request) == (1, None)


async def test_the_same_again_changes_nothing(scheduler: Scheduler) -> None:
    for _ in range(2):
        await put_schedule(scheduler.stage.sql)
        await do_requests(scheduler)
    assert (await scheduler.get()).revision == 1


async def test_a_tick_that_is_due_when_sql_replaces_its_schedule_fires_as_before(
    scheduler: Scheduler,
) -> None:
    await scheduler.due(task={"name": "before"})
    await put_schedule(scheduler.stage.sql, every="7 days", task={"name": "after"})
    await do_requests(scheduler)
    [task] = await scheduler.tasks()
    assert task["name"] == "before"
    assert await found_in(scheduler.database) == {}


async def test_the_last_one_that_asks_in_a_transaction_counts(scheduler: Scheduler) -> None:
    sql = scheduler.stage.sql
    async with sql.transaction():
        await put_schedule(sql, every="1 min")
        await pause_schedule(sql)
        await put_schedule(sql, every="2 min")
    await do_requests(scheduler)
    stored = await scheduler.get()
    assert '"PT2M"' in stored.content.spec
    assert stored.paused_at is not None, "a pause holds when another spec is asked for"


async def test_a_schedule_is_paused_and_goes_on_with_the_transaction(scheduler: Scheduler) -> None:
    await scheduler.put()
    for paused in (True, False):
        async with scheduler.stage.sql.transaction():
            await pause_schedule(scheduler.stage.sql, paused=paused)
            await do_requests(scheduler)
            assert ((await scheduler.get()).paused_at is not None) != paused
        await do_requests(scheduler)
        assert ((await scheduler.get()).paused_at is not None) == paused


async def test_a_schedule_is_paused_although_its_replacement_was_refused(
    scheduler: Scheduler,
) -> None:
    await scheduler.put()
    await put_schedule(scheduler.stage.sql, cron="0 0 31 2 *")
    await pause_schedule(scheduler.stage.sql)
    await do_requests(scheduler)
    await do_requests(scheduler)
    stored = await scheduler.get()
    assert stored.paused_at is not None
    assert stored.request is not None
    assert (stored.request.paused, stored.request.problem is None) == (None, False)


async def test_a_schedule_that_is_not_there_can_not_be_paused(scheduler: Scheduler) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError) as caught:
        await pause_schedule(scheduler.stage.sql)
    assert orjson.loads(caught.value.detail or "")["type"] == "/problems/schedule-not-found"


@pytest.mark.parametrize("change", ["put", "delete"])
async def test_what_was_asked_for_before_somebody_changed_the_schedule_is_not_done(
    scheduler: Scheduler, change: str
) -> None:
    """Maintenance may be down for hours."""
    await scheduler.put(every="PT1M")
    await put_schedule(scheduler.stage.sql, every="2 min")
    if change == "put":
        await scheduler.put(every="PT3M")
    else:
        await scheduler.schedules.delete("report")
    await do_requests(scheduler)
    left = [orjson.loads(one.content.spec)["every"] for one in await listed(scheduler)]
    assert left == (["PT3M"] if change == "put" else [])


async def test_a_pause_that_was_asked_for_before_somebody_had_it_go_on_is_not_done(
    scheduler: Scheduler,
) -> None:
    await scheduler.put()
    await pause_schedule(scheduler.stage.sql)
    await put_schedule(scheduler.stage.sql, every="2 min")
    await scheduler.schedules.resume("report")
    await do_requests(scheduler)
    stored = await scheduler.get()
    assert (stored.paused_at, stored.revision) == (None, 2)


async def test_what_is_refused_can_be_deleted(scheduler: Scheduler) -> None:
    await put_schedule(scheduler.stage.sql, cron="0 0 31 2 *")
    await do_requests(scheduler)
    await scheduler.schedules.delete("report")
    assert await listed(scheduler) == []
    with pytest.raises(ScheduleNotFound):
        await scheduler.schedules.delete("report")


async def test_an_open_transaction_keeps_no_other_request_and_no_change(
    scheduler: Scheduler,
) -> None:
    await scheduler.put(every="PT1M")
    async with a_session(scheduler.stage) as mine, mine.transaction():
        await put_schedule(mine, every="2 min")
        await put_schedule(scheduler.stage.sql, "other")
        await do_requests(scheduler)
        await scheduler.put(every="PT3M")
        assert (await scheduler.get("other")).revision == 1
    await do_requests(scheduler)
    assert '"PT2M"' in (await scheduler.get()).content.spec, "it has committed last"


async def test_two_processes_do_what_is_asked_for_once(scheduler: Scheduler) -> None:
    for number in range(20):
        await put_schedule(scheduler.stage.sql, f"s{number}", every="1 min")
    both = [requests_duty(scheduler), requests_duty(scheduler)]
    await asyncio.gather(*(duty() for duty in both))  # noqa: TID251 - two at once
    found = await listed(scheduler)
    assert [(one.revision, one.request) for one in found] == [(1, None)] * 20


async def test_a_login_may_not_replace_schedules_of_queues_that_are_not_granted_to_it(
    stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("theirs", task={"name": "x", "queue": "billing"})
    await put_schedule(stage.sql, "asked", task={"name": "x", "queue": "billing"})
    await stage.sql.execute(
        "INSERT INTO taskmill.queue_grant (role, queue) VALUES ($1, 'shop.*')", ENQUEUE
    )
    shop = await asyncpg.connect(as_role(stage.url, ENQUEUE))
    try:
        await put_schedule(shop, "mine", task={"name": "x", "queue": "shop.mail"})
        await pause_schedule(shop, "mine")
        for name, queue in (
            ("mine", "billing"),
            ("theirs", "shop.mail"),
            ("asked", "shop.mail"),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await put_schedule(shop, name, task={"name": "x", "queue": queue})
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pause_schedule(shop, "theirs")
    finally:
        await shop.close()
    await do_requests(scheduler)
    assert {one.name for one in await listed(scheduler)} == {"theirs", "asked", "mine"}
    assert (await scheduler.get("mine")).paused_at is not None


async def test_a_name_that_others_have_taken_meanwhile_stays_theirs(
    stage: Stage, scheduler: Scheduler
) -> None:
    """The rights were checked for what was there when it was asked for."""
    await put_schedule(stage.sql, task={"name": "x", "queue": "shop"})
    async with a_session(stage) as mine, mine.transaction():
        # An open transaction that asks keeps the request, though the schedule is put by somebody else.
        await mine.execute("SELECT FROM taskmill.schedule_request FOR UPDATE")
        await scheduler.put(task={"name": "x", "queue": "billing"})
    await do_requests(scheduler)
    assert (await scheduler.get()).content.queue == "billing"
    assert (await problem_of(scheduler))["status"] == 412


async def test_a_pause_of_what_others_have_taken_meanwhile_is_refused_once(
    stage: Stage, scheduler: Scheduler
) -> None:
    await put_schedule(stage.sql, task={"name": "x", "queue": "shop"})
    await pause_schedule(stage.sql)
    await scheduler.put(task={"name": "x", "queue": "billing"})
    await do_requests(scheduler)
    assert (await scheduler.get()).paused_at is None
    assert (await problem_of(scheduler))["status"] == 412
    assert not (await duties.find(stage.database, soon_s=3)).schedule_requests


async def test_the_duty_trigger_finds_what_is_asked_for(stage: Stage) -> None:
    assert not (await duties.find(stage.database, soon_s=3)).schedule_requests
    await put_schedule(stage.sql)
    assert (await duties.find(stage.database, soon_s=3)).schedule_requests


async def test_maintenance_does_what_is_asked_for_after_the_commit(
    stage: Stage, scheduler: Scheduler
) -> None:
    context, stop = ProcessContext(Settings(database_url=stage.url)), asyncio.Event()

    async def is_there() -> bool:
        return [one.revision for one in await listed(scheduler)] == [1]

    async with asyncio.TaskGroup() as group:
        for service in maintenance_services(context):
            group.create_task(service.run(stop))
        await put_schedule(stage.sql)
        await eventually(is_there, "the schedule")
        stop.set()
    await context.close()
