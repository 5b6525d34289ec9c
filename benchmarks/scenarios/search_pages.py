"""Walks from `next_cursor` to `next_cursor` through all pages of searches of GET /tasks, with a million tasks.

The figure is the median time of a page. It is an error if a page is empty, if a task is missing or there twice,
or if the last page has a cursor that leads to nothing. No index knows a Greek letter: its page is searched for
by a scan.
"""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from statistics import median
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.scenarios.searches import serving
from benchmarks.searchable_tasks import GROUP

TITLE = "search_pages: walks through all pages of searches, none of them empty"

_TIMEOUT_S = 60
_MOST_MS = 20.0
_MOST_SCAN_MS = 2_500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A search: its query, how many tasks match, and how long a page may take."""

    query: Sequence[tuple[str, str]]
    tasks: int
    most_ms: float = _MOST_MS


def _walks(tasks: int) -> Mapping[str, Walk]:
    frequent = [("label", "region=r3"), ("limit", "500")]
    return {
        "a label of ten": Walk(query=[("label", "customer=c17")], tasks=GROUP),
        "a type of ten": Walk(query=[("type", "rare")], tasks=GROUP),
        "a name of ten": Walk(query=[("name", "клиента № 000017")], tasks=GROUP),
        "a name of five hundred": Walk(query=[("name", "customer c0001")], tasks=50 * GROUP),
        "a label of a tenth, 500 a page": Walk(query=frequent, tasks=tasks // 10),
        "a Greek letter": Walk(query=[("name", "ω")], tasks=GROUP, most_ms=_MOST_SCAN_MS),
    }


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=100_000, short=1_000_000, full=1_000_000)
    async with AsyncExitStack() as stack:
        address = await serving(lab, stack, tasks, datetime.now(UTC))
        await lab.settle()
        return [
            await asyncio.to_thread(_measure, lab, address, title, walk)
            for title, walk in _walks(tasks).items()
        ]


def _measure(lab: Lab, address: str, title: str, walk: Walk) -> Figure:
    rounds = []
    for _ in range(lab.rounds):
        times, ids = zip(*_pages(address, walk.query), strict=True)
        found = [task_id for page in ids for task_id in page]
        if len(found) != walk.tasks or len(set(found)) != walk.tasks:
            raise LoadFailed(f"{title}: {len(found)} tasks, not {walk.tasks}")
        if not all(ids):
            raise LoadFailed(f"{title}: an empty page among {len(ids)}")
        rounds.append(median(times) * 1000)
    print(f"  {title}: {', '.join(f'{value:.1f}' for value in rounds)} ms a page", flush=True)
    return Figure(name=f"{title}, a page", unit="ms", ours=rounds, target=at_most(walk.most_ms))


def _pages(address: str, query: Sequence[tuple[str, str]]) -> Iterator[tuple[float, Sequence[str]]]:
    """Return the time and the ids of each page."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=_TIMEOUT_S)
    cursor: str | None = ""
    while cursor is not None:
        began = time.perf_counter()
        page = _get(connection, [*query, *([("cursor", cursor)] if cursor else [])])
        yield time.perf_counter() - began, [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]


def _get(connection: http.client.HTTPConnection, query: Sequence[tuple[str, str]]) -> Any:  # noqa: ANN401 - JSON
    connection.request("GET", f"/tasks?{urlencode(query)}")
    response = connection.getresponse()
    body = response.read()
    if response.status != HTTPStatus.OK:
        raise LoadFailed(f"{query}: {response.status} {body[:200]!r}")
    return json.loads(body)
