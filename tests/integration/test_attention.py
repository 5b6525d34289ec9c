"""What needs attention, of what is stored: each kind is found, within the queues that may be seen."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.attention import Notice, NoticeKind
from taskmill.domain.error_kinds import kind_id
from taskmill.domain.failures import KindState
from taskmill.domain.lifecycle import Lost
from taskmill.domain.webhooks import WebhookDraft
from taskmill.operations.attention import AttentionReading
from taskmill.operations.audit import AuditLog
from taskmill.operations.broker import NO_BROKER
from taskmill.operations.figures import FiguresCache
from taskmill.operations.troubled_schedules import troubled_schedules
from taskmill.storage import failures, leases, minutes, unserved_types
from tests.support.api import Served
from tests.support.builders import an_end
from tests.support.plans import explaining
from tests.support.refusals import refused_message, store_refused
from tests.support.scheduling import Scheduler
from tests.support.sql_schedules import do_requests, put_schedule
from tests.support.stage import Stage, a_webhooks

WORKER = """
    INSERT INTO taskmill.lease (id, worker, queues, types, slots, version, expires_at)
    VALUES (gen_random_uuid(), $1, $2, $3, 10, $4, now() + $5::interval)
    RETURNING id
"""
ONE_FOR = """
    UPDATE taskmill.rejection SET queue = $1
    WHERE id = (SELECT id FROM taskmill.rejection ORDER BY id LIMIT 1)
"""
AN_HOUR = timedelta(hours=1)


async def a_worker(
    stage: Stage,
    name: str = "host-1",
    *,
    queues: tuple[str, ...] = (),
    types: tuple[str, ...] = ("*",),
    version: str = "1.0.0",
    lives_for: timedelta = AN_HOUR,
) -> UUID:
    """Add a worker's lease."""
    worker_id: UUID = await stage.sql.fetchval(
        WORKER, name, list(queues), list(types), version, lives_for
    )
    return worker_id


async def notices(stage: Stage) -> list[Notice]:
    """Read what needs attention, without a cache."""
    reading = AttentionReading(
        stage.database,
        NO_BROKER,
        FiguresCache.of(stage.database),
        AuditLog(stage.database),
        max_age_s=0.0,
        slow_max_age_s=0.0,
    )
    return list((await reading.read()).notices)


async def texts(stage: Stage) -> list[str]:
    return [one.text for one in await notices(stage)]


async def one(stage: Stage, kind: NoticeKind) -> Notice:
    """Read the only notice of a kind."""
    [found] = [notice for notice in await notices(stage) if notice.kind is kind]
    return found


async def make_older(stage: Stage, age: timedelta) -> None:
    """Have all waiting tasks be created and due earlier."""
    await stage.sql.execute(
        """
        UPDATE taskmill.dispatch SET run_at = run_at - $1::interval, task_id = (
            lpad(to_hex(
                ('x' || left(replace(task_id::text, '-', ''), 12))::bit(48)::bigint
                - (extract(epoch FROM $1::interval) * 1000)::bigint
            ), 12, '0') || substr(replace(task_id::text, '-', ''), 13)
        )::uuid
        """,
        age,
    )


async def test_a_service_with_a_worker_and_nothing_wrong_is_well(stage: Stage) -> None:
    await a_worker(stage)
    await stage.created()
    assert await texts(stage) == []


async def test_a_service_without_a_worker_needs_one(stage: Stage) -> None:
    assert await texts(stage) == ["no_workers.idle"]
    await stage.created()
    found = await one(stage, NoticeKind.NO_WORKERS)
    assert (found.text, found.tasks) == ("no_workers.waiting", 1)


async def test_a_service_whose_workers_pull_over_http_has_workers_while_they_wait(
    stage: Stage,
) -> None:
    await unserved_types.record_pulled(stage.database, ["emulate"])
    await stage.created()
    assert await texts(stage) == []
    await stage.sql.execute(
        "UPDATE taskmill.pulled_type SET pulled_at = now() - interval '16 minutes'"
    )
    assert await texts(stage) == ["no_workers.waiting"]


