"""Every search of GET /tasks, with a thousand tasks against a million: for what is rare, frequent, and not there.
And the dashboard's search for everything: how long it takes to its first results.

A rare thing has ten tasks, whatever their number. One connection repeats each request, the sides in turn; the
figure is the median response time. A kind of error is searched for by the dashboard's list, which alone has that
filter.
"""

import hashlib
import json
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from benchmarks import load
from benchmarks.figures import Figure, Target, at_most
from benchmarks.lab import Lab
from benchmarks.load import Load, LoadFailed
from benchmarks.rounds import interleaved
from benchmarks.searchable_tasks import GROUP, store_searchable_tasks
from benchmarks.stored_tasks import WEEKS

TITLE = "searches: by label, type, name, kind of error and time, by the number of tasks"

FEW = 1_000
_LIMIT = 50
_MOST_RATIO = 2.0
_MOST_MS = 20.0
_MOST_EVERYWHERE_MS = 200.0
_ID_END = 8
_NEVER = [("created_after", "2020-01-01T00:00:00Z"), ("created_before", "2021-01-01T00:00:00Z")]

Query = Sequence[tuple[str, str]]
_RARE: Mapping[str, Query] = {
    "a rare label": [("label", "customer=c17")],
    "two labels": [("label", "customer=c17"), ("label", "region=r7")],
    "a rare label, waiting": [("label", "customer=c7"), ("status", "new")],
    "a rare type": [("type", "rare")],
    "a rare type, waiting": [("type", "type-7"), ("status", "new")],
    "type and status": [("type", "type-3"), ("status", "failed")],
    "queue, type and status": [("queue", "queue-4"), ("type", "type-5"), ("status", "failed")],
    "a Cyrillic name": [("name", "КЛИЕНТА № 000017")],
    "a Latin name": [("name", "CUSTOMER C000018")],
    "name and status": [("name", "клиента № 000003"), ("status", "failed")],
    "a name, waiting": [("name", "клиента № 000007"), ("status", "new")],
}
_FREQUENT: Mapping[str, Query] = {
    "a label of a tenth": [("label", "region=r3")],
    "a frequent type": [("type", "type-7")],
    "a frequent type and status": [("type", "type-7"), ("status", "succeeded")],
    "a name of a half": [("name", "отчёт")],
}
_NONE: Mapping[str, Query] = {
    "no such label": [("label", "customer=nobody")],
    "no such two labels": [("label", "customer=c17"), ("label", "region=r1")],
    "no such type": [("type", "nothing")],
    "no such type and status": [("type", "rare"), ("status", "failed")],
    "no such queue and type": [("queue", "queue-3"), ("type", "type-5"), ("status", "succeeded")],
    "no such name": [("name", "нигде такого нет")],
    "no such name, running": [("name", "клиента № 000007"), ("status", "in_progress")],
    "none in that time": _NEVER,
}
_ERROR = "/ui/tasks?" + urlencode([("error", "Failure: no j")])
_NO_ERROR = "/ui/tasks?" + urlencode([("error", "Failure: none")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search, and the fewest and most tasks that its page has; None for a page that is no JSON.

    Such a page has to contain `text`.
    """

    path: str
    hits: tuple[int, int] | None
    target: Target
    text: str = ""


async def run(lab: Lab) -> list[Figure]:
    size = lab.pick(quick=100_000, short=1_000_000, full=1_000_000)
    until = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        addresses = {tasks: await serving(lab, stack, tasks, until) for tasks in (FEW, size)}
        await lab.settle()
        sides = {tasks: _searches(tasks, until) for tasks in addresses}
        return [
            await _measure(lab, addresses, title, {size: sides[size][title] for size in sides})
            for title in sides[FEW]
        ]


async def serving(lab: Lab, stack: AsyncExitStack, tasks: int, until: datetime) -> str:
    """Make a database of so many tasks, serve it, and return its address."""
    url = await stack.enter_async_context(lab.database())
    await store_searchable_tasks(url, tasks, until)
    api = await stack.enter_async_context(
        lab.taskmill("api", url, "--port", "0", name=f"api-of-{tasks}")
    )
    return str(api.url)


def _searches(tasks: int, until: datetime) -> dict[str, Search]:
    few, none, many = at_most(_MOST_RATIO), at_most(_MOST_MS), (GROUP, _LIMIT)
    return {
        **{title: _search(query, (GROUP, GROUP), few) for title, query in _RARE.items()},
        "a kind of error": Search(path=_ERROR, hits=None, target=few),
        "a hundred by time": _search(_between(tasks, until, 100), many, few),
        "half of them by time": _search(_between(tasks, until, tasks // 2), many, few),
        **{title: _search(query, many, few) for title, query in _FREQUENT.items()},
        **{title: _search(query, (0, 0), none) for title, query in _NONE.items()},
        "no such kind of error": Search(path=_NO_ERROR, hits=None, target=none),
        **_everywhere(tasks),
    }


def _everywhere(tasks: int) -> dict[str, Search]:
    """Return searches for everything by what they look for; the end of an id has no index."""
    middle = tasks // 2
    sought = {
        "a number": (f"#{middle}", f"#{middle}<"),
        "the end of the newest id": (_end_of_id(tasks), f'{_end_of_id(tasks)}"><span'),
        "the end of an id in the middle": (_end_of_id(middle), "hits"),
        "a rare label": ("customer=c17", "000017"),
        "a Cyrillic name": ("КЛИЕНТА № 000017", "hits"),
        "no such name": ("нигде такого нет", "hits"),
    }
    target = at_most(_MOST_EVERYWHERE_MS)
    return {
        f"everywhere: {title}": Search(
            path=f"/ui/search?{urlencode({'q': given})}", hits=None, target=target, text=text
        )
        for title, (given, text) in sought.items()
    }


def _end_of_id(number: int) -> str:
    """Return the last digits of a task's id, as `searchable_tasks` makes it."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[-_ID_END:]


def _search(query: Query, hits: tuple[int, int], target: Target) -> Search:
    path = f"/tasks?{urlencode([*query, ('limit', str(_LIMIT))])}"
    return Search(path=path, hits=hits, target=target)


def _between(tasks: int, until: datetime, matching: int) -> Query:
    """Return a time in the middle in which so many tasks were created."""
    step = timedelta(weeks=WEEKS) / tasks
    middle = until - timedelta(weeks=WEEKS) / 2
    times = (middle - step * matching / 2, middle + step * matching / 2)
    names = ("created_after", "created_before")
    return [(name, time.isoformat()) for name, time in zip(names, times, strict=True)]


async def _measure(
    lab: Lab, addresses: Mapping[int, str], title: str, sides: Mapping[int, Search]
) -> Figure:
    print(f"  {title}", flush=True)
    for size, search in sides.items():
        _check(addresses[size], search)
    loads = await interleaved(
        lab,
        {f"{size:,}": partial(_request, lab, addresses[size], sides[size]) for size in sides},
        describe=lambda one: f"tasks: p50 {one.p50_ms:.2f} ms",
    )
    (few, theirs), (many, ours) = loads.items()
    is_ratio = sides[FEW].target.value == _MOST_RATIO
    return Figure(
        name=f"{title}, {many} tasks",
        unit="ms",
        ours=[one.p50_ms for one in ours],
        against=f"{few} tasks" if is_ratio else "",
        theirs=[one.p50_ms for one in theirs] if is_ratio else (),
        target=sides[FEW].target,
    )


def _check(address: str, search: Search) -> None:
    """Check that the page has what is expected."""
    with urllib.request.urlopen(f"{address}{search.path}") as response:  # noqa: S310 - our own server
        body = response.read()
    if search.hits is None:
        if search.text not in body.decode():
            raise LoadFailed(f"{search.path}: nothing of {search.text!r}")
        return
    items, (fewest, most) = len(json.loads(body)["items"]), search.hits
    if not fewest <= items <= most:
        raise LoadFailed(f"{search.path}: {items} items, not {fewest} to {most}")


async def _request(lab: Lab, address: str, search: Search) -> Load:
    path = lab.folder / "title.path"
    path.write_text(f"{search.path}\n")
    seconds = lab.pick(quick=1, short=1, full=3)
    return await load.get(address, paths=path, connections=1, seconds=seconds)
