"""What an error from PostgreSQL means: a bad item, a collision to try again, or an outage.

Only the SQLSTATE decides (https://www.postgresql.org/docs/current/errcodes-appendix.html), never a
message's text. Errors without one come from the connection, and are outages.
"""

from typing import Final

import asyncpg

from taskmill.domain.errors import TaskmillError

# 22 data exception, 23 constraint violation: the input of the statement is wrong.
_ITEM_CLASSES = ("22", "23")
# By statement_timeout, or by an operator.
QUERY_CANCELED = "57014"
# The server is a standby, or was made read-only.
READ_ONLY: Final = "25006"
# The statement's time, or its transaction's.
_TIME_IS_UP = (QUERY_CANCELED, "25P04")
# 40 transaction rollback: serialization failure, deadlock.
_COLLISION_CLASS = "40"
# 08 connection, 53 resources, 57 operator intervention (shutdown, cancel, starting up), 55P03 lock not
# available, 25P03/25P04 idle and transaction timeouts, 25006 read-only (a standby), 58 system error.
_OUTAGE_CLASSES = ("08", "53", "57", "58", "55P03", "25P03", "25P04", "25006")
# The driver raises its internal error on the first use of a connection that the server closed while it was idle.
CONNECTION_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters that PostgreSQL gave, None when it gave none."""
    state: str | None = getattr(_original(error), "sqlstate", None)
    return state


def in_words(error: BaseException) -> str:
    """Return what went wrong as text; a timeout has none of its own."""
    text = str(error).strip()
    if text:
        return text
    return "no response in time" if isinstance(error, TimeoutError) else type(error).__name__


def message(error: asyncpg.PostgresError) -> str:
    """Return what PostgreSQL says of an error, without its details: these may have values of the row."""
    return str(error.args[0]) if error.args else type(error).__name__


def is_item_fault(error: BaseException) -> bool:
    """Return whether one item of the batch is to blame, so that the others may pass without it."""
    return (sqlstate(error) or "").startswith(_ITEM_CLASSES)


def may_be_item_fault(error: BaseException) -> bool:
    """Return whether it is a bug of ours that one item may have triggered: the others may pass without it."""
    is_of_all = is_outage(error) or is_collision(error)
    return not (is_of_all or isinstance(error, TaskmillError))


def is_collision(error: BaseException) -> bool:
    """Return whether the same statement should simply run again."""
    return (sqlstate(error) or "").startswith(_COLLISION_CLASS)


def is_time_up(error: BaseException | None) -> bool:
    """Return whether a statement or its transaction ran into our timeout."""
    return error is not None and sqlstate(error) in _TIME_IS_UP


def is_read_only(error: BaseException | None) -> bool:
    """Return whether the server refused to change anything: it did nothing of what it was asked for."""
    return error is not None and sqlstate(error) == READ_ONLY


def is_outage(error: BaseException) -> bool:
    """Return whether the database is away, starting, full or overloaded: nothing is wrong with the request."""
    state = sqlstate(error)
    if state is not None:
        return state.startswith(_OUTAGE_CLASSES)
    is_cut = getattr(error, "connection_invalidated", False)
    return is_cut or isinstance(_original(error), CONNECTION_ERRORS)


def _original(error: BaseException) -> BaseException:
    """Return what SQLAlchemy's `DBAPIError` wraps; its type is not named here, as importing it takes 0.3 s."""
    return getattr(error, "orig", None) or error
