"""Workers that get hints and notifications of the same tasks: which of both wakes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from taskmill.transports import hint_consumer
from taskmill.transports.hint_consumer import HintConsumer
from taskmill.transports.rabbitmq import RabbitTransport
from taskmill.wire.hints import Hint, encode_hint
from taskmill.worker.handlers import EVERY_TYPE, Handlers
from tests.support.dispatching import Hinter, Recorder, a_hinter, hint_of
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_hinted_transport

# Nothing is found by polling within a test.
SELDOM = WorkerOptions(poll_s=60)
SEVERAL = Hint(queue="default", type="emulate")


@pytest.fixture
async def hinter(broker_url: str) -> AsyncIterator[Hinter]:
    async with a_hinter(broker_url) as hinter:
        yield hinter


@asynccontextmanager
async def connected(
    stage: Stage, broker_url: str, options: WorkerOptions = SELDOM
) -> AsyncIterator[RabbitTransport]:
    """A transport that consumes; the test is its worker, and its listener."""
    handlers = Handlers({EVERY_TYPE: Recorder().quick})
    transport = a_hinted_transport(stage, handlers, options, broker_url)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(transport.run(stop))

        async def is_consuming() -> bool:
            return transport.consumer.is_consuming

        await eventually(is_consuming, "a consumer")
        try:
            yield transport
        finally:
            stop.set()


async def is_alone(consumer: HintConsumer, *, is_it: bool = True) -> None:
    async def probe() -> bool:
        return consumer.is_alone is is_it

    await eventually(probe, "the number of consumers to be known")


async def wakes(transport: RabbitTransport) -> None:
    async with asyncio.timeout(15):
        await transport.wait()


async def is_woken(transport: RabbitTransport) -> bool:
    try:
        async with asyncio.timeout(0.3):
            await transport.wait()
    except TimeoutError:
        return False
    return True


async def test_a_worker_that_gets_all_hints_claims_a_lone_task_when_notified(
    stage: Stage, broker_url: str, hinter: Hinter
) -> None:
    lease = await stage.open_lease()
    async with connected(stage, broker_url) as transport:
        assert await transport.take(lease, 10) == []
        assert not await is_woken(transport)
        made = await stage.created()
        transport.on_notification(encode_hint(hint_of(made)).decode())
        await wakes(transport)
        assert [one.task.id for one in await transport.take(lease, 10)] == [made.id]
        assert await transport.take(lease, 10) == []
        await hinter.send(hint_of(made))
        assert not await is_woken(transport), "the hint of what it has claimed already"
        # Of what it was not notified, a hint wakes it.
        await hinter.send(hint_of(made))
        await wakes(transport)
        await transport.take(lease, 10)
    assert await hinter.unacknowledged() == 0


async def test_a_notification_of_several_tasks_wakes_nobody_who_gets_hints(
    stage: Stage, broker_url: str, hinter: Hinter
) -> None:
    lease = await stage.open_lease()
    async with connected(stage, broker_url) as transport:
        assert await transport.take(lease, 10) == []
        transport.on_notification("")
        assert not await is_woken(transport)
        await hinter.send(SEVERAL)
        await wakes(transport)


async def test_workers_that_share_their_hints_wait_for_them(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_consumer, "_DECLARE_S", 0.2)
    lease = await stage.open_lease()
    async with connected(stage, broker_url) as first:
        await is_alone(first.consumer)
        async with connected(stage, broker_url) as second:
            await is_alone(first.consumer, is_it=False)
            made = await stage.created()
            for transport in (first, second):
                assert await transport.take(lease, 0) == []
                transport.on_notification(encode_hint(hint_of(made)).decode())
                assert not await is_woken(transport)
        await is_alone(first.consumer)


async def test_a_strict_worker_claims_for_the_hint_though_notified(
    stage: Stage, broker_url: str, hinter: Hinter
) -> None:
    lease, strict = await stage.open_lease(), WorkerOptions(poll_s=60, is_strict=True)
    async with connected(stage, broker_url, strict) as transport:
        made = await stage.created()
        transport.on_notification(encode_hint(hint_of(made)).decode())
        assert not await is_woken(transport)
        assert await transport.take(lease, 10) == []
        await hinter.send(hint_of(made))
        await wakes(transport)
        assert [one.task.id for one in await transport.take(lease, 10)] == [made.id]
