"""A system of 5,000,000 tasks after 30 days, for scenarios that query it. Slow tests have the same."""

from tests.support import seeding
from tests.support.seeding import Size

TASKS = 5_000_000


async def seed(url: str, size: Size) -> None:
    """Fill a database with so many tasks, and what belongs to them."""
    await seeding.seed(url, size)
    print(f"  {size.tasks:,} tasks are there", flush=True)


__all__ = ["TASKS", "Size", "seed"]
