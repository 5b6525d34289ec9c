"""Verify on databases that were damaged on purpose: each kind of damage is found, by its check."""

import pytest

from taskmill.domain.checks import Check
from taskmill.domain.lifecycle import EventType
from tests.support.damage import (
    Damage,
    claim_what_runs,
    entry,
    feed_an_unknown_task,
    leave_a_history_without_its_task,
    lost,
    make_a_task_overdue,
    move_the_positions,
    plain,
    record_a_claim_that_runs,
    repeated,
    row,
    succeed_without_a_claim,
    with_a_row_for_its_claim,
)
from tests.support.mixture import a_mixture
from tests.support.schedule_damage import SCHEDULE_DAMAGES
from tests.support.stage import Stage
from tests.support.verifying import VerificationRecord, found_in, verification_of

UNGUARD = """
    SET session_replication_role = replica;
    ALTER TABLE taskmill.task
        DROP CONSTRAINT task_final_status,
        DROP CONSTRAINT task_finished_when_ended,
        DROP CONSTRAINT task_attempts,
        DROP CONSTRAINT task_losses;
"""


ELSEWHERE = "'01970000-0000-7000-8000-000000000000'"
LATER = "interval '1 hour'"
_RUN = """
    INSERT INTO taskmill.running (
        task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by
    )
    SELECT id, $2, claim_no + 1, attempt + 1, version + 1, queue, run, losses, run_at, 'w'
    FROM taskmill.task WHERE id = $1
"""
DAMAGES: list[tuple[Check, Damage]] = [
    (
        Check.VERSION_GAP,
        lost("DELETE FROM taskmill.task_event WHERE task_id = $1 AND version = 3", 2, 3),
    ),
    # A claim whose facts are nowhere, and one whose facts are in two places.
    (
        Check.VERSION_GAP,
        lost(
            "UPDATE taskmill.task_event SET claimed_at = NULL WHERE task_id = $1 AND version = 3", 2
        ),
    ),
    (Check.VERSION_GAP, record_a_claim_that_runs),
    (Check.VERSION_GAP, row("waiting", "version = 2")),
    (Check.UNKNOWN_ENTRY, entry("succeeded", 3, "event = 'sneezed'")),
    (Check.FORBIDDEN_TRANSITION, entry("expired", 2, "event = 'failed'")),
    (Check.AFTER_THE_END, repeated("succeeded")),
    (Check.RUN_MISCOUNTED, entry("succeeded", 3, "run = 2", row="run = 2")),
    (Check.ATTEMPTS_MISCOUNTED, entry("succeeded", 3, "attempt = 0", row="attempt = 0")),
    (Check.LOSSES_MISCOUNTED, entry("succeeded", 3, "losses = 1", row="losses = 1")),
    (Check.TOO_MANY_ATTEMPTS, row("retried and succeeded", "max_attempts = 1")),
    (Check.TOO_MANY_LOSSES, row("lost and succeeded", "max_losses = 0")),
    (Check.CLAIM_GAP, entry("succeeded", 3, "claim_no = 2", row="claim_no = 2")),
    (Check.CLAIMS_OVERLAP, claim_what_runs),
    (
        Check.FENCE_MISMATCH,
        entry("cancelled while it ran, and run again", 4, f"lease_id = {ELSEWHERE}"),
    ),
    (
        Check.FENCE_MISMATCH,
        with_a_row_for_its_claim(
            "succeeded", entry("succeeded", 3, "claim_no = 2", row="claim_no = 2")
        ),
    ),
    (Check.UNCLAIMED_SUCCESS, succeed_without_a_claim),
    (
        Check.CLAIMED_TOO_EARLY,
        entry(
            "succeeded",
            3,
            f"claimed_at = claimed_at - {LATER}",
            row=f"started_at = started_at - {LATER}",
        ),
    ),
    (
        Check.DUE_TIME_CHANGED,
        entry("succeeded", 3, f"run_at = run_at - {LATER}", row=f"run_at = run_at - {LATER}"),
    ),
    (
        Check.CANCEL_IGNORED,
        entry(
            "cancelled while it ran, and run again",
            4,
            "event = 'failed', status = 'failed', reason = 'worker_lost'",
        ),
    ),
    (Check.ROW_DRIFT, row("succeeded", "losses = 1")),
    (Check.ROW_DRIFT, row("failed", "error = NULL")),
    (Check.FINISH_TIME, row("succeeded", f"finished_at = finished_at + {LATER}")),
    (Check.FINISH_TIME, row("succeeded", "finished_at = NULL")),
    (Check.HISTORY_WITHOUT_TASK, leave_a_history_without_its_task),
    (
        Check.DISPATCH_MISSING,
        plain("DELETE FROM taskmill.dispatch WHERE task_id = $1", "scheduled"),
    ),
    (
        Check.DISPATCH_SURPLUS,
        plain(
            "INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at) "
            "SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE id = $1",
            "succeeded",
        ),
    ),
    (
        Check.DISPATCH_SURPLUS,
        plain(
            "INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at) "
            "VALUES ('01970000-0000-7000-8000-000000000000', 'mail', 'emulate', 4, now())"
        ),
    ),
    (
        Check.DISPATCH_DRIFT,
        plain("UPDATE taskmill.dispatch SET priority = 1 WHERE task_id = $1", "scheduled"),
    ),
    (
        Check.DISPATCH_SURPLUS,
        plain(
            "INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at) "
            "SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE id = $1",
            "running",
        ),
    ),
    (Check.RUNNING_SURPLUS, plain(_RUN, "succeeded", "lease")),
    (
        Check.RUNNING_SURPLUS,
        plain(
            "INSERT INTO taskmill.running "
            "(task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by) "
            "VALUES ('01970000-0000-7000-8000-000000000000', $1, 1, 1, 2, 'mail', 1, 0, now(), 'w')",
            "lease",
        ),
    ),
    # Its history agrees with the lower number.
    (
        Check.RUNNING_DRIFT,
        plain("UPDATE taskmill.task SET claim_no = claim_no + 1 WHERE id = $1", "running"),
    ),
    (
        Check.RUNNING_DRIFT,
        plain("UPDATE taskmill.running SET queue = 'mail' WHERE task_id = $1", "running"),
    ),
    (Check.LEASE_MISSING, plain("DELETE FROM taskmill.lease WHERE id = $1", "lease")),
    (
        Check.COUNTER_DRIFT,
        plain("INSERT INTO taskmill.task_count VALUES ('mail', 'new', 1), ('gone', 'failed', 2)"),
    ),
    (
        Check.KEY_WITHOUT_TASK,
        plain(
            "INSERT INTO taskmill.idempotency "
            "VALUES ('rest', 'order-3', gen_random_uuid(), '', now() + interval '1 day')"
        ),
    ),
    (
        Check.KEY_SHARED,
        plain(
            "INSERT INTO taskmill.idempotency VALUES ('amqp', 'order-1', $1, '', now())",
            "succeeded",
        ),
    ),
    (
        Check.RESEND_INCOMPLETE,
        plain("UPDATE taskmill.rejection SET resent_at = NULL WHERE id = $1", "resent"),
    ),
    (
        Check.RESEND_INCOMPLETE,
        plain("UPDATE taskmill.rejection SET task_id = NULL WHERE id = $1", "resent"),
    ),
    # A rejection's own id is as old as it, and no task has it.
    (
        Check.RESEND_WITHOUT_TASK,
        plain("UPDATE taskmill.rejection SET task_id = id WHERE id = $1", "resent"),
    ),
    (
        Check.CHANGE_MISSING,
        plain(
            "UPDATE taskmill.change_batch SET task_ids = '{}', versions = '{}' "
            "WHERE task_ids = ARRAY[$1::uuid] AND versions = ARRAY[1]",
            "succeeded",
        ),
    ),
    (
        Check.CHANGE_UNKNOWN,
        plain(
            "INSERT INTO taskmill.change_batch (task_ids, versions) VALUES (ARRAY[$1::uuid], '{1}')",
            "succeeded",
        ),
    ),
    (Check.CHANGE_UNKNOWN, feed_an_unknown_task),
    (Check.POSITION_GAP, move_the_positions),
    *SCHEDULE_DAMAGES,
    (
        Check.CLOCK_SET_BACK,
        entry(
            "succeeded",
            3,
            f"claimed_at = claimed_at + {LATER}",
            row=f"started_at = started_at + {LATER}",
        ),
    ),
    (
        Check.LEASE_OVER,
        plain(
            "UPDATE taskmill.lease SET closed_at = now() - interval '3 minutes' WHERE id = $1",
            "lease",
        ),
    ),
    (
        Check.LEASE_OVER,
        plain(
            "UPDATE taskmill.lease SET expires_at = now() - interval '3 minutes' WHERE id = $1",
            "lease",
        ),
    ),
    (Check.TASK_OVERDUE, make_a_task_overdue),
    (
        Check.CHANGES_UNNUMBERED,
        plain(
            "UPDATE taskmill.change_batch SET at = now() - interval '3 minutes' "
            "WHERE position IS NULL"
        ),
    ),
]


