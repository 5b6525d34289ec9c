"""No-op tasks drained over RabbitMQ by one relay and one or two worker processes, against three peers.

All sides begin by the rule of `together.py`. Measured from the beginning of the first task to the end of the last.
Taskmill's end is in PostgreSQL, with history, counters and a log line for every transition, by its clock; the
peers store nothing, and their tasks only note that they began. RabbitMQ's load differs: 20,000 tasks of Taskmill
are a few hundred messages, hints of up to a hundred ids, and those of the peers 20,000.

Celery is measured with three pools (two in a short run), and the best counts. Taskmill's policy is to claim by
hints only (`TASKMILL_BROKER=rabbitmq`): by default a worker that has no broker claims without them.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.drains import Sides, drained, peer_sides, the_best
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.peers import queues
from benchmarks.rounds import interleaved, per_second
from benchmarks.scenarios.noop_drain import NOOP, fill, rate_of
from benchmarks.together import begun_together

TITLE = "no-op tasks end to end over RabbitMQ, the relay and one or two worker processes"


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=60_000)
    # The peers are slower, and only rates are compared.
    fewer = lab.pick(quick=2_500, short=5_000, full=20_000)
    pools: Sequence[str] | None = lab.pick(quick=None, short=("prefork", "solo"), full=None)
    figures = []
    async with lab.broker():
        for processes in lab.pick(quick=(1, 2), short=(1,), full=(1, 2)):
            print(f"  worker processes: {processes}", flush=True)
            sides: Sides = {
                "Taskmill": partial(_drain_taskmill, lab, tasks, processes),
                **peer_sides(lab, queues.CELERY, fewer, processes, pools),
                **peer_sides(lab, queues.DRAMATIQ, fewer, processes),
                **peer_sides(lab, queues.TASKIQ, fewer, processes),
            }
            rates = await interleaved(lab, sides, describe=per_second)
            figures += _figures(rates, processes)
    return figures


def _figures(rates: Mapping[str, Sequence[float]], processes: int) -> list[Figure]:
    if processes > 1:
        return drained(rates, processes, {})
    best = the_best(rates, queues.CELERY, processes, at_least(6.0))
    return [*drained(rates, processes, {"Dramatiq": at_least(3.0)}), best]


async def _drain_taskmill(lab: Lab, tasks: int, processes: int) -> float:
    async with lab.database() as url, lab.vhost() as amqp_url:
        run_role = partial(lab.taskmill, broker_url=amqp_url, broker="rabbitmq")
        starts = [
            run_role("relay", url),
            *(run_role("worker", url, name=f"worker-{number}") for number in range(processes)),
        ]
        async with begun_together(lab, starts, partial(fill, url, tasks, NOOP)):
            return await rate_of(url, tasks)
