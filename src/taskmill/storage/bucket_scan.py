"""Scans for buckets (queue, type, priority) in which tasks wait; one scan reads a bounded number of them.

Types that the caller does not serve are skipped at almost no cost. When there are more buckets than one scan may
read, the next scan goes on where the last one ended, and begins anew after the end.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from taskmill.storage.claims import Bucket
from taskmill.storage.database import Database

MOST_BUCKETS: Final = 1_000
"""The most buckets that one scan reads: 5 to 20 ms on a busy machine (2026-11-28)."""
# With more names of types or queues than this, reading all buckets is cheaper than skipping some.
_MOST_NAMES: Final = 200
_BEGINNING: Final = ("", "", -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstWaiting:
    """When a bucket's first task is due, and in how many seconds: at the earliest since it was created."""

    run_at: datetime
    due_in_s: float


class BucketScan:
    """Reads the buckets of unpaused queues in bounded steps; each scan continues the one before."""

    def __init__(self, *, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._after: tuple[str, str, int] = _BEGINNING
        self.is_at_end = True
        """Whether the last scan reached the end."""
        self.is_complete = True
        """Whether the last scan read all buckets."""
        self.has_others_due = False
        """Whether the last scan met something that is due and was not requested."""

    async def scan(
        self,
        database: Database,
        *,
        types: Collection[str] | None = None,
        queues: Collection[str] | None = None,
    ) -> dict[Bucket, FirstWaiting]:
        """Return the next buckets of these types and queues (None: all) that have tasks, with their first tasks.

        Raises:
            Unavailable: the database is away; the next scan begins at the same position.
        """
        began_at_head = self._after == _BEGINNING
        found = await self._scan(database, types, queues)
        self.is_complete = began_at_head and self.is_at_end
        return found

    async def _scan(
        self, database: Database, types: Collection[str] | None, queues: Collection[str] | None
    ) -> dict[Bucket, FirstWaiting]:
        rows = await database.fetch(
            "find_buckets",
            _names(types),
            _names(queues),
            self._most,
            *self._after,
        )
        self._after, self.is_at_end, self.has_others_due = _BEGINNING, True, False
        found = {}
        for queue, kind, priority, run_at, due_in_s, is_wanted, is_end in rows:
            if is_end:
                self._after, self.is_at_end = (queue, kind, priority), False
            is_requested = (types is None or kind in types) and (queues is None or queue in queues)
            if is_wanted and is_requested:
                bucket = Bucket(queue=queue, type=kind, priority=priority)
                found[bucket] = FirstWaiting(run_at=run_at, due_in_s=due_in_s)
            else:
                self.has_others_due |= due_in_s <= 0 and not is_end
        return found


def _names(wanted: Collection[str] | None) -> list[str] | None:
    return None if wanted is None or len(wanted) > _MOST_NAMES else sorted(wanted)
