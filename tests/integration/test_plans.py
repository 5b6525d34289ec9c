"""The hot statements cost what they take, whatever waits: on new, huge, unanalysed and emptied tables."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.lifecycle import ErrorInfo, Failed, Interrupted, Status, Succeeded
from taskmill.domain.parts import PAGE_BYTES
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.storage import claims, partitions, tasks
from taskmill.storage.claims import Bucket, BucketStart, TakenTask
from taskmill.storage.statements import columns
from taskmill.storage.task_log import LAST_CLAIM, NewLine
from tests.support.builders import a_draft, a_key, an_end
from tests.support.plans import Explaining, Plan, explaining
from tests.support.postgres import DatabaseServer
from tests.support.stage import Stage, a_stage

WAITING = 100_000
FINISHED = 100_000
WEEKS = 60
BATCH = 100
LAST_ID = UUID(int=2**128 - 1)
FIRST = ("", "", -1)

SEED = """
    INSERT INTO taskmill.task (
        id, name, type, queue, priority, status, run_at, created_at, max_attempts, max_losses,
        labels, source, finished_at
    )
    SELECT
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
        'task ' || n, 'emulate', 'q' || n % 3, (n % 3)::smallint, $4, at, at, 1, 3, '{}', 'seed',
        CASE WHEN $4 = 'new' THEN NULL ELSE at END
    FROM (
        SELECT n, $1::timestamptz + n * ($2::timestamptz - $1::timestamptz) / $3::integer AS at
        FROM generate_series(1, $3::integer) AS n
    ) AS numbered
"""


async def seed(url: str) -> None:
    """Sixty weeks, most tasks finished long ago, and a backlog of this week."""
    async with a_stage(url) as stage:
        now = stage.clock.now()
        for weeks_ago in range(0, WEEKS, 5):
            await partitions.ensure(stage.database, now - timedelta(weeks=weeks_ago))
        sql = stage.sql
        # What a test puts there is rolled back. If these tables were analysed meanwhile, they would have pages
        # without rows, and a plan made by that may read all of them.
        for table in ("lease", "task_minute", "task_minute_delta"):
            await sql.execute(f"ALTER TABLE taskmill.{table} SET (autovacuum_enabled = off)")
        await sql.execute("SET session_replication_role = replica")
        old = now - timedelta(weeks=WEEKS - 6)
        await sql.execute(SEED, old, now - timedelta(hours=9), FINISHED, "succeeded")
        await sql.execute(SEED, now - timedelta(hours=8), now, WAITING, "new")
        await sql.execute("""
            INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
            SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE status = 'new'
        """)
        await sql.execute("""
            INSERT INTO taskmill.task_count (queue, status, tasks)
            SELECT queue, status, count(*) FROM taskmill.task GROUP BY 1, 2
        """)


@pytest.fixture(scope="module")
def seeded_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """A database with a long past and a long backlog; tests undo what they do to it."""
    url = database_server.create(template=database_template)
    database_server.run(seed(url))
    yield url
    database_server.drop(url)


async def test_pruning_changes_reads_no_more_than_it_may_prune(stage: Stage) -> None:
    await stage.sql.execute("""
        INSERT INTO taskmill.change_batch (task_ids, versions, position)
        SELECT '{}', '{}', n FROM generate_series(1, 20000) AS n
    """)
    async with explaining(stage.database) as session:
        _, plan = await session.fetch("prune_changes", 7.0, 50)
        check(plan, rows=110, pages=100)


@pytest.fixture(params=["unanalysed", "full", "empty"])
async def seeded(seeded_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The seeded database with statistics of all kinds: none, of the backlog, of a drained `dispatch`."""
    async with a_stage(seeded_url) as stage:
        if request.param == "full":
            await stage.sql.execute("ANALYZE taskmill.dispatch, taskmill.task")
        if request.param == "empty":
            await stage.sql.execute(
                "BEGIN; DELETE FROM taskmill.dispatch; ANALYZE taskmill.dispatch;"
            )
            statistics = await stage.sql.fetchval(
                "SELECT reltuples FROM pg_class WHERE relname = 'dispatch'"
            )
            assert statistics == 0
            await stage.sql.execute("ROLLBACK")
            await stage.sql.execute(
                "UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE relname LIKE 'dispatch%'"
            )
        yield stage


