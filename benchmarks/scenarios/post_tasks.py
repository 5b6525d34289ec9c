"""POST /tasks: each answer after its task is committed, against FastAPI that stores nothing.

One API process in its default settings; the same bodies go to both sides. What the service answered is
compared with what the database holds afterwards.
"""

from benchmarks import load
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.lab import Lab, connected
from benchmarks.load import Load, LoadFailed

TITLE = "POST /tasks, one API process, against FastAPI that answers from memory"

_CONNECTIONS = (32, 128)
_WARM_UP_S = 2
_COUNTED = "SELECT count(*) FROM taskmill.task"


async def run(lab: Lab) -> list[Figure]:
    seconds = 2 if lab.is_quick else 6
    figures: list[Figure] = []
    async with (
        lab.database() as url,
        lab.taskmill("api", url, "--port", "0") as api,
        lab.script("benchmarks.baseline") as baseline,
        connected(url) as connection,
    ):
        sides = {"taskmill": str(api.url), "baseline": str(baseline.url)}
        for address in sides.values():
            await load.post(address, connections=_CONNECTIONS[-1], seconds=_WARM_UP_S)
        for connections in _CONNECTIONS:
            loads: dict[str, list[Load]] = {side: [] for side in sides}
            for number in range(lab.rounds):
                await lab.settle()
                for side in lab.turn(number, *sides):
                    before = await connection.fetchval(_COUNTED)
                    measured = await load.post(
                        sides[side], connections=connections, seconds=seconds
                    )
                    stored = await connection.fetchval(_COUNTED) - before
                    _check(side, measured, stored, connections)
                    loads[side].append(measured)
                    print(f"  {connections} connections: {side} {measured}", flush=True)
            figures += _figures(connections, loads)
    return figures


def _check(side: str, measured: Load, stored: int, connections: int) -> None:
    """What was answered is stored, once; requests that wrk gave up at the end may be stored, too."""
    unanswered = stored - measured.requests if side == "taskmill" else 0
    if not 0 <= unanswered <= connections:
        raise LoadFailed(f"{measured.requests} tasks were confirmed, {stored} were stored")


def _figures(connections: int, loads: dict[str, list[Load]]) -> list[Figure]:
    ours, theirs = loads["taskmill"], loads["baseline"]
    return [
        Figure(
            name=f"rate, {connections} connections",
            unit="/s",
            ours=[one.rate for one in ours],
            against="baseline",
            theirs=[one.rate for one in theirs],
            target=at_least(0.85),
        ),
        Figure(
            name=f"p50, {connections} connections",
            unit="ms",
            ours=[one.p50_ms for one in ours],
            against="baseline",
            theirs=[one.p50_ms for one in theirs],
        ),
        Figure(
            name=f"p99, {connections} connections",
            unit="ms",
            ours=[one.p99_ms for one in ours],
            against="baseline",
            theirs=[one.p99_ms for one in theirs],
            target=at_most(2),
        ),
    ]
