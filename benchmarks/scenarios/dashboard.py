"""The pages of the dashboard with 5,000,000 tasks, and what an open one costs during 1,000 changes a second.

One connection requests each page again and again, compressed, like a browser; a figure is the 95th percentile of
response times. Some pages are also requested once a second, when their caches have expired, and some once as the
first one after a start of the API. There are 300 queues, and failures of 500 kinds. The weight of a first view is
that of the page with all its files, as sent.

An open dashboard is a stream of `/ui/live` and, for each of its events, the live part of its page. It is compared
with the same API process under the same load without it.
"""

import asyncio
import contextlib
import http.client
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle, islice
from urllib.parse import urlsplit

import httpx

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.producing import Producer, producing
from benchmarks.programs import Program
from benchmarks.scenarios.noop_drain import NOOP
from benchmarks.seeding import TASKS, Size, seed
from taskmill.dashboard.navigation import NAVIGATION
from taskmill.domain.task import TaskDraft

TITLE = "the dashboard: its pages with 5,000,000 tasks, and an open one at 1,000 changes a second"

_SHARE = 0.95
_MOST_MS = 60
_MOST_KB = 150
_MOST_PERCENT = 5
_SHOWN = 100
_STALE_S = 1.0
_CHANGES_PER_S, _CHANGES_A_TASK = 1000, 3
_LEAST_SHARE = 0.9
_QUEUES = 20
_TICK_S, _SETTLE_S = 0.03, 3.0
_EVENTS = "SELECT count(*) FROM taskmill.task_history WHERE task_id > $1"
_REJECTIONS = """
INSERT INTO taskmill.rejection (id, created_at, source, message_id, body, body_hash, headers, status, problem)
SELECT
    ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now(), 'amqp', 'm' || n,
    convert_to('{"name": ""}', 'UTF8'), sha256(n::text::bytea), '{}', 422,
    '{"title": "t", "detail": "d", "errors": []}'
FROM generate_series(1, 100000) AS n
"""
_KIND = "SELECT left(md5(error), 16) FROM taskmill.failure ORDER BY at DESC LIMIT 1"
_MANY = {"queues": 300, "kinds_of_failures": 500}
_STALE = {"overview": "/", "queues": "/ui/queues", "failures": "/ui/failures"}
_OPENED = {"overview": "/", "tasks": "/ui/tasks"}