def pages_for_ids(stage: Stage, count: int) -> int:
    """Pages that `id = ANY(…)` may touch: before 17, PostgreSQL searches every week for every id."""
    descents = 1 if stage.sql.get_server_version().major >= 17 else WEEKS
    return 3 * descents * count


def check(plan: Plan, *, rows: float, pages: int, name: str = "") -> None:
    """Fail when the plan has a part that can cost O(backlog), or has cost more than allowed."""
    assert plan.faults == [], name
    assert plan.rows_read <= rows, f"{name} {plan.rows_read} rows read"
    assert plan.pages <= pages, f"{name} {plan.pages} pages"


async def claimed(session: Explaining, stage: Stage) -> tuple[list[asyncpg.Record], Plan, UUID]:
    """Claim a batch over all buckets."""
    lease = await stage.open_lease()
    buckets = await session.connection.fetch(_BUCKETS)
    arguments = [list(column) for column in zip(*buckets, strict=True)] or [[], [], []]
    starts: list[list[object]] = [
        [datetime(1, 1, 1, tzinfo=UTC)] * len(buckets),
        [UUID(int=0)] * len(buckets),
    ]
    rows, plan = await session.fetch("claim_tasks", lease, "w", BATCH, *arguments, *starts)
    return rows, plan, lease


_BUCKETS = """
    SELECT DISTINCT queue, type, priority FROM taskmill.dispatch ORDER BY priority DESC, queue, type
"""


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


# A batch touches, for each task: dispatch, task, two indexes more, history, counters; each some pages deep.
PAGES_PER_TASK = 30


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


async def test_a_single_row_is_read_from_its_own_week(seeded: Stage) -> None:
    """However many weeks there are."""
    some = await seeded.sql.fetchval(_A_WAITING_TASK)
    async with explaining(seeded.database) as session:
        lease = await seeded.open_lease()
        for outcome in (Interrupted(), Succeeded(result="1")):
            rows, plan = await session.fetch(
                "claim_hinted_tasks", lease, "w", [some], None, None, for_one=True
            )
            check_for_one(plan)
            end = an_end(claims._taken(rows[0]), lease, outcome)
            name, of = (
                ("succeed_attempts", claims._success)
                if isinstance(outcome, Succeeded)
                else ("end_attempts", claims._row)
            )
            ended, plan = await session.fetch(name, *columns([of(end)]), "w", for_one=True)
            assert ended[0]["id"] == some
            check_for_one(plan)
        found, plan = await session.fetch("get_tasks", [some], for_one=True)
        check_for_one(plan)
        assert found[0]["status"] == "succeeded"


_A_WAITING_TASK = "SELECT task_id FROM taskmill.dispatch ORDER BY task_id DESC LIMIT 1"


def check_for_one(plan: Plan) -> None:
    """Fail when the plan has opened more than one week of tasks."""
    check(plan, rows=5, pages=3 * PAGES_PER_TASK)
    tables = [
        node["Relation Name"]
        for node in plan.nodes()
        if "Scan" in node["Node Type"] and "Relation Name" in node
    ]
    weeks = [table for table in tables if re.fullmatch(r"task_(\d+w\d+|default)", table)]
    assert len(weeks) == 1, weeks


async def test_creating_costs_what_is_created(seeded: Stage) -> None:
    drafts = [
        a_draft(queue="q1", idempotency=a_key(f"{n}") if n % 2 else None) for n in range(BATCH)
    ]
    new = [seeded.creation._with_id(draft) for draft in drafts]
    rows_in = columns(map(tasks._row, sorted(new, key=tasks._key_order)))
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("create_tasks", *rows_in)
        assert len(rows) == BATCH
        check(plan, rows=BATCH, pages=PAGES_PER_TASK * BATCH)


async def test_reading_contracts_and_held_keys_costs_what_is_requested(seeded: Stage) -> None:
    keys = [f"{n}" for n in range(BATCH)]
    scopes = ["rest"] * BATCH
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("read_contracts", 1)
        assert len(rows) == 1
        check(plan, rows=10, pages=10)
        for name in ("find_live_keys", "await_keys"):
            _, plan = await session.fetch(name, scopes, keys)
            check(plan, rows=BATCH, pages=PAGES_PER_TASK * BATCH)


