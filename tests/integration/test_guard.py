"""The database itself refuses what the domain does not allow: every pair of statuses, tried for real."""

from itertools import product
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.lifecycle import TERMINAL, Status, is_allowed
from tests.support.stage import Stage

# What the program's own statements set along with each status.
ALONG: dict[Status, str] = {
    Status.NEW: "lease_id = NULL, finished_at = NULL",
    Status.IN_PROGRESS: "lease_id = $2, finished_at = NULL",
    Status.SUCCEEDED: "lease_id = NULL, finished_at = now()",
    Status.FAILED: "lease_id = NULL, finished_at = now()",
    Status.CANCELLED: "lease_id = NULL, finished_at = now()",
}


async def a_task_that_is(stage: Stage, status: Status) -> UUID:
    """Bring a task to a status on an allowed way."""
    task_id = (await stage.created(max_attempts=9)).id
    await stage.sql.execute("DELETE FROM taskmill.dispatch")
    way = [] if status is Status.NEW else [Status.IN_PROGRESS, status]
    for step in dict.fromkeys(way):
        await change(stage, task_id, step)
    return task_id


async def change(stage: Stage, task_id: UUID, to: Status, **parts: str) -> None:
    """Write a status the way the program does, but for the parts that are said otherwise."""
    before = await stage.sql.fetchval("SELECT status FROM taskmill.task WHERE id = $1", task_id)
    usual: dict[str, str] = {"version": "version + 1"}
    if to is Status.IN_PROGRESS and before == Status.NEW:
        usual |= {"claim_no": "claim_no + 1", "attempt": "attempt + 1"}
    if to is Status.NEW and before in TERMINAL:
        usual |= {"run": "run + 1", "attempt": "0", "losses": "0"}
    changes = ", ".join(f"{name} = {value}" for name, value in (usual | parts).items())
    lease = await stage.sql.fetchval("SELECT lease_id FROM taskmill.task WHERE id = $1", task_id)
    await stage.sql.execute(
        f"UPDATE taskmill.task SET status = '{to}', {ALONG[to]}, {changes} "  # noqa: S608 - our own names
        "WHERE id = $1 AND ($2::uuid IS NULL OR true)",
        task_id,
        lease or stage.ids(),
    )


async def test_exactly_the_allowed_pairs_of_statuses_pass(stage: Stage) -> None:
    passed = set()
    for before, after in product(Status, Status):
        task_id = await a_task_that_is(stage, before)
        try:
            await change(stage, task_id, after)
        except asyncpg.CheckViolationError as error:
            assert error.constraint_name == "task_transition"  # noqa: PT017 - the others are of interest
        else:
            passed.add((before, after))
    allowed = {pair for pair in product(Status, Status) if is_allowed(*pair)}
    # A waiting or running task may also change in place: a new due time, a cancel that is asked.
    staying = {(Status.NEW, Status.NEW), (Status.IN_PROGRESS, Status.IN_PROGRESS)}
    assert passed == allowed | staying


WRONG_CHANGES: list[tuple[Status, Status, dict[str, str]]] = [
    (Status.NEW, Status.IN_PROGRESS, {"version": "version"}),
    (Status.NEW, Status.IN_PROGRESS, {"version": "version + 2"}),
    (Status.NEW, Status.IN_PROGRESS, {"claim_no": "claim_no"}),
    (Status.NEW, Status.IN_PROGRESS, {"claim_no": "claim_no + 2"}),
    (Status.NEW, Status.IN_PROGRESS, {"run": "run + 1"}),
    (Status.NEW, Status.CANCELLED, {"claim_no": "claim_no + 1"}),
    (Status.NEW, Status.FAILED, {"run": "run + 1"}),
    (Status.NEW, Status.NEW, {"version": "version"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"version": "version"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"version": "version - 1"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"claim_no": "claim_no + 1"}),
    (Status.IN_PROGRESS, Status.NEW, {"claim_no": "claim_no - 1"}),
    (Status.IN_PROGRESS, Status.NEW, {"run": "run + 1"}),
    (Status.IN_PROGRESS, Status.IN_PROGRESS, {"claim_no": "claim_no + 1"}),
    (Status.FAILED, Status.NEW, {"run": "run"}),
    (Status.FAILED, Status.NEW, {"run": "run + 2"}),
    (Status.FAILED, Status.NEW, {"attempt": "attempt"}),
    (Status.FAILED, Status.NEW, {"losses": "1"}),
    (Status.FAILED, Status.NEW, {"claim_no": "0"}),
    (Status.FAILED, Status.NEW, {"version": "1"}),
    (Status.NEW, Status.IN_PROGRESS, {"id": "gen_random_uuid()"}),
]


async def test_numbers_that_do_not_go_with_a_transition_are_refused(stage: Stage) -> None:
    passed = []
    for before, after, parts in WRONG_CHANGES:
        task_id = await a_task_that_is(stage, before)
        try:
            await change(stage, task_id, after, **parts)
        except asyncpg.CheckViolationError:
            continue
        passed.append((before, after, parts))
    assert passed == []


async def test_a_running_claim_keeps_its_lease(stage: Stage) -> None:
    await a_task_that_is(stage, Status.IN_PROGRESS)
    with pytest.raises(asyncpg.CheckViolationError, match="may not go"):
        await stage.sql.execute(
            "UPDATE taskmill.task SET lease_id = gen_random_uuid(), version = version + 1"
        )


WRONG_BIRTHS = [
    {"status": "'succeeded'", "finished_at": "now()"},
    {"status": "'in_progress'", "lease_id": "gen_random_uuid()"},
    {"version": "2"},
    {"run": "2"},
    {"claim_no": "1"},
    {"status": "'elsewhere'"},
    {"attempt": "2"},
    {"losses": "1", "max_losses": "0"},
    {"finished_at": "now()"},
    {"lease_id": "gen_random_uuid()"},
    {"max_attempts": "0"},
]


async def test_a_task_is_born_in_one_way_only(stage: Stage) -> None:
    usual = {
        "id": "gen_random_uuid()",
        "name": "'n'",
        "type": "'t'",
        "queue": "'q'",
        "priority": "4",
        "status": "'new'",
        "max_attempts": "1",
        "max_losses": "3",
        "run_at": "now()",
        "created_at": "now()",
        "labels": "'{}'",
        "source": "'test'",
    }
    await _insert(stage, usual)
    passed = []
    for parts in WRONG_BIRTHS:
        try:
            await _insert(stage, usual | parts)
        except asyncpg.CheckViolationError:
            continue
        passed.append(parts)
    assert passed == []


async def _insert(stage: Stage, columns: dict[str, str]) -> None:
    await stage.sql.execute(
        f"INSERT INTO taskmill.task ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"  # noqa: S608 - our own
    )


async def test_more_attempts_than_allowed_are_refused(stage: Stage) -> None:
    task_id = await a_task_that_is(stage, Status.NEW)
    with pytest.raises(asyncpg.CheckViolationError, match="task_attempts"):
        await change(stage, task_id, Status.IN_PROGRESS, attempt="max_attempts + 1")
