"""Why a task in progress does not end: it runs, or its lease has ended and nobody has taken it back yet."""

from datetime import datetime, timedelta

from taskmill.maintenance.rescue import Rescue
from taskmill.storage import leases
from tests.support.api import Served
from tests.support.dispatching import Recorder
from tests.support.explanations import explained, facts_of, holding
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker


async def age_leases(stage: Stage, seconds: float) -> None:
    """Make all leases older."""
    await stage.sql.execute(
        "UPDATE taskmill.lease SET renewed_at = renewed_at - $1::interval,"
        " expires_at = expires_at - $1::interval",
        timedelta(seconds=seconds),
    )


async def rescued(stage: Stage) -> None:
    """Do what maintenance does once it has seen the database available for long enough."""
    rescue = Rescue(
        stage.maintenance_database, ttl_s=0, interval_s=1, name="rescue@test", clock=stage.clock
    )
    await rescue()
    await rescue()


async def test_a_task_that_runs_names_its_worker_and_its_lease(api: Served, stage: Stage) -> None:
    recorder = Recorder()
    options = WorkerOptions(name="node-7")
    async with a_worker(stage, {"emulate": recorder.held}, options) as worker:
        task = await api.create(max_attempts=3, timeout_s=600)
        await recorder.has_begun(1)
        explanation = await explained(api, task["id"])
        assert holding(explanation) == ["running"]
        facts = facts_of(explanation, "running")
        assert (facts["worker"], facts["attempt"], facts["max_attempts"]) == ("node-7", 1, 3)
        assert facts["lease_id"] == str(worker.keeper.lease_id)
        started = (await api.get(f"/tasks/{task['id']}")).json()["started_at"]
        assert facts["started_at"] == started
        timeout_at = datetime.fromisoformat(facts["timeout_at"])
        assert timeout_at - datetime.fromisoformat(started) == timedelta(seconds=600)
        assert facts["heartbeat_at"] <= explanation["at"] < facts["lease_expires_at"]
        assert facts["cancel_requested_at"] is None
        recorder.may_end.set()


async def test_a_running_task_with_a_requested_cancel_shows_since_when(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    assert (await api.post(f"/tasks/{taken.task.id}/cancel")).status_code == 202
    explanation = await explained(api, taken.task.id)
    facts = facts_of(explanation, "running")
    requested = (await stage.service.reading.events(taken.task.id))[-1]
    assert facts["cancel_requested"] is True
    assert datetime.fromisoformat(facts["cancel_requested_at"]) == requested.at
    assert "asked to stop" in explanation["summary"]


async def test_a_worker_that_fell_silent_is_reported_until_its_task_is_taken_back(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease(ttl_s=60, worker="node-3")
    taken = await stage.running(lease_id, max_losses=1)
    await age_leases(stage, 61)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["lease_ended"]
    facts = facts_of(explanation, "lease_ended")
    assert (facts["lease"], facts["worker"], facts["next_status"]) == ("expired", "node-3", "new")
    await leases.close_expired(stage.maintenance_database)
    facts = facts_of(await explained(api, taken.task.id), "lease_ended")
    assert (facts["lease"], facts["close_reason"]) == ("closed", "expired")
    await rescued(stage)
    assert holding(await explained(api, taken.task.id)) == ["no_worker"]


async def test_a_task_of_a_lease_that_is_gone_waits_for_its_rescue(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    await stage.sql.execute("DELETE FROM taskmill.lease")
    explanation = await explained(api, taken.task.id)
    assert facts_of(explanation, "lease_ended")["lease"] == "missing"
    assert holding(explanation) == ["lease_ended"]


async def test_a_rescue_that_does_not_come_means_that_maintenance_is_away(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease(ttl_s=60)
    taken = await stage.running(lease_id)
    await age_leases(stage, 200)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["lease_ended", "maintenance_away"]
    assert "taskmill run maintenance" in explanation["todo"]
    facts = facts_of(explanation, "maintenance_away")
    assert facts["leases_to_close"] == 1
    since = datetime.fromisoformat(explanation["at"]) - datetime.fromisoformat(
        facts["overdue_since"]
    )
    # 200 s less what was left of the lease, its time to live again, and 10 s.
    assert timedelta(seconds=65) < since < timedelta(seconds=100)
    await rescued(stage)
    assert holding(await explained(api, taken.task.id)) == ["no_worker"]
