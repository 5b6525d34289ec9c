"""Progress of running tasks: stored in batches, under the fence, and shown with the task."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Failed, Succeeded
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.domain.task import Fence, Progress
from taskmill.operations.progress import LONGEST_MESSAGE, ProgressReports
from taskmill.settings import DatabaseSettings
from taskmill.storage import partitions, progress
from taskmill.storage.claims import TakenTask
from taskmill.storage.database import Database
from taskmill.storage.weeks import Week
from tests.support.builders import AT_ONCE, ERROR, a_fence
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.verifying import found_in


@pytest.fixture
async def reports(stage: Stage) -> AsyncIterator[ProgressReports]:
    async with ProgressReports(stage.database) as entered:
        yield entered


async def shown(stage: Stage, fence: Fence) -> tuple[float | None, str | None] | None:
    """Return the progress that a reader sees."""
    found = (await stage.task(fence.task_id)).progress
    return None if found is None else (found.share, found.message)


async def a_claim(stage: Stage, **parts: object) -> tuple[TakenTask, Fence]:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, **parts)
    return taken, a_fence(taken, lease_id)


async def test_a_task_shows_its_latest_progress(stage: Stage, reports: ProgressReports) -> None:
    _, fence = await a_claim(stage)
    assert await shown(stage, fence) is None
    assert await reports.store(fence, 0.25, "a quarter")
    assert await shown(stage, fence) == (0.25, "a quarter")
    assert await reports.store(fence, 0.5)
    assert await shown(stage, fence) == (0.5, None), "a report replaces all of the one before"
    page = await stage.service.page(TaskFilter(), PageRequest())
    assert [task.progress and task.progress.share for task in page.items] == [0.5]


async def test_reports_from_threads_are_written_soon_and_only_the_last_counts(
    stage: Stage, reports: ProgressReports
) -> None:
    claims = [await a_claim(stage) for _ in range(3)]

    def chatter() -> None:
        for step in range(1, 1001):
            for _, fence in claims:
                reports.report(fence, step / 1000, f"step {step}")

    thread = threading.Thread(target=chatter)
    thread.start()
    for _, fence in claims:

        async def is_last(fence: Fence = fence) -> bool:
            return await shown(stage, fence) == (1.0, "step 1000")

        await eventually(is_last, "the last report")
    thread.join()
    written = await stage.sql.fetchval("SELECT max(serial) FROM taskmill.task_progress")
    assert written <= 100, "most of 1,000 reports cost nothing"


async def test_reports_of_handlers_are_normalised(stage: Stage, reports: ProgressReports) -> None:
    _, fence = await a_claim(stage)
    reports.report(fence, 7, "\x00 and \ud800 and " + "long " * 200)
    await reports.settle(fence)
    found = await shown(stage, fence)
    assert found is not None
    share, message = found
    assert share == 1.0
    assert message is not None
    assert message.startswith("\\x00 and \\ud800 and long")
    assert len(message) <= LONGEST_MESSAGE + 16
    reports.report(fence, float("nan"), "who knows")
    await reports.settle(fence)
    assert await shown(stage, fence) == (None, "who knows")


async def test_settling_writes_before_the_claim_ends(
    stage: Stage, reports: ProgressReports
) -> None:
    taken, fence = await a_claim(stage)
    await reports.settle(fence)
    reports.report(fence, 0.9, "nearly")
    await reports.settle(fence)
    assert await stage.end(taken, fence.lease_id, Failed(error=ERROR))
    assert await shown(stage, fence) == (0.9, "nearly"), "the end keeps it"


async def test_a_stale_fence_changes_nothing(stage: Stage, reports: ProgressReports) -> None:
    taken, fence = await a_claim(stage, max_attempts=2, retry=AT_ONCE)
    await reports.store(fence, 0.5, "first")
    assert await stage.end(taken, fence.lease_id, Failed(error=ERROR))
    assert not await reports.store(fence, 0.6, "too late")
    lease_id = await stage.open_lease()

    async def check() -> list[TakenTask]:
        return await stage.take(lease_id)

    assert await shown(stage, fence) == (0.5, "first"), "until the next attempt begins"
    [again] = await eventually(check, "the next attempt")
    assert await shown(stage, fence) is None
    second = a_fence(again, lease_id)
    assert await reports.store(second, 0.1, "second")
    assert not await reports.store(fence, 0.7, "much too late")
    other = Fence(task_id=second.task_id, lease_id=fence.lease_id, claim_no=second.claim_no)
    assert not await reports.store(other, 0.7, "of another's lease")
    assert await shown(stage, second) == (0.1, "second")


async def test_reports_in_one_batch_are_checked_by_their_own_fences(
    stage: Stage, reports: ProgressReports
) -> None:
    _, fence = await a_claim(stage)
    other = Fence(task_id=fence.task_id, lease_id=uuid4(), claim_no=fence.claim_no)
    for first, second in ((fence, other), (other, fence)):
        async with asyncio.TaskGroup() as group:
            results = {
                one: group.create_task(reports.store(one, 0.5, str(one.lease_id)))
                for one in (first, second)
            }
        assert {one: task.result() for one, task in results.items()} == {fence: True, other: False}
        found = await shown(stage, fence)
        assert found is not None
        assert found[1] == str(fence.lease_id)


async def test_the_serial_grows_through_all_claims(stage: Stage, reports: ProgressReports) -> None:
    taken, fence = await a_claim(stage)
    serials = []
    for share in (0.1, 0.2):
        await reports.store(fence, share)
        serials.append((await stage.task(fence.task_id)).progress)
    assert [found and found.serial for found in serials] == [1, 2]
    await stage.end(taken, fence.lease_id, Succeeded())
    await stage.service.retry(fence.task_id)
    assert (await stage.task(fence.task_id)).progress is None, "it was of the run before"
    lease_id = await stage.open_lease()

    async def check() -> list[TakenTask]:
        return await stage.take(lease_id)

    [again] = await eventually(check, "the next run")
    await reports.store(a_fence(again, lease_id), 0.3)
    found = (await stage.task(fence.task_id)).progress
    assert isinstance(found, Progress)
    assert (found.serial, found.share) == (3, 0.3)
    assert await found_in(stage.database) == {}


async def test_a_late_batch_never_replaces_the_report_of_a_later_claim(stage: Stage) -> None:
    taken, fence = await a_claim(stage, max_attempts=2, retry=AT_ONCE)
    await stage.sql.execute(
        "INSERT INTO taskmill.task_progress (task_id, claim_no, share) VALUES ($1, 2, 0.7)",
        taken.task.id,
    )
    await progress.store(stage.database, [progress.Report(fence=fence, share=0.1)])
    row = await stage.sql.fetchrow("SELECT claim_no, share FROM taskmill.task_progress")
    assert tuple(row or ()) == (2, 0.7)


async def test_reports_survive_an_outage_and_waiting_callers_get_an_error(
    stage: Stage, reports: ProgressReports
) -> None:
    _, fence = await a_claim(stage)
    await stage.sql.execute("ALTER TABLE taskmill.task_progress RENAME TO gone")
    # A missing table is no outage: what it refuses is given up.
    reports.report(fence, 0.1)
    await reports.settle(fence)
    await stage.sql.execute("ALTER TABLE taskmill.gone RENAME TO task_progress")
    away = Database("postgresql://nobody@127.0.0.1:1/none", DatabaseSettings(connect_timeout_s=0.2))
    reports._database, there = away, reports._database
    with pytest.raises(Unavailable):
        await reports.store(fence, 0.2)
    reports.report(fence, 0.4, "meanwhile")
    await reports.settle(fence)
    reports._database = there

    async def is_retained() -> bool:
        return await shown(stage, fence) == (0.4, "meanwhile")

    await eventually(is_retained, "the report to be stored after all")
    await away.close()


async def refused(reports: ProgressReports) -> None:
    with pytest.raises(Unavailable):
        await reports.store(Fence(task_id=uuid4(), lease_id=uuid4(), claim_no=1), 0.1)


async def test_refused_reports_do_not_pile_up_in_an_outage(
    stage: Stage, reports: ProgressReports
) -> None:
    _, fence = await a_claim(stage)
    away = Database("postgresql://nobody@127.0.0.1:1/none", DatabaseSettings(connect_timeout_s=0.2))
    reports._database, there = away, reports._database
    reports.report(fence, 0.3, "of a handler")
    for _ in range(3):
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(refused(reports))
        assert set(reports._waiting) <= {fence}
    reports._database = there

    async def is_retained() -> bool:
        return await shown(stage, fence) == (0.3, "of a handler")

    await eventually(is_retained, "the handler's report to be stored after all")
    await away.close()


async def test_leaving_writes_what_waits(stage: Stage) -> None:
    _, fence = await a_claim(stage)
    async with ProgressReports(stage.database) as reports:
        reports.report(fence, 0.1)
        await asyncio.sleep(0)
        reports.report(fence, 0.8, "last words")
    assert await shown(stage, fence) == (0.8, "last words")


async def test_progress_of_dropped_weeks_is_removed_and_no_other(
    stage: Stage, reports: ProgressReports
) -> None:
    now = stage.clock.now()
    _, fence = await a_claim(stage)
    await reports.store(fence, 0.5)
    weeks = [Week.of(now).later(-offset) for offset in (30, 20, 10)]
    await partitions.ensure(stage.database, weeks[1].start + timedelta(weeks=1))
    ids = [week.bounds[0] for week in weeks]
    for gone in ids:
        await stage.sql.execute(
            "INSERT INTO taskmill.task_progress (task_id, claim_no) VALUES ($1, 1)", gone
        )
    # The middle one's week is attached: nothing is pruned there, whether or not the task exists.
    assert await progress.prune(stage.maintenance_database, 100) == 2
    left = {
        row["task_id"]
        for row in await stage.sql.fetch("SELECT task_id FROM taskmill.task_progress")
    }
    assert left == {fence.task_id, ids[1]}
