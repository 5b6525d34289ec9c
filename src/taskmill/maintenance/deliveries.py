"""Prunes old deliveries, deliveries of deleted webhooks, and callbacks of tasks that are gone."""

from collections.abc import Mapping

from taskmill.maintenance.retention import Duty
from taskmill.storage import callbacks, webhook_deliveries, webhooks
from taskmill.storage.database import Database

_MOST_AT_ONCE = 5000


def delivery_duties(database: Database, keep_days: int) -> Mapping[str, Duty]:
    """Return the duties by their names; each returns True when there is more to prune at once."""

    async def prune_deliveries() -> bool:
        pruned = await webhook_deliveries.prune(database, keep_days, _MOST_AT_ONCE)
        return pruned == _MOST_AT_ONCE

    async def prune_webhooks() -> bool:
        return await webhooks.prune(database, _MOST_AT_ONCE) == _MOST_AT_ONCE

    async def prune_callbacks() -> bool:
        return await callbacks.prune(database, _MOST_AT_ONCE) == _MOST_AT_ONCE

    return {
        "prune-deliveries": prune_deliveries,
        "prune-webhooks": prune_webhooks,
        "prune-callbacks": prune_callbacks,
    }
