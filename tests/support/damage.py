"""What can be wrong in the database of a mixture of tasks: each is done to it by hand."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import asyncpg

from tests.support.mixture import Mixture

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Damage: TypeAlias = Callable[[Sql, Mixture], Awaitable[object]]


def row(name: str, change: str) -> Damage:
    """Change a task's row."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        command = f"UPDATE taskmill.task SET {change} WHERE id = $1"  # noqa: S608 - our own
        assert await sql.execute(command, mixture.tasks[name]) == "UPDATE 1"

    return damage


def entry(name: str, version: int, change: str, **beside: str) -> Damage:
    """Change a row of a task's history, and its `row`."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        task_id = mixture.tasks[name]
        command = f"UPDATE taskmill.task_event SET {change} WHERE task_id = $1 AND version = $2"  # noqa: S608 - our own
        assert await sql.execute(command, task_id, version) == "UPDATE 1"
        if "row" in beside:
            await row(name, beside["row"])(sql, mixture)

    return damage


_ENTRY = """
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason, error
"""
WRITE_CLAIM = f"""
    INSERT INTO taskmill.task_event ({_ENTRY})
    SELECT {_ENTRY} FROM taskmill.task_history WHERE task_id = $1 AND event = 'claimed'
"""  # noqa: S608 - our own


def repeated(name: str) -> Damage:
    """Repeat the last entry, in the feed, too."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        task_id = mixture.tasks[name]
        version = await sql.fetchval(
            f"""
            INSERT INTO taskmill.task_event ({_ENTRY})
            SELECT {_ENTRY.replace("version", "version + 1")}
            FROM taskmill.task_event WHERE task_id = $1 ORDER BY version DESC LIMIT 1
            RETURNING version
            """,  # noqa: S608 - our own
            task_id,
        )
        await feed(sql, task_id, version)
        await row(name, "version = version + 1")(sql, mixture)

    return damage


async def claim_what_runs(sql: Sql, mixture: Mixture) -> None:
    """Leave the claim that runs in the history, and claim the task once more."""
    task_id = mixture.tasks["running"]
    await sql.execute(WRITE_CLAIM, task_id)
    await sql.execute("UPDATE taskmill.running SET version = 3 WHERE task_id = $1", task_id)
    await row("running", "version = 2")(sql, mixture)
    await feed(sql, task_id, 3)


async def record_a_claim_that_runs(sql: Sql, mixture: Mixture) -> None:
    """Write a row for a claim that is in `running`, and feed it."""
    await sql.execute(WRITE_CLAIM, mixture.tasks["running"])
    await feed(sql, mixture.tasks["running"], 2)


def with_a_row_for_its_claim(name: str, damage: Damage) -> Damage:
    """Give the task's claim a row of its own, as claims from before migration 0036 have, and then damage it."""

    async def with_row(sql: Sql, mixture: Mixture) -> None:
        task_id = mixture.tasks[name]
        await sql.execute(WRITE_CLAIM, task_id)
        await sql.execute(
            "UPDATE taskmill.task_event SET claimed_at = NULL WHERE task_id = $1", task_id
        )
        await damage(sql, mixture)

    return with_row


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


def lost(change: str, *versions: int) -> Damage:
    """Lose these versions of the history of "retried and succeeded" by a change, and their traces in the feed."""

    async def damage(sql: Sql, mixture: Mixture) -> None:
        task_id = mixture.tasks["retried and succeeded"]
        await sql.execute(change, task_id)
        await sql.execute(
            """
            UPDATE taskmill.change_batch AS b
            SET (task_ids, versions) = (
                SELECT coalesce(array_agg(p.task_id), '{}'), coalesce(array_agg(p.version), '{}')
                FROM unnest(b.task_ids, b.versions) AS p (task_id, version)
                WHERE p.task_id <> $1 OR p.version <> ALL($2)
            )
            WHERE task_ids @> ARRAY[$1::uuid]
            """,
            task_id,
            versions,
        )

    return damage


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