async def test_the_type_that_no_worker_runs_is_named_with_its_due_tasks(stage: Stage) -> None:
    await a_worker(stage, types=("emulate",))
    for _ in range(3):
        await stage.created(queue="gpu", type="render")
    await stage.created(queue="gpu", type="render", priority=9)
    await stage.created(queue="gpu", type="emulate")
    later = await stage.created(queue="gpu", type="render")
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET run_at = now() + interval '1 hour' WHERE task_id = $1",
        later.id,
    )
    found = await one(stage, NoticeKind.UNSERVED)
    assert (found.queue, found.facts["type"], found.tasks) == ("gpu", "render", 4)
    await a_worker(stage, "host-2", queues=("gpu",), types=("render",))
    assert await texts(stage) == []


async def test_a_queue_is_late_and_its_backlog_grows(stage: Stage) -> None:
    await a_worker(stage)
    for _ in range(12):
        await stage.created(queue="mail")
    await make_older(stage, timedelta(minutes=3))
    found = await one(stage, NoticeKind.BACKLOG_GROWING)
    assert (found.queue, found.tasks, found.facts["rate"]) == ("mail", 12, 12 / 15)
    await minutes.roll_up(stage.maintenance_database)
    assert (await one(stage, NoticeKind.BACKLOG_GROWING)).facts["rate"] == 12 / 15
    await stage.sql.execute("UPDATE taskmill.task_minute SET at = at - interval '1 hour'")
    assert await texts(stage) == ["late.waiting"]
    await stage.sql.execute(
        "INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)"
        " VALUES ('mail', 'emulate', 'claimed', 6)"
    )
    found = await one(stage, NoticeKind.LATE)
    assert found.facts["gone_in"] == timedelta(minutes=30)


async def test_a_paused_queue_with_tasks_is_named(stage: Stage) -> None:
    await a_worker(stage)
    for name in ("mail", "empty"):
        await stage.service.set_queue_paused(name, paused=True)
    await stage.created(queue="mail")
    found = await one(stage, NoticeKind.PAUSED)
    assert (found.queue, found.tasks, found.since is not None) == ("mail", 1, True)


async def lose(stage: Stage, worker_id: UUID, **parts: Any) -> None:  # noqa: ANN401 - the fields of a draft
    """Have a worker die while it runs a task that may be lost no more."""
    taken = await stage.running(worker_id, max_losses=0, **parts)
    await stage.sql.execute(
        "UPDATE taskmill.lease SET expires_at = now() - interval '1 s' WHERE id = $1", worker_id
    )
    await leases.close_expired(stage.maintenance_database)
    await leases.record_lost(stage.maintenance_database, [an_end(taken, worker_id, Lost()).fence])
    await stage.end(taken, worker_id, Lost())


async def test_a_lost_worker_is_named_for_a_day_with_what_it_ran(stage: Stage) -> None:
    await a_worker(stage)
    lost = await a_worker(stage, "host-9")
    await lose(stage, lost, queue="mail", type="send")
    found = await one(stage, NoticeKind.WORKER_LOST)
    assert (found.subject, found.facts, found.tasks) == (
        *(str(lost), {"worker": "host-9", "n": 1}, 1),
    )
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now() - interval '23 h' WHERE id = $1", lost
    )
    [worker] = await stage.service.workers(only=lost)
    assert (worker.is_lost, worker.lost_tasks) == (True, 1)
    assert "worker_lost.running" in await texts(stage)
    await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() - interval '25 h'")
    assert "worker_lost.running" not in await texts(stage)


async def test_tasks_whose_workers_were_lost_too_often_are_named_by_type(stage: Stage) -> None:
    await a_worker(stage)
    await lose(stage, await a_worker(stage, "host-9"), queue="mail", type="send")
    await failures.fold(stage.maintenance_database)
    found = await one(stage, NoticeKind.LOSSES_EXHAUSTED)
    assert (found.subject, found.tasks) == ("send", 1)


async def test_a_silent_worker_is_named_and_later_maintenance_is_missed(stage: Stage) -> None:
    await a_worker(stage)
    await a_worker(stage, "host-9", lives_for=timedelta(seconds=-5))
    assert await texts(stage) == ["worker_silent.silent"]
    await stage.sql.execute(
        "UPDATE taskmill.lease SET expires_at = now() - interval '2 min' WHERE worker = 'host-9'"
    )
    assert await texts(stage) == ["no_maintenance.overdue", "worker_silent.silent"]


