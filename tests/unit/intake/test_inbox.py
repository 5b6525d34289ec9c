"""What an inbox accepts, hands out and acknowledges, on a channel that only notes the acknowledgements."""

from typing import cast

import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from hypothesis import given, strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from taskmill.intake.inbox import Inbox, MessageBatch

MIB = 1024 * 1024


class NotingChannel:
    def __init__(self) -> None:
        self.acks: list[int] = []
        self.error: Exception | None = None

    async def basic_ack(self, delivery_tag: int, *, multiple: bool, wait: bool) -> None:
        assert (multiple, wait) == (True, False), "all before it, too, and at once"
        if self.error is not None:
            raise self.error
        self.acks.append(delivery_tag)


class Rig:
    """An inbox, its channel, and what it has called."""

    def __init__(self, most_bytes: int = 100) -> None:
        self.channel = NotingChannel()
        self.arrived = 0
        self.spoiled: list[Inbox] = []
        self.inbox = Inbox(
            cast("AbstractChannel", self.channel),
            arrived=self._arrive,
            spoiled=self.spoiled.append,
            most_bytes=most_bytes,
        )

    def _arrive(self) -> None:
        self.arrived += 1

    async def put(self, tag: int | None, body: bytes = b"12345") -> None:
        delivery = Basic.Deliver(delivery_tag=tag)
        channel = cast("AbstractChannel", self.channel)
        await self.inbox.put(DeliveredMessage(delivery, ContentHeader(), body, channel))

    async def put_all(self, count: int, body: bytes = b"12345") -> None:
        for tag in range(1, count + 1):
            await self.put(tag, body)

    def take(self) -> MessageBatch:
        batch = self.inbox.take()
        assert batch is not None
        assert batch.inbox is self.inbox
        return batch

    @property
    def held(self) -> tuple[int, int]:
        return self.inbox.messages_held, self.inbox.bytes_held


def tags(batch: MessageBatch) -> list[int | None]:
    return [message.delivery_tag for message in batch.messages]


async def test_messages_are_handed_out_once_in_order_and_held_until_they_are_settled() -> None:
    rig = Rig()
    assert (rig.held, rig.inbox.is_spoiled, rig.inbox.is_idle) == ((0, 0), False, True)
    assert rig.inbox.take() is None
    await rig.put_all(3)
    assert (rig.arrived, rig.held, rig.inbox.is_idle) == (3, (3, 15), True)
    batch = rig.take()
    assert (tags(batch), rig.held, rig.inbox.is_idle) == ([1, 2, 3], (3, 15), False)
    assert rig.inbox.take() is None
    await rig.inbox.settle(batch)
    assert (rig.channel.acks, rig.held, rig.inbox.is_idle) == ([3], (0, 0), True)
    assert rig.spoiled == []


async def test_only_what_is_settled_with_all_before_it_is_acknowledged() -> None:
    rig, batches = Rig(), []
    for tag in (1, 2, 3, 4):
        await rig.put(tag)
        batches.append(rig.take())
    await rig.inbox.settle(batches[1])
    assert (rig.channel.acks, rig.held) == ([], (4, 20))
    await rig.inbox.settle(batches[0])
    assert (rig.channel.acks, rig.held) == ([2], (2, 10))
    await rig.inbox.settle(batches[3])
    await rig.inbox.settle(batches[2])
    assert (rig.channel.acks, rig.held) == ([2, 4], (0, 0))


@given(order=st.permutations(range(6)))
async def test_in_whatever_order_batches_are_settled_no_message_is_acknowledged_early(
    order: list[int],
) -> None:
    rig, batches, settled = Rig(), [], set[int]()
    for tag in range(1, 7):
        await rig.put(tag)
        batches.append(rig.take())
    for number in order:
        await rig.inbox.settle(batches[number])
        settled.add(number)
        expected = next((n for n in range(6) if n not in settled), 6)
        assert max(rig.channel.acks, default=0) == expected
    assert rig.channel.acks == sorted(set(rig.channel.acks))


