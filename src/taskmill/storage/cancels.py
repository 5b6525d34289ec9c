"""Cancels tasks within a transaction of the caller's, many at a time."""

from collections.abc import Collection
from uuid import UUID

from taskmill.domain.lifecycle import Reason
from taskmill.domain.system import CancelResult
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement


async def cancel_within(
    connection: Connection, task_ids: Collection[UUID]
) -> dict[UUID, CancelResult]:
    """Cancel those that wait, and ask those that run to stop; return these, not those that have ended."""
    if not task_ids:
        return {}
    ids = sorted(task_ids)
    waiting = await connection.fetch(statement("cancel_waiting_tasks"), ids, Reason.CANCELLED)
    running = await connection.fetch(statement("request_cancels"), ids)
    return {row["id"]: CancelResult.CANCELLED for row in waiting} | {
        row["id"]: CancelResult.REQUESTED for row in running
    }
