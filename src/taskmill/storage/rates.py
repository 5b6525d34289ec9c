"""How fast tasks of a queue are claimed, read from the roll-up."""

from taskmill.storage.database import Database


async def claimed_per_second(
    database: Database,
    queue: str,
    type: str | None = None,  # noqa: A002 - the field's name
    *,
    over_s: float = 300,
) -> float | None:
    """Return how many tasks of the queue (and type) were claimed a second, over the last `over_s` seconds.

    The span begins with a full minute, so it is up to 60 s longer; a day at most. None for a type that may have no
    row of its own, beyond the limit `minutes.MOST_TYPES_OF_A_QUEUE`.

    Raises:
        Unavailable: the database is away.
    """
    rate: float | None = await database.fetch_value("claimed_per_second", queue, type, over_s)
    return rate
