"""How long `taskmill up` takes until it serves, and until the first task has ended.

Every role is started, with PostgreSQL and RabbitMQ, which may come later. The first start makes the data, the
others use them. The first task is posted as soon as the service is ready, and does nothing.
"""

import asyncio
import shutil
import time
from dataclasses import dataclass

import httpx

from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.programs import running

TITLE = (
    "from the command until `taskmill up` serves, and from the first 201 until that task has ended"
)

_MOST_READY_S, _MOST_TASK_S = 1.5, 0.5
_START_S = 180.0
_DRAFT = {"name": "first", "payload": {"delay_s": 0, "failure_probability": 0}}
_PAUSE_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUp:
    """The seconds of one start."""

    ready_s: float
    task_s: float

    def __str__(self) -> str:
        return f"ready after {self.ready_s:.2f} s, first task {self.task_s:.2f} s after its 201"


async def run(lab: Lab) -> list[Figure]:
    shutil.rmtree(lab.folder / "up", ignore_errors=True)
    first = await _start(lab)
    print(f"  first start: {first}", flush=True)
    again = []
    for number in range(lab.rounds):
        again.append(await _start(lab))
        print(f"  round {number + 1}/{lab.rounds}: {again[-1]}", flush=True)
    ready = [one.ready_s for one in again]
    task = [one.task_s for one in again]
    return [
        Figure(name="ready, the first start", unit="s", ours=[first.ready_s]),
        Figure(name="ready, later starts", unit="s", ours=ready, target=at_most(_MOST_READY_S)),
        Figure(name="first task, later starts", unit="s", ours=task, target=at_most(_MOST_TASK_S)),
    ]


async def _start(lab: Lab) -> StartUp:
    command = ["-m", "taskmill", "up", "--port", "0", "--data", str(lab.folder / "up")]
    began = time.perf_counter()
    async with running("up", command, folder=lab.folder, environment={}, start_s=_START_S) as up:
        ready_s = time.perf_counter() - began
        async with httpx.AsyncClient(base_url=str(up.url), trust_env=False) as client:
            task_s = await _first_task(client)
        # A stop while the broker still starts would be another thing to measure.
        await asyncio.sleep(lab.pick(quick=5.0, short=8.0, full=8.0))
        return StartUp(ready_s=ready_s, task_s=task_s)


async def _first_task(client: httpx.AsyncClient) -> float:
    response = await client.post("/tasks", json=_DRAFT)
    response.raise_for_status()
    began, task = time.perf_counter(), response.json()
    async with asyncio.timeout(_START_S):
        while task["status"] != "succeeded":
            await asyncio.sleep(_PAUSE_S)
            task = (await client.get(f"/tasks/{task['id']}")).json()
    return time.perf_counter() - began
