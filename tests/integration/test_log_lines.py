"""Lines in the database: fenced by the claim, stored once without blocking anybody, and read page by page."""

import asyncio
from datetime import timedelta

import pytest

from taskmill.domain.lifecycle import Interrupted, Lost, Succeeded
from taskmill.domain.task_log import LineFilter, LineLevel, LinePosition
from taskmill.storage import task_log
from taskmill.storage.statements import columns, statement
from tests.support.log_lines import a_line, stored_lines
from tests.support.polling import eventually
from tests.support.stage import Stage


async def test_lines_of_the_current_claim_are_stored_in_order(stage: Stage) -> None:
    taken = await stage.running(await stage.open_lease())
    batch = [
        a_line(taken, stage, 2, level=40, logger="billing", message="no\\x00w", fields='{"a":1}'),
        a_line(taken, stage, 1, fields='{"nul":"\\u0000"}'),
    ]
    assert await task_log.store(stage.database, batch) == 2
    first, second = await stored_lines(stage, taken.task.id)
    assert (first.seq, first.level, first.logger, first.message) == (1, "info", None, "line 1")
    assert first.fields == '{"nul":"\\u0000"}'
    assert (second.claim_no, second.level, second.logger) == (1, LineLevel.ERROR, "billing")
    assert second.at == batch[0].at


async def test_lines_that_were_written_after_the_next_claim_began_are_left_out(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    first = await stage.running(lease)
    assert await task_log.store(stage.database, [a_line(first, stage, 1)]) == 1
    await stage.end(first, lease, Lost())
    # Nobody has claimed it since: the line is from the latest claim.
    assert await task_log.store(stage.database, [a_line(first, stage, 2)]) == 1
    [second] = await stage.take(lease)
    late_at = stage.clock.now() + timedelta(seconds=1)
    late = [a_line(one, stage, 3, at=late_at) for one in (first, second)]
    assert await task_log.store(stage.database, late) == 1
    await stage.end(second, lease, Lost())
    [third] = await stage.take(lease)
    later = [a_line(one, stage, 4, at=late_at) for one in (first, second, third)]
    assert await task_log.store(stage.database, later) == 1
    stored = [line.position for line in await stored_lines(stage, first.task.id)]
    assert stored == [(1, 1), (1, 2), (2, 3), (3, 4)]


async def test_lines_that_were_written_in_time_are_stored_however_late_they_come(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    in_time = []
    for seq in range(1, 4):
        in_time.append(a_line(taken, stage, seq))
        await stage.end(taken, lease, Interrupted())
        [taken] = await stage.take(lease)
    assert await task_log.store(stage.database, in_time[::-1]) == 3
    stored = [line.position for line in await stored_lines(stage, taken.task.id)]
    assert stored == [(1, 1), (2, 2), (3, 3)]


async def test_lines_that_come_after_the_finish_of_their_claim_are_stored(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await stage.end(taken, lease, Succeeded())
    assert await task_log.store(stage.database, [a_line(taken, stage)]) == 1
    await stage.service.retry(taken.task.id)
    assert await task_log.store(stage.database, [a_line(taken, stage, 2)]) == 1
    early = a_line(taken, stage, 3)
    await stage.take(lease)
    late = a_line(taken, stage, 4, at=stage.clock.now() + timedelta(seconds=1))
    assert await task_log.store(stage.database, [early, late]) == 1


async def test_the_same_lines_again_change_nothing(stage: Stage) -> None:
    taken = await stage.running(await stage.open_lease())
    batch = [a_line(taken, stage, seq) for seq in range(1, 6)]
    assert await task_log.store(stage.database, batch[:3]) == 3
    assert await task_log.store(stage.database, batch) == 5
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(task_log.store(stage.database, batch))
    assert len(await stored_lines(stage, taken.task.id)) == 5


async def test_lines_of_a_task_that_is_gone_are_left_out(stage: Stage) -> None:
    taken = await stage.running(await stage.open_lease())
    stray = a_line(taken, stage, task_id=stage.ids())
    assert await task_log.store(stage.database, [stray]) == 0
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_log") == 0


async def test_storing_lines_and_writing_their_task_do_not_block_each_other(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    async with asyncio.timeout(10):
        async with stage.sql.transaction():
            await stage.sql.execute(
                "SELECT FROM taskmill.task WHERE id = $1 FOR UPDATE", taken.task.id
            )
            assert await task_log.store(stage.database, [a_line(taken, stage)]) == 1
        async with stage.database.hot_transaction() as connection:
            lines = columns([a_line(taken, stage, 2)])
            await connection.fetch(statement("store_log_lines"), *lines)
            assert await stage.end(taken, lease, Interrupted()) is not None
            [again] = await stage.take(lease)
    assert again.task.claim_no == 2
    assert len(await stored_lines(stage, taken.task.id)) == 2


@pytest.mark.parametrize("stored_before", [0, 3])
async def test_storing_lines_takes_the_tables_in_the_order_in_which_a_week_is_dropped(
    stage: Stage, stored_before: int
) -> None:
    taken = await stage.running(await stage.open_lease())
    for seq in range(1, 1 + stored_before):
        await task_log.store(stage.database, [a_line(taken, stage, seq)])

    async def one_waits() -> bool:
        waiting = "relation = 'taskmill.task'::regclass AND NOT granted"
        return bool(await stage.sql.fetch(f"SELECT FROM pg_locks WHERE {waiting}"))

    async with asyncio.timeout(20), asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE ONLY taskmill.task IN ACCESS EXCLUSIVE MODE")
        group.create_task(task_log.store(stage.database, [a_line(taken, stage, 9)]))
        await eventually(one_waits, "somebody to wait for the tasks")
        for table in ("task_event", "task_log"):
            await stage.sql.execute(
                f"LOCK TABLE ONLY taskmill.{table} IN ACCESS EXCLUSIVE MODE NOWAIT"
            )
    assert (await stored_lines(stage, taken.task.id))[-1].seq == 9


async def test_pages_go_on_where_the_one_before_ended(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=3)
    for _ in range(3):
        levels = [10, 20, 30, 40, 50]
        lines = [a_line(taken, stage, n, level=level) for n, level in enumerate(levels, 1)]
        await task_log.store(stage.database, lines)
        await stage.end(taken, lease, Interrupted())
        [taken] = await stage.take(lease)

    async def read(wanted: LineFilter, limit: int) -> list[tuple[int, int]]:
        after, seen = LinePosition(), list[tuple[int, int]]()
        while page := await task_log.page(
            stage.database, taken.task.id, wanted, after=after, limit=limit
        ):
            after = page[-1].position
            seen += [line.position for line in page]
            assert len(page) <= limit
        return seen

    every = [(claim, seq) for claim in (1, 2, 3) for seq in range(1, 6)]
    for limit in (1, 4, 5, 100):
        assert await read(LineFilter(), limit) == every
        second = [one for one in every if one[0] == 2]
        assert await read(LineFilter(claim_no=2), limit) == second
        grave = [one for one in every if one[1] >= 4]
        assert await read(LineFilter(level=LineLevel.ERROR), limit) == grave
        assert await read(LineFilter(claim_no=3, level=LineLevel.CRITICAL), limit) == [(3, 5)]
    assert await read(LineFilter(claim_no=9), 10) == []
