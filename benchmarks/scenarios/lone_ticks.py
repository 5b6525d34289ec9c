"""How late a lone tick is: from the tick to its task, and from the task to its handler, on a system that idles."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from benchmarks import stored_schedules
from benchmarks.figures import Figure, Target, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from taskmill.domain.schedules.spec import ScheduleSpec

TITLE = "lateness of lone ticks, one at a time, of a system that idles otherwise"

_MOST_MS = 60
# Seldom enough that the system is idle when the next one comes (two seconds).
_PAUSES_S = (2.2, 3.8)
_LEAD_S = 3.0
_AT_ONCE = 50
_ENDED = "SELECT count(*) FROM taskmill.task WHERE finished_at IS NOT NULL"
_LATE = """
SELECT
    extract(epoch FROM t.created_at - f.tick)::float8 * 1000 AS created_ms,
    extract(epoch FROM t.started_at - t.created_at)::float8 * 1000 AS started_ms
FROM taskmill.schedule_fire AS f JOIN taskmill.current_task AS t ON t.id = f.task_id
"""


async def run(lab: Lab) -> list[Figure]:
    count = lab.pick(quick=10, short=20, full=_AT_ONCE)
    created, started = [], []
    for number in range(lab.rounds):
        one = await _measure(lab, count, random.Random(number))  # noqa: S311 - no secret
        created.append([late[0] for late in one])
        started.append([late[1] for late in one])
        print(f"  round {number + 1}: p99 {percentile(created[-1], 0.99):.1f} ms", flush=True)
    return [
        *_figures("from the tick to its task", created, at_most(_MOST_MS)),
        *_figures("from the task to its start", started, None),
    ]


def _figures(name: str, rounds: Sequence[Sequence[float]], most: Target | None) -> list[Figure]:
    return [
        Figure(name=f"p50, {name}", unit="ms", ours=[percentile(times, 0.5) for times in rounds]),
        Figure(
            name=f"p99, {name}",
            unit="ms",
            ours=[percentile(times, 0.99) for times in rounds],
            target=most,
        ),
    ]


async def _measure(lab: Lab, count: int, dice: random.Random) -> list[tuple[float, float]]:
    """Return of each tick how late its task was, and how much later that began, in ms."""
    async with _serving(lab) as url, connected(url) as connection:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        at, seconds = [], _LEAD_S
        for _ in range(count):
            at.append(now + timedelta(seconds=seconds))
            seconds += dice.uniform(*_PAUSES_S)
        spec = ScheduleSpec(at=tuple(at))
        await stored_schedules.store(connection, 1, spec, next_at=at[0])
        await asyncio.sleep(seconds)
        await until_counted(connection, _ENDED, count, timeout_s=30)
        rows = await connection.fetch(_LATE)
        return [(row["created_ms"], row["started_ms"]) for row in rows]


@asynccontextmanager
async def _serving(lab: Lab) -> AsyncIterator[str]:
    async with (
        lab.database() as url,
        lab.taskmill("api", url, "--port", "0"),
        lab.taskmill("maintenance", url),
        lab.taskmill("worker", url),
    ):
        yield url
