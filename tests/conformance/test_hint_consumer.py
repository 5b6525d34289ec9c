"""A worker's consumer of hints: which it takes, what it leaves to others, and what it makes anew."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import aio_pika
import pytest

from taskmill.amqp.depths import read_depths
from taskmill.amqp.names import HINTS, HintQueueType
from taskmill.transports import hint_consumer
from taskmill.transports.hint_consumer import HintConsumer
from taskmill.wire.hints import Hint
from tests.support.dispatching import EVERYTHING, Hinter, a_hinter
from tests.support.polling import eventually
from tests.support.rabbitmq import Management

HINT = Hint(queue="default", type="emulate")


@pytest.fixture
async def hinter(broker_url: str) -> AsyncIterator[Hinter]:
    async with a_hinter(broker_url) as hinter:
        yield hinter


class Taker:
    """A consumer, the hints that it got, and how often it lost the broker."""

    def __init__(
        self,
        broker_url: str,
        queues: Collection[str] = (),
        types: Collection[str] = (),
        queue_type: HintQueueType = "classic",
    ) -> None:
        self.hints: list[Hint] = []
        self.losses = 0
        self.consumer = HintConsumer(
            self._take,
            self._lose,
            broker_url=broker_url,
            queues=queues,
            types=types,
            queue_type=queue_type,
        )

    def _take(self, hint: Hint) -> bool:
        self.hints.append(hint)
        return True

    def _lose(self) -> None:
        self.losses += 1

    async def has(self, count: int) -> None:
        async def probe() -> bool:
            return len(self.hints) >= count

        await eventually(probe, f"{count} hints")

    async def is_consuming(self, *, is_it: bool = True) -> None:
        async def probe() -> bool:
            return self.consumer.is_consuming is is_it

        await eventually(probe, "the consumer to start or to stop")


@asynccontextmanager
async def running(*takers: Taker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for taker in takers:
            group.create_task(taker.consumer.run(stop))
        for taker in takers:
            await taker.is_consuming()
        try:
            yield
        finally:
            stop.set()


async def test_a_hint_reaches_one_of_the_workers_that_serve_the_same(
    broker_url: str, hinter: Hinter
) -> None:
    alike, twin, other = Taker(broker_url), Taker(broker_url), Taker(broker_url, ("default",))
    async with running(alike, twin, other):
        for _ in range(4):
            await hinter.send(HINT)
        await other.has(4)
        await alike.has(2)
        await twin.has(2)
    assert len(alike.hints) == len(twin.hints) == 2


@pytest.mark.parametrize(
    ("queues", "types", "count"),
    [
        (("a",), (), 2),
        (("a.b", "a"), (), 4),
        ((), ("c",), 2),
        ((), ("c", "b.c"), 4),
        (("x",), ("c",), 0),
    ],
)
async def test_a_worker_gets_the_hints_for_its_queues_or_else_types(
    broker_url: str, hinter: Hinter, queues: tuple[str, ...], types: tuple[str, ...], count: int
) -> None:
    every, some = Taker(broker_url), Taker(broker_url, queues, types, "quorum")
    async with running(every, some):
        for queue in ("a", "a.b"):
            for task_type in ("c", "b.c"):
                hint = Hint(queue=queue, type=task_type)
                await hinter.send(hint, queue=queue, task_type=task_type)
        await every.has(4)
        await some.has(count)
    assert len(some.hints) == count


async def test_hints_are_acknowledged_when_the_worker_claims(
    broker_url: str, hinter: Hinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_consumer, "_PREFETCH", 2)
    taker = Taker(broker_url)
    async with running(taker):
        for _ in range(5):
            await hinter.send(HINT)
        await taker.has(2)
        [depth] = await read_depths(broker_url, [EVERYTHING])
        assert (depth.messages, len(taker.hints)) == (3, 2)
        for count in (4, 5):
            await taker.consumer.acknowledge()
            await taker.has(count)
        await taker.consumer.acknowledge()
    assert await hinter.unacknowledged() == 0


async def test_a_worker_without_a_free_slot_leaves_its_hints_to_others(
    broker_url: str, hinter: Hinter
) -> None:
    full, free = Taker(broker_url), Taker(broker_url)
    async with running(full):
        await hinter.send(HINT)
        await full.has(1)
        async with running(free):
            full.consumer.suspend()
            await free.has(1)
            await full.is_consuming(is_it=False)
            await hinter.send(HINT)
            await free.has(2)
            await free.consumer.acknowledge()
            await full.consumer.acknowledge()
            await full.is_consuming()
    assert len(full.hints) == 1


async def test_a_worker_that_is_full_for_moments_only_keeps_consuming(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_consumer, "_FULL_S", 0.05)
    taker = Taker(broker_url)
    async with running(taker):
        for _ in range(20):
            taker.consumer.suspend()
            await asyncio.sleep(0.01)
            await taker.consumer.acknowledge()
            assert taker.consumer.is_consuming


async def test_what_was_not_acknowledged_comes_again_after_a_loss(
    broker_url: str, hinter: Hinter
) -> None:
    taker = Taker(broker_url)
    async with running(taker):
        await hinter.send(HINT)
        await taker.has(1)
        taker.consumer.link.reopen()
        await taker.has(2)
        await taker.consumer.acknowledge()
        assert taker.losses == 1, "nothing of the old channel was acknowledged on the new one"
    assert await hinter.unacknowledged() == 0


async def test_a_deleted_exchange_is_declared_again_with_its_bindings(
    broker_url: str, hinter: Hinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_consumer, "_DECLARE_S", 0.2)
    taker = Taker(broker_url)
    async with running(taker), await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.exchange_delete(HINTS)
        await hinter.send(HINT)
        await taker.has(1)


async def test_a_deleted_queue_is_declared_again(
    broker_url: str, hinter: Hinter, broker_management: Management
) -> None:
    taker = Taker(broker_url)
    async with running(taker):
        await asyncio.to_thread(broker_management.delete_queue, EVERYTHING)
        await taker.is_consuming()
        await hinter.send(HINT)
        await taker.has(1)


async def test_a_queue_of_the_other_type_is_used_as_it_is_and_any_other_replaced(
    broker_url: str, hinter: Hinter, broker_management: Management
) -> None:
    async with running(Taker(broker_url, queue_type="quorum")):
        pass
    async with running(taker := Taker(broker_url)):
        queues = await asyncio.to_thread(broker_management.queues)
        assert queues[EVERYTHING]["type"] == "quorum"
        await hinter.send(HINT)
        await taker.has(1)
    await asyncio.to_thread(broker_management.delete_queue, EVERYTHING)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(EVERYTHING, durable=True)
    async with running(taker := Taker(broker_url)):
        await hinter.send(HINT)
        await taker.has(1)
