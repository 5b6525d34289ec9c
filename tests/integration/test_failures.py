"""Failures by type and error: each is counted once, however it is folded, and the kinds are bounded."""

from datetime import timedelta

import pytest

from taskmill.domain.activity import Window
from taskmill.domain.failures import OTHER, WINDOWS, Failures
from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.domain.system import PageRequest, Sweep, TaskFilter
from taskmill.maintenance.expiry import expire_waiting
from taskmill.storage import failures
from tests.support.plans import explaining
from tests.support.stage import Stage

SHAPES = {
    ("RuntimeError", "could not charge 42 EUR"): "RuntimeError: could not charge # EUR",
    ("ValueError", ""): "ValueError: ",
    ("E", "task 0197b0d2-1111-7abc-8def-0123456789ab is gone"): "E: task # is gone",
    ("E", "at 0x7f3a, after 5s"): "E: at #, after #s",
    ("E", "Traceback:\n  File x\nOSError: disk 3 is full\n\n"): "E: OSError: disk # is full",
    ("E", "the bank answered 503\n<html>\n<p>busy</p>\n</html>"): "E: the bank answered #",
    ("E", "\r\n  first\r\nsecond"): "E: first",
    ("E", "10.0.0.1:5432 at 2026-11-25T10:00:00.5Z"): "E: # at #T#Z",
    ("E", "a feed of bad cafe"): "E: a feed of bad cafe",
    ("E" * 300, "ж" * 10_000): "E" * 100 + ": " + "ж" * 200,
}


async def fail(
    stage: Stage, message: str, *, kind: str = "pay", error: str = "E", queue: str = "default"
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, type=kind, queue=queue)
    outcome = Failed(error=ErrorInfo(type=error, message=message))
    await stage.end(taken, lease_id, outcome)
    assert (await stage.task(taken.task.id)).status is Status.FAILED


async def read_failures(stage: Stage, limit: int = 100) -> Failures:
    return await stage.service.failures(Window.HOUR, limit)


async def failures_of(stage: Stage, *queues: str) -> list[tuple[str, str, int]]:
    found = await failures.read(stage.database, Window.HOUR, 100, queues)
    return [(one.type, one.error, one.tasks) for one in found.groups]


async def test_an_error_is_shown_by_what_all_of_its_kind_have_in_common(stage: Stage) -> None:
    for (error, message), shape in SHAPES.items():
        shown = await stage.sql.fetchval(
            "SELECT taskmill.error_shape(jsonb_build_object('type', $1::text, 'message', $2::text))",
            error,
            message,
        )
        assert shown == shape
    assert await stage.sql.fetchval("SELECT taskmill.error_shape('{}')") == "?: "


async def test_failures_count_the_same_before_and_after_they_are_folded(stage: Stage) -> None:
    for number in range(3):
        await fail(stage, f"no answer from host {number}")
    await fail(stage, "something else")
    before = await read_failures(stage)
    assert [(one.error, one.tasks) for one in before.groups] == [
        ("E: no answer from host #", 3),
        ("E: something else", 1),
    ]
    assert (before.kinds, before.tasks) == (2, 4)
    assert before.groups[0].first_at < before.groups[0].last_at
    assert await failures.fold(stage.maintenance_database) is False
    assert await read_failures(stage) == before
    await fail(stage, "no answer from host 9")
    await failures.fold(stage.maintenance_database)
    after = (await read_failures(stage)).groups[0]
    assert (after.tasks, after.first_at) == (4, before.groups[0].first_at)
    assert (await stage.task(after.task_id)).finished_at == after.last_at
    assert [(await stage.service.failures(one, 9)).tasks for one in WINDOWS] == [5] * 4


async def test_an_expired_task_is_a_failure_and_a_cancelled_one_is_not(stage: Stage) -> None:
    task = await stage.created()
    await stage.service.cancel(task.id)
    assert (await read_failures(stage)).tasks == 0
    late = await stage.created(expires_at=stage.clock.now() + timedelta(seconds=1))
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET expires_at = now() WHERE task_id = $1", late.id
    )
    await expire_waiting(stage.maintenance_database)
    assert [one.task_id for one in (await read_failures(stage)).groups] == [late.id]


