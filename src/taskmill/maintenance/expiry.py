"""Fails tasks that were not started by their `expires_at`."""

from taskmill.observability.flow import count_expired
from taskmill.observability.logs import get_logger
from taskmill.storage.database import Database

log = get_logger(__name__)

_MOST_AT_ONCE = 1000


async def expire_waiting(database: Database) -> bool:
    """Do one round; True when there may be more."""
    rows = await database.fetch("expire_waiting_tasks", _MOST_AT_ONCE)
    count_expired(row["queue"] for row in rows)
    for row in rows:
        log.warning("task.expired", task_id=str(row["id"]), queue=row["queue"])
    return len(rows) == _MOST_AT_ONCE
