"""Backups of a system at work, restored into another cluster: what was accepted is there, and all goes on."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from taskmill.storage import name_index
from tests.chaos.test_failover import Clients, posting
from tests.support.clusters import Cluster, a_cluster, restored
from tests.support.fleet import Fleet, a_fleet
from tests.support.migrating import apart, migrate_with_roles, run_module
from tests.support.polling import eventually
from tests.support.rabbitmq import VirtualHosts
from tests.support.safety import assert_safe

pytestmark = pytest.mark.slow

ENV = {"TASKMILL_API__PORT": "0"}
NO_BROKER = {**ENV, "TASKMILL_BROKER": "postgres"}
ALL_ROLES = {"api": 1, "worker": 1, "relay": 1, "intake": 1, "maintenance": 1}
FEW_ROLES = {"api": 1, "worker": 1, "maintenance": 1}
TIMEOUT_S = 60.0
LONG = {"name": "long", "queue": "long", "payload": {"delay_s": 4, "failure_probability": 0}}
LONG_TASKS = 5
STATUSES = "SELECT count(*) FROM taskmill.current_task WHERE queue = 'long' AND status = $1"
CLAIMS = """
    SELECT task_id::text, count(*) FILTER (WHERE event = 'claimed'), count(*) FILTER (WHERE event = 'lost')
    FROM taskmill.task_history GROUP BY task_id
"""
ENDED = "SELECT id::text FROM taskmill.task WHERE finished_at IS NOT NULL"


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with Taskmill's schema and roles."""
    with a_cluster(tmp_path / "first") as cluster:
        yield cluster


@pytest.fixture
def other_broker_url(broker_server: VirtualHosts) -> Iterator[str]:
    """A broker that knows nothing of what happened before."""
    url = broker_server.create()
    yield url
    broker_server.drop(url)


async def made_ready(url: str) -> None:
    await apart(migrate_with_roles, url)
    await name_index.apply(url, is_wanted=True)


async def ids(sql: "asyncpg.Connection[asyncpg.Record]", query: str) -> set[str]:
    return {row["id"] for row in await sql.fetch(query)}


async def have_all_ended(sql: "asyncpg.Connection[asyncpg.Record]") -> None:
    async def are_ended() -> bool:
        left: int = await sql.fetchval(
            "SELECT count(*) FROM taskmill.current_task WHERE status IN ('new', 'in_progress')"
        )
        return left == 0

    await eventually(are_ended, "all tasks to end", timeout_s=TIMEOUT_S)


async def assert_clean(url: str, *options: str) -> None:
    """Run `taskmill verify`, as an operator does."""
    done = await apart(run_module, url, "taskmill", "verify", *options)
    assert done.returncode == 0, done.stdout + done.stderr


async def post_more(clients: Clients, tasks: int) -> None:
    await clients.have(len(clients.accepted) + tasks)


def api_of(fleet: Fleet) -> str:
    url: str = fleet.programs["api-1"].facts["url"]
    return url


async def post_long_ones(fleet: Fleet) -> set[str]:
    """Post tasks that still run when the backup is made."""
    async with httpx.AsyncClient(base_url=api_of(fleet), timeout=10) as http:
        posted = [await http.post("/tasks", json=LONG) for _ in range(LONG_TASKS)]
    return {response.json()["id"] for response in posted}


async def long_tasks_are(sql: "asyncpg.Connection[asyncpg.Record]", status: str) -> None:
    async def probe() -> bool:
        return bool(await sql.fetchval(STATUSES, status) == LONG_TASKS)

    await eventually(probe, f"the long tasks to be {status}", timeout_s=TIMEOUT_S)


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """A dump, the tasks that were accepted before it, and those that ran when it was made and ended later."""

    path: Path
    accepted: set[str]
    long: set[str]


async def dumped_at_work(first: Cluster, folder: Path, broker_url: str) -> Dumped:
    """Dump a database while it is used, and use it further."""
    await made_ready(first.url)
    dump, sql = first.programs.folder / "dump", await asyncpg.connect(first.url)
    with a_fleet(
        folder, database_url=first.url, broker_url=broker_url, env=ENV, **ALL_ROLES
    ) as fleet:
        async with posting(api_of(fleet)) as clients:
            await clients.have(200)
            long = await post_long_ones(fleet)
            await long_tasks_are(sql, "in_progress")
            accepted = set(clients.accepted)
            options = ("-n", "taskmill", "-e", "pg_trgm", "-Fc", "-f", str(dump))
            await asyncio.to_thread(first.programs.run, "pg_dump", *options, "-d", first.url)
            await post_more(clients, 50)
        await long_tasks_are(sql, "succeeded")
    await sql.close()
    return Dumped(path=dump, accepted=accepted, long=long)


