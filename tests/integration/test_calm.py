"""A quiet system looks seldom, and is told of everything that happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from taskmill.domain.lifecycle import Failed, Status
from taskmill.maintenance.lookout import Duties, Lookout
from taskmill.maintenance.rescue import Rescue
from taskmill.runtime.alertness import Alertness
from taskmill.runtime.clock import ManualClock
from taskmill.runtime.periodic import Periodic
from taskmill.storage import changes, duties, minutes
from taskmill.storage.doorbell import CHANGES, Doorbell, DoorbellListener
from taskmill.storage.statements import QUERIES, rings, statement
from tests.support.builders import ERROR
from tests.support.polling import eventually
from tests.support.stage import Stage

LONG = timedelta(hours=1)


@asynccontextmanager
async def a_listener(stage: Stage) -> AsyncIterator[tuple[Alertness, ManualClock]]:
    """An alertness that a listener keeps, which hears, and is calm as soon as its clock is moved on."""
    clock = ManualClock(stage.clock.now())
    alertness, stop = Alertness(clock), asyncio.Event()
    listener = DoorbellListener(
        stage.database, lambda: None, also={CHANGES: lambda: None}, alertness=alertness
    )

    async def is_calm() -> bool:
        return alertness.is_calm

    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run(stop))
        clock.advance(LONG)
        await eventually(is_calm, "it to hear itself")
        try:
            yield alertness, clock
        finally:
            stop.set()


@asynccontextmanager
async def a_bell(stage: Stage) -> AsyncIterator[None]:
    """Have what happens on the stage be told, as processes do."""
    stop = asyncio.Event()
    bell = Doorbell(stage.database, channel=CHANGES, pause_s=0.01)
    stage.database.tells(bell.ring)
    async with asyncio.TaskGroup() as group:
        group.create_task(bell.run(stop))
        try:
            yield
        finally:
            stop.set()


async def roused(alertness: Alertness) -> None:
    async def is_alert() -> bool:
        return not alertness.is_calm

    await eventually(is_alert, "the calm to end")


async def test_whatever_happens_to_a_task_ends_the_calm_of_others(stage: Stage) -> None:
    lease = await stage.open_lease()
    task = await stage.created()
    async with a_listener(stage) as (alertness, clock), a_bell(stage):
        [taken] = await eventually(lambda: stage.take(lease), "the task to be due")
        await roused(alertness)
        for happens in (
            stage.end(taken, lease, Failed(error=ERROR)),
            stage.service.retry(task.id),
            stage.service.set_queue_paused(task.queue, paused=True),
            stage.service.cancel(task.id),
        ):
            clock.advance(LONG)
            assert alertness.is_calm
            await happens
            await roused(alertness)


async def test_who_can_hear_no_more_is_not_calm_until_it_hears_again(stage: Stage) -> None:
    async with a_listener(stage) as (alertness, _):
        woken = asyncio.Event()
        alertness.wakes(woken.set)
        await stage.sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN %' AND datname = current_database()"
        )
        async with asyncio.timeout(15):
            await woken.wait()

        async def is_calm() -> bool:
            return alertness.is_calm

        await eventually(is_calm, "it to hear itself again")


async def test_who_follows_the_feed_is_told_when_changes_have_their_numbers(stage: Stage) -> None:
    told: list[int] = []
    number = changes.Numbering(stage.database, lambda: told.append(1))
    await number(10)
    assert told == []
    await stage.created()
    await number(10)
    await number(10)
    assert told == [1]


def test_all_that_changes_tasks_rings() -> None:
    writes = {
        file.stem
        for file in QUERIES.glob("*.sql")
        if "INTO taskmill.change_batch" in file.read_text()
    }
    # It runs in transactions of its callers, which ring when these have committed.
    writes -= {"create_tasks"}
    assert len(writes) > 5
    assert {name for name in writes if not rings(name)} == set()
    assert not rings("find_lanes")
    assert "pg_notify" not in "".join(map(statement, writes))


async def heard_of_door(stage: Stage, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Create a task through the SQL door, and tell whether that rang."""
    heard = []
    await connection.add_listener("taskmill_dispatch", lambda *_: heard.append(1))
    await stage.sql.execute("SELECT taskmill.create_task(name => 'a task')")
    await connection.execute("SELECT pg_notify('taskmill_test', '')")
    # Notifications come in the order of their commits.
    marked = asyncio.Event()
    await connection.add_listener("taskmill_test", lambda *_: marked.set())
    await connection.execute("SELECT pg_notify('taskmill_test', '')")
    async with asyncio.timeout(15):
        await marked.wait()
    await connection.reset()
    return bool(heard)


