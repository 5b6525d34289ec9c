"""Lets work that arrives at the same time share one round trip and one commit.

An item that arrives while nothing is in flight is flushed at once, alone. While flushes are in flight the next
batch grows until it is half as large as they are together: many small batches would cost more than they save. A
flush that takes long delays no other.

`BatchQueue` only gathers; `Batcher` also returns each item's result to its caller. The caller decides what a flush
does, and which of its errors are the fault of an item.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

from taskmill.observability.metrics import BATCH_ITEMS, BATCH_TIME

Item = TypeVar("Item")
Result = TypeVar("Result")
Submitted: TypeAlias = tuple[Item, asyncio.Future[Result]]

# A flush counts as recent for this long: many times what a healthy one takes.
_RECENT_S = 0.02
# Finding the one bad item of the largest batch takes ten failures in a row. When all items fail, splitting ends
# here.
_MOST_FAILED_IN_ROW = 12


class Overloaded(Exception):
    """Too many items wait already; this one was not accepted."""


class BatchQueue(Generic[Item]):
    """Gathers items and flushes them in batches, up to `max_in_flight` at a time.

    `flush` gets the items in order of arrival. An error that it raises ends the queue, and the block that uses it.
    `name` is the label of its batches in metrics.

    Use it as an async context manager: leaving it waits until everything accepted was flushed. When it is left by
    an error or cancelled, flushes in flight are cancelled, and `dropped` gets each item that was not flushed.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[None]],
        *,
        name: str = "other",
        max_size: int = 1000,
        max_weight: int = 16 * 1024 * 1024,
        max_in_flight: int = 4,
        weigh: Callable[[Item], int] = lambda _: 0,
        dropped: Callable[[Item], object] = lambda _: None,
    ) -> None:
        self._flush = flush
        self._name = name
        self._max_size = max_size
        self._max_weight = max_weight
        self._max_in_flight = max_in_flight
        self._weigh = weigh
        self._dropped = dropped
        self._waiting: deque[Item] = deque()
        self._in_flight = 0
        self._recent: dict[object, int] = {}
        self._is_flush_due = False
        self._is_closed = False
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
        self._is_closed = True
        if error is None:
            self._flush_some()
        else:
            self._drop_all()
        await self._flushes.__aexit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Item) -> None:
        """Add an item; it is flushed with all that are added in the same iteration of the event loop."""
        if self._is_closed:
            raise RuntimeError("the queue is closed")
        self._waiting.append(item)
        if not self._is_flush_due and self._may_flush():
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush_some, context=self._context)

    def _may_flush(self) -> bool:
        if not self._waiting or self._in_flight >= self._max_in_flight:
            return False
        return not self._recent or 2 * len(self._waiting) >= sum(self._recent.values())

    def _flush_some(self) -> None:
        self._is_flush_due = False
        while self._may_flush():
            self._in_flight += 1
            batch = self._next_batch()
            key = object()
            self._recent[key] = len(batch)
            self._flushes.create_task(self._flush_one(key, batch))

    def _complete(self, key: object) -> None:
        """Stop counting a flush: it has ended, or is no longer recent."""
        self._recent.pop(key, None)
        self._flush_some()

    def _next_batch(self) -> list[Item]:
        batch = [self._waiting.popleft()]
        weight = self._weigh(batch[0])
        while self._waiting and len(batch) < self._max_size:
            weight += self._weigh(self._waiting[0])
            if weight > self._max_weight:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _flush_one(self, key: object, batch: list[Item]) -> None:
        timer = asyncio.get_running_loop().call_later(_RECENT_S, self._complete, key)
        began_at = perf_counter()
        BATCH_ITEMS.observe(len(batch), (self._name,))
        try:
            await self._flush(batch)
        except BaseException:
            # The queue ends: the waiting items will not be flushed either.
            self._waiting.extendleft(reversed(batch))
            self._drop_all()
            raise
        finally:
            BATCH_TIME.observe(perf_counter() - began_at, (self._name,))
            timer.cancel()
            self._in_flight -= 1
            self._complete(key)

    def _drop_all(self) -> None:
        while self._waiting:
            self._dropped(self._waiting.popleft())


class Batcher(BatchQueue[Submitted[Item, Result]], Generic[Item, Result]):
    """A `BatchQueue` that returns to each caller the result of its item.

    `flush` returns one result for each item, in the same order. When it raises an error that `is_item_fault`
    accepts, the batch is split in halves until the bad item fails alone. The same is done with an error that
    `may_be_item_fault` accepts, until too many flushes in a row have failed: then no single item is at fault. Any
    other error fails the whole batch.

    When it is left by an error or cancelled, the futures that have no result yet are cancelled.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        *,
        name: str = "other",
        max_size: int = 1000,
        max_weight: int = 16 * 1024 * 1024,
        max_in_flight: int = 4,
        max_waiting: int = 20_000,
        weigh: Callable[[Item], int] = lambda _: 0,
        is_item_fault: Callable[[Exception], bool] = lambda _: False,
        may_be_item_fault: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._flush_items = flush
        self._max_waiting = max_waiting
        self._is_item_fault = is_item_fault
        self._may_be_item_fault = may_be_item_fault
        super().__init__(
            self._flush_all,
            name=name,
            max_size=max_size,
            max_weight=max_weight,
            max_in_flight=max_in_flight,
            weigh=lambda submitted: weigh(submitted[0]),
            # Of a batch that was split, a part may have results: those futures are done.
            dropped=lambda submitted: submitted[1].cancel(),
        )

    async def __call__(self, item: Item) -> Result:
        """Return the item's result, after the flush that carried it has committed.

        Cancelling the caller does not remove its item: it may still be flushed.

        Raises:
            Overloaded: when too many items wait already.
            Exception: whatever the flush raised.
        """
        return await self.submit(item)

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Add an item and return the future of its result; errors are as for a call."""
        if len(self) >= self._max_waiting:
            raise Overloaded
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.put((item, result))
        return result

    async def _flush_all(self, batch: list[Submitted[Item, Result]]) -> None:
        await self._flush_part(batch, 0)

    async def _flush_part(self, batch: list[Submitted[Item, Result]], failed: int) -> int:
        """Flush a part of a batch after `failed` failures in a row; return how many there are then."""
        try:
            results = await self._flush_items([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - passed to each caller
            if len(batch) > 1 and self._is_worth_splitting(error, failed):
                middle = len(batch) // 2
                failed = await self._flush_part(batch[:middle], failed + 1)
                return await self._flush_part(batch[middle:], failed)
            for _, result in batch:
                if not result.done():
                    result.set_exception(error)
            return failed + 1
        for (_, result), value in zip(batch, results, strict=True):
            if not result.done():
                result.set_result(value)
        return 0

    def _is_worth_splitting(self, error: Exception, failed: int) -> bool:
        may_be = failed < _MOST_FAILED_IN_ROW and self._may_be_item_fault(error)
        return may_be or self._is_item_fault(error)
