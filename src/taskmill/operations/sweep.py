"""Sweeps: cancel or run again whatever a filter admits, in bounded steps.

A step goes through the tasks oldest first, a chunk at a time, each chunk in transactions of its own, until
its time is up; the next step goes on behind it. What a task goes through is the same as when it is asked for
alone: the statements are the same.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import assert_never
from uuid import UUID

from taskmill.domain import identity
from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Reason, Status
from taskmill.domain.system import PageRequest, Sweep, SweepStart, SweepStep, TaskFilter
from taskmill.observability.flow import CANCELS, RUN_AGAIN
from taskmill.observability.logs import get_logger
from taskmill.storage import listing
from taskmill.storage.database import Database

log = get_logger(__name__)

BUDGET_S = 2.0
CHUNK = 1_000
_LOWEST_ID = UUID(int=0)
# A task can move between waiting and running while we look; each look takes milliseconds.
_LOOKS = 3


async def step(
    database: Database,
    what: Sweep,
    wanted: TaskFilter,
    start: SweepStart | None,
    *,
    dry_run: bool,
    most: int | None = None,
) -> SweepStep:
    """Do what can be done in `BUDGET_S`, one chunk at least; with `dry_run` only count.

    With `most`, from 1, it ends after so many tasks; more that fit are left to the next step. Only tasks whose
    status allows it are meant; where all statuses that are wanted refuse it, there are none.
    An outage after the first chunk ends the step early: what was done is told, and the next step goes on.

    Raises:
        Unavailable: the database is away; nothing was done, unless the answer to the first chunk was lost.
    """
    statuses = what.statuses & (wanted.statuses or what.statuses)
    if not statuses:  # for a listing, none would mean any
        return SweepStep(matched=0, changed=0, requested=0, next_start=None)
    wanted = replace(wanted, statuses=statuses)
    if dry_run and start is None and (total := await listing.counted(database, wanted)) is not None:
        return SweepStep(matched=total, changed=0, requested=0, next_start=None)
    start = start or await _beginning(database)
    wanted = _ended(wanted, start)
    now = asyncio.get_running_loop().time
    give_up_at = now() + BUDGET_S
    matched = changed = requested = 0
    after: UUID | None = start.after
    while after is not None:
        limit = CHUNK if most is None else min(CHUNK, most - matched)
        request = PageRequest(limit=limit, after=after, oldest_first=True)
        try:
            ids, following = await listing.ids(database, wanted, request)
            if ids and not dry_run:
                more_changed, more_requested = await _act(database, what, wanted.statuses, ids)
                changed, requested = changed + more_changed, requested + more_requested
        except Unavailable:
            if after == start.after:
                raise
            break
        matched += len(ids)
        after = following
        if now() >= give_up_at or matched == most:
            break
    next_start = None if after is None else replace(start, after=after)
    return SweepStep(matched=matched, changed=changed, requested=requested, next_start=next_start)


async def act_on(database: Database, what: Sweep, ids: Collection[UUID]) -> SweepStep:
    """Cancel or run again the tasks with these ids, `CHUNK` at most; those whose status refuses it stay.

    Raises:
        Unavailable: the database is away; nothing was done, unless its answer was lost.
    """
    changed, requested = await _act(database, what, what.statuses, sorted(ids)[:CHUNK])
    return SweepStep(matched=len(ids), changed=changed, requested=requested, next_start=None)


async def _beginning(database: Database) -> SweepStart:
    """Return where a sweep begins; what comes in while it runs is not meant, and would have no end."""
    now = await database.fetch_value("clock_now")
    return SweepStart(after=_LOWEST_ID, until=identity.lower_bound(now))


def _ended(wanted: TaskFilter, start: SweepStart) -> TaskFilter:
    until = identity.created_at(start.until)
    return replace(wanted, created_before=min(wanted.created_before or until, until))


async def _act(
    database: Database, what: Sweep, statuses: Collection[Status], ids: list[UUID]
) -> tuple[int, int]:
    """Return how many of the tasks were changed, and how many are asked to stop."""
    match what:
        case Sweep.CANCEL:
            return await _cancel(database, statuses, ids)
        case Sweep.RETRY:
            rows = await database.fetch("run_tasks_again", sorted(ids), sorted(statuses))
            RUN_AGAIN.add(len(rows))
            return len(_told("task.run_again", (row["id"] for row in rows))), 0
        case _:
            assert_never(what)


async def _cancel(
    database: Database, statuses: Collection[Status], ids: list[UUID]
) -> tuple[int, int]:
    left, changed, requested = set(ids), 0, 0
    for _ in range(_LOOKS):
        if Status.NEW in statuses:
            rows = await database.fetch("cancel_waiting_tasks", sorted(left), Reason.CANCELLED)
            done = _told("task.cancelled", (row["id"] for row in rows))
            CANCELS.add(len(done), ("done",))
            left, changed = left - done, changed + len(done)
        if Status.IN_PROGRESS in statuses and left:
            rows = await database.fetch("request_cancels", sorted(left))
            done = _told("task.cancel_requested", (row["id"] for row in rows))
            CANCELS.add(len(done), ("asked",))
            left, requested = left - done, requested + len(done)
        if not left:
            break
    return changed, requested


def _told(event: str, ids: Iterable[UUID]) -> set[UUID]:
    told = set(ids)
    for task_id in told:
        log.info(event, task_id=str(task_id))
    return told
