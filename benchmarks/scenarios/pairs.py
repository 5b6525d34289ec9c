"""Whether a change made anything slower: this checkout against the revision of `--before`, in many short pairs.

Both run as a whole `taskmill up` over RabbitMQ, at the same time, and take turns: what is measured on one side is
measured on the other within seconds, and the order alternates. Give 20 rounds or more: one round says little.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from time import time

import httpx

from benchmarks import load
from benchmarks.checkouts import NOW, compared
from benchmarks.figures import Figure, at_least, at_most, interval
from benchmarks.lab import Lab
from benchmarks.observing import until_counted
from benchmarks.rounds import interleaved, starts
from benchmarks.whole import Up, up_running

TITLE = "this checkout and the one of before, each a whole `taskmill up`, in pairs of short rounds"

_SECONDS = 2
_PAUSE_S = 0.5
_READ = 1000
_DRAINED = 5000
_LONE = 40
_LONE_PAUSE_S = 0.02
_TIMEOUT_S = 60.0
_LEAST_ROUNDS = 3
_MOST_LOSS = 0.05
_NOOP = {"name": "noop", "payload": {"delay_s": 0, "failure_probability": 0}}
_NEWEST = "SELECT id FROM taskmill.task ORDER BY id DESC LIMIT 1"
_ENDED_SINCE = "SELECT count(*) FROM taskmill.task WHERE id > '{}' AND finished_at IS NOT NULL"
_TOOK_SINCE = """
SELECT EXTRACT(EPOCH FROM max(finished_at) - min(created_at))::float8
FROM taskmill.task WHERE id > $1 AND finished_at IS NOT NULL
"""

Measure = Callable[[Up, Path], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One of the measurements that are made on both sides; `is_rate`: more is better."""

    name: str
    unit: str
    measure: Measure
    is_rate: bool = True


async def run(lab: Lab) -> list[Figure]:
    with compared(lab.before, lab.folder) as checkouts:
        measured = await in_pairs(lab, _KINDS, checkouts)
    return [
        figure for kind in _KINDS for figure in figures(kind, measured[kind.name], NOW, lab.before)
    ]


