"""How long it takes from the command until it serves: a role on an existing database, and `taskmill up`.

`up` makes its PostgreSQL the first time, and uses its data the second time. The API is compared with bare FastAPI
with uvicorn. Starting Python itself is part of all of them.
"""

import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

from benchmarks.figures import Figure
from benchmarks.lab import Lab
from benchmarks.programs import Program, running
from benchmarks.rounds import interleaved

TITLE = "from the command until it serves: API, worker, and `taskmill up`"

_BARE = "bare FastAPI"
_FIRST, _AGAIN = "taskmill up, the first time", "taskmill up, again"


async def run(lab: Lab) -> list[Figure]:
    async with lab.database() as url:
        sides = {
            "API": partial(_until_ready, lab, url, "api"),
            "worker": partial(_until_ready, lab, url, "worker"),
            _BARE: partial(_until_bare, lab),
        }
        times: Mapping[str, list[float]] = await interleaved(lab, sides, describe=_seconds)
    ups: dict[str, list[float]] = {_FIRST: [], _AGAIN: []}
    for _ in range(lab.rounds):
        shutil.rmtree(lab.folder / "up", ignore_errors=True)
        for name, measured in ups.items():
            measured.append(await _entered(_up(lab)))
            print(f"  {name}: {_seconds(measured[-1])}", flush=True)
    return [
        Figure(name="API", unit="s", ours=times["API"], against=_BARE, theirs=times[_BARE]),
        Figure(name="worker", unit="s", ours=times["worker"]),
        *(Figure(name=name, unit="s", ours=measured) for name, measured in ups.items()),
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


async def _until_ready(lab: Lab, url: str, role: str) -> float:
    return await _entered(lab.taskmill(role, url, *(("--port", "0") if role == "api" else ())))


async def _until_bare(lab: Lab) -> float:
    return await _entered(lab.script("benchmarks.baseline"))


def _up(lab: Lab) -> AbstractAsyncContextManager[Program]:
    arguments = ("--port", "0", "--data", str(lab.folder / "up"), "--broker", "postgres")
    return running("up", ["-m", "taskmill", "up", *arguments], folder=lab.folder, environment={})


async def _entered(program: AbstractAsyncContextManager[Program]) -> float:
    began = time.perf_counter()
    async with program:
        return time.perf_counter() - began
