"""Reads what the doctor's rules decide by: statements on PostgreSQL's views, and on tables with few rows."""

from collections.abc import Mapping, Sequence
from typing import Final

from taskmill.domain.doctor_snapshot import (
    AbandonedClaims,
    ConnectionUse,
    LeaseLength,
    LockWait,
    SnapshotHolder,
    TableState,
)
from taskmill.storage.database import Database

HOT_TABLES: Final = (
    "change_batch",
    "dispatch",
    "failure_delta",
    "feed_delivery",
    "lease",
    "process",
    "running",
    "schedule_cursor",
    "task_count",
    "task_minute_delta",
)
"""Tables whose rows live shortly, or change often: dead rows and empty pages make their statements slow."""

LEAST_WAIT_S: Final = 0.5

_MOST: Final = 20
_MOST_WORKERS: Final = 1_000
_SERVER_SETTINGS: Final = (
    "autovacuum",
    "data_directory",
    "fsync",
    "full_page_writes",
    "server_version",
    "synchronous_commit",
    "track_counts",
)


async def server_settings(database: Database) -> Mapping[str, str]:
    """Return those of PostgreSQL's settings that matter and that this login may see, by name."""
    rows = await database.fetch("read_server_settings", list(_SERVER_SETTINGS))
    return {row["name"]: row["setting"] for row in rows}


async def snapshot_holders(database: Database) -> list[SnapshotHolder]:
    """Return who has snapshots, the oldest first; as far as this login may see them."""
    return [SnapshotHolder(**row) for row in await database.fetch("list_snapshot_holders", _MOST)]


async def login_with_hidden_sessions(database: Database) -> str | None:
    """Return the name of this login, as in SQL, if there are sessions whose snapshots it may not see."""
    [row] = await database.fetch("has_hidden_sessions")
    login: str | None = row["login"] if row["are_hidden"] else None
    return login


async def lock_waits(database: Database) -> list[LockWait]:
    """Return the sessions that wait for a lock, the longest first."""
    rows = await database.fetch("list_lock_waits", _MOST, LEAST_WAIT_S)
    return [LockWait(**row) for row in rows]


async def connections(database: Database) -> list[ConnectionUse]:
    """Return the connections of what has a limit."""
    return [ConnectionUse(**row) for row in await database.fetch("count_connections")]


async def table_states(database: Database, names: Sequence[str] = HOT_TABLES) -> list[TableState]:
    """Return the state of some tables, by name."""
    return [TableState(**row) for row in await database.fetch("list_table_states", list(names))]


async def abandoned_claims(database: Database) -> list[AbandonedClaims]:
    """Return what runs under leases of nobody."""
    rows = await database.fetch("list_abandoned_claims", _MOST)
    return [AbandonedClaims(**row) for row in rows]


async def lease_lengths(database: Database) -> list[LeaseLength]:
    """Return for how long each live worker's lease is renewed."""
    rows = await database.fetch("list_lease_lengths", _MOST_WORKERS)
    return [LeaseLength(**row) for row in rows]
