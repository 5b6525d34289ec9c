"""Creates tasks in the caller's own transaction: they exist if, and when, it commits.

    with Session(engine) as session, session.begin():
        session.add(order)
        enqueue(session, "send invoice", type="send-invoice", payload={"order": order.id})

It checks the payload against the contract of its type, if it can (see `payload_check`), and calls the database's
`taskmill.create_task` on the given connection: SQLAlchemy's `Connection`, `Session`, `AsyncConnection` or
`AsyncSession`, asyncpg's `Connection`, psycopg's `Connection` or `AsyncConnection`. None of them is imported here:
they are recognized by their methods.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias, Unpack, overload
from uuid import UUID

from taskmill.client.errors import NotAccepted
from taskmill.client.json_text import plain, read_json
from taskmill.client.reading import reader_of
from taskmill.client.refusal_kinds import refusal
from taskmill.client.views.problems import Problem
from taskmill.client.views.tasks import TaskFields
from taskmill.domain.task_fields import GIVEN, Kind

_Call: TypeAlias = tuple[str, tuple[str, ...]]
_Calls: TypeAlias = Generator[_Call, str | None, UUID]
_Check: TypeAlias = Callable[[Mapping[str, str], Sequence[str]], Generator[_Call, str | None, None]]
try:
    from taskmill.client import payload_check
except ModuleNotFoundError:  # the packages of `taskmill[contracts]`
    _check_payload: _Check | None = None
else:
    _check_payload = payload_check.check_payload

# Every value is sent as text and cast in the database, so that drivers' handling of JSON and times is irrelevant.
_TYPES: Final = {
    Kind.TEXT: "text",
    Kind.NAME: "text",
    Kind.URL: "text",
    Kind.INTEGER: "integer",
    Kind.SECONDS: "double precision",
    Kind.TIME: "timestamptz",
    Kind.OBJECT: "json",
    Kind.LABELS: "json",
    Kind.POINTERS: "json",
    Kind.RETRY: "json",
}
_CASTS: Final[Mapping[str, str]] = {field.name: _TYPES[field.kind] for field in GIVEN}
_TAKEN: Final = (
    "SQLAlchemy's Connection, Session, AsyncConnection or AsyncSession, asyncpg's Connection, and psycopg's "
    "Connection or AsyncConnection"
)


class _Rows(Protocol):
    """The result of a synchronous connection."""

    def fetchone(self) -> Any: ...  # noqa: ANN401 - a row, as the driver has them


class AsyncExecutes(Protocol):
    """A connection or session whose `execute` is awaited."""

    def execute(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:  # noqa: ANN401 - the drivers' own
        """Run a statement."""


class Executes(Protocol):
    """A synchronous connection or session."""

    def execute(self, *args: Any, **kwargs: Any) -> _Rows:  # noqa: ANN401 - the drivers' own
        """Run a statement."""


@overload
def enqueue(
    connection: AsyncExecutes, name: str, **fields: Unpack[TaskFields]
) -> Awaitable[UUID]: ...


@overload
def enqueue(connection: Executes, name: str, **fields: Unpack[TaskFields]) -> UUID: ...


def enqueue(connection: Any, name: str, **fields: Unpack[TaskFields]) -> Any:
    """Create a task in the connection's transaction and return its id; await that on an asynchronous connection.

    The fields are those of `POST /tasks`; one that is None is left out. With the packages of `taskmill[contracts]`
    a payload that does not fit is refused before it is sent, and the transaction can go on; without them, the
    task fails at its first claim. Any other refusal aborts the transaction.

    Raises:
        NotAccepted: The task is refused, with the problem that the API would return.
        TypeError: The connection is of an unknown kind, or a field is unknown.
        ValueError: A time has no zone, or a value in a payload can't be JSON.
    """
    given = _texts({"name": name, **fields})
    if hasattr(connection, "acquire"):  # asyncpg's pool has all methods of its connections
        raise TypeError(
            "enqueue needs a connection of the pool: through the pool, the task would commit by itself"
        )
    if hasattr(connection, "fetchval"):  # asyncpg
        return _run_async(
            _calls(given, "${}"), lambda query, values: connection.fetchval(query, *values)
        )
    if hasattr(connection, "exec_driver_sql"):  # SQLAlchemy's connections
        return _on_sqlalchemy(connection, given)
    if hasattr(connection, "get_bind"):  # SQLAlchemy's sessions
        if is_async(connection.connection):
            return _in_async_session(connection, given)
        return _on_sqlalchemy(connection.connection(), given)
    if hasattr(connection, "pgconn"):  # psycopg
        mark = "${}" if _numbers(connection.cursor_factory) else "%s"
        return _run(_calls(given, mark), connection.execute)
    raise TypeError(f"enqueue can't use a {type(connection).__qualname__}; it takes {_TAKEN}")


def _on_sqlalchemy(connection: Any, given: dict[str, str]) -> Any:  # noqa: ANN401 - see `enqueue`
    # The dialects of asyncpg number their parameters; those of psycopg do not.
    mark = "${}" if connection.dialect.paramstyle == "numeric_dollar" else "%s"
    return _run(_calls(given, mark), connection.exec_driver_sql)


def _numbers(cursor_factory: Any) -> bool:  # noqa: ANN401 - psycopg's
    """Return whether its cursors are raw, which number their parameters."""
    return any(kind.__name__ == "RawCursorMixin" for kind in inspect.getmro(cursor_factory))


async def _in_async_session(session: Any, given: dict[str, str]) -> UUID:  # noqa: ANN401 - see `enqueue`
    made: UUID = await _on_sqlalchemy(await session.connection(), given)
    return made


def _calls(given: dict[str, str], mark: str) -> _Calls:
    """Yield the queries to run, with their parameters; the one value that each returns is sent back in."""
    if _check_payload is not None:
        yield from _check_payload(given, _marks(mark, 2))
    made = yield _statement(given, mark), tuple(given.values())
    if made is None:
        raise TypeError("the connection gave no id")
    return UUID(made)


def _run(calls: _Calls, execute: Callable[..., Any]) -> Any:  # noqa: ANN401 - a UUID, or its awaitable
    if is_async(execute):
        return _run_async(calls, lambda query, values: _fetched(execute, query, values))
    value: str | None = None
    with _DatabaseRefusals():
        try:
            while True:
                value = _value(execute(*calls.send(value)).fetchone())
        except StopIteration as ended:
            return ended.value


async def _run_async(
    calls: _Calls, fetch: Callable[[str, tuple[str, ...]], Awaitable[str | None]]
) -> UUID:
    value: str | None = None
    with _DatabaseRefusals():
        while True:
            try:
                call = calls.send(value)
            except StopIteration as ended:
                made: UUID = ended.value
                return made
            value = await fetch(*call)


async def _fetched(
    execute: Callable[..., Awaitable[Any]], query: str, values: tuple[str, ...]
) -> str | None:
    row = (await execute(query, values)).fetchone()
    return _value(await row if inspect.isawaitable(row) else row)


class _DatabaseRefusals:
    """Turns the database's refusals into errors of the client; other errors pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        refused = None if error is None else _refusal(error)
        if refused is not None:
            raise refused from error