async def run(lab: Lab) -> list[Figure]:
    async with lab.database() as url:
        await seed(url, Size(tasks=TASKS // 10 if lab.is_short else TASKS, **_MANY))
        async with connected(url) as connection:
            await connection.execute(_REJECTIONS)
        await lab.settle()
        pages = await _pages(url)
        async with lab.taskmill("api", url, "--port", "0") as api:
            figures = await _times(lab, str(api.url), pages)
            figures += _weights(str(api.url), pages)
        figures.append(await _first_responses(lab, url, pages))
        return figures + await _costs(lab, url)


async def _pages(url: str) -> dict[str, Sequence[str]]:
    """Return addresses by page: those of the navigation, and those of single objects."""
    pages: dict[str, Sequence[str]] = {entry.name: [entry.path] for entry in NAVIGATION}
    query = "SELECT id FROM taskmill.current_task WHERE status = $1 ORDER BY md5(id::text) LIMIT $2"
    async with connected(url) as connection:
        ids = {
            status: [row["id"] for row in await connection.fetch(query, status, _SHOWN)]
            for status in ("new", "in_progress", "failed")
        }
        refused = await connection.fetchval("SELECT id FROM taskmill.rejection LIMIT 1")
        kind = await connection.fetchval(_KIND)
    filters = ("status=failed&queue=queue-3", "status=new&order=asc", "queue=queue-7&since=24h")
    return {
        **pages,
        "overview, 30 d": ["/?window=30d"],
        "tasks, filtered": [f"/ui/tasks?{one}" for one in filters],
        "tasks, deep": [f"/ui/tasks?after={one}" for one in ids["failed"]],
        "tasks, by text": ["/ui/tasks?name=nowhere", "/ui/tasks?type=type-3&name=7"],
        **{f"task, {status}": [f"/ui/tasks/{one}" for one in ids[status]] for status in ids},
        "another task": [f"/ui/create?like={ids['failed'][0]}"],
        "queues, oldest": ["/ui/queues?order=oldest"],
        "queues, 30 d": ["/ui/queues?window=30d&page=3"],
        "failures, 30 d": ["/ui/failures?window=30d"],
        "kind of failures": [f"/ui/failures/{kind}"],
        "queue": ["/ui/queues/queue-3"],
        "queue, 30 d": ["/ui/queues/queue-3?window=30d"],
        "type": ["/ui/types/type-3"],
        "type, 30 d": ["/ui/types/type-3?window=30d"],
        "rejected message": [f"/ui/rejections/{refused}"],
    }


async def _times(lab: Lab, address: str, pages: Mapping[str, Sequence[str]]) -> list[Figure]:
    requests = 30 if lab.is_short else 200
    figures = [
        await _measured(lab, address, name, paths, requests) for name, paths in pages.items()
    ]
    stale = 5 if lab.is_short else 30
    return figures + [
        await _measured(lab, address, f"{name}, stale", [path], stale, pause_s=_STALE_S)
        for name, path in _STALE.items()
    ]


async def _measured(
    lab: Lab, address: str, name: str, paths: Sequence[str], requests: int, *, pause_s: float = 0.0
) -> Figure:
    rounds = []
    await asyncio.to_thread(_request, address, paths, 3, 0.0)
    for _ in range(lab.rounds):
        times = await asyncio.to_thread(_request, address, paths, requests, pause_s)
        rounds.append(percentile(times, _SHARE) * 1000)
    print(f"  {name}: p95 {', '.join(f'{value:.1f}' for value in rounds)} ms", flush=True)
    return Figure(name=f"p95, {name}", unit="ms", ours=rounds, target=at_most(_MOST_MS))


def _request(address: str, paths: Sequence[str], times: int, pause_s: float) -> list[float]:
    """Return the response times in s of so many requests on one connection."""
    return list(islice(_response_times(address, paths, pause_s), times))


def _response_times(address: str, paths: Sequence[str], pause_s: float) -> Iterator[float]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    for path in cycle(paths):
        time.sleep(pause_s)
        began = time.perf_counter()
        _get(connection, path)
        yield time.perf_counter() - began


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"accept-encoding": "gzip"})
    response = connection.getresponse()
    body = response.read()
    if response.status != HTTPStatus.OK:
        raise LoadFailed(f"{path}: {response.status} {body[:200]!r}")
    return body


def _weights(address: str, pages: Mapping[str, Sequence[str]]) -> list[Figure]:
    weights = {name: _weight(address, paths[0]) for name, paths in pages.items()}
    heaviest = max(weights, key=lambda name: weights[name])
    print(f"  the heaviest first view is {heaviest}: {weights[heaviest] / 1000:.0f} kB", flush=True)
    largest = weights[heaviest] / 1000
    return [Figure(name="first view", unit="kB", ours=[largest], target=at_most(_MOST_KB))]


def _weight(address: str, path: str) -> int:
    """Return the bytes of a page and all its files, as sent."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    weight = len(_get(connection, path))
    html = httpx.get(address + path).text
    for link in sorted(set(re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', html))):
        weight += len(_get(connection, link))
    return weight


async def _first_responses(lab: Lab, url: str, pages: Mapping[str, Sequence[str]]) -> Figure:
    """Start the API for each page, and request that first; a round's figure is the slowest one."""
    chosen = ("overview", "tasks", "task, failed")
    rounds = []
    for _ in range(lab.rounds):
        times = {}
        for name in chosen:
            async with lab.taskmill("api", url, "--port", "0") as api:
                [took] = await asyncio.to_thread(_request, str(api.url), pages[name], 1, 0.0)
            times[name] = took * 1000
        print("  first after a start: " + ", ".join(f"{n} {t:.0f} ms" for n, t in times.items()))
        rounds.append(max(times.values()))
    return Figure(name="first after a start", unit="ms", ours=rounds)


