"""The limits of the entry point SQL, which creates tasks without this program."""

from datetime import timedelta

from taskmill.settings import Settings
from taskmill.storage.database import Database


async def store(database: Database, settings: Settings) -> None:
    """Have `taskmill.create_task` enforce the limits of these settings; the API that started last sets them."""
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
