"""Common queries of GET /tasks, with a thousand tasks against a hundred thousand, and ten million.

All databases have the same shape: eight weeks of tasks, most of them ended. Every response has its `total`. One
connection repeats each query, the sides in turn; the figure is the median response time. Ten million tasks, which
take some minutes to make, are only in a full run.
"""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.load import Load, LoadFailed
from benchmarks.rounds import interleaved
from benchmarks.stored_tasks import SHARES, store_tasks

TITLE = "lists of 50 tasks with `total`, filters, searches and counts, by the number of tasks"

_FEW = 1_000
_LIMIT = 50
_MOST = 1.3
_ROUNDS_OF_SHORT = 2
_STATUSES = ("succeeded", "failed", "new")
_QUERIES = {
    "the newest": f"limit={_LIMIT}",
    **{f"status={status}": f"status={status}&limit={_LIMIT}" for status in _STATUSES},
    "queue and status": f"queue=reports&status=failed&limit={_LIMIT}",
    "two statuses, oldest first": f"status=new&status=failed&order=asc&limit={_LIMIT}",
    "a name that is there": f"name=report%201&limit={_LIMIT}",
    "a name that is not": f"name=nowhere&limit={_LIMIT}",
    "the count alone": "status=failed&limit=1",
}


async def run(lab: Lab) -> list[Figure]:
    sizes = lab.pick(quick=(10_000,), short=(100_000,), full=(100_000, 10_000_000))
    figures = []
    async with AsyncExitStack() as stack:
        addresses = {size: await _serving(lab, stack, size) for size in (_FEW, *sizes)}
        await lab.settle()
        for title, query in _QUERIES.items():
            figures += await _measure(lab, addresses, title, query)
    return figures


async def _serving(lab: Lab, stack: AsyncExitStack, size: int) -> str:
    """Make a database of this size and serve it; check its lists."""
    url = await stack.enter_async_context(lab.database())
    await store_tasks(url, size)
    api = await stack.enter_async_context(
        lab.taskmill("api", url, "--port", "0", name=f"api-of-{size}")
    )
    for status in _STATUSES:
        _check(str(api.url), status, size)
    return str(api.url)


def _check(address: str, status: str, size: int) -> None:
    """Check that pages are full and totals are right."""
    path = f"/tasks?status={status}&limit={_LIMIT}"
    with urllib.request.urlopen(f"{address}{path}") as response:  # noqa: S310 - our own server
        page = json.load(response)
    if len(page["items"]) != _LIMIT or page["total"] != size * SHARES[status] // 100:
        raise LoadFailed(f"{status}: {len(page['items'])} items, total {page['total']}")


async def _measure(lab: Lab, addresses: Mapping[int, str], title: str, query: str) -> list[Figure]:
    path = lab.folder / "title.path"
    path.write_text(f"/tasks?{query}\n")
    print(f"  {title}", flush=True)
    seconds = lab.pick(quick=1, short=1, full=3)
    sides = {
        f"{size:,}": partial(_request, address, path, seconds)
        for size, address in addresses.items()
    }
    loads = await interleaved(
        lab,
        sides,
        describe=lambda one: f"tasks: p50 {one.p50_ms:.2f} ms",
        rounds=min(lab.rounds, _ROUNDS_OF_SHORT) if lab.is_short else None,
    )
    return list(_figures(title, loads))


async def _request(address: str, path: Path, seconds: int) -> Load:
    return await load.get(address, paths=path, connections=1, seconds=seconds)


def _figures(title: str, loads: Mapping[str, Sequence[Load]]) -> Sequence[Figure]:
    few, *larger = loads
    return [
        Figure(
            name=f"{title}, {size} tasks",
            unit="ms",
            ours=[one.p50_ms for one in loads[size]],
            against=f"{few} tasks",
            theirs=[one.p50_ms for one in loads[few]],
            target=at_most(_MOST) if title.startswith("status=") and size == larger[-1] else None,
        )
        for size in larger
    ]
