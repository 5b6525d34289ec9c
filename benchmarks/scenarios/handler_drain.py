"""What a handler of the user's own costs: tasks of a typed async function against emulated ones of no delay.

Both drain from PostgreSQL in one worker process, and have a validated payload and a result.
"""

from functools import partial

from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.rounds import interleaved, per_second
from benchmarks.scenarios.noop_drain import NOOP, fill, rate_of
from benchmarks.together import begun_together

TITLE = "tasks of a typed handler that does nothing, one worker process, against emulation"

_LETTER = '{"to": "ada@example.org", "subject": "Hello"}'


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=60_000)
    sides = {
        "handler": partial(_drain, lab, tasks, "noop", _LETTER),
        "emulation": partial(_drain, lab, tasks, "emulate", NOOP),
    }
    rates = await interleaved(lab, sides, describe=per_second)
    return [
        Figure(
            name="drained",
            unit="tasks/s",
            ours=rates["handler"],
            against="emulation",
            theirs=rates["emulation"],
            target=at_least(0.8),
        )
    ]


async def _drain(lab: Lab, tasks: int, kind: str, payload: str) -> float:
    async with lab.database() as url:
        worker = lab.taskmill("worker", url, "--app", "benchmarks.noop_app:app")
        async with begun_together(lab, [worker], partial(fill, url, tasks, payload, kind)):
            return await rate_of(url, tasks)
