"""Claims and their ends cost what they take, whatever waits: on new, huge, unanalysed and emptied tables."""

import re
from uuid import UUID

import asyncpg

from taskmill.domain.lifecycle import ErrorInfo, Failed, Interrupted, Outcome, Succeeded
from taskmill.storage import claims
from taskmill.storage.claims import Bucket, BucketStart, TakenTask
from taskmill.storage.statements import columns
from tests.support.builders import a_draft, an_end
from tests.support.long_past import (
    BATCH,
    FIRST,
    PAGES_PER_TASK,
    RUNNING,
    WEEKS,
    claimed,
    much_runs,
    pages_for_ids,
)
from tests.support.plans import Explaining, Plan, check, explaining
from tests.support.stage import Stage, a_stage

_FAILED = Failed(error=ErrorInfo(type="E", message="m"))


async def ended(session: Explaining, rows: list[asyncpg.Record], lease: UUID) -> Plan:
    ends = [an_end(claims._taken(row), lease, _FAILED) for row in rows]
    done, plan = await session.fetch("end_attempts", *columns(map(claims._row, ends)), "w")
    assert len(done) == len(rows)
    return plan


async def succeeded(session: Explaining, rows: list[asyncpg.Record], lease: UUID) -> Plan:
    ends = [an_end(claims._taken(row), lease, Succeeded(result="1")) for row in rows]
    done, plan = await session.fetch("succeed_attempts", *columns(map(claims._success, ends)), "w")
    assert len(done) == len(rows)
    return plan


