"""Archives a week of tasks before it is dropped, while others go on.

It is read in parts, each in a short snapshot. Whether something has changed since the first of them is known from
the feed: every change of a task is in it, with a position that it gets after its commit.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.pace import paced
from taskmill.storage import archive_files, faults, partitions
from taskmill.storage.archive_files import ArchiveWriter
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.weeks import Week

log = get_logger(__name__)

_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('taskmill.archive'))"
_FIRST_PART: Final = 20
_LARGEST_PART: Final = 500
# How many times fewer tasks are read after a part for which the time was up: their logs may be long.
_FEWER: Final = 8
# Payload and result may have a megabyte each, and logs too.
_BYTES_AT_ONCE: Final = 4 * 2**20
_BATCHES_AT_ONCE: Final = 1000


@dataclass(slots=True)
class _Written:
    """What was written of a week: all up to a position of the feed. Without a path it had no task."""

    position: int
    path: Path | None = None

    @property
    def is_there(self) -> bool:
        """Whether the file still is."""
        return self.path is None or self.path.exists()


class WeekArchive:
    """Writes weeks into a folder; one process at a time writes."""

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        # The weeks that this process has written: it tries again to drop them, and need not write them again.
        self._known: dict[Week, _Written] = {}

    async def write(self, week: Week) -> int | None:
        """Write a week's file, unless it is there with all that is in the week.

        Return a position of the feed: if nothing has changed in the week after it, the file has all of it. None if
        something changes meanwhile, or another process writes: it is to be tried again.

        Raises:
            OSError: it can't be written.
            Unavailable: the database is away.
        """
        known = self._known.pop(week, None)
        if known is None or not known.is_there or await self._has_changed(week, known):
            known = await self._write(week)
            if known is None or await self._has_changed(week, known):
                return None
        self._known[week] = known
        return known.position

    async def _write(self, week: Week) -> "_Written | None":
        """Write the file, unless the week has no task; None when another process writes or has dropped it."""
        async with self._only_writer() as holder:
            if holder is None:
                return None
            await asyncio.to_thread(archive_files.delete_unfinished, self._folder)
            [bounds] = await self._database.fetch("find_feed_bounds")
            known = _Written(bounds["latest"] or 0)
            with ArchiveWriter(self._folder, week.suffix) as writer:
                await self._copy(week, writer)
                # If another process has dropped it, what was read last was not there. Without the lock another
                # one may write.
                if week not in await partitions.attached(self._database) or holder.is_closed():
                    return None
                if writer.tasks:
                    known.path = await asyncio.to_thread(writer.finish, self._clock.now())
                    log.info("week.archived", week=week.suffix, tasks=writer.tasks)
        return known

    async def _copy(self, week: Week, writer: ArchiveWriter) -> None:
        after, _ = week.bounds
        limit = _FIRST_PART
        while True:
            async with paced():
                rows, limit = await self._read(week, after, limit)
                lines = [row["line"] for row in rows]
                await asyncio.to_thread(writer.add, lines)
            if not rows:
                return
            after = UUID(int=rows[-1]["id"].int + 1)
            limit = _next_limit(len(rows), sum(map(len, lines)))

    async def _read(
        self, week: Week, after: UUID, limit: int
    ) -> tuple[Sequence[asyncpg.Record], int]:
        """Return the next tasks, and how many were asked for: fewer if they take longer than a statement has."""
        while True:
            try:
                return await self._database.fetch(
                    "read_archived_tasks", after, week.bounds[1], limit, _BYTES_AT_ONCE
                ), limit
            except Unavailable as error:
                if limit == 1 or not faults.is_time_up(error.__cause__):
                    raise
                limit = max(1, limit // _FEWER)

    async def _has_changed(self, week: Week, known: "_Written") -> bool:
        """Return whether something has changed in the week; if not, move the position to the end of the feed.

        What was pruned from the feed since, nobody knows: a process may have slept for as long.
        """
        [bounds] = await self._database.fetch("find_feed_bounds")
        oldest = bounds["oldest"]
        if known.position + 1 < oldest if oldest is not None else known.position > 0:
            return True
        while True:
            [found] = await self._database.fetch(
                "find_week_changes", known.position, *week.bounds, _BATCHES_AT_ONCE
            )
            if found["is_changed"]:
                return True
            known.position = found["last"] or known.position
            if found["read"] < _BATCHES_AT_ONCE:
                return False

    @asynccontextmanager
    async def _only_writer(self) -> AsyncIterator["Connection | None"]:
        """Hold the right to write to the archive, None if another process does; it ends with this connection."""
        connection = await self._database.connect()
        try:
            yield connection if await connection.fetchval(_LOCK) else None
        finally:
            await connection.close()


def _next_limit(tasks: int, size: int) -> int:
    """Return how many tasks to read next, by how many were read last, and how large they were."""
    fitting = tasks * _BYTES_AT_ONCE // max(size, 1)
    return max(1, min(fitting, 2 * tasks, _LARGEST_PART))