def is_async(method: Callable[..., Any]) -> bool:
    """Return whether a connection's method must be awaited."""
    return inspect.iscoroutinefunction(inspect.unwrap(method))


def _value(row: Any) -> str | None:  # noqa: ANN401 - a row, as the caller's connection makes them
    if isinstance(row, Mapping):
        row = row["id"]
    elif row is not None and not isinstance(row, str):
        row = row[0] if hasattr(row, "__getitem__") else row.id
    value: str | None = row
    return value


def _marks(mark: str, count: int) -> list[str]:
    """Return so many parameters in the driver's notation."""
    return [mark.format(number) for number in range(1, count + 1)]


def _statement(given: Mapping[str, str], mark: str) -> str:
    """Return the query, with a parameter for each value in the driver's notation."""
    values = ", ".join(
        f"{name} => {one}::text::{_CASTS[name]}"
        for name, one in zip(given, _marks(mark, len(given)), strict=True)
    )
    return f"SELECT taskmill.create_task({values})::text AS id"


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields as texts for PostgreSQL."""
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
    """Return the refusal in an error of the database, None for any other error."""
    for detail in _details(error):
        try:
            return refusal(reader_of(Problem)(read_json(detail)))
        except ValueError:
            continue
    return None


def _details(error: BaseException) -> Iterator[str]:
    """Yield PostgreSQL's DETAIL, wherever the libraries store it."""
    original = getattr(error, "orig", None)
    for one in (error, original, getattr(original, "__cause__", None)):
        for detail in (
            getattr(one, "detail", None),
            getattr(getattr(one, "diag", None), "message_detail", None),
        ):
            if isinstance(detail, str):
                yield detail
