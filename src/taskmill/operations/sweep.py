"""Sweeps: cancel or retry whatever a filter admits, in bounded steps.

A step goes through the tasks oldest first, a chunk at a time, each chunk in transactions of its own, until
its time is up; the next step continues after it. A task is changed by the same statements as when it is
cancelled or retried alone. Jobs (`operations/job_steps.py`) act in the same way, in transactions of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Set as AbstractSet
from dataclasses import dataclass, replace
from typing import NamedTuple, assert_never
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Reason, Status
from taskmill.domain.system import Pace, PageRequest, Sweep, SweepStart, SweepStep, TaskFilter
from taskmill.observability.flow import CANCELS, RUN_AGAIN
from taskmill.observability.logs import get_logger
from taskmill.storage import listing
from taskmill.storage.database import Database

log = get_logger(__name__)

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Runs a statement by its name with its arguments, as `Database.fetch` does."""

BUDGET_S = 2.0
CHUNK = 1_000
_LOWEST_ID = UUID(int=0)
# A task can move between waiting and running between two statements; each takes milliseconds.
_TRIES = 3


class Acted(NamedTuple):
    """The tasks that were changed, and the running ones whose workers were asked to stop them."""

    changed: AbstractSet[UUID]
    requested: AbstractSet[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Acting:
    """How statements are run: by `fetch`, alone or within a transaction; `done` gets what each has done."""

    fetch: Fetch
    done: Callable[[str, AbstractSet[UUID]], None]

    async def __call__(self, statement: str, *arguments: object) -> set[UUID]:
        """Run a statement by its name, and return the ids of its tasks."""
        found = {row["id"] for row in await self.fetch(statement, *arguments)}
        self.done(statement, found)
        return found


async def step(
    database: Database,
    action: Sweep,
    wanted: TaskFilter,
    start: SweepStart | None,
    *,
    dry_run: bool,
    limit: int | None = None,
    pace: Pace | None = None,
) -> SweepStep:
    """Do what can be done in `BUDGET_S`, at least one chunk; with `dry_run` only count.

    Retried tasks are due at once, or as a `pace` says. With a `limit`, from 1, it ends after so many tasks; more
    that match are left to the next step. Only tasks in a status that allows the action are changed; where the
    filter has no such status, there are none. An outage after the first chunk ends the step early: it returns what
    was done, and the next step continues.

    Raises:
        Unavailable: the database is away; nothing was done, unless the result of the first chunk was lost.
    """
    statuses = action.statuses & (wanted.statuses or action.statuses)
    if not statuses:  # in a listing, an empty set would mean any status
        return SweepStep(matched=0, changed=0, requested=0, next_start=None)
    wanted = replace(wanted, statuses=statuses)
    if dry_run and start is None and (total := await listing.counted(database, wanted)) is not None:
        matched = total if limit is None else min(total, limit)
        return SweepStep(matched=matched, changed=0, requested=0, next_start=None)
    start = start or await first_start(database)
    wanted = limited(wanted, start)
    now = asyncio.get_running_loop().time
    give_up_at = now() + BUDGET_S
    matched = changed = requested = 0
    after: UUID | None = start.after
    while after is not None:
        chunk = CHUNK if limit is None else min(CHUNK, limit - matched)
        budget_s = max(give_up_at - now(), 0)
        request = PageRequest(limit=chunk, after=after, oldest_first=True, budget_s=budget_s)
        try:
            ids, following = await listing.ids(database, wanted, request)
            if ids and not dry_run:
                acted = await act(
                    Acting(database.fetch, report),
                    action,
                    wanted.statuses,
                    ids,
                    pace and pace.after(changed),
                )
                changed, requested = changed + len(acted.changed), requested + len(acted.requested)
        except Unavailable:
            if after == start.after:
                raise
            break
        matched += len(ids)
        after = following
        if now() >= give_up_at or matched == limit:
            break
    next_start = None if after is None else replace(start, after=after)
    return SweepStep(matched=matched, changed=changed, requested=requested, next_start=next_start)


async def first_start(database: Database) -> SweepStart:
    """Return where a sweep starts; tasks created while it runs are left out, or it might never end."""
    now = await database.fetch_value("clock_now")
    return SweepStart(after=_LOWEST_ID, until=identity.lower_bound(now))


def limited(wanted: TaskFilter, start: SweepStart) -> TaskFilter:
    """Return a filter that admits only what existed when the sweep began."""
    until = identity.created_at(start.until)
    return replace(wanted, created_before=min(wanted.created_before or until, until))


async def act(
    acting: Acting,
    action: Sweep,
    statuses: Collection[Status],
    ids: Collection[UUID],
    pace: Pace | None = None,
) -> Acted:
    """Cancel or retry tasks with some ids, and return which; those in other statuses stay."""
    match action:
        case Sweep.CANCEL:
            return await _cancel(acting, statuses, ids)
        case Sweep.RETRY:
            first_at, spacing_s = (None, 0.0) if pace is None else (pace.first_at, pace.spacing_s)
            arguments = (sorted(ids), sorted(statuses), first_at, spacing_s)
            return Acted(await acting("run_tasks_again", *arguments))
        case _:
            assert_never(action)


async def _cancel(acting: Acting, statuses: Collection[Status], ids: Collection[UUID]) -> Acted:
    remaining, changed, requested = set(ids), set[UUID](), set[UUID]()
    for _ in range(_TRIES):
        if Status.NEW in statuses:
            done = await acting("cancel_waiting_tasks", sorted(remaining), Reason.CANCELLED)
            remaining, changed = remaining - done, changed | done
        if Status.IN_PROGRESS in statuses and remaining:
            done = await acting("request_cancels", sorted(remaining))
            remaining, requested = remaining - done, requested | done
        if not remaining:
            break
    return Acted(changed, requested)


def report(statement: str, ids: AbstractSet[UUID]) -> None:
    """Count what a statement has done that is committed, and log an event of each task."""
    match statement:
        case "cancel_waiting_tasks":
            CANCELS.add(len(ids), ("done",))
            _log("task.cancelled", ids)
        case "request_cancels":
            CANCELS.add(len(ids), ("requested",))
            _log("task.cancel_requested", ids)
        case "run_tasks_again":
            RUN_AGAIN.add(len(ids))
            _log("task.run_again", ids)


def _log(event: str, ids: Iterable[UUID]) -> None:
    for task_id in ids:
        log.info(event, task_id=str(task_id))
