"""POST /tasks, each response after its commit, against FastAPI that stores nothing and one that inserts.

One API process with default settings; all sides get the same bodies. The number of responses is compared with that
of rows in the database.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks import load
from benchmarks.figures import Figure, Target, at_least, at_most
from benchmarks.lab import Lab
from benchmarks.load import Load, LoadFailed
from benchmarks.observing import connected
from benchmarks.rounds import interleaved

TITLE = "POST /tasks, one API process, against bare FastAPI and one INSERT for each request"

BARE, INSERTING = "bare FastAPI", "one INSERT each"
_CONNECTIONS = (1, 32, 128)
_LEAST = {32: 2.0, 128: 2.5}
_WARM_UP_S = 2
_TABLES = {"Taskmill": "taskmill.task", INSERTING: "task"}


async def run(lab: Lab) -> list[Figure]:
    figures: list[Figure] = []
    async with (
        lab.database() as url,
        lab.database(is_empty=True) as plain_url,
        lab.taskmill("api", url, "--port", "0") as api,
        lab.script("benchmarks.baseline") as baseline,
        lab.script("benchmarks.insert_app", "--url", plain_url) as inserting,
    ):
        addresses = {
            "Taskmill": str(api.url),
            BARE: str(baseline.url),
            INSERTING: str(inserting.url),
        }
        databases = {"Taskmill": url, INSERTING: plain_url}
        for address in addresses.values():
            await load.post(address, connections=_CONNECTIONS[-1], seconds=_WARM_UP_S)
        for connections in _CONNECTIONS:
            print(f"  {connections} connections", flush=True)
            sides = {
                side: partial(_measure, lab, (side, address), databases.get(side), connections)
                for side, address in addresses.items()
            }
            figures += _figures(connections, await interleaved(lab, sides, describe=str))
    return figures


async def _measure(
    lab: Lab, side_address: tuple[str, str], url: str | None, connections: int
) -> Load:
    side, address = side_address
    seconds = lab.pick(quick=1, short=1 if connections == 1 else 2, full=6)
    await lab.settle()
    if url is None:
        return await load.post(address, connections=connections, seconds=seconds)
    counted = f"SELECT count(*) FROM {_TABLES[side]}"  # noqa: S608 - names of our own
    async with connected(url) as connection:
        before = await connection.fetchval(counted)
        measured = await load.post(address, connections=connections, seconds=seconds)
        check_stored(measured, await connection.fetchval(counted) - before, connections)
    return measured


def check_stored(measured: Load, stored: int, connections: int) -> None:
    """Check that each confirmed task is stored once; requests that wrk aborted at the end may be stored, too."""
    if not 0 <= stored - measured.requests <= connections:
        raise LoadFailed(f"{measured.requests} tasks were confirmed, {stored} were stored")


def _figures(connections: int, loads: Mapping[str, Sequence[Load]]) -> list[Figure]:
    least = _LEAST.get(connections)
    rate = at_least(least) if least else None
    p99 = at_most(1) if least else None
    title = "one connection" if connections == 1 else f"{connections} connections"
    return [
        *load_figures(title, loads["Taskmill"], BARE, loads[BARE], rate=rate, p99=p99),
        *load_figures(title, loads["Taskmill"], INSERTING, loads[INSERTING]),
    ]


def load_figures(
    title: str,
    ours: Sequence[Load],
    against: str,
    theirs: Sequence[Load],
    *,
    rate: Target | None = None,
    p99: Target | None = None,
) -> list[Figure]:
    """Return rate, median and 99th percentile of a load, compared with another one."""
    measured = (
        ("rate", "/s", "rate", rate),
        ("p50", "ms", "p50_ms", None),
        ("p99", "ms", "p99_ms", p99),
    )
    return [
        Figure(
            name=f"{name}, {title}",
            unit=unit,
            ours=[getattr(one, field) for one in ours],
            against=against,
            theirs=[getattr(one, field) for one in theirs],
            target=target,
        )
        for name, unit, field, target in measured
    ]
