"""Checks that a session has the settings that it requested: a pooler in between may swallow them.

Without them plans cost as much as the backlog is long, and statements have no timeout.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg

from taskmill.domain.errors import ConfigurationError
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.statements import statement

TRANSACTION_TIMEOUT_SINCE: Final = 17

# Any that a pooler does not pass on.
_OF_COMMANDS: Final = {"jit": "off"}
# A pooler may append to the name, which does not matter.
_FREE: Final = frozenset({"application_name"})
# PgBouncer's error for a setting that it does not know, and the errors of prepared statements when each
# transaction may get another session.
_POOLER_ERRORS: Final = (
    asyncpg.ProtocolViolationError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)


class PoolerBetween(ConfigurationError):
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
    command_timeout_s: float | None = None,
    transaction_timeout_s: float | None = None,
) -> Connection:
    """Connect within `timeout_s`, with these settings and timeouts; None leaves the server's.

    Raises:
        PoolerBetween: the session does not have the settings that it requested.
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


async def open_command_session(servers: Servers, *, timeout_s: float) -> Connection:
    """Connect for a command that has no settings of its own, such as a migration.

    It may hold locks of its session, which would be another program's behind a pooler.

    Raises:
        PoolerBetween: a pooler is between.
        Exception: as `Servers.connect` does.
    """
    return await open_session(servers, _OF_COMMANDS, timeout_s=timeout_s)


async def _prepare(
    connection: Connection, wanted: Mapping[str, str], transaction_timeout_s: float | None
) -> None:
    try:
        names = sorted(wanted.keys() - _FREE)
        rows = await connection.fetch(statement("find_swallowed_settings"), names)
        has_timeout = connection.get_server_version().major >= TRANSACTION_TIMEOUT_SINCE
        if has_timeout and transaction_timeout_s is not None:
            await connection.execute(f"SET transaction_timeout = '{transaction_timeout_s}s'")
    except _POOLER_ERRORS as error:
        raise PoolerBetween(str(error)) from error
    if rows:
        raise PoolerBetween(", ".join(row["name"] for row in rows))
