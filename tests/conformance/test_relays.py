"""Relays: what they release, how much of it, and that several of them act as one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from taskmill.amqp import topology
from taskmill.amqp.names import HintQueueType, hint_queue_name
from taskmill.amqp.topology import decode_hint
from taskmill.relay import release
from taskmill.storage.database import Database
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.dispatching import (
    Recorder,
    TransportSetup,
    a_hinter,
    a_notifier,
    a_relay,
    all_ended,
    is_released,
    released,
)
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.rabbitmq import Management
from tests.support.safety import assert_safe
from tests.support.stage import SETTINGS, Stage
from tests.support.workers import WorkerOptions, finished


@pytest.fixture
async def transport(stage: Stage, broker_url: str) -> AsyncIterator[TransportSetup]:
    """Workers that use hints; the test runs the relays."""
    async with a_notifier(stage):
        yield TransportSetup(name="rabbitmq", stage=stage, broker_url=broker_url)


async def hinted_tasks(
    broker_url: str, queue: str = "default", task_type: str = "emulate"
) -> list[UUID]:
    """Take all hints out of a queue, and return the tasks that they name, in order."""
    taken = await hints(broker_url, hint_queue_name(queue, task_type))
    return [task_id for hint in taken for task_id in decode_hint(hint.body)]


async def hints(broker_url: str, name: str) -> list[AbstractIncomingMessage]:
    """Take all hints out of a queue."""
    taken = []
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        source = await channel.get_queue(name)
        while (message := await source.get(fail=False)) is not None:
            taken.append(message)
            await message.ack()
    return taken


async def slots(stage: Stage, number: int) -> UUID:
    """Open the lease of a worker that claims nothing."""
    lease_id = await stage.open_lease()
    await stage.sql.execute("UPDATE taskmill.lease SET slots = $1", number)
    return lease_id


@pytest.mark.parametrize(("of_slots", "limit"), [(2, 200), (100, 400)])
async def test_several_relays_share_one_release_limit_and_publish_each_task_once(
    stage: Stage, broker_url: str, of_slots: int, limit: int
) -> None:
    lease_id = await slots(stage, of_slots)
    made = await stage.creation.create_all([a_draft() for _ in range(1500)])
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(a_relay(stage, broker_url)) for _ in range(3)]
        await is_released(stage, limit)
        for _ in range(50):
            for relay in relays:
                relay.wake()
            assert await released(stage) <= limit
        taken = await stage.take(lease_id, 50)
        await is_released(stage, limit)
    ids = await hinted_tasks(broker_url)
    # A relay that connects releases everything again: its hints may duplicate those of the first.
    assert set(ids) <= {one.task.id for one in made}
    assert len(set(ids)) == limit + len(taken)
    assert max(Counter(ids).values()) <= 3


async def test_the_release_limit_has_room_again_as_soon_as_workers_claim(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    assert transport.broker_url
    await stage.creation.create_all([a_draft() for _ in range(1000)])
    async with (
        a_relay(stage, transport.broker_url),
        a_relay(stage, transport.broker_url),
        transport.worker({"*": recorder.quick}),
    ):
        await all_ended(stage)
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_the_most_urgent_are_published_first(stage: Stage, broker_url: str) -> None:
    await slots(stage, 2)
    drafts = [a_draft(priority=n % 10) for n in range(500)]
    async with a_relay(stage, broker_url):
        # Hints that wait for the declaration of their queue may be overtaken.
        first = await stage.created(priority=9)
        await is_released(stage, 1)
        made = [one.task for one in await stage.creation.create_all(drafts)]
        await is_released(stage, 200)
    by_id = {first.id: 9} | {task.id: task.priority for task in made}
    ids = await hinted_tasks(broker_url)
    assert [by_id[task_id] for task_id in ids] == sorted(by_id.values(), reverse=True)[:200]


async def test_a_burst_of_more_urgent_tasks_at_most_doubles_the_release_limit(
    stage: Stage, broker_url: str
) -> None:
    """Behind so many of them, the released tasks of lower priority are not counted."""
    await slots(stage, 2)
    async with a_relay(stage, broker_url) as relay:
        await stage.creation.create_all([a_draft(priority=1) for _ in range(300)])
        await is_released(stage, 200)
        await stage.creation.create_all([a_draft(priority=9) for _ in range(1000)])
        await is_released(stage, 400)
        for _ in range(20):
            relay.wake()
            assert await released(stage) == 400
        urgent = (
            "SELECT count(*) FROM taskmill.dispatch WHERE priority = 9 AND released_at IS NOT NULL"
        )
        assert await stage.sql.fetchval(urgent) == 200


async def test_only_what_is_due_and_can_be_run_is_released(stage: Stage, broker_url: str) -> None:
    await slots(stage, 10)
    await stage.sql.execute("UPDATE taskmill.lease SET types = '{known}', queues = '{a, b}'")
    hour = timedelta(hours=1)
    await stage.created(queue="a", type="strange")
    await stage.created(queue="c", type="known")
    await stage.created(queue="a", type="known", delay=hour)
    await stage.created(queue="a", type="known", expires_at=stage.clock.now() - hour)
    await stage.created(queue="b", type="known")
    await stage.service.set_queue_paused("b", paused=True)
    due = await stage.created(queue="a", type="known")
    async with a_relay(stage, broker_url) as relay:
        await is_released(stage, 1)
        for _ in range(5):
            relay.wake()
            later = await stage.created(queue="a", type="known")
            await _is_marked(stage, later.id)
    assert await released(stage) == 6
    assert (await hinted_tasks(broker_url, "a", "known"))[0] == due.id


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
async def test_hints_are_in_a_queue_of_the_configured_type_and_not_on_disk(
    stage: Stage, broker_url: str, broker_management: Management, queue_type: HintQueueType
) -> None:
    await slots(stage, 10)
    await stage.created()
    name = hint_queue_name("default", "emulate")

    async def probe() -> list[AbstractIncomingMessage]:
        try:
            return await hints(broker_url, name)
        except aio_pika.exceptions.AMQPError:  # as in `_hinted_tasks_once_there`
            return []

    async with a_relay(stage, broker_url, hint_queues=queue_type):
        [hint] = await eventually(probe, "a hint")
    assert hint.delivery_mode == aio_pika.DeliveryMode.NOT_PERSISTENT
    assert (await asyncio.to_thread(broker_management.queues))[name]["type"] == queue_type


async def _is_marked(stage: Stage, task_id: UUID) -> None:
    async def probe() -> bool:
        marked: bool = await stage.sql.fetchval(
            "SELECT released_at IS NOT NULL FROM taskmill.dispatch WHERE task_id = $1", task_id
        )
        return marked

    await eventually(probe, "the mark of a task")


async def test_a_lost_hint_is_published_again_when_its_lifetime_has_passed(
    transport: TransportSetup, stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "HINT_TTL_S", 1.0)
    lease_id = await slots(stage, 10)
    made = await stage.created()
    recorder = Recorder()
    async with a_relay(stage, broker_url):
        await is_released(stage, 1)
        lost = await _hinted_tasks_once_there(broker_url)
        assert lost == [made.id]
        await stage.sql.execute(
            "UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", lease_id
        )
        async with transport.worker({"*": recorder.quick}):
            await finished(stage, made.id)
    assert recorder.runs == {made.id: 1}


async def _hinted_tasks_once_there(broker_url: str) -> list[UUID]:
    async def probe() -> list[UUID]:
        try:
            return await hinted_tasks(broker_url)
        except aio_pika.exceptions.AMQPError:
            # There is no queue yet, or its process has not started (INTERNAL_ERROR, noproc).
            return []

    return await eventually(probe, "a hint")


async def test_a_hint_that_nobody_takes_expires_at_the_broker_too(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {**topology._HINT_ARGUMENTS, "x-message-ttl": 500}
    monkeypatch.setattr(topology, "_HINT_ARGUMENTS", arguments)
    async with a_hinter(broker_url) as hinter:
        await hinter.send([stage.ids()])

        async def is_gone() -> bool:
            return await hinter.unacknowledged() == 0

        await eventually(is_gone, "the hint to die")


async def test_a_hint_queue_that_somebody_deleted_is_created_again(
    transport: TransportSetup, stage: Stage, broker_url: str, broker_management: Management
) -> None:
    recorder = Recorder()
    async with a_relay(stage, broker_url), transport.worker({"*": recorder.quick}):
        await finished(stage, (await stage.created()).id)
        await asyncio.to_thread(
            broker_management.delete_queue, hint_queue_name("default", "emulate")
        )
        await stage.creation.create_all([a_draft() for _ in range(50)])
        await all_ended(stage, timeout_s=5)
    assert set(recorder.runs.values()) == {1}


async def test_a_queue_that_was_declared_otherwise_is_created_again(
    transport: TransportSetup, stage: Stage, broker_url: str
) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(hint_queue_name("default", "emulate"), durable=True)
    recorder = Recorder()
    async with a_relay(stage, broker_url), transport.worker({"*": recorder.quick}):
        await finished(stage, (await stage.created()).id)


async def test_a_relay_outlives_an_outage_of_the_database(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    await slots(stage, 10)
    async with a_network(stage.url) as (network, url):
        database = Database(url, SETTINGS)
        async with a_relay(stage, broker_url, database):
            await stage.created()
            await is_released(stage, 1)
            network.refuse(refuses=True)
            network.break_all()
            await stage.created()

            async def has_failed() -> bool:
                return bool(log_lines.named("release.failed"))

            await eventually(has_failed, "a release to fail")
            network.refuse(refuses=False)
            await is_released(stage, 2)
        await database.close()


async def test_a_release_whose_response_was_lost_is_repeated_when_its_mark_expires(
    transport: TransportSetup, stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is committed, but the relay does not know, and publishes no hints."""
    monkeypatch.setattr(release, "HINT_TTL_S", 1.0)
    recorder = Recorder()
    async with a_network(stage.url) as (network, url):
        database = Database(url, SETTINGS)
        async with (
            a_relay(stage, broker_url, database),
            transport.worker({"*": recorder.quick}) as worker,
        ):
            await worker.has_lease()
            network.lose_response_to("mark the most urgent due tasks")
            made = await stage.created()
            await network.cut.wait()
            await finished(stage, made.id)
        await database.close()
    assert recorder.runs == {made.id: 1}