async def test_kinds_beyond_the_limit_are_counted_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.failures.MOST_KINDS", 2)
    words = ("one", "two", "two", "three")
    for word in words:
        await fail(stage, word)
    await failures.fold(stage.maintenance_database)
    await fail(stage, "four")
    await fail(stage, "one")
    await failures.fold(stage.maintenance_database)
    groups = [(one.type, one.error, one.tasks) for one in (await read_failures(stage)).groups]
    assert groups == [("pay", "E: one", 2), ("pay", "E: two", 2), (OTHER, OTHER, 2)]
    assert (await read_failures(stage, limit=1)).tasks == 6


async def test_failures_of_some_queues_count_the_same_before_and_after_they_are_folded(
    stage: Stage,
) -> None:
    for queue, message in (("mail", "full"), ("mail", "full"), ("news", "full"), ("other", "away")):
        await fail(stage, message, queue=queue)
    for _ in range(2):
        assert await failures_of(stage, "mail") == [("pay", "E: full", 2)]
        assert await failures_of(stage, "mail", "news") == [("pay", "E: full", 3)]
        assert await failures_of(stage, "none") == []
        assert (await read_failures(stage)).tasks == 4
        await failures.fold(stage.maintenance_database)
    await fail(stage, "full", queue="mail")
    await failures.fold(stage.maintenance_database)
    assert await failures_of(stage, "mail") == [("pay", "E: full", 3)]


async def test_kinds_of_one_queue_take_no_room_from_those_of_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.failures.MOST_KINDS", 1)
    monkeypatch.setattr("taskmill.storage.failures.MOST_KINDS_OF_QUEUE", 2)
    for word in ("one", "two", "two", "three"):
        await fail(stage, word, queue="many")
    await fail(stage, "rare", queue="few")
    await failures.fold(stage.maintenance_database)
    await fail(stage, "four", queue="many")
    await fail(stage, "also", queue="few")
    await failures.fold(stage.maintenance_database)
    assert await failures_of(stage, "few") == [("pay", "E: also", 1), ("pay", "E: rare", 1)]
    of_many = await failures_of(stage, "many")
    assert of_many == [("pay", "E: two", 2), ("pay", "E: one", 1), (OTHER, OTHER, 2)]


async def test_only_one_folds_at_a_time(stage: Stage) -> None:
    await fail(stage, "once")
    async with stage.sql.transaction():
        await stage.sql.execute("SELECT pg_advisory_xact_lock(hashtext('taskmill.failure'))")
        await failures.fold(stage.maintenance_database)
        assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.failure") == 0
    await failures.fold(stage.maintenance_database)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.failure") == 3


async def test_old_steps_are_pruned_and_young_ones_stay(stage: Stage) -> None:
    await fail(stage, "old")
    await failures.fold(stage.maintenance_database)
    await stage.sql.execute(
        "UPDATE taskmill.failure SET at = at - interval '2 days';"
        "UPDATE taskmill.queue_failure SET at = at - interval '2 days'"
    )
    await failures.prune(stage.maintenance_database)
    left = await stage.sql.fetch("SELECT step_s FROM taskmill.failure ORDER BY 1")
    assert [row["step_s"] for row in left] == [3_600, 86_400]
    left = await stage.sql.fetch("SELECT step_s FROM taskmill.queue_failure ORDER BY 1")
    assert [row["step_s"] for row in left] == [3_600, 86_400]


async def test_the_tasks_of_a_kind_are_listed_and_run_again(stage: Stage) -> None:
    for number in range(2):
        await fail(stage, f"host {number}")
    await fail(stage, "other")
    wanted = TaskFilter(statuses=frozenset({Status.FAILED}), type="pay", error="E: host #")
    page = await stage.service.page(wanted, PageRequest())
    assert page.total == 2
    step = await stage.service.sweep(Sweep.RETRY, wanted, None, dry_run=False)
    assert (step.matched, step.changed) == (2, 2)


