"""A worker's subscriptions: hints that it has taken, and hints that it has not."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import hint_queue_name
from taskmill.transports.subscriptions import Subscriptions
from tests.support.dispatching import Hinter, a_hinter
from tests.support.polling import eventually

NAME = hint_queue_name("default", "emulate")
IDS = [UUID(int=number) for number in range(1, 6)]


@pytest.fixture
async def hinter(broker_url: str) -> AsyncIterator[Hinter]:
    async with a_hinter(broker_url) as hinter:
        yield hinter


class Consumer:
    """Subscriptions on their own link, and how often the link was lost."""

    def __init__(self, broker_url: str) -> None:
        self.subscriptions = Subscriptions(lambda: None, "classic")
        self.losses = 0
        self.link = BrokerLink(
            broker_url, name="test", opened=self.subscriptions.open_on, lost=self._lose
        )

    def _lose(self) -> None:
        self.losses += 1
        self.subscriptions.lose()

    async def has(self, count: int) -> None:
        async def probe() -> bool:
            return len(self.subscriptions._arrived) == count

        await eventually(probe, f"{count} hints")


@pytest.fixture
async def consumer(broker_url: str) -> AsyncIterator[Consumer]:
    consumer, stop = Consumer(broker_url), asyncio.Event()

    async def is_up() -> bool:
        return consumer.link.is_up

    async with asyncio.TaskGroup() as group:
        group.create_task(consumer.link.run(stop))
        await eventually(is_up, "a link to the broker")
        consumer.subscriptions.want({NAME: 1})
        yield consumer
        stop.set()


async def test_handing_back_does_not_affect_a_claim_under_way(
    consumer: Consumer, hinter: Hinter
) -> None:
    """The hint of that claim is acknowledged later, on the same channel, which stays open."""
    subscriptions = consumer.subscriptions
    await subscriptions.refresh(consumer.link)
    for task_id in IDS:
        await hinter.send([task_id])
    await consumer.has(5)
    assert [subscriptions.take(), subscriptions.take()] == [[IDS[0]], [IDS[1]]]
    await subscriptions.suspend()
    await subscriptions.acknowledge()
    assert subscriptions.is_empty
    await subscriptions.refresh(consumer.link)
    await consumer.has(3)
    assert sorted(subscriptions.take() or []) == [IDS[2]]
    assert consumer.losses == 0


async def test_what_was_not_acknowledged_comes_again_after_a_loss(
    consumer: Consumer, hinter: Hinter
) -> None:
    subscriptions = consumer.subscriptions
    await subscriptions.refresh(consumer.link)
    await hinter.send(IDS)
    await consumer.has(1)
    assert subscriptions.take() == IDS
    consumer.link.reopen()

    async def is_back() -> bool:
        return consumer.losses == 1 and consumer.link.is_up

    await eventually(is_back, "the link to be back")
    await subscriptions.acknowledge()
    await subscriptions.refresh(consumer.link)
    await consumer.has(1)
    assert subscriptions.take() == IDS
    assert consumer.losses == 1, "nothing of the old channel was acknowledged on the new one"
