"""Weeks of 1,000,000 tasks are dropped while others create and claim: how long does anybody wait?

200 tasks a second come over HTTP, one request each on eight connections, and one worker runs them. Claims are
measured beside it, 100 a second; they find nothing, but wait for the same locks. A week is dropped; then another
one, while a session holds for a minute what a dump holds (ACCESS SHARE), and one round of tries follows the other,
without the pauses that maintenance makes; then a drop fails, as a view is made of the week, and maintenance prunes
20,000 expired keys.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import asyncpg

from benchmarks.connections import connected_from
from benchmarks.figures import Figure, at_least, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected, until_counted
from benchmarks.producing import producing
from benchmarks.stored_weeks import store_week
from taskmill.domain.errors import Unavailable
from taskmill.storage import claims, partitions, week_drops
from taskmill.storage.claims import Bucket, BucketStart
from taskmill.storage.database import Database
from taskmill.storage.weeks import Week

TITLE = "weeks of 1,000,000 tasks are dropped at 200 tasks a second"

_CONNECTIONS, _PER_CONNECTION = 8, 25
_CLAIMS_PER_S = 100
_BUCKET = Bucket(queue="default", type="emulate", priority=4)
_MOST_MS, _SHARE = 100, 0.99
# Before and after a drop. Longer would hide it among what came before.
_MARGIN_S = 2.5
_SETTLE_S = 5.0
_WEEKS_AGO = (40, 39, 38)
_KEYS = 20_000
_PRUNED_TIMEOUT_S = 60.0
_CREATED = 201
_TASK = b'{"name":"normal","payload":{"delay_s":0,"failure_probability":0}}'
_POST = (
    b"POST /tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_TASK), _TASK)
)
_EXPIRED_KEYS = """
INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)
SELECT 'benchmark', n::text, gen_random_uuid(), '', now() - interval '1 day'
FROM generate_series(1, $1::integer) AS n
"""
_PRUNED = f"SELECT {_KEYS} - count(*) FROM taskmill.idempotency WHERE scope = 'benchmark'"  # noqa: S608 - our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of the run, in Unix seconds, and how long its drop took."""

    name: str
    begin: float
    end: float
    took_s: float = 0.0


@dataclass(slots=True)
class Load:
    """When each began, in Unix seconds, and how many ms it took."""

    posts: list[tuple[float, float]] = field(default_factory=list)
    claims: list[tuple[float, float]] = field(default_factory=list)


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=20_000, short=1_000_000, full=1_000_000)
    held_s = lab.pick(quick=5, short=60, full=60)
    load = Load()
    async with (
        lab.database() as url,
        connected(url) as connection,
        producing(url) as producer,
    ):
        database = producer.process.database
        weeks = [Week.of(producer.process.clock.now()).later(-ago) for ago in _WEEKS_AGO]
        for week in weeks:
            began = time.monotonic()
            await store_week(database, connection, week, tasks)
            print(
                f"  {tasks:,} tasks of {week.suffix} in {time.monotonic() - began:.0f} s",
                flush=True,
            )
        await lab.settle()
        async with _loaded(lab, url, database, load):
            spans = [
                await _quiet(),
                await _dropped(database, weeks[0]),
                *await _dropped_late(url, database, weeks[1], held_s),
            ]
        await _check_oldest(database, weeks[2])
        pruned_s = await _prune_beside(lab, url, connection, weeks[2])
        await _check_oldest(database, weeks[2])
    return [
        *(figure for span in spans for figure in _figures(span, load)),
        Figure(
            name="keys pruned while a drop fails",
            unit="/s",
            ours=[_KEYS / pruned_s],
            target=at_least(_KEYS / _PRUNED_TIMEOUT_S),
        ),
    ]


def _figures(span: Span, load: Load) -> list[Figure]:
    figures = []
    for name, times in (("POST", load.posts), ("claim", load.claims)):
        within = [ms for at, ms in times if span.begin <= at <= span.end]
        if not within:
            raise LoadFailed(f"no {name} {span.name}")
        figures += [
            Figure(
                name=f"p99 of {name} {span.name}",
                unit="ms",
                ours=[percentile(within, _SHARE)],
                target=at_most(_MOST_MS),
            ),
            Figure(name=f"longest {name} {span.name}", unit="ms", ours=[max(within)]),
        ]
    if span.took_s:
        figures.append(Figure(name=f"the drop {span.name}", unit="s", ours=[span.took_s]))
    return figures


async def _quiet() -> Span:
    begin = time.time()
    await asyncio.sleep(4 * _MARGIN_S)
    return Span(name="before", begin=begin, end=time.time())


