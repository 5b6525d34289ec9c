"""Explains why a task is where it is."""

from dataclasses import replace
from uuid import UUID

from taskmill.domain.errors import TaskNotFound
from taskmill.domain.explanation import Explanation, explain, needs_position
from taskmill.operations.broker import BrokerWatch
from taskmill.operations.visibility import current_visibility
from taskmill.storage import explain_snapshot, rates
from taskmill.storage.database import Database


async def explain_task(database: Database, broker: BrokerWatch, task_id: UUID) -> Explanation:
    """Read all facts that this context may see in one snapshot, and explain them. Raises `TaskNotFound`."""
    async with database.snapshot() as connection:
        found = await explain_snapshot.read(connection, task_id, broker=broker.state())
        if found is None:
            raise TaskNotFound(task_id)
        found = found.limited_to(current_visibility())
        position = (
            await explain_snapshot.read_position(connection, found)
            if needs_position(found)
            else None
        )
    if position and position.ahead != 0:
        only_type = found.type if found.rival_types == frozenset({found.type}) else None
        per_second = await rates.claimed_per_second(database, found.queue, only_type)
        position = replace(position, per_second=per_second)
    return explain(replace(found, position=position))