async def test_a_hinted_claim_whose_response_was_lost_is_handed_back_and_runs(
    transport: TransportSetup, stage: Stage, broker_url: str
) -> None:
    recorder = Recorder()
    async with a_network(stage.url) as (network, url):
        database = Database(url, SETTINGS)
        options = WorkerOptions(database=database)
        async with (
            a_relay(stage, broker_url),
            transport.worker({"*": recorder.quick}, options) as worker,
        ):
            await worker.has_lease()
            network.lose_response_to("a worker takes the tasks that hints name")
            made = await stage.created()
            await network.cut.wait()
            await finished(stage, made.id)
        await database.close()
    assert recorder.runs == {made.id: 1}
    assert (await stage.event_types(made.id))[1:4] == ["claimed", "handed_back", "claimed"]
    await assert_safe(stage.sql)


async def test_a_rebuild_that_fails_when_the_broker_comes_back_is_done_later(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    for _ in range(3):
        await stage.created()
    await stage.sql.execute("UPDATE taskmill.dispatch SET released_at = now()")
    async with a_network(stage.url) as (network, url):
        database = Database(url, SETTINGS)
        network.refuse(refuses=True)
        async with a_relay(stage, broker_url, database) as relay:

            async def has_failed() -> bool:
                return relay.link.is_up and bool(log_lines.named("release.failed"))

            await eventually(has_failed, "the first try to fail")
            network.refuse(refuses=False)

            async def is_rebuilt() -> bool:
                return not await stage.sql.fetchval(
                    "SELECT count(released_at) FROM taskmill.dispatch"
                )

            await eventually(is_rebuilt, "all marks to be removed", timeout_s=8)
        await database.close()
    assert [line["tasks"] for line in log_lines.named("release.rebuilt")] == [3]
