"""GET /tasks/{id} over many different ids, against FastAPI that answers from memory. Information only."""

from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure
from benchmarks.lab import Lab, connected, producing
from benchmarks.load import Load
from benchmarks.scenarios.noop_drain import NOOP

TITLE = "GET /tasks/{id} over 20,000 ids, one API process, 32 connections"

_TASKS = 20_000
_CONNECTIONS = 32
_WARM_UP_S = 1


async def run(lab: Lab) -> list[Figure]:
    seconds = 2 if lab.is_quick else 5
    paths = lab.folder / "paths"
    async with lab.database() as url:
        await _seed(url, paths)
        async with (
            lab.taskmill("api", url, "--port", "0") as api,
            lab.script("benchmarks.baseline", "--paths", str(paths)) as baseline,
        ):
            sides = {"taskmill": str(api.url), "baseline": str(baseline.url)}
            loads: dict[str, list[Load]] = {side: [] for side in sides}
            for address in sides.values():
                await _load(address, paths, _WARM_UP_S)
            for number in range(lab.rounds):
                for side in lab.turn(number, *sides):
                    loads[side].append(await _load(sides[side], paths, seconds))
                    print(f"  round {number + 1}: {side} {loads[side][-1]}", flush=True)
    return _figures(loads)


async def _seed(url: str, paths: Path) -> None:
    async with producing(url) as producer:
        await producer.create(_TASKS, NOOP)
    async with connected(url) as connection:
        rows = await connection.fetch("SELECT id FROM taskmill.task ORDER BY md5(id::text)")
    paths.write_text("".join(f"/tasks/{row['id']}\n" for row in rows))  # noqa: ASYNC240 - nothing else runs


async def _load(address: str, paths: Path, seconds: int) -> Load:
    return await load.get(address, paths=paths, connections=_CONNECTIONS, seconds=seconds)


def _figures(loads: dict[str, list[Load]]) -> list[Figure]:
    ours, theirs = loads["taskmill"], loads["baseline"]
    return [
        Figure(
            name="rate",
            unit="/s",
            ours=[one.rate for one in ours],
            against="baseline",
            theirs=[one.rate for one in theirs],
        ),
        Figure(
            name="p99",
            unit="ms",
            ours=[one.p99_ms for one in ours],
            against="baseline",
            theirs=[one.p99_ms for one in theirs],
        ),
    ]
