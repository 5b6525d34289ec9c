"""How a worker's claims are chosen and timed without a broker."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from taskmill.app import Context
from taskmill.domain.task import Task
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.settings import DatabaseSettings
from taskmill.storage.notifier import NotificationListener, Notifier
from taskmill.transports.postgres import PostgresTransport
from taskmill.wire.hints import Hint, encode_hint
from taskmill.worker.handlers import Handlers
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.clocks import ManualClock
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_transport


async def _handler(_: Context) -> None:
    return None


ALL = Handlers({"*": _handler})


def transport_of(
    stage: Stage,
    *,
    poll_s: float = 0.05,
    queues: tuple[str, ...] = (),
    idle_backoff: IdleBackoff | None = None,
) -> PostgresTransport:
    options = WorkerOptions(poll_s=poll_s)
    return a_transport(stage, ALL, options, queues=queues, idle_backoff=idle_backoff)


async def test_the_most_urgent_tasks_come_first_over_all_queues(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    for queue, priority in (("a", 1), ("b", 9), ("c", 5), ("a", 9), ("b", 1)):
        await stage.created(queue=queue, priority=priority)
    order = []
    while taken := await transport.take(lease, 1):
        order += [one.task.priority for one in taken]
    assert order == [9, 9, 5, 1, 1]


async def test_equal_buckets_are_claimed_alternately(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    await stage.creation.create_all([a_draft(queue=queue) for queue in "ab" for _ in range(100)])
    taken: Counter[str] = Counter()
    for _ in range(60):
        taken.update(one.task.queue for one in await transport.take(lease, 1))
    assert min(taken["a"], taken["b"]) >= 10, "one in six, with 30 expected"


async def test_a_worker_of_some_queues_takes_nothing_from_others(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage, queues=("mine",))
    await stage.created(queue="other")
    await stage.created(queue="mine")
    assert [one.task.queue for one in await transport.take(lease, 10)] == ["mine"]
    assert await transport.take(lease, 10) == []


async def test_a_worker_of_some_types_takes_no_others(stage: Stage) -> None:
    lease = await stage.open_lease()
    transport = a_transport(stage, Handlers({"mine": _handler}), WorkerOptions())
    await stage.created(type="other")
    await stage.created(type="mine")
    assert [one.task.type for one in await transport.take(lease, 10)] == ["mine"]


async def test_full_claims_walk_on_and_still_find_what_came_late(stage: Stage) -> None:
    """Rows that are due before the start of the next claim are found at the latest when the bucket is drained."""
    lease, transport = await stage.open_lease(), transport_of(stage)
    hour = timedelta(hours=1)
    now = stage.clock.now()
    for n in range(10):
        await stage.created(name=f"early {n}", run_at=now - hour + timedelta(seconds=10 * n))
    assert [t.task.name for t in await transport.take(lease, 6)] == [f"early {n}" for n in range(6)]
    await stage.created(name="late", run_at=now - 2 * hour)
    rest = [t.task.name for _ in range(4) for t in await transport.take(lease, 2)]
    assert sorted(rest) == sorted([f"early {n}" for n in range(6, 10)] + ["late"])


async def test_what_was_due_before_the_start_of_a_bucket_is_found_while_claims_are_full(
    stage: Stage,
) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    now = stage.clock.now()
    for n in range(20):
        await stage.created(name=f"early {n}", run_at=now - timedelta(minutes=20 - n))
    await transport.take(lease, 5)
    await stage.created(name="late", run_at=now - timedelta(hours=2))
    assert [t.task.name for t in await transport.take(lease, 1)] == ["early 5"]
    transport._buckets_read_at -= 1
    assert [t.task.name for t in await transport.take(lease, 1)] == ["late"]


def hint_of(task: Task) -> str:
    """Return what a notification says of a task that was created alone."""
    hint = Hint(queue=task.queue, type=task.type, priority=task.priority, run_at=task.run_at)
    return encode_hint(hint).decode()


async def test_a_hint_of_one_task_has_it_claimed_without_a_scan(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    assert await transport.take(lease, 10) == []
    made = await stage.created()
    transport._scan_duty.charge(1e6)
    transport.on_notification(hint_of(made))
    await transport.wait()
    assert [one.task.id for one in await transport.take(lease, 10)] == [made.id]
    assert not transport.has_scanned


async def test_a_hint_of_an_earlier_task_moves_the_start_of_its_bucket_back(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    hour = timedelta(hours=1)
    await stage.created()
    assert len(await transport.take(lease, 1)) == 1
    early = await stage.created(run_at=stage.clock.now() - hour)
    transport._scan_duty.charge(1e6)
    transport.on_notification(hint_of(early))
    assert [one.task.id for one in await transport.take(lease, 1)] == [early.id]


async def test_a_hint_does_not_go_before_what_is_known_to_be_more_urgent(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    for _ in range(2):
        await stage.created(priority=9)
    assert [one.task.priority for one in await transport.take(lease, 1)] == [9]
    transport.on_notification(hint_of(await stage.created(priority=1)))
    assert [one.task.priority for one in await transport.take(lease, 1)] == [9]
    assert [one.task.priority for one in await transport.take(lease, 1)] == [1]


async def test_a_hint_of_what_it_does_not_serve_wakes_nobody(stage: Stage) -> None:
    only_some = a_transport(stage, Handlers({"mine": _handler}), WorkerOptions(), queues=("mine",))
    for alien in (
        await stage.created(queue="mine", type="other"),
        await stage.created(queue="other", type="mine"),
    ):
        only_some.on_notification(hint_of(alien))
    assert not only_some._woken.is_set()
    only_some.on_notification("")
    assert only_some._woken.is_set()


async def test_an_empty_take_without_a_scan_does_not_mean_that_nothing_is_due(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    await stage.created()
    transport._scan_duty.charge(8)
    assert await transport.take(lease, 10) == []
    assert not transport.has_scanned
    transport._scan_duty.charge(-8)
    assert len(await transport.take(lease, 10)) == 1
    assert await transport.take(lease, 10) == []
    assert transport.has_scanned


async def test_after_a_slow_scan_a_wake_still_claims_from_known_buckets(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage, poll_s=30)
    await stage.created(name="first")
    assert len(await transport.take(lease, 10)) == 1
    assert await transport.take(lease, 10) == []
    transport._scan_duty.charge(8)
    await stage.created(name="second")
    transport.wake()
    assert [t.task.name for t in await transport.take(lease, 10)] == ["second"]


async def test_where_no_bucket_was_known_a_slow_scan_is_repeated_soon(
    stage: Stage,
) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    assert await transport.take(lease, 10) == []
    transport._scan_duty.charge(8)
    began = stage.clock.monotonic()
    await stage.created()
    transport.wake()
    assert await transport.take(lease, 10) == []
    async with asyncio.timeout(10):
        while not await transport.take(lease, 10):
            await transport.wait()
    assert stage.clock.monotonic() - began < 2.5


async def test_a_worker_that_may_not_scan_yet_does_not_pause_like_an_idle_one(stage: Stage) -> None:
    clock = ManualClock(stage.clock.now())
    idle_backoff = IdleBackoff(clock, idle_pause_s=30)
    idle_backoff.set_notified(is_notified=True)
    clock.advance(timedelta(hours=1))
    transport = transport_of(stage, idle_backoff=idle_backoff)
    lease = await stage.open_lease()
    transport._scan_duty.charge(8)
    assert idle_backoff.is_idle
    assert await transport.take(lease, 10) == []
    async with asyncio.timeout(5):
        await transport.wait()


async def test_a_scan_that_has_become_slow_is_not_done_for_each_claim(stage: Stage) -> None:
    """As while an old snapshot keeps deleted rows in the index."""
    lease, transport = await stage.open_lease(), transport_of(stage)
    now = stage.clock.now()
    for n in range(4):
        await stage.created(name=f"early {n}", run_at=now - timedelta(minutes=20 - n))
    assert len(await transport.take(lease, 10)) == 4
    transport._scan_duty.charge(1)
    await stage.created(name="late", run_at=now - timedelta(hours=2))
    await stage.created(name="another bucket", queue="another")
    await stage.created(name="now")
    transport.wake()
    assert [t.task.name for t in await transport.take(lease, 10)] == ["now"]
    transport._scan_duty.charge(-1)
    assert {t.task.name for t in await transport.take(lease, 10)} == {"late", "another bucket"}


async def test_no_claim_reads_what_was_deleted_before_its_scan(stage: Stage) -> None:
    """Also for a new worker, and one whose tasks others took: claims begin where the scan has found something."""
    lease, transport = await stage.open_lease(), transport_of(stage)
    now = stage.clock.now()
    await stage.created(name="first", run_at=now - timedelta(hours=2))
    await stage.created(name="next", run_at=now - timedelta(hours=1))
    await stage.take(lease, limit=1)
    assert len(await transport.take(lease, 1)) == 1
    [start] = transport._starts.values()
    assert start.run_at == now - timedelta(hours=1)
    assert await transport.take(lease, 1) == []
    [start] = transport._starts.values()
    assert start.run_at > now - timedelta(seconds=5)


async def test_a_scan_that_times_out_does_not_block_known_buckets(
    stage: Stage, log_lines: LogLines
) -> None:
    lease = await stage.open_lease()
    hasty = RoleDatabase(stage.url, DatabaseSettings(statement_timeout_s=1))
    transport = a_transport(stage, ALL, WorkerOptions(database=hasty))
    await stage.created(name="first")
    assert len(await transport.take(lease, 10)) == 1
    await stage.created(name="second")
    transport.wake()
    other = await stage.database.connect()
    await other.execute("BEGIN; LOCK taskmill.dispatch IN ACCESS EXCLUSIVE MODE")
    try:
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(transport.take(lease, 10))
            await eventually(partial(has_given_up, log_lines), "the scan to be given up")
            await other.execute("ROLLBACK")
        assert [t.task.name for t in taking.result()] == ["second"]
    finally:
        await other.close()
        await hasty.close()


async def has_given_up(log_lines: LogLines) -> bool:
    return bool(log_lines.named("buckets.unread"))


async def test_a_paused_queue_is_skipped_and_claimed_again_when_resumed(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage)
    await stage.creation.create_all([a_draft(queue="a") for _ in range(4)])
    assert len(await transport.take(lease, 1)) == 1
    await stage.service.set_queue_paused("a", paused=True)
    assert await transport.take(lease, 1) == []
    await stage.service.set_queue_paused("a", paused=False)
    assert len(await transport.take(lease, 10)) == 3


async def test_a_scheduled_task_ends_the_wait_when_it_is_due(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage, poll_s=30)
    made = await stage.created(delay=timedelta(milliseconds=300))
    assert await transport.take(lease, 10) == []
    async with asyncio.timeout(5):
        while not (taken := await transport.take(lease, 10)):
            await transport.wait()
    assert taken[0].waited_s < 0.2
    assert taken[0].run_at == made.run_at


async def test_waking_ends_a_wait_and_also_the_next_one(stage: Stage) -> None:
    transport = transport_of(stage, poll_s=30)
    lease = await stage.open_lease()
    await transport.take(lease, 1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(transport.wait())
        await asyncio.sleep(0)
        transport.wake()
        await waiting
    await transport.take(lease, 1)
    transport.wake()
    async with asyncio.timeout(5):
        await transport.wait()


async def test_buckets_that_were_tried_in_vain_are_not_retried_in_a_hurry(stage: Stage) -> None:
    lease, transport = await stage.open_lease(), transport_of(stage, poll_s=0.2)
    await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    held = await stage.created()
    other = await stage.database.connect()
    await other.execute("BEGIN")
    await other.execute("SELECT FROM taskmill.dispatch WHERE task_id = $1 FOR UPDATE", held.id)
    began, rounds = stage.clock.monotonic(), 0
    while stage.clock.monotonic() - began < 0.5:
        assert await transport.take(lease, 10) == []
        await transport.wait()
        rounds += 1
    assert rounds <= 4
    await other.execute("ROLLBACK")
    await other.close()
    assert [one.task.id for one in await transport.take(lease, 10)] == [held.id]


async def test_a_notification_wakes_all_listeners(stage: Stage) -> None:
    notified = [0, 0]
    notifier, stop = Notifier(stage.database), asyncio.Event()

    def count_one(number: int, _: str) -> None:
        notified[number] += 1

    listeners = [
        NotificationListener(stage.database, partial(count_one, number)) for number in (0, 1)
    ]
    async with asyncio.TaskGroup() as group:
        group.create_task(notifier.run(stop))
        for listener in listeners:
            group.create_task(listener.run(stop))
        await eventually(_all_above(notified, 0), "all to listen")
        before = min(notified)
        for _ in range(100):
            notifier.notify()
        await eventually(_all_above(notified, before), "all to be notified")
        assert max(notified) < 20, "notifications in one moment become one"
        stop.set()


def _all_above(notified: list[int], least: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return min(notified) > least

    return probe


async def test_a_listener_listens_again_after_its_connection_broke(stage: Stage) -> None:
    notified, stop = [0], asyncio.Event()

    def count_one(_: str) -> None:
        notified[0] += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(NotificationListener(stage.database, count_one).run(stop))
        await eventually(_all_above(notified, 0), "the listener to listen")
        await stage.sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN %' AND datname = current_database()"
        )
        await eventually(_all_above(notified, 1), "the listener to listen again")
        await stage.sql.execute("SELECT pg_notify('taskmill_dispatch', '')")
        await eventually(_all_above(notified, 2), "the listener to be notified")
        stop.set()
