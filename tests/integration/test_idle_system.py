"""An idle system polls seldom, and is notified of every change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Failed, Status
from taskmill.maintenance.duty_trigger import Duties, DutyTrigger
from taskmill.maintenance.firing import TickTimer
from taskmill.maintenance.rescue import Rescue
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import Periodic
from taskmill.settings import DatabaseSettings
from taskmill.storage import changes, claims, duties, minutes
from taskmill.storage.bucket_scan import BucketScan
from taskmill.storage.claims import Bucket, BucketStart
from taskmill.storage.notifier import CHANGES, NotificationListener, Notifier
from taskmill.storage.rights import MAINTENANCE
from taskmill.storage.statements import QUERIES, notifies, statement
from tests.support.api import LogLines
from tests.support.builders import ERROR
from tests.support.clocks import ManualClock
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import Stage

LONG = timedelta(hours=1)


@asynccontextmanager
async def a_listener(stage: Stage) -> AsyncIterator[tuple[IdleBackoff, ManualClock]]:
    """A listener's `IdleBackoff`, which is notified, and idle as soon as its clock is moved on."""
    clock = ManualClock(stage.clock.now())
    idle_backoff, stop = IdleBackoff(clock), asyncio.Event()
    listener = NotificationListener(
        stage.database, lambda _: None, also={CHANGES: lambda: None}, idle_backoff=idle_backoff
    )

    async def is_idle() -> bool:
        return idle_backoff.is_idle

    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run(stop))
        clock.advance(LONG)
        await eventually(is_idle, "it to be notified by itself")
        try:
            yield idle_backoff, clock
        finally:
            stop.set()


@asynccontextmanager
async def a_notifier(stage: Stage) -> AsyncIterator[None]:
    """Notify of commits on the stage, as processes do."""
    stop = asyncio.Event()
    notifier = Notifier(stage.database, channel=CHANGES, pause_s=0.01)
    stage.database.on_commit(notifier.notify)
    async with asyncio.TaskGroup() as group:
        group.create_task(notifier.run(stop))
        try:
            yield
        finally:
            stop.set()


async def woken_up(idle_backoff: IdleBackoff) -> None:
    async def is_alert() -> bool:
        return not idle_backoff.is_idle

    await eventually(is_alert, "the idle process to wake")


async def test_every_change_of_a_task_wakes_idle_processes(stage: Stage) -> None:
    lease = await stage.open_lease()
    task = await stage.created()
    async with a_listener(stage) as (idle_backoff, clock), a_notifier(stage):
        [taken] = await eventually(lambda: stage.take(lease), "the task to be due")
        await woken_up(idle_backoff)
        for change in (
            stage.end(taken, lease, Failed(error=ERROR)),
            stage.service.retry(task.id),
            stage.service.set_queue_paused(task.queue, paused=True),
            stage.service.cancel(task.id),
        ):
            clock.advance(LONG)
            assert idle_backoff.is_idle
            await change
            await woken_up(idle_backoff)


async def test_a_listener_that_lost_its_connection_is_not_idle_until_it_is_notified_again(
    stage: Stage,
) -> None:
    async with a_listener(stage) as (idle_backoff, _):
        woken = asyncio.Event()
        idle_backoff.on_wake(woken.set)
        await stage.sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN %' AND datname = current_database()"
        )
        async with asyncio.timeout(15):
            await woken.wait()

        async def is_idle() -> bool:
            return idle_backoff.is_idle

        await eventually(is_idle, "it to be notified by itself again")


async def test_numbering_reports_when_changes_have_their_numbers(stage: Stage) -> None:
    reported: list[int] = []
    number = changes.Numbering(stage.maintenance_database, lambda: reported.append(1))
    await number(10)
    assert reported == []
    await stage.created()
    await number(10)
    await number(10)
    assert reported == [1]


async def test_a_notification_that_failed_is_sent_later(stage: Stage, log_lines: LogLines) -> None:
    notified, stop = asyncio.Event(), asyncio.Event()
    busy = RoleDatabase(stage.url, DatabaseSettings(pool_size=1, connect_timeout_s=0.1))
    notifier = Notifier(busy, channel=CHANGES, pause_s=0.01)

    async def has_failed() -> bool:
        return bool(log_lines.named("notifier.failed"))

    await stage.sql.add_listener(CHANGES, lambda *_: notified.set())
    async with asyncio.TaskGroup() as group:
        group.create_task(notifier.run(stop))
        async with busy.hot():
            notifier.notify()
            await eventually(has_failed, "the notification to fail")
        async with asyncio.timeout(15):
            await notified.wait()
        stop.set()
    await stage.sql.reset()
    await busy.close()


async def test_others_are_notified_of_a_change_whose_result_was_lost(stage: Stage) -> None:
    """It is unknown then whether it was made."""
    reported: list[str] = []
    lease = await stage.open_lease()
    hasty = RoleDatabase(stage.url, DatabaseSettings(statement_timeout_s=0.2))
    hasty.on_commit(lambda: reported.append("change"))
    async with locked(stage, "dispatch"):
        with pytest.raises(Unavailable):
            await BucketScan().scan(hasty)
        assert reported == []
        with pytest.raises(Unavailable):
            await claims.take(
                hasty,
                lease_id=lease,
                worker="w",
                buckets=[(Bucket(queue="q", type="t", priority=4), BucketStart())],
                limit=1,
            )
        assert reported == ["change"]
    await hasty.close()


