"""How fast a queue is worked off, read from the roll-up."""

from taskmill.storage.database import Database


async def claimed_per_second(
    database: Database,
    queue: str,
    type: str | None = None,  # noqa: A002 - the field's name
    *,
    over_s: float = 300,
) -> float | None:
    """Return how many tasks of the queue (and type) were claimed a second, over the last `over_s` seconds.

    It looks back to the beginning of a minute, so over up to 60 s more; a day at most. None for a type that may be
    among those beyond the limit of types that are told apart (`minutes.MOST_TYPES_OF_A_QUEUE`).

    Raises:
        Unavailable: as `Database.fetch` does.
    """
    rate: float | None = await database.fetch_value("claimed_per_second", queue, type, over_s)
    return rate
