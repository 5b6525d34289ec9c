"""Creates tasks inside the caller's own transaction: they exist if, and when, it commits.

    with Session(engine) as session, session.begin():
        session.add(order)
        enqueue(session, "send invoice", type="send-invoice", payload={"order": order.id})

It only calls the database's `taskmill.create_task` on the connection that it is given: SQLAlchemy's
`Connection`, `Session`, `AsyncConnection` or `AsyncSession`, asyncpg's `Connection`, psycopg's `Connection` or
`AsyncConnection`. None of them is imported here: they are told by what they can do.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol, Unpack, overload
from uuid import UUID

from pydantic import ValidationError

from taskmill.client.calls import TaskFields, plain
from taskmill.client.errors import NotAccepted
from taskmill.client.refusals import refusal
from taskmill.wire.problems import Problem

__all__ = ["enqueue"]

# Every value goes as text and is cast there: so no driver's notion of JSON or times matters.
_CASTS: Final[Mapping[str, str]] = {
    "name": "text",
    "description": "text",
    "type": "text",
    "payload": "json",
    "queue": "text",
    "priority": "integer",
    "run_at": "timestamptz",
    "delay_s": "double precision",
    "max_attempts": "integer",
    "max_losses": "integer",
    "retry": "json",
    "timeout_s": "double precision",
    "expires_at": "timestamptz",
    "callback_url": "text",
    "labels": "json",
    "idempotency_key": "text",
}


class _Rows(Protocol):
    """What an ordinary connection answers with."""

    def fetchone(self) -> Any: ...  # noqa: ANN401 - a row, as the driver has them


class AsyncExecutes(Protocol):
    """A connection or session whose `execute` is awaited."""

    def execute(self, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...  # noqa: ANN401 - the drivers' own


class Executes(Protocol):
    """An ordinary connection or session."""

    def execute(self, *args: Any, **kwargs: Any) -> _Rows: ...  # noqa: ANN401 - the drivers' own


@overload
def enqueue(
    connection: AsyncExecutes, name: str, **fields: Unpack[TaskFields]
) -> Awaitable[UUID]: ...


@overload
def enqueue(connection: Executes, name: str, **fields: Unpack[TaskFields]) -> UUID: ...


def enqueue(connection: Any, name: str, **fields: Unpack[TaskFields]) -> Any:
    """Create a task in the connection's transaction and return its id; await that on an asynchronous connection.

    The fields are those of `POST /tasks`; one that is None is left out. The transaction goes on as usual, unless
    the task is refused: then PostgreSQL has it rolled back, as after any error.

    Raises:
        NotAccepted: The task is refused, with the problem that the API would give.
        TypeError: The connection is none of those that are known, or a field is unknown.
        ValueError: A time has no zone, or something in a payload is not one of JSON's.
    """
    given = _texts({"name": name, **fields})
    if hasattr(connection, "acquire"):  # asyncpg's pool can all that its connections can
        raise TypeError(
            "enqueue needs a connection of the pool: on any other the task would commit by itself"
        )
    if hasattr(connection, "fetchval"):  # asyncpg
        call = _statement(given, "${}"), *given.values()
        return _awaited(connection.fetchval, call)
    if hasattr(connection, "exec_driver_sql"):  # SQLAlchemy's connections
        return _on_sqlalchemy(connection, given)
    if hasattr(connection, "get_bind"):  # SQLAlchemy's sessions
        if is_async(connection.connection):
            return _in_async_session(connection, given)
        return _on_sqlalchemy(connection.connection(), given)
    if hasattr(connection, "pgconn"):  # psycopg
        mark = "${}" if _numbers(connection.cursor_factory) else "%s"
        return _called(connection.execute, (_statement(given, mark), tuple(given.values())))
    raise TypeError(f"enqueue can't use a {type(connection).__qualname__}")


def _on_sqlalchemy(connection: Any, given: dict[str, str]) -> Any:  # noqa: ANN401 - see `enqueue`
    # The dialects of asyncpg number their parameters; those of psycopg do not.
    mark = "${}" if connection.dialect.paramstyle == "numeric_dollar" else "%s"
    return _called(connection.exec_driver_sql, (_statement(given, mark), tuple(given.values())))


def _numbers(cursor_factory: Any) -> bool:  # noqa: ANN401 - psycopg's
    """Tell whether its cursors are raw, which number their parameters."""
    return any(kind.__name__ == "RawCursorMixin" for kind in inspect.getmro(cursor_factory))


async def _in_async_session(session: Any, given: dict[str, str]) -> UUID:  # noqa: ANN401 - see `enqueue`
    made: UUID = await _on_sqlalchemy(await session.connection(), given)
    return made


def _called(execute: Callable[..., Any], call: tuple[object, ...]) -> Any:  # noqa: ANN401 - a UUID, or its awaitable
    if is_async(execute):
        return _fetched(execute, call)
    with _RefusalsTold():
        return _id(execute(*call).fetchone())


async def _fetched(execute: Callable[..., Awaitable[Any]], call: tuple[object, ...]) -> UUID:
    with _RefusalsTold():
        rows = await execute(*call)
        row = rows.fetchone()
        return _id(await row if inspect.isawaitable(row) else row)


async def _awaited(fetch_value: Callable[..., Awaitable[Any]], call: tuple[object, ...]) -> UUID:
    with _RefusalsTold():
        return UUID(await fetch_value(*call))


class _RefusalsTold:
    """Turns the database's refusals into those of the client; other errors pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        refused = None if error is None else _refusal(error)
        if refused is not None:
            raise refused from error


def is_async(method: Callable[..., Any]) -> bool:
    """Tell whether a connection's method is to be awaited."""
    return inspect.iscoroutinefunction(inspect.unwrap(method))


def _id(row: Any) -> UUID:  # noqa: ANN401 - a row, as the caller's connection makes them
    if isinstance(row, Mapping):
        row = row["id"]
    elif not isinstance(row, str):
        row = row[0] if hasattr(row, "__getitem__") else row.id
    return UUID(row)


def _statement(given: Mapping[str, str], mark: str) -> str:
    """Return the call with a parameter for each value, marked as the driver wants it."""
    values = ", ".join(
        f"{name} => {mark.format(number)}::text::{_CASTS[name]}"
        for number, name in enumerate(given, 1)
    )
    return f"SELECT taskmill.create_task({values})::text AS id"


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return what is given as PostgreSQL reads it."""
    if unknown := fields.keys() - _CASTS.keys():
        raise TypeError(f"enqueue knows no field {min(unknown)!r}")
    return {name: _text(name, value) for name, value in fields.items() if value is not None}


def _text(name: str, value: object) -> str:
    if _CASTS[name] == "json":
        return json.dumps(value, default=plain, allow_nan=False, separators=(",", ":"))
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name} needs a time zone")
        return value.isoformat()
    return str(value)


def _refusal(error: BaseException) -> NotAccepted | None:
    """Return the refusal that the database's error carries, None when it is any other error."""
    for detail in _details(error):
        try:
            problem = Problem.model_validate_json(detail)
        except ValidationError:
            continue
        return refusal(problem)
    return None


def _details(error: BaseException) -> Iterator[str]:
    """Yield PostgreSQL's DETAIL, wherever the libraries between keep it."""
    original = getattr(error, "orig", None)
    for one in (error, original, getattr(original, "__cause__", None)):
        for told in (
            getattr(one, "detail", None),
            getattr(getattr(one, "diag", None), "message_detail", None),
        ):
            if isinstance(told, str):
                yield told
