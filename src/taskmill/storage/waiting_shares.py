"""What waiting tasks take of the quotas of the API keys that created them: columns of `dispatch`, summed."""

from dataclasses import dataclass

from taskmill.domain.quotas import MOST_WAITING
from taskmill.storage.database import Database


@dataclass(frozen=True, slots=True)
class WaitingShare:
    """What one waiting task takes: the name of the API key that created it, and the bytes of its texts."""

    owner: str
    bytes: int


async def total(database: Database, owner: str, *, most_tasks: int | None) -> tuple[int, int]:
    """Return how many tasks of an owner wait, and their bytes; it counts up to `most_tasks`, a million at most.

    Raises:
        Unavailable: the database is away.
    """
    [row] = await database.fetch("sum_waiting_shares", owner, most_tasks or MOST_WAITING)
    return row["tasks"], row["bytes"]
