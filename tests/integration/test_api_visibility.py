"""What a key may see that is for some queues only: all of theirs, and nothing of others, not even by a count."""

import base64
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill.api.access_rules import RULES, Check
from taskmill.domain.lifecycle import Failed, Succeeded
from taskmill.domain.task import Task
from taskmill.operations.api_keys import NewApiKey
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.builders import ERROR
from tests.support.stage import Stage

# What depends on the time of a request: of `activity`, that which begins and ends with it.
_TIMES = re.compile(r'"(since|until|at)":"[^"]*",')
_RATES = re.compile(r',"per_second":\{[^}]*\}')
_EMPTY_POINTS = re.compile(
    r'\{"counts":\{(?:"\w+":0,?)+\},"waiting":\{[^}]*\},"running":\{[^}]*\},"at":"[^"]*"\},?'
)
LABELS = '{"team":"a"}'
# What a route without parameters is asked for, beside itself.
ADDRESSES = [
    "/tasks",
    "/tasks?limit=2",
    "/tasks?limit=2&offset=1&order=asc",
    "/tasks?queue=secret",
    "/tasks?queue=mail&type=send",
    "/tasks?type=send&limit=1",
    "/tasks?type=only-secret",
    "/tasks?name=the&label=team%3Da&limit=1",
    "/tasks?name=only&limit=1",
    "/tasks?status=in_progress&status=new",
    "/queues",
    "/workers",
    "/failures",
    "/failures?queue=secret",
    "/failures?order=newest&limit=1",
    "/rejections",
    "/schedules",
    "/schedules?limit=1",
    "/stats",
    "/attention",
    "/stats?window=5m",
    "/stats?window=1h&queue=secret",
    "/stats?window=24h&type=send",
    "/task_service/api/v1/task/",
    "/task_service/api/v1/task?limit=1&skip=1",
    "/tasks/batch",
    "/tasks/cancel",
    "/tasks/retry",
]


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def work_in(stage: Stage, queue: str, lease: UUID, **parts: Any) -> list[Task]:  # noqa: ANN401 - as `created`
    """Tasks of every status in a queue, two of them waiting."""
    fields = {"queue": queue, "type": "send", "labels": LABELS, **parts}
    for outcome in (Succeeded(), Failed(error=ERROR), None):
        taken = await stage.running(lease, name="the first", **fields)
        if outcome is not None:
            await stage.end(taken, lease, outcome)
    waiting = [await stage.created(name=f"the {n}", **fields) for n in range(3)]
    await stage.service.cancel(waiting[0].id)
    rows = await stage.sql.fetch("SELECT id FROM taskmill.task WHERE queue = $1", queue)
    return [await stage.task(row["id"]) for row in rows]


