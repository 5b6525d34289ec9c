"""Tasks are deleted one by one by a function of the database, which checks by itself that they may go."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.errors import IdempotencyConflict, Unavailable
from taskmill.domain.retention import LONGEST_KEEP, SHORTEST_KEEP
from taskmill.storage import pruned_tasks
from taskmill.storage.database import Database
from taskmill.storage.pruned_tasks import PrunableTasks, PrunedBatch
from tests.support.builders import a_draft, a_key
from tests.support.old_weeks import creating_at, old_week
from tests.support.pruning import DAY, DONE, a_pass, ended, made_older, pruning, remaining
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in


async def prune_by_hand(stage: Stage, ids: Sequence[UUID], others_keep: timedelta | None) -> int:
    """Call the function as a statement could that was injected into maintenance."""
    async with stage.maintenance_database.hot() as connection:
        deleted: int = await connection.fetchval(
            "SELECT taskmill.prune_tasks($1, $2)", ids, others_keep
        )
    return deleted


async def test_the_database_deletes_no_task_whose_time_is_not_over_whoever_asks(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    old = await ended(stage, "plain", ago=1.5 * DAY)
    longer = await ended(stage, "longer", ago=1.4 * DAY)
    brief = await ended(stage, "brief", 2)
    await stage.service.set_queue_keep("longer", 2 * DAY)
    await stage.service.set_queue_keep("brief", 0.5 * DAY)
    running = await stage.running(lease, queue="brief")
    waiting = await stage.created(queue="brief")
    await stage.service.retry(brief[0])
    everything = list(await remaining(stage))

    assert await prune_by_hand(stage, everything, None) == 1
    # Without a time of its own a task goes only from a week that is past it, and is kept for another queue.
    assert await prune_by_hand(stage, everything, DAY) == 0
    assert await remaining(stage) == {*old, *longer, brief[0], running.task.id, waiting.id}
    await assert_safe(stage.sql)


async def test_the_database_deletes_only_from_weeks_that_stay_what_has_no_time_of_its_own(
    stage: Stage,
) -> None:
    await old_week(stage)
    everything = list(await remaining(stage))
    await made_older(stage, everything, 60 * DAY)
    assert await prune_by_hand(stage, everything, DAY) == 0
    await stage.service.set_queue_keep("q0", LONGEST_KEEP)
    assert await prune_by_hand(stage, everything, LONGEST_KEEP) == 0
    assert await prune_by_hand(stage, everything, None) == 0
    assert await prune_by_hand(stage, everything, DAY) == 5
    await assert_safe(stage.sql)


async def test_a_task_whose_callback_is_still_to_be_delivered_stays_for_that(stage: Stage) -> None:
    [waits, _] = await ended(stage, "brief", 2)
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook_delivery (endpoint, task_id, version, position, ordinal, give_up_at) "
        "VALUES ('callback:http://a', $1, 3, 1, 0, now() + interval '1 day')",
        waits,
    )
    await a_pass(pruning(stage))
    assert await remaining(stage) == {waits}
    await stage.sql.execute(
        "UPDATE taskmill.webhook_delivery SET state = 'failed', finished_at = now()"
    )
    await a_pass(pruning(stage))
    assert await remaining(stage) == set()


async def test_the_database_deletes_a_bounded_number_at_once(stage: Stage) -> None:
    ids = [UUID(int=n) for n in range(1001)]
    assert await prune_by_hand(stage, ids[:1000], None) == 0
    with pytest.raises(asyncpg.ProgramLimitExceededError):
        await prune_by_hand(stage, ids, None)
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await prune_by_hand(stage, ids[:1], timedelta(hours=23))


async def test_a_key_never_stands_for_a_second_task_though_the_first_was_deleted(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    async with creating_at(stage, stage.clock.now() - DAY) as creation:
        await creation.create(a_draft(queue="brief", idempotency=a_key("order-1")))
    [taken] = await stage.take(lease, queue="brief")
    await stage.end(taken, lease, DONE)
    made = await stage.sql.fetchval(
        "SELECT taskmill.create_task(name => 'x', queue => 'brief', idempotency_key => 'o')"
    )
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    await made_older(stage, [taken.task.id], DAY)
    await a_pass(pruning(stage))
    assert await remaining(stage) == {made}

    with pytest.raises(IdempotencyConflict, match="was deleted"):
        await stage.creation.create(a_draft(queue="brief", idempotency=a_key("order-1")))
    with pytest.raises(IdempotencyConflict, match="was deleted"):
        await stage.creation.create_all([a_draft(queue="brief", idempotency=a_key("order-1"))])
    assert await remaining(stage) == {made}
    assert await found_in(stage.database) == {}
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now()")
    again = await stage.creation.create(a_draft(queue="brief", idempotency=a_key("order-1")))
    assert not again.replayed


async def test_a_batch_that_takes_too_long_is_tried_with_fewer_tasks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tasks with long logs may take."""
    await ended(stage, "brief", 5)
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    prune = pruned_tasks.prune
    asked: list[int] = []

    async def prune_few(
        database: Database, tasks: PrunableTasks, after: UUID, most: int
    ) -> PrunedBatch:
        asked.append(most)
        if most > 2:
            raise Unavailable(1.0, "more time")
        return await prune(database, tasks, after, most)

    monkeypatch.setattr(pruned_tasks, "prune", prune_few)
    duty, fails = pruning(stage), 0
    while await remaining(stage):
        try:
            await duty()
        except Unavailable:
            fails += 1
    assert asked[:5] == [500, 62, 7, 1, 2]
    assert fails < len(asked)
    await assert_safe(stage.sql)
