"""Workers for a key that may see some queues: those that serve them, and of shared ones only the own part."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from taskmill.maintenance.rescue import Rescue
from taskmill.storage import leases
from taskmill.storage.leases import WorkerProfile
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.plans import explaining
from tests.support.stage import Stage

REQUESTS = ("quiet", "stop", "resume", "stop?when_empty=true")


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def a_worker(stage: Stage, *queues: str, types: tuple[str, ...] = ("*",)) -> UUID:
    lease_id = stage.ids()
    name = f"for-{'-'.join(queues) or 'all'}"
    profile = WorkerProfile(name=name, queues=queues, types=types, slots=9)
    async with stage.database.hot() as connection:
        await leases.open_lease(connection, lease_id, profile, ttl_s=600)
    return lease_id


async def test_of_a_worker_a_key_sees_its_own_part_only(required: Served, stage: Stage) -> None:
    types = ("send", "foreign-type")
    workers = {
        "own": await a_worker(stage, "mail", types=types),
        "mixed": await a_worker(stage, "mail", "secret", types=types),
        "foreign": await a_worker(stage, "secret"),
        "all": await a_worker(stage),
    }
    await stage.created(queue="mail", type="send")
    for _ in range(2):
        await stage.running(workers["mixed"], queue="secret", type="foreign-type")
    await stage.running(workers["mixed"], queue="mail", type="send")
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail*"))
    response = await required.get("/workers", headers=key)
    found = {one["id"]: one for one in response.json()["items"]}
    assert found.keys() == {str(workers[name]) for name in ("own", "mixed", "all")}
    own, mixed, of_all = (found[str(workers[name])] for name in ("own", "mixed", "all"))
    assert (own["queues"], sorted(own["types"])) == (["mail"], ["foreign-type", "send"])
    assert (mixed["queues"], mixed["types"], mixed["running"]) == (["mail"], ["send"], 2)
    assert (of_all["queues"], of_all["types"], of_all["running"]) == ([], ["*"], 0)
    everything = shown(await a_new_key(stage.database, "tasks:read"))
    found = {
        one["id"]: one
        for one in (await required.get("/workers", headers=everything)).json()["items"]
    }
    assert len(found) == 4
    assert found[str(workers["mixed"])]["running"] == 4
    assert found[str(workers["mixed"])]["types"] == own["types"]


async def test_a_lost_worker_has_lost_what_a_key_may_see(required: Served, stage: Stage) -> None:
    lost = await a_worker(stage)
    for queue in ("mail", "secret", "secret"):
        await stage.running(lost, queue=queue)
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now() - interval '1 s'")
    rescue = Rescue(
        stage.maintenance_database, ttl_s=0, interval_s=1, name="rescue@test", clock=stage.clock
    )
    for _ in range(2):
        await rescue()
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail"))
    [worker] = (await required.get("/workers", headers=key)).json()["items"]
    assert worker["lost_tasks"] == 1
    everything = shown(await a_new_key(stage.database, "tasks:read"))
    [worker] = (await required.get("/workers", headers=everything)).json()["items"]
    assert worker["lost_tasks"] == 3


@pytest.mark.parametrize("request_line", REQUESTS)
async def test_a_worker_is_asked_only_by_who_may_operate_all_of_its_queues(
    required: Served, stage: Stage, request_line: str
) -> None:
    key = shown(await a_new_key(stage.database, "tasks:operate queue=mail,news"))
    await stage.created(queue="mail")
    await stage.created(queue="news")
    expected = {
        await a_worker(stage, "mail"): 202,
        await a_worker(stage, "mail", "news"): 202,
        await a_worker(stage, "mail", "secret"): 403,
        await a_worker(stage): 403,
        await a_worker(stage, "secret"): 404,
        uuid4(): 404,
    }
    texts: dict[int, set[str]] = {}
    for worker, status in expected.items():
        response = await required.post(f"/workers/{worker}/{request_line}", headers=key)
        assert response.status_code == status, response.text
        texts.setdefault(status, set()).add(response.text.replace(str(worker), "ID"))
        assert "secret" not in response.text
    assert len(texts[404]) == 1, "one that serves other queues only is like one that is not there"
    assert "for all queues" in texts[403].pop()
    asked = await stage.sql.fetch(
        "SELECT id FROM taskmill.lease WHERE request IS NOT NULL OR stop_when_empty"
    )
    allowed = [worker for worker, status in expected.items() if status == 202]
    assert {row["id"] for row in asked} == (set() if request_line == "resume" else set(allowed))


async def test_the_types_of_queues_are_found_without_reading_their_tasks(stage: Stage) -> None:
    lease = await stage.open_lease()
    for queue, kind in (("mail", "a"), ("mail", "b"), ("news", "c"), ("secret", "d")):
        await stage.running(lease, queue=queue, type=f"{kind}-runs")
        waiting = await stage.created(queue=queue, type=f"{kind}-waits")
        cancelled = await stage.created(queue=queue, type=f"{kind}-ended")
        await stage.service.cancel(cancelled.id)
        assert waiting.version == 1
    await stage.sql.execute(
        "INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at) "
        "SELECT gen_random_uuid(), 'mail', 'a-waits', 5, now() FROM generate_series(1, 5000)"
    )
    await stage.sql.execute("ANALYZE taskmill.dispatch; ANALYZE taskmill.task")
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch("list_queue_types", ["mail", "news", "none"])
    kinds = {"a", "b", "c"}
    assert {row["type"] for row in rows} == {
        f"{kind}-{what}" for kind in kinds for what in ("runs", "waits", "ended")
    }
    assert plan.rows_read < 500
