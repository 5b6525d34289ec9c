"""Builds and sends the request of a delivery: the signed event. What the response means is up to the caller."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from taskmill.domain.feed import Change
from taskmill.outbound.client import Outbound, Request, Response
from taskmill.outbound.errors import Unreachable
from taskmill.outbound.signing import Signer
from taskmill.runtime.clock import Clock
from taskmill.storage import callbacks, changes
from taskmill.storage.database import Database
from taskmill.storage.webhook_deliveries import DueDelivery
from taskmill.wire.feed import CLOUD_EVENT, cloud_event_json
from taskmill.wire.hops import hop_headers
from taskmill.wire.webhooks import test_event_json

GONE: Final = "there is nobody to deliver to any more"
FORGOTTEN: Final = "the task is gone: it was past its retention"
SLOT_WAIT_S: Final = 3.0
"""How long a try may wait for a connection slot, beyond its own timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDelivery:
    """A delivery and its request, or the reason why there is none."""

    delivery: DueDelivery
    request: Request | None
    trouble: str | None = None


class DeliverySender:
    """Sends signed requests: callbacks are signed with `callback_keys`, others with the secrets of their webhook.

    Without `callback_keys` callbacks are signed with the database's key, which is read before the first try.
    """

    def __init__(
        self,
        database: Database,
        outbound: Outbound,
        *,
        callback_keys: Sequence[str],
        clock: Clock,
        source: str,
        timeout_s: float,
    ) -> None:
        self._database = database
        self._outbound = outbound
        self._callbacks = Signer(callback_keys) if callback_keys else None
        self._clock = clock
        self._source = source
        self._timeout_s = timeout_s

    async def prepared(self, due: Sequence[DueDelivery]) -> list[PreparedDelivery]:
        """Return the requests of deliveries, in order."""
        pairs = [one.pair for one in due if one.pair is not None]
        found = await changes.of_pairs(self._database, pairs) if pairs else []
        by_pair = {(one.event.task_id, one.event.version): one for one in found}
        signer = await self._callback_signer()
        return [self._prepared(one, by_pair, signer) for one in due]

    async def send(self, request: Request) -> Response:
        """Send a request, after a short wait for a slot if necessary. Raises `OutboundError`."""
        try:
            async with asyncio.timeout(self._timeout_s + SLOT_WAIT_S):
                return await self._outbound.send(request, timeout_s=self._timeout_s)
        except TimeoutError:
            raise Unreachable("too many requests to that host were under way") from None

    async def _callback_signer(self) -> Signer:
        if self._callbacks is None:
            key = await callbacks.signing_key(self._database)
            self._callbacks = Signer([] if key is None else [key])
        return self._callbacks

    def _prepared(
        self, due: DueDelivery, by_pair: Mapping[tuple[UUID, int], Change], callback_signer: Signer
    ) -> PreparedDelivery:
        if due.url is None:
            return PreparedDelivery(delivery=due, request=None, trouble=GONE)
        change = None if due.pair is None else by_pair.get((due.pair.task_id, due.pair.version))
        if due.pair is not None and change is None:
            return PreparedDelivery(delivery=due, request=None, trouble=FORGOTTEN)
        body = self._body(due, change)
        signer = callback_signer if due.webhook_id is None else Signer(due.secrets or ())
        headers = {
            "Content-Type": CLOUD_EVENT,
            **signer.headers(due.event_id, self._clock.now(), body),
            "Taskmill-Attempt": str(due.attempt),
            **hop_headers("{}" if change is None else change.labels),
        }
        if due.webhook_id is not None:
            headers["Taskmill-Webhook-Id"] = str(due.webhook_id)
        return PreparedDelivery(
            delivery=due, request=Request(url=due.url, headers=headers, body=body)
        )

    def _body(self, due: DueDelivery, change: Change | None) -> bytes:
        if change is None:
            return test_event_json(due.event_id, due.webhook_id, due.created_at, self._source)
        return cloud_event_json(change, source=self._source)
