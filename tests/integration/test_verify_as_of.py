"""A database is verified as of the moment to which it was restored: what is later, and how old things were."""

from datetime import datetime, timedelta
from uuid import UUID

from taskmill.domain.checks import Check
from tests.integration.test_verify_overdue import age
from tests.support.stage import Stage
from tests.support.verifying import KEEP_CHANGES, VerificationRecord, verification_of

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
AGO = HOUR


async def counts(stage: Stage, as_of: datetime | None) -> dict[Check, int]:
    return dict((await verification_of(stage.database, as_of=as_of)).counts)


async def make_older(stage: Stage, task_id: UUID) -> None:
    """Have this task and its history be an hour older."""
    await stage.sql.execute("ALTER TABLE taskmill.task DISABLE TRIGGER USER")
    for change in (
        "UPDATE taskmill.task SET updated_at = updated_at - $2::interval WHERE id = $1",
        "UPDATE taskmill.task_event SET at = at - $2::interval WHERE task_id = $1",
    ):
        await stage.sql.execute(change, task_id, AGO)


async def test_each_change_after_the_moment_is_found(stage: Stage) -> None:
    before, task = await stage.created(), await stage.created()
    await stage.service.cancel(task.id)
    await make_older(stage, before.id)
    moment = task.created_at - MINUTE
    record = VerificationRecord()
    await verification_of(stage.database, record, as_of=moment)
    later = [(one.task_id, one.version) for one in record.findings]
    assert later == [(task.id, 1), (task.id, 2)]
    assert {one.check for one in record.findings} == {Check.AFTER_MOMENT}
    assert await counts(stage, task.created_at + MINUTE) == {}


async def test_what_waited_for_its_position_then_is_no_warning_now(stage: Stage) -> None:
    created = await stage.created()
    await make_older(stage, created.id)
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = at - $1::interval", AGO)
    assert await counts(stage, None) == {Check.CHANGES_UNNUMBERED: 1}
    assert await counts(stage, created.created_at - AGO + MINUTE) == {}


async def test_a_lease_that_had_not_run_out_then_is_no_warning_now(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    await stage.sql.execute(
        "UPDATE taskmill.lease SET expires_at = $1", taken.task.created_at + 5 * MINUTE
    )
    moment = taken.task.created_at + 8 * MINUTE
    assert Check.LEASE_OVER in await counts(stage, moment)
    assert Check.LEASE_OVER not in await counts(stage, moment - 4 * MINUTE)


async def test_the_feed_has_to_be_complete_for_its_time_until_then(stage: Stage) -> None:
    """What has been too old for the feed since was in it then."""
    task = await stage.created()
    await stage.sql.execute("DELETE FROM taskmill.change_batch")
    assert Check.CHANGE_MISSING in await counts(stage, task.created_at + KEEP_CHANGES - 3 * HOUR)
    assert await counts(stage, task.created_at + KEEP_CHANGES) == {}


async def test_what_was_not_overdue_then_is_no_warning_now(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    waiting = await stage.created()
    await stage.sql.execute("UPDATE taskmill.dispatch SET run_at = run_at - $1::interval", AGO)
    await stage.sql.execute("ALTER TABLE taskmill.task DISABLE TRIGGER USER")
    await stage.sql.execute("UPDATE taskmill.task SET run_at = run_at - $1::interval", AGO)
    await age(stage, waiting.id, lease_id)
    assert Check.TASK_OVERDUE in await counts(stage, None)
    five_minutes_ago = waiting.created_at - timedelta(minutes=5) + timedelta(seconds=30)
    assert Check.TASK_OVERDUE not in await counts(stage, five_minutes_ago)
