"""Ten minutes at 2,000 tasks a second beside 1,000,000 that have ended, while one transaction stays open.

The open transaction (REPEATABLE READ, like a dump or a forgotten session) keeps vacuum from removing rows that die
meanwhile. A producer creates tasks at an even rate, one worker runs them, maintenance does its duties. PostgreSQL
logs how long claims take; the first tenth of the time is compared with the last. A short run has one minute.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.lab import Lab
from benchmarks.observing import connected
from benchmarks.producing import Producer, producing
from benchmarks.scenarios.noop_drain import NOOP
from benchmarks.statement_times import Timed, sample_statements, statement_times
from benchmarks.stored_tasks import store_tasks
from benchmarks.timeline import Timeline, begin_and_end, series
from taskmill.domain.task import TaskDraft
from taskmill.storage.statements import statement

TITLE = "2,000 tasks a second beside 1,000,000 ended ones, and a transaction that stays open"

_RATE = 2000
_HELD_SHARE = 0.99
_MOST_GROWTH = 3
_TICK_S, _REPORT_EVERY_S = 0.02, 10.0
_SETTLE_S = 2.0
_ENDED = "SELECT count(*) FROM taskmill.task WHERE finished_at > $1"
_WAITING = "SELECT count(*) FROM taskmill.dispatch"
_PIN = (
    "SET idle_in_transaction_session_timeout = 0",
    "BEGIN ISOLATION LEVEL REPEATABLE READ",
    _WAITING,
)
# When tasks were claimed, in seconds from the start, and how many ms they had waited. As in `current_task`, of
# which there are no samples: `task` has the start of those only whose attempt has ended.
WAITED = """
SELECT extract(epoch FROM claimed_at - $1)::float8 AS at_s,
    extract(epoch FROM claimed_at - created_at)::float8 * 1000 AS ms
FROM (
    SELECT t.created_at, coalesce(r.started_at, t.started_at) AS claimed_at
    FROM taskmill.task AS t TABLESAMPLE SYSTEM (20) LEFT JOIN taskmill.running AS r ON r.task_id = t.id
) AS sampled
WHERE claimed_at > $1 AND created_at > $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The measurements; times are (seconds from the start, ms)."""

    seconds: float
    ended: int
    left: int
    claims: Timeline
    waits: Timeline


async def run(lab: Lab) -> list[Figure]:
    seconds = lab.pick(quick=10, short=60, full=600)
    stored = lab.pick(quick=50_000, short=1_000_000, full=1_000_000)
    async with lab.database() as url, connected(url) as connection:
        await store_tasks(url, stored, is_all_ended=True)
        await sample_statements(connection, share=1 if lab.is_short else 0.2)
        await lab.settle()
        seen = await _hold(lab, url, connection, seconds)
    lab.series += [
        series("claim p95", seen.claims, seen.seconds),
        series("wait p95", seen.waits, seen.seconds),
    ]
    return _figures(seen)


def _figures(seen: Seen) -> list[Figure]:
    begin, end = begin_and_end(seen.claims, seen.seconds)
    waits = begin_and_end(seen.waits, seen.seconds)
    return [
        Figure(
            name="ended",
            unit="/s",
            ours=[seen.ended / seen.seconds],
            target=at_least(_RATE * _HELD_SHARE),
        ),
        Figure(name="left waiting", unit="tasks", ours=[seen.left]),
        Figure(
            name="claim p95 at the end",
            unit="ms",
            ours=[end],
            against="at the begin",
            theirs=[begin],
            target=at_most(_MOST_GROWTH),
        ),
        Figure(
            name="wait p95 at the end",
            unit="ms",
            ours=[waits[1]],
            against="at the begin",
            theirs=[waits[0]],
        ),
    ]


async def _hold(
    lab: Lab, url: str, observer: "asyncpg.Connection[asyncpg.Record]", seconds: int
) -> Seen:
    log = lab.server_log
    async with (
        lab.taskmill("maintenance", url),
        lab.taskmill("worker", url),
        producing(url) as producer,
        _pinned(url),
    ):
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_produce(producer, stop))
            await asyncio.sleep(_SETTLE_S)
            offset = log.stat().st_size
            began_at = await observer.fetchval("SELECT clock_timestamp()")
            began = time.monotonic()
            await _report(observer, seconds)
            took_s = time.monotonic() - began
            ended = await observer.fetchval(_ENDED, began_at)
            left = await observer.fetchval(_WAITING)
            stop.set()
        waits = [(row["at_s"], row["ms"]) for row in await observer.fetch(WAITED, began_at)]
    first_line = statement("claim_tasks").partition("\n")[0]
    claims = statement_times(log, offset, first_line)
    return Seen(
        seconds=took_s,
        ended=ended,
        left=left,
        claims=_within(claims, began_at.timestamp(), took_s),
        waits=waits,
    )


def _within(claims: Iterable[Timed], began_at: float, took_s: float) -> Timeline:
    return [(c.at - began_at, c.ms) for c in claims if 0 <= c.at - began_at <= took_s]


@asynccontextmanager
async def _pinned(url: str) -> AsyncIterator[None]:
    """Keep a snapshot open during the block."""
    async with connected(url) as connection:
        for command in _PIN:
            await connection.execute(command)
        yield


async def _produce(producer: Producer, stop: asyncio.Event) -> None:
    draft = TaskDraft(name="benchmark", payload=NOOP)
    began, made = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * _RATE)
        if due > made:
            await producer.creation.create_all([draft] * (due - made))
            made = due
        await asyncio.sleep(_TICK_S)


async def _report(observer: "asyncpg.Connection[asyncpg.Record]", seconds: int) -> None:
    """Wait, and report progress now and then."""
    ends = time.monotonic() + seconds
    while (left_s := ends - time.monotonic()) > 0:
        await asyncio.sleep(min(_REPORT_EVERY_S, left_s))
        print(f"  {await observer.fetchval(_WAITING):,} wait; {max(left_s, 0):.0f} s", flush=True)
