"""Verify on databases that were damaged on purpose: each kind of damage is found, by its check."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.checks import Check
from taskmill.domain.lifecycle import EventType
from tests.support.mixture import Mixture, a_mixture
from tests.support.stage import Stage
from tests.support.verifying import VerificationRecord, found_in, verification_of

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Damage: TypeAlias = Callable[[Sql, Mixture], Awaitable[object]]

UNGUARD = """
    SET session_replication_role = replica;
    ALTER TABLE taskmill.task
        DROP CONSTRAINT task_final_status,
        DROP CONSTRAINT task_finished_when_ended,
        DROP CONSTRAINT task_attempts,
        DROP CONSTRAINT task_losses;
"""


def row(name: str, change: str) -> Damage:
    """Change a task's row."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        command = f"UPDATE taskmill.task SET {change} WHERE id = $1"  # noqa: S608 - our own
        assert await sql.execute(command, mixture.tasks[name]) == "UPDATE 1"

    return damage


def entry(name: str, version: int, change: str, **beside: str) -> Damage:
    """Change an entry of a task's history, all from it on with `beside={"from_on": "…"}`, and the `row`."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        task_id = mixture.tasks[name]
        sign = ">=" if "from_on" in beside else "="
        command = (
            f"UPDATE taskmill.task_event SET {change} WHERE task_id = $1 AND version {sign} $2"  # noqa: S608 - our own
        )
        assert await sql.execute(command, task_id, version) != "UPDATE 0"
        if "row" in beside:
            await row(name, beside["row"])(sql, mixture)

    return damage


def repeated(name: str) -> Damage:
    """Repeat the last entry, in the feed, too."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        task_id = mixture.tasks[name]
        version = await sql.fetchval(
            """
            INSERT INTO taskmill.task_event
            SELECT
                task_id, version + 1, at, event, status, run, attempt, losses, claim_no, run_at,
                lease_id, worker, reason, error
            FROM taskmill.task_event WHERE task_id = $1 ORDER BY version DESC LIMIT 1
            RETURNING version
            """,
            task_id,
        )
        await feed(sql, task_id, version)
        await row(name, "version = version + 1")(sql, mixture)
        await sql.execute(
            "UPDATE taskmill.running SET version = version + 1 WHERE task_id = $1", task_id
        )

    return damage


async def feed(sql: Sql, task_id: UUID, version: int) -> None:
    """Add a change to the feed."""
    await sql.execute(
        "INSERT INTO taskmill.change_batch (task_ids, versions) VALUES (ARRAY[$1::uuid], ARRAY[$2::integer])",
        task_id,
        version,
    )


def plain(command: str, *names: str) -> Damage:
    """Run a command with the ids of these tasks."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        known = {**mixture.tasks, "lease": mixture.lease, "resent": mixture.resent}
        assert await sql.execute(command, *(known[name] for name in names)) not in {
            "UPDATE 0",
            "DELETE 0",
        }

    return damage


async def lose_an_entry(sql: Sql, mixture: Mixture) -> None:
    """Remove the middle of a history, and its traces in the feed."""
    task_id = mixture.tasks["succeeded"]
    await sql.execute("DELETE FROM taskmill.task_event WHERE task_id = $1 AND version = 2", task_id)
    await sql.execute(
        """
        UPDATE taskmill.change_batch AS b
        SET (task_ids, versions) = (
            SELECT coalesce(array_agg(p.task_id), '{}'), coalesce(array_agg(p.version), '{}')
            FROM unnest(b.task_ids, b.versions) AS p (task_id, version)
            WHERE (p.task_id, p.version) <> ($1, 2)
        )
        WHERE task_ids @> ARRAY[$1::uuid]
        """,
        task_id,
    )


async def succeed_without_a_claim(sql: Sql, mixture: Mixture) -> None:
    done = "final_status = 'succeeded', cancel_requested = false"
    await entry("cancelled", 2, "event = 'succeeded', status = 'succeeded'", row=done)(sql, mixture)
    await sql.execute("""
        INSERT INTO taskmill.task_count (queue, status, tasks)
        VALUES ('default', 'cancelled', -1), ('default', 'succeeded', 1)
    """)


async def leave_a_history_without_its_task(sql: Sql, mixture: Mixture) -> None:
    """Leave the history of a task of this week without the task."""
    stranger = UUID(int=mixture.tasks["waiting"].int + 1)
    await sql.execute(
        """
        INSERT INTO taskmill.task_event (
            task_id, version, event, status, run, attempt, losses, claim_no, run_at
        )
        VALUES ($1, 1, 'created', 'new', 1, 0, 0, 0, now()), ($1, 2, 'cancelled', 'cancelled', 1, 0, 0, 0, now())
        """,
        stranger,
    )
    await feed(sql, stranger, 1)
    await feed(sql, stranger, 2)


async def feed_an_unknown_task(sql: Sql, mixture: Mixture) -> None:
    await feed(sql, UUID(int=mixture.tasks["waiting"].int + 1), 1)


async def move_the_positions(sql: Sql, _: Mixture) -> None:
    await sql.execute(
        "UPDATE taskmill.change_batch SET position = -position - 3 WHERE position > 4"
    )
    await sql.execute("UPDATE taskmill.change_batch SET position = -position WHERE position < 0")


async def make_a_task_overdue(sql: Sql, mixture: Mixture) -> None:
    since = "now() - interval '5 minutes'"
    row = f"run_at = {since}, updated_at = {since}"
    await entry("waiting", 1, f"run_at = {since}, at = {since}", row=row)(sql, mixture)
    await sql.execute(
        f"UPDATE taskmill.dispatch SET run_at = {since} WHERE task_id = $1",  # noqa: S608 - our own
        mixture.tasks["waiting"],
    )
    await sql.execute(
        "UPDATE taskmill.lease SET started_at = now() - interval '5 minutes' WHERE id = $1",
        mixture.lease,
    )


ELSEWHERE = "'01970000-0000-7000-8000-000000000000'"
LATER = "interval '1 hour'"
_RUN = """
    INSERT INTO taskmill.running (task_id, lease_id, claim_no, attempt, version, queue)
    SELECT id, $2, claim_no + 1, attempt + 1, version + 1, queue FROM taskmill.task WHERE id = $1
