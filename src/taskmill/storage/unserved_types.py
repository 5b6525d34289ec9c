"""Types that have neither a contract nor a live worker: noted before the first task of them waits."""

from collections.abc import Collection
from typing import Final

from taskmill.storage.database import Database
from taskmill.storage.statements import statement

_MOST_KINDS: Final = 20_000


async def expected(database: Database, types: Collection[str]) -> set[str]:
    """Return those that have a contract or a live worker, or were noted lately."""
    rows = await database.fetch("find_expected_types", list(types))
    return {row["name"] for row in rows}


async def note(database: Database, types: Collection[str], *, limit: int) -> set[str]:
    """Note types as long as there are fewer than `limit`; return those that are noted now."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_types"))
        rows = await connection.fetch(statement("note_types"), sorted(types), limit)
    return {row["name"] for row in rows}


async def forget(database: Database) -> None:
    """Forget those of which nothing waits any more, and those that somebody is there for."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_types"))
        await connection.fetch(statement("forget_types"), _MOST_KINDS)
