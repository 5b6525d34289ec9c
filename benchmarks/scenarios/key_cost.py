"""What API keys cost: two API processes of one database, of which one requires them.

Every request shows a key, whose grants have two patterns of queues each; the other process does not look at it.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks import load
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.load import Load
from benchmarks.rounds import interleaved, starts
from benchmarks.scenarios.get_task import seed_paths
from benchmarks.scenarios.post_tasks import load_figures
from taskmill.domain.api_keys import ApiKeyDraft
from taskmill.domain.grants import Grant
from taskmill.operations import api_keys
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database

TITLE = "POST /tasks and GET /tasks/{id} with API keys, against the same without"

_CONNECTIONS = 32
_WARM_UP_S = 2
_GRANTS = ("tasks:create queue=billing.*,def*", "tasks:read queue=billing.*,def*")
_WITH, _WITHOUT = "keys", "no keys required"
# A rate that no load reaches: each request is counted, and none is refused.
_REQUIRED = {"TASKMILL_AUTH": "required", "TASKMILL_RATE_LIMITS__KEY_RATE": "1000000"}

Measure: TypeAlias = Callable[[str, str, int], Awaitable[Load]]


async def run(lab: Lab) -> list[Figure]:
    paths = lab.folder / "paths"
    measures: dict[str, Measure] = {"POST": _post, "GET": partial(_get, paths)}
    loads: dict[str, dict[str, list[Load]]] = {title: defaultdict(list) for title in measures}
    async with lab.database() as url:
        await seed_paths(url, paths)
        key = await _made_key(url)
        for start, rounds in enumerate(starts(lab.rounds)):
            async with _servers(lab, url, start) as addresses:
                for title, measure in measures.items():
                    measured = await _rounds(lab, addresses, partial(measure, key), rounds)
                    for side, some in measured.items():
                        loads[title][side] += some
    return [
        figure
        for title, sides in loads.items()
        for figure in load_figures(
            title, sides[_WITH], _WITHOUT, sides[_WITHOUT], rate=at_least(0.95)
        )
    ]


@asynccontextmanager
async def _servers(lab: Lab, url: str, start: int) -> AsyncIterator[dict[str, str]]:
    """Run an API process that requires keys and one that does not; yield their addresses."""
    environments = {_WITH: _REQUIRED, _WITHOUT: dict[str, str]()}
    addresses: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for side in lab.order(start, *environments):
            running = lab.taskmill(
                "api",
                url,
                "--port",
                "0",
                name=f"api-{len(addresses)}",
                environment=environments[side],
            )
            addresses[side] = str((await stack.enter_async_context(running)).url)
        yield addresses


async def _rounds(
    lab: Lab,
    addresses: Mapping[str, str],
    measure: Callable[[str, int], Awaitable[Load]],
    rounds: int,
) -> dict[str, list[Load]]:
    for address in addresses.values():
        await measure(address, _WARM_UP_S)
    seconds = lab.pick(quick=1, short=3, full=6)
    sides = {side: partial(measure, address, seconds) for side, address in addresses.items()}
    return await interleaved(lab, sides, describe=str, rounds=rounds)


async def _made_key(url: str) -> str:
    database = Database(url, DatabaseSettings())
    try:
        draft = ApiKeyDraft(name="load", grants=tuple(map(Grant.parse, _GRANTS)))
        return (await api_keys.create(database, draft, environment="test")).text
    finally:
        await database.close()


async def _post(key: str, address: str, seconds: int) -> Load:
    return await load.post(address, connections=_CONNECTIONS, seconds=seconds, api_key=key)


async def _get(paths: Path, key: str, address: str, seconds: int) -> Load:
    return await load.get(
        address, paths=paths, connections=_CONNECTIONS, seconds=seconds, api_key=key
    )
