"""Requests that may not be served are counted, and written to the audit log in few entries."""

import asyncio

import orjson
import pytest

from taskmill.domain.audit import Actor, ActorKind, AuditAction, AuditOutcome, RefusalReason
from taskmill.domain.errors import Unavailable
from taskmill.operations import refusal_counts
from taskmill.operations.refusal_counts import MOST_WRITTEN, RefusalCounts
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.audit import ended_entry, entries, written as written_text
from tests.support.stage import Stage


def client(number: int) -> Actor:
    return Actor(kind=ActorKind.ANONYMOUS, address=f"192.0.2.{number}")


async def written(stage: Stage) -> dict[tuple[str | None, str | None], int]:
    """Return the numbers of refused requests by address and reason."""
    found = {}
    for entry in await entries(stage):
        assert (entry.action, entry.outcome) == (AuditAction.ACCESS_REFUSE, AuditOutcome.REFUSED)
        key = (entry.origin.actor.address, entry.reason)
        assert key not in found
        found[key] = orjson.loads(entry.asked)["requests"]
    return found


async def test_what_the_edge_refuses_is_counted_by_address_and_reason(
    api: Served, stage: Stage
) -> None:
    for _ in range(3):
        await api.get("/tasks", headers={"host": "evil.test"})
    await api.post("/tasks", {"name": "a"}, headers={"origin": "http://evil.test"})
    legacy = "/task_service/api/v1/worker"
    await api.get(legacy, headers={"sec-fetch-site": "cross-site"})
    # Neither is about access.
    await api.get("/tasks", headers={"host": "[malformed"})
    await api.get("/nowhere")
    assert await entries(stage) == []
    await stage.service.refusals.write()
    assert await written(stage) == {
        ("127.0.0.1", "unknown-host"): 3,
        ("127.0.0.1", "cross-site"): 2,
    }
    await stage.service.refusals.write()
    assert len(await entries(stage)) == 2


async def test_the_most_frequent_have_an_entry_each_and_all_others_one(stage: Stage) -> None:
    counts = stage.service.refusals
    for number in range(MOST_WRITTEN + 5):
        for _ in range(100 - number):
            counts.record(RefusalReason.UNKNOWN_HOST, client(number))
    await counts.write()
    found = await written(stage)
    assert len(found) == MOST_WRITTEN + 1
    assert found[("192.0.2.0", "unknown-host")] == 100
    assert found[(None, "others")] == sum(100 - MOST_WRITTEN - n for n in range(5))


async def test_memory_is_bounded_however_many_clients_there_are(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_counts, "MOST_COUNTED", 2)
    counts = stage.service.refusals
    for number in (1, 2, 1, 3, 4, 1):
        counts.record(RefusalReason.CROSS_SITE, client(number))
    await counts.write()
    assert await written(stage) == {
        ("192.0.2.1", "cross-site"): 3,
        ("192.0.2.2", "cross-site"): 1,
        (None, "others"): 2,
    }


async def test_a_network_of_ipv6_is_one_client(stage: Stage) -> None:
    for host in ("2001:db8::1", "2001:db8::2"):
        actor = Actor(kind=ActorKind.ANONYMOUS, address=host)
        stage.service.refusals.record(RefusalReason.CROSS_SITE, actor)
    await stage.service.refusals.write()
    assert await written(stage) == {("2001:db8::/64", "cross-site"): 2}


async def test_what_an_outage_left_is_written_after_it(stage: Stage) -> None:
    counts = stage.service.refusals
    for number in range(3):
        counts.record(RefusalReason.CROSS_SITE, client(number))
    database = await stage.sql.fetchval("SELECT quote_ident(current_database())")
    await stage.sql.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    async with stage.database.hot() as connection:
        await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await counts.write()
    await stage.sql.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    await counts.write()
    assert sum((await written(stage)).values()) == 3


async def test_a_process_that_stops_writes_what_it_has_counted(stage: Stage) -> None:
    counts, stop = RefusalCounts(stage.service.audit), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(counts.run(stop))
        await asyncio.sleep(0)
        counts.record(RefusalReason.CROSS_SITE, client(1))
        stop.set()
        await running
    assert (await ended_entry(stage)).reason == "cross-site"


async def test_refused_keys_are_counted_and_a_key_that_may_not_is_named(stage: Stage) -> None:
    made = await a_new_key(stage.database, "tasks:read")
    async with serving(stage.service, REQUIRED) as api:
        for headers in ({}, {"authorization": "Bearer nothing"}):
            assert (await api.get("/tasks", headers=headers)).status_code == 401
        authorization = shown(made)
        assert (await api.get("/tasks", headers=authorization)).status_code == 200
        assert (await api.post("/tasks", {"name": "a"}, headers=authorization)).status_code == 403
    await stage.service.refusals.write()
    found = [one for one in await entries(stage) if one.action == AuditAction.ACCESS_REFUSE]
    by_reason = {one.reason: one for one in found}
    assert by_reason.keys() == {"not-authenticated", "scope-missing"}
    assert orjson.loads(by_reason["not-authenticated"].asked) == {"requests": 2}
    actor = by_reason["scope-missing"].origin.actor
    assert (actor.kind, actor.name, actor.key_id) == (
        ActorKind.KEY,
        made.key.draft.name,
        made.key.id,
    )


async def test_what_a_key_does_is_recorded_as_that_keys(stage: Stage) -> None:
    made = await a_new_key(stage.database, "tasks:operate")
    async with serving(stage.service, REQUIRED) as api:
        authorization = shown(made)
        paused = await api.http.patch("/queues/mail", json={"paused": True}, headers=authorization)
        assert paused.status_code == 200
    [entry] = [one for one in await entries(stage) if one.action == AuditAction.QUEUE_PAUSE]
    actor = entry.origin.actor
    assert (actor.kind, actor.key_id, actor.address) == (ActorKind.KEY, made.key.id, "127.0.0.1")
    assert made.text.rpartition("_")[2] not in await written_text(stage.sql)
