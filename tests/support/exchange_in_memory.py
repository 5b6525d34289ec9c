"""The exchange of events without a broker: a test binds keys, breaks it, and has it refuse or delay messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.events import Confirm, EventExchange, Sent, key_of
from taskmill.domain.errors import BrokerAway
from taskmill.domain.feed import Change, Cursor
from taskmill.relay.feed import FeedDelivery
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.storage import changes
from taskmill.storage.database import Database
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.polling import eventually
from tests.support.stage import Stage

GONE: Final = BrokerAway("it was closed")
HOLDER: Final = UUID(int=7)
OTHER: Final = UUID(int=8)


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
    stage: Stage,
    exchange: ExchangeInMemory,
    *,
    holder: UUID,
    database: Database | None = None,
    idle_backoff: IdleBackoff | None = None,
) -> AsyncIterator[FeedDelivery]:
    """Deliver to the exchange until the block ends."""
    delivery = FeedDelivery(
        database or stage.database,
        exchange,
        holder=holder,
        clock=stage.clock,
        idle_backoff=idle_backoff,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(delivery.run(stop))
        try:
            yield delivery
        finally:
            stop.set()


class CountedPauses(IdleBackoff):
    """Counts the pauses between two looks for changes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.pauses: list[float] = []

    async def pause(self, quick_s: float, stop: asyncio.Event) -> None:
        """Count it."""
        self.pauses.append(quick_s)
        await super().pause(quick_s, stop)


async def made(stage: Stage, queues: str | list[str]) -> list[Cursor]:
    """Create tasks of these queues in one batch, and return the cursors of their changes."""
    await stage.creation.create_all([a_draft(queue=queue) for queue in queues])
    await changes.number(stage.maintenance_database, 1000)
    [row] = await stage.sql.fetch("SELECT max(position) FROM taskmill.change_batch")
    return [Cursor(row[0], ordinal) for ordinal in range(1, len(queues) + 1)]


async def facts(stage: Stage) -> tuple[UUID | None, Cursor]:
    """Who holds the cursor lease, and the cursor."""
    row = await stage.sql.fetchrow(
        "SELECT holder, position, ordinal FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"
    )
    if row is None:
        return None, Cursor(-1, 0)
    return row["holder"], Cursor(row["position"], row["ordinal"])


async def is_held(stage: Stage, holder: UUID = HOLDER) -> None:
    async def probe() -> bool:
        return (await facts(stage))[0] == holder

    await eventually(probe, "somebody to hold the cursor lease")


async def given_away(stage: Stage) -> None:
    """Give the cursor lease to another process."""
    await stage.sql.execute(
        "UPDATE taskmill.feed_delivery SET holder = $1, expires_at = now() + interval '1 h' "
        "WHERE follower = 'rabbitmq'",
        OTHER,
    )


async def has_reached(stage: Stage, cursor: Cursor) -> None:
    async def probe() -> bool:
        return (await facts(stage))[1] >= cursor

    await eventually(probe, f"the cursor to reach {cursor}")


async def has_logged(log_lines: LogLines, event: str) -> None:
    async def probe() -> bool:
        return bool(log_lines.named(event))

    await eventually(probe, event)