async def _dropped(database: Database, week: Week, name: str = "through a drop") -> Span:
    begin = time.time()
    await asyncio.sleep(_MARGIN_S)
    began = time.monotonic()
    await _drop(database, week)
    took_s = time.monotonic() - began
    await asyncio.sleep(_MARGIN_S)
    return Span(name=name, begin=begin, end=time.time(), took_s=took_s)


async def _drop(database: Database, week: Week) -> None:
    """Drop this week, as if its retention ended with it; it is the oldest."""
    await week_drops.drop_finished(database, week.end + timedelta(weeks=1), timedelta(weeks=1))


async def _dropped_late(url: str, database: Database, week: Week, seconds: float) -> list[Span]:
    """Try to drop a week while its tables are held, then do."""
    begin = time.time()
    async with connected(url) as holder, holder.transaction():
        await holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await holder.execute("LOCK TABLE taskmill.task, taskmill.task_event IN ACCESS SHARE MODE")
        while time.time() - begin < seconds:
            with suppress(Unavailable):
                await _drop(database, week)
                raise LoadFailed("a week was dropped that somebody was reading")
    held = Span(name="while a week is held", begin=begin, end=time.time())
    return [held, await _dropped(database, week, "through a late drop")]


async def _check_oldest(database: Database, week: Week) -> None:
    oldest = (await partitions.attached(database))[0]
    if oldest != week:
        raise LoadFailed(f"the oldest week is {oldest.suffix} instead of {week.suffix}")


async def _prune_beside(
    lab: Lab, url: str, connection: "asyncpg.Connection[asyncpg.Record]", week: Week
) -> float:
    """Return how long maintenance took to prune keys while it could not drop a week."""
    await connection.execute(
        f"CREATE VIEW public.report AS SELECT id FROM taskmill.task_{week.suffix}"  # noqa: S608 - our own
    )
    await connection.execute(_EXPIRED_KEYS, _KEYS)
    began = time.monotonic()
    async with lab.taskmill(
        "maintenance",
        url,
        name="maintenance-30-days",
        environment={"TASKMILL_RETENTION__TASKS_DAYS": "30"},
    ) as program:
        await until_counted(
            connection,
            _PRUNED,
            _KEYS,
            timeout_s=_PRUNED_TIMEOUT_S,
            pause_s=0.05,
        )
        pruned_s = time.monotonic() - began
        log = lab.log_of(program)
        async with asyncio.timeout(_PRUNED_TIMEOUT_S):
            while b'"drop-weeks"' not in log.read_bytes():  # noqa: ASYNC110 - another process gets it done
                await asyncio.sleep(0.05)
    return pruned_s


@asynccontextmanager
async def _loaded(lab: Lab, url: str, database: Database, load: Load) -> AsyncIterator[None]:
    """Have tasks created at an even rate and run, during the block."""
    async with (
        lab.taskmill("maintenance", url),
        lab.taskmill("worker", url),
        lab.taskmill("api", url, "--port", "0") as api,
        asyncio.TaskGroup() as group,
    ):
        stop = asyncio.Event()
        for number in range(_CONNECTIONS):
            group.create_task(_post(str(api.url), number, load, stop))
        group.create_task(_claim(database, load, stop))
        await asyncio.sleep(_SETTLE_S)
        yield
        stop.set()


async def _post(url: str, number: int, load: Load, stop: asyncio.Event) -> None:
    async with connected_from("127.0.0.1", url) as connection:

        async def post() -> None:
            response = await connection.request(_POST)
            if response.status != _CREATED:
                raise LoadFailed(f"the response to POST /tasks was {response.status}")

        await asyncio.sleep(number / _CONNECTIONS / _PER_CONNECTION)
        await _repeat(post, _PER_CONNECTION, load.posts, stop)


async def _claim(database: Database, load: Load, stop: asyncio.Event) -> None:
    """Claim under a lease that is not there."""
    lease_id, buckets = uuid4(), [(_BUCKET, BucketStart())]

    async def claim() -> None:
        await claims.take(database, lease_id=lease_id, worker="nobody", buckets=buckets, limit=10)

    await _repeat(claim, _CLAIMS_PER_S, load.claims, stop)


async def _repeat(
    work: Callable[[], Awaitable[None]],
    per_s: float,
    times: list[tuple[float, float]],
    stop: asyncio.Event,
) -> None:
    """Work so often, or as often as it goes, and note when each began and how many ms it took."""
    while not stop.is_set():
        began = time.time()
        await work()
        took_s = time.time() - began
        times.append((began, took_s * 1000))
        await asyncio.sleep(max(1 / per_s - took_s, 0))