def test_every_check_has_a_proof() -> None:
    """That of a change after a moment is in `test_verify_as_of.py`: there is a moment only where one is named."""
    assert {check for check, _ in DAMAGES} == set(Check) - {Check.AFTER_MOMENT}


async def test_nothing_is_found_after_every_kind_of_event(stage: Stage) -> None:
    await a_mixture(stage)
    record = VerificationRecord()
    verification = await verification_of(stage.database, record)
    assert (verification.counts, verification.unchecked, record.findings) == ({}, (), [])
    tasks = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
    assert verification.tasks == record.checked_tasks == record.expected == tasks > 20
    events = await stage.sql.fetch("SELECT event FROM taskmill.task_history")
    assert verification.entries == len(events)
    assert {row["event"] for row in events} == set(EventType)


@pytest.mark.parametrize(
    "number", range(len(DAMAGES)), ids=[f"{n}-{check}" for n, (check, _) in enumerate(DAMAGES)]
)
async def test_damage_is_found_by_its_check_alone(stage: Stage, number: int) -> None:
    check, damage = DAMAGES[number]
    mixture = await a_mixture(stage)
    await stage.sql.execute(UNGUARD)
    async with stage.sql.transaction():  # in which now() is one moment
        await damage(stage.sql, mixture)
    assert set(await found_in(stage.database)) == {check}


async def test_a_task_that_no_longer_runs_and_does_not_wait_is_found(stage: Stage) -> None:
    """It is not the only finding: its history goes on further than its row."""
    mixture = await a_mixture(stage)
    await stage.sql.execute(
        "DELETE FROM taskmill.running WHERE task_id = $1", mixture.tasks["running"]
    )
    assert Check.DISPATCH_MISSING in await found_in(stage.database)
