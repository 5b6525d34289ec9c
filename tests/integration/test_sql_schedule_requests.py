"""What SQL has asked for and maintenance has not done yet: it harms nobody else, whatever it is."""

import asyncio
from typing import Final

import pytest

from taskmill.storage import schedule_requests
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler
from tests.support.sql import a_session
from tests.support.sql_schedules import do_requests, pause_schedule, put_schedule
from tests.support.stage import Stage

STOP: Final = """
    CREATE FUNCTION taskmill.stop_here() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(4711);
        RETURN NULL;
    END $$;
    CREATE TRIGGER stop_here AFTER INSERT ON taskmill.schedule_request
    FOR EACH STATEMENT EXECUTE FUNCTION taskmill.stop_here();
"""
STOPPED: Final = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
"""


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def listed(scheduler: Scheduler) -> list[tuple[str, int]]:
    """The names and the revisions of all that are listed."""
    page = await scheduler.schedules.page(after=None, limit=50)
    return [(one.name, one.revision) for one in page]


@pytest.mark.parametrize("value", ["1e999", "[" * 1100 + "]" * 1100])
async def test_json_that_only_postgresql_reads_is_refused_later_and_keeps_no_other(
    scheduler: Scheduler, value: str
) -> None:
    """PostgreSQL looks only at the last of keys that are there twice."""
    sql = scheduler.stage.sql
    await put_schedule(sql, task=f'{{"name": "x", "payload": {{"a": {value}, "a": 1}}}}')
    await put_schedule(sql, "fine")
    assert await listed(scheduler) == [("report", 0), ("fine", 0)]
    await do_requests(scheduler)
    assert await listed(scheduler) == [("fine", 1), ("report", 0)]
    request = (await scheduler.get()).request
    assert request is not None
    assert request.problem is not None
    await scheduler.put()
    assert ((await scheduler.get()).revision, (await scheduler.get()).request) == (1, None)


async def test_a_schedule_stays_in_the_queue_for_which_rights_were_checked(
    stage: Stage, scheduler: Scheduler
) -> None:
    """The type's contract may name another one before maintenance makes the schedule."""
    await registered(stage, a_contract(queue="shop"))
    await put_schedule(stage.sql, task={"name": "x", "type": TYPE, "payload": {"to": "a"}})
    await registered(stage, a_contract(queue="billing"))
    await do_requests(scheduler)
    assert (await scheduler.get()).content.queue == "shop"


async def test_what_is_refused_waits_for_no_transaction_that_asks_again(
    scheduler: Scheduler,
) -> None:
    await put_schedule(scheduler.stage.sql, cron="0 0 31 2 *")
    await put_schedule(scheduler.stage.sql, "other")
    async with a_session(scheduler.stage) as mine, mine.transaction():
        await put_schedule(mine)
        async with asyncio.timeout(8):  # a statement may take ten seconds
            await do_requests(scheduler)
        assert await listed(scheduler) == [("other", 1), ("report", 0)]
    await do_requests(scheduler)
    assert await listed(scheduler) == [("other", 1), ("report", 1)]
    assert (await scheduler.get()).request is None


async def test_what_is_asked_for_while_the_same_name_is_done_is_not_lost(
    scheduler: Scheduler,
) -> None:
    sql = scheduler.stage.sql
    await put_schedule(sql)
    await sql.execute(STOP)

    async def is_stopped() -> bool:
        return bool(await sql.fetchval(STOPPED))

    async with a_session(scheduler.stage) as mine, asyncio.TaskGroup() as group:
        await sql.execute("SELECT pg_advisory_lock(4711)")
        group.create_task(put_schedule(mine, every="2 min"))
        await eventually(is_stopped, "its row is not locked yet")
        await do_requests(scheduler)
        await sql.execute("SELECT pg_advisory_unlock(4711)")
    await do_requests(scheduler)
    assert '"PT2M"' in (await scheduler.get()).content.spec


async def test_what_was_refused_is_deleted_when_it_is_old(
    stage: Stage, scheduler: Scheduler
) -> None:
    """What is not done yet is not, however long maintenance was away; nor is a pause that is to be done."""
    await scheduler.put("paused")
    for name in ("old", "young", "paused"):
        await put_schedule(stage.sql, name, cron="0 0 31 2 *")
    await do_requests(scheduler)
    await pause_schedule(stage.sql, "paused")
    await put_schedule(stage.sql, "waits")
    await stage.sql.execute(
        "UPDATE taskmill.schedule_request SET asked_at = asked_at - interval '91 days' WHERE name <> 'young'"
    )
    database = stage.maintenance_database
    assert await schedule_requests.prune(database, 90, 10) == 1
    names = await stage.sql.fetch("SELECT name FROM taskmill.schedule_request ORDER BY name")
    assert [row["name"] for row in names] == ["paused", "waits", "young"]
    await do_requests(scheduler)
    assert await schedule_requests.prune(database, 90, 10) == 1, "its pause is done now"
