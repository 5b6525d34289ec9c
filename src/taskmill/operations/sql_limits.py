"""What the program does for the door in the database, which makes tasks without it."""

from datetime import timedelta

from taskmill.settings import Settings
from taskmill.storage.database import Database


async def store(database: Database, settings: Settings) -> None:
    """Have `taskmill.create_task` keep the limits of these settings; those of the API that started last count."""
    limits = settings.limits
    await database.fetch(
        "set_sql_limits",
        limits.queues,
        limits.labels,
        limits.idempotency_key_chars,
        limits.body_bytes,
        timedelta(days=settings.retention.idempotency_days),
        limits.unserved_types,
    )
