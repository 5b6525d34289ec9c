"""No-op tasks that wait, drained over RabbitMQ by one relay and one or two worker processes, against three peers.

All tasks are there before a worker starts, on all sides, and starting is not measured: from the begin of the first
task to the end of the last. Taskmill's end is in PostgreSQL, with history, counters and a line of log for every
transition, by PostgreSQL's clock; the peers keep nothing, and their tasks only note that they began.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.looking import connected, until_counted
from benchmarks.peers import queues
from benchmarks.producing import producing
from benchmarks.rounds import interleaved, per_second
from benchmarks.scenarios.noop_drain import NOOP, SPAN, SUCCEEDED

TITLE = "no-op tasks end to end over RabbitMQ, the relay and one or two worker processes"

_PEERS = (queues.CELERY, queues.DRAMATIQ, queues.TASKIQ)
_LEAST = {"Celery": 6.0, "Dramatiq": 3.0}
_TIMEOUT_S = 120.0


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=20_000)
    # The peers are slower, and it is their rate that counts.
    fewer = lab.pick(quick=2_500, short=5_000, full=20_000)
    figures = []
    async with lab.broker():
        for processes in lab.pick(quick=(1, 2), short=(1,), full=(1, 2)):
            print(f"  worker processes: {processes}", flush=True)
            sides = {
                "Taskmill": partial(_drain_taskmill, lab, tasks, processes),
                **{
                    peer.title: partial(_drain_peer, lab, peer, fewer, processes) for peer in _PEERS
                },
            }
            rates = await interleaved(lab, sides, told=per_second)
            figures += _figures(rates, processes)
    return figures


def _figures(rates: Mapping[str, Sequence[float]], processes: int) -> list[Figure]:
    return [
        Figure(
            name="drained, one worker" if processes == 1 else f"drained, {processes} workers",
            unit="tasks/s",
            ours=rates["Taskmill"],
            against=peer.title,
            theirs=rates[peer.title],
            target=at_least(_LEAST[peer.title])
            if processes == 1 and peer.title in _LEAST
            else None,
        )
        for peer in _PEERS
    ]


async def _drain_taskmill(lab: Lab, tasks: int, processes: int) -> float:
    async with lab.database() as url, lab.vhost() as amqp_url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.create(tasks, NOOP)
        await lab.settle()
        # Its policy keeps it from claiming without hints while its connection is still being made.
        async with (
            lab.taskmill("relay", url, broker_url=amqp_url, broker="rabbitmq"),
            lab.workers(url, processes, broker_url=amqp_url, broker="rabbitmq"),
        ):
            await until_counted(connection, SUCCEEDED, tasks, timeout_s=_TIMEOUT_S)
        seconds: float = await connection.fetchval(SPAN)
        return tasks / seconds


async def _drain_peer(lab: Lab, peer: queues.Peer, tasks: int, processes: int) -> float:
    return tasks / await queues.drain(lab, peer, tasks, processes=processes)
