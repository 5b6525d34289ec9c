"""Types that have neither a contract nor a live worker: recorded before their first task."""

from collections.abc import Collection
from typing import Final

from taskmill.storage.database import Database
from taskmill.storage.statements import statement

_MOST_KINDS: Final = 20_000


async def expected(database: Database, types: Collection[str]) -> set[str]:
    """Return those that have a contract or a live worker, or were recorded lately."""
    rows = await database.fetch("find_expected_types", list(types))
    return {row["name"] for row in rows}


async def record(database: Database, types: Collection[str], *, limit: int) -> set[str]:
    """Record types as long as there are fewer than `limit`; return those that are recorded now."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_types"))
        rows = await connection.fetch(statement("record_types"), sorted(types), limit)
    return {row["name"] for row in rows}


async def prune(database: Database) -> None:
    """Delete those that have no waiting task any more, and those that have a contract or a worker by now."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_types"))
        await connection.fetch(statement("prune_types"), _MOST_KINDS)
