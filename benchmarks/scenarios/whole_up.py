"""What a no-op task costs a whole `taskmill up`, from the first POST until all is quiet again.

Every role runs, as `up` starts it, with its PostgreSQL and its RabbitMQ, so that background work counts. The
processor time of all processes is read before, when the last task has ended, and when all has been quiet for four
seconds: all changes are delivered, and no more is used than by an idle system. With `--before REV` the same is
done, in turns, with a checkout of that revision, which runs with this one's environment.
"""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import asyncpg
import httpx

from benchmarks.checkouts import checked_out
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from benchmarks.process_tree import used_s
from benchmarks.programs import ROOT, Program, running
from benchmarks.rounds import interleaved
from benchmarks.scenarios.noop_drain import SUCCEEDED

TITLE = "processor time of every process of `taskmill up` for a no-op task, until all is quiet"

_NOW = "this checkout"
_MOST = 0.3
_BATCH = 1000
_START_S, _TIMEOUT_S = 180.0, 600.0
_STEP_S, _POLL_S = 1.0, 0.5
_QUIET_STEPS = 4
# An idle system uses 2 to 5 % of a core, most of it RabbitMQ's.
_QUIET_SHARE = 0.12
_DELIVERED = """
SELECT NOT EXISTS (SELECT FROM taskmill.change_batch WHERE position IS NULL)
    AND (SELECT min(position) FROM taskmill.feed_delivery)
        >= (SELECT max(position) FROM taskmill.change_batch)
"""

Used = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds a task, by process: while tasks ran, and from the last one's end until all was quiet."""

    until_end: Used
    after_end: Used
    quiet_after_s: float

    @property
    def total(self) -> float:
        return sum(self.until_end.values()) + sum(self.after_end.values())

    def __str__(self) -> str:
        parts = (
            f"{name}: {self.until_end.get(name, 0):.0f} + {self.after_end.get(name, 0):.0f}"
            for name in sorted({*self.until_end, *self.after_end})
        )
        after = sum(self.after_end.values())
        return (
            f"{self.total:.0f} µs a task, {after:.0f} of them after the last end, "
            f"for {self.quiet_after_s:.0f} s ({'; '.join(parts)})"
        )


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=50_000)
    with ExitStack() as stack:
        sides = {_NOW: ROOT}
        if lab.before is not None:
            before = stack.enter_context(checked_out(lab.before, lab.folder / "before"))
            sides[lab.before] = before
        costs = await interleaved(
            lab,
            {side: partial(_measure, lab, checkout, tasks) for side, checkout in sides.items()},
            describe=str,
        )
    return _figures(costs, lab.before)


def _figures(costs: Mapping[str, Sequence[Cost]], before: str | None) -> list[Figure]:
    names = sorted({name for cost in costs[_NOW] for name in (*cost.until_end, *cost.after_end)})
    theirs = costs[before] if before else []
    return [
        Figure(
            name="until all is quiet",
            unit="µs a task",
            ours=[cost.total for cost in costs[_NOW]],
            against=before or "",
            theirs=[cost.total for cost in theirs],
            target=at_most(_MOST) if before else None,
        ),
        Figure(
            name="of that after the last end",
            unit="µs a task",
            ours=[sum(cost.after_end.values()) for cost in costs[_NOW]],
            against=before or "",
            theirs=[sum(cost.after_end.values()) for cost in theirs],
        ),
        *(
            Figure(
                name=f"{name}, {when}",
                unit="µs a task",
                ours=[used.get(name, 0.0) for used in ours],
                against=before or "",
                theirs=[used.get(name, 0.0) for used in their],
            )
            for name in names
            for when, ours, their in (
                (
                    "until the last end",
                    [cost.until_end for cost in costs[_NOW]],
                    [cost.until_end for cost in theirs],
                ),
                (
                    "after it",
                    [cost.after_end for cost in costs[_NOW]],
                    [cost.after_end for cost in theirs],
                ),
            )
        ),
    ]


async def _measure(lab: Lab, checkout: Path, tasks: int) -> Cost:
    data = lab.folder / "up"
    shutil.rmtree(data, ignore_errors=True)
    up = running(
        "up",
        ["-m", "taskmill", "up", "--port", "0", "--data", str(data), "--broker", "rabbitmq"],
        folder=lab.folder,
        environment={"PYTHONPATH": str(checkout / "src")},
        start_s=_START_S,
    )
    async with up as program:
        facts = json.loads((lab.folder / "up.ready").read_text())
        async with asyncio.timeout(_TIMEOUT_S), connected(facts["database_url"]) as connection:
            # The first tasks make queues, prepare statements and fill caches.
            await _work(program, connection, _BATCH, _BATCH)
            await _quiet(program, connection)
            return await _cost(program, connection, tasks)


async def _cost(
    program: Program, connection: "asyncpg.Connection[asyncpg.Record]", tasks: int
) -> Cost:
    began = used_s(program.pid)
    await _work(program, connection, tasks, _BATCH + tasks)
    ended, ended_at = used_s(program.pid), monotonic()
    quiet, quiet_at = await _quiet(program, connection)
    return Cost(
        until_end=_per_task(began, ended, tasks),
        after_end=_per_task(ended, quiet, tasks),
        quiet_after_s=quiet_at - ended_at,
    )


async def _work(
    program: Program,
    connection: "asyncpg.Connection[asyncpg.Record]",
    tasks: int,
    ended: int,
) -> None:
    """Post so many tasks, batch after batch, and wait until so many have ended in all."""
    draft = {"name": "noop", "payload": {"delay_s": 0, "failure_probability": 0}}
    async with httpx.AsyncClient(
        base_url=str(program.url), timeout=_TIMEOUT_S, trust_env=False
    ) as client:
        for _ in range(0, tasks, _BATCH):
            response = await client.post("/tasks/batch", json=[draft] * _BATCH)
            response.raise_for_status()
    await until_counted(connection, SUCCEEDED, ended, timeout_s=_TIMEOUT_S, pause_s=_POLL_S)


async def _quiet(
    program: Program, connection: "asyncpg.Connection[asyncpg.Record]"
) -> tuple[Used, float]:
    """Wait until all changes are delivered and little is used for a while; return the time used by then."""
    quiet_steps, (before, at) = 0, (used_s(program.pid), monotonic())
    while quiet_steps < _QUIET_STEPS:
        await asyncio.sleep(_STEP_S)
        used, until = used_s(program.pid), monotonic()
        share = (sum(used.values()) - sum(before.values())) / (until - at)
        is_quiet = share <= _QUIET_SHARE and await connection.fetchval(_DELIVERED)
        quiet_steps = quiet_steps + 1 if is_quiet else 0
        before, at = used, until
    return before, at


def _per_task(before: Used, after: Used, tasks: int) -> Used:
    return {
        name: seconds / tasks * 1e6 for name, seconds in (Counter(after) - Counter(before)).items()
    }
