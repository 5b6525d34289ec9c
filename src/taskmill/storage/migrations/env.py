"""Runs migrations: one at a time in the cluster, each in its own transaction, with timeouts."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from taskmill import settings
from taskmill.storage.migrate import URL_OPTION, migration_engine

# A migration that can't get its lock in time fails and is tried again, instead of queueing everyone behind it.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
# Any constant will do; it only has to be the same in every process.
ADVISORY_LOCK = 0x7461736B


def _migrate(connection: Connection) -> None:
    connection.execute(text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS taskmill"))
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection, version_table_schema="taskmill", transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def _run(url: str) -> None:
    engine = migration_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql", version_table_schema="taskmill", literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    given = context.config.attributes.get(URL_OPTION)
    asyncio.run(_run(given or settings.load().require_database_url()))
