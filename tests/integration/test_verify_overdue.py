"""What `verify` calls overdue: a task that a worker could have taken all the time that it waits."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from taskmill.domain.checks import Check
from taskmill.domain.lifecycle import Succeeded
from taskmill.domain.remote import LeaseRequest
from taskmill.storage import claims, remote_leases
from taskmill.storage.bucket_scan import BucketScan
from tests.support.builders import a_draft, an_end
from tests.support.stage import Stage
from tests.support.verifying import VerificationRecord, found_in, verification_of

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_AGED = timedelta(minutes=5)


async def age(stage: Stage, task_id: UUID, lease_id: UUID) -> None:
    """Make this task and this lease some minutes older."""
    await stage.sql.execute("ALTER TABLE taskmill.task DISABLE TRIGGER USER")
    for change in (
        "UPDATE taskmill.task SET updated_at = updated_at - $2::interval WHERE id = $1",
        "UPDATE taskmill.task_event SET at = at - $2::interval WHERE task_id = $1",
    ):
        await stage.sql.execute(change, task_id, _AGED)
    await age_lease(stage, lease_id)


async def age_lease(stage: Stage, lease_id: UUID) -> None:
    await stage.sql.execute(
        "UPDATE taskmill.lease SET started_at = started_at - $2::interval WHERE id = $1",
        lease_id,
        _AGED,
    )


async def test_a_lease_with_half_of_its_tasks_ended_takes_no_more(stage: Stage) -> None:
    await stage.creation.create_all([a_draft() for _ in range(2)])
    claimed = await remote_leases.claim(
        stage.database,
        stage.ids(),
        LeaseRequest(
            worker="w",
            queues=frozenset(),
            types=frozenset({"emulate"}),
            limit=2,
            ttl_s=600,
            wait_s=0,
        ),
        list(await BucketScan().scan(stage.database)),
    )
    assert claimed is not None
    lease_id = claimed.lease.id
    end = an_end(claimed.taken[0], lease_id, Succeeded(result=None))
    await claims.end(stage.database, [end], worker="w")
    await remote_leases.settle(stage.database, [lease_id], "done")
    waiting = await stage.created(run_at=_LONG_AGO)
    await age(stage, waiting.id, lease_id)
    assert await found_in(stage.database) == {}


async def test_a_new_task_is_not_overdue_whatever_its_due_time(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    waiting = await stage.created(run_at=_LONG_AGO)
    await age_lease(stage, lease_id)
    assert await found_in(stage.database) == {}
    await age(stage, waiting.id, lease_id)
    record = VerificationRecord()
    await verification_of(stage.database, record)
    [finding] = record.findings
    assert finding.check is Check.TASK_OVERDUE
    assert finding.found.startswith("due for 30"), "since it came, not since its due time"


@pytest.mark.parametrize("at_once", [1, 3, 4, 5, 1000])
async def test_every_overdue_bucket_is_found_a_bounded_number_at_a_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("taskmill.operations.verify._BUCKETS_AT_ONCE", at_once)
    lease_id = await stage.open_lease()
    waiting = [await stage.created(queue=f"q{n % 2}", type=f"t{n}", priority=n) for n in range(4)]
    for task in (waiting[0], waiting[2], waiting[3]):
        await age(stage, task.id, lease_id)
    await stage.sql.execute("UPDATE taskmill.dispatch SET run_at = run_at - interval '1 hour'")
    record = VerificationRecord()
    await verification_of(stage.database, record)
    found = [finding.task_id for finding in record.findings if finding.check is Check.TASK_OVERDUE]
    assert sorted(map(str, found)) == sorted(str(waiting[n].id) for n in (0, 2, 3))


async def test_a_claim_counts_the_wait_from_the_tasks_creation(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, run_at=_LONG_AGO)
    assert 0 <= taken.waited_s < 60
