"""What commands ask the database once, without running a role."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from taskmill.amqp.names import hint_queue
from taskmill.operations import broker
from taskmill.settings import Settings
from taskmill.storage.database import Database

T = TypeVar("T")


def rebuild_broker(settings: Settings) -> int:
    """Have every waiting task released to the broker anew; return how many had been released.

    Raises:
        ConfigurationError: no database is set.
        Unavailable: the database is away; some may be done.
    """
    return _asked(settings, broker.forget_releases)


def list_hint_queues(settings: Settings) -> list[str]:
    """Return the names of the broker's queues that may have hints.

    Raises:
        ConfigurationError: no database is set.
        Unavailable: the database is away.
    """

    async def names(database: Database) -> list[str]:
        return [hint_queue(*kind) for kind in await broker.find_kinds(database)]

    return _asked(settings, names)


def _asked(settings: Settings, question: Callable[[Database], Awaitable[T]]) -> T:
    url = settings.require_database_url()

    async def ask() -> T:
        database = Database(url, settings.database)
        try:
            return await question(database)
        finally:
            await database.close()

    return asyncio.run(ask())
