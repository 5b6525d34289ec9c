"""Two keys with disjoint queues, at work at the same time: neither learns anything of the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.storage import leases
from taskmill.storage.leases import WorkerProfile
from taskmill.wire.messages import CreationMessage, refused_message
from tests.support.api import Served
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.pages import serving_pages
from tests.support.polling import eventually
from tests.support.refusals import store_refused
from tests.support.stage import Stage
from tests.support.tenants import Tenant
from tests.support.webhooks import a_webhooks_role, deliveries

# What a tenant has to find of its own, or the search would say nothing.
OWN = (
    *("name", "description", "payload", "progress", "line", "result", "message", "hook"),
    *("schema", "refused"),
)


# Whatever else the machine has to do.
PATIENT = REQUIRED.model_copy(
    update={"limits": REQUIRED.limits.model_copy(update={"request_timeout_s": 60.0})}
)


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """The API and its pages, which require keys."""
    async with serving_pages(stage, PATIENT) as served:
        yield served


async def what_both_share(stage: Stage, tenants: list[Tenant]) -> None:
    """A worker for the queues of both, which runs some of each; and messages of both that were refused."""
    profile = WorkerProfile(
        name="shared", queues=tuple(one.queue for one in tenants), types=("*",), slots=100
    )
    lease_id = stage.ids()
    async with stage.database.hot() as connection:
        await leases.open_lease(connection, lease_id, profile, ttl_s=600)
    for number, tenant in enumerate(tenants):
        for _ in range(number + 1):
            await stage.running(
                lease_id, queue=tenant.queue, type=tenant.type, name=f"{tenant.mark} name"
            )
        for queue in (tenant.queue, None):
            message = CreationMessage(body=f"{tenant.mark} refused".encode())
            error = InvalidInput.at("/name", f"{tenant.mark} refused", "this one")
            await store_refused(stage.url, [refused_message(message, error, queue)])


async def count(stage: Stage, tenant: Tenant) -> int:
    found: int = await stage.sql.fetchval(
        "SELECT count(*) FROM taskmill.task WHERE queue = $1", tenant.queue
    )
    return found


async def at_work(tenants: list[Tenant]) -> None:
    """Have all of them work at once; the second one creates three times as much."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as following:
        for tenant in tenants:
            following.create_task(tenant.follow(stop))
        async with asyncio.TaskGroup() as working:
            for number, tenant in enumerate(tenants):
                working.create_task(tenant.produce(6 + 12 * number))
                working.create_task(tenant.work(12))
                working.create_task(tenant.work(12))
                working.create_task(tenant.look(2))
        stop.set()


@pytest.mark.slow
async def test_two_keys_with_disjoint_queues_learn_nothing_of_each_other(
    closed: Served, stage: Stage
) -> None:
    async with AsyncExitStack() as stack:
        tenants = [await stack.enter_async_context(Tenant.at(closed, stage)) for _ in range(2)]
        for tenant in tenants:
            await tenant.prepare()
        await what_both_share(stage, tenants)
        async with a_webhooks_role(stage):
            await at_work(tenants)

            async def is_delivered() -> bool:
                return all(row["state"] != "pending" for row in await deliveries(stage.sql))

            await eventually(is_delivered, "all events to be delivered", timeout_s=60)
        await check_totals(stage, tenants)
        for own, other in (tenants, tenants[::-1]):
            await check_bytes(stage, own, other)
        await check_metrics(closed, stage, tenants)


async def check_totals(stage: Stage, tenants: list[Tenant]) -> None:
    """When all is still, each total is that of the tenant's own tasks, and none was ever more."""
    for number, tenant in enumerate(tenants):
        own = await count(stage, tenant)
        assert max(tenant.totals) <= own
        listed = await tenant.send("GET", "/tasks?limit=1")
        stats = await tenant.send("GET", "/stats?window=1h")
        assert listed["total"] == stats["total"] == own
        assert sum(stats["by_queue"][tenant.queue].values()) == own
        assert stats["activity"]["total"]["counts"]["created"] == own
        [queue] = (await tenant.send("GET", "/queues"))["items"]
        assert queue["name"] == tenant.queue
        shared = [
            one
            for one in (await tenant.send("GET", "/workers"))["items"]
            if one["name"] == "shared"
        ]
        assert [one["running"] for one in shared] == [number + 1]
        hidden = await tenant.send("POST", "/tasks/retry", {"all": True, "dry_run": True})
        assert hidden["matched"] <= own


async def check_bytes(stage: Stage, own: Tenant, other: Tenant) -> None:
    received = own.all_received().lower()
    for word in OWN:
        assert f"{own.mark} {word}".encode() in received, word
    at = received.find(other.mark.encode())
    assert at < 0, received[max(at - 500, 0) : at + 100]
    tasks = await stage.sql.fetch("SELECT id FROM taskmill.task WHERE queue = $1", other.queue)
    things = await stage.sql.fetch(
        "SELECT id::text FROM taskmill.webhook WHERE owner = $1 "
        "UNION SELECT id::text FROM taskmill.rejection WHERE queue IS DISTINCT FROM $2",
        f"{other.mark}-key",
        own.queue,
    )
    ids = [str(row["id"]) for row in (*tasks, *things)]
    assert len(ids) > len(tasks) > 20
    assert [one for one in ids if one.encode() in received] == []


async def check_metrics(closed: Served, stage: Stage, tenants: list[Tenant]) -> None:
    """Metrics are of the whole service, and name its queues and types; of contents they have nothing."""
    key = shown(await a_new_key(stage.database, "metrics"))
    text = (await closed.get("/metrics", headers=key)).text
    assert "taskmill_" in text
    for tenant in tenants:
        for name in (tenant.queue, tenant.type, f"{tenant.mark}-key"):
            text = text.replace(name, "")
        assert tenant.mark not in text
