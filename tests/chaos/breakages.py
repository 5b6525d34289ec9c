"""Breaks the program on purpose, in ways that the checker must notice.

A broken build is the program with one statement or rule replaced.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from taskmill.storage import statements

Change = Callable[[str], str]

_COUNTED = """,
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT queue, 'in_progress', -count(*), taskmill.week_of(id) FROM ended GROUP BY 1, 4
    UNION ALL
    SELECT queue, status, count(*), taskmill.week_of(id) FROM ended GROUP BY 1, 2, 4
)"""
_SUCCESSES_COUNTED = """,
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT moved.queue, change.status, change.sign * moved.tasks, moved.week
    FROM (
        SELECT queue, taskmill.week_of(id) AS week, count(*) AS tasks FROM ended GROUP BY 1, 2
    ) AS moved
    CROSS JOIN (VALUES ('in_progress', -1), ('succeeded', 1)) AS change (status, sign)
)"""
_FENCE = """
        AND lease_id = ($2::uuid[])[width_bucket(task_id, $1::uuid[])]
        AND claim_no = ($3::integer[])[width_bucket(task_id, $1::uuid[])]"""
_ONE_KEY = """
    ON CONFLICT (scope, key) DO UPDATE
        SET task_id = excluded.task_id,
            request_hash = excluded.request_hash,
            expires_at = excluded.expires_at
        WHERE held.expires_at <= now() OR held.task_id = excluded.task_id"""
# Rescue in one statement: its snapshot is taken before it locks the leases. The pause makes that gap as wide as on
# a busy server.
_RESCUE = """
WITH pause AS MATERIALIZED (SELECT pg_sleep(0.4)),
closed AS (
    UPDATE taskmill.lease
    SET closed_at = clock_timestamp(), close_reason = 'expired', running = 0
    WHERE id IN (
        SELECT l.id FROM pause, taskmill.lease AS l
        WHERE closed_at IS NULL AND expires_at < clock_timestamp()
        FOR UPDATE OF l SKIP LOCKED
    )
    RETURNING id
)
SELECT
    t.id, t.lease_id, t.claim_no, t.queue, t.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    t.cancel_requested
FROM taskmill.current_task AS t
WHERE t.status = 'in_progress' AND t.lease_id IN (SELECT id FROM closed)
ORDER BY t.id
LIMIT $1
"""


def _with(part: str, other: str) -> Change:
    def change(text: str) -> str:
        assert part in text, f"there is no {part!r} to replace"
        return text.replace(part, other)

    return change


def _without(part: str) -> Change:
    return _with(part, "")


# Whoever comes ends an attempt. Each parameter still needs a type.
_WITHOUT_FENCE = _with(_FENCE, " AND $2::uuid[] IS NOT NULL AND $3::integer[] IS NOT NULL")
_ONE_FIRE = "\n    ON CONFLICT (schedule_id, tick) DO NOTHING"
_AS_READ = " AND c.revision = moved.revision AND c.cursor_at = moved.was_at"

# One worker renews its lease, asks for tasks, and never gets any.
_IDLE_WORKER = _with(
    "WHERE id = $1 AND closed_at", "WHERE $2::text <> 'worker-2' AND id = $1 AND closed_at"
)


_CHANGES: Mapping[str, Mapping[str, Change]] = MappingProxyType(
    {
        "fence": {"end_attempts": _WITHOUT_FENCE, "succeed_attempts": _WITHOUT_FENCE},
        "counter": {
            "end_attempts": _without(_COUNTED),
            "succeed_attempts": _without(_SUCCESSES_COUNTED),
        },
        "key": {"create_tasks": _without(_ONE_KEY)},
        "rescue": {
            "close_expired_leases": lambda _: (
                "SELECT id, worker, expires_at FROM taskmill.lease WHERE false"
            ),
            "find_stranded_tasks": lambda _: _RESCUE,
        },
        "early": {
            "create_tasks": _with(
                "::json, queue, priority, run_at,", "::json, queue, priority, created_at,"
            )
        },
        # An operator's retry takes whatever has finished.
        "again": {"run_tasks_again": _with("id = ANY($1)", "cardinality($1::uuid[]) > 0")},
        "hints": {},
        # The lock decides who fires; the primary key is what holds when it does not.
        "tick": {
            "lock_due_schedules": _without("\nFOR UPDATE OF c SKIP LOCKED"),
            "record_fires": lambda text: _without(_AS_READ)(_without(_ONE_FIRE)(text)),
        },
        "idle_worker": {"claim_tasks": _IDLE_WORKER},
    }
)
NAMES = tuple(_CHANGES)
# What is broken in the schema, after the database has been created.
SCHEMA: Mapping[str, str] = MappingProxyType(
    {
        "key": "ALTER TABLE taskmill.idempotency DROP CONSTRAINT idempotency_pkey",
        "tick": "ALTER TABLE taskmill.schedule_fire DROP CONSTRAINT schedule_fire_pkey",
    }
)


def apply(name: str) -> None:
    """Break what `name` says; call it before other modules are imported. An empty name breaks nothing."""
    if not name:
        return
    changes, original = _CHANGES[name], statements.statement

    def broken(of: str, *, for_one: bool = False, for_owned: bool = False) -> str:
        text = original(of, for_one=for_one, for_owned=for_owned)
        return changes[of](text) if of in changes else text

    vars(statements)["statement"] = broken
    if name == "hints":
        _send_no_hints()


def _send_no_hints() -> None:
    from taskmill.relay.hinting import HintSender  # noqa: PLC0415 - only this one is broken here

    setattr(HintSender, "_send", lambda *_: None)  # noqa: B010 - it is no attribute to assign to
