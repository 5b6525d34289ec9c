"""Lets work that arrives at the same time share one round trip and one commit.

No item waits for company: one that arrives while nothing is in flight leaves at once, alone. While flushes
are in flight the next batch gathers until it is half as large as what is under way: many small batches would
cost more than they hurry. A flush that takes long holds nobody back. What a flush does, and which of its
errors are an item's own fault, is told by the caller.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from taskmill.observability.metrics import BATCH_ITEMS, BATCH_TIME

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# A flush is young for so long; it is many times what a healthy one takes.
_YOUNG_S = 0.02


class Overloaded(Exception):
    """More items wait than the batcher may hold; nothing was done with this one."""


class Receiver(Protocol):
    """Who waits for an answer: a future, or what does at once what is to be done with it.

    It must not raise: it is told in the midst of others.
    """

    def done(self) -> bool:
        """Tell whether it wants no answer any more, as when it has one."""
        ...

    def set_result(self, value: Any, /) -> object:  # noqa: ANN401 - a future's, whatever it is of
        """Take the answer."""
        ...

    def set_exception(self, error: Exception, /) -> object:
        """Take what the flush raised."""
        ...

    def cancel(self) -> object:
        """Hear that there will be no answer."""
        ...


class Batcher(Generic[Item, Answer]):
    """Gathers items and flushes them in batches, up to `max_in_flight` at a time.

    `flush` gets the items in order of arrival and returns one answer for each, in the same order. When it
    raises an error that `is_item_fault` accepts, the batch is split in halves until the bad item fails
    alone; any other error fails the whole batch. Metrics call its batches `name`.

    Use it as an async context manager: leaving it waits until everything accepted was flushed. When it is
    left by an error or cancelled, what was not yet answered is cancelled, too.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        *,
        name: str = "other",
        max_size: int = 1000,
        max_weight: int = 16 * 1024 * 1024,
        max_in_flight: int = 4,
        max_waiting: int = 20_000,
        weigh: Callable[[Item], int] = lambda _: 0,
        is_item_fault: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._flush_items = flush
        self._name = name
        self._max_size = max_size
        self._max_weight = max_weight
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._weigh = weigh
        self._is_item_fault = is_item_fault
        self._waiting: deque[tuple[Item, Receiver]] = deque()
        self._in_flight = 0
        self._young: dict[object, int] = {}
        self._departure_due = False
        self._is_left = False
        self._flushes = asyncio.TaskGroup()
        # A batch belongs to no single caller: its log lines must not carry the first one's request id.
        self._context = contextvars.Context()

    async def __aenter__(self) -> Self:
        await self._flushes.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_left = True
        if error is None:
            self._depart()
        else:
            self._abandon()
        await self._flushes.__aexit__(kind, error, trace)

    async def __call__(self, item: Item) -> Answer:
        """Return the item's answer, after the flush that carried it has committed.

        A caller that is cancelled does not take its item back: it may still be flushed.

        Raises:
            Overloaded: when too many items wait already.
            Exception: whatever the flush raised.
        """
        return await self.submit(item)

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Hand in an item and return the future of its answer; errors are as for a call."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.put(item, answer)
        return answer

    def put(self, item: Item, receiver: Receiver) -> None:
        """Hand in an item for somebody who will be told the answer; errors are as for a call."""
        if self._is_left:
            raise RuntimeError("the batcher takes nothing any more")
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        self._waiting.append((item, receiver))
        if not self._departure_due and self._may_depart():
            # At the end of this turn of the loop, so that all that arrives in one turn leaves together.
            self._departure_due = True
            asyncio.get_running_loop().call_soon(self._depart, context=self._context)

    def _may_depart(self) -> bool:
        if not self._waiting or self._in_flight >= self._max_in_flight:
            return False
        return not self._young or 2 * len(self._waiting) >= sum(self._young.values())

    def _depart(self) -> None:
        self._departure_due = False
        while self._may_depart():
            self._in_flight += 1
            batch = self._next_batch()
            flight = object()
            self._young[flight] = len(batch)
            self._flushes.create_task(self._carry(flight, batch))

    def _land(self, flight: object) -> None:
        """Count a flush no more: it is over, or no longer young."""
        self._young.pop(flight, None)
        self._depart()

    def _next_batch(self) -> list[tuple[Item, Receiver]]:
        batch = [self._waiting.popleft()]
        weight = self._weigh(batch[0][0])
        while self._waiting and len(batch) < self._max_size:
            weight += self._weigh(self._waiting[0][0])
            if weight > self._max_weight:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _carry(self, flight: object, batch: list[tuple[Item, Receiver]]) -> None:
        youth = asyncio.get_running_loop().call_later(_YOUNG_S, self._land, flight)
        departed_at = perf_counter()
        BATCH_ITEMS.observe(len(batch), (self._name,))
        try:
            await self._flush(batch)
        except BaseException:
            # All of this is coming to its end: nobody will flush what waits, either.
            self._waiting.extendleft(reversed(batch))
            self._abandon()
            raise
        finally:
            BATCH_TIME.observe(perf_counter() - departed_at, (self._name,))
            youth.cancel()
            self._in_flight -= 1
            self._land(flight)

    def _abandon(self) -> None:
        while self._waiting:
            _, receiver = self._waiting.popleft()
            if not receiver.done():  # of a batch that was split, a part may have its answers
                receiver.cancel()

    async def _flush(self, batch: list[tuple[Item, Receiver]]) -> None:
        try:
            answers = await self._flush_items([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to each caller, who knows what to do
            if len(batch) > 1 and self._is_item_fault(error):
                middle = len(batch) // 2
                await self._flush(batch[:middle])
                await self._flush(batch[middle:])
                return
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), value in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(value)
