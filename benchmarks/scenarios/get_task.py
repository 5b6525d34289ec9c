"""GET /tasks/{id} over many different ids, against FastAPI that responds from memory."""

from functools import partial
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.load import Load
from benchmarks.observing import connected
from benchmarks.producing import producing
from benchmarks.rounds import interleaved
from benchmarks.scenarios.noop_drain import NOOP
from benchmarks.scenarios.post_tasks import BARE, load_figures

TITLE = "GET /tasks/{id} over 20,000 ids, one API process, 32 connections"

_TASKS = 20_000
_CONNECTIONS = 32
_WARM_UP_S = 1


async def run(lab: Lab) -> list[Figure]:
    seconds = lab.pick(quick=1, short=2, full=6)
    paths = lab.folder / "paths"
    async with lab.database() as url:
        await seed_paths(url, paths)
        async with (
            lab.taskmill("api", url, "--port", "0") as api,
            lab.script("benchmarks.baseline", "--paths", str(paths)) as baseline,
        ):
            addresses = {"Taskmill": str(api.url), BARE: str(baseline.url)}
            for address in addresses.values():
                await _load(address, paths, _WARM_UP_S)
            sides = {
                side: partial(_load, address, paths, seconds) for side, address in addresses.items()
            }
            loads = await interleaved(lab, sides, describe=str)
    ours, theirs = loads["Taskmill"], loads[BARE]
    connections = f"{_CONNECTIONS} connections"
    return load_figures(connections, ours, BARE, theirs, rate=at_least(2))


async def seed_paths(url: str, paths: Path) -> None:
    """Make tasks, and a file with their addresses in any order."""
    async with producing(url) as producer:
        await producer.create(_TASKS, NOOP)
    async with connected(url) as connection:
        rows = await connection.fetch("SELECT id FROM taskmill.task ORDER BY md5(id::text)")
    paths.write_text("".join(f"/tasks/{row['id']}\n" for row in rows))  # noqa: ASYNC240 - nothing else runs


async def _load(address: str, paths: Path, seconds: int) -> Load:
    return await load.get(address, paths=paths, connections=_CONNECTIONS, seconds=seconds)