async def test_reading_costs_what_is_read(seeded: Stage) -> None:
    some = await seeded.sql.fetch("SELECT id FROM taskmill.task TABLESAMPLE SYSTEM (1) LIMIT 100")
    ids = [row["id"] for row in some]
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("get_tasks", ids)
        assert len(rows) == len(ids)
        # A week's index is two or three pages deep; then the task, and its progress.
        pages = WEEKS + pages_for_ids(seeded, len(ids)) + 2 * len(ids)
        check(plan, rows=len(ids), pages=pages)
        rows, plan = await session.fetch("list_events", ids[0], 0, 11, PAGE_BYTES)
        check(plan, rows=10, pages=20)
        numbers = [1] * len(ids)
        _, plan = await session.fetch("find_ended_attempts", ids, numbers, "w")
        check(plan, rows=len(ids), pages=5 * len(ids))


async def test_storing_lines_costs_what_is_stored_and_reading_them_what_is_read(
    seeded: Stage,
) -> None:
    rows = await seeded.sql.fetch("SELECT id FROM taskmill.task WHERE status = 'new' LIMIT 100")
    async with explaining(seeded.database) as session:
        now = seeded.clock.now()
        # Ten lines of each; for half of the tasks of a claim that a later one has superseded.
        lines = [
            NewLine(row["id"], -(n % 2), seq, now, 20, None, f"line {seq}", None)
            for n, row in enumerate(rows)
            for seq in range(1, 11)
        ]
        [row], plan = await session.fetch("store_log_lines", *columns(lines))
        assert row["fenced"] == 5 * BATCH
        check(plan, rows=20 * BATCH, pages=PAGES_PER_TASK * 10 * BATCH)
        arguments = (rows[0]["id"], 0, 5, LAST_CLAIM, 20, 3, PAGE_BYTES)
        found, plan = await session.fetch("list_log_lines", *arguments)
        assert [line["seq"] for line in found] == [6, 7, 8]
        check(plan, rows=3, pages=20)
        sent: tuple[list[Any], ...] = ([11, 12], [20, 20], ["line 11", "line 12"], [])
        [row], plan = await session.fetch(
            "add_log_lines", rows[0]["id"], rows[0]["id"], 0, *sent, 1000, 2**20
        )
        assert (row["held"], row["left_out"]) == (False, 0)
        check(plan, rows=30, pages=60)