async def ended(stage: Stage, queue: str, *, succeeded: int, failed: int, ago: str = "0 s") -> None:
    """Have tasks of a queue end some time ago."""
    for event, tasks in (("succeeded", succeeded), ("failed", failed)):
        await stage.sql.execute(
            "INSERT INTO taskmill.task_minute_delta (at, queue, type, event, tasks)"
            " VALUES (now() - $4::text::interval, $1, 'send', $2, $3)",
            *(queue, event, tasks, ago),
        )


@pytest.mark.parametrize("folds", [False, True])
async def test_more_failures_than_the_day_before_are_found_by_queue_and_type(
    stage: Stage,
    folds: bool,  # noqa: FBT001 - a case
) -> None:
    await a_worker(stage)
    for queue in ("mail", "bills"):
        await ended(stage, queue, succeeded=195, failed=5, ago="5 h")
    await minutes.roll_up(stage.maintenance_database)
    await ended(stage, "mail", succeeded=90, failed=10)
    await ended(stage, "bills", succeeded=98, failed=2)
    if folds:
        await minutes.roll_up(stage.maintenance_database)
    found = await one(stage, NoticeKind.FAILURES_UP)
    assert (found.queue, found.facts) == (
        "mail",
        {"queue": "mail", "type": "send", "n": 10, "share": 0.1, "usual": 0.025, "ended": 100},
    )


async def test_expiries_are_found_by_queue_and_type(stage: Stage) -> None:
    await a_worker(stage)
    await stage.sql.execute(
        "INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)"
        " VALUES ('mail', 'send', 'expired', 3)"
    )
    found = await one(stage, NoticeKind.EXPIRIES)
    assert (found.queue, found.tasks) == ("mail", 3)


FAILED = """
    INSERT INTO taskmill.failure_delta (at, type, error, task_id, queue)
    VALUES (now() - $1::interval, 'send', $2, gen_random_uuid(), $3)
"""


async def test_a_kind_of_error_is_new_for_an_hour_unless_it_was_there_before_or_is_ignored(
    stage: Stage,
) -> None:
    await a_worker(stage)
    kinds = (
        (0, "New: no"),
        (0, "Old: no"),
        (50, "Old: no"),
        (2, "Two hours: no"),
        (0, "Known: no"),
    )
    for age, error in kinds:
        await stage.sql.execute(FAILED, timedelta(hours=age), error, "mail")
    await failures.fold(stage.maintenance_database)
    await stage.service.failures.decide(kind_id("Known: no"), KindState.IGNORED)
    found = await one(stage, NoticeKind.NEW_ERROR)
    assert found.facts == {"type": "send", "error": "New: no", "n": 1}


async def test_refused_messages_are_counted_by_queue(stage: Stage) -> None:
    await a_worker(stage)
    await store_refused(stage.url, [refused_message(b"{"), refused_message(b"[]")])
    await stage.sql.execute(ONE_FOR, "mail")
    found = [(one.text, one.facts["n"]) for one in await notices(stage)]
    assert sorted(found) == [("refused.queue", 1), ("refused.unknown", 1)]


async def test_a_webhook_that_fails_is_named_by_its_host_only(stage: Stage) -> None:
    await a_worker(stage)
    draft = WebhookDraft(url="https://shop.example.org/secret-path?key=7")
    made, _ = await a_webhooks(stage.database).create(draft, None)
    await stage.sql.execute("UPDATE taskmill.webhook SET failing_since = now() - interval '59 s'")
    assert await texts(stage) == []
    await stage.sql.execute("UPDATE taskmill.webhook SET failing_since = now() - interval '1 h'")
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook_delivery (endpoint, webhook_id, give_up_at)"
        " SELECT 'webhook:' || id, id, now() + interval '1 day' FROM taskmill.webhook"
    )
    found = await one(stage, NoticeKind.WEBHOOK_FAILING)
    assert (found.subject, found.facts["webhook"], found.facts["n"]) == (
        *(str(made.id), "shop.example.org", 1),
    )
    assert "secret-path" not in repr(found)
    await stage.sql.execute(
        "UPDATE taskmill.webhook SET state = 'disabled', disabled_reason = 'responded with 410'"
    )
    assert await texts(stage) == ["webhook_failing.disabled"]


SCHEDULE = """
    WITH made AS (
        INSERT INTO taskmill.schedule (name, spec, task, queue, type)
        VALUES ($1, '{}', '{}', 'mail', 'send')
        RETURNING id
    )
    INSERT INTO taskmill.schedule_cursor (schedule_id, cursor_at, next_at, tz_version)
    SELECT id, now(), now() + $2::interval, '2026a' FROM made
    RETURNING schedule_id
"""


