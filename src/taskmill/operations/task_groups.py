"""Of which queues and types the tasks are that a sweep would change: read for the question whether to do it.

It reads the oldest of them, which a sweep changes first, for a limited time, and some of the newest. It changes
nothing.
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Final
from uuid import UUID

from taskmill.domain.system import PageRequest, Sweep, TaskFilter
from taskmill.domain.task_groups import TaskGroups
from taskmill.domain.visibility import Visibility
from taskmill.storage import listing
from taskmill.storage.database import Database

BUDGET_S: Final = 0.3
CHUNK: Final = 1_000
_NEWEST_S: Final = 0.1
_LOWEST_ID: Final = UUID(int=0)


async def read(
    database: Database, action: Sweep, wanted: TaskFilter, *, limit: int | None = None
) -> TaskGroups:
    """Return the groups of the tasks that a sweep with this filter would change, up to `limit`, the oldest.

    Raises:
        Unavailable: the database is away.
    """
    statuses = action.statuses & (wanted.statuses or action.statuses)
    if not statuses:  # in a listing, an empty set would mean any status
        return TaskGroups()
    wanted = replace(wanted, statuses=statuses)
    now = asyncio.get_running_loop().time
    give_up_at = now() + BUDGET_S
    found, after, seen = TaskGroups(), _LOWEST_ID, 0
    while True:
        budget_s = max(give_up_at - now(), 0)
        chunk = CHUNK if limit is None else min(CHUNK, limit - seen)
        request = PageRequest(limit=chunk, after=after, oldest_first=True, budget_s=budget_s)
        ids, following = await listing.ids(database, wanted, request)
        found, seen = found + await _groups(database, ids), seen + len(ids)
        if following is None or seen == limit:
            return found
        after = following
        if now() >= give_up_at:
            break
    if limit is None:
        found += await _newest(database, wanted, after)
    return replace(found, is_whole=False)


async def of_ids(
    database: Database, ids: Collection[UUID], visibility: Visibility | None
) -> TaskGroups:
    """Return the groups of the tasks with these ids; with a visibility, of those that it shows.

    Raises:
        Unavailable: the database is away.
    """
    return await _groups(database, ids, visibility)


async def _newest(database: Database, wanted: TaskFilter, above: UUID) -> TaskGroups:
    """Return the groups of the newest tasks, of those with ids above the one given."""
    ids, _ = await listing.ids(database, wanted, PageRequest(limit=CHUNK, budget_s=_NEWEST_S))
    return await _groups(database, [one for one in ids if one > above])


async def _groups(
    database: Database, ids: Collection[UUID], visibility: Visibility | None = None
) -> TaskGroups:
    if not ids:
        return TaskGroups()
    rows = [
        row
        for row in await database.fetch("group_tasks", sorted(ids))
        if visibility is None or visibility.shows(row["queue"])
    ]
    return TaskGroups(
        tasks={(row["queue"], row["type"]): row["tasks"] for row in rows},
        running=sum(row["running"] for row in rows),
    )
