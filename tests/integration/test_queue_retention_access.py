"""Who may change how long a queue keeps its ended tasks, where API keys are required."""

from collections.abc import AsyncIterator

import pytest

from taskmill.domain.retention import LONGEST_KEEP
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.stage import Stage


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def test_only_an_admin_changes_how_long_a_queue_keeps_tasks(
    required: Served, stage: Stage
) -> None:
    """It deletes what can't be had back, and a long time keeps weeks of all queues."""
    operator = await a_new_key(stage.database, "tasks:operate")
    for body in ({"keep": "PT1H"}, {"keep": None}, {"keep": "PT1H", "paused": True}):
        refused = await required.http.patch("/queues/brief", json=body, headers=shown(operator))
        assert (refused.status_code, refused.json()["scope"]) == (403, "admin")
    assert await stage.service.queues() == []
    admin = await a_new_key(stage.database, "admin")
    kept = await required.http.patch("/queues/brief", json={"keep": "PT1H"}, headers=shown(admin))
    assert kept.json()["keep"] == "PT1H"
    paused = await required.http.patch(
        "/queues/brief", json={"paused": True}, headers=shown(operator)
    )
    assert (paused.json()["paused"], paused.json()["keep"]) == (True, "PT1H")


async def test_only_an_admin_deletes_a_queue_that_has_a_time(
    required: Served, stage: Stage
) -> None:
    """Without its time the tasks that it keeps for longer would go."""
    await stage.service.set_queue_keep("orders", LONGEST_KEEP)
    await stage.service.set_queue_paused("mail", paused=True)
    operator = shown(await a_new_key(stage.database, "tasks:operate"))
    refused = await required.http.delete("/queues/orders", headers=operator)
    assert (refused.status_code, refused.json()["scope"]) == (403, "admin")
    assert (await required.http.delete("/queues/mail", headers=operator)).status_code == 204
    admin = shown(await a_new_key(stage.database, "admin"))
    assert (await required.http.delete("/queues/orders", headers=admin)).status_code == 204
    assert await stage.service.queues() == []
