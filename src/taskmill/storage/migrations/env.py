"""Runs migrations: one at a time in the cluster, each in its own transaction, with timeouts."""

import asyncio

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text

from taskmill import settings
from taskmill.storage.migrate import URL_OPTION, migration_engine, too_old

# A migration that can't get its lock in time fails, instead of making everybody queue behind it: run it again. One
# that needs longer says why, and sets its own: SET LOCAL statement_timeout.
LOCK_TIMEOUT = "2s"
STATEMENT_TIMEOUT = "5s"
# Any constant will do; it only has to be the same in every process.
ADVISORY_LOCK = 0x7461736B
# The timeouts come after the lock: whoever migrates at the same time waits for the first, however long that takes.
PREPARE = (
    f"SELECT pg_advisory_lock({ADVISORY_LOCK})",
    "CREATE SCHEMA IF NOT EXISTS taskmill",
    f"SET lock_timeout = '{LOCK_TIMEOUT}'",
    f"SET statement_timeout = '{STATEMENT_TIMEOUT}'",
)


def _migrate(connection: Connection) -> None:
    for statement in PREPARE:
        connection.execute(text(statement))
    connection.commit()
    context.configure(
        connection=connection, version_table_schema="taskmill", transaction_per_migration=True
    )
    if advice := too_old(context.get_context().get_current_revision()):
        raise CommandError(advice)
    connection.rollback()
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
    # With the default style of parameters each % would come out twice.
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        version_table_schema="taskmill",
        literal_binds=True,
    )
    for statement in PREPARE:
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
else:
    given = context.config.attributes.get(URL_OPTION)
    asyncio.run(_run(given or settings.load().require_database_url()))
