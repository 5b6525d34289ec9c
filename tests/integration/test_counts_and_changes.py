"""Counters, the feed of changes, and what housekeeping prunes."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from taskmill.domain.errors import TransitionRefused
from taskmill.domain.lifecycle import Failed, Interrupted, Status, Succeeded
from taskmill.maintenance.retention import numbering
from taskmill.storage import changes, counts, leases
from tests.support.builders import ERROR, a_draft, a_key
from tests.support.housekeeping import housekeeping
from tests.support.safety import assert_safe
from tests.support.stage import Stage


async def work(stage: Stage, name: str, rounds: int = 12) -> None:
    """Create, claim, end, cancel and retry, as one process of several."""
    lease = await stage.open_lease(worker=name)
    for round_ in range(rounds):
        queue = f"q{round_ % 3}"
        made = await stage.creation.create_all(
            [a_draft(queue=queue, max_attempts=2) for _ in range(4)]
        )
        with suppress(TransitionRefused):  # others may have been quicker
            await stage.service.cancel(made[0].task.id)
        for number, taken in enumerate(await stage.take(lease, 3)):
            outcome = (Succeeded(), Failed(error=ERROR), Interrupted())[number % 3]
            await stage.end(taken, lease, outcome)
        with suppress(TransitionRefused):
            await stage.service.retry(made[0].task.id)


async def test_counters_are_exact_while_others_write_and_fold(stage: Stage) -> None:
    stop = asyncio.Event()
    wrong: list[object] = []

    async def fold() -> None:
        while not stop.is_set():
            await counts.fold(stage.maintenance_database)

    async def compare(sql: "asyncpg.Connection[asyncpg.Record]") -> None:
        while not stop.is_set():
            async with sql.transaction(isolation="repeatable_read"):
                counted = await sql.fetch(
                    "SELECT queue, status, sum(tasks)::bigint FROM taskmill.task_count "
                    "GROUP BY 1, 2 HAVING sum(tasks) <> 0 ORDER BY 1, 2"
                )
                real = await sql.fetch(
                    "SELECT queue, status, count(*) FROM taskmill.current_task GROUP BY 1, 2 ORDER BY 1, 2"
                )
            if [tuple(row) for row in counted] != [tuple(row) for row in real]:
                wrong.append((counted, real))

    async with asyncio.TaskGroup() as group:
        for duty in (fold(), fold(), compare(stage.sql)):
            group.create_task(duty)
        async with asyncio.TaskGroup() as workers:
            for number in range(3):
                workers.create_task(work(stage, f"w{number}"))
        stop.set()
    assert wrong == []
    await assert_safe(stage.sql)


async def test_folding_leaves_one_row_for_each_count_that_is_not_zero(stage: Stage) -> None:
    for queue in ("a", "a", "b"):
        await stage.created(queue=queue)
    lease = await stage.open_lease()
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Succeeded())
    before = await counts.by_queue(stage.database)
    assert await counts.fold(stage.maintenance_database) is False
    assert await counts.by_queue(stage.database) == before
    assert before == {"a": {Status.SUCCEEDED: 2}, "b": {Status.SUCCEEDED: 1}}
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_count") == 2


async def test_folding_goes_on_when_there_is_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.counts.MOST_FOLDED", 3)
    for _ in range(4):
        await stage.created()
    assert await counts.fold(stage.maintenance_database) is True
    assert await counts.fold(stage.maintenance_database) is False
    assert await counts.by_queue(stage.database) == {"default": {Status.NEW: 4}}


async def positions(stage: Stage) -> list[int]:
    rows = await stage.sql.fetch(
        "SELECT position FROM taskmill.change_batch WHERE position IS NOT NULL ORDER BY position"
    )
    return [row["position"] for row in rows]


async def test_positions_are_dense_while_others_commit_and_number(stage: Stage) -> None:
    await stage.sql.execute("""
        CREATE FUNCTION public.never_twice() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'batch % is numbered twice', OLD.id; END $$;
        CREATE TRIGGER never_twice BEFORE UPDATE ON taskmill.change_batch FOR EACH ROW
        WHEN (OLD.position IS NOT NULL) EXECUTE FUNCTION public.never_twice();
    """)
    stop = asyncio.Event()

    async def number() -> None:
        number_once = numbering(stage.maintenance_database)
        while not stop.is_set():
            await number_once()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(number())
        async with asyncio.TaskGroup() as workers:
            for name in range(3):
                workers.create_task(work(stage, f"w{name}", rounds=8))
        stop.set()
    while await changes.number(stage.maintenance_database, 1000):
        pass
    numbered = await positions(stage)
    assert numbered == list(range(1, len(numbered) + 1))
    total = await stage.sql.fetchval("SELECT count(*) FROM taskmill.change_batch")
    assert len(numbered) == total > 50
    await assert_safe(stage.sql)


async def test_a_batch_that_commits_late_is_numbered_after_those_that_were(stage: Stage) -> None:
    slow = await stage.database.connect()
    await slow.execute("BEGIN")
    insert = (
        "INSERT INTO taskmill.change_batch (task_ids, versions) VALUES ('{}', '{}') RETURNING id"
    )
    late = await slow.fetchval(insert)
    early = await stage.sql.fetchval(insert)
    assert late < early
    assert await changes.number(stage.maintenance_database, 10) == 1
    await slow.execute("COMMIT")
    await slow.close()
    assert await changes.number(stage.maintenance_database, 10) == 1
    rows = await stage.sql.fetch("SELECT id, position FROM taskmill.change_batch ORDER BY position")
    assert [tuple(row) for row in rows] == [(early, 1), (late, 2)]


async def test_numbering_never_begins_after_what_may_still_commit(stage: Stage) -> None:
    """A round begins after what was numbered; a batch that commits late is below it, and before its effects."""
    numbering = changes.Numbering(stage.maintenance_database)
    for _ in range(3):
        await stage.created()
        await numbering(100)
    settled = numbering._numbered_upto
    assert settled > 0
    slow = await stage.database.connect()
    await slow.execute("BEGIN")
    await slow.fetchval("SELECT pg_current_xact_id()")
    insert = (
        "INSERT INTO taskmill.change_batch (task_ids, versions) VALUES ('{}', '{}') RETURNING id"
    )
    late = await slow.fetchval(insert)
    for _ in range(5):
        await stage.created()
        await numbering(100)
    assert numbering._numbered_upto < late
    await slow.execute("COMMIT")
    await slow.close()
    caused = await stage.sql.fetchval(insert)
    await numbering(100)
    rows = await stage.sql.fetch("SELECT id FROM taskmill.change_batch ORDER BY position DESC")
    assert [row["id"] for row in rows][:2] == [caused, late]
    for _ in range(3):
        await stage.created()
        await numbering(100)
    assert numbering._numbered_upto > late
    assert await positions(stage) == list(range(1, 14))


async def test_a_batch_whose_transaction_is_the_latest_of_all_is_numbered(stage: Stage) -> None:
    """Nothing that began after it has ended when it is searched for: a snapshot does not know of it yet."""
    numbering = changes.Numbering(stage.maintenance_database)
    for _ in range(3):
        await stage.created()
        await numbering(100)
    await stage.created()
    slow = await stage.database.connect()
    async with slow.transaction():
        await slow.fetchval("SELECT pg_current_xact_id()")
        await slow.execute(
            "INSERT INTO taskmill.change_batch (task_ids, versions) VALUES ('{}', '{}')"
        )
        await numbering(100)
        await stage.created()
        await numbering(100)
    await slow.close()
    await stage.created()
    await numbering(100)
    unnumbered = "SELECT count(*) FROM taskmill.change_batch WHERE position IS NULL"
    assert await stage.sql.fetchval(unnumbered) == 0


async def test_numbering_begins_anew_on_another_server_and_after_a_failure(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbering = changes.Numbering(stage.maintenance_database)
    for _ in range(3):
        await stage.created()
        await numbering(100)
    # Ids that a standby that took over has not given yet.
    numbering._numbered_upto += 1000
    numbering._server_since = stage.clock.now()
    await stage.created()
    await numbering(100)
    assert await positions(stage) == [1, 2, 3, 4]
    numbering._numbered_upto += 1000
    monkeypatch.setattr(stage.maintenance_database, "fetch", _failing)
    with pytest.raises(OSError, match="no way"):
        await numbering(100)
    monkeypatch.undo()
    await stage.created()
    await numbering(100)
    assert await positions(stage) == [1, 2, 3, 4, 5]


async def _failing(*_: object) -> list[asyncpg.Record]:
    raise OSError("no way there")


async def test_numbering_goes_on_in_order_and_in_parts(stage: Stage) -> None:
    for _ in range(5):
        await stage.created()
    assert [await changes.number(stage.maintenance_database, 2) for _ in range(4)] == [2, 2, 1, 0]
    rows = await stage.sql.fetch("SELECT id FROM taskmill.change_batch ORDER BY position")
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


async def test_only_one_runner_numbers_at_a_time(stage: Stage) -> None:
    await stage.created()
    other = await stage.database.connect()
    await other.execute("BEGIN")
    await other.execute("SELECT pg_advisory_xact_lock(hashtext('taskmill.change_batch'))")
    assert await changes.number(stage.maintenance_database, 10) == 0
    await other.execute("COMMIT")
    await other.close()
    assert await changes.number(stage.maintenance_database, 10) == 1


async def test_old_changes_are_pruned_but_never_the_last_position(stage: Stage) -> None:
    for _ in range(4):
        await stage.created()
    await changes.number(stage.maintenance_database, 3)
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = now() - interval '8 days'")
    assert await housekeeping(stage) is False
    assert await positions(stage) == [3]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.change_batch") == 2
    await changes.number(stage.maintenance_database, 10)
    assert await positions(stage) == [3, 4]


async def test_young_changes_stay(stage: Stage) -> None:
    for _ in range(3):
        await stage.created()
    await changes.number(stage.maintenance_database, 10)
    await housekeeping(stage)
    assert await positions(stage) == [1, 2, 3]


async def test_keys_past_their_validity_are_pruned(stage: Stage) -> None:
    for key in ("old", "young"):
        await stage.created(idempotency=a_key(key))
    await stage.sql.execute(
        "UPDATE taskmill.idempotency SET expires_at = now() - interval '1 s' WHERE key = 'old'"
    )
    await housekeeping(stage)
    rows = await stage.sql.fetch("SELECT key FROM taskmill.idempotency")
    assert [row["key"] for row in rows] == ["young"]


async def test_leases_that_ended_a_day_ago_are_pruned_unless_something_runs_under_them(
    stage: Stage,
) -> None:
    alive, young, old, holding = [await stage.open_lease() for _ in range(4)]
    await stage.running(holding)
    for lease in (young, old, holding):
        await leases.close_lease(stage.database, lease, "stopped")
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now() - interval '25 hours' WHERE id = ANY($1)",
        [old, holding],
    )
    await housekeeping(stage)
    rows = await stage.sql.fetch("SELECT id FROM taskmill.lease")
    assert {row["id"] for row in rows} == {alive, young, holding}


async def test_pruning_goes_on_when_there_is_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.maintenance.retention._MOST_AT_ONCE", 2)
    for number in range(3):
        await stage.created(idempotency=a_key(f"{number}"))
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now() - interval '1 s'")
    assert await housekeeping(stage) is True
    assert await housekeeping(stage) is False
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 0
