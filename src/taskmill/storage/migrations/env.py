"""Runs migrations: one at a time in the cluster, each in its own transaction, with timeouts."""

import asyncio
import time
from collections.abc import Collection

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from taskmill import settings
from taskmill.storage import faults
from taskmill.storage.migrate import URL_OPTION, comment_of, migration_engine, too_new, too_old
from taskmill.storage.migration_plan import oldest_program

# A migration that can't get its lock in time fails, instead of making everybody queue behind it: run it again. It
# may set longer ones, which hold until its end, outside its transaction only.
TIMEOUTS = ("SET lock_timeout = '2s'", "SET statement_timeout = '5s'")
# Any constant will do; it only has to be the same in every process.
ADVISORY_LOCK = 0x7461736B
# The SQLSTATE of RAISE EXCEPTION in a migration.
RAISED = "P0001"
MAKE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS taskmill"
OWNER = """
SELECT quote_ident(rolname)
FROM pg_namespace INNER JOIN pg_roles ON pg_roles.oid = nspowner
WHERE nspname = 'taskmill' AND rolname <> current_user AND pg_has_role(nspowner, 'MEMBER')
"""


def _wait_for_others(connection: Connection) -> None:
    """Wait until nobody else migrates; not in a statement, for which CREATE INDEX CONCURRENTLY would wait."""
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
        connection.rollback()
        time.sleep(0.1)


def _act_as_owner(connection: Connection) -> None:
    """Make what comes as the schema's owner, if that is a role which this login is in."""
    owner = connection.scalar(text(OWNER))
    if owner is not None:
        connection.execute(text(f"SET ROLE {owner}"))


def _on_applied(
    ctx: MigrationContext, step: object, heads: Collection[str], run_args: object
) -> None:  # as Alembic calls it
    """Write which programs run with the schema, and set the timeouts of the next migration."""
    del step, run_args
    if heads:
        comment = comment_of(oldest_program(max(heads)))
        ctx.execute(f"COMMENT ON TABLE taskmill.alembic_version IS '{comment}'")
    for statement in TIMEOUTS:
        ctx.execute(statement)


def _migrate(connection: Connection) -> None:
    _wait_for_others(connection)
    for statement in TIMEOUTS:
        connection.execute(text(statement))
    # Not IF NOT EXISTS, which needs the right to make one.
    if not connection.scalar(text("SELECT to_regnamespace('taskmill') IS NOT NULL")):
        connection.execute(text(MAKE_SCHEMA))
    _act_as_owner(connection)
    connection.commit()
    context.configure(
        connection=connection,
        version_table_schema="taskmill",
        transaction_per_migration=True,
        on_version_apply=_on_applied,
    )
    applied = context.get_context().get_current_revision()
    newest = context.script.get_current_head() or ""
    if advice := too_old(applied) or too_new(applied, newest):
        raise CommandError(advice)
    connection.rollback()
    try:
        with context.begin_transaction():
            context.run_migrations()
    except DBAPIError as error:
        if faults.sqlstate(error) != RAISED:
            raise
        # What a migration asks for: without the statement and the driver's class, which SQLAlchemy adds.
        raise CommandError(str(error.orig and error.orig.__cause__)) from error


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
        transaction_per_migration=True,
        on_version_apply=_on_applied,
        literal_binds=True,
    )
    for statement in (f"SELECT pg_advisory_lock({ADVISORY_LOCK})", *TIMEOUTS, MAKE_SCHEMA):
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
else:
    given = context.config.attributes.get(URL_OPTION)
    asyncio.run(_run(given or settings.load().require_database_url()))
