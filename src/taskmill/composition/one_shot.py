"""Operations on the database that commands run once, without a role."""

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
    """Have every waiting task released to the broker again; return how many had been released.

    Raises:
        ConfigurationError: no database is set.
        Unavailable: the database is away; some tasks may be done.
    """
    return _run_once(settings, broker.forget_releases)


def list_hint_queues(settings: Settings) -> list[str]:
    """Return the names of the broker's queues that may have hints.

    Raises:
        ConfigurationError: no database is set.
        Unavailable: the database is away.
    """

    async def names(database: Database) -> list[str]:
        return [hint_queue_name(*kind) for kind in await broker.find_hint_queues(database)]

    return _run_once(settings, names)


def callback_key(settings: Settings) -> str | None:
    """Return the key that signs callbacks when the settings have none; None when it is gone.

    Raises:
        ConfigurationError: no database is set, or it has no such key yet.
        Unavailable: the database is away.
    """
    try:
        return _run_once(settings, callbacks.signing_key)
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            "the database is older than this program: `taskmill migrate` makes the key"
        ) from None


def verify_database(
    settings: Settings, listener: AuditListener, *, since: timedelta | None, timeout_s: float
) -> Audit:
    """Check all invariants against what is stored. `since` and `timeout_s` are those of `Extent`.

    Raises:
        ConfigurationError: no database is set, or it can't be verified.
        Unavailable: the database is away.
    """
    keep_changes = timedelta(days=settings.retention.change_days)
    extent = Extent(since=since, timeout_s=timeout_s, keep_changes=keep_changes)
    return _run_once(settings, lambda database: verify(database, extent, listener))


def _run_once(settings: Settings, query: Callable[[Database], Awaitable[T]]) -> T:
    url = settings.require_database_url()

    async def run() -> T:
        database = Database(url, settings.database)
        try:
            return await query(database)
        finally:
            await database.close()

    return asyncio.run(run())
