"""The lock under which partitions change. All who read or write tasks queue behind it, so it waits briefly.

A dump or a long query may hold the tables for hours: then nothing changes, and a later round tries again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Final, TypeVar

from taskmill.domain.errors import Unavailable
from taskmill.storage import faults

T = TypeVar("T")

PARTITIONED: Final = ("task", "task_event", "task_log")
"""The partitioned tables. Functions in the database name them, too."""
LONGEST_WAIT_MS: Final = 50
"""How long a try waits for its locks, all of them together."""
_TRIES = 5
# Between two tries others go on for ten times as long as one makes them wait.
_PAUSES_S = (0.5, 1.0)


def lock_commands(week: date | None = None) -> str:
    """Return the commands that lock the partitioned tables, their DEFAULT partitions and those of a week.

    They begin a message of several commands, which is one transaction: its other commands and the commit need
    nothing from us, so nobody waits for a process that is slow or gone.
    """
    named = "NULL" if week is None else f"'{week}'"
    # Not lock_timeout, which would count for each table anew while those before are locked.
    return (
        f"SET LOCAL statement_timeout = {LONGEST_WAIT_MS};\n"
        f"SELECT taskmill.lock_partitions({named});\n"
        "SET LOCAL statement_timeout TO DEFAULT;\n"
    )


async def with_tries(change: Callable[[], Awaitable[T]]) -> T:
    """Call `change` until it gets its locks, a few times.

    Raises:
        Unavailable: somebody holds a lock for longer, or the database is away.
    """
    for _ in range(_TRIES - 1):
        try:
            return await change()
        except Unavailable as error:
            if not faults.is_time_up(error.__cause__):
                raise
        await asyncio.sleep(random.uniform(*_PAUSES_S))  # noqa: S311 - no secret
    return await change()
