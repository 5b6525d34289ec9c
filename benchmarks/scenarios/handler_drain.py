"""What a handler of the user's own costs: tasks of a typed async function against emulated ones of no delay.

Both drain from PostgreSQL in one worker process, and both have a payload that is checked and a result.
"""

from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.looking import connected, until_counted
from benchmarks.producing import producing
from benchmarks.scenarios.noop_drain import NOOP, SUCCEEDED

TITLE = "20,000 tasks of a typed handler that does nothing, one worker process, against emulation"

_TASKS = 20_000
_TIMEOUT_S = 60.0
_SIDES = {
    "handler": ("noop", '{"to": "ada@example.org", "subject": "Hello"}'),
    "emulation": ("emulate", NOOP),
}


async def run(lab: Lab) -> list[Figure]:
    rates: dict[str, list[float]] = {side: [] for side in _SIDES}
    for number in range(lab.rounds):
        for side in lab.turn(number, *_SIDES):
            rates[side].append(_TASKS / await _drain(lab, *_SIDES[side]))
            print(f"  round {number + 1}: {side} {rates[side][-1]:,.0f} tasks/s", flush=True)
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


async def _drain(lab: Lab, kind: str, payload: str) -> float:
    async with lab.database() as url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.create(_TASKS, payload, kind=kind)
        await lab.settle()
        async with lab.taskmill("worker", url, "--app", "benchmarks.noop_app:app"):
            await until_counted(connection, SUCCEEDED, _TASKS, timeout_s=_TIMEOUT_S)
        seconds: float = await connection.fetchval(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.task"
        )
        return seconds
