"""Keeps the worker's lease alive on a thread and a connection of its own, whatever the handlers do.

The thread opens a lease, renews it every third of its time to live, and opens a new one if the old one was closed.
If the lease can't be renewed its tasks go on, and only new claims wait. Between the renewals the thread polls for
tasks of this worker that are to be cancelled.
"""

import asyncio
import threading
from collections.abc import Callable, Collection
from uuid import UUID

from taskmill.domain.errors import Unavailable
from taskmill.domain.system import WorkerRequest
from taskmill.observability.flow import (
    LEASES_LOST,
    LEASES_OPENED,
    LEASES_RENEWED,
    RENEWALS_FAILED,
)
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.storage import leases
from taskmill.storage.database import Database
from taskmill.storage.leases import Renewed, WorkerProfile
from taskmill.storage.servers import Connection
from taskmill.worker.attempt import ClaimKey

log = get_logger(__name__)

# How often the lease is renewed within its time to live.
_RENEWALS_PER_TTL = 3
_SHORTEST_TIMEOUT_S = 1.0
# A person waits for a cancel. A worker that runs nothing does not poll.
_CANCELS_S = 1.0
# A renewal must not wait for this poll, for instance while somebody holds a lock on the task table.
_CANCELS_TIMEOUT_S = 0.5
# The statement that runs once a second is planned once: with 60 weekly partitions planning takes longer than it.
_PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}


class LeaseKeeper:
    """Holds one lease at a time; reports when it was lost, regained or replaced, and what operators request."""

    def __init__(
        self,
        database: Database,
        card: WorkerProfile,
        *,
        ttl_s: float,
        ids: IdFactory,
        clock: Clock,
    ) -> None:
        self._database = database
        self._card = card
        self._ttl_s = ttl_s
        self._ids = ids
        self._clock = clock
        self._lease_id: UUID | None = None
        self.request: WorkerRequest | None = None
        self.stop_when_empty = False
        self._holds_until = float("-inf")
        self._thread: threading.Thread | None = None
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._thread_stop: asyncio.Event | None = None
        self._started = threading.Event()

    @property
    def lease_id(self) -> UUID | None:
        """The lease to claim under, None while none is certain to be valid."""
        return self._lease_id if self.holds_for_s > 0 else None

    @property
    def holds_for_s(self) -> float:
        """How long the lease is certain to be valid; 0 or less if it could have expired."""
        return self._holds_until - self._clock.monotonic()

    @property
    def last_lease_id(self) -> UUID | None:
        """The newest lease, whether or not it is certain to be valid."""
        return self._lease_id

    def start(
        self,
        *,
        on_change: Callable[[], None],
        on_cancels: Callable[[Collection[ClaimKey]], None],
        on_request: Callable[[], None],
        running: Callable[[], int],
    ) -> None:
        """Start the thread; `running` is called on it, the others on the loop that calls this."""
        self._running, self._on_change, self._on_cancels = running, on_change, on_cancels
        self._on_request = on_request
        self._callers_loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._keep()), name="lease", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """End the thread and close the lease; rescue takes back what still runs under it."""
        if self._thread is None:
            return
        await asyncio.to_thread(self._end_thread, self._thread)
        if self._lease_id is not None:
            try:
                await leases.close_lease(self._database, self._lease_id, "stopped")
            except Unavailable as error:
                log.warning("lease.left_open", lease_id=str(self._lease_id), error=str(error))

    def _end_thread(self, thread: threading.Thread) -> None:
        self._started.wait(timeout=self._ttl_s)
        if self._thread_loop is not None and self._thread_stop is not None:
            self._thread_loop.call_soon_threadsafe(self._thread_stop.set)
        thread.join(timeout=self._ttl_s)

    async def _keep(self) -> None:
        stop = asyncio.Event()
        self._thread_loop, self._thread_stop = asyncio.get_running_loop(), stop
        self._started.set()
        failures = 0
        while not stop.is_set():
            try:
                await self._keep_connected(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - if the thread ended, the worker would never claim again
                failures += 1
                RENEWALS_FAILED.inc()
                log.warning("lease.unrenewed", worker=self._card.name, error=repr(error))
                await pause(stop, backoff_s(failures, first=0.1, longest=self._renewal_s))

    @property
    def _renewal_s(self) -> float:
        return self._ttl_s / _RENEWALS_PER_TTL

    @property
    def _timeout_s(self) -> float:
        """How long to wait for a response: a lost one must leave time for another try."""
        if self._lease_id is None:
            return self._ttl_s
        return min(max(self._renewal_s, _SHORTEST_TIMEOUT_S), self._ttl_s)

    async def _keep_connected(self, stop: asyncio.Event) -> None:
        async with asyncio.timeout(self._timeout_s):
            connection = await self._database.connect(**_PLANS)
        try:
            while not stop.is_set():
                renew_at = self._clock.monotonic() + self._renewal_s
                async with asyncio.timeout(self._timeout_s):
                    await self._renew_or_open(connection)
                await self._watch_cancels(connection, stop, renew_at)
        finally:
            connection.terminate()

    async def _watch_cancels(
        self, connection: Connection, stop: asyncio.Event, until: float
    ) -> None:
        """Poll for requested cancels until the next renewal is due."""
        while not stop.is_set() and (remaining := until - self._clock.monotonic()) > 0:
            if self._lease_id is not None and self._running():
                await self._pass_on_cancels(connection, self._lease_id)
            await pause(stop, min(remaining, _CANCELS_S))

    async def _pass_on_cancels(self, connection: Connection, lease_id: UUID) -> None:
        try:
            cancelled = await leases.find_cancel_requested(
                connection, lease_id, timeout_s=_CANCELS_TIMEOUT_S
            )
        except TimeoutError:
            log.info("cancels.unread", worker=self._card.name)
            return
        if cancelled:
            self._notify(self._on_cancels, cancelled)

    async def _renew_or_open(self, connection: Connection) -> None:
        # Measured before the statement: the end that PostgreSQL sets can only be later.
        sent_at = self._clock.monotonic()
        lease_id, renewed = self._lease_id, None
        if lease_id is not None:
            renewed = await leases.renew_lease(
                connection, lease_id, ttl_s=self._ttl_s, running=self._running()
            )
        if renewed is not None:
            LEASES_RENEWED.inc()
            self._note_requests(renewed)
            held_before, self._holds_until = self._holds_until, sent_at + self._ttl_s
            # The lease may have expired while the response was on its way, and the worker may have noticed.
            if held_before < self._clock.monotonic():
                self._notify(self._on_change)
            return
        new_id = self._ids()
        await leases.open_lease(
            connection,
            new_id,
            self._card,
            ttl_s=self._ttl_s,
            request=self.request,
            stop_when_empty=self.stop_when_empty,
        )
        self._lease_id, self._holds_until = new_id, sent_at + self._ttl_s
        LEASES_OPENED.inc()
        if lease_id is not None:
            LEASES_LOST.inc()
        log.info("lease.opened", lease_id=str(new_id), worker=self._card.name)
        self._notify(self._on_change)

    def _note_requests(self, renewed: Renewed) -> None:
        request, when_empty = renewed.request, renewed.stop_when_empty
        if (request, when_empty) != (self.request, self.stop_when_empty):
            name = "stop when empty" if when_empty else request or "work"
            log.info("worker.request_changed", worker=self._card.name, request=name)
            self.request, self.stop_when_empty = request, when_empty
            self._notify(self._on_request)

    def _notify(self, listener: Callable[..., None], *news: object) -> None:
        if not self._callers_loop.is_closed():
            self._callers_loop.call_soon_threadsafe(listener, *news)
