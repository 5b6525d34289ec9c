"""Checks that a session has the settings that it asked for: a pooler in between may swallow them.

Without them statements get plans that cost as much as the backlog is long, and wait without an end.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg

from taskmill.storage.servers import Connection, Servers
from taskmill.storage.statements import statement

TRANSACTION_TIMEOUT_SINCE: Final = 17

# A pooler may add to the name, which decides nothing.
_FREE: Final = frozenset({"application_name"})
# What PgBouncer answers to a setting that it does not know, and what becomes of prepared statements when each
# transaction has another server's session.
_POOLER_ERRORS: Final = (
    asyncpg.ProtocolViolationError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)


class PoolerBetween(Exception):
    """A pooler stands between us and PostgreSQL, and does not keep what a session sets."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"a pooler such as PgBouncer stands between, which does not keep what a session sets ({what}): name "
            "PostgreSQL's own address in TASKMILL_DATABASE_URL, Taskmill pools its connections by itself"
        )


async def open_session(
    servers: Servers,
    wanted: Mapping[str, str],
    *,
    timeout_s: float,
    command_timeout_s: float,
    transaction_timeout_s: float,
) -> Connection:
    """Connect within `timeout_s`, with these settings and timeouts.

    Raises:
        PoolerBetween: the session has not what it asked for.
        Exception: as `Servers.connect` does.
    """
    try:
        connection = await servers.connect(
            timeout_s=timeout_s, command_timeout=command_timeout_s, server_settings=wanted
        )
    except _POOLER_ERRORS as error:
        raise PoolerBetween(str(error)) from error
    try:
        await _prepare(connection, wanted, transaction_timeout_s)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _prepare(
    connection: Connection, wanted: Mapping[str, str], transaction_timeout_s: float
) -> None:
    try:
        names = sorted(wanted.keys() - _FREE)
        rows = await connection.fetch(statement("find_swallowed_settings"), names)
        if connection.get_server_version().major >= TRANSACTION_TIMEOUT_SINCE:
            await connection.execute(f"SET transaction_timeout = '{transaction_timeout_s}s'")
    except _POOLER_ERRORS as error:
        raise PoolerBetween(str(error)) from error
    if rows:
        raise PoolerBetween(", ".join(row["name"] for row in rows))
