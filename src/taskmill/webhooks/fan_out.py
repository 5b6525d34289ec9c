"""Creates deliveries for the feed's changes, in one process at a time. It sends nothing.

The deliveries of a page of changes and the cursor after it are written in one transaction: if a process dies, all
of it was written or nothing, and another continues from there. Without any webhook or callback no change is read.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.errors import ChangesForgotten, Unavailable
from taskmill.domain.feed import START, Cursor
from taskmill.observability.logs import get_logger
from taskmill.observability.outbound import CHANGES_FANNED_OUT, DELIVERIES_MADE
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.storage import changes, cursor_leases, webhook_deliveries, webhooks
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.database import Database
from taskmill.storage.webhook_deliveries import SkippedChanges

log = get_logger(__name__)

_PAGE: Final = 2000
# The most deliveries that one transaction may create: with many webhooks a page of changes is smaller.
_MOST_MADE: Final = 20_000
_POLL_S: Final = 0.1
_HOLD_S: Final = 15.0
_TAKE_LEASE_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0


class FanOut:
    """A service that creates deliveries while it holds the cursor lease. Several may run at once.

    `wake` is called when it has created some.
    """

    name = "webhooks-fan-out"

    def __init__(
        self,
        database: Database,
        *,
        holder: UUID,
        clock: Clock,
        give_up_s: float,
        wake: Callable[[], None],
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._database = database
        self._cursor_lease = CursorLease(webhook_deliveries.DESTINATION, holder, _HOLD_S)
        self._clock = clock
        self._give_up_s = give_up_s
        self._wake = wake
        self._moved_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Create deliveries until stopped; then drop the lease for the next process."""
        failures = 0
        while not stop.is_set():
            pause_s = self._idle_backoff.pause_s(_TAKE_LEASE_S)
            try:
                await self._take_cursor_lease(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - the loop's boundary: logged, tried again
                log.warning("webhooks.delayed", error=repr(error))
                pause_s = backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                failures += 1
            await pause(stop, pause_s)
        try:
            await cursor_leases.drop(self._database, self._cursor_lease)
        except (Unavailable, asyncpg.PostgresError) as error:
            log.info("webhooks.left_open", error=repr(error))

    async def _take_cursor_lease(self, stop: asyncio.Event) -> None:
        cursor: Cursor | None = await cursor_leases.take(self._database, self._cursor_lease)
        if cursor is None:
            return
        log.info("webhooks.fanning_out", after=str(cursor))
        self._moved_at = self._clock.monotonic()
        while cursor is not None and not stop.is_set():
            cursor = await self._advance(cursor, stop)
        if cursor is None:
            log.info("webhooks.handed_over")

    async def _advance(self, after: Cursor, stop: asyncio.Event) -> Cursor | None:
        """Process a page, or wait for one; return the cursor after it, None if the lease was lost."""
        skipped = await webhook_deliveries.skip_changes(self._database, self._cursor_lease)
        if not skipped.is_followed:
            return await self._continue_after_skipped(after, skipped, stop)
        try:
            pairs, cursor, is_last = await self._read(after)
        except ChangesForgotten:
            return await self._skip(after)
        if not await self._move(after, cursor, pairs):
            return None
        if is_last:
            await self._idle_backoff.pause(_POLL_S, stop)
        return cursor

    async def _continue_after_skipped(
        self, after: Cursor, skipped: SkippedChanges, stop: asyncio.Event
    ) -> Cursor | None:
        """Continue after changes that were skipped, since nobody subscribes; None if the lease was lost."""
        if skipped.has_moved:
            self._moved_at = self._clock.monotonic()
        elif skipped.latest > after or not await self._move(after, after, []):
            return None
        await self._idle_backoff.pause(_POLL_S, stop)
        return max(after, skipped.latest)

    async def _read(self, after: Cursor) -> tuple[list[changes.ChangePair], Cursor, bool]:
        """Read a page, smaller if there are many webhooks."""
        page = await changes.read_pairs(self._database, after, _PAGE)
        if page[0]:
            listening = await webhooks.count_listening(self._database)
            limit = max(1, min(_PAGE, _MOST_MADE // (listening + 1)))
            if len(page[0]) > limit:
                return await changes.read_pairs(self._database, after, limit)
        return page

    async def _skip(self, after: Cursor) -> Cursor | None:
        """Continue with the oldest change that is retained, and log the gap."""
        oldest, _ = await changes.bounds(self._database)
        cursor = START if oldest is None else Cursor(oldest, 0)
        log.error("webhooks.skipped", after=str(after), until=str(cursor))
        return cursor if await self._move(after, cursor, []) else None

    async def _move(self, after: Cursor, cursor: Cursor, pairs: list[changes.ChangePair]) -> bool:
        """Create the deliveries of a page and move the cursor; an unchanged one only to renew the lease."""
        now = self._clock.monotonic()
        if cursor == after and now - self._moved_at < _HOLD_S / 3:
            return True
        self._moved_at = now
        made = await webhook_deliveries.fan_out(
            self._database, self._cursor_lease, cursor, pairs, give_up_s=self._give_up_s
        )
        if made is None:
            return False
        CHANGES_FANNED_OUT.add(len(pairs))
        if made:
            DELIVERIES_MADE.add(made)
            self._wake()
        return True
