"""Brings a database to the schema that this code needs, and reports which schema it has.

The migrations themselves are in `migrations/versions`, plain SQL in order of their numbers. What is committed
there never changes: `tests/migrations/committed.sha256` has a hash of each file.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from taskmill.domain.errors import ConfigurationError
from taskmill.storage import faults
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.session import open_command_session

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATIONS = Path(__file__).parent / "migrations"
URL_OPTION = "taskmill.database_url"
_CONNECT_TIMEOUT_S = 60.0
# The first migration, which squashes all up to this number; and the last commit that has them one by one.
_FIRST = "0014"
_LAST_WITH_OLDER = "0543e85"
# In `comment_of`.
_OLDEST = re.compile(r"Programs since (\d{4}) ")


def head() -> str:
    """Return the number of the newest migration, as in its file's name."""
    return max(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


@dataclass(frozen=True, slots=True)
class Schema:
    """The newest migration that a database has, None for none; and the oldest program that runs with its schema.

    A program is named by its newest migration; the oldest is None where nothing is written of it.
    """

    applied: str | None
    oldest_program: str | None = None


async def schema_of(connection: Connection) -> Schema:
    """Return a database's schema."""
    if await connection.fetchval("SELECT to_regclass('taskmill.alembic_version')") is None:
        return Schema(None)
    row = await connection.fetchrow(
        "SELECT version_num, obj_description('taskmill.alembic_version'::regclass, 'pg_class') AS comment "
        "FROM taskmill.alembic_version"
    )
    if row is None:
        return Schema(None)
    oldest = _OLDEST.search(row["comment"] or "")
    return Schema(row["version_num"], None if oldest is None else oldest[1])


def comment_of(oldest_program: str) -> str:
    """Return what is written beside the number of a database's schema, for programs of before."""
    return f"Programs since {oldest_program} run with this schema."


def trouble_of(schema: Schema) -> str | None:
    """Return what is wrong with a schema for this program, and what to do; None if it runs with it."""
    needed, applied = head(), schema.applied
    if applied is None or applied < needed:
        return too_old(applied) or (
            f"the schema is {applied or 'missing'}, this program needs {needed}: run `taskmill migrate`"
        )
    if schema.oldest_program is not None and schema.oldest_program > needed:
        return (
            f"the schema is {applied}, too new for this program, which is of {needed}: only programs since "
            f"{schema.oldest_program} run with it, so install the version that migrated it, or a later one"
        )
    return None


async def applied(connection: Connection) -> str | None:
    """Return the number of the newest migration that the database has, None for none."""
    return (await schema_of(connection)).applied


def too_old(number: str | None) -> str | None:
    """Return what to do with a schema older than the first migration; None if it is not that old."""
    if number is None or number >= _FIRST:
        return None
    return (
        f"the schema is {number}, too old for this program: start commit {_LAST_WITH_OLDER} once first "
        f"(`taskmill up`, or `taskmill migrate`), which brings it to {_FIRST}"
    )


def too_new(number: str | None, newest: str) -> str | None:
    """Return what to do with a schema that is newer than the newest migration; None if it is not."""
    if number is None or number <= newest:
        return None
    return (
        f"the schema is {number}, newer than this program, whose newest migration is {newest}: "
        "migrate with the version that made it, or a later one"
    )


def upgrade(database_url: str, revision: str = "head") -> None:
    """Apply every missing migration; safe to call from many processes at once.

    It runs an event loop of its own: call it outside of one. Importing Alembic and SQLAlchemy takes 0.5 s, so ask
    `applied` first where that matters.

    Raises:
        ConfigurationError: the database can't be reached, refuses a migration, or has a schema that no migration
            starts from.
    """
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes[URL_OPTION] = database_url
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise ConfigurationError(str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        # The library's own message has the whole statement in it, and a link to its manual.
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise ConfigurationError(
            f"the database can't be used: {faults.in_words(cause or error)}"
        ) from error


def commands(script: str) -> list[str]:
    """Split a migration's SQL into its commands: each ends in a semicolon and an empty line.

    The driver takes one command at a time; bodies of functions must not have such a line.
    """
    return [command for part in script.split(";\n\n") if (command := part.strip().rstrip(";"))]


def script(migration: str, *parts: str) -> list[str]:
    """Return the commands of a migration's SQL files, by its `__file__`: they are in the folder of its name."""
    folder = Path(migration).with_suffix("")
    files = [folder / f"{part}.sql" for part in parts]
    return [command for file in files for command in commands(file.read_text(encoding="utf-8"))]


def migration_engine(database_url: str) -> "AsyncEngine":
    """Return an engine without a pool, to the server that takes writes."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - as in `upgrade`
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - as in `upgrade`

    servers = Servers(database_url)

    async def connect() -> Connection:
        return await open_command_session(servers, timeout_s=_CONNECT_TIMEOUT_S)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
