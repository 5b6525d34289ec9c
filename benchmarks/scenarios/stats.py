"""Queries of operators with 5,000,000 tasks: `GET /stats`, over windows of up to 30 days, and `explain`.

The tasks are of 20 queues and 5 types, some waiting, some running; the roll-up has the rows of 30 days, and the
deltas of a busy second. One connection repeats each query; a figure is the 95th percentile of response times.
"""

import asyncio
import http.client
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import cycle, islice
from urllib.parse import urlsplit

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.seeding import TASKS, Size, seed

TITLE = "GET /stats and GET /tasks/{id}/explain with 5,000,000 tasks, one API process"

_STATS = {
    "stats": "/stats",
    "stats, 5m": "/stats?window=5m",
    "stats, 24h": "/stats?window=24h",
    "stats, 30d": "/stats?window=30d",
}
_SHARE = 0.95
_MOST_MS = 50
_EXPLAINED = 200


async def run(lab: Lab) -> list[Figure]:
    requests = 60 if lab.is_short else 300
    async with lab.database() as url:
        await seed(url, Size(tasks=TASKS // 10 if lab.is_short else TASKS))
        await lab.settle()
        async with lab.taskmill("api", url, "--port", "0") as api:
            address = str(api.url)
            paths: dict[str, Sequence[str]] = {name: [path] for name, path in _STATS.items()}
            paths |= _explained(address, await _some_tasks(url))
            return [await _measure(lab, address, name, paths[name], requests) for name in paths]


async def _measure(
    lab: Lab, address: str, name: str, paths: Sequence[str], requests: int
) -> Figure:
    rounds = []
    await asyncio.to_thread(_request, address, paths, 10)
    for _ in range(lab.rounds):
        times = await asyncio.to_thread(_request, address, paths, requests)
        rounds.append(percentile(times, _SHARE) * 1000)
    print(f"  {name}: p95 {', '.join(f'{value:.1f}' for value in rounds)} ms", flush=True)
    return Figure(name=f"p95, {name}", unit="ms", ours=rounds, target=at_most(_MOST_MS))


def _request(address: str, paths: Sequence[str], times: int) -> list[float]:
    """Return the response times in s of so many requests on one connection."""
    return list(islice(_response_times(address, paths), times))


def _response_times(address: str, paths: Sequence[str]) -> Iterator[float]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    for path in cycle(paths):
        began = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        if response.status != HTTPStatus.OK:
            raise LoadFailed(f"{path}: {response.status} {body[:200]!r}")
        yield time.perf_counter() - began


def _explained(address: str, tasks: dict[str, list[str]]) -> dict[str, Sequence[str]]:
    """Return the addresses that explain tasks, if this service has them."""
    paths = {
        f"explain, {status}": [f"/tasks/{task_id}/explain" for task_id in ids]
        for status, ids in tasks.items()
    }
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request("GET", next(iter(paths.values()))[0])
    if connection.getresponse().status == HTTPStatus.OK:
        return {**paths}
    print("  explain: this service has no such address", flush=True)
    return {}


async def _some_tasks(url: str) -> dict[str, list[str]]:
    query = "SELECT id FROM taskmill.current_task WHERE status = $1 ORDER BY md5(id::text) LIMIT $2"
    async with connected(url) as connection:
        return {
            status: [str(row["id"]) for row in await connection.fetch(query, status, _EXPLAINED)]
            for status in ("new", "in_progress")
        }
