"""Only what is settled is acknowledged, dropped or skipped: each test holds up one step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID

import aio_pika
import pytest
from aiormq.channel import Channel
from pamqp.common import FieldTable

from taskmill.amqp.names import EVENTS_EXCHANGE
from taskmill.app import Context
from taskmill.domain.feed import Cursor
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import CreatedTask
from taskmill.intake.inbox import Inbox, MessageBatch
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.feed import a_numbering, all_numbered
from tests.support.feed_delivery import a_delivery, lease_taken
from tests.support.intake import another_database
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.standby import without_its_standby
from tests.support.workers import WorkerOptions, a_worker, in_status


@asynccontextmanager
async def an_inbox(broker_url: str, name: str) -> AsyncIterator[tuple[Inbox, list[MessageBatch]]]:
    """Give an inbox of a real channel, and four messages of it in two batches; the channel ends with the block."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(name, durable=True)
        for number in range(4):
            await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), name)
        driver = cast("Channel", await channel.get_underlay_channel())
        inbox = Inbox(driver, arrived=lambda: None, spoiled=lambda _: None, most_bytes=1_000_000)
        await driver.basic_consume(name, inbox.put)

        async def have_come() -> bool:
            return inbox.messages_held == 4

        await eventually(have_come, "four messages")
        batches = [inbox.take(), inbox.take()]
        yield inbox, [batch for batch in batches if batch is not None]
        # Its response comes after the broker has seen every acknowledgement before it.
        await driver.basic_qos(prefetch_count=10)


async def count_unacknowledged(broker_url: str, name: str) -> int:
    """Count the messages that are not acknowledged; no channel may hold any."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name, passive=True)
        return queue.declaration_result.message_count or 0


async def test_a_batch_is_not_acknowledged_while_one_before_it_is_not_settled(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.intake.inbox._MOST_MESSAGES", 2)
    async with an_inbox(broker_url, "one") as (inbox, (_, later)):
        await inbox.settle(later)
    async with an_inbox(broker_url, "both") as (inbox, (earlier, later)):
        await inbox.settle(later)
        await inbox.settle(earlier)

    async def are_back() -> bool:
        return await count_unacknowledged(broker_url, "one") == 4

    await eventually(are_back, "all four are the broker's again", timeout_s=5)
    assert await count_unacknowledged(broker_url, "both") == 0


async def test_a_repeated_creation_returns_only_after_the_standby_has_the_first(
    stage: Stage,
) -> None:
    """As after a lost response: the first one can be visible here and nowhere else."""
    new = stage.creation.with_ids([a_draft()])
    [first] = await stage.creation.store_each(new)
    async with asyncio.TaskGroup() as group, without_its_standby(stage):
        again = group.create_task(stage.creation.store_each(new))

        async def waits_for_it() -> bool:
            assert not again.done(), "it returned without the standby"
            waiting = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event = 'SyncRep' AND datname = current_database()"
            )
            return bool(await stage.sql.fetchval(waiting))

        await eventually(waits_for_it, "the repetition waits for the standby")
    [found] = again.result()
    assert isinstance(first, CreatedTask)
    assert isinstance(found, CreatedTask)
    assert found.task.id == first.task.id


async def test_an_end_is_written_however_often_that_has_failed(
    stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.worker.recorder._LONGEST_PAUSE_S", 0.01)
    may_end = asyncio.Event()

    async def handler(_: Context) -> str:
        await may_end.wait()
        return "done"

    async with (
        a_network(stage.url) as (network, url),
        another_database(url) as database,
        a_worker(stage, {"*": handler}, WorkerOptions(database=database)),
    ):
        made = await stage.created(max_losses=0)
        await in_status(stage, made.id, Status.IN_PROGRESS)
        network.refuse(refuses=True)
        network.break_all()
        may_end.set()

        async def has_failed_often() -> bool:
            return any(line["failures"] >= 12 for line in log_lines.named("finish.delayed"))

        try:
            await eventually(has_failed_often, "writing the end has failed a dozen times")
        finally:
            network.refuse(refuses=False)
        assert (await in_status(stage, made.id, Status.SUCCEEDED)).result == '"done"'
    await assert_safe(stage.sql)


async def test_the_cursor_of_the_feed_stays_before_what_the_broker_did_not_confirm(
    stage: Stage, broker_url: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._TAKE_LEASE_S", 0.1)
    monkeypatch.setattr("taskmill.relay.feed._FIRST_PAUSE_S", 0.1)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
        full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue("full", durable=True, arguments=full)
        await queue.bind(exchange, "#")
        async with a_numbering(stage.database), a_delivery(stage, broker_url):
            await lease_taken(stage)
            ids = [(await stage.created()).id for _ in range(5)]
            await all_numbered(stage)

            async def was_refused() -> bool:
                return len(log_lines.named("feed.undelivered")) > 2

            await eventually(was_refused, "the broker refuses what the queue has no room for")
            stored_cursor, confirmed = await stored(stage), await depth(channel)
            came: dict[Cursor, None] = {}
            while len(came) < len(ids):
                came[Cursor.parse(await take_message_id(queue))] = None
    assert confirmed < len(ids)
    assert stored_cursor < list(came)[confirmed], "it is behind what the broker had not confirmed"


async def depth(channel: aio_pika.abc.AbstractChannel) -> int:
    queue = await channel.declare_queue("full", passive=True)
    return queue.declaration_result.message_count or 0


async def take_message_id(queue: aio_pika.abc.AbstractQueue) -> str:
    """Take one message out of a queue and return its id."""

    async def take() -> str | None:
        message = await queue.get(no_ack=True, fail=False)
        return None if message is None else message.message_id

    found = await eventually(take, "a change")
    assert found is not None
    return found


async def stored(stage: Stage) -> Cursor:
    row = await stage.sql.fetchrow(
        "SELECT position, ordinal FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"
    )
    assert row is not None
    return Cursor(row["position"], row["ordinal"])


class Waiting:
    """A handler that waits until it is stopped, or the test ends."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.stopped: list[UUID] = []

    async def __call__(self, context: Context) -> None:
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.stopped.append(context.task.id)
            raise


async def test_a_worker_stops_the_tasks_of_a_lease_that_was_closed(stage: Stage) -> None:
    handler = Waiting()
    async with a_worker(stage, {"*": handler}, WorkerOptions(ttl_s=1, grace_s=0.2)) as running:
        await running.has_lease()
        made = await stage.created(max_losses=0)
        await in_status(stage, made.id, Status.IN_PROGRESS)
        await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now()")

        async def is_stopped() -> bool:
            return handler.stopped == [made.id]

        try:
            await eventually(is_stopped, "it was requested to stop", timeout_s=10)
        finally:
            handler.may_end.set()