async def test_a_batch_has_at_most_500_messages() -> None:
    rig = Rig(most_bytes=10_000)
    await rig.put_all(501)
    assert [len(rig.take().messages), len(rig.take().messages)] == [500, 1]


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([4 * MIB, 4 * MIB, 1], [2, 1]),
        ([4 * MIB, 4 * MIB + 1], [1, 1]),
        ([3 * MIB, 3 * MIB, 3 * MIB], [2, 1]),
        ([9 * MIB, 9 * MIB], [1, 1]),
    ],
)
async def test_a_batch_has_at_most_8_mib_or_one_message(
    sizes: list[int], batches: list[int]
) -> None:
    rig = Rig(most_bytes=30 * MIB)
    for tag, size in enumerate(sizes, 1):
        await rig.put(tag, bytes(size))
    assert [len(rig.take().messages) for _ in batches] == batches
    assert rig.inbox.take() is None


async def assert_spoiled(rig: Rig, *, arrived: int) -> None:
    """It was reported once, waiting messages are dropped, and no other is accepted."""
    assert (rig.inbox.is_spoiled, rig.spoiled, rig.arrived) == (True, [rig.inbox], arrived)
    assert rig.inbox.take() is None
    for tag in (1, 2, 3, 4):
        await rig.put(tag)
    assert (rig.spoiled, rig.arrived) == ([rig.inbox], arrived)


@pytest.mark.parametrize("tag", [None, 0, 1, 3])
async def test_a_message_out_of_order_spoils_the_inbox(tag: int | None) -> None:
    rig = Rig()
    await rig.put(1)
    await rig.put(tag)
    await assert_spoiled(rig, arrived=1)


async def test_a_first_message_without_a_number_spoils_it_too() -> None:
    rig = Rig()
    await rig.put(None)
    await assert_spoiled(rig, arrived=0)


async def test_more_bytes_than_may_be_held_spoil_it_but_one_large_message_does_not() -> None:
    full = Rig(most_bytes=10)
    await full.put_all(2)
    assert (full.inbox.is_spoiled, full.held) == (False, (2, 10))
    await full.put(3, b"1")
    await assert_spoiled(full, arrived=2)

    large = Rig(most_bytes=10)
    await large.put(1, bytes(11))
    assert (large.inbox.is_spoiled, large.arrived) == (False, 1)
    await large.inbox.settle(large.take())
    await large.put(2, bytes(11))
    assert (large.inbox.is_spoiled, large.arrived) == (False, 2)


async def test_what_a_spoiled_inbox_has_handed_out_is_still_acknowledged() -> None:
    rig = Rig()
    await rig.put(1)
    batch = rig.take()
    await rig.put(7)
    await rig.inbox.settle(batch)
    assert rig.channel.acks == [1]


async def test_a_channel_that_is_lost_meanwhile_is_no_error() -> None:
    rig = Rig()
    await rig.put(1)
    rig.channel.error = OSError("connection lost")
    await rig.inbox.settle(rig.take())
    assert rig.held == (0, 0)


async def test_a_closed_inbox_has_forgotten_everything() -> None:
    rig = Rig()
    await rig.put_all(2)
    batch = rig.take()
    await rig.put(3)
    rig.inbox.close()
    assert (rig.held, rig.inbox.is_idle, rig.inbox.gone.is_set()) == ((0, 0), True, True)
    await rig.put(4)
    await rig.inbox.settle(batch)
    assert (rig.arrived, rig.held, rig.channel.acks) == (3, (0, 0), [])


async def test_a_batch_that_is_in_flight_when_the_channel_goes_is_not_acknowledged() -> None:
    rig = Rig()
    await rig.put(1)
    batch = rig.take()
    rig.inbox.gone.set()
    await rig.inbox.settle(batch)
    assert (rig.channel.acks, rig.held) == ([], (0, 0))
