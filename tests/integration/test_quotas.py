"""Quotas of API keys: each is refused what it has too much of, and never because others have much."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from time import perf_counter
from typing import Any

import httpx
import orjson
import pytest

from taskmill.observability.metrics import QUOTAS_EXCEEDED
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.runtime.rate_limits import REFUSAL_DELAY_S
from taskmill.settings import QuotaSettings, Settings
from tests.support.api import LIMITS, SETTINGS, Served, serving
from tests.support.api_keys import a_new_key, shown
from tests.support.polling import eventually
from tests.support.raw_requests import LONG_WAY
from tests.support.stage import Stage, a_webhooks

MOST = 3
REQUIRED = Settings(
    limits=LIMITS, quotas=QuotaSettings(streams=MOST, schedules=MOST), auth="required"
)
NAMED = [("queue", "queues"), ("type", "types")]


@pytest.fixture(autouse=True)
def quotas(stage: Stage) -> None:
    """Each key may make three queues and name three types."""
    stage.creation.queues._quota = stage.creation.types._quota = MOST


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A server with quotas of three, whose limits for all are much higher."""
    webhooks = a_webhooks(stage.database, stage.ids, quota=MOST)
    async with serving(stage.service, REQUIRED, webhooks=webhooks) as served:
        yield served


@pytest.fixture
async def key(stage: Stage) -> NewApiKey:
    return await a_new_key(stage.database, "admin", name="mine")


@pytest.fixture
async def other(stage: Stage) -> NewApiKey:
    return await a_new_key(stage.database, "admin", name="theirs")


async def create(
    api: Served,
    key: NewApiKey,
    *,
    headers: Any = None,  # noqa: ANN401 - headers of a request
    **fields: Any,  # noqa: ANN401 - the fields of a task
) -> httpx.Response:
    all_headers = {**(headers or {}), **shown(key)}
    return await api.post("/tasks", {"name": "a task", **fields}, headers=all_headers)


def is_exceeded(response: httpx.Response, quota: str, limit: int = MOST) -> bool:
    """Whether a response is a complete refusal because of a quota."""
    if response.status_code != 409:
        return False
    problem = response.json()
    assert problem["type"] == "/problems/quota-exceeded"
    assert (problem["quota"], problem["limit"]) == (quota, limit)
    assert f"its quota of {quota}" in problem["detail"]
    return True


@pytest.mark.parametrize(("field", "quota"), NAMED)
@pytest.mark.parametrize("headers", [{}, LONG_WAY])
async def test_a_key_that_has_named_as_many_as_it_may_is_refused_new_ones_only(
    api: Served, stage: Stage, field: str, quota: str, headers: dict[str, str]
) -> None:
    key, other = [await a_new_key(stage.database, "admin") for _ in range(2)]
    before = QUOTAS_EXCEEDED.value(quota)
    for number in range(MOST):
        made = await create(api, key, headers=headers, **{field: f"n{number}"})
        assert made.status_code == 201
    began = perf_counter()
    refused = await create(api, key, headers=headers, **{field: "new"})
    assert is_exceeded(refused, quota)
    assert perf_counter() - began >= REFUSAL_DELAY_S
    assert "retry-after" not in refused.headers
    assert QUOTAS_EXCEEDED.value(quota) - before == 1
    assert (await create(api, key, headers=headers, **{field: "n0"})).status_code == 201
    assert (await create(api, other, headers=headers, **{field: "new"})).status_code == 201
    assert (await create(api, key, headers=headers, **{field: "new"})).status_code == 201, (
        "it is there now, and belongs to another"
    )


@pytest.mark.parametrize(("field", "quota"), NAMED)
async def test_what_others_have_does_not_count(
    api: Served, stage: Stage, key: NewApiKey, field: str, quota: str
) -> None:
    large = await a_new_key(stage.database, "admin", quotas=(f"{quota}=0",))
    for number in range(3 * MOST):
        assert (await create(api, large, **{field: f"theirs-{number}"})).status_code == 201
    for number in range(MOST):
        assert (await create(api, key, **{field: f"mine-{number}"})).status_code == 201
    assert is_exceeded(await create(api, key, **{field: "new"}), quota)


async def test_the_limit_of_all_is_named_when_that_is_reached(
    api: Served, stage: Stage, key: NewApiKey
) -> None:
    stage.creation.queues._limit = 1
    await create(api, key)
    refused = await create(api, key, queue="new")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/queue-limit-reached")


async def test_an_array_is_refused_as_a_whole_and_lines_one_by_one(
    api: Served, key: NewApiKey
) -> None:
    tasks = [{"name": "a", "queue": f"q{number}"} for number in range(MOST + 1)]
    refused = await api.post("/tasks/batch", tasks, headers=shown(key))
    assert is_exceeded(refused, "queues")
    assert (await api.get("/tasks", headers=shown(key))).json()["total"] == 0
    lines = b"\n".join(map(orjson.dumps, tasks))
    headers = {**shown(key), "content-type": "application/x-ndjson"}
    found = [
        orjson.loads(line)
        for line in (await api.post("/tasks/batch", lines, headers=headers)).content.splitlines()
    ]
    refused_lines = [line for line in found if "problem" in line]
    assert (len(found), len(refused_lines)) == (MOST + 1, 1)
    assert refused_lines[0]["problem"]["quota"] == "queues"


