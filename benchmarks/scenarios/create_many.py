"""What the client's `create_many` costs: 10,000 tasks with keys of their own, against the same as prepared NDJSON.

The other side is the least that a program can do: one request with prepared bytes, of whose response only the
status is read. The third side has no keys, so sending it again would create the tasks again: it is for
information.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from time import perf_counter
from uuid import uuid4

import httpx

from benchmarks.figures import Figure, Target, at_least
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from taskmill import Client

TITLE = "10,000 tasks by the client's create_many, one API process, against ready NDJSON"

_TASKS = 10_000
_TIMEOUT_S = 60.0
_COUNTED = "SELECT count(*) FROM taskmill.task"


async def run(lab: Lab) -> list[Figure]:
    sides: dict[str, Callable[[str], float]] = {
        "client": _by_client,
        "raw NDJSON": partial(_by_bytes, has_keys=True),
        "raw without keys": partial(_by_bytes, has_keys=False),
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    async with (
        lab.database() as url,
        lab.taskmill("api", url, "--port", "0") as api,
        connected(url) as connection,
    ):
        for measure in sides.values():
            await asyncio.to_thread(measure, str(api.url))
        for number in range(lab.rounds):
            for side in lab.order(number, *sides):
                await lab.settle()
                before = await connection.fetchval(_COUNTED)
                rates[side].append(_TASKS / await asyncio.to_thread(sides[side], str(api.url)))
                if (stored := await connection.fetchval(_COUNTED) - before) != _TASKS:
                    raise LoadFailed(f"{stored} tasks were stored instead of {_TASKS}")
                print(f"  round {number + 1}: {side} {rates[side][-1]:,.0f} tasks/s", flush=True)
    return [_figure(rates, "raw NDJSON", at_least(0.8)), _figure(rates, "raw without keys", None)]


def _figure(rates: dict[str, list[float]], against: str, target: Target | None) -> Figure:
    return Figure(
        name="created",
        unit="tasks/s",
        ours=rates["client"],
        against=against,
        theirs=rates[against],
        target=target,
    )


def _bodies() -> list[dict[str, object]]:
    return [{"name": f"task {number}", "payload": {"number": number}} for number in range(_TASKS)]


def _keyed(body: dict[str, object]) -> dict[str, object]:
    return {**body, "idempotency_key": str(uuid4())}


def _by_client(url: str) -> float:
    tasks = _bodies()
    with Client(url) as client:
        begun = perf_counter()
        client.create_many(tasks)
        return perf_counter() - begun


def _by_bytes(url: str, *, has_keys: bool) -> float:
    bodies = [_keyed(body) for body in _bodies()] if has_keys else _bodies()
    content = b"".join(json.dumps(body).encode() + b"\n" for body in bodies)
    headers = {"Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        begun = perf_counter()
        client.post("/tasks/batch", content=content, headers=headers).raise_for_status()
        return perf_counter() - begun
