"""A database that answers and takes no writes: a lock on a table, or a synchronous standby that is gone."""

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

# Long enough for what looks who holds a key, on a machine that is busy with other tests.
HASTY = Settings(limits=LimitSettings(request_timeout_s=4))
LOCKED_TABLES = ("task", "idempotency")


@pytest.fixture
async def hasty(stage: Stage) -> AsyncIterator[Served]:
    """A server that gives requests up early."""
    async with serving(stage.service, HASTY) as served:
        await served.create()  # its queue is there
        yield served


@asynccontextmanager
async def locked(stage: Stage, table: str, mode: str = "SHARE") -> AsyncIterator[None]:
    """Hold a lock on a table, as an index that is being built does."""
    async with stage.sql.transaction():
        await stage.sql.execute(f"LOCK TABLE taskmill.{table} IN {mode} MODE")
        yield


async def create_at_once(served: Served, keys: list[str]) -> list[httpx.Response]:
    """Create a task for each key."""
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(served.post("/tasks", {"name": "a", "idempotency_key": key}))
            for key in keys
        ]
    return [request.result() for request in asked]


def assert_outage(answer: httpx.Response) -> None:
    """Fail unless it says that nothing can be written, and when to try again."""
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable"), (
        answer.text
    )
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("table", LOCKED_TABLES)
async def test_a_fresh_key_meets_503_while_a_table_is_locked(
    hasty: Served, stage: Stage, table: str
) -> None:
    async with locked(stage, table):
        for answer in await create_at_once(hasty, [f"key {n}" for n in range(20)]):
            assert_outage(answer)
    created = await hasty.post("/tasks", {"name": "a", "idempotency_key": "key 0"})
    assert created.status_code in (200, 201)


async def test_a_fresh_key_and_its_repetition_meet_503_while_the_standby_is_gone(
    hasty: Served, stage: Stage
) -> None:
    async with without_its_standby(stage):
        for _ in range(2):  # the second time the first one's transaction still holds the key
            for answer in await create_at_once(hasty, [f"key {n}" for n in range(5)]):
                assert_outage(answer)
    again = await create_at_once(hasty, [f"key {n}" for n in range(5)])
    assert {answer.status_code for answer in again} <= {200, 201}
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 6


async def test_a_key_that_waits_with_one_that_another_holds_is_not_called_held(
    hasty: Served, stage: Stage
) -> None:
    async with stage.sql.transaction():
        await stage.sql.execute(
            "INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)"
            " VALUES ('rest', 'key 3', gen_random_uuid(), '\\x00', now() + interval '1 day')"
        )
        # They come together, and so wait in one statement.
        answers = await create_at_once(hasty, [f"key {n}" for n in range(6)])
    held = answers.pop(3)
    assert (held.status_code, held.json()["type"]) == (409, "/problems/key-in-flight")
    assert held.headers["retry-after"] == "1"
    for answer in answers:
        if answer.status_code != 201:
            assert_outage(answer)


async def test_a_key_that_another_process_holds_is_seen_and_its_own_batch_is_not(
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

        async def seen() -> bool:
            return await stage.creation.is_held_by_another(held)

        await eventually(seen, "the key is seen to be held")
        assert not await stage.creation.is_held_by_another(free)
    for later in waiting:
        assert later is not None
        later.add_done_callback(lambda one: one.exception())


async def test_the_python_client_reports_an_outage_and_no_conflict(
    hasty: Served, stage: Stage
) -> None:
    async with AsyncTaskmillClient(hasty.url, retries=0) as client:
        async with locked(stage, "task"):
            with pytest.raises(ServiceUnavailable) as refused:
                await client.create("a", idempotency_key="k")
        assert refused.value.retry_after_s == 1
        assert (await client.create("a", idempotency_key="k")).name == "a"


@pytest.mark.parametrize("outage", ["lock", "standby"])
async def test_an_api_that_can_write_nothing_is_not_ready_until_it_can_again(
    hasty: Served, stage: Stage, log_lines: LogLines, outage: str
) -> None:
    assert (await hasty.get("/readyz")).status_code == 200
    ended = locked(stage, "task") if outage == "lock" else without_its_standby(stage)
    async with ended:
        assert (await hasty.get("/readyz")).status_code == 200, "nothing waits, nothing is asked"
        assert_outage(await hasty.post("/tasks", {"name": "a"}))
        for _ in range(2):  # also when nothing waits any more
            unready = await hasty.get("/readyz")
            assert_outage(unready)
            assert "database: it answers, but takes no writes" in unready.json()["detail"]
        assert (await hasty.get("/healthz")).status_code == 200

    async def is_ready() -> bool:
        return (await hasty.get("/readyz")).status_code == 200

    await eventually(is_ready, "it is ready again")
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

            await eventually(is_unready, "it is seen before the request is given up", timeout_s=4.5)


async def test_a_key_that_another_holds_makes_nobody_unready(hasty: Served, stage: Stage) -> None:
    async with asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute(
            "INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)"
            " VALUES ('rest', 'k', gen_random_uuid(), '\\x00', now() + interval '1 day')"
        )
        asked = group.create_task(hasty.post("/tasks", {"name": "a", "idempotency_key": "k"}))
        while not asked.done():
            assert (await hasty.get("/readyz")).status_code == 200
            await asyncio.wait((asked,), timeout=0.1)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1, (
        "looks leave nothing"
    )


async def test_an_idle_system_is_not_asked_to_write(hasty: Served, stage: Stage) -> None:
    async def last_number() -> object:
        return await stage.sql.fetchval("SELECT last_value FROM taskmill.task_number")

    before = await last_number()
    for _ in range(5):
        assert (await hasty.get("/readyz")).status_code == 200
    assert await last_number() == before
    async with locked(stage, "task"):
        assert_outage(await hasty.post("/tasks", {"name": "a"}))
    await hasty.create()
    before = await last_number()
    assert (await hasty.get("/readyz")).status_code == 200
    assert await last_number() == before, "what was committed since says enough"
