"""Types that nobody serves: recorded before their first task. And types that workers pull over HTTP.

A type is served if it has a contract, or has or had a worker within the last hour (the view `served_type`).
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from taskmill.storage.database import Database
from taskmill.storage.statements import statement

_MOST_KINDS: Final = 20_000
# Whoever may pull may name any types, and these may wait in any number.
_MOST_PULLED: Final = 1_000
# Each process records them every ten minutes.
_PULLED: Final = timedelta(minutes=15)


async def expected(database: Database, types: Collection[str]) -> set[str]:
    """Return those that are served, or were recorded lately."""
    rows = await database.fetch("find_expected_types", list(types))
    return {row["name"] for row in rows}


async def record(
    database: Database,
    types: Collection[str],
    *,
    limit: int,
    owner: str | None = None,
    most: int | None = None,
) -> set[str]:
    """Record types as long as there are fewer than `limit`; return those that are recorded now.

    New ones are of the API key with the name `owner`, which may have `most` of them if that is given.
    """
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_types"))
        rows = await connection.fetch(statement("record_types"), sorted(types), limit, owner, most)
    return {row["name"] for row in rows}


async def count_own(database: Database, owner: str) -> int:
    """Return how many of the recorded types the API key with a name was the first to name."""
    count: int = await database.fetch_value("count_own_types", owner)
    return count


async def record_pulled(database: Database, types: Collection[str]) -> None:
    """Record that a worker pulls these types: they are served for an hour. New ones only while there is room."""
    await database.fetch("record_pulled_types", sorted(types), _MOST_PULLED)


async def pulled(database: Database) -> frozenset[str]:
    """Return the types that workers pull over HTTP, also while they have no lease."""
    rows = await database.fetch("list_pulled_types", _PULLED.total_seconds())
    return frozenset(row["name"] for row in rows)


async def prune(database: Database) -> None:
    """Delete those without a waiting task, those that are served by now, and types that are no longer pulled."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_types"))
        await connection.fetch(statement("prune_types"), _MOST_KINDS)
