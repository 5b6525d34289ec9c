"""The tasks of a lost worker are recorded with its lease."""

from uuid import UUID

from taskmill.domain.task import Fence
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import leases
from tests.support.api import Served
from tests.support.stage import Stage


async def rescue(stage: Stage) -> None:
    """Do rounds until expired leases are closed, and their tasks are taken back."""
    one = Rescue(
        stage.maintenance_database, ttl_s=0, interval_s=1, name="rescue@test", clock=stage.clock
    )
    for _ in range(2):
        await one()


async def a_lost_worker(stage: Stage, tasks: int) -> tuple[UUID, list[UUID]]:
    """Return the lease of a worker that stopped renewing it, and the tasks that it ran."""
    lease = await stage.open_lease(worker="lost-1")
    ids = [(await stage.running(lease, max_losses=3)).task.id for _ in range(tasks)]
    await stage.sql.execute(
        "UPDATE taskmill.lease SET expires_at = now() - interval '1 s' WHERE id = $1", lease
    )
    return lease, ids


async def test_a_lost_worker_is_listed_with_what_it_ran(stage: Stage, api: Served) -> None:
    lease, ids = await a_lost_worker(stage, 3)
    await rescue(stage)
    [worker] = await stage.service.workers(only=lease)
    assert worker.is_lost
    assert worker.lost_tasks == 3
    assert [task.id for task in await stage.service.lost_tasks(lease)] == sorted(ids)
    [listed] = (await api.get("/workers")).json()["items"]
    assert (listed["state"], listed["close_reason"], listed["lost_tasks"]) == (
        "closed",
        "expired",
        3,
    )


async def test_a_worker_that_stopped_gracefully_has_lost_nothing(stage: Stage) -> None:
    lease = await stage.open_lease()
    await leases.close_lease(stage.database, lease, "stopped")
    [worker] = await stage.service.workers(only=lease)
    assert (worker.is_lost, worker.lost_tasks) == (False, 0)
    assert await stage.service.lost_tasks(lease) == []


async def test_lost_tasks_are_recorded_once_and_up_to_a_limit(stage: Stage) -> None:
    lease, ids = await a_lost_worker(stage, 1)
    fence = Fence(task_id=ids[0], lease_id=lease, claim_no=1)
    for _ in range(2):
        await leases.record_lost(stage.database, [fence, fence])
    assert await leases.find_lost(stage.database, lease) == ids
    many = [Fence(task_id=stage.ids(), lease_id=lease, claim_no=1) for _ in range(1100)]
    await leases.record_lost(stage.database, many)
    found = await leases.find_lost(stage.database, lease)
    assert (len(found), found[0]) == (1000, ids[0])


async def test_no_more_slots_are_in_use_than_there_are(stage: Stage, api: Served) -> None:
    """While ends are written down more tasks are in progress than a worker has slots."""
    lease = await stage.open_lease()
    for _ in range(3):
        await stage.running(lease)
    await stage.sql.execute("UPDATE taskmill.lease SET slots = 2")
    stats = (await api.get("/stats")).json()
    assert (stats["running"], stats["slots"], stats["by_status"]["in_progress"]) == (2, 2, 3)
    [worker] = (await api.get("/workers")).json()["items"]
    assert (worker["running"], worker["slots"]) == (2, 2)
