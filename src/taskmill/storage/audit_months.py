"""Partitions of the audit log: a month each, made ahead, and dropped past their retention.

Months are those of UTC; a month's bounds are the ids of its first and last moment. Entries only go when their
month is dropped.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from taskmill.observability.logs import get_logger
from taskmill.storage.database import Database
from taskmill.storage.partition_locks import LONGEST_WAIT_MS, with_tries

log = get_logger(__name__)

MONTHS_AHEAD: Final = 2
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of a year, in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """Return the month that `moment` lies in."""
        day = moment.astimezone(UTC)
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, suffix: str) -> "Month":
        """Return the month with this suffix."""
        year, _, month = suffix.partition("m")
        return cls(int(year), int(month))

    def later(self, months: int) -> "Month":
        """Return the month that is `months` later."""
        years, month = divmod(self.month - 1 + months, _MONTHS)
        return Month(self.year + years, month + 1)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.later(1).start

    @property
    def suffix(self) -> str:
        """Its year and number, as in `audit_entry_2026m11`."""
        return f"{self.year}m{self.month:02}"


async def attached(database: Database) -> list[Month]:
    """Return the months that have partitions, oldest first."""
    rows = await database.fetch("list_audit_months")
    return sorted(Month.parse(row["suffix"]) for row in rows)


async def ensure(database: Database, moment: datetime) -> list[Month]:
    """Make the partitions of this month and of two ahead that are missing; return the new ones.

    Many processes may call it at once.

    Raises:
        Unavailable: somebody holds a lock, or the database is away.
    """
    this_month = Month.of(moment)
    wanted = [this_month.later(offset) for offset in range(MONTHS_AHEAD + 1)]
    missing = sorted(set(wanted) - set(await attached(database)))
    for month in missing:
        await _change(database, month, "make_audit_month")
        log.info("partition.made", month=month.suffix)
    return missing


async def drop_old(database: Database, moment: datetime, keep: timedelta) -> list[Month]:
    """Drop the months that ended longer than `keep` ago; return them. Raises as `ensure` does."""
    old = [month for month in await attached(database) if month.end <= moment - keep]
    return [month for month in old if await _drop(database, month)]


async def _drop(database: Database, month: Month) -> bool:
    try:
        await _change(database, month, "drop_audit_month")
    except asyncpg.UndefinedTableError:
        return False  # another process was faster
    log.info("partition.dropped", month=month.suffix)
    return True


async def _change(database: Database, month: Month, function: str) -> None:
    """Call a function of the database under the lock, which it gets within `LONGEST_WAIT_MS`, in a few tries."""
    day = month.start.date()
    commands = (
        f"SET LOCAL statement_timeout = {LONGEST_WAIT_MS}",
        f"SELECT taskmill.lock_audit_log('{day}')",
        "SET LOCAL statement_timeout TO DEFAULT",
        f"SELECT taskmill.{function}('{day}')",
    )

    async def change() -> None:
        async with database.hot() as connection:
            await connection.execute(";\n".join(commands))

    await with_tries(change)
