"""What an idle system costs: API, worker, relay, intake, maintenance and webhooks, over RabbitMQ.

It has a PostgreSQL server of its own, which counts every statement (`pg_stat_statements`), including those that
open and close transactions. The broker and PostgreSQL itself are not counted. Then it has 100,000 schedules, too,
none of which is due within a minute.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from benchmarks import stored_schedules
from benchmarks.figures import Figure, Target, at_most
from benchmarks.lab import Lab
from benchmarks.observing import connected
from benchmarks.programs import Program, ProgramFailed
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.storage import migrate

TITLE = "statements a second and processor time of a whole system that idles"

_ROLES = (("api",), ("worker",), ("relay", "intake"), ("maintenance", "webhooks"))
_SECOND = (("relay",), ("maintenance", "webhooks"))
_MOST_PER_S, _MOST_PERCENT = 5, 1
_SETTLE_S = 5.0
_SCHEDULES = 100_000
_LEAD = timedelta(hours=3)
_SHOWN = 8
_COUNTING = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "on",
}
_NOT_OURS = "query NOT LIKE '%pg_stat_%'"
_CALLS = f"SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements WHERE {_NOT_OURS}"  # noqa: S608 - our own
_COMMITS = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)
_MOST_CALLED = f"""
SELECT calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 70) AS query FROM pg_stat_statements
WHERE {_NOT_OURS} ORDER BY calls DESC LIMIT {_SHOWN}
"""  # noqa: S608 - see above

Cost = tuple[float, float, float]


async def run(lab: Lab) -> list[Figure]:
    # At least a minute, since many duties come once in it.
    seconds = lab.pick(quick=10, short=60, full=120)
    async with lab.broker(), _counting_server(lab) as url, lab.vhost() as amqp_url:
        start = partial(_idling, lab, url, amqp_url)
        async with start(_ROLES) as programs:
            one = await _measure("one of each", url, programs, seconds)
            async with start(_SECOND) as more:
                two = await _measure("two", url, [*programs, *more], seconds)
            await _store_schedules(url)
            many = await _measure("100,000 schedules", url, programs, seconds)
    return [
        *_figures("", one, at_most(_MOST_PER_S), at_most(_MOST_PERCENT)),
        *_figures(", 100,000 schedules", many, at_most(_MOST_PER_S), at_most(_MOST_PERCENT)),
        *_figures(", two relays, maintenances and webhooks", two, None, None),
    ]


def _figures(
    name: str, cost: Cost, statements: Target | None, percent: Target | None
) -> list[Figure]:
    statements_per_s, commits_per_s, used_percent = cost
    return [
        Figure(name=f"statements{name}", unit="/s", ours=[statements_per_s], target=statements),
        Figure(name=f"transactions{name}", unit="/s", ours=[commits_per_s]),
        Figure(
            name=f"processor time{name}", unit="% of a core", ours=[used_percent], target=percent
        ),
    ]


async def _store_schedules(url: str) -> None:
    """Store daily schedules, with a tick every 0.1 s from three hours on."""
    async with connected(url) as connection:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        spec = ScheduleSpec(every=timedelta(days=1), starts_at=now + _LEAD)
        await stored_schedules.store(connection, _SCHEDULES, spec, next_at=now + _LEAD, apart_s=0.1)


async def _measure(name: str, url: str, programs: Sequence[Program], seconds: int) -> Cost:
    """Return statements and transactions a second, and the share of a core in percent."""
    await asyncio.sleep(_SETTLE_S)
    async with connected(url) as connection:
        await connection.execute("SELECT pg_stat_statements_reset()")
        before, commits_before = _used_s(programs), await connection.fetchval(_COMMITS)
        await asyncio.sleep(seconds)
        used_s = _used_s(programs) - before
        commits = await connection.fetchval(_COMMITS) - commits_before
        calls = await connection.fetchval(_CALLS)
        await _print_statements(connection, seconds)
    cost = calls / seconds, commits / seconds, 100 * used_s / seconds
    text = "{:.1f} statements/s in {:.1f} transactions/s, {:.2f} % of a core".format(*cost)
    print(f"  {name}: {text}", flush=True)
    return cost


async def _print_statements(connection: "asyncpg.Connection[asyncpg.Record]", seconds: int) -> None:
    for row in await connection.fetch(_MOST_CALLED):
        print(f"    {row['calls'] / seconds:.2f}/s {row['query']}", flush=True)


def _used_s(programs: Sequence[Program]) -> float:
    used = [program.cpu_s() for program in programs]
    if None in used:
        raise ProgramFailed("this system does not report a process's processor time")
    return sum(one for one in used if one is not None)


@asynccontextmanager
async def _counting_server(lab: Lab) -> AsyncIterator[str]:
    """Run a server that counts statements, with the schema; return its address."""
    with EmbeddedPostgres(lab.folder / "counting-postgres", settings=_COUNTING) as server:
        await asyncio.to_thread(migrate.upgrade, server.url)
        async with connected(server.url) as connection:
            await connection.execute("CREATE EXTENSION pg_stat_statements")
        yield server.url


@asynccontextmanager
async def _idling(
    lab: Lab, url: str, amqp_url: str, processes: Sequence[Sequence[str]]
) -> AsyncIterator[list[Program]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                lab.taskmill(
                    role,
                    url,
                    *others,
                    *(("--port", "0") if role == "api" else ()),
                    broker_url=amqp_url,
                )
            )
            for role, *others in processes
        ]