async def test_the_sql_door_rings_when_nothing_has_happened_lately(stage: Stage) -> None:
    connection = await asyncpg.connect(stage.url)
    try:
        assert await heard_of_door(stage, connection), "nothing has ever happened"
        await stage.sql.execute("UPDATE taskmill.change_batch SET at = now() + interval '1 day'")
        assert not await heard_of_door(stage, connection), "others look often now"
        await stage.sql.execute("UPDATE taskmill.change_batch SET at = now() - interval '2 s'")
        assert await heard_of_door(stage, connection)
    finally:
        await connection.close()


def a_lookout(stage: Stage, clock: ManualClock, rounds: list[str]) -> tuple[Lookout, Duties]:
    def duty(name: str) -> Periodic:
        async def note() -> None:
            rounds.append(name)

        return Periodic(name, note, interval_s=0.001, on_demand=True)

    wanted = Duties(**{name: duty(name) for name in Duties.__slots__})
    rescue = Rescue(stage.database, ttl_s=1, interval_s=1, name="rescue", clock=clock)
    return Lookout(stage.database, rescue, wanted, look_s=0.5), wanted


TROUBLES = {
    "rescue": "INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at) "
    "VALUES (gen_random_uuid(), 'w', '{}', '{*}', 1, now() - interval '1 s')",
    "fold_counts": "INSERT INTO taskmill.task_count (queue, status, tasks) "
    "VALUES ('q', 'new', 1), ('q', 'new', 1)",
    "fold_failures": "INSERT INTO taskmill.failure_delta (type, error, task_id) "
    "VALUES ('t', 'e', gen_random_uuid())",
    "roll_up": "INSERT INTO taskmill.task_minute_delta (queue, type, happening, tasks) "
    "VALUES ('q', 't', 'created', 1)",
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_duty_is_done_when_it_has_something_to_do_and_no_other(
    stage: Stage, name: str
) -> None:
    rounds: list[str] = []
    lookout, wanted = a_lookout(stage, ManualClock(stage.clock.now()), rounds)
    stop = asyncio.Event()

    async def is_done() -> bool:
        return bool(rounds)

    async with asyncio.TaskGroup() as group:
        for duty in wanted.all():
            group.create_task(duty.run(stop))
        await lookout()
        await lookout()
        await stage.sql.execute(TROUBLES[name])
        assert rounds == []
        await lookout()
        await eventually(is_done, "the duty to be done")
        assert set(rounds) == {name}
        stop.set()


async def test_what_expires_soon_is_expired_in_time_without_another_look(stage: Stage) -> None:
    rounds: list[str] = []
    lookout, wanted = a_lookout(stage, ManualClock(stage.clock.now()), rounds)
    task = await stage.created(expires_at=stage.clock.now() + timedelta(seconds=0.3))
    assert (await stage.task(task.id)).status is Status.NEW
    stop = asyncio.Event()

    async def is_done() -> bool:
        return "expiry" in rounds

    async with asyncio.TaskGroup() as group:
        group.create_task(wanted.expiry.run(stop))
        await lookout()
        await eventually(is_done, "the task to be expired")
        stop.set()


async def test_the_look_finds_what_the_duties_find(stage: Stage) -> None:
    assert await duties.find(stage.database) == (False, False, None, False, False, False)
    await stage.sql.execute(TROUBLES["roll_up"])
    await minutes.roll_up(stage.database)
    assert not (await duties.find(stage.database)).roll_up
    await stage.sql.execute("UPDATE taskmill.task_minute SET at = at - interval '1 h'")
    found = await duties.find(stage.database)
    assert (found.roll_up, found.fold_counts) == (True, False)
    await stage.sql.execute("DELETE FROM taskmill.task_minute")
    task = await stage.created()
    lease = await stage.open_lease()
    await eventually(lambda: stage.take(lease), "the task to be due")
    assert not (await duties.find(stage.database)).rescue
    await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", lease)
    assert (await duties.find(stage.database)).rescue
    assert (await stage.task(task.id)).status is Status.IN_PROGRESS
