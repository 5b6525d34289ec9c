"""Builds and sends the request of a delivery: the signed event. What the response means is up to the caller."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskmill.domain.errors import SecretUnreadable
from taskmill.domain.feed import Change
from taskmill.domain.grants import Scope, permits
from taskmill.outbound.errors import Unreachable
from taskmill.outbound.http_messages import Request, Response
from taskmill.outbound.signing import Signer
from taskmill.runtime.clock import Clock
from taskmill.storage import callbacks, changes
from taskmill.storage.database import Database
from taskmill.storage.keyring import Keyring, webhook_owner
from taskmill.storage.webhook_deliveries import DueDelivery
from taskmill.wire.feed import CLOUD_EVENT, cloud_event_json
from taskmill.wire.hops import hop_headers
from taskmill.wire.webhooks import test_event_json

if TYPE_CHECKING:
    from taskmill.outbound.client import Outbound

GONE: Final = "there is nobody to deliver to any more"
FORGOTTEN: Final = "the task is gone: it was past its retention"
NOT_GRANTED: Final = (
    "the API key of the webhook's owner does not grant `webhooks` for the task's queue"
)
SLOT_WAIT_S: Final = 3.0
"""How long a try may wait for a connection slot, beyond its own timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDelivery:
    """A delivery and its request, or the reason why there is none.

    One that `is_held` has to wait for its secret, or for a key of its webhook's owner.
    """

    delivery: DueDelivery
    request: Request | None
    trouble: str | None = None
    is_held: bool = False


class DeliverySender:
    """Sends signed requests: callbacks are signed with `callback_keys`, others with the secrets of their webhook.

    `open_outbound` imports and returns the HTTP client: many have nothing to deliver.
    Without `callback_keys` callbacks are signed with the database's key, which is read before the first try.
    """

    def __init__(
        self,
        database: Database,
        open_outbound: "Callable[[], Awaitable[Outbound]]",
        *,
        callback_keys: Sequence[str],
        keyring: Keyring,
        clock: Clock,
        source: str,
        timeout_s: float,
    ) -> None:
        self._database = database
        self._open_outbound = open_outbound
        self._outbound: Outbound | None = None
        self._has_callback_keys = bool(callback_keys)
        self._callbacks = Signer(callback_keys) if callback_keys else None
        self._keyring = keyring
        self._clock = clock
        self._source = source
        self._timeout_s = timeout_s

    @property
    def key_ids(self) -> Sequence[str]:
        """The keys that secrets can be decrypted with."""
        return self._keyring.ids

    @property
    def needs_callback_key(self) -> bool:
        """Whether callbacks are signed with the database's key."""
        return not self._has_callback_keys

    async def open(self) -> None:
        """Open the client, unless it is open. To be called before a claim, with which a delivery's time begins."""
        if self._outbound is None:
            self._outbound = await self._open_outbound()

    async def prepared(self, due: Sequence[DueDelivery]) -> list[PreparedDelivery]:
        """Return the requests of deliveries, in order."""
        pairs = [one.pair for one in due if one.pair is not None]
        found = await changes.of_pairs(self._database, pairs) if pairs else []
        by_pair = {(one.event.task_id, one.event.version): one for one in found}
        try:
            callbacks_signer: Signer | SecretUnreadable = await self._callback_signer()
        except SecretUnreadable as error:
            callbacks_signer = error
        return [self._prepared(one, by_pair, callbacks_signer) for one in due]

    async def send(self, request: Request) -> Response:
        """Send a request, after a short wait for a slot if necessary. Raises `OutboundError`."""
        assert self._outbound is not None  # noqa: S101 - see `open`
        try:
            async with asyncio.timeout(self._timeout_s + SLOT_WAIT_S):
                return await self._outbound.send(request, timeout_s=self._timeout_s)
        except TimeoutError:
            raise Unreachable("too many requests to that host were under way") from None

    async def _callback_signer(self) -> Signer:
        if self._callbacks is None:
            key = await callbacks.signing_key(self._database, self._keyring)
            self._callbacks = Signer([] if key is None else [key])
        return self._callbacks

    def _signer(self, due: DueDelivery, of_callbacks: Signer | SecretUnreadable) -> Signer:
        """Return what signs a delivery. Raises `SecretUnreadable`."""
        if due.webhook_id is not None:
            return Signer(self._secrets(webhook_owner(due.webhook_id), due.secrets or ()))
        if isinstance(of_callbacks, SecretUnreadable):
            raise of_callbacks
        return of_callbacks

    def _secrets(self, owner: str, stored: Sequence[str]) -> Iterator[str]:
        """Yield a webhook's secrets; the previous one only if it can be read: receivers know the latest."""
        for number, one in enumerate(stored):
            with nullcontext() if number == 0 else suppress(SecretUnreadable):
                yield self._keyring.decrypted(one, owner)

    def _prepared(
        self,
        due: DueDelivery,
        by_pair: Mapping[tuple[UUID, int], Change],
        of_callbacks: Signer | SecretUnreadable,
    ) -> PreparedDelivery:
        if due.url is None:
            return PreparedDelivery(delivery=due, request=None, trouble=GONE)
        change = None if due.pair is None else by_pair.get((due.pair.task_id, due.pair.version))
        if due.pair is not None and change is None:
            return PreparedDelivery(delivery=due, request=None, trouble=FORGOTTEN)
        if (refused := _not_granted(due, change)) is not None:
            return refused
        try:
            signer = self._signer(due, of_callbacks)
        except SecretUnreadable as error:
            return PreparedDelivery(delivery=due, request=None, trouble=str(error), is_held=True)
        body = self._body(due, change)
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


def _not_granted(due: DueDelivery, change: Change | None) -> PreparedDelivery | None:
    """Return a delivery that may not be sent: its webhook's owner may not see the task, or has no key now."""
    if due.owner is None:
        return None
    if due.grants is None:
        trouble = f"no live API key is named {due.owner!r}, which made the webhook"
        return PreparedDelivery(delivery=due, request=None, trouble=trouble, is_held=True)
    if change is None or permits(due.grants, Scope.WEBHOOKS, queue=change.queue):
        return None
    return PreparedDelivery(delivery=due, request=None, trouble=NOT_GRANTED)
