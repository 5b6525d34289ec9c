"""A claim by hint at the same time as something else: it waits, then claims or skips, and never claims twice."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import pytest

from taskmill.domain.errors import TransitionRefused
from taskmill.domain.lifecycle import Interrupted, Status
from taskmill.maintenance.expiry import expire_waiting
from taskmill.storage import claims, leases, releases
from taskmill.storage.claims import Bucket, TakenTask
from taskmill.storage.releases import HintQueue
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement
from tests.support.builders import a_draft, an_end
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_stage

HINT_QUEUE = HintQueue(queue="default", type="emulate")
BUCKET = Bucket(queue="default", type="emulate", priority=4)


async def claim(stage: Stage, lease_id: UUID, ids: list[UUID]) -> list[TakenTask]:
    return await claims.take_hinted(
        stage.database, lease_id=lease_id, worker="racer", task_ids=ids, types=None, queues=None
    )


async def release(stage: Stage, *, release_limit: int = 200, life_s: float = 10) -> list[UUID]:
    done = await releases.release(
        stage.database,
        HINT_QUEUE,
        release_limit=release_limit,
        most=1000,
        life_s=life_s,
        buckets=[(BUCKET, None)],
    )
    return list(done.task_ids)


async def claim_on(session: Connection, lease_id: UUID, ids: list[UUID]) -> list[UUID]:
    text = statement("claim_hinted_tasks", for_one=len(ids) == 1)
    rows = await session.fetch(text, lease_id, "racer", sorted(ids), None, None)
    return [row["id"] for row in rows]


@asynccontextmanager
async def a_session(stage: Stage) -> AsyncIterator[Connection]:
    """A session in a transaction that the test ends."""
    connection = await stage.database.connect()
    await connection.execute("BEGIN")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_claim_waits_for_its_release_mark_and_then_claims(stage: Stage, end: str) -> None:
    """If the row were skipped, the hint would be lost, and the task would wait until its mark expires."""
    lease_id = await stage.open_lease()
    made = [(await stage.created()).id for _ in range(3)]
    async with a_session(stage) as releasing, asyncio.TaskGroup() as group:
        await releasing.execute("UPDATE taskmill.dispatch SET released_at = now()")
        claiming = group.create_task(claim(stage, lease_id, made))
        await until_blocked(stage)
        await releasing.execute(end)
    assert sorted(one.task.id for one in claiming.result()) == sorted(made)
    await assert_safe(stage.sql)


async def test_a_release_skips_what_is_being_claimed(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    first, second = await stage.created(), await stage.created()
    async with a_session(stage) as claiming:
        assert await claim_on(claiming, lease_id, [first.id]) == [first.id]
        assert await release(stage) == [second.id]
        assert await releases.unmark(stage.database, [first.id, second.id]) == 1
        await claiming.execute("COMMIT")
    await assert_safe(stage.sql)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_of_two_claims_with_the_same_hint_one_gets_the_task(stage: Stage, end: str) -> None:
    lease_id, other = await stage.open_lease(), await stage.open_lease()
    made = [(await stage.created()).id for _ in range(3)]
    async with a_session(stage) as first, asyncio.TaskGroup() as group:
        assert len(await claim_on(first, other, made)) == 3
        second = group.create_task(claim(stage, lease_id, made))
        await until_blocked(stage)
        await first.execute(end)
    assert len(second.result()) == (0 if end == "COMMIT" else 3)
    assert {(await stage.task(task_id)).claim_no for task_id in made} == {1}
    await assert_safe(stage.sql)


async def test_a_claim_from_the_database_and_one_by_hint_share_what_waits(stage: Stage) -> None:
    lease_id, other = await stage.open_lease(), await stage.open_lease()
    made = [(await stage.created()).id for _ in range(4)]
    async with a_session(stage) as hinted:
        assert sorted(await claim_on(hinted, other, made[:2])) == sorted(made[:2])
        direct = await stage.take(lease_id)
        assert sorted(one.task.id for one in direct) == sorted(made[2:])
        await hinted.execute("COMMIT")
    assert await claim(stage, lease_id, made) == []
    await assert_safe(stage.sql)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_claim_by_hint_waits_for_a_cancel_and_skips_cancelled_tasks(
    stage: Stage, end: str
) -> None:
    lease_id = await stage.open_lease()
    doomed, other = await stage.created(), await stage.created()
    async with a_session(stage) as cancelling, asyncio.TaskGroup() as group:
        assert await cancelling.fetch(statement("cancel_waiting_tasks"), [doomed.id], "cancelled")
        claiming = group.create_task(claim(stage, lease_id, [doomed.id, other.id]))
        await until_blocked(stage)
        await cancelling.execute(end)
    claimed = {one.task.id for one in claiming.result()}
    assert claimed == ({other.id} if end == "COMMIT" else {doomed.id, other.id})
    await assert_safe(stage.sql)


async def test_a_cancel_waits_for_a_claim_by_hint_and_is_then_requested_of_the_running_task(
    stage: Stage,
) -> None:
    lease_id = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as claiming, asyncio.TaskGroup() as group:
        await claim_on(claiming, lease_id, [made.id])
        cancel = group.create_task(stage.service.cancel(made.id))
        await until_blocked(stage)
        await claiming.execute("COMMIT")
    result, task = cancel.result()
    assert (result, task.status, task.cancel_requested) == ("requested", Status.IN_PROGRESS, True)
    await assert_safe(stage.sql)


async def test_a_claim_by_hint_and_an_expiry_end_a_task_once(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    over = await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    async with a_session(stage) as expiring, asyncio.TaskGroup() as group:
        assert await expiring.fetch(statement("expire_waiting_tasks"), 10)
        # Whether it waits depends on what it checks first: the row's own expiry, or its lock.
        claiming = group.create_task(claim(stage, lease_id, [over.id]))
        await asyncio.sleep(0)
        await expiring.execute("COMMIT")
    assert claiming.result() == []
    assert (await stage.task(over.id)).status is Status.FAILED
    await assert_safe(stage.sql)


async def test_an_expiry_skips_what_a_hint_has_claimed(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    expires_at = stage.clock.now() + timedelta(seconds=2)  # time enough to claim it
    made = await stage.created(expires_at=expires_at)
    async with a_session(stage) as claiming:
        assert await claim_on(claiming, lease_id, [made.id]) == [made.id]

        async def is_over() -> bool:
            over: bool = await stage.sql.fetchval("SELECT now() > $1", expires_at)
            return over

        await eventually(is_over, "the task's expiry")
        await expire_waiting(stage.database)
        await claiming.execute("COMMIT")
    assert (await stage.task(made.id)).status is Status.IN_PROGRESS
    await assert_safe(stage.sql)


async def test_a_closed_lease_claims_nothing_by_hint_either(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as closing, asyncio.TaskGroup() as group:
        await closing.execute("SELECT FROM taskmill.lease WHERE id = $1 FOR UPDATE", lease_id)
        claiming = group.create_task(claim(stage, lease_id, [made.id]))
        await until_blocked(stage)
        await closing.execute("UPDATE taskmill.lease SET closed_at = clock_timestamp()")
        await closing.execute("COMMIT")
    assert claiming.result() == []
    assert (await stage.task(made.id)).status is Status.NEW


async def test_a_worker_that_ends_its_lease_waits_for_its_claim_by_hint(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as claiming, asyncio.TaskGroup() as group:
        await claim_on(claiming, lease_id, [made.id])
        closing = group.create_task(leases.close_lease(stage.database, lease_id, "stopped"))
        await until_blocked(stage)
        assert not closing.done()
        await claiming.execute("COMMIT")


async def test_two_relays_release_one_after_the_other_and_never_more_than_the_limit(
    stage: Stage,
) -> None:
    await stage.creation.create_all([a_draft() for _ in range(300)])
    async with a_stage(stage.url) as other, asyncio.TaskGroup() as group:
        rounds = [
            group.create_task(release((stage, other)[number % 2], release_limit=100))
            for number in range(10)
        ]
    released = Counter(task_id for round_ in rounds for task_id in round_.result())
    assert len(released) == 100
    assert set(released.values()) == {1}


async def test_a_resumed_queue_and_its_claims_do_not_block_each_other(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    made = [(await stage.created()).id for _ in range(4)]
    await release(stage)
    async with a_session(stage) as claiming, asyncio.timeout(10):
        await claim_on(claiming, lease_id, made[:2])
        await stage.service.set_queue_paused("default", paused=True)
        await stage.service.set_queue_paused("default", paused=False)
        await claiming.execute("COMMIT")
    assert sorted(await release(stage)) == sorted(made[2:])
    await assert_safe(stage.sql)


async def test_everything_that_touches_dispatch_at_once_leaves_it_sound_without_deadlocks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.faults._COLLISION_CLASS", "no deadlock is tried again")
    stop_at = stage.clock.monotonic() + 2.5
    claimed = Counter[str]()

    async def churn(side: Stage, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - no secret
        lease_id = await side.open_lease()
        while side.clock.monotonic() < stop_at:
            await _one_of_all(side, lease_id, dice, claimed)

    async with a_stage(stage.url) as other, asyncio.TaskGroup() as group:
        for seed in range(6):
            group.create_task(churn((stage, other)[seed % 2], seed))
    assert min(claimed["hinted"], claimed["direct"]) > 20
    await assert_safe(stage.sql)


async def _one_of_all(
    side: Stage, lease_id: UUID, dice: random.Random, claimed: Counter[str]
) -> None:
    async with side.database.hot() as connection:
        some = "SELECT task_id FROM taskmill.dispatch ORDER BY random() LIMIT 20"
        ids = [row["task_id"] for row in await connection.fetch(some)]
    choice = dice.randrange(8)
    if choice < 2:
        await side.creation.create_all([a_draft() for _ in range(20)])
    elif choice == 2:
        await release(side, release_limit=100, life_s=0.05)
    elif choice == 3:
        await releases.unmark(side.database, ids)
        await releases.unmark_all(side.database)
    elif choice == 4:
        for task_id in ids[:2]:
            with suppress(TransitionRefused):  # another has cancelled it meanwhile
                await side.service.cancel(task_id)
        await side.service.set_queue_paused("default", paused=False)
    else:
        is_hinted = choice < 7
        taken = await (claim(side, lease_id, ids) if is_hinted else side.take(lease_id, 10))
        claimed["hinted" if is_hinted else "direct"] += len(taken)
        ends = [an_end(one, lease_id, Interrupted()) for one in taken]
        await claims.end(side.database, ends, worker="churn")