def test_all_statements_that_change_tasks_notify() -> None:
    writes = {
        file.stem
        for file in QUERIES.glob("*.sql")
        if "INTO taskmill.change_batch" in file.read_text()
    }
    # It runs in transactions of its callers, which notify after the commit.
    writes -= {"create_tasks"}
    assert len(writes) > 5
    assert {name for name in writes if not notifies(name)} == set()
    assert not notifies("find_buckets")
    assert "pg_notify" not in "".join(map(statement, writes))


async def is_notified_by_sql(
    stage: Stage, connection: "asyncpg.Connection[asyncpg.Record]"
) -> bool:
    """Create a task with `create_task`, and return whether that notified."""
    notifications = []
    await connection.add_listener("taskmill_dispatch", lambda *_: notifications.append(1))
    await stage.sql.execute("SELECT taskmill.create_task(name => 'a task')")
    await connection.execute("SELECT pg_notify('taskmill_test', '')")
    # Notifications come in the order of their commits.
    marked = asyncio.Event()
    await connection.add_listener("taskmill_test", lambda *_: marked.set())
    await connection.execute("SELECT pg_notify('taskmill_test', '')")
    async with asyncio.timeout(15):
        await marked.wait()
    await connection.reset()
    return bool(notifications)


async def test_create_task_notifies_when_nothing_has_changed_lately(stage: Stage) -> None:
    connection = await asyncpg.connect(stage.url)
    try:
        assert await is_notified_by_sql(stage, connection), "nothing has ever changed"
        await stage.sql.execute("UPDATE taskmill.change_batch SET at = now() + interval '1 day'")
        assert not await is_notified_by_sql(stage, connection), "others poll often now"
        await stage.sql.execute("UPDATE taskmill.change_batch SET at = now() - interval '2 s'")
        assert await is_notified_by_sql(stage, connection)
    finally:
        await connection.close()


async def test_create_task_does_not_read_all_that_others_have_not_committed(
    stage: Stage,
) -> None:
    connection, other = await asyncpg.connect(stage.url), await asyncpg.connect(stage.url)
    begins = (
        "INSERT INTO taskmill.change_batch (task_ids, versions) "
        "SELECT '{}', '{}' FROM generate_series(1, $1::integer)"
    )
    try:
        await stage.created()
        ages = "UPDATE taskmill.change_batch SET at = now() - interval '2 s'"
        await stage.sql.execute(ages)
        await other.execute("BEGIN")
        await other.execute(begins, 100)
        assert await is_notified_by_sql(stage, connection), "the newest change is old"
        await stage.sql.execute(ages)
        await other.execute(begins, 200)
        assert not await is_notified_by_sql(stage, connection), (
            "many changes in flight mean a busy system"
        )
    finally:
        await connection.close()
        await other.close()


def a_duty_trigger(
    stage: Stage, clock: ManualClock, rounds: list[str]
) -> tuple[DutyTrigger, Duties]:
    def duty(name: str) -> Periodic:
        async def record() -> None:
            rounds.append(name)

        return Periodic(name, record, interval_s=0.001, on_demand=True)

    wanted = Duties(**{name: duty(name) for name in Duties.__slots__})
    rescue = Rescue(stage.maintenance_database, ttl_s=1, interval_s=1, name="rescue", clock=clock)
    timer = TickTimer()
    timer.wake = wanted.fire_schedules.wake
    trigger = DutyTrigger(
        stage.maintenance_database, rescue, wanted, timer, interval_s=0.5, clock=clock
    )
    return trigger, wanted


WORK = {
    "rescue": "INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at) "
    "VALUES (gen_random_uuid(), 'w', '{}', '{*}', 1, now() - interval '1 s')",
    "fold_counts": "INSERT INTO taskmill.task_count (queue, status, tasks) "
    "VALUES ('q', 'new', 1), ('q', 'new', 1)",
    "fold_failures": "INSERT INTO taskmill.failure_delta (type, error, task_id) "
    "VALUES ('t', 'e', gen_random_uuid())",
    "fire_schedules": "INSERT INTO taskmill.schedule_cursor (schedule_id, cursor_at, next_at, tz_version) "
    "VALUES (1, now(), now(), '')",
    "roll_up": "INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks) "
    "VALUES ('q', 't', 'created', 1)",
}


@pytest.mark.parametrize("name", WORK)
async def test_a_duty_is_done_when_it_has_something_to_do_and_no_other(
    stage: Stage, name: str
) -> None:
    rounds: list[str] = []
    duty_trigger, wanted = a_duty_trigger(stage, ManualClock(stage.clock.now()), rounds)
    stop = asyncio.Event()

    async def is_done() -> bool:
        return bool(rounds)

    async with asyncio.TaskGroup() as group:
        for duty in wanted.all():
            group.create_task(duty.run(stop))
        await duty_trigger()
        await duty_trigger()
        await stage.sql.execute(WORK[name])
        assert rounds == []
        await duty_trigger()
        await eventually(is_done, "the duty to be done")
        assert set(rounds) == {name}
        stop.set()


