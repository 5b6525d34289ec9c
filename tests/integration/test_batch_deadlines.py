"""How long an array of tasks may take, and what its 503 says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from taskmill.settings import DatabaseSettings, LimitSettings, Settings
from tests.support.api import Served, serving
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_stage

HASTY = Settings(limits=LimitSettings(request_timeout_s=0.5))
SHORT = DatabaseSettings(pool_size=4, listing_pool_size=1, statement_timeout_s=0.5)
COUNT = 2_000


@pytest.fixture
async def short_stage(stage_url: str) -> AsyncIterator[Stage]:
    """ProcessContext of a process whose statements are given little time."""
    async with a_stage(stage_url, SHORT) as stage:
        yield stage


@asynccontextmanager
async def locked(stage: Stage) -> AsyncIterator[None]:
    """Hold up whatever creates tasks."""
    async with stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task IN SHARE MODE")
        yield


def keyed(number: int) -> dict[str, str]:
    return {"name": "a", "idempotency_key": f"key {number}"}


async def test_a_large_array_has_longer_than_a_task(short_stage: Stage) -> None:
    await short_stage.created()
    async with serving(short_stage.service, HASTY) as served, asyncio.TaskGroup() as group:
        async with locked(short_stage):
            tasks = [{"name": "a"}] * COUNT
            large = group.create_task(served.post("/tasks/batch", tasks))
            assert (await served.post("/tasks", {"name": "a"})).status_code == 503
            await asyncio.sleep(0.8)  # the wait itself is what is tested: longer than both limits
        response = await large
        assert (response.status_code, len(response.json()["ids"])) == (201, COUNT)
    await assert_safe(short_stage.sql)


async def refused(served: Served, stage: Stage, tasks: list[dict[str, str]]) -> httpx.Response:
    async with locked(stage):
        response = await served.post("/tasks/batch", tasks)
    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
    assert response.headers["retry-after"] == "1"
    assert "the batch may have been stored" in response.json()["detail"]
    return response


@pytest.mark.parametrize("is_short", [True, False])
async def test_a_batch_that_is_given_up_says_how_to_go_on(
    stage_url: str, *, is_short: bool
) -> None:
    """Whether the request's time is over first or the statement's."""
    settings = SHORT if is_short else DatabaseSettings(pool_size=4, listing_pool_size=1)
    limits = LimitSettings(request_timeout_s=5 if is_short else 0.5)
    async with (
        a_stage(stage_url, settings) as stage,
        serving(stage.service, Settings(limits=limits)) as served,
    ):
        await stage.created()
        with_keys = [keyed(number) for number in range(3)]
        response = await refused(served, stage, with_keys)
        assert "send the same request again" in response.json()["detail"]
        again = await served.post("/tasks/batch", with_keys)
        assert again.status_code == 201
        assert (await served.post("/tasks/batch", with_keys)).json() == again.json()
        response = await refused(served, stage, [*with_keys, {"name": "without a key"}])
        assert "GET /tasks?created_after=" in response.json()["detail"]
        assert "send the same request again" not in response.json()["detail"]
        assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") in {4, 5}
        await assert_safe(stage.sql)
