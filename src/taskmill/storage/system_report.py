"""Reads what PostgreSQL says of itself and of Taskmill's tables."""

from typing import Final

from taskmill.domain.system_report import DatabaseReport, TableSize
from taskmill.storage import migrate, partitions
from taskmill.storage.database import Database

_MOST_TABLES: Final = 12


async def read(database: Database) -> DatabaseReport:
    """Return the report. Raises `Unavailable`."""
    [facts] = await database.fetch("read_server_facts")
    async with database.hot() as connection:
        schema = await migrate.applied(connection)
    return DatabaseReport(
        version=facts["version"],
        started_at=facts["started_at"],
        schema=schema,
        needed=migrate.head(),
        tables=[TableSize(**row) for row in await database.fetch("list_table_sizes", _MOST_TABLES)],
        weeks=[week.monday for week in await partitions.attached(database)],
    )
