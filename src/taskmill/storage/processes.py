"""Stores what processes report of themselves."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from taskmill.domain.attention_snapshot import FailingDuty, ProcessState
from taskmill.storage.database import Database


async def report(
    database: Database,
    process_id: UUID,
    *,
    name: str,
    roles: Sequence[str],
    version: str,
    clock_ahead_s: float,
    failing: Sequence[FailingDuty],
) -> None:
    """Record that a process lives, with its duties that fail."""
    duties = [
        {"name": one.name, "failures": one.failures, "for_s": one.for_s, "error": one.error}
        for one in failing
    ]
    await database.fetch(
        "report_process",
        process_id,
        name,
        list(roles),
        version,
        clock_ahead_s,
        orjson.dumps(duties).decode(),
    )


async def remove(database: Database, process_id: UUID) -> None:
    """Record that a process has stopped in order."""
    await database.fetch("remove_process", process_id)


async def all_processes(database: Database) -> list[ProcessState]:
    """Return those that reported within a day, and did not stop in order."""
    return [
        ProcessState(
            id=row["id"],
            name=row["name"],
            roles=row["roles"],
            version=row["version"],
            seen_at=row["seen_at"],
            clock_ahead_s=row["clock_ahead_s"],
            failing=[_duty(duty) for duty in orjson.loads(row["failing_duties"])],
        )
        for row in await database.fetch("list_processes")
    ]


def _duty(stored: dict[str, Any]) -> FailingDuty:
    return FailingDuty(
        name=stored["name"],
        failures=stored["failures"],
        for_s=stored["for_s"],
        error=stored["error"],
    )
