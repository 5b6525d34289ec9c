"""What needs attention about schedules: notices and pages say the same, as one rule decides."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from taskmill.domain.attention import Notice, NoticeKind
from taskmill.domain.fires import FireOutcome
from taskmill.operations.troubled_schedules import troubled_schedules
from tests.integration.test_attention import a_worker, notices
from tests.support.api import Served
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage

CREATED, OVERLAP = FireOutcome.CREATED, FireOutcome.SKIPPED_OVERLAP
REFUSED, PAUSED = FireOutcome.REFUSED, FireOutcome.SKIPPED_PAUSED


@pytest.fixture
async def scheduler(stage: Stage) -> Scheduler:
    """A scheduler, beside a worker: so nothing else needs attention."""
    await a_worker(stage)
    return Scheduler(stage)


async def became(stage: Stage, name: str, outcomes: Sequence[FireOutcome]) -> None:
    """Record what became of ticks, one an hour, the newest first, of a schedule that is a year old."""
    await stage.sql.execute(
        "UPDATE taskmill.schedule SET updated_at = updated_at - interval '1 year' WHERE name = $1",
        name,
    )
    await stage.sql.execute(
        "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id, problem, at)"
        " SELECT id, now() - o.back * interval '1 h', 'tick', o.outcome,"
        " CASE WHEN o.outcome = 'created' THEN gen_random_uuid() END,"
        " CASE WHEN o.outcome = 'refused' THEN '{}'::json END, now() - o.back * interval '1 h'"
        " FROM taskmill.schedule CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS o (outcome, back)"
        " WHERE name = $1",
        name,
        list(outcomes),
    )


async def found(stage: Stage) -> list[tuple[NoticeKind, str]]:
    """The notices about schedules, by their kind and the schedule."""
    return [(one.kind, one.subject) for one in await notices(stage)]


async def the_only(stage: Stage) -> Notice:
    [notice] = await notices(stage)
    return notice


async def shown(pages: Served, name: str) -> str:
    response = await pages.get(f"/ui/schedules/{name}")
    assert response.status_code == 200
    return response.text


async def test_a_schedule_that_is_slower_than_asked_is_named_as_its_page_does(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    for name in ("slow", "fine", "stopped"):
        await scheduler.put(name, every="PT1H", task={"name": name, "queue": "mail"})
    await became(stage, "slow", [CREATED, OVERLAP, OVERLAP] * 4)
    await became(stage, "fine", [CREATED, OVERLAP, *[CREATED] * 38])
    await became(stage, "stopped", [OVERLAP] * 5)
    kind = NoticeKind.SCHEDULE_SLOW
    by_name = {one.subject: one for one in await notices(stage)}
    assert {one.kind for one in by_name.values()} == {kind}
    assert by_name.keys() == {"slow", "stopped"}
    assert by_name["slow"].facts["real"] == timedelta(hours=3)
    assert by_name["slow"].facts["asked"] == timedelta(hours=1)
    assert (by_name["stopped"].case, by_name["stopped"].facts["n"]) == ("none", 5)
    for name in ("slow", "fine", "stopped"):
        assert ("Slower than asked" in await shown(pages, name)) == (name != "fine")


async def test_a_refused_tick_is_named_until_another_one_makes_a_task_however_rare_they_are(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("refused", every="PT1H")
    await scheduler.put("well", every="PT1H")
    await became(stage, "refused", [PAUSED, PAUSED])
    assert await found(stage) == []
    await became(stage, "well", [CREATED, REFUSED, *[CREATED] * 38])
    await stage.sql.execute("DELETE FROM taskmill.schedule_fire WHERE outcome = 'skipped_paused'")
    await became(stage, "refused", [REFUSED, REFUSED, CREATED, REFUSED])
    await stage.sql.execute(
        "UPDATE taskmill.schedule_fire SET tick = tick - interval '9 days', at = at - interval '9 days'"
    )
    notice = await the_only(stage)
    assert (notice.kind, notice.subject) == (NoticeKind.SCHEDULE_REFUSED, "refused")
    assert notice.facts["n"] == 2
    assert "Its latest tick made no task" in await shown(pages, "refused")
    assert "Its latest tick made no task" not in await shown(pages, "well")
    await scheduler.schedules.pause("refused")
    assert await found(stage) == []


async def test_what_nobody_here_can_fire_is_named_since_its_tick_is_due(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    """It is looked at once a minute, so the time of the next look is never long ago."""
    await scheduler.due("future")
    await stage.sql.execute("""UPDATE taskmill.schedule SET spec = '{"moon": "full"}'""")
    await scheduler.duty()
    assert await found(stage) == []
    first = (await scheduler.get("future")).postponed_since
    assert first is not None
    await stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET next_at = now(), postponed_since = postponed_since - interval '2 m'"
    )
    await scheduler.duty()
    state = await scheduler.get("future")
    assert state.postponed_since == first - timedelta(minutes=2), "not since the latest look"
    assert state.next_at is not None
    assert state.next_at > state.moment
    notice = await the_only(stage)
    assert (notice.kind, notice.since) == (NoticeKind.SCHEDULE_UNREADABLE, state.postponed_since)
    assert "Of a later release" in await shown(pages, "future")
    await scheduler.put("future", every="P1D")
    assert (await scheduler.get("future")).postponed_since is None
    assert await found(stage) == []


async def test_a_schedule_that_fires_again_after_it_was_left_for_later_is_not_late(
    stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.due("report")
    await stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET postponed_since = now() - interval '5 m'"
    )
    assert await found(stage) == [(NoticeKind.SCHEDULE_LATE, "report")]
    await scheduler.fire()
    assert await found(stage) == []


async def test_schedules_of_other_queues_are_not_read(stage: Stage, scheduler: Scheduler) -> None:
    for queue in ("mail", "secret"):
        for name in (f"late-{queue}", f"slow-{queue}"):
            await scheduler.put(name, every="PT1H", task={"name": "x", "queue": queue})
        await became(stage, f"slow-{queue}", [OVERLAP] * 5)
    await stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET next_at = now() - interval '1 h' WHERE schedule_id IN"
        " (SELECT id FROM taskmill.schedule WHERE name LIKE 'late-%')"
    )
    states = await troubled_schedules(stage.database, ["mail"])
    assert {one.schedule.name for one in states} == {"late-mail", "slow-mail"}
    assert len(await troubled_schedules(stage.database, None)) == 4
