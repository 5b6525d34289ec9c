"""Claims due deliveries, tries to send them, and records how that ended. Several processes may do so at once.

PostgreSQL knows what is under way: after a process has died its deliveries are soon due again. So each is sent at
least once, and now and then twice.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.webhooks import DeliveryState
from taskmill.observability.logs import get_logger
from taskmill.observability.outbound import (
    CALLBACKS_GIVEN_UP,
    TRIES,
    TRIES_UNDER_WAY,
    TRY_TIME,
    WEBHOOKS_DISABLED,
)
from taskmill.outbound.errors import OutboundError
from taskmill.outbound.http_messages import Response
from taskmill.outbound.retry_after import retry_after
from taskmill.runtime.batching import Batcher, Overloaded
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage import webhook_deliveries, webhooks
from taskmill.storage.database import Database
from taskmill.storage.webhook_deliveries import DueDelivery, EndedTry
from taskmill.webhooks.endpoint_slots import EndpointSlots
from taskmill.webhooks.sending import SLOT_WAIT_S, DeliverySender, PreparedDelivery

log = get_logger(__name__)

_GONE: Final = 410
_BUSY: Final = (429, 503)
_SUCCESS: Final = range(200, 300)
# Endpoints that one round scans; the next round starts after them.
_MOST_ENDPOINTS: Final = 500
_MOST_GIVEN_UP: Final = 1000
_POLL_S: Final = 0.25
# Between two rounds, when no endpoint of the first could be called and there are more after them.
_STEP_S: Final = 0.025
_GIVE_UP_CHECK_S: Final = 10.0
# If anything is to be delivered, this long passes until the next check whether there is nothing.
_BUSY_S: Final = 5.0
# Added to the timeout of a try: until it is recorded, or another process tries it again.
_HOLD_MARGIN_S: Final = SLOT_WAIT_S + 2.0
# Until a delivery is tried again whose secret can't be decrypted.
_HELD_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRules:
    """When a delivery is retried and given up, and when a webhook is disabled."""

    policy: RetryPolicy
    longest_wait: timedelta
    timeout_s: float
    disable_s: float
    give_up_s: float


class DeliveryLoop:
    """A service that sends due deliveries. `wake` makes it check at once."""

    name = "webhooks-delivering"

    def __init__(
        self,
        database: Database,
        sender: DeliverySender,
        endpoints: EndpointSlots,
        rules: DeliveryRules,
        *,
        clock: Clock,
        randomness: random.Random,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._idle_backoff.on_wake(self.wake)
        self._database = database
        self._sender = sender
        self._endpoints = endpoints
        self._rules = rules
        self._clock = clock
        self._randomness = randomness
        self._woken = asyncio.Event()
        self._after = ""
        self._gave_up_at = self._busy_until = float("-inf")
        self._recording: Batcher[EndedTry, None] = Batcher(
            self._record, name="deliveries", max_in_flight=2
        )
        TRIES_UNDER_WAY.watch(endpoints, lambda owner: {(): owner.under_way})

    def wake(self) -> None:
        """Check for due deliveries at once."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until stopped; then give the tries under way some seconds to end."""
        async with self._recording, asyncio.TaskGroup() as group, wake_on(stop, self.wake):
            tries: set[asyncio.Task[None]] = set()
            await self._deliver_until(stop, group, tries)
            if tries:
                await asyncio.wait(tries, timeout=_STOP_TIMEOUT_S)
            for one in list(tries):
                one.cancel()

    async def _deliver_until(
        self, stop: asyncio.Event, group: asyncio.TaskGroup, tries: set[asyncio.Task[None]]
    ) -> None:
        failures = 0
        while not stop.is_set():
            self._woken.clear()
            try:
                pause_s = await self._begin_tries(group, tries)
                failures = 0
            except Exception as error:  # noqa: BLE001 - the loop's boundary: logged, tried again
                log.warning("webhooks.undelivered", error=repr(error))
                pause_s = backoff_s(failures, first=_POLL_S, longest=_LONGEST_PAUSE_S)
                failures += 1
            if pause_s:
                await pause(self._woken, pause_s)

    async def _begin_tries(self, group: asyncio.TaskGroup, tries: set[asyncio.Task[None]]) -> float:
        """Start the tries that may start now; return for how many seconds to pause, unless woken."""
        await self._give_up()
        if self._endpoints.is_full:
            return _POLL_S
        if await self._has_nothing_to_do():
            return self._idle_backoff.pause_s(_POLL_S)
        due = await webhook_deliveries.find_due(self._database, self._after, _MOST_ENDPOINTS)
        shares = self._endpoints.shares(due.endpoints, self._clock.monotonic())
        # Endpoints that got no slot this time come first the next time.
        self._after = shares[-1][0] if 0 < len(shares) < len(due.endpoints) else due.until
        if not shares:
            return _STEP_S if self._after else _POLL_S
        await self._sender.open()
        hold_s = self._rules.timeout_s + _HOLD_MARGIN_S
        taken = await webhook_deliveries.claim(self._database, shares, hold_s=hold_s)
        for one in taken:
            self._endpoints.begin(one.endpoint)
        for prepared in await self._prepared(taken):
            task = group.create_task(self._try(prepared))
            tries.add(task)
            task.add_done_callback(tries.discard)
        return 0.0 if taken else _POLL_S

    async def _has_nothing_to_do(self) -> bool:
        """Whether nothing is to be delivered; the database is asked only now and then, and only while idle."""
        now = self._clock.monotonic()
        if not self._idle_backoff.is_idle or now < self._busy_until:
            return False
        if await webhook_deliveries.is_any(self._database):
            self._busy_until = now + _BUSY_S
            return False
        return True

    async def _prepared(self, taken: Sequence[DueDelivery]) -> list[PreparedDelivery]:
        try:
            return await self._sender.prepared(taken)
        except BaseException:
            for one in taken:
                self._endpoints.release(one.endpoint)
            raise

    async def _give_up(self) -> None:
        now = self._clock.monotonic()
        if now - self._gave_up_at < _GIVE_UP_CHECK_S:
            return
        given_up = await webhook_deliveries.give_up(
            self._database,
            _MOST_GIVEN_UP,
            key_ids=self._sender.key_ids,
            needs_callback_key=self._sender.needs_callback_key,
            hold_s=self._rules.give_up_s,
        )
        if given_up.deliveries:
            TRIES.add(given_up.deliveries, ("failed",))
            CALLBACKS_GIVEN_UP.add(given_up.callbacks)
            facts = {"deliveries": given_up.deliveries, "callbacks": given_up.callbacks}
            log.warning("deliveries.given_up", **facts)
        if given_up.deliveries + given_up.held < _MOST_GIVEN_UP:
            self._gave_up_at = now

    async def _try(self, prepared: PreparedDelivery) -> None:
        """Try one delivery and record how it ended."""
        delivery = prepared.delivery
        try:
            ended = await self._ended(prepared)
        except BaseException:
            self._endpoints.release(delivery.endpoint)
            raise
        self.wake()
        try:
            await self._recording(ended)
        except (Unavailable, Overloaded, asyncpg.PostgresError) as error:
            log.warning("delivery.unrecorded", delivery_id=delivery.id, error=repr(error))

    async def _ended(self, prepared: PreparedDelivery) -> EndedTry:
        delivery, endpoint = prepared.delivery, prepared.delivery.endpoint
        if prepared.is_held:
            # It pauses the endpoint, so that few of its deliveries are looked at meanwhile.
            self._endpoints.record_failure(endpoint, self._clock.monotonic())
            return EndedTry(
                delivery=delivery,
                state=DeliveryState.PENDING,
                wait_s=_HELD_S,
                trouble=prepared.trouble,
                is_held=True,
            )
        if prepared.request is None:
            self._endpoints.release(endpoint)
            return EndedTry(delivery=delivery, state=DeliveryState.FAILED, trouble=prepared.trouble)
        began = self._clock.monotonic()
        try:
            response = await self._sender.send(prepared.request)
        except OutboundError as error:
            self._endpoints.record_failure(endpoint, self._clock.monotonic())
            return self._again(delivery, trouble=str(error))
        except Exception as error:  # a try's boundary: whatever an endpoint does, others go on
            log.exception("delivery.broken", delivery_id=delivery.id)
            self._endpoints.record_failure(endpoint, self._clock.monotonic())
            return self._again(delivery, trouble=f"the try broke: {type(error).__name__}")
        now = self._clock.monotonic()
        TRY_TIME.observe(now - began)
        wait = self._requested_wait(response)
        # Not for callbacks: others to the same origin have paths of their own.
        pauses = response.status in _BUSY and delivery.webhook_id is not None
        pause_s = wait.total_seconds() if wait and pauses else 0.0
        self._endpoints.record_response(endpoint, now, after_s=now - began, pause_s=pause_s)
        return self._outcome(delivery, response, wait)

    def _requested_wait(self, response: Response) -> timedelta | None:
        value = response.headers.get("retry-after")
        return retry_after(value, self._clock.now(), longest=self._rules.longest_wait)

    def _outcome(
        self, delivery: DueDelivery, response: Response, wait: timedelta | None
    ) -> EndedTry:
        if response.status in _SUCCESS:
            return EndedTry(
                delivery=delivery, state=DeliveryState.DELIVERED, response_status=response.status
            )
        if response.status == _GONE:
            return EndedTry(
                delivery=delivery,
                state=DeliveryState.FAILED,
                response_status=_GONE,
                trouble="the endpoint answered 410: it is gone for good",
            )
        trouble = f"the endpoint answered {response.status}"
        return self._again(delivery, trouble=trouble, response_status=response.status, wait=wait)

    def _again(
        self,
        delivery: DueDelivery,
        *,
        trouble: str,
        response_status: int | None = None,
        wait: timedelta | None = None,
    ) -> EndedTry:
        """Schedule a retry, unless the delivery will have been given up by then."""
        delay = self._rules.policy.delay(delivery.attempt, self._randomness.random())
        delay = max(delay, wait or timedelta())
        is_over = self._clock.now() + delay > delivery.give_up_at
        return EndedTry(
            delivery=delivery,
            state=DeliveryState.FAILED if is_over else DeliveryState.PENDING,
            wait_s=delay.total_seconds(),
            response_status=response_status,
            trouble=trouble,
        )

    async def _record(self, ended: Sequence[EndedTry]) -> list[None]:
        await webhook_deliveries.record(self._database, ended)
        for one in ended:
            _report(one)
        await self._update_webhooks(ended)
        return [None] * len(ended)

    async def _update_webhooks(self, ended: Sequence[EndedTry]) -> None:
        """Disable webhooks whose endpoint is gone, or has been failing for too long."""
        gone = {one.delivery.webhook_id: one for one in ended if one.response_status == _GONE}
        for webhook_id, one in gone.items():
            if webhook_id is not None and await webhooks.disable(
                self._database, webhook_id, str(one.trouble)
            ):
                _report_disabled(webhook_id, str(one.trouble))
        healthy = {one.delivery.webhook_id for one in ended if one.state is DeliveryState.DELIVERED}
        failed = {one.delivery.webhook_id for one in ended if not one.is_held} - healthy
        disabled = await webhooks.record_health(
            self._database,
            [one for one in healthy if one is not None],
            [one for one in failed if one is not None],
            too_long_s=self._rules.disable_s,
        )
        for webhook_id, reason in disabled:
            _report_disabled(webhook_id, reason)


def _report_disabled(webhook_id: UUID, reason: str) -> None:
    WEBHOOKS_DISABLED.add(1)
    log.warning("webhook.disabled", webhook_id=str(webhook_id), reason=reason)


def _report(ended: EndedTry) -> None:
    """Count and log how a try ended."""
    delivery = ended.delivery
    facts = {
        "delivery_id": delivery.id,
        "webhook_id": None if delivery.webhook_id is None else str(delivery.webhook_id),
        "task_id": None if delivery.pair is None else str(delivery.pair.task_id),
        "attempt": delivery.attempt,
        "response_status": ended.response_status,
    }
    match ended.state:
        case DeliveryState.DELIVERED:
            TRIES.add(1, ("delivered",))
            log.info("delivery.succeeded", **facts)
        case DeliveryState.PENDING:
            TRIES.add(1, ("postponed",))
            log.warning(
                "delivery.postponed", **facts, trouble=ended.trouble, wait_s=round(ended.wait_s, 1)
            )
        case DeliveryState.FAILED:
            TRIES.add(1, ("failed",))
            CALLBACKS_GIVEN_UP.add(delivery.webhook_id is None)
            log.warning("delivery.failed", **facts, trouble=ended.trouble)
