"""10,000 schedules that are due in the same second, two maintenance processes, against one call of `create_all`.

Both sides create 10,000 tasks of the same bodies in one database, whose maintenance runs meanwhile. Firing is
measured from the tick until all tasks are committed, by PostgreSQL's clock; a call of `create_all`, which has its
drafts already, until it returns. No tick may make a second task.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter

import asyncpg

from benchmarks import stored_schedules
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.producing import Producer, producing
from benchmarks.rounds import interleaved
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.wire.rules import DEFAULT_LIMITS
from taskmill.wire.stored_schedules import task_draft

TITLE = "10,000 schedules due in the same second, two maintenance processes, against create_all"

_SCHEDULES = 10_000
_FIRST = 1_000
_LEAST = 0.7
_LEAD = timedelta(seconds=12)
_TIMEOUT_S = 120.0
_POLL_S = 0.005
# An index has it: to count what was created would take a share of what is measured.
_FIRED = """
SELECT NOT EXISTS (SELECT FROM taskmill.schedule_cursor WHERE paused_at IS NULL AND next_at <= $1)
"""
_NEXT = "SELECT date_trunc('second', clock_timestamp() + $1::interval)"
_SINCE = "SELECT extract(epoch FROM clock_timestamp() - $1)::float8"
_TICKS = """
SELECT count(*) AS tasks, count(DISTINCT labels ->> 'schedule') AS schedules
FROM taskmill.task WHERE $1::uuid IS NULL OR id > $1
"""
_NEWEST = "SELECT id FROM taskmill.task ORDER BY id DESC LIMIT 1"


class _Firing:
    """Schedules of a round, in a database of which two maintenance processes take care."""

    def __init__(self, lab: Lab, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._lab = lab
        self._connection = connection
        self._round = 0

    async def fire(self, count: int) -> float:
        """Have so many be due at once; return how many tasks a second were created from then on."""
        self._round += 1
        connection = self._connection
        newest = await connection.fetchval(_NEWEST)
        tick: datetime = await connection.fetchval(_NEXT, _LEAD)
        spec = ScheduleSpec(cron=f"{tick:%-S %-M %-H} * * *")
        await stored_schedules.store(
            connection, count, spec, prefix=f"r{self._round}-", next_at=tick
        )
        await self._lab.settle()
        left_s = -await connection.fetchval(_SINCE, tick)
        if left_s < 0:
            raise LoadFailed("the schedules were not stored in time")
        await asyncio.sleep(left_s)
        async with asyncio.timeout(_TIMEOUT_S):
            while not await connection.fetchval(_FIRED, tick):  # noqa: ASYNC110 - other processes get it done
                await asyncio.sleep(_POLL_S)
        took_s: float = await connection.fetchval(_SINCE, tick)
        await self._check(newest, count)
        return count / took_s

    async def _check(self, newest: object, count: int) -> None:
        made = await self._connection.fetchrow(_TICKS, newest)
        if made is None or (made["tasks"], made["schedules"]) != (count, count):
            raise LoadFailed(f"{count} ticks made {made}")


async def run(lab: Lab) -> list[Figure]:
    async with _maintained(lab) as url, producing(url) as producer, connected(url) as connection:
        firing = _Firing(lab, connection)
        # The first ones prepare statements and fill caches.
        await firing.fire(_FIRST)
        await _create(lab, producer, _FIRST)
        rates = await interleaved(
            lab,
            {
                "schedules": partial(firing.fire, _SCHEDULES),
                "create_all": partial(_create, lab, producer, _SCHEDULES),
            },
            describe=lambda rate: f"{rate:,.0f} tasks/s",
        )
    return [
        Figure(
            name="created",
            unit="tasks/s",
            ours=rates["schedules"],
            against="create_all",
            theirs=rates["create_all"],
            target=at_least(_LEAST),
        )
    ]


@asynccontextmanager
async def _maintained(lab: Lab) -> AsyncIterator[str]:
    async with (
        lab.database() as url,
        lab.taskmill("maintenance", url, name="maintenance-1"),
        lab.taskmill("maintenance", url, name="maintenance-2"),
    ):
        yield url


async def _create(lab: Lab, producer: Producer, count: int) -> float:
    drafts = [
        task_draft(
            f"c-{n}", stored_schedules.TASK.replace('"#"', str(n)), "default", DEFAULT_LIMITS
        )
        for n in range(count)
    ]
    await lab.settle()
    begun = perf_counter()
    await producer.creation.create_all(drafts)
    return count / (perf_counter() - begun)