"""
DAMAGES: list[tuple[Check, Damage]] = [
    (Check.VERSION_GAP, lose_an_entry),
    (Check.VERSION_GAP, row("waiting", "version = 2")),
    (Check.UNKNOWN_ENTRY, entry("succeeded", 2, "event = 'sneezed'")),
    (Check.FORBIDDEN_TRANSITION, entry("expired", 2, "event = 'failed'")),
    (Check.AFTER_THE_END, repeated("succeeded")),
    (Check.RUN_MISCOUNTED, entry("succeeded", 3, "run = 2", row="run = 2")),
    (Check.ATTEMPTS_MISCOUNTED, entry("succeeded", 3, "attempt = 0", row="attempt = 0")),
    (Check.LOSSES_MISCOUNTED, entry("succeeded", 3, "losses = 1", row="losses = 1")),
    (Check.TOO_MANY_ATTEMPTS, row("retried and succeeded", "max_attempts = 1")),
    (Check.TOO_MANY_LOSSES, row("lost and succeeded", "max_losses = 0")),
    (
        Check.CLAIM_GAP,
        entry("succeeded", 2, "claim_no = 2", row="claim_no = 2", from_on="yes"),
    ),
    (Check.CLAIMS_OVERLAP, repeated("running")),
    (Check.FENCE_MISMATCH, entry("succeeded", 3, f"lease_id = {ELSEWHERE}")),
    (Check.FENCE_MISMATCH, entry("succeeded", 3, "claim_no = 2", row="claim_no = 2")),
    (Check.UNCLAIMED_SUCCESS, succeed_without_a_claim),
    (
        Check.CLAIMED_TOO_EARLY,
        entry("succeeded", 2, f"at = at - {LATER}", row=f"started_at = started_at - {LATER}"),
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
            "INSERT INTO taskmill.running (task_id, lease_id, claim_no, attempt, version, queue) "
            "VALUES ('01970000-0000-7000-8000-000000000000', $1, 1, 1, 2, 'mail')",
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
    (
        Check.CLOCK_SET_BACK,
        entry("succeeded", 2, f"at = at + {LATER}", row=f"started_at = started_at + {LATER}"),
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
    assert {check for check, _ in DAMAGES} == set(Check)


async def test_nothing_is_found_after_every_kind_of_event(stage: Stage) -> None:
    await a_mixture(stage)
    record = VerificationRecord()
    verification = await verification_of(stage.database, record)
    assert (verification.counts, verification.unchecked, record.findings) == ({}, (), [])
    tasks = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
    assert verification.tasks == record.checked_tasks == record.expected == tasks > 20
    events = await stage.sql.fetch("SELECT event FROM taskmill.task_event")
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