def stable(response: httpx.Response) -> tuple[int, dict[str, str], str]:
    """A response without what differs at each time."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"date", "x-request-id"}
    }
    text = response.text
    for passing in (_TIMES, _RATES, _EMPTY_POINTS):
        text = passing.sub("", text)
    return response.status_code, headers | {"content-length": ""}, text.replace(",]", "]")


async def shown_to(served: Served, key: NewApiKey) -> dict[str, tuple[int, dict[str, str], str]]:
    """What a key is shown at every address."""
    return {address: stable(await served.get(address, headers=shown(key))) for address in ADDRESSES}


def test_every_address_that_shows_visible_queues_is_tested() -> None:
    tested = {address.partition("?")[0] for address in ADDRESSES} | {"/task_service/api/v1/task/"}
    limited = {
        route.removeprefix("GET ")
        for route, rule in RULES.items()
        if rule.check is Check.VISIBLE and route.startswith("GET ")
    }
    # Those of kinds of failures and of jobs have tests of their own, in test_api_failures.py,
    # test_failure_samples.py and test_api_jobs.py.
    kinds, jobs = {"/failures/{id}", "/failures/{id}/sample"}, {"/jobs", "/jobs/{id}"}
    assert limited == tested | {"/events"} | kinds | jobs


async def test_what_happens_in_other_queues_changes_nothing_that_a_key_is_shown(
    required: Served, stage: Stage
) -> None:
    own_worker = await stage.open_lease(
        ttl_s=600,
        queues=(
            "mail",
            "mail-later",
        ),
    )
    key = await a_new_key(stage.database, "tasks:read queue=mail*")
    assert (await required.get("/tasks", headers=shown(key))).json()["total"] == 0
    await work_in(stage, "mail", own_worker)
    await work_in(stage, "mail-later", own_worker)
    before = await shown_to(required, key)
    foreign = await stage.open_lease(
        ttl_s=600,
        queues=(
            "secret",
            "a-mail",
        ),
    )
    await work_in(stage, "secret", foreign)
    await work_in(stage, "a-mail", foreign, type="only-secret")
    await stage.running(own_worker, queue="secret")
    await stage.service.set_queue_paused("secret", paused=True)
    await stage.service.set_queue_paused("empty", paused=True)
    after = await shown_to(required, key)
    for address in ADDRESSES:
        assert after[address] == before[address], address
    everything = await a_new_key(stage.database, "tasks:read")
    assert "secret" in (await required.get("/queues", headers=shown(everything))).text


async def test_two_keys_see_their_own_queues_and_together_all(
    required: Served, stage: Stage
) -> None:
    worker = await stage.open_lease(ttl_s=600)
    own = {queue: await work_in(stage, queue, worker) for queue in ("mail", "secret")}
    totals = []
    for queue, tasks in own.items():
        key = shown(await a_new_key(stage.database, f"tasks:read queue={queue},other*"))
        listed = (await required.get("/tasks", headers=key)).json()
        assert {item["id"] for item in listed["items"]} == {str(task.id) for task in tasks}
        assert {
            item["name"] for item in (await required.get("/queues", headers=key)).json()["items"]
        } == {queue}
        stats = (await required.get("/stats?window=5m", headers=key)).json()
        assert list(stats["by_queue"]) == [queue]
        assert stats["total"] == listed["total"] == len(tasks) == 6
        assert (stats["running"], stats["workers_alive"]) == (1, 1)
        assert [flow["queue"] for flow in stats["activity"]["queues"]] == [queue]
        totals.append(stats["activity"]["total"]["counts"]["created"])
    everything = shown(await a_new_key(stage.database, "tasks:read"))
    assert totals == [6, 6]
    stats = (await required.get("/stats?window=5m", headers=everything)).json()
    assert (stats["total"], stats["running"]) == (12, 2)
    assert stats["activity"]["total"]["counts"]["created"] == 12


@pytest.mark.parametrize("query", ["", "&type=send", "&name=the", "&type=send&label=team%3Da"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_and_their_cursors_name_own_tasks_only(
    required: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch, query: str, order: str
) -> None:
    """The scan goes on in small chunks, so that each page ends within one."""
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 2)
    monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 0)
    for n in range(40):
        queue = ("mail", "secret", "secret", "mail-too", "secret")[n % 5]
        await stage.created(queue=queue, type="send", name=f"the {n}", labels=LABELS)
    rows = await stage.sql.fetch(
        "SELECT id FROM taskmill.task WHERE queue LIKE 'mail%' ORDER BY id"
    )
    own = [str(row["id"]) for row in rows]
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail*"))
    address: str | None = f"/tasks?limit=3&order={order}{query}"
    found: list[str] = []
    while address is not None:
        page = (await required.get(address, headers=key)).json()
        found += [item["id"] for item in page["items"]]
        assert page["total"] == len(own)
        address = None
        if (cursor := page["next_cursor"]) is not None:
            assert str(UUID(bytes=_decoded(cursor)[:16])) == found[-1]
            address = f"/tasks?limit=3&order={order}{query}&cursor={cursor}"
    assert found == (own if order == "asc" else own[::-1])


def _decoded(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


async def test_a_queue_that_appears_is_seen_at_the_next_request(
    required: Served, stage: Stage
) -> None:
    key = shown(await a_new_key(stage.database, "tasks:read queue=billing.*"))
    for queue, visible in (("billing.eu", 1), ("billing.us", 2), ("billing", 2)):
        await stage.created(queue=queue)
        page = (await required.get("/tasks", headers=key)).json()
        stats = (await required.get("/stats", headers=key)).json()
        assert page["total"] == stats["total"] == len(page["items"]) == visible


async def test_tasks_of_a_removed_queue_stay_visible(required: Served, stage: Stage) -> None:
    task = await stage.created(queue="mail")
    await stage.service.cancel(task.id)
    await stage.service.remove_queue("mail")
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail*"))
    page = (await required.get("/tasks", headers=key)).json()
    assert [item["id"] for item in page["items"]] == [str(task.id)]
