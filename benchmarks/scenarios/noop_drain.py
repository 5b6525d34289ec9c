"""No-op tasks that wait in PostgreSQL, drained by one and two worker processes, against two peers.

Measured in the database and by its clock: from the first claim to the last task recorded as done. PgQueuer at
three batches, of which its best one counts, too; Procrastinate is slower, so it gets fewer tasks. Taskmill has its
defaults; it writes its history and counters, and logs every transition.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from statistics import median

from benchmarks.figures import Figure, Target, at_least
from benchmarks.lab import Lab
from benchmarks.looking import connected, until_counted
from benchmarks.peers import queues
from benchmarks.producing import producing
from benchmarks.rounds import interleaved, per_second

TITLE = "no-op tasks end to end from PostgreSQL, one and two worker processes"

NOOP = '{"delay_s": 0, "failure_probability": 0}'
SUCCEEDED = "SELECT count(*) FROM taskmill.task WHERE status = 'succeeded'"
SPAN = "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.task"

_BATCHES = (10, 100, 1000)
_AT_100 = "PgQueuer, batch 100"
_TIMEOUT_S = 120.0


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=20_000)
    figures = []
    for processes in lab.pick(quick=(1, 2), short=(1,), full=(1, 2)):
        print(f"  worker processes: {processes}", flush=True)
        rates = await interleaved(lab, _sides(lab, tasks, processes), told=per_second)
        figures += _figures(rates, processes)
    return figures


def _sides(lab: Lab, tasks: int, processes: int) -> dict[str, Callable[[], Awaitable[float]]]:
    few = tasks // 20
    return {
        "Taskmill": partial(_drain_taskmill, lab, tasks, processes),
        **{
            f"PgQueuer, batch {batch}": partial(
                _drain_peer, lab, queues.PGQUEUER, tasks, processes, batch
            )
            for batch in _BATCHES
        },
        "Procrastinate": partial(_drain_peer, lab, queues.PROCRASTINATE, few, processes),
    }


def _figures(rates: Mapping[str, Sequence[float]], processes: int) -> list[Figure]:
    peers = {side: theirs for side, theirs in rates.items() if side != "Taskmill"}
    best = max((s for s in peers if s.startswith("PgQueuer")), key=lambda side: median(peers[side]))
    targets = {_AT_100: at_least(1.3)} if processes == 1 else {}
    figures = [
        _figure(processes, rates["Taskmill"], side, theirs, targets.get(side))
        for side, theirs in peers.items()
    ]
    if processes == 1:
        against = f"the best PgQueuer: {best.partition(', ')[2]}"
        figures.append(_figure(1, rates["Taskmill"], against, peers[best], at_least(1.0)))
    return figures


def _figure(
    processes: int,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    target: Target | None,
) -> Figure:
    workers = "one worker" if processes == 1 else f"{processes} workers"
    return Figure(
        name=f"drained, {workers}",
        unit="tasks/s",
        ours=ours,
        against=against,
        theirs=theirs,
        target=target,
    )


async def _drain_taskmill(lab: Lab, tasks: int, processes: int) -> float:
    async with lab.database() as url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.create(tasks, NOOP)
        await lab.settle()
        async with lab.workers(url, processes):
            await until_counted(connection, SUCCEEDED, tasks, timeout_s=_TIMEOUT_S)
        seconds: float = await connection.fetchval(SPAN)
        return tasks / seconds


async def _drain_peer(
    lab: Lab, peer: queues.Peer, tasks: int, processes: int, batch: int = 100
) -> float:
    return tasks / await queues.drain(lab, peer, tasks, processes=processes, batch=batch)
