"""One kind of failures: what is counted of it, its sample, and what operators decide."""

from uuid import UUID

import pytest

from taskmill.domain.activity import Window
from taskmill.domain.audit import AuditAction
from taskmill.domain.error_kinds import kind_id
from taskmill.domain.errors import FailureKindNotFound
from taskmill.domain.failures import KindDetails, KindState
from taskmill.domain.lifecycle import Succeeded
from taskmill.storage import failures
from tests.support.audit import entries
from tests.support.failing import fail
from tests.support.plans import explaining
from tests.support.stage import Stage

KIND = "E in shop.call"
ID = kind_id(KIND)


async def succeed(stage: Stage, **parts: object) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, **parts)
    await stage.end(taken, lease_id, Succeeded())


async def got(stage: Stage, window: Window = Window.HOUR) -> KindDetails:
    return await stage.service.failures.get(ID, window)


async def test_a_kind_is_counted_by_queue_and_type_before_and_after_it_is_folded(
    stage: Stage,
) -> None:
    for queue, type_ in (("mail", "pay"), ("mail", "send")):
        await fail(stage, queue=queue, type=type_, place="shop.call")
    last = await fail(stage, queue="news", type="send", place="shop.call")
    await fail(stage, "another", queue="other")
    for is_folded in (False, True):
        if is_folded:
            await failures.fold(stage.maintenance_database)
        found = await got(stage)
        assert found.kind.kind == KIND
        assert found.queues == {"mail": 2, "news": 1}
        assert found.types == {"send": 2, "pay": 1}
        assert (found.kind.tasks, found.kind.task_id) == (3, last)
        assert sum(point.tasks for point in found.kind.trend) == 3


async def test_a_kind_without_failures_in_the_window_is_shown_without_a_trend(stage: Stage) -> None:
    await fail(stage, place="shop.call")
    await stage.sql.execute("UPDATE taskmill.failure_delta SET at = at - interval '5 days'")
    await failures.fold(stage.maintenance_database)
    found = await got(stage)
    assert (found.kind.kind, found.kind.tasks, found.kind.trend, found.queues) == (KIND, 0, [], {})
    assert (await got(stage, Window.WEEK)).kind.tasks == 1


async def test_an_unknown_kind_is_none(stage: Stage) -> None:
    await fail(stage, "another")
    with pytest.raises(FailureKindNotFound):
        await got(stage)
    with pytest.raises(FailureKindNotFound):
        await stage.service.failures.decide(ID, KindState.RESOLVED)
    assert (
        await stage.sql.fetchval("SELECT count(*) FROM taskmill.failure_kind WHERE state <> 'open'")
        == 0
    )


async def test_a_sample_has_those_that_are_still_failed_and_what_to_compare_them_with(
    stage: Stage,
) -> None:
    ids = [
        await fail(stage, f"call {number}", place="shop.call", labels='{"zone":"eu"}')
        for number in range(3)
    ]
    await stage.service.retry(ids[1])
    await succeed(stage, type="pay", labels='{"zone":"us"}')
    await succeed(stage, type="other", labels='{"zone":"eu"}')
    sample = await stage.service.failures.sample(await got(stage))
    assert [one.id for one in sample.failed] == [ids[2], ids[0]]
    assert [one.message for one in sample.failed] == ["call 2", "call 0"]
    assert {one.worker for one in sample.failed} == {"tester"}
    assert sample.succeeded == [{"zone": "us"}]
    [label] = sample.labels
    assert (label.key, label.value, label.failed, label.succeeded) == ("zone", "eu", 1.0, 0.0)


async def test_what_is_resolved_comes_back_when_it_fails_again_and_what_is_ignored_does_not(
    stage: Stage,
) -> None:
    await fail(stage, place="shop.call")
    for state, afterwards in (
        (KindState.RESOLVED, KindState.CAME_BACK),
        (KindState.IGNORED, KindState.IGNORED),
        (KindState.OPEN, KindState.OPEN),
    ):
        await stage.service.failures.decide(ID, state)
        decided = await got(stage)
        assert decided.kind.state is state
        assert decided.kind.state_at is not None
        await failures.fold(stage.maintenance_database)
        assert (await got(stage)).kind.state is state
        await fail(stage, place="shop.call")
        assert (await got(stage)).kind.state is afterwards
        await failures.fold(stage.maintenance_database)
        assert (await got(stage)).kind.state is afterwards


async def test_each_decision_is_recorded(stage: Stage) -> None:
    await fail(stage, place="shop.call")
    await stage.service.failures.decide(ID, KindState.RESOLVED)
    await stage.service.failures.decide(ID, KindState.IGNORED)
    await stage.service.failures.decide(ID, KindState.OPEN)
    recorded = await entries(stage)
    assert [(one.action, one.target_type, one.target_id) for one in recorded] == [
        (AuditAction.FAILURE_REOPEN, "failure", ID),
        (AuditAction.FAILURE_IGNORE, "failure", ID),
        (AuditAction.FAILURE_RESOLVE, "failure", ID),
    ]
    assert KIND in (recorded[0].done or "")
    assert (await got(stage)).kind.state_by == recorded[0].origin.actor.name


async def test_a_sample_reads_a_bounded_number_of_tasks(stage: Stage) -> None:
    for _ in range(12):
        await fail(stage, place="shop.call")
    for _ in range(12):
        await succeed(stage, type="pay")
    await stage.sql.execute("ANALYZE taskmill.task")
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch("sample_failures", KIND, None, 5, 3)
        assert len(rows) == 3
        assert plan.rows_read <= 5 + 3 * 2
        rows, plan = await session.fetch("sample_successes", ["pay"], None, 4)
        assert len(rows) == 4
        assert plan.rows_read <= 4


async def test_a_frequent_label_is_looked_for_in_a_bounded_number_of_tasks(stage: Stage) -> None:
    for _ in range(12):
        await fail(stage, place="shop.call")
        await fail(stage, place="shop.pay", labels='{"team":"a"}')
    await failures.fold(stage.maintenance_database)
    await stage.sql.execute("ANALYZE taskmill.task, taskmill.failure_kind")
    label = "find_kinds_of_frequent_label", '{"team":"a"}', UUID(int=0), None
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch(*label, 10, 5)
        assert [row["kind"] for row in rows] == ["E in shop.pay"]
        assert plan.rows_read <= 2 + 5 + 1
        assert plan.faults == []
        rows, _ = await session.fetch(*label, 1, 5)
        assert [row["kind"] for row in rows] == ["E in shop.pay"]
