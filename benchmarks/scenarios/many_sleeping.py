"""Ten and fifty thousand emulated tasks at once in one worker process: cost of each, and whether it ends in time.

All wait before the worker starts; each runs for 5 to 10 s, or 10 to 20 s if they are fifty thousand, as all must
have started before the first one ends. Memory and processor time are those above an idle worker. A task is late
when its end is recorded more than a second after the delay that the worker chose for it.
"""

import asyncio
import json
from dataclasses import dataclass

from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected, until_counted
from benchmarks.producing import producing
from benchmarks.programs import Program, ProgramFailed

TITLE = "10,000 and 50,000 tasks emulated at once by one worker process"

_MOST_KB = 12
_ENDED = "SELECT count(*) FROM taskmill.current_task WHERE status = 'succeeded'"
_SPAN = "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.current_task"
_LATE = """
SELECT count(*) FROM taskmill.current_task
WHERE finished_at - started_at > make_interval(secs => (result ->> 'delay_s')::float8 + 1)
"""
_AT_ONCE = "SELECT max(started_at) < min(finished_at) FROM taskmill.current_task"
_SETTLE_S = 1.0
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One measurement."""

    seconds: float
    late: int
    kb_a_task: float
    cpu_us_a_task: float
    peak_mb: float

    def __str__(self) -> str:
        costs = f"{self.kb_a_task:.1f} kB and {self.cpu_us_a_task:.0f} µs each"
        return f"{self.seconds:.1f} s, {self.late} late, {costs}, peak {self.peak_mb:.0f} MB"


async def run(lab: Lab) -> list[Figure]:
    rounds = lab.pick(quick=1, short=1, full=lab.rounds)
    fewer, most = lab.pick(quick=(2_000, 10_000), short=(10_000, 50_000), full=(10_000, 50_000))
    delays_s = {fewer: (5, 10), most: (10, 20)}
    seen: dict[int, list[Seen]] = {fewer: [], most: []}
    for number in range(rounds):
        for tasks, measured in seen.items():
            one = await _emulate(lab, tasks, delays_s[tasks])
            measured.append(one)
            print(f"  round {number + 1}/{rounds}: {tasks:,} tasks: {one}", flush=True)
    return [figure for tasks, one in seen.items() for figure in _figures(tasks, one, most)]


def _figures(tasks: int, seen: list[Seen], most: int) -> list[Figure]:
    has_target = tasks == most
    return [
        Figure(
            name=f"memory each, {tasks:,} tasks",
            unit="kB",
            ours=[one.kb_a_task for one in seen],
            target=at_most(_MOST_KB) if has_target else None,
        ),
        Figure(
            name=f"late, {tasks:,} tasks",
            unit="tasks",
            ours=[one.late for one in seen],
            target=at_most(0),
        ),
        Figure(
            name=f"processor time each, {tasks:,} tasks",
            unit="µs",
            ours=[one.cpu_us_a_task for one in seen],
        ),
        Figure(
            name=f"from the first start to the last end, {tasks:,} tasks",
            unit="s",
            ours=[one.seconds for one in seen],
        ),
        Figure(
            name=f"the worker's largest size, {tasks:,} tasks",
            unit="MB",
            ours=[one.peak_mb for one in seen],
        ),
    ]


async def _emulate(lab: Lab, tasks: int, delay_s: tuple[int, int]) -> Seen:
    payload = {"failure_probability": 0, "delay_min_s": delay_s[0], "delay_max_s": delay_s[1]}
    async with lab.database() as url, connected(url) as connection:
        async with lab.taskmill("worker", url, "--concurrency", str(tasks)) as idle:
            await asyncio.sleep(_SETTLE_S)
            base_mb, base_s = _costs(idle)
        async with producing(url) as producer:
            await producer.create(tasks, json.dumps(payload))
        await lab.settle()
        async with lab.taskmill("worker", url, "--concurrency", str(tasks)) as worker:
            await until_counted(connection, _ENDED, tasks, timeout_s=_TIMEOUT_S)
            peak_mb, used_s = _costs(worker)
        if not await connection.fetchval(_AT_ONCE):
            raise LoadFailed(f"not all of {tasks:,} ran at once: the machine is too slow or busy")
        return Seen(
            seconds=await connection.fetchval(_SPAN),
            late=await connection.fetchval(_LATE),
            kb_a_task=(peak_mb - base_mb) * 1000 / tasks,
            cpu_us_a_task=(used_s - base_s) * 1e6 / tasks,
            peak_mb=peak_mb,
        )


def _costs(worker: Program) -> tuple[float, float]:
    """Return the largest size so far in MB, and the processor time in s."""
    peak_mb, cpu_s = worker.peak_memory_mb(), worker.cpu_s()
    if peak_mb is None or cpu_s is None:
        raise ProgramFailed("this system does not report a process's largest size")
    return peak_mb, cpu_s
