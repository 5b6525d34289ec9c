"""Failures by type and error. A trigger records each failure; `fold` adds them to rows by steps of time.

Each failure goes into one row of each length of step, so a window is read from one length alone; and into one of
its queue, for who may see some queues only.
"""

from collections.abc import Collection
from typing import Final

from taskmill.domain.activity import Window
from taskmill.domain.failures import FailureGroup, Failures
from taskmill.storage.database import Database
from taskmill.storage.statements import statement

# The steps in s, and for how many days their rows are retained: longer than any window reads them.
RETAINED_DAYS: Final = {600: 1, 3_600: 3, 86_400: 40}
# Handlers make up their errors, so there may be very many.
MOST_KINDS: Final = 200
# Rows are kept for each queue, so of one there are fewer. Others use up nothing of its number.
MOST_KINDS_OF_QUEUE: Final = 50
_STEPS: Final = {Window.HOUR: 600, Window.DAY: 3_600, Window.WEEK: 86_400, Window.MONTH: 86_400}
_MOST_TAKEN: Final = 10_000
_MOST_PRUNED: Final = 5_000


async def fold(database: Database) -> bool:
    """Add what failed to the rows of its steps; True when there may be many more.

    While another process does it, nothing is done.
    """
    async with database.hot_transaction() as connection:
        if not await connection.fetchval(statement("lock_failures")):
            return False
        taken = await connection.fetchval(
            statement("fold_failures"),
            _MOST_TAKEN,
            MOST_KINDS,
            list(RETAINED_DAYS),
            MOST_KINDS_OF_QUEUE,
        )
    return bool(taken == _MOST_TAKEN)


async def prune(database: Database) -> bool:
    """Prune rows past their retention; True when there may be many more."""
    pruned = [
        rows
        for step, days in RETAINED_DAYS.items()
        for rows in (
            await database.fetch("prune_failures", step, days, _MOST_PRUNED),
            await database.fetch("prune_queue_failures", step, days, _MOST_PRUNED),
        )
    ]
    return any(len(rows) == _MOST_PRUNED for rows in pruned)


async def read(
    database: Database, window: Window, limit: int, visible: Collection[str] | None = None
) -> Failures:
    """Return what failed over a window in the `visible` queues (None: in all), `limit` kinds at most.

    It is current, and reads no task.
    """
    arguments = (_STEPS[window], window.length.total_seconds(), limit, _MOST_TAKEN)
    rows = (
        await database.fetch("list_failures", *arguments)
        if visible is None
        else await database.fetch("list_queue_failures", *arguments, sorted(visible))
    )
    return Failures(
        window=window,
        groups=[
            FailureGroup(
                type=row["type"],
                error=row["error"],
                tasks=row["tasks"],
                first_at=row["first_at"],
                last_at=row["last_at"],
                task_id=row["task_id"],
            )
            for row in rows
        ],
        kinds=rows[0]["kinds"] if rows else 0,
        tasks=rows[0]["failures"] if rows else 0,
    )
