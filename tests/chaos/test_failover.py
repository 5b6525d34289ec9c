"""The primary killed under load, with a synchronous standby that takes over: nothing accepted is missing."""

import asyncio
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection, FormerPrimary
from tests.support.builders import a_draft, a_key
from tests.support.fleet import a_fleet
from tests.support.migrating import apart, migrate_with_roles, run_module
from tests.support.polling import eventually
from tests.support.replicated import ReplicatedDatabase
from tests.support.role_database import RoleDatabase
from tests.support.safety import assert_safe
from tests.support.stage import a_creation

CLIENTS = 8
# The statuses that a client gets while no server accepts writes.
AWAY = (503,)
BEFORE, DURING, AFTER = 400, 400, 800
TIMEOUT_S = 60.0
# From the loss of the primary until tasks are accepted, run and listed again, its promotion included.
BACK_S = 15.0
QUICK = {"name": "quick", "priority": 9, "payload": {"delay_s": 0, "failure_probability": 0}}


@asynccontextmanager
async def nothing_replicated(replicated: ReplicatedDatabase) -> AsyncIterator[None]:
    """Suspend the standby's WAL receiver."""
    standby = await asyncpg.connect(replicated.url_of(replicated.standby))
    receiver: int = await standby.fetchval("SELECT pid FROM pg_stat_wal_receiver")
    await standby.close()
    os.kill(receiver, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(receiver, signal.SIGCONT)


class Clients:
    """Post tasks, each until it is accepted, and record the responses."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.accepted: set[str] = set()
        self.refused: list[int] = []

    async def run(self) -> None:
        """Post tasks until cancelled."""
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=10) as http,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(CLIENTS):
                group.create_task(self._post_for_ever(http))

    async def _post_for_ever(self, http: httpx.AsyncClient) -> None:
        while True:
            await self._post_one(http, str(uuid.uuid4()))

    async def _post_one(self, http: httpx.AsyncClient, key: str) -> None:
        body = {"name": "t", "payload": {"delay_s": 0.02, "failure_probability": 0}}
        while True:
            response = await http.post("/tasks", json=body, headers={"Idempotency-Key": key})
            if response.status_code in {200, 201}:
                self.accepted.add(response.json()["id"])
                return
            self.refused.append(response.status_code)
            assert "Retry-After" in response.headers, response.text

    async def have(self, accepted: int) -> None:
        """Wait until this many were accepted."""

        async def probe() -> bool:
            return len(self.accepted) >= accepted

        await eventually(probe, f"{accepted} tasks accepted", timeout_s=TIMEOUT_S)


@asynccontextmanager
async def posting(url: str) -> AsyncIterator[Clients]:
    clients = Clients(url)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(clients.run())
        yield clients
        running.cancel()


@asynccontextmanager
async def at_work(
    database_url: str, folder: Path, broker_url: str | None = None, *, promoted: str
) -> AsyncIterator[tuple[str, Clients]]:
    """Run processes while clients post tasks; yield the API's address. In the end all tasks have ended.

    That is looked up at `promoted`: the former primary may be back, and has an old state of them.
    """
    env = {"TASKMILL_API__PORT": "0", **({} if broker_url else {"TASKMILL_BROKER": "postgres"})}
    roles = {"api": 1, "worker": 2, "maintenance": 1, "webhooks": 1}
    roles |= {"relay": 1, "intake": 1} if broker_url else {}
    with a_fleet(
        folder, database_url=database_url, broker_url=broker_url, env=env, **roles
    ) as fleet:
        url = fleet.programs["api-1"].facts["url"]
        async with posting(url) as clients:
            await clients.have(BEFORE)
            yield url, clients
        sql = await asyncpg.connect(promoted)
        try:
            await eventually(lambda: _all_ended(sql), "all tasks to end", timeout_s=TIMEOUT_S)
        finally:
            await sql.close()


async def until_it_works(url: str) -> None:
    """Wait until a new task is accepted and has been run, and lists are read."""
    async with httpx.AsyncClient(base_url=url, timeout=BACK_S) as http:

        async def accepted() -> str | None:
            response = await http.post("/tasks", json=QUICK)
            return str(response.json()["id"]) if response.status_code == 201 else None

        task_id = await eventually(accepted, "a task to be accepted", timeout_s=TIMEOUT_S)

        async def has_succeeded() -> bool:
            response = await http.get(f"/tasks/{task_id}")
            return response.status_code == 200 and response.json()["status"] == "succeeded"

        await eventually(has_succeeded, "it to be run", timeout_s=TIMEOUT_S)
        await eventually(lambda: _is_listed(http), "a list", timeout_s=TIMEOUT_S)


async def read_lists(url: str) -> None:
    """Have the API open all its connections for lists."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=BACK_S) as http,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CLIENTS):
            group.create_task(_is_listed(http))


async def _is_listed(http: httpx.AsyncClient) -> bool:
    return (await http.get("/tasks", params={"limit": 1})).status_code == 200


async def assert_nothing_lost(url: str, clients: Clients) -> None:
    """Assert that the database has all accepted tasks, and that it keeps the guarantees."""
    sql = await asyncpg.connect(url)
    try:
        found = {str(row["id"]) for row in await sql.fetch("SELECT id FROM taskmill.task")}
        missing = clients.accepted - found
        assert not missing, f"{len(missing)} accepted tasks are missing"
        await assert_safe(sql)
    finally:
        await sql.close()
    done = await apart(run_module, url, "taskmill", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
async def test_a_standby_that_takes_over_has_everything_that_was_accepted(
    replicated: ReplicatedDatabase, tmp_path: Path, broker_url: str
) -> None:
    await asyncio.to_thread(migrate_with_roles, replicated.url)
    promoted = replicated.url_of(replicated.standby)
    async with at_work(replicated.url, tmp_path, broker_url, promoted=promoted) as (url, clients):
        replicated.primary.kill()
        async with asyncio.timeout(BACK_S):
            await asyncio.to_thread(replicated.standby.promote)
            await until_it_works(url)
        await clients.have(BEFORE + DURING + AFTER)
    assert set(clients.refused) <= set(AWAY)
    await assert_nothing_lost(promoted, clients)


@pytest.mark.slow
async def test_a_primary_that_hangs_is_left_for_its_standby_and_not_used_when_it_is_back(
    replicated: ReplicatedDatabase, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrate_with_roles, replicated.url)
    promoted = replicated.url_of(replicated.standby)
    async with at_work(replicated.url, tmp_path, promoted=promoted) as (url, clients):
        await read_lists(url)
        replicated.primary.freeze()
        async with asyncio.timeout(BACK_S):
            await asyncio.to_thread(replicated.standby.promote)
            await until_it_works(url)
        await clients.have(BEFORE + DURING)
        replicated.primary.thaw()
        await clients.have(BEFORE + DURING + AFTER)
    assert set(clients.refused) <= set(AWAY)
    await assert_nothing_lost(promoted, clients)


@pytest.mark.slow
async def test_a_former_primary_is_left_once_it_is_read_only_and_refused_from_then_on(
    replicated: ReplicatedDatabase,
) -> None:
    await asyncio.to_thread(migrate_with_roles, replicated.url)
    database = RoleDatabase(replicated.url, DatabaseSettings(pool_size=2))
    sql = await asyncpg.connect(replicated.url_of(replicated.primary))
    try:
        other = await database.connect()
        assert await port_of(database) == replicated.primary.port
        await asyncio.to_thread(replicated.standby.promote)
        await sql.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await sql.execute("SELECT pg_reload_conf()")
        await eventually(lambda: is_read_only(other), "the setting to hold")
        await database.fetch("close_lease", uuid.uuid4(), "stopped")
        assert await port_of(database) == replicated.standby.port
        await eventually(lambda: is_closed(other), "the other connection to be closed")
        await sql.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await sql.execute("SELECT pg_reload_conf()")
        replicated.standby.kill()
        await eventually(lambda: is_refused(database), "the former primary to be refused")
    finally:
        await sql.close()
        await database.close()


async def port_of(database: Database) -> int:
    """Return the port of the server that statements go to."""
    async with database.hot() as connection:
        port: int = await connection.fetchval("SELECT inet_server_port()")
        return port


async def is_read_only(connection: Connection) -> bool:
    return bool(await connection.fetchval("SHOW default_transaction_read_only") == "on")


async def is_closed(connection: Connection) -> bool:
    return connection.is_closed()


async def is_refused(database: Database) -> bool:
    """Whether there is no server, as the one that takes writes was replaced."""
    try:
        await database.fetch("clock_now")
    except Unavailable as error:
        return isinstance(error.__cause__, FormerPrimary)
    return False


@pytest.mark.slow
async def test_keyed_creates_outlive_a_standby_that_is_lost(
    replicated: ReplicatedDatabase, tmp_path: Path
) -> None:
    """No commit is confirmed meanwhile: clients are asked to retry, and each key makes one task."""
    await asyncio.to_thread(migrate_with_roles, replicated.url)
    with a_fleet(
        tmp_path,
        database_url=replicated.url_of(replicated.primary),
        env={"TASKMILL_BROKER": "postgres", "TASKMILL_API__PORT": "0"},
        api=1,
        worker=1,
        maintenance=1,
    ) as fleet:
        url = fleet.programs["api-1"].facts["url"]
        async with posting(url) as clients:
            await clients.have(BEFORE)
            replicated.standby.kill()
            await eventually(lambda: _refused(clients), "clients to be refused")
            await eventually(lambda: _is_unready(url), "the API to report that it can't write")
            await asyncio.to_thread(replicated.standby.start, {})
            await clients.have(BEFORE + DURING)
        assert set(clients.refused) == set(AWAY)
        sql = await asyncpg.connect(replicated.url_of(replicated.primary))
        try:
            await eventually(lambda: _all_ended(sql), "all tasks to end", timeout_s=TIMEOUT_S)
            made = await sql.fetch(
                "SELECT t.id::text AS id, count(i.key) AS keys FROM taskmill.task AS t "
                "LEFT JOIN taskmill.idempotency AS i ON i.task_id = t.id GROUP BY t.id"
            )
            assert clients.accepted <= {row["id"] for row in made}
            assert {row["keys"] for row in made} == {1}, "a key made two tasks"
            await assert_safe(sql)
        finally:
            await sql.close()


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, "key"])
async def test_a_repeated_creation_returns_only_after_the_standby_has_it(
    replicated: ReplicatedDatabase, key: str | None
) -> None:
    await asyncio.to_thread(migrate_with_roles, replicated.url)
    impatient = DatabaseSettings(pool_size=2, statement_timeout_s=1, connect_timeout_s=1)
    clock = SystemClock()
    ids = IdFactory(clock, random.Random(1))  # noqa: S311 - no secret
    database = RoleDatabase(replicated.url, impatient)
    draft = a_draft(idempotency=a_key(key) if key else None)
    sql = await asyncpg.connect(replicated.url_of(replicated.primary))
    try:
        async with a_creation(database, clock, ids) as creation, asyncio.TaskGroup() as group:
            await creation.create(a_draft())
            async with nothing_replicated(replicated):
                group.create_task(_end_a_commit_that_waits(sql))
                with pytest.raises(Unavailable):
                    await creation.create(draft)
                found = await sql.fetchval("SELECT count(*) FROM taskmill.task")
                assert found == 2, "a reader of the primary sees it"
    finally:
        await sql.close()
        await database.close()


async def _end_a_commit_that_waits(sql: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Terminate the session that waits for the standby: what it stored is visible from then on."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    async def probe() -> bool:
        return bool(await sql.fetch(query))

    await eventually(probe, "a commit that waits to be ended")


async def _refused(clients: Clients) -> bool:
    return bool(clients.refused)


async def _is_unready(url: str) -> bool:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{url}/readyz")).status_code == 503


async def _all_ended(sql: "asyncpg.Connection[asyncpg.Record]") -> bool:
    waiting: int = await sql.fetchval(
        "SELECT count(*) FROM taskmill.current_task WHERE status IN ('new', 'in_progress')"
    )
    return waiting == 0
