"""Types that workers pull over HTTP: recorded, since such a worker has no lease while it waits for tasks."""

import asyncio
from collections.abc import Collection
from typing import Final

from taskmill.storage import unserved_types as rows
from taskmill.storage.database import Database

# They count as served for an hour.
_RECORDED_S: Final = 600.0
_MOST_REMEMBERED: Final = 10_000


class PulledTypes:
    """Records types at their first call, and again while calls for them come."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recorded: set[str] = set()
        self._forget_at = float("-inf")

    async def record(self, types: Collection[str]) -> None:
        """Record that a worker waits for tasks of these types. Raises `Unavailable`."""
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at or len(self._recorded) > _MOST_REMEMBERED:
            self._recorded.clear()
            self._forget_at = now + _RECORDED_S
        if missing := set(types) - self._recorded:
            await rows.record_pulled(self._database, missing)
            self._recorded |= missing