async def test_a_schedule_that_is_late_or_refused_is_named(stage: Stage) -> None:
    await a_worker(stage)
    await stage.sql.execute(SCHEDULE, "soon", AN_HOUR)
    assert await texts(stage) == []
    await stage.sql.execute(SCHEDULE, "late", timedelta(minutes=-2))
    refused = await stage.sql.fetchval(SCHEDULE, "refused", AN_HOUR)
    await stage.sql.execute(
        "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, problem)"
        " VALUES ($1, now(), 'tick', 'refused', '{}'), ($1, now() - interval '1 s', 'tick', 'held', NULL)",
        refused,
    )
    found = {one.kind: (one.subject, one.queue, one.facts["n"]) for one in await notices(stage)}
    assert found == {
        NoticeKind.SCHEDULE_REFUSED: ("refused", "mail", 1),
        NoticeKind.SCHEDULE_LATE: ("late", "mail", 0),
    }


async def test_a_schedule_that_sql_has_asked_for_in_vain_is_named(stage: Stage) -> None:
    await a_worker(stage)
    scheduler = Scheduler(stage)
    for queue in ("mail", "other"):
        task = {"name": "x", "queue": queue}
        await put_schedule(stage.sql, f"never-{queue}", cron="0 0 31 2 *", task=task)
    assert await texts(stage) == []
    await do_requests(scheduler)
    found = [(one.kind, one.subject, one.queue) for one in await notices(stage)]
    kind = NoticeKind.SCHEDULE_REQUEST_REFUSED
    assert found == [(kind, "never-mail", "mail"), (kind, "never-other", "other")]
    rows = await troubled_schedules(stage.database, ["mail"])
    assert [one.schedule.name for one in rows] == ["never-mail"]


async def test_different_versions_and_full_slots_are_found(stage: Stage) -> None:
    lease = await a_worker(stage)
    await a_worker(stage, "host-2", version="1.1.0")
    versions = (await one(stage, NoticeKind.VERSIONS_DIFFER)).facts["versions"]
    assert versions == ["1.0.0", "1.1.0"]
    await stage.sql.execute("DELETE FROM taskmill.lease WHERE worker = 'host-2'")
    await stage.sql.execute("UPDATE taskmill.lease SET slots = 1")
    await stage.running(lease, queue="mail")
    await stage.created(queue="mail")
    await make_older(stage, timedelta(seconds=5))
    found = await one(stage, NoticeKind.SLOTS_FULL)
    assert (found.facts["running"], found.facts["slots"], found.facts["queues"]) == (1, 1, ["mail"])


async def test_figures_of_the_service_are_judged(stage: Stage) -> None:
    await a_worker(stage)
    await stage.created()
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = at - interval '1 minute'")
    assert await texts(stage) == ["feed_behind.behind"]


async def test_what_is_shown_has_its_sentence_page_and_action(api: Served, stage: Stage) -> None:
    await a_worker(stage)
    await stage.created(queue="mail")
    await stage.service.set_queue_paused("mail", paused=True)
    shown_now = (await api.get("/attention")).json()
    assert (shown_now["verdict"], shown_now["count"]) == ("warning", 1)
    [found] = shown_now["items"]
    assert found["sentence"] == "Queue mail is paused, 1 task waits."
    assert found["action"] == "Resume it: taskmill queue resume mail"
    assert found["page"] == "/ui/tasks?status=new&queue=mail"
    assert (found["tasks"], found["are_more"], found["since"] is not None) == (1, False, True)
    assert (await api.get("/attention?x=1")).status_code == 422


async def test_counting_what_is_due_reads_no_more_than_it_counts(stage: Stage) -> None:
    await stage.sql.execute(
        """
        INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
        SELECT gen_random_uuid(), 'mail', 'send', n % 2,
            now() + interval '1 h' * CASE WHEN n % 3 = 0 THEN 1 ELSE -1 END
        FROM generate_series(1, 9000) AS n
        """
    )
    await stage.sql.execute("ANALYZE taskmill.dispatch")
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch("count_due", ["mail"], ["send"], 100)
        [whole], _ = await session.fetch("count_due", ["mail"], ["send"], 10_000)
    assert (row["tasks"], whole["tasks"]) == (202, 6000)
    assert plan.rows_read <= 202 + 5