@dataclass
class _Seen:
    """What one measurement saw: the share of a core that the API took, and how often a page was updated."""

    cpu_share: float
    updates: int
    update_ms: float


async def _costs(lab: Lab, url: str) -> list[Figure]:
    seconds = 5 if lab.is_short else 20
    sides = ("alone", *_OPENED)
    seen: dict[str, list[_Seen]] = {side: [] for side in sides}
    async with (
        producing(url) as producer,
        lab.taskmill("maintenance", url),
        lab.taskmill("worker", url),
        lab.taskmill("api", url, "--port", "0") as api,
        _changing(producer),
    ):
        await asyncio.sleep(_SETTLE_S)
        for number in range(lab.rounds):
            for side in lab.order(number, *sides):
                one = await _cost(url, api, _OPENED.get(side), seconds)
                seen[side].append(one)
                text = f"{one.updates} updates of {one.update_ms:.1f} ms"
                print(f"  {side}: {100 * one.cpu_share:.1f} % of a core, {text}", flush=True)
    return [figure for side in _OPENED for figure in _cost_figures(side, seen[side], seen["alone"])]


def _cost_figures(side: str, seen: Sequence[_Seen], alone: Sequence[_Seen]) -> Iterator[Figure]:
    shares = [
        100 * (one.cpu_share - other.cpu_share) for one, other in zip(seen, alone, strict=True)
    ]
    yield Figure(
        name=f"an open {side}", unit="% of a core", ours=shares, target=at_most(_MOST_PERCENT)
    )
    yield Figure(name=f"an update of {side}", unit="ms", ours=[one.update_ms for one in seen])


@contextlib.asynccontextmanager
async def _changing(producer: Producer) -> AsyncIterator[None]:
    """Make tasks at an even rate while the block runs; a worker ends them."""
    async with asyncio.TaskGroup() as group:
        stop = asyncio.Event()
        group.create_task(_produce(producer, stop))
        try:
            yield
        finally:
            stop.set()


async def _produce(producer: Producer, stop: asyncio.Event) -> None:
    drafts = [TaskDraft(name="benchmark", payload=NOOP, queue=f"q{n}") for n in range(_QUEUES)]
    rate = _CHANGES_PER_S / _CHANGES_A_TASK
    began, made = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * rate)
        if due > made:
            await producer.creation.create_all([drafts[n % _QUEUES] for n in range(made, due)])
            made = due
        await asyncio.sleep(_TICK_S)


async def _cost(url: str, api: Program, path: str | None, seconds: int) -> _Seen:
    async with connected(url) as connection:
        last = await connection.fetchval("SELECT id FROM taskmill.task ORDER BY id DESC LIMIT 1")
        began, before = time.monotonic(), api.cpu_s() or 0.0
        times = [] if path is None else await _follow(str(api.url), path, seconds)
        await asyncio.sleep(max(began + seconds - time.monotonic(), 0))
        took_s = time.monotonic() - began
        share = ((api.cpu_s() or 0.0) - before) / took_s
        changes = await connection.fetchval(_EVENTS, last)
    if changes < _LEAST_SHARE * _CHANGES_PER_S * took_s:
        raise LoadFailed(f"only {changes / took_s:.0f} changes a second were made")
    update_ms = percentile(times, 0.5) * 1000 if times else 0.0
    return _Seen(cpu_share=share, updates=len(times), update_ms=update_ms)


async def _follow(url: str, path: str, seconds: int) -> list[float]:
    """Update a page for a while like `live.js`; return how long each update took, in s."""
    times = []
    with contextlib.suppress(TimeoutError):
        async with (
            httpx.AsyncClient(base_url=url, timeout=30) as client,
            asyncio.timeout(seconds),
            client.stream("GET", "/ui/live") as stream,
        ):
            async for line in stream.aiter_lines():
                if line == "event: changed":
                    began = time.perf_counter()
                    response = await client.get(path, headers={"hx-request": "true"})
                    response.raise_for_status()
                    times.append(time.perf_counter() - began)
    return times
