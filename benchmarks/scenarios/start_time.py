"""How long it takes from the command until a role serves on an existing database.

The API is compared with bare FastAPI with uvicorn. Starting Python itself is part of all of them. `start_up`
measures `taskmill up`.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

from benchmarks.figures import Figure
from benchmarks.lab import Lab
from benchmarks.programs import Program
from benchmarks.rounds import interleaved

TITLE = "from the command until it serves: API and worker"

_BARE = "bare FastAPI"


async def run(lab: Lab) -> list[Figure]:
    async with lab.database() as url:
        sides = {
            "API": partial(_until_ready, lab, url, "api"),
            "worker": partial(_until_ready, lab, url, "worker"),
            _BARE: partial(_until_bare, lab),
        }
        times: Mapping[str, list[float]] = await interleaved(lab, sides, describe=_seconds)
    return [
        Figure(name="API", unit="s", ours=times["API"], against=_BARE, theirs=times[_BARE]),
        Figure(name="worker", unit="s", ours=times["worker"]),
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


async def _until_ready(lab: Lab, url: str, role: str) -> float:
    return await _entered(lab.taskmill(role, url, *(("--port", "0") if role == "api" else ())))


async def _until_bare(lab: Lab) -> float:
    return await _entered(lab.script("benchmarks.baseline"))


async def _entered(program: AbstractAsyncContextManager[Program]) -> float:
    began = time.perf_counter()
    async with program:
        return time.perf_counter() - began
