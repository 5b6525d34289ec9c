"""A database that serves reads and accepts no writes: a locked table, or a missing synchronous standby."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from taskmill.client import AsyncTaskmillClient, ServiceUnavailable
from taskmill.settings import LimitSettings, Settings
from tests.support.api import LogLines, Served, serving
from tests.support.builders import a_draft, a_key
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.standby import without_its_standby

# Long enough to find out who holds a key, on a machine that is busy with other tests.
SHORT_TIMEOUT = Settings(limits=LimitSettings(request_timeout_s=4))
LOCKED_TABLES = ("task", "idempotency")


@pytest.fixture
async def impatient_api(stage: Stage) -> AsyncIterator[Served]:
    """An API with a short timeout of requests."""
    async with serving(stage.service, SHORT_TIMEOUT) as served:
        await served.create()  # so that the queue exists
        yield served


@asynccontextmanager
async def locked(stage: Stage, table: str, mode: str = "SHARE") -> AsyncIterator[None]:
    """Hold a lock on a table, such as that of building an index."""
    async with stage.sql.transaction():
        await stage.sql.execute(f"LOCK TABLE taskmill.{table} IN {mode} MODE")
        yield


async def create_at_once(served: Served, keys: list[str]) -> list[httpx.Response]:
    """Create a task for each key."""
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(served.post("/tasks", {"name": "a", "idempotency_key": key}))
            for key in keys
        ]
    return [request.result() for request in calls]


def assert_outage(response: httpx.Response) -> None:
    """Fail unless it is a 503 with `Retry-After`."""
    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable"), (
        response.text
    )
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("table", LOCKED_TABLES)
async def test_a_new_key_gets_503_while_a_table_is_locked(
    impatient_api: Served, stage: Stage, table: str
) -> None:
    async with locked(stage, table):
        for response in await create_at_once(impatient_api, [f"key {n}" for n in range(20)]):
            assert_outage(response)
    created = await impatient_api.post("/tasks", {"name": "a", "idempotency_key": "key 0"})
    assert created.status_code in (200, 201)


async def test_a_new_key_and_its_repeat_get_503_while_the_standby_is_gone(
    impatient_api: Served, stage: Stage
) -> None:
    async with without_its_standby(stage):
        for _ in range(2):  # at the second time, the transaction of the first still holds the key
            for response in await create_at_once(impatient_api, [f"key {n}" for n in range(5)]):
                assert_outage(response)
    again = await create_at_once(impatient_api, [f"key {n}" for n in range(5)])
    assert {response.status_code for response in again} <= {200, 201}
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 6


async def test_a_key_in_a_batch_with_a_held_one_is_not_reported_as_held(
    impatient_api: Served, stage: Stage
) -> None:
    async with stage.sql.transaction():
        await stage.sql.execute(
            "INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)"
            " VALUES ('rest', 'key 3', gen_random_uuid(), '\\x00', now() + interval '1 day')"
        )
        # They come at the same time, and so wait in one statement.
        responses = await create_at_once(impatient_api, [f"key {n}" for n in range(6)])
    held = responses.pop(3)
    assert (held.status_code, held.json()["type"]) == (409, "/problems/key-in-flight")
    assert held.headers["retry-after"] == "1"
    for response in responses:
        if response.status_code != 201:
            assert_outage(response)


async def test_a_key_held_by_another_process_is_detected_and_one_of_its_own_batch_is_not(
    stage: Stage,
) -> None:
    held, free = a_draft(idempotency=a_key("held")), a_draft(idempotency=a_key("free"))
    await stage.created()
    async with stage.sql.transaction():
        await stage.sql.execute(
            "INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)"
            " VALUES ('rest', 'held', gen_random_uuid(), '\\x00', now() + interval '1 day')"
        )
        waiting = [stage.creation.begin(draft) for draft in (held, free)]
        assert None not in waiting

        async def is_detected() -> bool:
            return await stage.creation.key_holders.is_held_by_another(held)

        await eventually(is_detected, "the held key to be detected")
        assert not await stage.creation.key_holders.is_held_by_another(free)
    for future in waiting:
        assert future is not None
        future.add_done_callback(lambda one: one.exception())


async def test_the_python_client_reports_an_outage_and_no_conflict(
    impatient_api: Served, stage: Stage
) -> None:
    async with AsyncTaskmillClient(impatient_api.url, retries=0) as client:
        async with locked(stage, "task"):
            with pytest.raises(ServiceUnavailable) as refused:
                await client.create("a", idempotency_key="k")
        assert refused.value.retry_after_s == 1
        assert (await client.create("a", idempotency_key="k")).name == "a"


@pytest.mark.parametrize("outage", ["lock", "standby"])
async def test_an_api_that_can_not_write_is_unready_until_it_can_again(
    impatient_api: Served, stage: Stage, log_lines: LogLines, outage: str
) -> None:
    assert (await impatient_api.get("/readyz")).status_code == 200
    ended = locked(stage, "task") if outage == "lock" else without_its_standby(stage)
    async with ended:
        assert (await impatient_api.get("/readyz")).status_code == 200, (
            "nothing waits, so nothing is probed"
        )
        assert_outage(await impatient_api.post("/tasks", {"name": "a"}))
        for _ in range(2):  # even when nothing waits any more
            unready = await impatient_api.get("/readyz")
            assert_outage(unready)
            assert "database: it answers, but takes no writes" in unready.json()["detail"]
        assert (await impatient_api.get("/healthz")).status_code == 200

    async def is_ready() -> bool:
        return (await impatient_api.get("/readyz")).status_code == 200

    await eventually(is_ready, "it to be ready again")
    assert len(log_lines.named("database.unwritable")) == 1
    assert len(log_lines.named("database.writable")) == 1


async def test_an_api_is_not_ready_while_its_first_write_still_waits(
    stage: Stage,
) -> None:
    async with serving(stage.service) as served:
        await served.create()
        async with asyncio.TaskGroup() as group, locked(stage, "dispatch"):
            group.create_task(served.post("/tasks", {"name": "a"}))

            async def is_unready() -> bool:
                return (await served.get("/readyz")).status_code == 503

            await eventually(
                is_unready, "it to be detected before the request times out", timeout_s=4.5
            )


async def test_a_held_key_does_not_make_the_api_unready(
    impatient_api: Served, stage: Stage
) -> None:
    async with asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute(
            "INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)"
            " VALUES ('rest', 'k', gen_random_uuid(), '\\x00', now() + interval '1 day')"
        )
        call = group.create_task(
            impatient_api.post("/tasks", {"name": "a", "idempotency_key": "k"})
        )
        while not call.done():
            assert (await impatient_api.get("/readyz")).status_code == 200
            await asyncio.wait((call,), timeout=0.1)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1, (
        "probes leave nothing"
    )


async def test_an_idle_system_is_not_probed(impatient_api: Served, stage: Stage) -> None:
    async def last_number() -> object:
        return await stage.sql.fetchval("SELECT last_value FROM taskmill.task_number")

    before = await last_number()
    for _ in range(5):
        assert (await impatient_api.get("/readyz")).status_code == 200
    assert await last_number() == before
    async with locked(stage, "task"):
        assert_outage(await impatient_api.post("/tasks", {"name": "a"}))
    await impatient_api.create()
    before = await last_number()
    assert (await impatient_api.get("/readyz")).status_code == 200
    assert await last_number() == before, "a commit since then is proof enough"
