"""What all roles of a process share."""

import random
from typing import TYPE_CHECKING

from taskmill.operations.contracts import Contracts
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.settings import Settings
from taskmill.storage.database import Database

if TYPE_CHECKING:
    from taskmill.app.registry import Taskmill
    from taskmill.observability.traces import Traces
    from taskmill.outbound.client import Outbound


class Parts:
    """Settings, clock, randomness, ids, database and contracts of one process; its traces and app, if any."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.traces: Traces | None = None
        self.app: Taskmill | None = None
        self.outbound: Outbound | None = None
        self.clock = SystemClock()
        self.randomness = random.Random()  # noqa: S311 - ids and jitter, no secrets
        self.ids = IdFactory(self.clock, self.randomness)
        self.database = Database(settings.require_database_url(), settings.database)
        self.contracts = Contracts(self.database)

    async def close(self) -> None:
        """Close all connections."""
        if self.outbound is not None:
            await self.outbound.close()
        await self.database.close()
