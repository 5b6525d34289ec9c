"""How soon a worker starts a task over RabbitMQ: when it is idle, and at half of the possible load.

The processes are those of `taskmill up`: API and maintenance, relay and intake, one worker. The possible load is
measured first. The peers are measured idle, with their defaults: the calls of Celery and Dramatiq end when the
message is written to the socket, those of Taskiq and Taskmill when it is safe. So the times from the call's start
compare sides, and those from its end are for Taskmill's target. See `pickup.py`.
"""

from functools import partial

from benchmarks import pickup
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.peers import queues
from benchmarks.rounds import interleaved

TITLE = "from the 201 to the handler, one worker over RabbitMQ, one task at a time: idle, and at half load"

_PEERS = {
    "Celery, prefork": (queues.CELERY, "prefork"),
    "Celery, solo": (queues.CELERY, "solo"),
    "Dramatiq": (queues.DRAMATIQ, ""),
    "Taskiq": (queues.TASKIQ, ""),
}


async def run(lab: Lab) -> list[Figure]:
    count = lab.pick(quick=50, short=150, full=400)
    async with lab.broker():
        peers = lab.pick(quick=_PEERS, short={}, full=_PEERS)
        sides = {
            "idle": partial(pickup.of_taskmill, lab, count, is_over_broker=True),
            **{
                side: partial(pickup.of_peer, lab, peer, count, variant)
                for side, (peer, variant) in peers.items()
            },
        }
        measured = await interleaved(lab, sides, describe=pickup.describe)
        loaded = await pickup.at_half_load(lab, count, is_over_broker=True)
    idle = measured["idle"]
    return [
        *pickup.figures("idle", idle, p50=at_most(4), p99=at_most(12)),
        *pickup.figures("half load", loaded),
        *(
            figure
            for side in peers
            for figure in pickup.figures("idle", idle, against=side, theirs=measured[side])
        ),
    ]