async def test_finding_buckets_costs_as_much_as_there_are_buckets(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("find_buckets", None, None, 1000, *FIRST)
        assert len(rows) == 3
        # Rows that other tests deleted may still be in the index; the backlog has 20 times as many pages.
        check(plan, rows=10, pages=300)
        _, plan = await session.fetch("list_queues")
        check(plan, rows=20, pages=20)
        _, plan = await session.fetch("find_oldest_due", ["q0", "q1", "q2"], 1000)
        check(plan, rows=10, pages=300)


async def test_counting_releases_costs_as_much_as_there_are_buckets(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        await session.connection.execute("UPDATE taskmill.dispatch SET released_at = now()")
        await session.connection.execute(
            "INSERT INTO taskmill.queue (name) VALUES ('q0'), ('q1'), ('q2') ON CONFLICT DO NOTHING"
        )
        rows, plan = await session.fetch("count_released", None, 10.0, 1000, 10_000, BATCH)
        assert {row["tasks"] for row in rows} == {BATCH}
        check(plan, rows=4 * BATCH, pages=20 * BATCH)
        _, plan = await session.fetch("find_hint_queues", 1000)
        check(plan, rows=30, pages=100)


async def test_removing_all_marks_costs_what_it_reads(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        await session.connection.execute("UPDATE taskmill.dispatch SET released_at = now()")
        [row], plan = await session.fetch("unmark_all_tasks", UUID(int=0), BATCH)
        assert (row["unmarked"], row["last_id"] is None) == (BATCH, False)
        check(plan, rows=4 * BATCH, pages=PAGES_PER_TASK * BATCH)


async def test_an_audit_costs_what_it_reads(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        waiting = await session.connection.fetchval(
            "SELECT min(id::text)::uuid FROM taskmill.task WHERE status = 'new'"
        )
        rows, plan = await session.fetch("audit_tasks", waiting, LAST_ID, BATCH)
        assert len(rows) == BATCH
        ids = (waiting, rows[-1]["id"])
        # Each task is searched in `dispatch`; each week for the first of its tasks.
        check(plan, rows=2 * BATCH + WEEKS, pages=10 * BATCH + 10 * WEEKS)
        _, plan = await session.fetch("audit_entries", *ids)
        check(plan, rows=BATCH + WEEKS, pages=10 * BATCH)
        strays, plan = await session.fetch("audit_stray_dispatch", *ids)
        assert strays == []
        check(plan, rows=2 * BATCH, pages=10 * BATCH + pages_for_ids(seeded, BATCH))
        _, plan = await session.fetch("last_task_id")
        check(plan, rows=3 + WEEKS, pages=25 * WEEKS)
        _, plan = await session.fetch("audit_keys", "", "", BATCH)
        check(plan, rows=2 * BATCH, pages=10 * BATCH)
        _, plan = await session.fetch("audit_rejections", UUID(int=0), BATCH)
        check(plan, rows=2 * BATCH, pages=10 * BATCH)
        _, plan = await session.fetch("audit_overdue", 120.0, 1000, *FIRST)
        # Of each of nine buckets the first row of `dispatch`, its task, and the row of its queue.
        check(plan, rows=3 * 9, pages=300)


async def test_an_audit_of_the_feed_costs_what_it_reads(stage: Stage) -> None:
    await stage.sql.execute("""
        INSERT INTO taskmill.change_batch (task_ids, versions, position)
        SELECT '{}', '{}', nullif(n, 20000) FROM generate_series(1, 20000) AS n
    """)
    async with explaining(stage.database) as session:
        moment = stage.clock.now()
        _, plan = await session.fetch("audit_positions", 500, BATCH, moment)
        check(plan, rows=2 * BATCH, pages=BATCH)
        for name, arguments in (("audit_feed_start", (7.0,)), ("audit_unnumbered", ())):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=20)


async def test_steering_one_task_costs_little(seeded: Stage) -> None:
    task_id = await seeded.sql.fetchval("SELECT id FROM taskmill.task WHERE status = 'new' LIMIT 1")
    async with explaining(seeded.database) as session:
        for name, arguments in (
            ("cancel_waiting_tasks", ([task_id], "cancelled")),
            ("run_tasks_again", ([task_id], ["cancelled"])),
            ("request_cancels", ([task_id],)),
        ):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=5 * WEEKS)


async def test_steering_many_tasks_costs_what_is_steered(seeded: Stage) -> None:
    rows = await seeded.sql.fetch("SELECT id FROM taskmill.task WHERE status = 'new' LIMIT 100")
    ids = sorted(row["id"] for row in rows)
    pages = PAGES_PER_TASK * BATCH + 5 * WEEKS + 2 * pages_for_ids(seeded, BATCH)
    async with explaining(seeded.database) as session:
        for name, arguments, changed in (
            ("request_cancels", (ids,), 0),
            ("cancel_waiting_tasks", (ids, "cancelled"), BATCH),
            ("run_tasks_again", (ids, ["cancelled"]), BATCH),
        ):
            done, plan = await session.fetch(name, *arguments)
            assert len(done) == changed
            check(plan, rows=4 * BATCH, pages=pages)


async def test_housekeeping_does_not_read_what_waits(seeded: Stage) -> None:
    # On a slow machine the leases of earlier tests have run out by now.
    await seeded.sql.execute("UPDATE taskmill.lease SET expires_at = now() + interval '1 hour'")
    async with explaining(seeded.database) as session:
        for name, arguments in (
            ("expire_waiting_tasks", (1000,)),
            ("close_expired_leases", ()),
            ("find_stranded_tasks", (1000,)),
            ("find_attempts_of_lease", (seeded.ids(),)),
            ("find_cancel_requested", (seeded.ids(),)),
            ("prune_keys", (1000,)),
            ("number_changes", (1000, 0)),
            ("find_unnumbered", (0,)),
            ("first_stray_id", ()),
        ):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=10 * WEEKS, name=name)


async def test_activity_is_read_and_rolled_up_without_reading_tasks(seeded: Stage) -> None:
    """The cost is the number of steps, queues and types, whatever other steps have."""
    async with explaining(seeded.database) as session:
        await session.connection.execute(_ROLLED)
        for step_s, window_s, rows_of_step in (
            (60, 300.0, 60),
            (3600, 86_400.0, 250),
            (86_400, 2.592e6, 310),
        ):
            rows, plan = await session.fetch("read_minutes", step_s, window_s, None, None, 1000)
            assert len(rows) > 10
            check(plan, rows=2 * rows_of_step + 1000, pages=4 * rows_of_step + 1000)
        _, plan = await session.fetch("claimed_per_second", "q1", None, 300.0)
        check(plan, rows=600, pages=600)
        [row], plan = await session.fetch("roll_up", 60, 0, BATCH, 100, 100)
        assert row["taken"] == BATCH
        check(plan, rows=BATCH + 700, pages=30 * BATCH)
        [row], plan = await session.fetch("roll_up", 600, 60, BATCH, 100, 100)
        assert row["taken"] == BATCH
        check(plan, rows=4 * BATCH, pages=30 * BATCH)
        rows, plan = await session.fetch("prune_minutes", 60, 1.0, BATCH, False)  # noqa: FBT003
        assert len(rows) == BATCH
        check(plan, rows=2 * BATCH, pages=10 * BATCH)


# Rows of 10 queues: some minutes are past their retention, the latest 15 of a step not carried; and deltas.
_ROLLED = """
    WITH made AS (
        INSERT INTO taskmill.task_minute (
            step_s, at, queue, type, carried, created, claimed, succeeded, failed, retry_scheduled, handed_back,
            lost, expired, cancelled, run_again, waiting, waiting_s, running, running_s
        )
        SELECT
            s, at, 'q' || queue, 'emulate', s < 86400 AND at < now() - make_interval(secs => 15 * s),
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
        FROM (VALUES (60, 1.1), (600, 7), (3600, 30), (21600, 30), (86400, 30)) AS step (s, days)
        CROSS JOIN LATERAL generate_series(
            date_bin(make_interval(secs => s), now() - make_interval(secs => days * 86400), '2000-01-01Z'),
            now(), make_interval(secs => s)
        ) AS at
        CROSS JOIN generate_series(0, 9) AS queue
    )
    INSERT INTO taskmill.task_minute_delta (queue, type, happening, bucket, tasks, seconds)
    SELECT 'q' || n % 10, 'emulate', 'claimed', n % 100, 1, 1 FROM generate_series(1, 500) AS n
"""


async def test_finding_requested_cancels_reads_none_of_the_other_running_tasks(
    seeded: Stage,
) -> None:
    lease = await seeded.open_lease()
    async with explaining(seeded.database) as session:
        await session.connection.execute(_RUNNING, lease)
        _, plan = await session.fetch("find_cancel_requested", lease)
        check(plan, rows=0, pages=3 * WEEKS)
        await session.connection.execute(_REQUESTED, lease)
        rows, plan = await session.fetch("find_cancel_requested", lease)
        assert len(rows) == 3
        check(plan, rows=3, pages=3 * WEEKS)


_RUNNING = """
    UPDATE taskmill.task
    SET status = 'in_progress', lease_id = $1, claim_no = claim_no + 1, version = version + 1
    WHERE id = ANY(ARRAY(SELECT id FROM taskmill.task WHERE status = 'new' LIMIT 5000))
"""
_REQUESTED = """
    UPDATE taskmill.task SET cancel_requested = true, version = version + 1
    WHERE id = ANY(ARRAY(SELECT id FROM taskmill.task WHERE lease_id = $1 LIMIT 3))
"""


async def test_statements_are_right_on_a_database_that_was_just_made(stage: Stage) -> None:
    await stage.service.create_all([a_draft() for _ in range(BATCH)])
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


async def test_lists_of_a_long_past_are_quick_and_their_totals_exact_or_bounded(
    seeded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_stage(seeded_url) as stage:
        counted = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
        page = await stage.service.page(TaskFilter(), PageRequest())
        assert (len(page.items), page.total) == (50, counted)
        rare = TaskFilter(queue="q1", statuses=frozenset({Status.FAILED}))
        assert (await stage.service.page(rare, PageRequest())).items == []
        monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 0.003)
        found = await stage.service.page(
            TaskFilter(name="task 7", statuses=frozenset({Status.SUCCEEDED})), PageRequest(limit=10)
        )
        assert (found.total, found.total_at_least) == (None, len(found.items) + 1)
        assert found.next_after is not None


async def test_progress_costs_what_is_reported_and_what_is_read(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        rows, _, lease = await claimed(session, seeded)
        await session.connection.execute("""
            INSERT INTO taskmill.task_progress (task_id, claim_no, share)
            SELECT id, 1, 0.5 FROM taskmill.task
        """)
        # As if it was analysed while it was empty: it fills and empties faster than that happens.
        await session.connection.execute("""
            UPDATE pg_class SET reltuples = 0, relpages = 100 WHERE relname LIKE 'task_progress%'
        """)
        reports = sorted((row["id"], lease, row["claim_no"], 0.5, "half") for row in rows)
        for _ in range(2):
            stored, plan = await session.fetch("store_progress", *columns(reports))
            assert len(stored) == BATCH
            check(plan, rows=3 * BATCH, pages=PAGES_PER_TASK * BATCH)
        found, plan = await session.fetch("get_tasks", [row["id"] for row in rows])
        assert {row["progress_message"] for row in found} == {"half"}
        check(plan, rows=2 * BATCH, pages=WEEKS + 3 * pages_for_ids(seeded, BATCH))
        await session.connection.execute("""
            INSERT INTO taskmill.task_progress (task_id, claim_no)
            SELECT lpad(to_hex(n), 32, '0')::uuid, 1 FROM generate_series(1, 10000) AS n
        """)
        gone, plan = await session.fetch("prune_progress", UUID(int=0), UUID(int=2**64), BATCH)
        assert len(gone) == BATCH
        check(plan, rows=4 * BATCH, pages=PAGES_PER_TASK * BATCH + pages_for_ids(seeded, BATCH))


async def test_a_remote_lease_costs_what_runs_under_it(seeded: Stage) -> None:
    """Whatever else runs, and however many leases there are."""
    pages = PAGES_PER_TASK * BATCH + 5 * WEEKS + 2 * pages_for_ids(seeded, BATCH)
    async with explaining(seeded.database) as session:
        await claimed(session, seeded)
        rows, _, lease = await claimed(session, seeded)
        ids = [row["id"] for row in rows]
        await session.connection.execute(_REMOTE_LEASES)
        await session.connection.execute(
            "UPDATE taskmill.lease SET remote = true, task_ids = $2, timeout_at = now() WHERE id = $1",
            lease,
            ids,
        )
        await session.connection.execute(
            "UPDATE taskmill.task SET timeout_s = 0, version = version + 1 WHERE id = ANY($1)",
            ids[:10],
        )
        fences = (ids, [lease] * BATCH, [1] * BATCH)
        for name, arguments, found in (
            ("find_attempts_of_remote_lease", (lease,), BATCH),
            ("find_remote_attempts", fences, BATCH),
            ("renew_remote_leases", ([lease], [None]), 1),
            ("find_timed_out_attempts", (1000,), 10),
            ("find_own_ends", fences, 0),
            ("find_remote_lease", (lease,), 1),
            ("settle_remote_leases", ([lease], "finished"), 1),
        ):
            found_rows, plan = await session.fetch(name, *arguments)
            assert len(found_rows) == found, name
            check(plan, rows=4 * BATCH, pages=pages, name=name)


_REMOTE_LEASES = """
    INSERT INTO taskmill.lease (
        id, worker, queues, types, slots, expires_at, remote, task_ids, timeout_at)
    SELECT gen_random_uuid(), 'w', '{}', '{x}', 1, now() + interval '1 hour', true,
        ARRAY[gen_random_uuid()], now() + interval '1 hour'
    FROM generate_series(1, 10000)
"""