async def in_pairs(
    lab: Lab,
    kinds: Sequence[Kind],
    folders: Mapping[str, Path],
    prepare: Callable[[Mapping[str, Up]], Awaitable[None]] | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Measure the sides' checkouts in turns; return the rounds of each side, by the names of the kinds.

    `prepare` is called after each start, with all sides.
    """
    found = {kind.name: {side: list[float]() for side in folders} for kind in kinds}
    paths = {side: lab.folder / f"paths-{number}" for number, side in enumerate(folders)}
    for start, rounds in enumerate(starts(lab.rounds)):
        async with _running(lab, folders, start) as ups:
            if prepare is not None:
                await prepare(ups)
            for side, up in ups.items():
                await warm_up(up, paths[side])
            for kind in kinds:
                print(f"  {kind.name}", flush=True)
                sides = {side: partial(_settled, kind, up, paths[side]) for side, up in ups.items()}
                measured = await interleaved(
                    lab, sides, describe=partial(_described, kind), rounds=rounds
                )
                for side, values in measured.items():
                    found[kind.name][side] += values
    return found


@asynccontextmanager
async def _running(
    lab: Lab, folders: Mapping[str, Path], start: int
) -> AsyncIterator[dict[str, Up]]:
    """Run all sides, each time another one is the first that is started."""
    names = {side: f"up-{number}" for number, side in enumerate(folders)}
    async with AsyncExitStack() as stack:
        yield {
            side: await stack.enter_async_context(up_running(lab, folders[side], name=names[side]))
            for side in lab.order(start, *folders)
        }


def _described(kind: Kind, value: float) -> str:
    return f"{value:,.4g} {kind.unit}"


async def _settled(kind: Kind, up: Up, paths: Path) -> float:
    await asyncio.sleep(_PAUSE_S)
    return await kind.measure(up, paths)


async def warm_up(up: Up, paths: Path) -> None:
    """Have a side create tasks, and write the paths of some."""
    await load.post(str(up.program.url), connections=32, seconds=_SECONDS)
    rows = await up.connection.fetch("SELECT id FROM taskmill.task LIMIT $1", _READ)
    _write(paths, [f"/tasks/{row['id']}" for row in rows])


def _write(file: Path, lines: Sequence[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines))


def figures(
    kind: Kind, measured: Mapping[str, Sequence[float]], now: str, before: str | None
) -> list[Figure]:
    """Return a figure and, of three rounds or more, the worse end of its ratio's interval."""
    ours = measured[now]
    theirs = measured[before] if before else []
    figure = Figure(name=kind.name, unit=kind.unit, ours=ours, against=before or "", theirs=theirs)
    if len(figure.ratios) < _LEAST_ROUNDS:
        return [figure]
    low, high = interval(figure.ratios)
    worst, target = (
        (low, at_least(1 - _MOST_LOSS)) if kind.is_rate else (high, at_most(1 + _MOST_LOSS))
    )
    name = f"{kind.name}: of its ratio, the worse end of [{low:.3f}, {high:.3f}]"
    return [figure, Figure(name=name, unit="", ours=[worst], target=target)]


async def post_rate(up: Up, _: Path, *, connections: int) -> float:
    """Return how many `POST /tasks` a second it takes."""
    url = str(up.program.url)
    return (await load.post(url, connections=connections, seconds=_SECONDS)).rate


async def _post_with_keys(up: Up, _: Path) -> float:
    url = str(up.program.url)
    return (await load.post_with_keys(url, connections=32, seconds=_SECONDS)).rate


async def _get(up: Up, paths: Path) -> float:
    url = str(up.program.url)
    return (await load.get(url, paths=paths, connections=32, seconds=_SECONDS)).rate


async def drain_rate(up: Up, _: Path) -> float:
    """Return the rate from the creation of the first task to the end of the last one, by PostgreSQL's clock."""
    newest = await up.connection.fetchval(_NEWEST)
    await up.post(_DRAINED)
    await until_counted(up.connection, _ENDED_SINCE.format(newest), _DRAINED, timeout_s=_TIMEOUT_S)
    took_s: float = await up.connection.fetchval(_TOOK_SINCE, newest)
    return _DRAINED / took_s


async def _lone(up: Up, _: Path) -> float:
    """Return the median of milliseconds from the 201 of a lone task to its end, by this machine's clock."""
    async with httpx.AsyncClient(base_url=str(up.program.url), trust_env=False) as client:
        created: list[tuple[str, float]] = []
        for _number in range(_LONE):
            response = await client.post("/tasks", json=_NOOP)
            created.append((response.raise_for_status().json()["id"], time()))
            await asyncio.sleep(_LONE_PAUSE_S)
        await asyncio.sleep(_PAUSE_S)
        return median([1000 * (await _ended_at(client, id_) - at) for id_, at in created])


async def _ended_at(client: httpx.AsyncClient, id_: str) -> float:
    response = await client.get(f"/tasks/{id_}")
    ended_at: str = response.raise_for_status().json()["finished_at"]
    return datetime.fromisoformat(ended_at).timestamp()


_KINDS = (
    Kind(name="POST, 32 connections", unit="/s", measure=partial(post_rate, connections=32)),
    Kind(name="POST, 128 connections", unit="/s", measure=partial(post_rate, connections=128)),
    Kind(name="POST with keys, 32 connections", unit="/s", measure=_post_with_keys),
    Kind(name="GET, 32 connections", unit="/s", measure=_get),
    Kind(name="created in bulk and drained", unit="tasks/s", measure=drain_rate),
    Kind(name="a lone task's end after its 201", unit="ms", measure=_lone, is_rate=False),
)
