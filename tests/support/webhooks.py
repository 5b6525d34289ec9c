"""The webhooks role, which runs beside the test on the stage's database."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from taskmill.domain.lifecycle import Succeeded
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Task
from taskmill.domain.webhooks import Webhook, WebhookDraft
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.client import Outbound
from taskmill.settings.outgoing import OutboundSettings
from taskmill.storage.keyring import Keyring
from taskmill.webhooks.delivery_loop import DeliveryLoop, DeliveryRules
from taskmill.webhooks.endpoint_slots import EndpointSlots
from taskmill.webhooks.fan_out import FanOut
from taskmill.webhooks.sending import DeliverySender
from tests.support.feed import a_numbering
from tests.support.polling import eventually
from tests.support.stage import Stage, a_webhooks


@dataclass(frozen=True, kw_only=True)
class RoleOptions:
    """Options of the role; failed deliveries are retried soon."""

    allow: tuple[str, ...] = ("127.0.0.1",)
    rules: AddressRules | None = None
    keys: tuple[str, ...] = ()
    keyring: Keyring = field(default_factory=Keyring)
    retry_s: float = 0.05
    timeout_s: float = 5.0
    concurrency: int = 40
    per_endpoint: int = 8
    disable_s: float = 3600.0
    give_up_s: float = 3600.0
    longest_wait_s: float = 3600.0


@asynccontextmanager
async def a_webhooks_role(stage: Stage, options: RoleOptions | None = None) -> AsyncIterator[None]:
    """Run the role, and number changes, until the block ends."""
    options = options or RoleOptions()
    outbound = Outbound(options.rules or AddressRules(options.allow), OutboundSettings())
    delivering = _delivering(stage, outbound, options)
    fan_out = FanOut(
        stage.database,
        holder=stage.ids(),
        clock=stage.clock,
        give_up_s=options.give_up_s,
        wake=delivering.wake,
    )
    stop = asyncio.Event()
    try:
        async with a_numbering(stage.database), asyncio.TaskGroup() as group:
            group.create_task(delivering.run(stop))
            group.create_task(fan_out.run(stop))
            try:
                yield
            finally:
                stop.set()
    finally:
        await outbound.close()


def _delivering(stage: Stage, outbound: Outbound, options: RoleOptions) -> DeliveryLoop:
    async def opened() -> Outbound:
        return outbound

    sender = DeliverySender(
        stage.database,
        opened,
        callback_keys=options.keys,
        keyring=options.keyring,
        clock=stage.clock,
        source="/tests",
        timeout_s=options.timeout_s,
    )
    rules = DeliveryRules(
        policy=RetryPolicy(base=timedelta(seconds=options.retry_s), factor=1.0, jitter=0.0),
        longest_wait=timedelta(seconds=options.longest_wait_s),
        timeout_s=options.timeout_s,
        disable_s=options.disable_s,
        give_up_s=options.give_up_s,
    )
    return DeliveryLoop(
        stage.database,
        sender,
        EndpointSlots(options.concurrency, per_endpoint=options.per_endpoint),
        rules,
        clock=stage.clock,
        randomness=random.Random(1),  # noqa: S311 - no secret
    )


async def subscribed(stage: Stage, url: str, **parts: Any) -> tuple[Webhook, str]:  # noqa: ANN401 - of a draft
    """Subscribe an endpoint; returns the webhook and its secret."""
    return await a_webhooks(stage.database, stage.ids).create(WebhookDraft(url=url, **parts), None)


async def done(stage: Stage, **parts: Any) -> Task:  # noqa: ANN401 - of a draft
    """Create a task that succeeds, and return it."""
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, **parts)
    await stage.end(taken, lease_id, Succeeded())
    return await stage.task(taken.task.id)


async def deliveries(
    sql: "asyncpg.Connection[asyncpg.Record]", webhook_id: UUID | None = None
) -> list[asyncpg.Record]:
    """All deliveries, or those of a webhook, in the order in which they were made."""
    return await sql.fetch(
        "SELECT * FROM taskmill.webhook_delivery "
        "WHERE webhook_id IS NOT DISTINCT FROM $1 OR $1 IS NULL ORDER BY id",
        webhook_id,
    )


async def settled(stage: Stage, count: int, *, timeout_s: float = 15) -> list[asyncpg.Record]:
    """Wait until there are `count` deliveries and none is pending; return them."""

    async def probe() -> list[asyncpg.Record]:
        rows = await deliveries(stage.sql)
        is_settled = len(rows) == count and all(row["state"] != "pending" for row in rows)
        return rows if is_settled else []

    return await eventually(probe, f"{count} deliveries to end", timeout_s=timeout_s)
