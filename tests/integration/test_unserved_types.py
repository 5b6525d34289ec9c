"""Types without contract and worker are limited, at every entry point; other types are not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aio_pika
import asyncpg
import orjson
import pytest

from taskmill.domain.errors import UnservedTypeLimitReached
from taskmill.domain.remote import LeaseRequest
from taskmill.domain.system import CreatedTask
from taskmill.operations.create import TaskCreation
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from taskmill.storage import leases, unserved_types as rows
from taskmill.storage.leases import WorkerProfile
from tests.support.api import Served, serving
from tests.support.builders import a_draft, a_key
from tests.support.contracts import NEEDS_TO, a_contract, registered
from tests.support.intake import producing, taking_in, until_counted
from tests.support.polling import eventually
from tests.support.pulling import a_pull
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation, a_rejections

LIMIT = 3
PROBLEM = "/problems/unserved-type-limit-reached"


@pytest.fixture
async def creation(stage: Stage) -> AsyncIterator[TaskCreation]:
    """A `TaskCreation` with a low limit of unserved types."""
    async with a_creation(stage.database, stage.clock, stage.ids, type_limit=LIMIT) as creation:
        yield creation


async def full(creation: TaskCreation) -> None:
    """Use up the limit of unserved types."""
    await creation.create_all([a_draft(type=f"junk-{n}") for n in range(LIMIT)])


async def noted(stage: Stage) -> list[str]:
    found = await stage.sql.fetch("SELECT name FROM taskmill.unserved_type ORDER BY name")
    return [row["name"] for row in found]


async def test_no_more_unserved_types_wait_than_allowed(
    stage: Stage, creation: TaskCreation
) -> None:
    await full(creation)
    with pytest.raises(UnservedTypeLimitReached, match="tasks of 3 types without a contract"):
        await creation.create(a_draft(type="one-more"))
    assert creation.begin(a_draft(type="one-more")) is None
    with pytest.raises(UnservedTypeLimitReached):
        await creation.create_all([a_draft(type="junk-0"), a_draft(type="one-more")])
    results = await creation.store_each(
        creation.with_ids([a_draft(type=kind) for kind in ("one-more", "junk-0", "two-more")])
    )
    assert [type(one) for one in results] == [
        UnservedTypeLimitReached,
        CreatedTask,
        UnservedTypeLimitReached,
    ]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == LIMIT + 1
    await assert_safe(stage.sql)


async def test_types_with_a_contract_or_a_worker_are_not_counted(
    stage: Stage, creation: TaskCreation
) -> None:
    await full(creation)
    await registered(stage, a_contract(NEEDS_TO, "with-a-contract"))
    async with stage.database.hot() as connection:
        card = WorkerProfile(name="w", queues=(), types=("with-a-worker",), slots=1)
        await leases.open_lease(connection, stage.ids(), card, ttl_s=60)
    for kind in ("emulate", "http", "with-a-contract", "with-a-worker"):
        await creation.create(a_draft(type=kind))
    assert await noted(stage) == ["junk-0", "junk-1", "junk-2"]


async def assert_may_wait(stage: Stage, kind: str, *, expected: bool = True) -> None:
    """Assert that a new process and SQL accept a task of a type, or not, though the limit is reached."""
    await stage.sql.execute("UPDATE taskmill.request_limit SET unserved_types = 0")
    known = KnownTypes(stage.database, limit=0, clock=stage.clock)
    assert set(await known.refused([kind])) == (set() if expected else {kind})
    create = stage.sql.execute("SELECT taskmill.create_task('a task', type => $1)", kind)
    if expected:
        await create
    else:
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await create


async def test_a_worker_that_restarts_still_serves_its_types(
    stage: Stage, creation: TaskCreation
) -> None:
    await full(creation)
    with pytest.raises(UnservedTypeLimitReached):
        await creation.create(a_draft(type="emulated"))
    lease_id = stage.ids()
    async with stage.database.hot() as connection:
        card = WorkerProfile(name="w", queues=(), types=("emulated",), slots=1)
        await leases.open_lease(connection, lease_id, card, ttl_s=60)
    await creation.create(a_draft(type="emulated"))  # at once
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now()")
    await assert_may_wait(stage, "emulated")
    await leases.close_lease(stage.database, lease_id, "stopped")
    await assert_may_wait(stage, "emulated")
    await rows.prune(stage.maintenance_database)
    await assert_may_wait(stage, "emulated")
    await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() - interval '61 minutes'")
    await assert_may_wait(stage, "emulated", expected=False)


async def test_types_that_a_waiting_pull_asks_for_are_served(
    stage: Stage, creation: TaskCreation
) -> None:
    await full(creation)
    await assert_may_wait(stage, "pulled", expected=False)
    pull, stop = a_pull(stage.database), asyncio.Event()
    wanted = LeaseRequest(
        worker="w",
        queues=frozenset(),
        types=frozenset({"pulled"}),
        limit=1,
        ttl_s=30,
        wait_s=30,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(pull.run(stop))
        waiting = group.create_task(pull.claim(wanted))

        async def is_recorded() -> bool:
            return await pulled(stage) == ["pulled"]

        await eventually(is_recorded, "the type of a call that waits")
        made = await creation.create(a_draft(type="pulled"))
        lease = await waiting
        assert lease is not None
        assert [task.id for task in lease.tasks] == [made.task.id]
        await pull.hand_back(lease.id)
        stop.set()
    await stage.sql.execute("DELETE FROM taskmill.lease")
    await rows.prune(stage.maintenance_database)
    await assert_may_wait(stage, "pulled")
    await stage.sql.execute(
        "UPDATE taskmill.pulled_type SET pulled_at = now() - interval '61 minutes'"
    )
    await assert_may_wait(stage, "pulled", expected=False)
    await rows.prune(stage.maintenance_database)
    assert await pulled(stage) == []


async def pulled(stage: Stage) -> list[str]:
    found = await stage.sql.fetch("SELECT name FROM taskmill.pulled_type ORDER BY name")
    return [row["name"] for row in found]


async def test_pulled_types_are_bounded_and_those_that_are_recorded_stay(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_MOST_PULLED", 2)
    await rows.record_pulled(stage.database, ["b", "a"])
    await stage.sql.execute(
        "UPDATE taskmill.pulled_type SET pulled_at = now() - interval '50 minutes'"
    )
    await rows.record_pulled(stage.database, ["c", "b"])
    found = await stage.sql.fetch(
        "SELECT name, pulled_at > now() - interval '1 minute' AS is_new FROM taskmill.pulled_type ORDER BY 1"
    )
    assert [tuple(row) for row in found] == [("a", False), ("b", True)]


async def test_the_limit_holds_between_processes(stage: Stage, creation: TaskCreation) -> None:
    await full(creation)
    other = KnownTypes(stage.database, limit=LIMIT, clock=stage.clock)
    await other.ensure(["junk-0", "junk-1"])
    with pytest.raises(UnservedTypeLimitReached):
        await other.ensure(["one-more", "junk-1"])
    assert other.has(["junk-0", "junk-1"])
    assert not other.has(["one-more"])


async def test_a_key_finds_its_task_though_the_limit_of_types_is_reached(
    stage: Stage, creation: TaskCreation
) -> None:
    draft = a_draft(type="early", idempotency=a_key("k"))
    made = await creation.create(draft)
    await stage.sql.execute("DELETE FROM taskmill.unserved_type")
    async with a_creation(stage.database, stage.clock, stage.ids, type_limit=LIMIT) as later:
        await full(later)
        again = await later.create(draft)
        assert (again.replayed, again.task.id) == (True, made.task.id)
        [batch] = await later.create_all([draft])
        assert (batch.replayed, batch.task.id) == (True, made.task.id)


async def test_a_type_is_forgotten_when_none_of_its_tasks_waits_or_a_worker_serves_it(
    stage: Stage, creation: TaskCreation
) -> None:
    await creation.create_all([a_draft(type=kind) for kind in ("ended", "waits", "served")])
    ended = await stage.sql.fetchval("SELECT id FROM taskmill.task WHERE type = 'ended'")
    await stage.service.cancel(ended)
    await rows.prune(stage.maintenance_database)
    assert await noted(stage) == ["ended", "served", "waits"], "all were noted a moment ago"
    await stage.sql.execute(
        "UPDATE taskmill.unserved_type SET noted_at = noted_at - $1::interval", timedelta(hours=1)
    )
    await registered(stage, a_contract({}, "served"))
    await rows.prune(stage.maintenance_database)
    assert await noted(stage) == ["waits"]


@pytest.fixture
async def limited(stage: Stage) -> AsyncIterator[Served]:
    """An API with a low limit of unserved types."""
    creation = a_creation(stage.database, stage.clock, stage.ids, type_limit=LIMIT)
    rejections = a_rejections(stage.database, creation, stage.ids)
    async with (
        creation,
        TaskReading(stage.database) as reading,
        serving(TaskService(stage.database, creation, reading, rejections)) as served,
    ):
        yield served


async def test_every_request_over_http_refuses_one_type_too_many(limited: Served) -> None:
    for n in range(LIMIT):
        await limited.create(type=f"junk-{n}")
    body = {"name": "a task", "type": "one-more"}
    for response in (
        await limited.post("/tasks", body),
        await limited.post("/tasks/batch", [body]),
    ):
        problem = response.json()
        assert (response.status_code, problem["type"], problem["limit"]) == (422, PROBLEM, LIMIT)
        assert "start a worker for the type, or register a contract" in problem["detail"]
    lines = b"\n".join(map(orjson.dumps, [body, {**body, "type": "junk-0"}]))
    response = await limited.post(
        "/tasks/batch", lines, headers={"content-type": "application/x-ndjson"}
    )
    first, second = map(orjson.loads, response.content.splitlines())
    assert (first["status"], first["problem"]["type"], second["status"]) == (422, PROBLEM, 201)


async def test_sql_refuses_it_as_well(stage: Stage) -> None:
    call = "SELECT taskmill.create_task('a task', type => $1)"
    await stage.sql.execute("UPDATE taskmill.request_limit SET unserved_types = 2")
    for kind in ("a", "b", "a", "emulate"):
        await stage.sql.execute(call, kind)
    with pytest.raises(asyncpg.InvalidParameterValueError) as caught:
        await stage.sql.execute(call, "c")
    found = orjson.loads(caught.value.detail or "")
    assert (found["type"], found["status"], found["limit"]) == (PROBLEM, 422, 2)
    assert found["detail"] == str(UnservedTypeLimitReached(2))
    assert await noted(stage) == ["a", "b"]


async def test_a_message_of_one_type_too_many_is_a_rejection(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url, type_limit=2):
        await producer.send_all(
            aio_pika.Message(orjson.dumps({"name": "a", "type": f"t{n % 3}"})) for n in range(9)
        )
        await until_counted(stage, 6, 3)
    found = await stage.sql.fetch(
        "SELECT DISTINCT problem->>'type' AS type FROM taskmill.rejection"
    )
    assert [row["type"] for row in found] == [PROBLEM]
