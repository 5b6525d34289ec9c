"""Makes queues on their first use; they are never removed."""

from collections.abc import Iterable

from taskmill.storage.database import Database
from taskmill.storage.statements import statement


async def add(database: Database, names: Iterable[str], *, limit: int) -> set[str]:
    """Make the queues that are missing, as long as there are fewer than `limit`; return those that exist."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("take_queue_turn"))
        rows = await connection.fetch(statement("add_queues"), sorted(names), limit)
    return {row["name"] for row in rows}
