"""The transport over RabbitMQ: hints say when tasks are due, and the worker claims as it does without a broker.

A hint reaches one of the workers that serve its queue and type, where a notification of PostgreSQL would wake all.
Unless the worker is strict it polls as well, so tasks run also while the broker is away; and while it gets all
hints of its queue, it claims a task that comes alone when PostgreSQL notifies it, which is sooner.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Final
from uuid import UUID

from taskmill.amqp.names import HintQueueType
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import pause
from taskmill.storage.claims import TakenTask
from taskmill.transports.hint_consumer import HintConsumer
from taskmill.transports.postgres import PostgresTransport
from taskmill.wire.hints import Hint, hint_in

log = get_logger(__name__)

# How long tasks may be found by polling before the log says that hints are missing.
_TIMEOUT_S = 10.0
_STRICT_PAUSE_S = 1.0
# So many notifications whose hints have not come yet are remembered.
_MOST_NOTIFIED: Final = 16


class RabbitTransport:
    """Claims through `direct` when hints arrive. It is also a service: `run` keeps the connection.

    A strict one claims nothing without hints.
    """

    name = "hints"

    def __init__(
        self,
        direct: PostgresTransport,
        *,
        broker_url: str,
        worker: str,
        queues: Collection[str],
        types: Collection[str],
        is_strict: bool,
        clock: Clock,
        hint_queues: HintQueueType,
    ) -> None:
        """Take hints for these queues and types (empty: for all)."""
        self._direct = direct
        self._worker = worker
        self._is_strict = is_strict
        self._clock = clock
        self.consumer = HintConsumer(
            self._on_hint,
            self.wake,
            broker_url=broker_url,
            queues=queues,
            types=types,
            queue_type=hint_queues,
        )
        self._woken = asyncio.Event()
        # Whether there may be tasks of hints that were not claimed yet.
        self._is_hinted = False
        # What it has claimed for already, when PostgreSQL notified it.
        self._notified: deque[Hint] = deque(maxlen=_MOST_NOTIFIED)
        self._unhinted_since: float | None = None
        self._has_warned = False

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` due tasks; a strict worker only if there was a hint since it found none."""
        self._woken.clear()
        await self.consumer.acknowledge()
        was_hinted, self._is_hinted = self._is_hinted, False
        if self._is_strict and not was_hinted:
            return []
        try:
            taken = await self._direct.take(lease_id, limit)
        except BaseException:
            self._is_hinted |= was_hinted
            raise
        if taken:
            self._check_hints(was_hinted=was_hinted)
            # There may be more.
            self._is_hinted |= was_hinted
        return taken

    @property
    def has_scanned(self) -> bool:
        """Never: a strict worker scans only when it gets a hint."""
        return False

    async def wait(self) -> None:
        """Wait for a hint, or as without a broker."""
        if not self._is_strict:
            await self._direct.wait()
        elif not self._is_hinted:
            await pause(self._woken, _STRICT_PAUSE_S)

    def wake(self) -> None:
        """End the wait, and scan before the next claim."""
        self._woken.set()
        self._direct.wake()

    def on_notification(self, payload: str) -> None:
        """Wake if no hint would, or for a task that came alone if its hint can only come here."""
        if not self.consumer.is_consuming:
            self._direct.on_notification(payload)
        elif self.consumer.is_alone and not self._is_strict:
            hint = hint_in(payload)
            if hint is not None and self._direct.serves(hint.queue, hint.type):
                self._notified.append(hint)
                self._direct.on_hint(hint)

    def suspend(self) -> None:
        """Take no hints, unless there is a `take` soon."""
        self.consumer.suspend()

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected, and take hints until stopped."""
        await self.consumer.run(stop)

    def _on_hint(self, hint: Hint) -> bool:
        if not self._direct.serves(hint.queue, hint.type):
            return False
        self._unhinted_since = None
        if self._has_warned:
            self._has_warned = False
            log.info("hints.resumed", worker=self._worker)
        if hint in self._notified:
            self._notified.remove(hint)
            return False
        self._is_hinted = True
        self._woken.set()
        self._direct.on_hint(hint)
        return True

    def _check_hints(self, *, was_hinted: bool) -> None:
        """Warn once if tasks are found by polling only, though the broker is there."""
        if was_hinted or not self.consumer.is_consuming:
            self._unhinted_since = None
            return
        now = self._clock.monotonic()
        self._unhinted_since = self._unhinted_since or now
        if now - self._unhinted_since > _TIMEOUT_S and not self._has_warned:
            self._has_warned = True
            log.warning("hints.missing", worker=self._worker)
