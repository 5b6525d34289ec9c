"""Tasks whose due time is long past when they are created: they are due at once, and have not waited for years."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.domain.lifecycle import Failed
from taskmill.storage import figures
from taskmill.storage.bucket_scan import BucketScan
from tests.support.api import Served
from tests.support.builders import ERROR
from tests.support.stage import Stage

LONG_AGO = "2001-01-01T00:00:00Z"


async def test_a_task_waits_from_its_creation(api: Served, stage: Stage) -> None:
    task = await api.create(run_at=LONG_AGO)
    assert task["run_at"] == "2001-01-01T00:00:00.000000Z"
    [queue] = (await api.get("/queues")).json()["items"]
    made, since = (
        datetime.fromisoformat(text) for text in (task["created_at"], queue["oldest_due_at"])
    )
    assert abs(since - made) < timedelta(milliseconds=2)
    [figure] = (await figures.read(stage.database)).queues
    assert 0 <= figure.oldest_due_s < 60
    [first] = (await BucketScan().scan(stage.database)).values()
    # A worker without hints claims by itself what has been overdue for seconds.
    assert -60 < first.due_in_s <= 0
    assert first.run_at == datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_other_tasks_wait_from_their_due_time(stage: Stage, hours: int) -> None:
    """One that was made long ago, and one that comes later."""
    task = await stage.created()
    await stage.sql.execute("SET session_replication_role = replica")
    due = task.created_at + timedelta(hours=hours)
    old = "01970000-0000-7000-8000-000000000001" if hours < 0 else str(task.id)
    await stage.sql.execute("UPDATE taskmill.dispatch SET run_at = $1, task_id = $2", due, old)
    [first] = (await BucketScan().scan(stage.database)).values()
    assert first.due_in_s == pytest.approx(hours * 3600, abs=60)
    [figure] = (await figures.read(stage.database)).queues
    assert figure.oldest_due_s == pytest.approx(3600 if hours < 0 else 0, abs=60)


async def test_a_task_from_a_clock_that_is_ahead_is_due_and_has_not_waited(stage: Stage) -> None:
    """Its id tells a time that has not come, here one that no calendar has."""
    await stage.created()
    await stage.sql.execute("SET session_replication_role = replica")
    ahead = "ffffffff-ffff-7000-8000-000000000001"
    await stage.sql.execute("UPDATE taskmill.dispatch SET task_id = $1", ahead)
    [first] = (await BucketScan().scan(stage.database)).values()
    assert -60 < first.due_in_s <= 0
    [figure] = (await figures.read(stage.database)).queues
    assert 0 <= figure.oldest_due_s < 60


async def test_an_attempt_that_is_due_again_waits_since_then(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=2)
    ended = await stage.end(taken, lease, Failed(error=ERROR))
    assert ended is not None
    [first] = (await BucketScan().scan(stage.database)).values()
    assert first.run_at == ended.run_at
    assert first.due_in_s > -60
