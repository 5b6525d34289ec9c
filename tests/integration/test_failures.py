"""Failures by type and error: each is counted once, however it is folded, and the kinds are bounded."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from taskmill.domain.activity import Window
from taskmill.domain.failures import WINDOWS, FailurePage, KindFilter, KindOrder
from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.domain.system import PageRequest, Sweep, TaskFilter
from taskmill.maintenance.expiry import expire_waiting
from taskmill.storage import failures
from tests.support.plans import explaining
from tests.support.stage import Stage


async def fail(
    stage: Stage,
    message: str,
    *,
    kind: str = "pay",
    error: str = "E",
    queue: str = "default",
    place: str | None = None,
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, type=kind, queue=queue)
    outcome = Failed(error=ErrorInfo(type=error, message=message, place=place))
    await stage.end(taken, lease_id, outcome)
    assert (await stage.task(taken.task.id)).status is Status.FAILED


async def read_failures(stage: Stage, limit: int = 100) -> FailurePage:
    return await stage.service.failures.page(KindFilter(window=Window.HOUR), limit=limit)


def counted(found: FailurePage) -> list[tuple[str, int, datetime, datetime, UUID]]:
    return [(one.kind, one.tasks, one.first_at, one.last_at, one.task_id) for one in found.items]


async def failures_of(stage: Stage, *queues: str) -> list[tuple[str, int]]:
    wanted = KindFilter(window=Window.HOUR)
    found = await failures.read(stage.database, wanted, KindOrder.MOST, limit=100, visible=queues)
    others = [("others", found.other_tasks)] if found.other_tasks else []
    return [(one.kind, one.tasks) for one in found.items] + others


async def test_failures_count_the_same_before_and_after_they_are_folded(stage: Stage) -> None:
    for number in range(3):
        await fail(stage, f"no answer from host {number}")
    await fail(stage, "something else")
    before = await read_failures(stage)
    assert [(one.kind, one.tasks) for one in before.items] == [
        ("E: no answer from host #", 3),
        ("E: something else", 1),
    ]
    assert (before.kinds, before.tasks) == (2, 4)
    assert before.items[0].first_at < before.items[0].last_at
    assert await failures.fold(stage.maintenance_database) is False
    assert counted(await read_failures(stage)) == counted(before)
    await fail(stage, "no answer from host 9")
    await failures.fold(stage.maintenance_database)
    after = (await read_failures(stage)).items[0]
    assert (after.tasks, after.first_at) == (4, before.items[0].first_at)
    assert (await stage.task(after.task_id)).finished_at == after.last_at
    assert [
        (await stage.service.failures.page(KindFilter(window=one), limit=9)).tasks
        for one in WINDOWS
    ] == [5] * 4


async def test_an_expired_task_is_a_failure_and_a_cancelled_one_is_not(stage: Stage) -> None:
    task = await stage.created()
    await stage.service.cancel(task.id)
    assert (await read_failures(stage)).tasks == 0
    late = await stage.created(expires_at=stage.clock.now() + timedelta(seconds=1))
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET expires_at = now() WHERE task_id = $1", late.id
    )
    await expire_waiting(stage.maintenance_database)
    assert [one.task_id for one in (await read_failures(stage)).items] == [late.id]


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
    found = await read_failures(stage)
    assert {one.kind: one.tasks for one in found.items} == {"E: one": 2, "E: two": 2}
    assert (found.tasks, found.other_tasks) == (4, 2)


async def test_failures_of_some_queues_count_the_same_before_and_after_they_are_folded(
    stage: Stage,
) -> None:
    for queue, message in (("mail", "full"), ("mail", "full"), ("news", "full"), ("other", "away")):
        await fail(stage, message, queue=queue)
    for _ in range(2):
        assert await failures_of(stage, "mail") == [("E: full", 2)]
        assert await failures_of(stage, "mail", "news") == [("E: full", 3)]
        assert await failures_of(stage, "none") == []
        assert (await read_failures(stage)).tasks == 4
        await failures.fold(stage.maintenance_database)
    await fail(stage, "full", queue="mail")
    await failures.fold(stage.maintenance_database)
    assert await failures_of(stage, "mail") == [("E: full", 3)]


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
    assert sorted(await failures_of(stage, "few")) == [("E: also", 1), ("E: rare", 1)]
    of_many = await failures_of(stage, "many")
    assert of_many == [("E: two", 2), ("E: one", 1), ("others", 2)]


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
        "UPDATE taskmill.queue_failure SET at = at - interval '2 days';"
        "INSERT INTO taskmill.failure_kind SELECT 'older', kind, message, first_at,"
        " last_at - interval '41 days', task_id FROM taskmill.failure_kind"
    )
    await failures.prune(stage.maintenance_database)
    left = await stage.sql.fetch("SELECT step_s FROM taskmill.failure ORDER BY 1")
    assert [row["step_s"] for row in left] == [3_600, 86_400]
    left = await stage.sql.fetch("SELECT kind FROM taskmill.failure_kind WHERE id <> 'older'")
    assert [row["kind"] for row in left] == ["E: old"]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.failure_kind") == 1
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


async def test_types_are_listed_under_the_kind_that_their_failures_have_in_common(
    stage: Stage,
) -> None:
    for kind in ("pay", "refund", "refund"):
        await fail(stage, f"{kind} went wrong", kind=kind, place="shop.bank.call")
    for is_folded in (False, True):
        if is_folded:
            await failures.fold(stage.maintenance_database)
        [one] = (await read_failures(stage)).items
        assert (one.kind, one.tasks) == ("E in shop.bank.call", 3)
        assert sorted(one.types) == ["pay", "refund"]
    [one] = (await read_failures(stage)).items
    assert one.message == "refund went wrong"


async def test_a_kind_is_noted_once_with_when_it_was_seen_first_and_last(stage: Stage) -> None:
    for number in range(2):
        await fail(stage, f"host {number} is away")
        await failures.fold(stage.maintenance_database)
    [row] = await stage.sql.fetch("SELECT * FROM taskmill.failure_kind")
    [one] = (await read_failures(stage)).items
    assert (row["id"], row["kind"], row["message"]) == (one.id, one.kind, "host # is away")
    assert (row["first_at"], row["last_at"], row["task_id"]) == (
        one.first_at,
        one.last_at,
        one.task_id,
    )
    assert row["first_at"] < row["last_at"]


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


# Each kind of the window is read from the table of kinds, or all of these.
KINDS = 500


def listing(step_s: int, seconds: float, queues: list[str] | None) -> tuple[object, ...]:
    """Return the arguments of a listing of 100 kinds without a filter."""
    nothing, until_now = (None, None, None), (None, None)
    page = ("most", None, None, True, None)
    return (step_s, seconds, 100, 10_000, queues, *nothing, *page, *until_now)


async def test_reading_and_folding_failures_has_a_bounded_cost(stage: Stage) -> None:
    await stage.sql.execute(_MANY)
    await stage.sql.execute(_FRESH)
    await stage.sql.execute("ANALYZE taskmill.failure; ANALYZE taskmill.failure_delta")
    async with explaining(stage.database) as session:
        for step_s, seconds, steps in ((600, 3600, 7), (3600, 86_400, 25), (86_400, 2_592_000, 31)):
            rows, plan = await session.fetch("list_failures", *listing(step_s, seconds, None))
            assert len(rows) == 100
            assert plan.rows_read <= 200 * steps + 3000 + KINDS
            assert plan.pages <= 200 * steps + 500 + KINDS
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
            rows, plan = await session.fetch("list_failures", *listing(step_s, seconds, ["mail"]))
            assert len(rows) == 100
            assert plan.rows_read <= 50 * steps + 3000 + KINDS
            assert plan.pages <= 50 * steps + 500 + KINDS
        rows, plan = await session.fetch("prune_queue_failures", 600, 0.5, 100)
        assert len(rows) == 100
        assert plan.rows_read <= 300
