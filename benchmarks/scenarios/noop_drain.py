"""No-op tasks in PostgreSQL, drained by one and two worker processes, against two peers.

All sides begin by the rule of `together.py`. Measured in the database and by its clock: from the first claim
to the last task recorded as done. PgQueuer is measured at three batches, and its best one counts, too;
Procrastinate is slower, so it gets fewer tasks. A short run leaves out the slowest: Procrastinate, and PgQueuer's
smallest batch. Taskmill has its defaults: it writes history and counters, and a log line for every transition.
PgQueuer writes into its log, a table, that a job was queued, taken and ended; Procrastinate keeps its jobs and
three events of each.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.drains import Sides, drained, peer_sides, the_best
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from benchmarks.peers import queues
from benchmarks.producing import producing
from benchmarks.rounds import interleaved, per_second
from benchmarks.together import COUNTED_EVERY_S, begun_together
from taskmill.domain.task_fields import DEFAULT_TYPE

TITLE = "no-op tasks end to end from PostgreSQL, one and two worker processes"

NOOP = '{"delay_s": 0, "failure_probability": 0}'
SUCCEEDED = "SELECT count(*) FROM taskmill.current_task WHERE status = 'succeeded'"
SPAN = "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.current_task"

_AT_100 = "PgQueuer, batch 100"
_TIMEOUT_S = 120.0


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=60_000)
    fewer = lab.pick(quick=250, short=1_000, full=1_000)
    batches: Sequence[str] | None = lab.pick(
        quick=None, short=("batch 100", "batch 1000"), full=None
    )
    has_slowest = lab.pick(quick=True, short=False, full=True)
    figures = []
    for processes in lab.pick(quick=(1, 2), short=(1,), full=(1, 2)):
        print(f"  worker processes: {processes}", flush=True)
        sides: Sides = {
            "Taskmill": partial(_drain_taskmill, lab, tasks, processes),
            **peer_sides(lab, queues.PGQUEUER, tasks, processes, batches),
            **(peer_sides(lab, queues.PROCRASTINATE, fewer, processes) if has_slowest else {}),
        }
        rates = await interleaved(lab, sides, describe=per_second)
        figures += _figures(rates, processes)
    return figures


def _figures(rates: Mapping[str, Sequence[float]], processes: int) -> list[Figure]:
    if processes > 1:
        return drained(rates, processes, {})
    best = the_best(rates, queues.PGQUEUER, processes, at_least(1.0))
    return [*drained(rates, processes, {_AT_100: at_least(1.3)}), best]


async def _drain_taskmill(lab: Lab, tasks: int, processes: int) -> float:
    async with lab.database() as url:
        workers = [lab.taskmill("worker", url, name=f"worker-{n}") for n in range(processes)]
        async with begun_together(lab, workers, partial(fill, url, tasks, NOOP)):
            return await rate_of(url, tasks)


async def fill(url: str, tasks: int, payload: str, kind: str = DEFAULT_TYPE) -> None:
    """Create so many tasks."""
    async with producing(url) as producer:
        await producer.create(tasks, payload, kind=kind)


async def rate_of(url: str, tasks: int) -> float:
    """Wait until so many tasks have succeeded, and return how many did so a second."""
    async with connected(url) as connection:
        await until_counted(
            connection, SUCCEEDED, tasks, timeout_s=_TIMEOUT_S, pause_s=COUNTED_EVERY_S
        )
        seconds: float = await connection.fetchval(SPAN)
        return tasks / seconds
