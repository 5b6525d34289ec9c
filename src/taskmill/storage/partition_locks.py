"""The lock under which partitions change. All who read or write tasks queue behind it, so it waits briefly.

A dump or a long query may hold the tables for hours: then nothing changes, and a later round tries again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from taskmill.domain.errors import Unavailable
from taskmill.storage import faults

T = TypeVar("T")

PARTITIONED: Final = {"task": "id", "task_event": "task_id", "task_log": "task_id"}
"""The partitioned tables, and the column whose time they are partitioned by."""
LONGEST_WAIT_MS: Final = 50
"""How long a try waits for its locks, all of them together."""
_TRIES = 5
# Between two tries others go on for ten times as long as one makes them wait.
_PAUSES_S = (0.5, 1.0)


def lock_commands(*partitions: str) -> str:
    """Return the commands that lock the partitioned tables, their DEFAULT partitions and these ones.

    They begin a message of several commands, which is one transaction: its other commands and the commit need
    nothing from us, so nobody waits for a process that is slow or gone. Parents come first, as in every other
    statement.
    """
    tables = [
        *(f"ONLY taskmill.{table}" for table in PARTITIONED),
        *(f"taskmill.{table}_default" for table in PARTITIONED),
        *partitions,
    ]
    # Not lock_timeout, which would count for each table anew while those before are locked.
    return (
        f"SET LOCAL statement_timeout = {LONGEST_WAIT_MS};\n"
        "SELECT pg_advisory_xact_lock(hashtext('taskmill.partitions'));\n"
        f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE;\n"
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
