"""What commands ask the database once, without running a role."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import asyncpg

from taskmill.amqp.names import hint_queue_name
from taskmill.domain.errors import ConfigurationError
from taskmill.operations import broker
from taskmill.operations.verify import Audit, AuditListener, Extent, verify
from taskmill.settings import Settings
from taskmill.storage import callbacks
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
        return [hint_queue_name(*kind) for kind in await broker.find_hint_queues(database)]

    return _asked(settings, names)


def callback_key(settings: Settings) -> str | None:
    """Return the key that callbacks are signed with where the settings have none, None where that is gone.

    Raises:
        ConfigurationError: no database is set, or it has no such key yet.
        Unavailable: the database is away.
    """
    try:
        return _asked(settings, callbacks.signing_key)
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            "the database is older than this program: `taskmill migrate` makes the key"
        ) from None


def verify_database(
    settings: Settings, listener: AuditListener, *, since: timedelta | None, timeout_s: float
) -> Audit:
    """Compare all that must be true with what is stored. `since` and `timeout_s` are those of `Extent`.

    Raises:
        ConfigurationError: no database is set, or it can't be verified.
        Unavailable: the database is away.
    """
    keep_changes = timedelta(days=settings.retention.change_days)
    extent = Extent(since=since, timeout_s=timeout_s, keep_changes=keep_changes)
    return _asked(settings, lambda database: verify(database, extent, listener))


def _asked(settings: Settings, question: Callable[[Database], Awaitable[T]]) -> T:
    url = settings.require_database_url()

    async def ask() -> T:
        database = Database(url, settings.database)
        try:
            return await question(database)
        finally:
            await database.close()

    return asyncio.run(ask())
