"""Prunes old deliveries, deliveries of deleted webhooks, and callbacks of tasks that are gone."""

from taskmill.storage import callbacks, webhook_deliveries, webhooks
from taskmill.storage.database import Database

_MOST_AT_ONCE = 5000


async def prune_deliveries(database: Database, keep_days: int) -> bool:
    """Do one round; True when there is more to prune at once."""
    pruned = [
        await webhook_deliveries.prune(database, keep_days, _MOST_AT_ONCE),
        await webhooks.prune(database, _MOST_AT_ONCE),
        await callbacks.prune(database, _MOST_AT_ONCE),
    ]
    return _MOST_AT_ONCE in pruned
