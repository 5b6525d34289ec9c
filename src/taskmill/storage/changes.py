"""The feed of changes: committed batches get dense positions, which readers can follow."""

from taskmill.storage.database import Database
from taskmill.storage.statements import statement


async def number(database: Database, limit: int) -> int:
    """Number up to `limit` new batches and return how many; 0 also while another process does it."""
    async with database.hot_transaction() as connection:
        if not await connection.fetchval(statement("take_numbering_turn")):
            return 0
        return len(await connection.fetch(statement("number_changes"), limit))
