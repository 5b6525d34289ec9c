"""How soon a worker starts a task from PostgreSQL: when it is idle, and at half load.

The possible load is measured first: no-op tasks created and ended as fast as possible. The peers, whose calls end
with a commit, too, are measured idle. See `pickup.py`.
"""

from functools import partial

from benchmarks import pickup
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.peers import queues
from benchmarks.rounds import interleaved

TITLE = "from the 201 to the handler, one worker on PostgreSQL, one task at a time: idle, and at half load"

_PEERS = (queues.PGQUEUER, queues.PROCRASTINATE)


async def run(lab: Lab) -> list[Figure]:
    count = lab.pick(quick=50, short=150, full=400)
    peers = lab.pick(quick=_PEERS, short=(), full=_PEERS)
    sides = {
        "idle": partial(pickup.of_taskmill, lab, count, is_over_broker=False),
        **{peer.title: partial(pickup.of_peer, lab, peer, count) for peer in peers},
    }
    measured = await interleaved(lab, sides, describe=pickup.describe)
    loaded = await pickup.at_half_load(lab, count, is_over_broker=False)
    idle = measured["idle"]
    return [
        *pickup.figures("idle", idle, p50=at_most(2), p99=at_most(6)),
        *pickup.figures("half load", loaded),
        *(
            figure
            for peer in peers
            for figure in pickup.figures(
                "idle", idle, against=peer.title, theirs=measured[peer.title]
            )
        ),
    ]
