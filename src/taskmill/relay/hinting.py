"""Sends hints to workers: that tasks of some queue and type are due.

A hint decides nothing: workers claim in PostgreSQL, and find what no hint has named when they poll. So hints are
sent without a record of them, and a lost one is not missed: what stays due is hinted again.
"""

import asyncio
from math import inf
from typing import Final

import asyncpg
from aio_pika.abc import AbstractChannel

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import HINTS, hint_key
from taskmill.amqp.publisher import Properties, Publisher
from taskmill.amqp.topology import declare_exchange
from taskmill.domain.errors import BrokerAway, Unavailable
from taskmill.observability import metrics
from taskmill.observability.logs import get_logger
from taskmill.relay.hint_schedule import HintSchedule
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage.bucket_scan import BucketScan
from taskmill.storage.capacity import Workers
from taskmill.storage.database import Database
from taskmill.wire.hints import Hint, encode_hint, hint_in

log = get_logger(__name__)

# How often to scan while there is activity, and the shortest pause; scheduled tasks are hinted when they are due.
_SCAN_S: Final = 0.2
_SHORTEST_PAUSE_S: Final = 0.01
# A scan is followed by a pause of so many times its duration.
_PAUSES_PER_SCAN: Final = 4
_OUTAGE_PAUSE_S: Final = 0.5
_WORKERS_HOLD_S: Final = 1.0
# With more hints unconfirmed than this the broker is too slow for more: they are dropped.
_MOST_UNCONFIRMED: Final = 256
_TRANSIENT: Final = 1


class HintSender:
    """A service that sends hints. Several may run at once: workers get more hints then."""

    name = "relay"

    def __init__(
        self,
        database: Database,
        *,
        broker_url: str,
        clock: Clock,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._idle_backoff.on_wake(self.wake)
        self._database = database
        self._clock = clock
        self._woken = asyncio.Event()
        self._schedule = HintSchedule(clock)
        self.link = BrokerLink(broker_url, name="relay", opened=self._opened, lost=self.wake)
        self._publisher = Publisher(self.link)
        self._sending: asyncio.TaskGroup | None = None
        self._unconfirmed = 0
        self._workers = Workers(())
        self._workers_read_at = -inf
        self._scan = BucketScan()

    def wake(self) -> None:
        """Scan at once: something may be due."""
        self._schedule.wake()
        self._woken.set()

    def on_notification(self, payload: str) -> None:
        """Pass on the hint that a notification is, or scan if it is none."""
        hint = hint_in(payload)
        if hint is None:
            self.wake()
        elif self.link.is_up:
            self._send(hint)

    async def run(self, stop: asyncio.Event) -> None:
        """Send hints until stopped; then wait for the confirms of those in flight."""
        async with asyncio.TaskGroup() as group, wake_on(stop, self._woken.set):
            closing = asyncio.Event()
            group.create_task(self.link.run(closing))
            async with asyncio.TaskGroup() as self._sending:
                await self._send_until(stop)
            self._sending = None
            closing.set()

    async def _opened(self, channel: AbstractChannel) -> None:
        await declare_exchange(channel, HINTS)
        # The broker may have lost all earlier hints.
        self._schedule.forget_sent()
        self.wake()

    async def _send_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            if not self.link.is_up:
                await pause(self._woken, _SCAN_S)
                continue
            began_at = self._clock.monotonic()
            try:
                await self._round()
            except (Unavailable, asyncpg.PostgresError) as error:
                log.warning("hints.failed", error=str(error))
                await pause(stop, _OUTAGE_PAUSE_S)
                continue
            spent_s = self._clock.monotonic() - began_at
            shortest_s = max(_SHORTEST_PAUSE_S, _PAUSES_PER_SCAN * spent_s)
            await pause(stop, shortest_s)
            await pause(self._woken, self._until_next_due() - shortest_s)

    def _until_next_due(self) -> float:
        if not self._scan.is_at_end:
            return 0
        longest_s = self._idle_backoff.pause_s(_SCAN_S) if self._scan.is_complete else _SCAN_S
        return min(self._schedule.next_due_in_s(), longest_s)

    async def _round(self) -> None:
        """Send hints about all that is due, unless they were sent since it came."""
        now = self._clock.monotonic()
        if now - self._workers_read_at > _WORKERS_HOLD_S:
            self._workers = await Workers.read(self._database)
            self._workers_read_at = now
        firsts = await self._scan.scan(self._database, types=self._workers.types)
        owed = self._schedule.scanned(firsts, is_complete=self._scan.is_complete)
        for queue, task_type in owed:
            for _ in range(self._workers.most_alike(queue, task_type)):
                self._send(Hint(queue=queue, type=task_type))

    def _send(self, hint: Hint) -> None:
        self._schedule.note_sent((hint.queue, hint.type))
        if self._sending is None or self._unconfirmed >= _MOST_UNCONFIRMED:
            metrics.HINTS_FAILED.inc()
            return
        self._unconfirmed += 1
        self._sending.create_task(self._publish(hint))

    async def _publish(self, hint: Hint) -> None:
        metrics.HINTS_PUBLISHED.inc()
        try:
            await self._publisher.publish(
                encode_hint(hint),
                exchange=HINTS,
                routing_key=hint_key(hint.queue, hint.type),
                properties=Properties(delivery_mode=_TRANSIENT, content_type="application/json"),
                mandatory=False,
            )
            metrics.HINTS_CONFIRMED.inc()
        except BrokerAway as error:
            metrics.HINTS_FAILED.inc()
            log.info("hint.unpublished", queue=hint.queue, type=hint.type, trouble=str(error))
        finally:
            self._unconfirmed -= 1
