"""POST /tasks on two API processes of one database, against one: two must not hinder each other.

All run from the start, so that both sides have the same machine. With two cores there is nothing to gain:
PostgreSQL and the load need them, too.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks import load
from benchmarks.api_processes import api_processes
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.lab import Lab
from benchmarks.load import Load
from benchmarks.observing import connected
from benchmarks.rounds import interleaved
from benchmarks.scenarios.post_tasks import check_stored, load_figures

TITLE = "POST /tasks, two API processes against one"

_CONNECTIONS = (1, 32, 128)
_WITH_TARGET = (32, 128)
_WARM_UP_S = 1
_COUNTED = "SELECT count(*) FROM taskmill.task"


async def run(lab: Lab) -> list[Figure]:
    seconds = lab.pick(quick=1, short=2, full=6)
    figures: list[Figure] = []
    async with (
        lab.database() as url,
        lab.taskmill("api", url, "--port", "0") as one,
        api_processes(lab, url, 2) as two,
    ):
        targets = {"two": two, "one": [str(one.url)]}
        for addresses in targets.values():
            await load.post(*addresses, connections=_CONNECTIONS[-1], seconds=_WARM_UP_S)
        for connections in lab.pick(quick=_CONNECTIONS, short=_CONNECTIONS[1:], full=_CONNECTIONS):
            print(f"  {connections} connections", flush=True)
            # wrk needs a connection for each of its threads, and has a thread for each address.
            most = max(connections, len(two))
            sides = {
                side: partial(_measure, lab, url, addresses, most, seconds)
                for side, addresses in targets.items()
            }
            loads = await interleaved(lab, sides, describe=str)
            figures += _figures(most, loads["two"], loads["one"])
    return figures


async def _measure(
    lab: Lab, url: str, addresses: Sequence[str], connections: int, seconds: int
) -> Load:
    await lab.settle()
    async with connected(url) as connection:
        before = await connection.fetchval(_COUNTED)
        measured = await load.post(*addresses, connections=connections, seconds=seconds)
        check_stored(measured, await connection.fetchval(_COUNTED) - before, connections)
    return measured


def _figures(connections: int, two: Sequence[Load], one: Sequence[Load]) -> list[Figure]:
    has_target = connections in _WITH_TARGET
    return load_figures(
        "one connection" if connections == 1 else f"{connections} connections",
        two,
        "one process",
        one,
        rate=at_least(1) if has_target else None,
        p99=at_most(1) if has_target else None,
    )