async def test_the_tasks_of_a_worker_are_listed(stage: Stage) -> None:
    lease_id, other = await stage.open_lease(), await stage.open_lease()
    taken = await stage.running(lease_id)
    await stage.running(other)
    wanted = TaskFilter(statuses=frozenset({Status.IN_PROGRESS}), lease=lease_id)
    page = await stage.service.page(wanted, PageRequest())
    assert [task.id for task in page.items] == [taken.task.id]


# A month with the most kinds possible, and failures that are not folded yet.
_MANY = """
    INSERT INTO taskmill.failure
    SELECT s, at, 'type-' || n % 20, 'E: kind ' || n, 1, at, at, gen_random_uuid()
    FROM (VALUES (600, 1), (3600, 3), (86400, 40)) AS step (s, days)
    CROSS JOIN LATERAL generate_series(now() - make_interval(days => days), now(), make_interval(secs => s)) AS at
    CROSS JOIN generate_series(1, 200) AS n
"""
_FRESH = """
    INSERT INTO taskmill.failure_delta (at, queue, type, error, task_id)
    SELECT now(), 'mail', 'type-1', 'E: kind ' || n % 300, gen_random_uuid() FROM generate_series(1, 3000) AS n
"""
_MANY_QUEUES = """
    INSERT INTO taskmill.queue_failure (step_s, queue, at, type, error, tasks, first_at, last_at, task_id)
    SELECT s, queue, at, 'type-' || n % 20, 'E: kind ' || n, 1, at, at, gen_random_uuid()
    FROM (VALUES (600, 1), (3600, 3), (86400, 40)) AS step (s, days)
    CROSS JOIN LATERAL generate_series(now() - make_interval(days => days), now(), make_interval(secs => s)) AS at
    CROSS JOIN (SELECT 'mail' AS queue UNION SELECT 'other-' || n FROM generate_series(1, 11) AS n) AS queues
    CROSS JOIN generate_series(1, 50) AS n
"""


async def test_reading_and_folding_failures_has_a_bounded_cost(stage: Stage) -> None:
    await stage.sql.execute(_MANY)
    await stage.sql.execute(_FRESH)
    await stage.sql.execute("ANALYZE taskmill.failure; ANALYZE taskmill.failure_delta")
    async with explaining(stage.database) as session:
        for step_s, seconds, steps in ((600, 3600, 7), (3600, 86_400, 25), (86_400, 2_592_000, 31)):
            rows, plan = await session.fetch("list_failures", step_s, seconds, 100, 10_000)
            assert len(rows) == 100
            assert plan.rows_read <= 200 * steps + 3000 + 10
            assert plan.pages <= 200 * steps + 500
        [row], plan = await session.fetch("fold_failures", 1000, 200, [600, 3_600, 86_400], 50)
        assert row["taken"] == 1000
        # Never the whole table: only the steps that failures fall into, a few rows each.
        assert plan.rows_read <= 2 * (1000 * 3 + 3 * 400 + 100)
        rows, plan = await session.fetch("prune_failures", 600, 0.5, 100)
        assert len(rows) == 100
        assert plan.rows_read <= 300


async def test_reading_failures_of_some_queues_costs_what_is_in_them(stage: Stage) -> None:
    await stage.sql.execute(_MANY_QUEUES)
    await stage.sql.execute(_FRESH)
    await stage.sql.execute("ANALYZE taskmill.queue_failure; ANALYZE taskmill.failure_delta")
    async with explaining(stage.database) as session:
        for step_s, seconds, steps in ((600, 3600, 7), (3600, 86_400, 25), (86_400, 2_592_000, 31)):
            rows, plan = await session.fetch(
                "list_queue_failures", step_s, seconds, 100, 10_000, ["mail"]
            )
            assert len(rows) == 100
            assert plan.rows_read <= 50 * steps + 3000 + 10
            assert plan.pages <= 50 * steps + 500
        rows, plan = await session.fetch("prune_queue_failures", 600, 0.5, 100)
        assert len(rows) == 100
        assert plan.rows_read <= 300
