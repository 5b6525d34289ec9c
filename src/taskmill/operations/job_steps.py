"""The steps of jobs: each finds some tasks, and changes them in the transaction that notes how far the job is.

So a task is counted exactly if it was changed, no job changes more than it may, and what a process did not commit
is done by the next one. A process that has lost a job commits nothing more for it.
"""

from collections.abc import Collection, Sequence, Set as AbstractSet
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.job_errors import JobNotFound
from taskmill.domain.jobs import Job, JobState
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import PageRequest
from taskmill.observability.logs import get_logger
from taskmill.operations import sweep
from taskmill.operations.sweep import Acted, Acting
from taskmill.operations.visibility import current_visibility, narrowed
from taskmill.storage import faults, jobs, listing
from taskmill.storage.database import Database
from taskmill.storage.jobs import LAST_ID, JobCounts
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

log = get_logger(__name__)

CHUNK = 1_000
_SEARCH_S = 2.0
_COLLISION_TRIES = 5


Done = tuple[str, AbstractSet[UUID]]
"""The name of a statement, and the tasks that it has changed."""


class _Found(NamedTuple):
    """Tasks of a step in the statuses in which they are changed, and where the next step begins; None: nowhere."""

    ids: Collection[UUID]
    statuses: Collection[Status]
    after: UUID | None
    matched: int


async def step(database: Database, job: Job, holder: UUID, *, failures: int = 0) -> JobState | None:
    """Do some of a job, and return the state in which it ends, None if there is more to do.

    It changes what this context may see; half as many tasks after each failure in a row, as it may take too long.

    Raises:
        JobNotFound: it is over, or another process holds it; nothing was done.
        Unavailable: the database is away; what was done is noted in the job.
    """
    if job.start.after == LAST_ID:
        return JobState.DONE
    if job.progress.is_over:
        return JobState.LIMITED
    found = await _find(database, job, max(CHUNK >> failures, 1))
    for done in await _act(database, job, holder, found):
        sweep.report(*done)
    if found.after is None:
        return JobState.DONE
    return JobState.LIMITED if found.matched == job.progress.remaining else None


async def _find(database: Database, job: Job, most: int) -> _Found:
    request = job.request
    statuses = request.action.statuses & (request.wanted.statuses or request.action.statuses)
    if request.ids:
        left = sorted(one for one in request.ids if one > job.start.after)
        after = left[most - 1] if len(left) > most else None
        return _Found(await _shown(database, left[:most]), statuses, after, len(left[:most]))
    if not statuses:  # in a listing, an empty set would mean any status
        return _Found((), statuses, None, 0)
    remaining = job.progress.remaining
    wanted = sweep.limited(replace(request.wanted, statuses=statuses), job.start)
    page = PageRequest(
        limit=most if remaining is None else min(most, remaining),
        after=job.start.after,
        oldest_first=True,
        budget_s=_SEARCH_S,
    )
    ids, following = await listing.ids(database, await narrowed(database, wanted), page)
    return _Found(ids, statuses, following, len(ids))


async def _shown(database: Database, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Return the picked tasks that this context may see."""
    visibility = current_visibility()
    if visibility is None:
        return ids
    found = await listing.of_ids(database, ids)
    return [one.id for one in found if visibility.shows(one.queue)]


async def _act(database: Database, job: Job, holder: UUID, found: _Found) -> list[Done]:
    """Change the tasks that were found, note it, and return what was done. A deadlock is tried again."""
    for attempt in range(1, _COLLISION_TRIES + 1):
        done: list[Done] = []
        try:
            async with database.hot_transaction() as connection:
                acted = await _changed(connection, job, found, done)
                counts = JobCounts(found.matched, len(acted.changed), len(acted.requested))
                after = found.after or LAST_ID
                if not await jobs.advance(connection, job, holder, after, counts):
                    raise JobNotFound(job.id)
        except asyncpg.PostgresError as error:
            if not faults.is_collision(error) or attempt == _COLLISION_TRIES:
                raise
            log.info(
                "statement.collided", statement="advance_job", attempt=attempt, error=str(error)
            )
        else:
            database.notify_committed()
            return done
    raise AssertionError("the last try returns or raises")


async def _changed(connection: Connection, job: Job, found: _Found, done: list[Done]) -> Acted:
    """Change the tasks, and add to `done` what is done if that is committed."""
    if not found.ids:
        return Acted(frozenset())
    return await sweep.act(
        Acting(partial(_fetch, connection), lambda name, ids: done.append((name, ids))),
        job.request.action,
        found.statuses,
        found.ids,
        job.progress.pace,
    )


async def _fetch(connection: Connection, name: str, *arguments: object) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await connection.fetch(statement(name), *arguments)
    return rows
