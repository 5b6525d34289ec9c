"""Two sessions at the same time: whichever is first, nothing is lost, doubled or stranded."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.errors import TaskmillError
from taskmill.domain.lifecycle import Failed, Interrupted, Lost, Outcome, Status, Succeeded
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import claims, leases
from taskmill.storage.claims import AttemptEnd
from taskmill.storage.servers import Connection
from taskmill.storage.statements import columns, statement
from tests.support.builders import ERROR, a_draft, a_key, an_end
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_stage


async def claim_with(
    connection: Connection, lease_id: UUID, limit: int = 10
) -> list[asyncpg.Record]:
    """Claim from the ordinary bucket on a session that the test holds."""
    return await connection.fetch(
        statement("claim_tasks"),
        lease_id,
        "racer",
        limit,
        ["default"],
        ["emulate"],
        [4],
        [datetime(1, 1, 1, tzinfo=UTC)],
        [UUID(int=0)],
    )


@asynccontextmanager
async def a_session(stage: Stage) -> AsyncIterator[Connection]:
    """A session in a transaction that the test ends."""
    connection = await stage.database.connect()
    await connection.execute("BEGIN")
    yield connection
    await connection.close()


def a_rescue(stage: Stage) -> Rescue:
    """A rescue for which the database has answered long enough."""
    rescue = Rescue(
        stage.maintenance_database, ttl_s=1, interval_s=1, name="rescue", clock=stage.clock
    )
    rescue._reachable_since = float("-inf")
    return rescue


async def test_a_claim_in_flight_keeps_rescue_from_closing_its_lease(stage: Stage) -> None:
    """If the lease were closed under it, the task could be claimed after the second step of rescue, for ever."""
    lease = await stage.open_lease()
    made = await stage.created()
    rescue = a_rescue(stage)
    async with a_session(stage) as claiming:
        assert len(await claim_with(claiming, lease)) == 1
        # The lease runs out while the claim is under way: its lock is shared, as for a renewal.
        await stage.sql.execute(
            "UPDATE taskmill.lease SET expires_at = clock_timestamp() - interval '1 s'"
        )
        await rescue()
        closed = "SELECT closed_at FROM taskmill.lease WHERE id = $1"
        assert await stage.sql.fetchval(closed, lease) is None
        await claiming.execute("COMMIT")
    await rescue()
    task = await stage.task(made.id)
    assert (task.status, task.losses) == (Status.NEW, 1)
    await assert_safe(stage.sql)


async def test_a_claim_waits_for_a_rescue_that_closes_its_lease_and_takes_nothing(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    await stage.created()
    async with a_session(stage) as rescuing, a_session(stage) as claiming:
        await rescuing.execute("SELECT FROM taskmill.lease WHERE id = $1 FOR UPDATE", lease)
        async with asyncio.TaskGroup() as group:
            claim = group.create_task(claim_with(claiming, lease))
            await until_blocked(stage)
            await rescuing.execute("UPDATE taskmill.lease SET closed_at = clock_timestamp()")
            await rescuing.execute("COMMIT")
        assert claim.result() == []
        await claiming.execute("COMMIT")
    await assert_safe(stage.sql)


async def test_a_worker_that_ends_its_lease_waits_for_its_claim_in_flight(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as claiming, asyncio.TaskGroup() as group:
        await claim_with(claiming, lease)
        closing = group.create_task(leases.close_lease(stage.database, lease, "stopped"))
        await until_blocked(stage)
        assert not closing.done()
        await claiming.execute("COMMIT")
    await a_rescue(stage)()
    assert (await stage.task(made.id)).status is Status.NEW
    await assert_safe(stage.sql)


async def test_the_tasks_of_a_lease_are_read_after_its_claim_in_flight(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as claiming, asyncio.TaskGroup() as group:
        await claim_with(claiming, lease)
        reading = group.create_task(claims.find_of_lease(stage.database, lease))
        await until_blocked(stage)
        await claiming.execute("COMMIT")
    assert [held.fence.task_id for held in reading.result()] == [made.id]


async def test_a_renewal_does_not_wait_for_a_claim(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.created()
    async with a_session(stage) as claiming, asyncio.timeout(5):
        await claim_with(claiming, lease)
        async with stage.database.hot() as connection:
            assert await leases.renew_lease(connection, lease, ttl_s=60, running=0)
        await claiming.execute("COMMIT")


async def test_a_cancel_waits_for_a_claim_and_is_then_requested_of_the_running_task(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as claiming, asyncio.TaskGroup() as group:
        await claim_with(claiming, lease)
        cancel = group.create_task(stage.service.cancel(made.id))
        await until_blocked(stage)
        await claiming.execute("COMMIT")
    result, task = cancel.result()
    assert (result, task.status, task.cancel_requested) == ("requested", Status.IN_PROGRESS, True)
    await assert_safe(stage.sql)


async def test_a_cancel_whose_claim_rolled_back_cancels_the_waiting_task(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created()
    async with a_session(stage) as claiming, asyncio.TaskGroup() as group:
        await claim_with(claiming, lease)
        cancel = group.create_task(stage.service.cancel(made.id))
        await until_blocked(stage)
        await claiming.execute("ROLLBACK")
    assert cancel.result()[0] == "cancelled"
    await assert_safe(stage.sql)


async def test_a_claim_skips_a_task_that_is_being_cancelled(stage: Stage) -> None:
    lease = await stage.open_lease()
    doomed, other = await stage.created(), await stage.created()
    async with a_session(stage) as cancelling:
        assert await cancelling.fetch(statement("cancel_waiting_tasks"), [doomed.id], "cancelled")
        taken = await stage.take(lease)
        assert [one.task.id for one in taken] == [other.id]
        await cancelling.execute("COMMIT")
    assert (await stage.task(doomed.id)).status is Status.CANCELLED
    await assert_safe(stage.sql)


async def test_a_cancel_that_meets_the_end_of_the_attempt_finds_it_finished(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    async with a_session(stage) as ending, asyncio.TaskGroup() as group:
        await _end_within(ending, an_end(taken, lease, Succeeded(result="1")))
        cancel = group.create_task(_cancelled(stage, taken.task.id))
        await until_blocked(stage)
        await ending.execute("COMMIT")
    assert cancel.result() == "refused"
    assert (await stage.task(taken.task.id)).result == "1"
    await assert_safe(stage.sql)


async def _end_within(transaction: Connection, end: AttemptEnd) -> None:
    """Do what `claims.end` does, and leave the commit to the caller."""
    is_success = end.transition.status is Status.SUCCEEDED
    name = "succeed_attempts" if is_success else "end_attempts"
    row = claims._success(end) if is_success else claims._row(end)
    await transaction.fetch(statement(name, for_one=True), *columns([row]), "racer")


async def _cancelled(stage: Stage, task_id: UUID) -> str:
    try:
        return (await stage.service.cancel(task_id))[0]
    except TaskmillError:
        return "refused"


async def test_a_pause_is_obeyed_by_every_claim_that_begins_after_it(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.creation.create_all([a_draft() for _ in range(300)])
    paused = asyncio.Event()
    late: list[int] = []

    async def claim() -> None:
        async with a_session(stage) as connection:
            await connection.execute("COMMIT")
            for _ in range(60):
                began_after = paused.is_set()
                taken = await claim_with(connection, lease, limit=1)
                if began_after:
                    late.append(len(taken))

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(claim())
        await stage.service.set_queue_paused("default", paused=True)
        paused.set()
    assert late
    assert sum(late) == 0
    await assert_safe(stage.sql)


async def test_of_a_finish_and_a_rescue_the_first_wins_and_the_other_changes_nothing(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    for first, status in ((Succeeded(result="1"), "succeeded"), (Lost(), "new")):
        second = Lost() if isinstance(first, Succeeded) else Succeeded(result="2")
        taken = await stage.running(lease)
        async with a_session(stage) as ending, asyncio.TaskGroup() as group:
            await _end_within(ending, an_end(taken, lease, first))
            later = group.create_task(stage.end(taken, lease, second))
            await until_blocked(stage)
            await ending.execute("COMMIT")
        assert later.result() is None
        assert (await stage.task(taken.task.id)).status == status
    await assert_safe(stage.sql)


async def test_two_workers_never_claim_the_same_task(stage: Stage) -> None:
    made = await stage.creation.create_all([a_draft() for _ in range(400)])
    async with a_stage(stage.url) as other:
        sides = [(side, await side.open_lease()) for side in (stage, other) for _ in range(3)]

        async def claim(side: Stage, lease: UUID) -> list[UUID]:
            mine: list[UUID] = []
            while taken := await side.take(lease, 7):
                mine += [one.task.id for one in taken]
            return mine

        async with asyncio.TaskGroup() as group:
            claiming = [group.create_task(claim(*side)) for side in sides]
    claimed = Counter(task_id for task in claiming for task_id in task.result())
    assert set(claimed.values()) == {1}
    assert claimed.keys() <= {created.task.id for created in made}
    async with a_session(stage) as rest:
        claimed.update(row["id"] for row in await claim_with(rest, sides[0][1], 400))
        await rest.execute("COMMIT")
    assert len(claimed) == 400
    await assert_safe(stage.sql)


async def test_everything_at_once_leaves_a_sound_database_and_no_deadlock(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes create, claim, end, cancel, retry, rescue and expire the same few tasks."""
    monkeypatch.setattr("taskmill.storage.faults._COLLISION_CLASS", "no deadlock is tried again")
    stop_at, steps = stage.clock.monotonic() + 2.5, itertools.count()

    async def churn(side: Stage, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - no secret
        lease = await side.open_lease()
        # On a machine that has much else to do it takes longer.
        while next(steps) < 2000 or side.clock.monotonic() < stop_at:
            await _one_of_all(side, lease, dice)

    async with a_stage(stage.url) as other, asyncio.TaskGroup() as group:
        for seed in range(6):
            group.create_task(churn((stage, other)[seed % 2], seed))
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_history") > 500
    await assert_safe(stage.sql)


async def _one_of_all(side: Stage, lease: UUID, dice: random.Random) -> None:
    some = "SELECT id FROM taskmill.task ORDER BY random() LIMIT 3"
    ids = [row["id"] for row in await _fetch(side, some)]
    choice = dice.randrange(7)
    if choice in (0, 1):
        keys = dice.sample(range(9), 4)
        await _tried(
            side.creation.create_all(
                [a_draft(idempotency=a_key(f"{key}"), max_attempts=2) for key in keys]
            )
        )
    elif choice in (2, 3):
        taken = await side.take(lease, dice.randint(1, 5))
        outcomes: list[Outcome] = [Succeeded(), Failed(error=ERROR), Interrupted(), Lost()]
        ends = [an_end(one, lease, dice.choice(outcomes)) for one in taken]
        dice.shuffle(ends)
        await claims.end(side.database, ends, worker="churn")
    elif choice == 4:
        for task_id in ids:
            await _tried(side.service.cancel(task_id))
    elif choice == 5:
        for task_id in ids:
            await _tried(side.service.retry(task_id))
    else:
        await a_rescue(side)()
        await expire_waiting(side.maintenance_database)


async def _fetch(side: Stage, query: str) -> list[asyncpg.Record]:
    async with side.database.hot() as connection:
        return await connection.fetch(query)


async def _tried(work: Awaitable[object]) -> None:
    try:
        await work
    except TaskmillError:
        return