async def test_what_expires_soon_is_expired_in_time_without_another_round(stage: Stage) -> None:
    rounds: list[str] = []
    duty_trigger, wanted = a_duty_trigger(stage, ManualClock(stage.clock.now()), rounds)
    task = await stage.created(expires_at=stage.clock.now() + timedelta(seconds=0.3))
    assert (await stage.task(task.id)).status is Status.NEW
    stop = asyncio.Event()

    async def is_done() -> bool:
        return "expiry" in rounds

    async with asyncio.TaskGroup() as group:
        group.create_task(wanted.expiry.run(stop))
        await duty_trigger()
        await eventually(is_done, "the task to be expired")
        stop.set()


@asynccontextmanager
async def locked(stage: Stage, table: str) -> AsyncIterator[None]:
    """Have another session hold a lock that keeps everybody from reading a table."""
    other = await asyncpg.connect(stage.url)
    try:
        await other.execute(f"BEGIN; LOCK taskmill.{table} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        other.terminate()


async def test_tasks_are_taken_back_also_while_the_duty_trigger_fails(stage: Stage) -> None:
    """However long it fails: rescue closes leases once the database was reachable for a whole time to live."""
    lease = await stage.open_lease(ttl_s=1)
    task = (await stage.running(lease)).task
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now() - interval '1 s'")
    impatient = DatabaseSettings(statement_timeout_s=0.3)
    hasty = RoleDatabase(stage.url, impatient, role=MAINTENANCE)
    rescue = Rescue(
        stage.maintenance_database, ttl_s=1, interval_s=1, name="rescue", clock=stage.clock
    )
    _, wanted = a_duty_trigger(stage, ManualClock(stage.clock.now()), [])
    wanted = replace(wanted, rescue=Periodic("rescue", rescue, interval_s=0.01, on_demand=True))
    duty_trigger = DutyTrigger(
        hasty, rescue, wanted, TickTimer(), interval_s=0.1, clock=stage.clock
    )
    stop = asyncio.Event()

    async def is_taken_back() -> bool:
        return (await stage.task(task.id)).status is Status.NEW

    async with locked(stage, "task_minute"), asyncio.TaskGroup() as group:
        group.create_task(
            Periodic("duty_trigger", duty_trigger, interval_s=0.05, longest_s=0.1).run(stop)
        )
        group.create_task(wanted.rescue.run(stop))
        await eventually(is_taken_back, "the task to be taken back")
        stop.set()
    await hasty.close()


async def test_a_duty_trigger_without_a_result_holds_up_no_duty(stage: Stage) -> None:
    rounds: list[str] = []
    clock, stop = ManualClock(stage.clock.now()), asyncio.Event()
    duty_trigger, wanted = a_duty_trigger(stage, clock, rounds)

    async def are_done() -> bool:
        return set(rounds) == set(Duties.__slots__)

    async with asyncio.TaskGroup() as group:
        for duty in wanted.all():
            group.create_task(duty.run(stop))
        async with locked(stage, "task_minute"):
            round_ = group.create_task(duty_trigger())
            await eventually(are_done, "all duties to be done")
            assert not round_.done()
            clock.advance(timedelta(seconds=0.2))
        await round_
        assert duty_trigger.min_pause_s == pytest.approx(1.8)
        stop.set()


async def test_the_duty_trigger_finds_only_what_expires_soon(stage: Stage) -> None:
    await stage.created(expires_at=stage.clock.now() + timedelta(seconds=30))
    assert (await duties.find(stage.maintenance_database, soon_s=3)).expires_in_s is None
    expires_in_s = (await duties.find(stage.maintenance_database, soon_s=60)).expires_in_s
    assert expires_in_s == pytest.approx(30, abs=15)


async def test_the_duty_trigger_finds_what_the_duties_find(stage: Stage) -> None:
    nothing = (False, False, None, False, False, False, None, False)
    assert tuple(await duties.find(stage.maintenance_database, soon_s=1)) == nothing
    await stage.sql.execute(WORK["roll_up"])
    await minutes.roll_up(stage.maintenance_database)
    assert not (await duties.find(stage.maintenance_database, soon_s=1)).roll_up
    await stage.sql.execute("UPDATE taskmill.task_minute SET at = at - interval '1 h'")
    found = await duties.find(stage.maintenance_database, soon_s=1)
    assert (found.roll_up, found.fold_counts) == (True, False)
    await stage.sql.execute("DELETE FROM taskmill.task_minute")
    task = await stage.created()
    lease = await stage.open_lease()
    await eventually(lambda: stage.take(lease), "the task to be due")
    assert not (await duties.find(stage.maintenance_database, soon_s=1)).rescue
    await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", lease)
    assert (await duties.find(stage.maintenance_database, soon_s=1)).rescue
    assert (await stage.task(task.id)).status is Status.IN_PROGRESS
