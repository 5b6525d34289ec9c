"""Sweeps: cancel or retry whatever a filter admits, in bounded steps.

A step goes through the tasks oldest first, a chunk at a time, each chunk in transactions of its own, until
its time is up; the next step continues after it. A task is changed by the same statements as when it is
cancelled or retried alone.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import assert_never
from uuid import UUID

from taskmill.domain import identity
from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Reason, Status
from taskmill.domain.system import Pace, PageRequest, Sweep, SweepStart, SweepStep, TaskFilter
from taskmill.domain.visibility import Visibility
from taskmill.observability.flow import CANCELS, RUN_AGAIN
from taskmill.observability.logs import get_logger
from taskmill.storage import listing
from taskmill.storage.database import Database

log = get_logger(__name__)

BUDGET_S = 2.0
CHUNK = 1_000
_LOWEST_ID = UUID(int=0)
# A task can move between waiting and running between two statements; each takes milliseconds.
_TRIES = 3


async def step(
    database: Database,
    action: Sweep,
    wanted: TaskFilter,
    start: SweepStart | None,
    *,
    dry_run: bool,
    most: int | None = None,
    pace: Pace | None = None,
) -> SweepStep:
    """Do what can be done in `BUDGET_S`, at least one chunk; with `dry_run` only count.

    Retried tasks are due at once, or as a `pace` says. With `most`, from 1, it ends after so many tasks; more that
    match are left to the next step. Only tasks in a status that allows the action are changed; where the filter
    has no such status, there are none. An outage after the first chunk ends the step early: it returns what was
    done, and the next step continues.

    Raises:
        Unavailable: the database is away; nothing was done, unless the result of the first chunk was lost.
    """
    statuses = action.statuses & (wanted.statuses or action.statuses)
    if not statuses:  # in a listing, an empty set would mean any status
        return SweepStep(matched=0, changed=0, requested=0, next_start=None)
    wanted = replace(wanted, statuses=statuses)
    if dry_run and start is None and (total := await listing.counted(database, wanted)) is not None:
        matched = total if most is None else min(total, most)
        return SweepStep(matched=matched, changed=0, requested=0, next_start=None)
    start = start or await _start(database)
    wanted = _limited(wanted, start)
    now = asyncio.get_running_loop().time
    give_up_at = now() + BUDGET_S
    matched = changed = requested = 0
    after: UUID | None = start.after
    while after is not None:
        limit = CHUNK if most is None else min(CHUNK, most - matched)
        budget_s = max(give_up_at - now(), 0)
        request = PageRequest(limit=limit, after=after, oldest_first=True, budget_s=budget_s)
        try:
            ids, following = await listing.ids(database, wanted, request)
            if ids and not dry_run:
                more_changed, more_requested = await _act(
                    database, action, wanted.statuses, ids, pace and pace.after(changed)
                )
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


async def sweep_ids(
    database: Database,
    action: Sweep,
    ids: Collection[UUID],
    visibility: Visibility | None = None,
) -> SweepStep:
    """Cancel or retry the tasks with these ids, at most `CHUNK`; those in a status that refuses it stay.

    With a visibility, so do those that it does not show: they are like ids without a task.

    Raises:
        Unavailable: the database is away; nothing was done, unless its result was lost.
    """
    chosen = sorted(ids)[:CHUNK]
    if visibility is not None:
        found = await listing.of_ids(database, chosen)
        chosen = [task.id for task in found if visibility.shows(task.queue)]
    changed, requested = await _act(database, action, action.statuses, chosen, None)
    return SweepStep(matched=len(ids), changed=changed, requested=requested, next_start=None)


async def _start(database: Database) -> SweepStart:
    """Return where a sweep starts; tasks created while it runs are left out, or it might never end."""
    now = await database.fetch_value("clock_now")
    return SweepStart(after=_LOWEST_ID, until=identity.lower_bound(now))


def _limited(wanted: TaskFilter, start: SweepStart) -> TaskFilter:
    until = identity.created_at(start.until)
    return replace(wanted, created_before=min(wanted.created_before or until, until))


async def _act(
    database: Database,
    action: Sweep,
    statuses: Collection[Status],
    ids: list[UUID],
    pace: Pace | None,
) -> tuple[int, int]:
    """Return how many of the tasks were changed, and how many running ones were asked to stop."""
    match action:
        case Sweep.CANCEL:
            return await _cancel(database, statuses, ids)
        case Sweep.RETRY:
            first_at, spacing_s = (None, 0.0) if pace is None else (pace.first_at, pace.spacing_s)
            rows = await database.fetch(
                "run_tasks_again", sorted(ids), sorted(statuses), first_at, spacing_s
            )
            RUN_AGAIN.add(len(rows))
            return len(_logged("task.run_again", (row["id"] for row in rows))), 0
        case _:
            assert_never(action)


async def _cancel(
    database: Database, statuses: Collection[Status], ids: list[UUID]
) -> tuple[int, int]:
    remaining, changed, requested = set(ids), 0, 0
    for _ in range(_TRIES):
        if Status.NEW in statuses:
            rows = await database.fetch("cancel_waiting_tasks", sorted(remaining), Reason.CANCELLED)
            done = _logged("task.cancelled", (row["id"] for row in rows))
            CANCELS.add(len(done), ("done",))
            remaining, changed = remaining - done, changed + len(done)
        if Status.IN_PROGRESS in statuses and remaining:
            rows = await database.fetch("request_cancels", sorted(remaining))
            done = _logged("task.cancel_requested", (row["id"] for row in rows))
            CANCELS.add(len(done), ("requested",))
            remaining, requested = remaining - done, requested + len(done)
        if not remaining:
            break
    return changed, requested


def _logged(event: str, ids: Iterable[UUID]) -> set[UUID]:
    """Log an event of each task, and return the ids."""
    found = set(ids)
    for task_id in found:
        log.info(event, task_id=str(task_id))
    return found
