"""A claim has no row of its own: its facts are in `running`, then in the row of the task's next change.

Whoever reads the history, or the feed, sees the same entry all the time.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from taskmill.domain.feed import Change, Cursor
from taskmill.domain.lifecycle import Failed, Interrupted, Lost, Outcome, Permanent, Succeeded
from taskmill.domain.system import TaskEvent
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import changes, claims, events, leases, remote_leases
from taskmill.storage.claims import TakenTask
from tests.support.builders import AT_ONCE, ERROR, a_fence, an_end
from tests.support.damage import WRITE_CLAIM
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in

NEXT: dict[str, Outcome] = {
    "succeeded": Succeeded(result="1"),
    "retry_scheduled": Failed(error=ERROR),
    "failed": Permanent(error=ERROR),
    "handed_back": Interrupted(after=timedelta(minutes=1)),
    "lost": Lost(),
}


async def history(stage: Stage, task_id: UUID) -> list[TaskEvent]:
    return list(await stage.service.reading.events(task_id))


async def entries(stage: Stage, task_id: UUID) -> list[tuple[object, ...]]:
    """All that the history has, also what no response shows, and not where it is."""
    rows = await stage.sql.fetch(
        """
        SELECT
            version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason, error
        FROM taskmill.task_history WHERE task_id = $1 ORDER BY version
        """,
        task_id,
    )
    return [tuple(row) for row in rows]


async def stored(stage: Stage, task_id: UUID) -> list[str]:
    """The events that have a row of their own."""
    rows = await stage.sql.fetch(
        "SELECT event FROM taskmill.task_event WHERE task_id = $1 ORDER BY version", task_id
    )
    return [row["event"] for row in rows]


async def ended_by(stage: Stage, taken: TakenTask, lease: UUID, outcome: Outcome, by: str) -> None:
    ended = await claims.end(stage.database, [an_end(taken, lease, outcome)], worker=by)
    assert ended.keys() == {taken.task.id}


async def taken_again(stage: Stage, lease: UUID) -> TakenTask:
    [taken] = await eventually(lambda: stage.take(lease), "a task that is due at once")
    return taken


async def lose(stage: Stage, lease: UUID) -> None:
    """Have rescue take back what runs under a lease."""
    await leases.close_lease(stage.database, lease, "stopped")
    await Rescue(
        stage.maintenance_database, ttl_s=60, interval_s=1, name="rescue", clock=stage.clock
    )()


async def test_what_runs_has_its_claim_in_the_history_without_a_row_for_it(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    task = await stage.task(taken.task.id)
    _, claimed = await history(stage, task.id)
    assert (claimed.version, claimed.event_type, claimed.status) == (2, "claimed", "in_progress")
    assert (claimed.run, claimed.attempt, claimed.losses, claimed.claim_no) == (1, 1, 0, 1)
    assert (claimed.at, claimed.run_at) == (task.started_at, task.run_at)
    assert (claimed.worker, claimed.reason, claimed.error) == ("tester", None, None)
    assert (await stage.service.reading.latest_events(task.id, 1)) == [claimed]
    assert await stored(stage, task.id) == ["created"]
    await assert_safe(stage.sql)


@pytest.mark.parametrize("by", ["tester", "time-out"])
@pytest.mark.parametrize("event", NEXT)
async def test_the_next_change_keeps_the_claim_as_it_was(stage: Stage, event: str, by: str) -> None:
    """Whoever makes it, and whatever it changes."""
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=2)
    read, seen = await history(stage, taken.task.id), await entries(stage, taken.task.id)
    await ended_by(stage, taken, lease, NEXT[event], by)
    assert await stored(stage, taken.task.id) == ["created", event]
    now = await history(stage, taken.task.id)
    assert now[:2] == read
    assert (now[2].version, now[2].event_type, now[2].worker, len(now)) == (3, event, by, 3)
    assert (await entries(stage, taken.task.id))[:2] == seen
    own = await remote_leases.find_own_end(stage.database, a_fence(taken, lease))
    assert (None if own is None else own.event_type) == (event if by == "tester" else None)
    await assert_safe(stage.sql)


async def test_a_task_that_is_lost_for_good_keeps_its_claim(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_losses=0)
    seen = await entries(stage, taken.task.id)
    await lose(stage, lease)
    assert (await entries(stage, taken.task.id))[:2] == seen
    assert await stored(stage, taken.task.id) == ["created", "failed"]
    await assert_safe(stage.sql)


@pytest.mark.parametrize("event", [*NEXT, "cancelled"])
async def test_a_request_to_cancel_has_the_claim_and_the_end_does_not(
    stage: Stage, event: str
) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=2)
    seen = await entries(stage, taken.task.id)
    await stage.service.cancel(taken.task.id)
    requested = await entries(stage, taken.task.id)
    assert requested[:2] == seen
    assert await stored(stage, taken.task.id) == ["created", "cancel_requested"]
    await stage.service.cancel(taken.task.id)
    assert await entries(stage, taken.task.id) == requested
    await assert_safe(stage.sql)
    await stage.end(taken, lease, NEXT.get(event, Interrupted()))
    now = await entries(stage, taken.task.id)
    assert (now[:3], len(now)) == (requested, 4)
    assert [entry[2] for entry in now[:3]] == ["created", "claimed", "cancel_requested"]
    own = await remote_leases.find_own_end(stage.database, a_fence(taken, lease))
    assert own is not None
    assert own.event_type == now[3][2]
    await assert_safe(stage.sql)


async def test_each_claim_of_a_task_that_is_lost_and_claimed_again_stays(
    stage: Stage,
) -> None:
    gone = await stage.open_lease(worker="gone")
    taken = await stage.running(gone)
    seen = await entries(stage, taken.task.id)
    await lose(stage, gone)
    lease = await stage.open_lease()
    again = await taken_again(stage, lease)
    assert again.task.claim_no == 2
    while_it_runs = await entries(stage, taken.task.id)
    assert while_it_runs[:2] == seen
    assert [entry[2] for entry in while_it_runs] == ["created", "claimed", "lost", "claimed"]
    await stage.end(again, lease, Succeeded())
    assert (await entries(stage, taken.task.id))[:4] == while_it_runs
    assert await stored(stage, taken.task.id) == ["created", "lost", "succeeded"]
    await assert_safe(stage.sql)


class Life:
    """A task to which everything happens; `stage` is told after each step."""

    def __init__(self, stage: Stage, after_each: Callable[[], Awaitable[None]]) -> None:
        self.stage = stage
        self._after_each = after_each

    async def live(self) -> UUID:
        lease = await self.stage.open_lease()
        task_id = (await self.stage.created(max_attempts=3, retry=AT_ONCE)).id
        await self._after_each()
        for outcome in (Failed(error=ERROR), Interrupted()):
            await self._attempt(lease, outcome)
        gone = await self.stage.open_lease(worker="gone")
        await self._claimed(gone)
        await lose(self.stage, gone)
        await self._after_each()
        taken = await self._claimed(lease)
        await self.stage.service.cancel(task_id)
        await self._after_each()
        await self.stage.end(taken, lease, Interrupted())
        await self._after_each()
        await self.stage.service.retry(task_id)
        await self._after_each()
        await self._attempt(lease, Succeeded())
        return task_id

    async def _claimed(self, lease: UUID) -> TakenTask:
        taken = await taken_again(self.stage, lease)
        await self._after_each()
        return taken

    async def _attempt(self, lease: UUID, outcome: Outcome) -> None:
        taken = await self._claimed(lease)
        await self.stage.end(taken, lease, outcome)
        await self._after_each()


async def read_feed(stage: Stage, after: Cursor) -> tuple[list[Change], Cursor]:
    page = await changes.read(stage.database, after, 100)
    assert page.is_last
    return list(page.changes), page.cursor


async def test_the_feed_has_the_same_whether_it_is_read_late_or_at_once(stage: Stage) -> None:
    at_once: list[Change] = []
    cursor = Cursor(0, 0)

    async def read_on() -> None:
        nonlocal cursor
        await changes.number(stage.maintenance_database, 1000)
        found, cursor = await read_feed(stage, cursor)
        at_once.extend(found)

    task_id = await Life(stage, read_on).live()
    late, _ = await read_feed(stage, Cursor(0, 0))
    assert [change.event.version for change in at_once] == list(range(1, 14))
    assert late == at_once
    assert [change.event for change in late] == await history(stage, task_id)
    await stage.sql.execute(WRITE_CLAIM, task_id)
    await stage.sql.execute("UPDATE taskmill.task_event SET claimed_at = NULL")
    assert (await read_feed(stage, Cursor(0, 0)))[0] == at_once, "claims with rows of their own"
    assert [change.event for change in late] == await history(stage, task_id)
    await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


async def test_pages_of_a_history_hold_each_entry_once(stage: Stage) -> None:
    async def nothing() -> None:
        """Nothing happens in between."""

    task_id = await Life(stage, nothing).live()
    whole = await history(stage, task_id)
    for limit in (1, 2, 3, 5):
        found: list[TaskEvent] = []
        while True:
            after = found[-1].version if found else 0
            part = await events.of_task(stage.database, task_id, after=after, limit=limit)
            found += part
            if not part.has_more:
                break
        assert found == whole
        assert await stage.service.reading.latest_events(task_id, limit) == whole[-limit:]
