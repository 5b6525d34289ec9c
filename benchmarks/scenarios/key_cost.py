"""What API keys cost: two API processes of one database, of which one requires them.

Every request shows a key, whose grants have two patterns of queues each; the other process does not look at it.
"""

from functools import partial
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.load import Load
from benchmarks.rounds import interleaved
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
_AGAINST = "no keys required"


async def run(lab: Lab) -> list[Figure]:
    seconds = lab.pick(quick=1, short=3, full=6)
    paths = lab.folder / "paths"
    # A rate that no load reaches: each request is counted, and none is refused.
    rate = {"TASKMILL_RATE_LIMITS__KEY_RATE": "1000000"}
    required = {"TASKMILL_AUTH": "required", **rate}
    async with lab.database() as url:
        await seed_paths(url, paths)
        key = await _made_key(url)
        async with (
            lab.taskmill("api", url, "--port", "0", name="open") as unchecked,
            lab.taskmill("api", url, "--port", "0", name="keys", environment=required) as checked,
        ):
            addresses = {"keys": str(checked.url), _AGAINST: str(unchecked.url)}
            figures = []
            for title, measure in (("POST", _post), ("GET", partial(_get, paths))):
                for address in addresses.values():
                    await measure(address, key, _WARM_UP_S)
                sides = {
                    side: partial(measure, address, key, seconds)
                    for side, address in addresses.items()
                }
                loads = await interleaved(lab, sides, describe=str)
                figures += load_figures(
                    title, loads["keys"], _AGAINST, loads[_AGAINST], rate=at_least(0.95)
                )
    return figures


async def _made_key(url: str) -> str:
    database = Database(url, DatabaseSettings())
    try:
        draft = ApiKeyDraft(name="load", grants=tuple(map(Grant.parse, _GRANTS)))
        return (await api_keys.create(database, draft, environment="test")).text
    finally:
        await database.close()


async def _post(address: str, key: str, seconds: int) -> Load:
    return await load.post(address, connections=_CONNECTIONS, seconds=seconds, api_key=key)


async def _get(paths: Path, address: str, key: str, seconds: int) -> Load:
    return await load.get(
        address, paths=paths, connections=_CONNECTIONS, seconds=seconds, api_key=key
    )
