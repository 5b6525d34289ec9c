"""POST /tasks of a whole `taskmill up` against bare FastAPI, with idempotency keys against without; unknown paths.

Every role runs, over RabbitMQ, but no worker has a handler for these tasks.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.lab import Lab
from benchmarks.load import Load
from benchmarks.programs import ROOT
from benchmarks.rounds import interleaved
from benchmarks.scenarios.post_tasks import BARE, check_stored, load_figures
from benchmarks.whole import Up, up_running

TITLE = "POST /tasks of a whole `taskmill up` with idle workers, against bare FastAPI; with keys; unknown paths"

_PLAIN, _KEYED = "Taskmill", "with keys"
_READ, _UNKNOWN = "GET", "unknown path"
_CONNECTIONS = (32, 128)
_WARM_UP_S = 2
_PATHS = 1000


async def run(lab: Lab) -> list[Figure]:
    seconds = lab.pick(quick=1, short=3, full=6)
    figures: list[Figure] = []
    async with up_running(lab, ROOT) as up, lab.script("benchmarks.baseline") as baseline:
        bare = str(baseline.url)
        await load.post(bare, connections=_CONNECTIONS[-1], seconds=_WARM_UP_S)
        await _post(up, _PLAIN, _CONNECTIONS[-1], _WARM_UP_S)
        for connections in _CONNECTIONS:
            print(f"  {connections} connections", flush=True)
            sides = {
                _PLAIN: partial(_post, up, _PLAIN, connections, seconds),
                _KEYED: partial(_post, up, _KEYED, connections, seconds),
                BARE: partial(load.post, bare, connections=connections, seconds=seconds),
            }
            figures += _figures(connections, await interleaved(lab, sides, describe=str))
        return [*figures, await _unknown(lab, up, seconds)]


async def _post(up: Up, side: str, connections: int, seconds: int) -> Load:
    await up.connection.execute("CHECKPOINT")
    counted = "SELECT count(*) FROM taskmill.task"
    before = await up.connection.fetchval(counted)
    post = load.post_with_keys if side == _KEYED else load.post
    measured = await post(str(up.program.url), connections=connections, seconds=seconds)
    check_stored(measured, await up.connection.fetchval(counted) - before, connections)
    return measured


def _figures(connections: int, loads: Mapping[str, Sequence[Load]]) -> list[Figure]:
    title = f"{connections} connections"
    has_target = connections == _CONNECTIONS[0]
    rate, p99 = (at_least(1), at_most(2)) if has_target else (None, None)
    return [
        *load_figures(title, loads[_PLAIN], BARE, loads[BARE], rate=rate, p99=p99),
        Figure(
            name=f"rate with keys, {title}",
            unit="/s",
            ours=[one.rate for one in loads[_KEYED]],
            against="without",
            theirs=[one.rate for one in loads[_PLAIN]],
            target=at_least(0.9) if has_target else None,
        ),
    ]


async def _unknown(lab: Lab, up: Up, seconds: int) -> Figure:
    """Compare reading nothing, at paths that do not exist, with reading tasks."""
    rows = await up.connection.fetch("SELECT id FROM taskmill.task LIMIT $1", _PATHS)
    paths = {
        _READ: _written(lab, "read", [f"/tasks/{row['id']}" for row in rows]),
        _UNKNOWN: _written(lab, "unknown", [f"/no/{number}" for number in range(_PATHS)]),
    }
    sides = {
        side: partial(
            load.get,
            str(up.program.url),
            paths=file,
            connections=_CONNECTIONS[0],
            seconds=seconds,
            are_missing=side == _UNKNOWN,
        )
        for side, file in paths.items()
    }
    loads = await interleaved(lab, sides, describe=str)
    return Figure(
        name=f"rate of unknown paths, {_CONNECTIONS[0]} connections",
        unit="/s",
        ours=[one.rate for one in loads[_UNKNOWN]],
        against="GET of a task",
        theirs=[one.rate for one in loads[_READ]],
        target=at_least(1),
    )


def _written(lab: Lab, name: str, paths: Sequence[str]) -> Path:
    file = lab.folder / name
    file.write_text("".join(f"{path}\n" for path in paths))
    return file