async def test_a_claim_and_its_end_cost_what_they_take(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        rows, plan, lease = await claimed(session, seeded)
        assert len(rows) == BATCH
        pages = PAGES_PER_TASK * BATCH + 5 * WEEKS + pages_for_ids(seeded, BATCH)
        check(plan, rows=4 * BATCH, pages=pages)
        half = BATCH // 2
        for end, some in ((ended, rows[:half]), (succeeded, rows[half:])):
            plan = await end(session, some, lease)
            check(plan, rows=4 * half, pages=PAGES_PER_TASK * half + 5 * WEEKS, name=end.__name__)


async def test_an_end_reads_nothing_else_that_runs(seeded: Stage) -> None:
    """Also by statistics from when nothing ran."""
    async with explaining(seeded.database) as session:
        rows, _, lease = await claimed(session, seeded)
        await much_runs(session, lease)
        half = BATCH // 2
        for end, some in ((ended, rows[:half]), (succeeded, rows[half:])):
            plan = await end(session, some, lease)
            check(plan, rows=4 * half, pages=PAGES_PER_TASK * half + 5 * WEEKS, name=end.__name__)


async def test_a_single_row_is_read_from_its_own_week(seeded: Stage) -> None:
    """However many weeks there are."""
    async with explaining(seeded.database) as session:
        rows, _, lease = await claimed(session, seeded)
        outcomes: list[Outcome] = [Interrupted(), Succeeded(result="1")]
        for row, outcome in zip(rows, outcomes, strict=False):
            end = an_end(claims._taken(row), lease, outcome)
            name, of = (
                ("succeed_attempts", claims._success)
                if isinstance(outcome, Succeeded)
                else ("end_attempts", claims._row)
            )
            ended, plan = await session.fetch(name, *columns([of(end)]), "w", for_one=True)
            assert ended[0]["id"] == row["id"]
            check_for_one(plan)
        found, plan = await session.fetch("get_tasks", [rows[1]["id"]], for_one=True)
        check_for_one(plan)
        assert found[0]["status"] == "succeeded"


def check_for_one(plan: Plan) -> None:
    """Fail when the plan has opened more than one week of tasks."""
    check(plan, rows=5, pages=3 * PAGES_PER_TASK)
    tables = [
        node["Relation Name"]
        for node in plan.nodes()
        if "Scan" in node["Node Type"] and "Relation Name" in node
    ]
    weeks = [table for table in tables if re.fullmatch(r"task_(\d+w\d+|default)", table)]
    assert len(set(weeks)) == 1, weeks


async def test_finding_requested_cancels_reads_none_of_the_other_running_tasks(
    seeded: Stage,
) -> None:
    lease = await seeded.open_lease()
    async with explaining(seeded.database) as session:
        await session.connection.execute(RUNNING, lease)
        _, plan = await session.fetch("find_cancel_requested", lease)
        check(plan, rows=0, pages=3 * WEEKS)
        await session.connection.execute(_REQUESTED, lease)
        rows, plan = await session.fetch("find_cancel_requested", lease)
        assert len(rows) == 3
        check(plan, rows=3, pages=3 * WEEKS)


_REQUESTED = """
    UPDATE taskmill.running SET cancel_requested_at = now(), version = version + 1
    WHERE task_id = ANY(ARRAY(SELECT task_id FROM taskmill.running WHERE lease_id = $1 LIMIT 3))
"""


async def test_statements_are_right_on_a_database_that_was_just_made(stage: Stage) -> None:
    await stage.creation.create_all([a_draft() for _ in range(BATCH)])
    async with explaining(stage.database) as session:
        rows, plan, lease = await claimed(session, stage)
        assert len(rows) == BATCH
        check(plan, rows=4 * BATCH, pages=PAGES_PER_TASK * BATCH)
        half = BATCH // 2
        for end, some in ((ended, rows[:half]), (succeeded, rows[half:])):
            plan = await end(session, some, lease)
            check(plan, rows=4 * half, pages=PAGES_PER_TASK * half, name=end.__name__)
        _, plan = await session.fetch("find_buckets", None, None, 1000, *FIRST)
        check(plan, rows=BATCH, pages=50)


async def test_a_claim_at_sixty_weeks_takes_milliseconds(seeded_url: str) -> None:
    """Measured 2026-11 at claims of 100: 3 to 5 ms each way; the limit leaves room for a busy machine."""
    async with a_stage(seeded_url) as stage:
        lease, times = await stage.open_lease(), []
        buckets = [
            (Bucket(queue=f"q{n}", type="emulate", priority=n), BucketStart()) for n in range(3)
        ]
        for _ in range(12):
            began = stage.clock.monotonic()
            taken: list[TakenTask] = await claims.take(
                stage.database, lease_id=lease, worker="w", buckets=buckets, limit=BATCH
            )
            between = stage.clock.monotonic()
            ends = [an_end(one, lease, Succeeded()) for one in taken]
            assert len(await claims.end(stage.database, ends, worker="w")) == BATCH
            times.append((between - began, stage.clock.monotonic() - between))
        assert min(claim for claim, _ in times) < 0.05
        assert min(end for _, end in times) < 0.05


async def test_a_remote_lease_costs_what_runs_under_it(seeded: Stage) -> None:
    """Whatever else runs, also by statistics from when nothing ran, and however many leases there are."""
    pages = PAGES_PER_TASK * BATCH + 5 * WEEKS + 2 * pages_for_ids(seeded, BATCH)
    async with explaining(seeded.database) as session:
        rows, _, lease = await claimed(session, seeded)
        ids = [row["id"] for row in rows]
        await a_remote_lease(session, lease, ids)
        fences = (ids, [lease] * BATCH, [1] * BATCH)
        statements: list[tuple[str, tuple[object, ...], int]] = [
            ("find_attempts_of_remote_lease", (lease,), BATCH),
            ("find_remote_attempts", fences, BATCH),
            ("renew_remote_leases", ([lease], [None]), 1),
            ("find_timed_out_attempts", (1000,), 10),
            ("find_own_ends", fences, 0),
            ("find_remote_lease", (lease,), 1),
            ("settle_remote_leases", ([lease], "finished"), 1),
        ]
        await claimed(session, seeded)
        for name, arguments, found in statements:
            found_rows, plan = await session.fetch(name, *arguments)
            assert len(found_rows) == found, name
            check(plan, rows=4 * BATCH, pages=pages, name=name)
        await much_runs(session, await seeded.open_lease())
        for name, arguments, found in statements:
            found_rows, plan = await session.fetch(name, *arguments)
            assert len(found_rows) == found, name
            check(plan, rows=4 * BATCH, pages=pages, name=name)


async def a_remote_lease(session: Explaining, lease: UUID, ids: list[UUID]) -> None:
    """Make it one that names its tasks, ten of which have run too long, among many others."""
    await session.connection.execute(_REMOTE_LEASES)
    await session.connection.execute(
        "UPDATE taskmill.lease SET remote = true, task_ids = $2, timeout_at = now() WHERE id = $1",
        lease,
        ids,
    )
    await session.connection.execute("SET LOCAL session_replication_role = replica")
    await session.connection.execute(
        "UPDATE taskmill.task SET timeout_s = 0 WHERE id = ANY($1)", ids[:10]
    )
    await session.connection.execute("SET LOCAL session_replication_role = origin")


_REMOTE_LEASES = """
    INSERT INTO taskmill.lease (
        id, worker, queues, types, slots, expires_at, remote, task_ids, timeout_at)
    SELECT gen_random_uuid(), 'w', '{}', '{x}', 1, now() + interval '1 hour', true,
        ARRAY[gen_random_uuid()], now() + interval '1 hour'
    FROM generate_series(1, 10000)
"""


async def test_verify_finds_what_runs_by_its_key(seeded: Stage) -> None:
    """Also by statistics from when nothing ran."""
    lease = await seeded.open_lease()
    async with explaining(seeded.database) as session:
        await much_runs(session, lease)
        first = await session.connection.fetchval(
            "SELECT min(task_id::text)::uuid FROM taskmill.running"
        )
        _, plan = await session.fetch("verify_tasks", first, UUID(int=2**128 - 1), BATCH, None)
        check(plan, rows=5 * BATCH + WEEKS, pages=20 * BATCH + 10 * WEEKS)


async def test_rescue_reads_no_task_that_does_not_run(seeded: Stage) -> None:
    """Also if `running` has pages, and was never analysed."""
    lease = await seeded.open_lease()
    async with explaining(seeded.database) as session:
        await session.connection.execute(RUNNING, lease)
        found, plan = await session.fetch("find_stranded_tasks", 1000)
        assert found == []
        check(plan, rows=2 * 5000, pages=10 * 5000)
