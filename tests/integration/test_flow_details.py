"""What charts show beside the roll-up's counts: levels, failures by queue and type, workers, slow tasks."""

from datetime import timedelta

from taskmill.dashboard.pages.level_charts import failure_chart
from taskmill.domain.activity import ActivityRequest, Window
from taskmill.domain.levels import OTHERS, levels
from taskmill.domain.lifecycle import Status
from taskmill.domain.marks import MarkKind
from taskmill.storage import counts, flow_details, minutes
from tests.support.mixture import a_mixture
from tests.support.plans import check, explaining
from tests.support.rolling import add_events, now, settle
from tests.support.stage import Stage

REQUEST = ActivityRequest(window=Window.HOUR, by_group=False)


async def test_before_everything_nothing_waited_and_nothing_ran(stage: Stage) -> None:
    await a_mixture(stage)
    for _ in range(2):
        activity = await minutes.read(stage.database, REQUEST)
        counted = await counts.by_queue(stage.database)
        waiting, running = (
            sum(of_it.get(status, 0) for of_it in counted.values())
            for status in (Status.NEW, Status.IN_PROGRESS)
        )
        found = levels(activity.points, until=activity.until, waiting=waiting, running=running)
        assert waiting > 0
        assert (found[0].waiting, found[0].running) == (0, 0)
        assert (found[-1].waiting, found[-1].running) == (waiting, running)
        await settle(stage)


async def test_failures_are_by_queue_and_of_one_queue_by_type(stage: Stage) -> None:
    moment = await now(stage)
    for minute, queue, type_, tasks in (
        *((5, "a", "x", 3), (9, "a", "y", 4), (5, "b", "x", 5), (9, "c", "x", 1)),
        *((9, "d", "x", 1), (90, "e", "x", 100)),
    ):
        at = (moment - timedelta(minutes=minute)).replace(second=0, microsecond=0)
        await add_events(stage, at, "failed", tasks=tasks, queue=queue, type_=type_)
    await add_events(stage, moment, "succeeded", tasks=50, queue="f")
    for _ in range(2):
        found = await flow_details.failed_groups(stage.database, REQUEST, None, most=3)
        assert {name: found.total(name) for name in found.counts} == {
            "a": 7,
            "b": 5,
            "c": 1,
            OTHERS: 1,
        }
        assert list(found.counts) == ["a", "b", "c", OTHERS]
        of_queue = ActivityRequest(window=Window.HOUR, queue="a", by_group=False)
        by_type = await flow_details.failed_groups(stage.database, of_queue, None, most=3)
        assert {name: by_type.total(name) for name in by_type.counts} == {"y": 4, "x": 3}
        seen = await flow_details.failed_groups(stage.database, REQUEST, ["b", "d"], most=3)
        assert list(seen.counts) == ["b", "d"]
        activity = await minutes.read(stage.database, REQUEST)
        drawn = failure_chart(found, activity)
        assert drawn.total == 14
        await settle(stage)


async def test_of_no_failures_there_is_no_chart(stage: Stage) -> None:
    found = await flow_details.failed_groups(stage.database, REQUEST, None, most=3)
    drawn = failure_chart(found, await minutes.read(stage.database, REQUEST))
    assert (drawn.chart, drawn.total) == (None, 0)


async def test_the_workers_of_the_last_day_are_known_with_when_they_ended(stage: Stage) -> None:
    await stage.open_lease(worker="lives", queues=("mail",))
    closed = await stage.open_lease(worker="closed")
    gone = await stage.open_lease(worker="gone")
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now(), close_reason = 'stopped' WHERE id = $1",
        closed,
    )
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now() - interval '25 hours' WHERE id = $1", gone
    )
    found = await flow_details.worker_spans(stage.database, None, None)
    assert [(one.name, one.ended_at is None) for one in found.items] == [
        ("lives", True),
        ("closed", False),
    ]
    moment = await now(stage)
    assert found.slots_at([moment - timedelta(hours=25), moment]) == [None, 100]
    for queue, visible, names in (
        ("mail", None, {"lives", "closed"}),
        ("other", None, {"closed"}),
        (None, ["other"], {"closed"}),
        (None, ["mail"], {"lives", "closed"}),
    ):
        spans = await flow_details.worker_spans(stage.database, queue, visible)
        assert {one.name for one in spans.items} == names


async def test_pauses_that_were_done_are_known_from_the_audit_log(stage: Stage) -> None:
    for name in ("mail", "other"):
        await stage.service.set_queue_paused(name, paused=True)
    await stage.service.set_queue_paused("mail", paused=False)
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(
        "DELETE FROM taskmill.audit_outcome WHERE entry_id ="
        " (SELECT id FROM taskmill.audit_entry WHERE target_id = 'other')"
    )
    moment = await now(stage)
    since, until = moment - timedelta(hours=1), moment + timedelta(minutes=1)
    found = await flow_details.pause_changes(stage.database, since, until, None)
    assert [(one.kind, one.name) for one in found] == [
        (MarkKind.RESUMED, "mail"),
        (MarkKind.PAUSED, "mail"),
    ]
    assert await flow_details.pause_changes(stage.database, since, until, ["other"]) == []
    assert await flow_details.pause_changes(stage.database, since, since, None) == []


async def test_pauses_are_found_among_very_many_actions(stage: Stage) -> None:
    await stage.service.set_queue_paused("mail", paused=True)
    await stage.sql.execute(
        """
        INSERT INTO taskmill.audit_entry (id, at, action, actor_kind, target_id, details)
        SELECT
            (left(replace(e.id::text, '-', ''), 12) || '7' || right(md5(n::text), 3) || '8'
                || right(md5(n::text), 15))::uuid,
            e.at, CASE WHEN n % 10 = 0 THEN 'queue.pause' ELSE 'task.cancel' END, 'machine', 'other', '{}'
        FROM taskmill.audit_entry AS e CROSS JOIN generate_series(1, 20000) AS n
        """
    )
    await stage.sql.execute("ANALYZE taskmill.audit_entry")
    low, high = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    async with explaining(stage.database) as session:
        _, plan = await session.fetch("list_pause_changes", low, high, None, 50)
        check(plan, rows=400, pages=400)
        rows, plan = await session.fetch("list_pause_changes_of_queue", low, high, "mail", 50)
        assert [row["queue"] for row in rows] == ["mail"]
        check(plan, rows=20, pages=100)
    moment = await now(stage)
    since, until = moment - timedelta(hours=1), moment + timedelta(minutes=1)
    found = await flow_details.pause_changes(stage.database, since, until, ["mail"])
    assert [(one.kind, one.name) for one in found] == [(MarkKind.PAUSED, "mail")]
    assert await flow_details.pause_changes(stage.database, since, until, []) == []


async def test_failures_are_read_from_their_window(stage: Stage) -> None:
    await stage.sql.execute(
        """
        INSERT INTO taskmill.task_minute (
            step_s, at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost,
            expired, cancelled, run_again, waiting, waiting_s, running, running_s
        )
        SELECT 60, at, 'q' || queue, 'emulate', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
        FROM generate_series(
            date_bin('1 min', now() - interval '5 hours', '2000-01-01Z'), now(), interval '1 min'
        ) AS at
        CROSS JOIN generate_series(1, 40) AS queue
        """
    )
    await stage.sql.execute("ANALYZE taskmill.task_minute")
    async with explaining(stage.database) as session:
        arguments = (60, 600.0, None, None, None, None, None, False, 6)
        rows, plan = await session.fetch("read_failed_groups", *arguments)
        assert len(rows) == 7
        check(plan, rows=40 * 12 + 400, pages=40 * 12 + 100)