async def test_a_repeated_request_gets_its_task_though_the_quota_is_reached(
    api: Served, stage: Stage, key: NewApiKey
) -> None:
    keyed = {"idempotency-key": "once"}
    first = await create(api, key, headers=keyed, queue="first")
    await stage.sql.execute("DELETE FROM taskmill.queue WHERE name = 'first'")
    stage.creation.queues.forget("first")
    for number in range(MOST):
        await create(api, key, queue=f"q{number}")
    again = await create(api, key, headers=keyed, queue="first")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_a_key_may_have_so_many_webhooks(
    api: Served, key: NewApiKey, other: NewApiKey
) -> None:
    async def made(by: NewApiKey) -> httpx.Response:
        return await api.post("/webhooks", {"url": "https://a.test/hook"}, headers=shown(by))

    ids = [(await made(key)).json()["id"] for _ in range(MOST)]
    assert is_exceeded(await made(key), "webhooks")
    assert (await made(other)).status_code == 201
    await api.http.delete(f"/webhooks/{ids[0]}", headers=shown(key))
    assert (await made(key)).status_code == 201
    assert is_exceeded(await made(key), "webhooks")


async def test_a_key_may_have_so_many_schedules(
    api: Served, stage: Stage, key: NewApiKey, other: NewApiKey
) -> None:
    """Also those that another one has put before; what is there already may be replaced."""

    async def put(by: NewApiKey, name: str, priority: int = 0) -> httpx.Response:
        body = {"every": "PT1H", "task": {"name": "a task", "priority": priority}}
        return await api.http.put(f"/schedules/{name}", json=body, headers=shown(by))

    for number in range(MOST):
        assert (await put(key, f"mine-{number}")).status_code == 201
    assert is_exceeded(await put(key, "one-more"), "schedules")
    assert (await put(key, "mine-0", priority=5)).status_code == 200
    assert (await put(other, "theirs")).status_code == 201
    assert is_exceeded(await put(key, "theirs", priority=5), "schedules")
    await api.http.delete("/schedules/mine-0", headers=shown(key))
    assert (await put(key, "theirs", priority=5)).status_code == 200
    assert is_exceeded(await put(key, "one-more"), "schedules")
    large = await a_new_key(stage.database, "admin", name="large", quotas=("schedules=0",))
    for number in range(MOST + 1):
        assert (await put(large, f"large-{number}")).status_code == 201


async def test_the_limit_of_all_webhooks_is_named_when_that_is_reached(
    stage: Stage, key: NewApiKey
) -> None:
    webhooks = a_webhooks(stage.database, stage.ids, limit=1, quota=MOST)
    async with serving(stage.service, REQUIRED, webhooks=webhooks) as api:
        body = {"url": "https://a.test/hook"}
        assert (await api.post("/webhooks", body, headers=shown(key))).status_code == 201
        refused = await api.post("/webhooks", body, headers=shown(key))
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/webhook-limit-reached"


async def test_a_key_may_have_so_many_streams_open(
    api: Served, key: NewApiKey, other: NewApiKey
) -> None:
    async def opened(by: NewApiKey, until: AsyncExitStack) -> httpx.Response:
        return await until.enter_async_context(api.http.stream("GET", "/events", headers=shown(by)))

    async with AsyncExitStack() as streams:
        async with AsyncExitStack() as first:
            assert (await opened(key, first)).status_code == 200
            for _ in range(MOST - 1):
                assert (await opened(key, streams)).status_code == 200
            refused = await api.get("/events", headers=shown(key))
            assert is_exceeded(refused, "streams")
            assert refused.headers["retry-after"] == "5"
            assert (await opened(other, streams)).status_code == 200

        async def has_room() -> bool:
            return (await opened(key, streams)).status_code == 200

        await eventually(has_room, "a closed stream makes room")
        assert is_exceeded(await api.get("/events", headers=shown(key)), "streams")


async def test_a_key_may_have_quotas_of_its_own_which_a_rotated_one_shares(
    api: Served, stage: Stage
) -> None:
    old = await a_new_key(stage.database, "admin", name="small", quotas=("queues=1",))
    new = await api_keys.rotate(
        stage.owner_database, "small", environment="test", overlap=timedelta(hours=1)
    )
    assert new.key.draft.quotas == old.key.draft.quotas
    assert (await create(api, old, queue="a")).status_code == 201
    for either in (old, new):
        assert is_exceeded(await create(api, either, queue="b"), "queues", 1)


async def test_without_keys_there_are_no_quotas(stage: Stage) -> None:
    async with serving(stage.service, SETTINGS) as served:
        for number in range(2 * MOST):
            await served.create(queue=f"q{number}")


async def test_a_quota_that_only_a_later_release_knows_is_not_checked(
    api: Served, stage: Stage, key: NewApiKey
) -> None:
    await stage.sql.execute("UPDATE taskmill.api_key SET quotas = '{moons=1,queues=2}'")
    statuses: list[Any] = [
        (await create(api, key, queue=f"q{number}")).status_code for number in range(3)
    ]
    assert statuses == [201, 201, 409]
