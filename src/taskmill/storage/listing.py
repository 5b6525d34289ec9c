"""Lists tasks by any filter: with `scan` and `search` the only place that composes SQL.

With a filter on status, queue or type, kind of error, lease and time, the ids of a page come straight from an
index. With others (label, name; queue and type together) they are searched for: a scan in that order, chunk by
chunk, finds what is frequent; what is rare is looked up by other indexes, see `search`. Where there is none, the
scan goes on for some time; the page then says where to go on. A page of large tasks ends before it has as many
as were requested.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.domain.task import Task
from taskmill.storage import counts, faults, search
from taskmill.storage.database import Database
from taskmill.storage.scan import ALL, Found, Scan
from taskmill.storage.schema import (
    current_task,
    task_callback,
    task_progress,
)
from taskmill.storage.tasks import from_row

BUDGET_S = 2.0
# A search that has found nothing yet goes on for so long, which is less than a request may take.
_LONGEST_S = 4.0
_COUNT_S = 0.25
_MOST_COUNTED = 2_000
_FIRST_CHUNK = 1_000
_LARGEST_CHUNK = 64_000
# Tasks are looked up when a full page would take a scan of more than so many; both take about 10 ms then.
_FEWEST_LOOKED_UP_IN = 10_000

# Making 500 tasks of rows at once would keep the event loop for 5 ms.
_ROWS_AT_ONCE = 50

_PROGRESS = ("share", "message", "at", "serial")
_HIDDEN = ("traceparent", "lease_id", "open_policy")
_COLUMNS = [
    *(column for column in current_task.c if column.name not in _HIDDEN),
    *(task_progress.c[name].label(f"progress_{name}") for name in _PROGRESS),
    sa.select(task_callback.c.url)
    .where(task_callback.c.task_id == current_task.c.id)
    .correlate(current_task)
    .scalar_subquery()
    .label("callback_url"),
]
_LARGE = ("payload", "result")
_BRIEF_COLUMNS = [
    sa.literal(None, sa.Text).label(column.name) if column.name in _LARGE else column
    for column in _COLUMNS
]
_SIZED = ("description", "error", "labels")
# As in queries/get_tasks.sql: of the latest claim, and not of a run before.
_WITH_PROGRESS = current_task.outerjoin(
    task_progress,
    sa.and_(
        task_progress.c.task_id == current_task.c.id,
        task_progress.c.claim_no == current_task.c.claim_no,
        current_task.c.started_at.is_not(None),
    ),
)


async def page(database: Database, wanted: TaskFilter, request: PageRequest) -> TaskPage:
    """Return one page of the tasks that `wanted` admits."""
    scan = Scan(wanted=wanted, request=request)
    total: int | None = None
    async with database.listing(is_search=scan.must_count) as connection:
        while True:
            found = await _find_ids(connection, scan)
            items, is_cut = await _read(connection, scan, found.ids, most_bytes=request.most_bytes)
            if items or not found.ids or found.next_after is None or request.budget_s is not None:
                break
            # All of them have changed since they were found.
            scan = scan.going_on(found.next_after)
        at_least = found.seen
        if scan.must_count:
            total = found.total
            if total is None and request.with_total:
                total = await _count(connection, scan)
            if total is not None and total > _MOST_COUNTED:
                at_least = total
                total = None
    if request.with_total and not scan.must_count:
        total = await _counted(database, wanted)
    return TaskPage(
        items=items,
        total=total,
        total_at_least=at_least if total is None else None,
        next_after=items[-1].id if is_cut else found.next_after,
    )


async def ids(
    database: Database, wanted: TaskFilter, request: PageRequest
) -> tuple[list[UUID], UUID | None]:
    """Return only the ids of such a page, in order, and where the next one begins."""
    scan = Scan(wanted=wanted, request=request)
    async with database.listing(is_search=scan.must_count) as connection:
        found = await _find_ids(connection, scan)
    return found.ids, found.next_after


async def of_ids(database: Database, ids: Sequence[UUID]) -> list[Task]:
    """Return the tasks with these ids in the same order, without payload and result; some may be gone."""
    async with database.listing() as connection:
        scan = Scan(wanted=TaskFilter(), request=PageRequest(is_brief=True))
        return (await _read(connection, scan, list(ids)))[0]


async def counted(database: Database, wanted: TaskFilter) -> int | None:
    """Return the total from the counters; None when the filter needs a scan."""
    scan = Scan(wanted=wanted, request=PageRequest())
    return None if scan.must_count else await _counted(database, wanted)


async def _find_ids(connection: AsyncConnection, scan: Scan) -> Found:
    """Find the tasks of the page."""
    if scan.checked(ALL):
        return await _search(connection, scan)
    request = scan.request
    query = scan.ids(after=request.after, skip=request.offset, limit=request.limit + 1)
    ids = list((await connection.execute(query)).scalars())
    return scan.found(ids, is_all=len(ids) <= request.limit)


async def _search(connection: AsyncConnection, scan: Scan) -> Found:
    """Scan ever larger chunks until the page is full, or tasks or time run out; look up what is rare.

    While it has found nothing it goes on for `_LONGEST_S`, unless the caller has set a budget.
    """
    request, now = scan.request, asyncio.get_running_loop().time
    enough = request.offset + request.limit + 1
    began_at = now()
    budget_s = BUDGET_S if request.budget_s is None else request.budget_s
    found: list[UUID] = []
    after, chunk, scanned, may_look_up = request.after, _FIRST_CHUNK, 0, True
    largest = _largest_chunk(scan.wanted)
    while True:
        last = await connection.scalar(scan.ids(after=after, skip=chunk - 1, limit=1))
        query = scan.ids(after=after, upto=last, is_checked=True, limit=enough - len(found))
        found.extend((await connection.execute(query)).scalars())
        if len(found) >= enough or last is None:
            return scan.found(found[request.offset :], is_all=len(found) < enough, seen=len(found))
        scanned += chunk
        if may_look_up and _is_rare(len(found), scanned, enough):
            may_look_up = False
            rest = await _look_up(connection, scan, last, enough - len(found))
            if rest is not None:
                found.extend(rest.ids)
                is_all = len(found) < enough
                return scan.found(
                    found[request.offset :], is_all=is_all, seen=len(found), total=rest.total
                )
        # A transaction may not last as long as a search.
        await connection.rollback()
        is_empty = len(found) <= request.offset and request.budget_s is None
        if now() - began_at >= (_LONGEST_S if is_empty else budget_s):
            return Found(ids=found[request.offset :], next_after=last, seen=len(found))
        after, chunk = last, min(chunk * 2, largest)


def _largest_chunk(wanted: TaskFilter) -> int:
    """Return how much is scanned at once: each visible queue is walked on its own, so less where they are many."""
    queues = len(wanted.visible or ()) or 1
    return max(_LARGEST_CHUNK // queues, _FIRST_CHUNK)


def _is_rare(found: int, scanned: int, enough: int) -> bool:
    """Return whether the scan would take long to find enough, if it goes on as it began."""
    return (enough - found) * scanned > found * _FEWEST_LOOKED_UP_IN


async def _look_up(
    connection: AsyncConnection, scan: Scan, after: UUID, limit: int
) -> search.Matches | None:
    """Return what follows `after`, if there is an index that has it, and it is not too much."""
    wanted = scan.wanted
    by_name = None
    if wanted.name is not None:
        by_name = await search.name_condition(connection, wanted.name)
    matching: search.Matching
    if wanted.labels or by_name is not None:
        conditions = scan.all_conditions() + ([] if by_name is None else [by_name])
        matching = sa.select(current_task.c.id).where(*conditions)
    elif wanted.type and (wanted.queue or wanted.visible is not None):
        matching = sa.union_all(*(scan.walk(place, is_checked=True) for place in scan.places()))
    else:
        return None
    return await search.look_up(
        connection,
        matching,
        after=after,
        oldest_first=scan.request.oldest_first,
        limit=limit,
        timeout_s=scan.request.look_up_s,
    )


async def _read(
    connection: AsyncConnection, scan: Scan, ids: list[UUID], *, most_bytes: int | None = None
) -> tuple[list[Task], bool]:
    """Read the tasks, leaving out those that no longer match the filter.

    Also returns whether the last ones were left out because the ones before have `most_bytes` together.
    """
    if not ids:
        return [], False
    conditions = [current_task.c.id.in_(ids), *scan.all_conditions()]
    columns = _BRIEF_COLUMNS if scan.request.is_brief else _COLUMNS
    query = sa.select(*columns).select_from(_WITH_PROGRESS).where(*conditions)
    if most_bytes is not None:
        query = _cut(query, scan, most_bytes)
    by_id: dict[UUID, Task] = {}
    fitting = 0
    for rows in (await connection.execute(query)).mappings().partitions(_ROWS_AT_ONCE):
        if by_id:
            await asyncio.sleep(0)
        by_id.update((row["id"], from_row(row)) for row in rows)
        fitting = rows[0].get("fitting", 0)
    return [by_id[task_id] for task_id in ids if task_id in by_id], len(by_id) < fitting


def _cut(query: sa.Select[Any], scan: Scan, most_bytes: int) -> sa.Select[Any]:
    """End the page when `most_bytes` are reached; `fitting` counts all that match."""
    sized = _SIZED if scan.request.is_brief else (*_SIZED, *_LARGE)
    size = sum((_size(current_task.c[name]) for name in sized), sa.literal(0))
    before = sa.func.sum(size).over(order_by=scan.ordered(current_task.c.id)) - size
    found = query.add_columns(
        before.label("bytes_before"), sa.func.count().over().label("fitting")
    ).subquery()
    return sa.select(found).where(found.c.bytes_before < most_bytes)


def _size(column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """Return how many bytes a value has; only values stored compressed are unpacked for it."""
    is_plain = sa.func.pg_column_compression(column).is_(None)
    plain = sa.func.coalesce(sa.func.pg_column_size(column), 0)
    return sa.case((is_plain, plain), else_=sa.func.octet_length(sa.cast(column, sa.Text)))


async def _counted(database: Database, wanted: TaskFilter) -> int:
    """Add up the counters of the queues and statuses that are wanted."""
    by_queue = await counts.by_queue(database)
    return sum(
        tasks
        for queue, counted in by_queue.items()
        if wanted.queue in (None, queue) and (wanted.visible is None or queue in wanted.visible)
        for status, tasks in counted.items()
        if not wanted.statuses or status in wanted.statuses
    )


async def _count(connection: AsyncConnection, scan: Scan) -> int | None:
    """Count row by row, up to one more than `_MOST_COUNTED`; None when the time is too short."""
    counting_s = _COUNT_S if scan.request.budget_s is None else scan.request.budget_s
    await connection.execute(
        sa.text(f"SET LOCAL statement_timeout = {max(round(counting_s * 1000), 1)}")
    )
    walks = (scan.walk(place, is_checked=True) for place in scan.places())
    matching = sa.union_all(*walks).limit(_MOST_COUNTED + 1)
    try:
        counted: int | None = await connection.scalar(
            sa.select(sa.func.count()).select_from(matching.subquery())
        )
    except DBAPIError as error:
        if faults.sqlstate(error) != faults.QUERY_CANCELED:
            raise
        await connection.rollback()
        return None
    return counted
