"""How fast a queue is worked off, and what that says of a task's place in line."""

import pytest

from taskmill.domain.lifecycle import Succeeded
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.storage import rates
from tests.support.api import Served
from tests.support.builders import a_draft
from tests.support.stage import Stage


async def test_rates_are_of_a_queue_or_of_one_of_its_types(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    drafts = [a_draft(queue=q, type=t) for q in ("a", "b") for t in ("x", "y", "y")]
    await stage.service.create_all(drafts)
    assert await rates.claimed_per_second(stage.database, "a") == 0.0
    await stage.take(lease_id)
    whole = await rates.claimed_per_second(stage.database, "a", over_s=60)
    part = await rates.claimed_per_second(stage.database, "a", "y", over_s=60)
    assert whole * 60 == pytest.approx(3)
    assert part * 60 == pytest.approx(2)
    assert await rates.claimed_per_second(stage.database, "c") == 0.0


async def test_a_task_behind_many_says_how_long_that_takes(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    await stage.service.create_all([a_draft() for _ in range(61)])
    taken = await stage.take(lease_id, 30)
    for one in taken:
        await stage.end(one, lease_id, Succeeded())
    last = await stage.service.page(TaskFilter(), PageRequest(limit=1))
    await stage.sql.execute("UPDATE taskmill.lease SET slots = 10")
    answer = (await api.get(f"/tasks/{last.items[0].id}/explain")).json()
    assert answer["gate"] == "tasks_ahead"
    [facts] = [gate["facts"] for gate in answer["gates"] if gate["gate"] == "tasks_ahead"]
    assert facts["ahead"] == 30
    assert facts["claimed_per_second"] > 0
    assert facts["about_s"] == pytest.approx(30 / facts["claimed_per_second"], rel=0.1)
    assert "a second that takes about" in answer["summary"]
