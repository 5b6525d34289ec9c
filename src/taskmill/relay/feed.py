"""Delivers the feed of changes to RabbitMQ: in order, each at least once, by one process at a time.

The cursor and the lease on it are in PostgreSQL; the cursor moves only after the broker's confirms. A process that
loses the lease without knowing (because it was frozen) delivers some changes again before it notices.

While no queue is bound for anything that changes, only the oldest change of each routing key is published, once a
second. If all of them are returned, the changes so far are passed over: a queue that is bound later gets only what
follows.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from taskmill.amqp.events import Confirm, EventExchange, Sent
from taskmill.amqp.names import event_key
from taskmill.domain.errors import BrokerAway, ChangesForgotten, Unavailable
from taskmill.domain.feed import START, Change, Cursor, FeedPage
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import FEED_PUBLISHED, FEED_RETURNED
from taskmill.relay.routing import Routes, before
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.storage import changes, cursor_leases
from taskmill.storage.changes import KeyHeads
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.database import Database

log = get_logger(__name__)

_CURSOR = "rabbitmq"
_PAGE = 1000
# While no queue is bound: how often to check for one, and how many changes one statement scans.
_SCAN_S = 1.0
_MOST_SCANNED = 10_000
_POLL_S = 0.1
# The cursor lease; its holder renews it at least every third of this.
_HOLD_S = 15.0
_TAKE_LEASE_S = 1.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_OUTAGES = (Unavailable, asyncpg.PostgresError, BrokerAway)


class FeedDelivery:
    """A service that delivers the feed while it holds the cursor lease. Several may run at once."""

    name = "feed-delivery"

    def __init__(
        self,
        database: Database,
        exchange: EventExchange,
        *,
        holder: UUID,
        clock: Clock,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._database = database
        self._exchange = exchange
        self._clock = clock
        self._cursor_lease = CursorLease(_CURSOR, holder, _HOLD_S)
        # The cursor, and what was delivered beyond it: before an error, or by a scan.
        self._reached, self._delivered = START, set[Cursor]()
        self._begin(START)

    def _begin(self, cursor: Cursor) -> None:
        """Forget what is known of bindings: at the start of a lease, and after an error."""
        self._moved_at = self._clock.monotonic()
        self._routes = Routes()
        self._is_bound, self._bound_until = True, cursor
        self._ahead: tuple[Cursor, FeedPage] | None = None
        if cursor != self._reached:
            self._reached, self._delivered = cursor, set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until stopped; then wait for the confirms, and drop the lease for the next process."""
        async with asyncio.TaskGroup() as group:
            closing = asyncio.Event()
            group.create_task(self._exchange.link.run(closing))
            await self._deliver_until(stop)
            closing.set()

    async def _deliver_until(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            pause_s = self._idle_backoff.pause_s(_TAKE_LEASE_S)
            try:
                if self._exchange.link.is_up:
                    await self._take_cursor_lease(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - the loop's boundary: logged, tried again
                log.warning("feed.undelivered", error=repr(error))
                pause_s = backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                failures += 1
            await pause(stop, pause_s)
        try:
            await cursor_leases.drop(self._database, self._cursor_lease)
        except _OUTAGES as error:
            log.info("feed.left_open", error=repr(error))

    async def _take_cursor_lease(self, stop: asyncio.Event) -> None:
        """Take the cursor lease if it is free, and deliver while it is held."""
        cursor: Cursor | None = await cursor_leases.take(self._database, self._cursor_lease)
        if cursor is None:
            return
        log.info("feed.delivering", after=str(cursor))
        self._begin(cursor)
        while cursor is not None and not stop.is_set() and self._exchange.link.is_up:
            cursor = await self._advance(cursor, stop)
        if cursor is None:
            log.info("feed.handed_over")

    async def _advance(self, after: Cursor, stop: asyncio.Event) -> Cursor | None:
        """Deliver what comes next, or wait for it; return the new cursor, None if the lease was lost."""
        try:
            if not self._is_bound:
                return await self._scan(after, stop)
            return await self._deliver_page(after, stop)
        except ChangesForgotten:
            return await self._skip(after)

    async def _scan(self, after: Cursor, stop: asyncio.Event) -> Cursor | None:
        """Pass over all changes, unless a queue is bound for one of their keys: then they must be delivered."""
        scan = await changes.find_oldest_by_key(self._database, after, _MOST_SCANNED)
        self._is_bound = any(
            self._routes.is_taken(event_key(head.status, head.queue)) for head in scan.heads
        )
        if scan.heads and not self._is_bound and not await self._try_heads(after, scan):
            return None
        if self._is_bound:
            self._bound_until = scan.cursor
            return after
        if not await self._move(after, scan.cursor):
            return None
        if scan.heads and scan.is_last:
            await pause(stop, _SCAN_S)
        elif scan.is_last:
            await self._idle_backoff.pause(_POLL_S, stop)
        return scan.cursor

    async def _try_heads(self, after: Cursor, scan: KeyHeads) -> bool:
        """Publish the oldest change of each key, and record whether any was taken; False if the lease was lost."""
        oldest = await changes.of_pairs(self._database, [head.pair for head in scan.heads])
        sent = await self._publish(after, oldest)
        if sent is None:
            return False
        if sent.trouble is not None:
            raise sent.trouble
        # A head whose task was dropped since was not published: its key may be bound.
        self._is_bound = Confirm.ACKED in sent.confirms or len(oldest) < len(scan.heads)
        return True

    async def _deliver_page(self, after: Cursor, stop: asyncio.Event) -> Cursor | None:
        page = await self._page(after)
        new = [change for change in page.changes if change.cursor not in self._delivered]
        behind = None if page.is_last else page.cursor
        if not await self._deliver(after, new, behind) or not await self._move(after, page.cursor):
            return None
        self._is_bound = self._is_bound or page.cursor < self._bound_until
        if page.is_last:
            await self._idle_backoff.pause(_POLL_S, stop)
        return page.cursor

    async def _page(self, after: Cursor) -> FeedPage:
        """Return the page after a cursor, which may have been read ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == after:
            return ahead[1]
        return await changes.read(self._database, after, _PAGE)

    async def _read_ahead(self, after: Cursor) -> None:
        try:
            self._ahead = (after, await changes.read(self._database, after, _PAGE))
        except (ChangesForgotten, *_OUTAGES):
            return  # it is read again when it is needed, and errors are handled there

    async def _deliver(self, after: Cursor, owed: Sequence[Change], behind: Cursor | None) -> bool:
        """Publish changes until each is confirmed or known to be unroutable; False if the lease was lost.

        Meanwhile it reads ahead, if `behind` says that there is more.

        Raises:
            BrokerAway: not all were confirmed; the cursor has moved as far as possible.
        """
        is_bound = not owed
        while owed:
            wave = self._routes.wave(owed)
            sent = await self._publish(after, wave.sent, behind)
            if sent is None:
                return False
            behind = None
            is_bound = is_bound or Confirm.ACKED in sent.confirms
            owed = self._routes.owed(wave, sent.confirms)
            if sent.trouble is not None:
                if owed and not await self._move(after, max(after, before(owed[0]))):
                    return False
                raise sent.trouble
        self._is_bound = is_bound
        return True

    async def _publish(
        self, after: Cursor, part: Sequence[Change], behind: Cursor | None = None
    ) -> Sent | None:
        """Publish changes, and renew the lease however slow the confirms are; None if it was lost."""
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(self._exchange.deliver(part))
            if behind is not None:
                group.create_task(self._read_ahead(behind))
            while not publishing.done():
                await asyncio.wait({publishing}, timeout=_HOLD_S / 6)
                if not publishing.done() and not await self._move(after, after):
                    publishing.cancel()
                    return None
        sent = publishing.result()
        acked = [
            c for c, confirm in zip(part, sent.confirms, strict=False) if confirm is Confirm.ACKED
        ]
        self._delivered.update(change.cursor for change in acked)
        self._routes.note(part, sent.confirms)
        FEED_PUBLISHED.inc(len(acked))
        FEED_RETURNED.inc(sent.confirms.count(Confirm.RETURNED))
        return sent

    async def _skip(self, after: Cursor) -> Cursor | None:
        """Continue with the oldest change that is retained, and log the gap."""
        oldest, _ = await changes.bounds(self._database)
        cursor = START if oldest is None else Cursor(oldest, 0)
        log.error("feed.skipped", after=str(after), until=str(cursor))
        return cursor if await self._move(after, cursor) else None

    async def _move(self, after: Cursor, cursor: Cursor) -> bool:
        """Move the cursor; an unchanged one is written only now and then, to renew the lease."""
        now = self._clock.monotonic()
        if cursor == after and now - self._moved_at < _HOLD_S / 3:
            return True
        self._moved_at = now
        if not await cursor_leases.move(self._database, self._cursor_lease, cursor):
            return False
        self._reached = cursor
        self._delivered = {one for one in self._delivered if one > cursor}
        return True
