"""Delivers the feed of changes to RabbitMQ: in order, each at least once, by one process at a time.

Whose turn it is, and how far it got, stands in PostgreSQL, and moves on only after the broker's confirms. Who
loses the turn unknowingly (a frozen process) delivers some changes once more, and then finds out.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from taskmill.amqp.events import EventExchange
from taskmill.domain.errors import BrokerAway, ChangesForgotten, Unavailable
from taskmill.domain.feed import START, Change, Cursor, FeedPage
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import FEED_PUBLISHED
from taskmill.runtime.alertness import Alertness
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.storage import changes, deliveries
from taskmill.storage.database import Database
from taskmill.storage.deliveries import Turn

log = get_logger(__name__)

_PLACE = "rabbitmq"
_PAGE = 500
# What is published before the turn is renewed: of one window of the exchange.
_PART = 64
_POLL_S = 0.1
# Who has the turn says so at least every third of this.
_HOLD_S = 15.0
# While tasks are released changes can wait: so long as it is not late, it works a fifth of the time.
_REST = 4
_LATE = timedelta(minutes=1)
_ASK_S = 1.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_OUTAGES = (Unavailable, asyncpg.PostgresError, BrokerAway)


class FeedDelivery:
    """A service that delivers the feed while it has the turn. Several may run at once.

    `is_busy` tells whether this process releases tasks just now, which goes first.
    """

    name = "feed-delivery"

    def __init__(
        self,
        database: Database,
        exchange: EventExchange,
        *,
        holder: UUID,
        clock: Clock,
        is_busy: Callable[[], bool],
        alertness: Alertness | None = None,
    ) -> None:
        self._alertness = alertness or Alertness(clock)
        self._database = database
        self._is_busy = is_busy
        self._exchange = exchange
        self._clock = clock
        self._turn = Turn(_PLACE, holder, _HOLD_S)
        self._moved_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop; what is under way is confirmed first, and another may go on at once."""
        async with asyncio.TaskGroup() as group:
            closing = asyncio.Event()
            group.create_task(self._exchange.link.run(closing))
            await self._deliver_until(stop)
            closing.set()

    async def _deliver_until(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            pause_s = _ASK_S
            try:
                if self._exchange.link.is_up:
                    await self._take_turn(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - the loop's boundary: logged, tried again
                log.warning("feed.undelivered", error=repr(error))
                pause_s = backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                failures += 1
            await pause(stop, pause_s)
        try:
            await deliveries.leave(self._database, self._turn)
        except _OUTAGES as error:
            log.info("feed.left_open", error=repr(error))

    async def _take_turn(self, stop: asyncio.Event) -> None:
        """Deliver for as long as it is this process's turn."""
        cursor: Cursor | None = await deliveries.take(self._database, self._turn)
        if cursor is None:
            return
        log.info("feed.delivering", after=str(cursor))
        self._moved_at = self._clock.monotonic()
        while cursor is not None and not stop.is_set() and self._exchange.link.is_up:
            cursor = await self._go_on(cursor, stop)
        if cursor is None:
            log.info("feed.handed_over")

    async def _go_on(self, after: Cursor, stop: asyncio.Event) -> Cursor | None:
        """Deliver a page, or wait for one; return the cursor behind it, None when the turn is lost."""
        try:
            page = await changes.read(self._database, after, _PAGE)
        except ChangesForgotten:
            return await self._skip(after)
        began, reached = self._clock.monotonic(), after
        for start in range(0, len(page.changes), _PART):
            part = page.changes[start : start + _PART]
            if not await self._deliver(reached, part):
                return None
            reached = part[-1].cursor
        if not await self._move(reached, page.cursor):
            return None
        if page.is_last:
            await self._alertness.rest(_POLL_S, stop)
        else:
            await pause(stop, self._rest_s(page, self._clock.monotonic() - began))
        return page.cursor

    async def _deliver(self, after: Cursor, part: Sequence[Change]) -> bool:
        """Deliver so few changes that the turn lasts, also where confirms are slow; False when it was lost.

        Raises:
            BrokerAway: not all were confirmed; those that were, up to the first that was not, are noted.
        """
        confirmed, trouble = await self._exchange.deliver(part)
        FEED_PUBLISHED.inc(confirmed)
        if not await self._move(after, part[confirmed - 1].cursor if confirmed else after):
            return False
        if trouble is not None:
            raise trouble
        return True

    def _rest_s(self, page: FeedPage, spent_s: float) -> float:
        """Return how long to leave the processor and the broker to others, who may be releasing tasks."""
        if not (page.changes and self._is_busy()):
            return 0.0
        is_late = self._clock.now() - page.changes[-1].event.at > _LATE
        return 0.0 if is_late else min(_REST * spent_s, _HOLD_S / 3)

    async def _skip(self, after: Cursor) -> Cursor | None:
        """Go on with the oldest change that is kept, and say what is missing."""
        oldest, _ = await changes.bounds(self._database)
        cursor = START if oldest is None else Cursor(oldest, 0)
        log.error("feed.skipped", after=str(after), until=str(cursor))
        return cursor if await self._move(after, cursor) else None

    async def _move(self, after: Cursor, cursor: Cursor) -> bool:
        """Note how far it got; where nothing has changed only now and then, to keep the turn."""
        now = self._clock.monotonic()
        if cursor == after and now - self._moved_at < _HOLD_S / 3:
            return True
        self._moved_at = now
        return await deliveries.move(self._database, self._turn, cursor)
