"""Creating, reading and changing tasks costs what is created, read and changed, however many there are."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.domain.parts import PAGE_BYTES
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.storage import tasks
from taskmill.storage.statements import columns
from taskmill.storage.task_log import LAST_CLAIM, NewLine
from taskmill.storage.waiting_shares import WaitingShare
from taskmill.wire.contracts.secret_fields import MARK
from tests.support.builders import a_draft, a_key
from tests.support.long_past import BATCH, PAGES_PER_TASK, WEEKS, claimed, pages_for_ids
from tests.support.plans import check, explaining
from tests.support.stage import Stage, a_stage


async def test_creating_costs_what_is_created(seeded: Stage) -> None:
    drafts = [
        a_draft(queue="q1", idempotency=a_key(f"{n}") if n % 2 else None) for n in range(BATCH)
    ]
    new = [seeded.creation._with_id(draft) for draft in drafts]
    rows_in = columns(map(tasks._row, tasks._ordered(new)))
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("create_tasks", *rows_in)
        assert len(rows) == BATCH
        check(plan, rows=BATCH, pages=PAGES_PER_TASK * BATCH)


async def test_creating_and_counting_tasks_with_owners_costs_what_they_are(seeded: Stage) -> None:
    new = [
        replace(one, share=WaitingShare("billing", 10) if n % 2 else None)
        for n, one in enumerate(seeded.creation.with_ids([a_draft(queue="q1")] * BATCH))
    ]
    rows_in = (*columns(map(tasks._row, new)), *tasks._shares(new))
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("create_tasks", *rows_in, for_owned=True)
        assert len(rows) == BATCH
        check(plan, rows=BATCH, pages=PAGES_PER_TASK * BATCH)
        for most in (BATCH // 2, 10):
            [row], plan = await session.fetch("sum_waiting_shares", "billing", most)
            assert (row["tasks"], row["bytes"]) == (most, 10 * most)
            check(plan, rows=most, pages=3 + most)


async def test_reading_contracts_and_held_keys_costs_what_is_requested(seeded: Stage) -> None:
    keys = [f"{n}" for n in range(BATCH)]
    scopes = ["rest"] * BATCH
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("read_contracts", 1, MARK)
        assert len(rows) == 1
        check(plan, rows=10, pages=10)
        _, plan = await session.fetch("find_any_key", "rest")
        check(plan, rows=1, pages=PAGES_PER_TASK)
        ids, owned = [uuid4()] * BATCH, ["api_key:a"] * BATCH
        _, plan = await session.fetch("find_earlier_keys", ids, owned, scopes, keys, [b""] * BATCH)
        check(plan, rows=BATCH, pages=2 * PAGES_PER_TASK * BATCH)
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
        rows, plan = await session.fetch("group_tasks", ids)
        assert sum(row["tasks"] for row in rows) == len(ids)
        check(plan, rows=len(ids), pages=WEEKS + pages_for_ids(seeded, len(ids)) + 4 * len(ids))
        numbers = [1] * len(ids)
        _, plan = await session.fetch("find_ended_attempts", ids, numbers, "w")
        check(plan, rows=len(ids), pages=5 * len(ids))


async def test_storing_lines_costs_what_is_stored_and_reading_them_what_is_read(
    seeded: Stage,
) -> None:
    rows = await seeded.sql.fetch(
        "SELECT id FROM taskmill.current_task WHERE status = 'new' LIMIT 100"
    )
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
        arguments = (rows[0]["id"], 0, 5, LAST_CLAIM, 20, 3, PAGE_BYTES, "")
        found, plan = await session.fetch("list_log_lines", *arguments)
        assert [line["seq"] for line in found] == [6, 7, 8]
        check(plan, rows=3, pages=20)
        sent: tuple[list[Any], ...] = ([11, 12], [20, 20], ["line 11", "line 12"], [])
        [row], plan = await session.fetch(
            "add_log_lines", rows[0]["id"], rows[0]["id"], 0, *sent, 1000, 2**20
        )
        assert (row["held"], row["left_out"]) == (False, 0)
        check(plan, rows=30, pages=60)


async def test_steering_one_task_costs_little(seeded: Stage) -> None:
    task_id = await seeded.sql.fetchval(
        "SELECT id FROM taskmill.current_task WHERE status = 'new' LIMIT 1"
    )
    async with explaining(seeded.database) as session:
        for name, arguments in (
            ("reschedule_task", (task_id, 1, "moved", 9, seeded.clock.now())),
            ("cancel_waiting_tasks", ([task_id], "cancelled")),
            ("run_tasks_again", ([task_id], ["cancelled"], None, 0.0)),
            ("request_cancels", ([task_id],)),
        ):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=5 * WEEKS)


async def test_steering_many_tasks_costs_what_is_steered(seeded: Stage) -> None:
    rows = await seeded.sql.fetch(
        "SELECT id FROM taskmill.current_task WHERE status = 'new' LIMIT 100"
    )
    ids = sorted(row["id"] for row in rows)
    pages = PAGES_PER_TASK * BATCH + 5 * WEEKS + 2 * pages_for_ids(seeded, BATCH)
    async with explaining(seeded.database) as session:
        for name, arguments, changed in (
            ("request_cancels", (ids,), 0),
            ("cancel_waiting_tasks", (ids, "cancelled"), BATCH),
            ("run_tasks_again", (ids, ["cancelled"], None, 0.0), BATCH),
        ):
            done, plan = await session.fetch(name, *arguments)
            assert len(done) == changed
            check(plan, rows=4 * BATCH, pages=pages)


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
        assert found.total is None, "there are more than 2,000"
        assert (found.total_at_least or 0) > len(found.items)
        assert found.next_after is not None


async def test_progress_costs_what_is_reported_and_what_is_read(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        rows, _, lease = await claimed(session, seeded)
        await session.connection.execute("""
            INSERT INTO taskmill.task_progress (task_id, claim_no, share)
            SELECT id, 1, 0.5 FROM taskmill.current_task
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
        # Of each the task, its row in `running`, and its progress.
        check(plan, rows=3 * BATCH, pages=WEEKS + 5 * pages_for_ids(seeded, BATCH))
        await session.connection.execute("""
            INSERT INTO taskmill.task_progress (task_id, claim_no)
            SELECT lpad(to_hex(n), 32, '0')::uuid, 1 FROM generate_series(1, 10000) AS n
        """)
        gone, plan = await session.fetch("prune_progress", UUID(int=0), UUID(int=2**64), BATCH)
        assert len(gone) == BATCH
        check(plan, rows=4 * BATCH, pages=PAGES_PER_TASK * BATCH + pages_for_ids(seeded, BATCH))
