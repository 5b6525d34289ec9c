"""How fast tasks move: rates over the last minutes."""

from taskmill.storage.database import Database

# Each costs two probes; with more changes than that the rate is of a shorter time.
_MOST_CHANGES = 500


async def claimed_per_second(
    database: Database,
    queue: str,
    type: str | None = None,  # noqa: A002 - the task's field
    *,
    over_s: float = 300,
) -> float:
    """Return how many tasks of a queue, or of one of its types, were claimed per second lately."""
    [row] = await database.fetch("count_claims", queue, type, over_s, _MOST_CHANGES)
    return float(row["claims"] / max(row["seconds"], 1.0))
