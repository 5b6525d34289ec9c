"""Rows of `running` that do not go with their tasks keep no other task, and no task runs twice by them."""

import pytest

from taskmill.domain.errors import TransitionRefused
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import leases
from tests.support.api import LogLines
from tests.support.stage import Stage


@pytest.mark.parametrize("others", [0, 2])
async def test_a_task_that_can_not_be_taken_back_keeps_no_other_one(
    stage: Stage, log_lines: LogLines, others: int
) -> None:
    lease = await stage.open_lease()
    bad, *good = [(await stage.running(lease, max_losses=3)).task.id for _ in range(1 + others)]
    await stage.sql.execute("SET session_replication_role = replica")
    # Its claim does not come after that of its row.
    await stage.sql.execute("UPDATE taskmill.task SET claim_no = 7 WHERE id = $1", bad)
    await leases.close_lease(stage.database, lease, "stopped")
    rescue = Rescue(
        stage.maintenance_database, ttl_s=15, interval_s=1, name="rescue", clock=stage.clock
    )
    await rescue()
    assert [(await stage.task(one)).status for one in good] == [Status.NEW] * others
    assert (await stage.task(bad)).status is Status.IN_PROGRESS
    [line] = log_lines.named("task.stranded")
    assert (line["task_id"], line["claim_no"]) == (str(bad), 1)
    assert "may not go from" in line["error"]


async def test_a_task_that_ended_and_is_still_in_running_is_not_run_again(stage: Stage) -> None:
    lease = await stage.open_lease()
    bad, good = [await stage.running(lease) for _ in range(2)]
    for one in (bad, good):
        assert await stage.end(one, lease, Succeeded())
    await stage.sql.execute(
        """
        INSERT INTO taskmill.running (
            task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by
        )
        VALUES ($1, $2, 1, 1, 2, 'default', 1, 0, now(), 'w')
        """,
        bad.task.id,
        lease,
    )
    with pytest.raises(TransitionRefused):
        await stage.service.retry(bad.task.id)
    step = await stage.service.sweep(Sweep.RETRY, TaskFilter(), None, dry_run=False)
    assert step.changed == 1
    assert (await stage.task(bad.task.id)).status is Status.SUCCEEDED
    assert (await stage.task(good.task.id)).status is Status.NEW