async def claims_of(
    sql: "asyncpg.Connection[asyncpg.Record]",
) -> Mapping[str, tuple[int, int]]:
    """Return how often each task was claimed and lost."""
    return {row[0]: (row[1], row[2]) for row in await sql.fetch(CLAIMS)}


async def test_a_dump_of_a_system_at_work_goes_on_in_another_cluster_and_with_an_empty_broker(
    first: Cluster, tmp_path: Path, broker_url: str, other_broker_url: str
) -> None:
    made = await dumped_at_work(first, tmp_path / "before", broker_url)
    with a_cluster(tmp_path / "second") as second:
        url = second.url
        options = ("--no-owner", "--no-privileges", "-d", url, str(made.path))
        await asyncio.to_thread(first.programs.run, "pg_restore", *options)
        await made_ready(url)
        await assert_clean(url)
        sql = await asyncpg.connect(url)
        assert made.accepted | made.long <= await ids(sql, "SELECT id::text FROM taskmill.task")
        ended, before = await ids(sql, ENDED), await claims_of(sql)
        folder, broker = tmp_path / "after", other_broker_url
        with a_fleet(folder, database_url=url, broker_url=broker, env=ENV, **ALL_ROLES) as fleet:
            done = await apart(run_module, url, "taskmill", "broker", "rebuild")
            assert done.returncode == 0, done.stderr
            async with posting(api_of(fleet)) as clients:
                await post_more(clients, 50)
            await have_all_ended(sql)
        claims = await claims_of(sql)
        # What had ended in the dump does not run again. What ran did end in the first one, and runs twice.
        assert {task: claims[task] for task in ended} == {task: before[task] for task in ended}
        assert {claims[task] for task in made.long} == {(2, 1)}
        await assert_safe(sql)
        await sql.close()
        await assert_clean(url)


@dataclass(frozen=True, kw_only=True)
class Archived:
    """A base backup, the moment to restore, and the tasks that were accepted before it and after it."""

    path: Path
    moment: datetime
    accepted: set[str]
    later: set[str]


async def archived_at_work(first: Cluster, folder: Path) -> Archived:
    """Back up a database while it is used, use it further, and lose it when all of its WAL is archived."""
    await made_ready(first.url)
    sql = await asyncpg.connect(first.url)
    with a_fleet(
        folder, database_url=first.url, env=NO_BROKER, broker_url=None, **FEW_ROLES
    ) as fleet:
        async with posting(api_of(fleet)) as clients:
            await clients.have(100)
            backup = await asyncio.to_thread(first.back_up, "restored")
            await post_more(clients, 100)
            accepted = set(clients.accepted)
            moment: datetime = await sql.fetchval("SELECT clock_timestamp()")
            await post_more(clients, 100)
            later = set(clients.accepted) - accepted
        await archived(sql)
    await sql.close()
    first.server.kill()
    return Archived(path=backup, moment=moment, accepted=accepted, later=later)


async def test_a_base_backup_with_archived_wal_is_restored_to_a_moment(
    first: Cluster, tmp_path: Path
) -> None:
    made = await archived_at_work(first, tmp_path / "before")
    with restored(first, made.path, until=made.moment) as second:
        url, sql = second.url, await asyncpg.connect(second.url)

        async def takes_writes() -> bool:
            return not await sql.fetchval("SELECT pg_is_in_recovery()")

        await eventually(takes_writes, "the end of the recovery", timeout_s=TIMEOUT_S)
        found = await ids(sql, "SELECT id::text FROM taskmill.task")
        assert made.accepted <= found
        # Some were committed a moment before that, and accepted after it.
        assert len(made.later & found) < len(made.later)
        await assert_clean(url, "--as-of", made.moment.isoformat())
        early = (made.moment - timedelta(days=1)).isoformat()
        done = await apart(run_module, url, "taskmill", "verify", "--as-of", early)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "after_moment" in done.stdout
        with a_fleet(
            tmp_path / "after", database_url=url, env=NO_BROKER, broker_url=None, **FEW_ROLES
        ) as fleet:
            async with posting(api_of(fleet)) as clients:
                await post_more(clients, 50)
            await have_all_ended(sql)
        await assert_safe(sql)
        await sql.close()
        await assert_clean(url)


async def archived(sql: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until all that was written is in the archive."""
    segment: str = await sql.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

    async def is_there() -> bool:
        last = await sql.fetchval("SELECT last_archived_wal FROM pg_stat_archiver")
        return last is not None and last >= segment

    await eventually(is_there, "the last segment to be archived", timeout_s=TIMEOUT_S)
