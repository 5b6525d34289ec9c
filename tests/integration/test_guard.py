"""The database itself refuses what the domain does not allow: every pair of statuses, tried for real."""

from itertools import product
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.lifecycle import ALLOWED, TERMINAL, Status
from tests.support.stage import Stage


async def a_task_that_is(stage: Stage, status: Status) -> UUID:
    """Bring a task to a status on an allowed way."""
    task_id = (await stage.created(max_attempts=9)).id
    await stage.sql.execute("DELETE FROM taskmill.dispatch")
    way = [] if status is Status.NEW else [Status.IN_PROGRESS, status]
    for step in dict.fromkeys(way):
        await change(stage, task_id, step)
    return task_id


async def change(stage: Stage, task_id: UUID, to: Status, **parts: str) -> None:
    """Change a status the way the program does, but for the parts that are said otherwise."""
    before = await stage.sql.fetchval(
        "SELECT status FROM taskmill.current_task WHERE id = $1", task_id
    )
    if to is Status.IN_PROGRESS:
        await _claim_or_request_cancel(stage, task_id, before, parts)
        return
    usual = {
        "final_status": f"'{to}'" if to in TERMINAL else "NULL",
        "finished_at": "now()" if to in TERMINAL else "NULL",
        "version": "version + 1",
    }
    if before == Status.IN_PROGRESS:
        await stage.sql.execute("DELETE FROM taskmill.running WHERE task_id = $1", task_id)
        usual |= {"version": "version + 2", "claim_no": "claim_no + 1", "attempt": "attempt + 1"}
    elif before in TERMINAL:
        usual |= {"run": "run + 1", "attempt": "0", "losses": "0"}
    await _update(stage, "task", "id", task_id, usual | parts)


async def _claim_or_request_cancel(
    stage: Stage, task_id: UUID, before: str, parts: dict[str, str]
) -> None:
    if before == Status.IN_PROGRESS:
        usual = {"cancel_requested_at": "now()", "version": "version + 1"}
        await _update(stage, "running", "task_id", task_id, usual | parts)
        return
    await stage.sql.execute(
        """
        INSERT INTO taskmill.running (
            task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by
        )
        SELECT id, $2, claim_no + 1, attempt + 1, version + 1, queue, run, losses, run_at, 'w'
        FROM taskmill.task WHERE id = $1
        """,
        task_id,
        stage.ids(),
    )


async def _update(
    stage: Stage, table: str, key: str, task_id: UUID, changes: dict[str, str]
) -> None:
    changed = ", ".join(f"{name} = {value}" for name, value in changes.items())
    command = f"UPDATE taskmill.{table} SET {changed} WHERE {key} = $1"  # noqa: S608 - our own names
    await stage.sql.execute(command, task_id)


async def test_exactly_the_allowed_pairs_of_statuses_pass(stage: Stage) -> None:
    """But for claims: what runs is in a table of its own, and `verify` finds what should not be there."""
    ends = [status for status in Status if status is not Status.IN_PROGRESS]
    passed = set()
    for before, after in product(Status, ends):
        task_id = await a_task_that_is(stage, before)
        try:
            await change(stage, task_id, after)
        except asyncpg.CheckViolationError as error:
            assert error.constraint_name == "task_transition"  # noqa: PT017 - the others are of interest
        else:
            passed.add((before, after))
    rescheduled = (Status.NEW, Status.NEW)
    assert passed == {rescheduled} | {
        (before, after) for before, after in product(Status, ends) if after in ALLOWED[before]
    }


async def test_a_cancel_can_be_requested_of_what_runs_and_adds_a_version(stage: Stage) -> None:
    task_id = await a_task_that_is(stage, Status.IN_PROGRESS)
    await change(stage, task_id, Status.IN_PROGRESS)
    await change(stage, task_id, Status.CANCELLED, version="version + 3")


WRONG_CHANGES: list[tuple[Status, Status, dict[str, str]]] = [
    (Status.NEW, Status.CANCELLED, {"version": "version"}),
    (Status.NEW, Status.CANCELLED, {"version": "version + 2"}),
    (Status.NEW, Status.CANCELLED, {"claim_no": "claim_no + 1"}),
    (Status.NEW, Status.FAILED, {"run": "run + 1"}),
    (Status.NEW, Status.NEW, {"version": "version"}),
    (Status.NEW, Status.NEW, {"version": "version", "open_policy": "0"}),
    (Status.NEW, Status.NEW, {"version": "version + 2"}),
    (Status.NEW, Status.NEW, {"attempt": "attempt + 1"}),
    (Status.NEW, Status.NEW, {"losses": "losses + 1"}),
    (Status.NEW, Status.NEW, {"cancel_requested": "true"}),
    (Status.NEW, Status.NEW, {"run": "run + 1"}),
    (Status.NEW, Status.NEW, {"claim_no": "claim_no + 1"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"version": "version"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"version": "version + 1"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"version": "version + 4"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"claim_no": "claim_no"}),
    (Status.IN_PROGRESS, Status.SUCCEEDED, {"claim_no": "claim_no + 2"}),
    (Status.IN_PROGRESS, Status.NEW, {"claim_no": "claim_no - 1"}),
    (Status.IN_PROGRESS, Status.NEW, {"run": "run + 1"}),
    (Status.IN_PROGRESS, Status.IN_PROGRESS, {"claim_no": "claim_no + 1"}),
    (Status.IN_PROGRESS, Status.IN_PROGRESS, {"lease_id": "gen_random_uuid()"}),
    (Status.IN_PROGRESS, Status.IN_PROGRESS, {"attempt": "attempt + 1"}),
    (Status.IN_PROGRESS, Status.IN_PROGRESS, {"version": "version"}),
    (Status.IN_PROGRESS, Status.IN_PROGRESS, {"cancel_requested_at": "NULL"}),
    (Status.FAILED, Status.NEW, {"run": "run"}),
    (Status.FAILED, Status.NEW, {"run": "run + 2"}),
    (Status.FAILED, Status.NEW, {"attempt": "attempt"}),
    (Status.FAILED, Status.NEW, {"losses": "1"}),
    (Status.FAILED, Status.NEW, {"claim_no": "0"}),
    (Status.FAILED, Status.NEW, {"version": "1"}),
    (Status.NEW, Status.CANCELLED, {"id": "gen_random_uuid()"}),
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


async def test_a_policy_is_taken_once_and_only_by_a_task_without_one(stage: Stage) -> None:
    task_id = (await stage.created(open_policy=1)).id
    taken = {"max_attempts": "7", "open_policy": "0"}
    await _update(stage, "task", "id", task_id, taken)
    with pytest.raises(asyncpg.CheckViolationError, match="may not go"):
        await _update(stage, "task", "id", task_id, taken)


WRONG_BIRTHS = [
    {"final_status": "'succeeded'", "finished_at": "now()"},
    {"version": "2"},
    {"run": "2"},
    {"claim_no": "1"},
    {"final_status": "'elsewhere'"},
    {"attempt": "2"},
    {"losses": "1", "max_losses": "0"},
    {"finished_at": "now()"},
    {"max_attempts": "0"},
]


async def test_a_task_is_born_in_one_way_only(stage: Stage) -> None:
    usual = {
        "id": "gen_random_uuid()",
        "name": "'n'",
        "type": "'t'",
        "queue": "'q'",
        "priority": "4",
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
    task_id = await a_task_that_is(stage, Status.IN_PROGRESS)
    with pytest.raises(asyncpg.CheckViolationError, match="task_attempts"):
        await change(stage, task_id, Status.NEW, attempt="max_attempts + 1")
