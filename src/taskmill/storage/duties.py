"""Which duties of maintenance have something to do."""

from typing import NamedTuple

from taskmill.storage import counts, minutes
from taskmill.storage.database import Database


class DueDuties(NamedTuple):
    """For each duty whether it has something to do.

    `expires_in_s` is when the next task expires, `next_tick_in_s` when there is next something to do for a
    schedule; None: not soon.
    """

    rescue: bool
    time_out: bool
    expires_in_s: float | None
    fold_counts: bool
    roll_up: bool
    fold_failures: bool
    next_tick_in_s: float | None
    schedule_requests: bool


async def find(database: Database, *, soon_s: float) -> DueDuties:
    """Find all of them with one statement; `soon_s` is how far ahead expiries and ticks are looked for."""
    [row] = await database.fetch("find_duties", list(minutes.CARRIED), counts.MOST_FOLDED, soon_s)
    return DueDuties(*row.values())
