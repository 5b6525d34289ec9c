"""The exchange of events without a broker: a test binds keys, breaks it, and has it refuse or delay messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.events import Confirm, EventExchange, Sent, key_of
from taskmill.domain.errors import BrokerAway
from taskmill.domain.feed import Change, Cursor
from taskmill.relay.feed import FeedDelivery
from taskmill.storage.database import Database
from tests.support.polling import eventually
from tests.support.stage import Stage

GONE = BrokerAway("it was closed")


class LinkInMemory(BrokerLink):
    """A link that is up, until a test gives it a `trouble`."""

    def __init__(self) -> None:
        super().__init__("amqp://nowhere.invalid", name="events")
        self.trouble = None
        self.is_closed = False

    async def run(self, stop: asyncio.Event) -> None:
        """Wait until it is stopped."""
        await stop.wait()
        self.is_closed = True


class ExchangeInMemory(EventExchange):
    """Acknowledges what is `bound`, and returns the rest."""

    def __init__(self, *bound: str) -> None:
        super().__init__("amqp://nowhere.invalid", source="/test")
        self.link = self._link = LinkInMemory()
        self.bound = set(bound)
        """Routing keys."""
        self.takes_all = False
        self.batches: list[list[Cursor]] = []
        """What was published at once."""
        self.nacks: set[Cursor] = set()
        """What is not acknowledged the first time."""
        self.breaks_after: int | None = None
        """How many messages of the next batch are confirmed before the connection is lost."""
        self.may_confirm = asyncio.Event()
        self.may_confirm.set()

    async def deliver(self, changes: Sequence[Change]) -> Sent:
        """Take changes, all at once."""
        taken = list(changes)[: self.breaks_after]
        trouble = None if self.breaks_after is None else GONE
        self.batches.append([change.cursor for change in taken])
        self.breaks_after = None
        await self.may_confirm.wait()
        return Sent([self._confirm(change) for change in taken], trouble)

    def _confirm(self, change: Change) -> Confirm:
        if change.cursor in self.nacks:
            self.nacks.remove(change.cursor)
            return Confirm.NACKED
        is_taken = self.takes_all or key_of(change) in self.bound
        return Confirm.ACKED if is_taken else Confirm.RETURNED

    @property
    def is_closed(self) -> bool:
        """Whether its link was stopped."""
        return self._link.is_closed

    @property
    def published(self) -> list[Cursor]:
        """All that was published, in order."""
        return [cursor for batch in self.batches for cursor in batch]

    async def has(self, count: int) -> None:
        """Wait until so many changes were published."""

        async def probe() -> bool:
            return len(self.published) >= count

        await eventually(probe, f"{count} changes to be published")


@asynccontextmanager
async def delivering(
    stage: Stage, exchange: ExchangeInMemory, *, database: Database | None = None, holder: UUID
) -> AsyncIterator[FeedDelivery]:
    """Deliver to the exchange until the block ends."""
    delivery = FeedDelivery(
        database or stage.database,
        exchange,
        holder=holder,
        clock=stage.clock,
        is_busy=lambda: False,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(delivery.run(stop))
        try:
            yield delivery
        finally:
            stop.set()
