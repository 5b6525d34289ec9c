"""No-op tasks that wait in PostgreSQL, drained by one worker process, against PgQueuer at batch 100.

Measured in the database and by its clock: from the first claim to the last task recorded as done. Both sides
have their defaults otherwise; Taskmill writes its history and counters, too, and logs every transition.
"""

from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab, connected, producing, until_counted
from benchmarks.peer import SUCCESSFUL, pgqueuer

TITLE = "20,000 no-op tasks end to end from PostgreSQL, one worker process"

NOOP = '{"delay_s": 0, "failure_probability": 0}'
SUCCEEDED = "SELECT count(*) FROM taskmill.task WHERE status = 'succeeded'"

_TASKS = 20_000
_TIMEOUT_S = 60.0


async def run(lab: Lab) -> list[Figure]:
    drains = {"taskmill": _drain_taskmill, "pgqueuer": _drain_pgqueuer}
    rates: dict[str, list[float]] = {side: [] for side in drains}
    processor: dict[str, list[float]] = {side: [] for side in drains}
    for number in range(lab.rounds):
        for side in lab.turn(number, *drains):
            seconds, cpu_s = await drains[side](lab)
            rates[side].append(_TASKS / seconds)
            processor[side].append(cpu_s / _TASKS * 1e6)
            print(f"  round {number + 1}: {side} {_TASKS / seconds:,.0f} tasks/s", flush=True)
    return [
        Figure(
            name="drained",
            unit="tasks/s",
            ours=rates["taskmill"],
            against="PgQueuer",
            theirs=rates["pgqueuer"],
            target=at_least(0.7),
        ),
        Figure(
            name="the worker's processor time a task",
            unit="µs",
            ours=processor["taskmill"],
            against="PgQueuer",
            theirs=processor["pgqueuer"],
        ),
    ]


async def _drain_taskmill(lab: Lab) -> tuple[float, float]:
    async with lab.database() as url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.create(_TASKS, NOOP)
        await lab.settle()
        async with lab.taskmill("worker", url) as worker:
            began = worker.cpu_s() or 0
            await until_counted(connection, SUCCEEDED, _TASKS, timeout_s=_TIMEOUT_S)
            used = (worker.cpu_s() or 0) - began
        seconds = await connection.fetchval(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.task"
        )
        return seconds, used


async def _drain_pgqueuer(lab: Lab) -> tuple[float, float]:
    async with pgqueuer(lab) as (url, queue), connected(url) as connection:
        await queue.enqueue(_TASKS)
        await lab.settle()
        async with queue.worker() as worker:
            began = worker.cpu_s() or 0
            await until_counted(connection, SUCCESSFUL, _TASKS, timeout_s=_TIMEOUT_S)
            used = (worker.cpu_s() or 0) - began
        ended_at = await connection.fetchval(
            "SELECT extract(epoch FROM max(created))::float8 FROM pgqueuer_log"
            " WHERE status = 'successful'"
        )
        return ended_at - min(queue.picks().values()), used
