"""What goes before a waiting task: taken slots and more urgent tasks, counted within limits."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.storage import explain_snapshot, leases
from taskmill.storage.leases import WorkerProfile
from tests.support.api import Served
from tests.support.builders import a_draft
from tests.support.dispatching import Recorder
from tests.support.explanations import explained, facts_of, holding
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker


async def a_lease(stage: Stage, *, slots: int = 100, types: str = "*", **parts: Any) -> UUID:  # noqa: ANN401 - the card's fields
    """Open a lease for a minute."""
    lease_id = stage.ids()
    card = WorkerProfile(
        name=parts.get("name", "node-1"),
        queues=parts.get("queues", ()),
        types=types.split(","),
        slots=slots,
    )
    async with stage.database.hot() as connection:
        await leases.open_lease(connection, lease_id, card, ttl_s=60)
    return lease_id


async def test_taken_slots_are_reported_as_they_are_now(api: Served, stage: Stage) -> None:
    recorder = Recorder()
    async with a_worker(stage, {"emulate": recorder.held}, WorkerOptions(slots=1, ttl_s=60)):
        await api.create()
        await recorder.has_begun(1)
        task = await api.create()
        explanation = await explained(api, task["id"])
        assert holding(explanation) == ["no_free_slot"]
        assert facts_of(explanation, "no_free_slot") == {
            "slots": 1,
            "running": 1,
            "is_counted": True,
        }
        # The lease's row has the state of its last renewal.
        assert await stage.sql.fetchval("SELECT running FROM taskmill.lease") == 0
        recorder.may_end.set()


async def test_more_running_tasks_than_are_counted_are_taken_from_the_workers(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_snapshot, "_MOST_RUNNING", 2)
    lease_id = await stage.open_lease()
    await stage.running(lease_id)
    await stage.running(lease_id)
    await stage.sql.execute("UPDATE taskmill.lease SET running = slots")
    task = await stage.created()
    facts = facts_of(await explained(api, task.id), "no_free_slot")
    assert facts == {"slots": 100, "running": 100, "is_counted": False}


async def test_more_urgent_tasks_are_counted_and_no_others(api: Served, stage: Stage) -> None:
    await a_lease(stage, slots=3, types="emulate,report")
    for parts in (
        {"priority": 9},
        {"priority": 5, "type": "report"},
        {"priority": 4},
        {"priority": 4, "type": "report"},
    ):
        await stage.created(**parts)
    task = await stage.created(priority=4)
    for parts in (
        {"priority": 4},
        {"priority": 3},
        {"priority": 9, "type": "elsewhere"},
        {"priority": 9, "queue": "other"},
        {"priority": 9, "run_at": stage.clock.now() + timedelta(minutes=1)},
    ):
        await stage.created(**parts)
    explanation = await explained(api, task.id)
    assert holding(explanation) == ["tasks_ahead"]
    facts = facts_of(explanation, "tasks_ahead")
    assert (facts["ahead"], facts["is_more"], facts["free_slots"]) == (4, False, 3)
    assert (facts["claimed_per_second"], facts["about_s"]) == (0, None)
    first = await stage.service.page(TaskFilter(), PageRequest(oldest_first=True, limit=1))
    assert facts_of(await explained(api, first.items[0].id), "tasks_ahead")["ahead"] == 0


async def test_counting_ends_at_a_limit_and_shows_that(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_snapshot, "MOST_AHEAD", 5)
    await a_lease(stage, slots=2)
    await stage.creation.create_all([a_draft(priority=n % 10) for n in range(20)])
    task = await stage.created(priority=0)
    facts = facts_of(await explained(api, task.id), "tasks_ahead")
    assert (facts["ahead"], facts["is_more"]) == (5, True)
    monkeypatch.setattr(explain_snapshot, "MOST_AHEAD", 1000)
    monkeypatch.setattr(explain_snapshot, "_MOST_BUCKETS", 3)
    facts = facts_of(await explained(api, task.id), "tasks_ahead")
    assert (facts["ahead"], facts["is_more"]) == (6, True)


async def test_a_count_that_takes_too_long_is_abandoned(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_snapshot, "MOST_AHEAD", 1_000_000)
    monkeypatch.setattr(explain_snapshot, "_LIMIT_TIME", "SET LOCAL statement_timeout = '2ms'")
    await a_lease(stage)
    task = await stage.created()
    await stage.sql.execute("""
        INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
        SELECT gen_random_uuid(), 'default', 'emulate', 9, now() FROM generate_series(1, 100000)
    """)
    explanation = await explained(api, task.id)
    assert holding(explanation) == ["tasks_ahead"]
    assert facts_of(explanation, "tasks_ahead")["ahead"] is None
    assert "than could be counted in time" in explanation["summary"]
