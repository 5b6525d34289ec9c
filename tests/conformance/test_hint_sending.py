"""What the relay sends hints about, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from taskmill.amqp.names import HINTS
from taskmill.observability import metrics
from taskmill.relay import hinting
from taskmill.wire.hints import Hint, decode_hint
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.dispatching import Recorder, TransportSetup, a_notifier, a_relay, all_ended
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.rabbitmq import Management
from tests.support.role_database import RoleDatabase
from tests.support.safety import assert_safe
from tests.support.stage import SETTINGS, Stage
from tests.support.workers import WorkerOptions, finished


@pytest.fixture
async def transport(stage: Stage, broker_url: str) -> AsyncIterator[TransportSetup]:
    """Workers that use hints; the test runs the relays."""
    async with a_notifier(stage):
        yield TransportSetup(name="rabbitmq", stage=stage, broker_url=broker_url)


class Listener:
    """Gets every hint that is sent."""

    def __init__(self) -> None:
        self.messages: list[AbstractIncomingMessage] = []

    async def take(self, message: AbstractIncomingMessage) -> None:
        self.messages.append(message)

    @property
    def hints(self) -> list[Hint]:
        return [decode_hint(message.body) for message in self.messages]

    async def has(self, count: int, *, timeout_s: float = 15) -> None:
        async def probe() -> bool:
            return len(self.messages) >= count

        await eventually(probe, f"{count} hints", timeout_s=timeout_s)


@asynccontextmanager
async def listening(broker_url: str) -> AsyncIterator[Listener]:
    listener = Listener()
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(HINTS, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "#")
        await queue.consume(listener.take, no_ack=True)
        yield listener


async def a_lease(stage: Stage, *, types: str = "{*}", queues: str = "{}") -> UUID:
    """Open the lease of a worker that claims nothing."""
    lease_id = await stage.open_lease()
    await stage.sql.execute(
        "UPDATE taskmill.lease SET types = $1::text::text[], queues = $2::text::text[] WHERE id = $3",
        types,
        queues,
        lease_id,
    )
    return lease_id


async def test_a_task_that_comes_alone_is_hinted_with_its_bucket_and_without_a_scan(
    stage: Stage, broker_url: str
) -> None:
    before = counted()
    async with listening(broker_url) as listener, a_relay(stage, broker_url) as relay:
        await is_connected(relay)
        # There is no lease: a scan would not find that anybody needs a hint.
        made = await stage.created(priority=7)
        await listener.has(1)
    published, confirmed, failed = before
    assert counted() == (published + 1, confirmed + 1, failed)
    [hint] = listener.hints
    assert (hint.queue, hint.type, hint.priority) == ("default", "emulate", 7)
    assert hint.run_at is not None
    assert abs(hint.run_at - made.run_at) < timedelta(milliseconds=1)
    [message] = listener.messages
    assert message.delivery_mode == aio_pika.DeliveryMode.NOT_PERSISTENT
    assert message.content_type == "application/json"


def counted() -> tuple[float, float, float]:
    """How many hints were published, confirmed, and failed, in this process so far."""
    counters = (metrics.HINTS_PUBLISHED, metrics.HINTS_CONFIRMED, metrics.HINTS_FAILED)
    published, confirmed, failed = (counter._value.get() for counter in counters)
    return published, confirmed, failed


async def test_a_hint_that_nobody_listens_for_is_confirmed(stage: Stage, broker_url: str) -> None:
    published, confirmed, failed = counted()
    async with a_relay(stage, broker_url) as relay:
        await is_connected(relay)
        async with await aio_pika.connect(broker_url) as connection:
            # The relay has made the exchange.
            await (await connection.channel()).get_exchange(HINTS, ensure=True)
        for _ in range(3):
            relay.on_notification('["mail", "send", 4, 0]')

        async def all_confirmed() -> bool:
            return counted() == (published + 3, confirmed + 3, failed)

        await eventually(all_confirmed, "three hints to be confirmed")
        await asyncio.sleep(0)
        assert relay._unconfirmed == 0


async def test_a_hint_that_the_broker_refuses_is_logged_and_counted(
    stage: Stage, broker_url: str, broker_management: Management, log_lines: LogLines
) -> None:
    published, confirmed, failed = counted()
    async with a_relay(stage, broker_url) as relay:
        await is_connected(relay)
        await asyncio.to_thread(broker_management.delete_exchange, HINTS)
        relay.on_notification('["mail", "send", 4, 0]')

        async def is_logged() -> bool:
            return bool(log_lines.named("hint.unpublished"))

        await eventually(is_logged, "a hint to be refused")
    [line] = log_lines.named("hint.unpublished")
    assert (line["queue"], line["type"], line["level"]) == ("mail", "send", "info")
    assert "no exchange" in line["trouble"]
    assert counted() == (published + 1, confirmed, failed + 1)


async def is_connected(relay: hinting.HintSender) -> None:
    async def probe() -> bool:
        return relay.link.is_up

    await eventually(probe, "a connection")


@pytest.mark.parametrize("workers", [1, 3])
async def test_several_tasks_are_hinted_once_for_each_worker_of_a_kind(
    stage: Stage, broker_url: str, workers: int
) -> None:
    for _ in range(workers):
        await a_lease(stage)
    await a_lease(stage, types="{emulate}")
    await stage.creation.create_all([a_draft(priority=n % 10) for n in range(100)])
    async with listening(broker_url) as listener, a_relay(stage, broker_url) as relay:
        await listener.has(workers)
        # Its listener wakes it once more as soon as it listens.
        await asyncio.sleep(0.5)
        before = len(listener.messages)
        relay.wake()
        await listener.has(before + workers)
        await asyncio.sleep(0.2)
    assert set(listener.hints) == {Hint(queue="default", type="emulate")}
    assert len(listener.hints) == before + workers


async def test_what_stays_due_is_hinted_again(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.hint_schedule._AGAIN_S", 0.5)
    await a_lease(stage)
    await stage.created()
    async with listening(broker_url) as listener, a_relay(stage, broker_url):
        await listener.has(3)
    assert len(set(listener.hints)) == 1


async def test_only_what_is_due_and_can_be_run_is_hinted(stage: Stage, broker_url: str) -> None:
    await a_lease(stage, types="{known}", queues="{a, b}")
    hour = timedelta(hours=1)
    await stage.created(queue="a", type="strange")
    await stage.created(queue="c", type="known")
    await stage.created(queue="b", type="known")
    await stage.service.set_queue_paused("b", paused=True)
    await stage.created(queue="a", type="known", delay=hour)
    async with listening(broker_url) as listener, a_relay(stage, broker_url) as relay:
        for _ in range(5):
            relay.wake()
            await asyncio.sleep(0.05)
        assert listener.hints == []
        await stage.created(queue="a", type="known", delay=timedelta(seconds=0.5))
        await listener.has(1)
    assert set(listener.hints) == {Hint(queue="a", type="known")}


async def test_a_scheduled_task_is_hinted_when_it_is_due(
    transport: TransportSetup, stage: Stage, broker_url: str
) -> None:
    recorder = Recorder()
    async with a_relay(stage, broker_url), transport.worker({"*": recorder.quick}):
        made = await stage.created(delay=timedelta(seconds=1))
        await finished(stage, made.id)
    [claimed] = [
        e for e in await stage.service.reading.events(made.id) if e.event_type == "claimed"
    ]
    # Sooner than it would be hinted again, if a first hint came too early.
    assert claimed.at - made.run_at < timedelta(seconds=1.5)


async def test_several_relays_do_no_harm(transport: TransportSetup, stage: Stage) -> None:
    recorder = Recorder()
    assert transport.broker_url
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(a_relay(stage, transport.broker_url))
        for name in ("a", "b"):
            options = WorkerOptions(name=name, slots=5)
            await stack.enter_async_context(transport.worker({"*": recorder.quick}, options))
        for _ in range(20):
            await stage.creation.create_all([a_draft() for _ in range(20)])
            await stage.created()
        await all_ended(stage)
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_an_exchange_that_somebody_deleted_is_made_again(
    transport: TransportSetup, stage: Stage, broker_url: str, broker_management: Management
) -> None:
    recorder = Recorder()
    async with a_relay(stage, broker_url), transport.worker({"*": recorder.quick}):
        await finished(stage, (await stage.created()).id)
        await asyncio.to_thread(broker_management.delete_exchange, HINTS)
        await stage.created()
        await all_ended(stage, timeout_s=15)
    assert set(recorder.runs.values()) == {1}


async def test_a_relay_outlives_an_outage_of_the_database(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    await a_lease(stage)
    async with a_network(stage.url) as (network, url), listening(broker_url) as listener:
        database = RoleDatabase(url, SETTINGS)
        async with a_relay(stage, broker_url, database):
            await stage.created()
            await listener.has(1)
            network.refuse(refuses=True)
            network.break_all()

            async def has_failed() -> bool:
                return bool(log_lines.named("hints.failed"))

            await eventually(has_failed, "a scan to fail")
            seen = len(listener.messages)
            network.refuse(refuses=False)
            await listener.has(seen + 1)
        await database.close()
    line, *_ = log_lines.named("hints.failed")
    assert line["level"] == "warning"
    assert "the database" in line["error"]


async def test_a_claim_whose_response_was_lost_is_handed_back_and_runs(
    transport: TransportSetup, stage: Stage, broker_url: str
) -> None:
    recorder = Recorder()
    async with a_network(stage.url) as (network, url):
        database = RoleDatabase(url, SETTINGS)
        options = WorkerOptions(database=database)
        async with (
            a_relay(stage, broker_url),
            transport.worker({"*": recorder.quick}, options) as worker,
        ):
            await worker.has_lease()
            network.lose_response_to("a worker takes up to")
            made = await stage.created()
            await network.cut.wait()
            await finished(stage, made.id)
        await database.close()
    assert recorder.runs == {made.id: 1}
    assert (await stage.event_types(made.id))[1:4] == ["claimed", "handed_back", "claimed"]
    await assert_safe(stage.sql)


async def test_a_slow_broker_gets_no_more_hints_than_it_confirms(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hinting, "_MOST_UNCONFIRMED", 5)
    published, confirmed, failed = counted()
    async with listening(broker_url) as listener, a_relay(stage, broker_url) as relay:
        await is_connected(relay)
        for _ in range(50):
            relay.on_notification('["default", "emulate", 4, 0]')
        await listener.has(5)
        await asyncio.sleep(0.1)
    assert len(listener.messages) == 5
    assert counted() == (published + 5, confirmed + 5, failed + 45)
