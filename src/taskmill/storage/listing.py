"""Lists tasks by any filter: the only place that composes SQL.

With a filter on status, queue and time only, the ids of a page come straight from an index. Other filters (type,
label, name, error, lease) scan in that order, chunk by chunk, within a time budget; the page then says where to go
on. A page of large tasks ends before it has as many as were requested.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from taskmill.domain import identity
from taskmill.domain.lifecycle import Status
from taskmill.domain.name_search import name_pattern
from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.domain.task import Task
from taskmill.storage import counts, faults
from taskmill.storage.database import Database
from taskmill.storage.schema import task, task_callback, task_progress
from taskmill.storage.tasks import from_row

BUDGET_S = 0.25
_FIRST_CHUNK = 2_000
_LARGEST_CHUNK = 64_000

Condition = sa.ColumnElement[bool]

_PROGRESS = ("share", "message", "at", "serial")
_HIDDEN = ("traceparent", "lease_id", "open_policy")
_COLUMNS = [
    *(column for column in task.c if column.name not in _HIDDEN),
    *(task_progress.c[name].label(f"progress_{name}") for name in _PROGRESS),
    sa.select(task_callback.c.url)
    .where(task_callback.c.task_id == task.c.id)
    .correlate(task)
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
_WITH_PROGRESS = task.outerjoin(
    task_progress,
    sa.and_(
        task_progress.c.task_id == task.c.id,
        task_progress.c.claim_no == task.c.claim_no,
        task.c.started_at.is_not(None),
    ),
)


def has_in_name(needle: str) -> Condition:
    """Return the condition that `needle` is in the name, ignoring case: see `domain/name_search.py`.

    The two ways: names of ASCII take 0.3 µs each, as ILIKE does, and others of 30 characters 1 to 2 (2026-11-28).
    """
    pattern, name = name_pattern(needle), task.c.name
    expanded: sa.ColumnElement[str] = name
    for one, several in pattern.expanded.items():
        expanded = sa.func.replace(expanded, one, several)
    is_ascii = sa.func.octet_length(name) == sa.func.char_length(name)
    lower = sa.func.lower(sa.collate(name, "C"))
    return sa.case(
        (is_ascii, sa.func.strpos(lower, pattern.folded) > 0),
        else_=expanded.regexp_match(pattern.expression),
    )


async def page(database: Database, wanted: TaskFilter, request: PageRequest) -> TaskPage:
    """Return one page of the tasks that `wanted` admits."""
    scan = _Scan(wanted=wanted, request=request)
    async with database.listing(is_search=scan.must_count) as connection:
        ids, next_after = await _find_ids(connection, scan)
        items, is_cut = await _read(connection, scan, ids, most_bytes=request.most_bytes)
        total = None
        if scan.must_count and request.with_total:
            total = scan.total_of(ids, next_after)
            if total is None:
                total = await _count(connection, scan)
    if request.with_total and not scan.must_count:
        total = await _counted(database, wanted)
    at_least = None if total is not None else request.offset + len(ids) + bool(next_after)
    return TaskPage(
        items=items,
        total=total,
        total_at_least=at_least,
        next_after=items[-1].id if is_cut else next_after,
    )


async def ids(
    database: Database, wanted: TaskFilter, request: PageRequest
) -> tuple[list[UUID], UUID | None]:
    """Return only the ids of such a page, in order, and where the next one begins."""
    scan = _Scan(wanted=wanted, request=request)
    async with database.listing(is_search=scan.must_count) as connection:
        return await _find_ids(connection, scan)


async def of_ids(database: Database, ids: Sequence[UUID]) -> list[Task]:
    """Return the tasks with these ids in the same order, without payload and result; some may be gone."""
    async with database.listing() as connection:
        scan = _Scan(wanted=TaskFilter(), request=PageRequest(is_brief=True))
        return (await _read(connection, scan, list(ids)))[0]


async def counted(database: Database, wanted: TaskFilter) -> int | None:
    """Return the total from the counters; None when the filter needs a scan."""
    scan = _Scan(wanted=wanted, request=PageRequest())
    return None if scan.must_count else await _counted(database, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """A listing as conditions on `task`."""

    wanted: TaskFilter
    request: PageRequest

    @property
    def must_count(self) -> bool:
        """Whether the counters can't give the total."""
        times = self.wanted.created_after or self.wanted.created_before
        return bool(times or self.needs_scan)

    @property
    def budget_s(self) -> float:
        """The time for a scan, and for a count."""
        requested = self.request.budget_s
        return BUDGET_S if requested is None else requested

    @property
    def needs_scan(self) -> bool:
        """Whether some condition has no index."""
        wanted = self.wanted
        return bool(wanted.type or wanted.labels or wanted.name or wanted.error or wanted.lease)

    def total_of(self, ids: Sequence[UUID], next_after: UUID | None) -> int | None:
        """Return how many tasks there are in all; None when a page with these ids does not show it."""
        has_seen_all = self.request.after is None and next_after is None
        is_within = bool(ids) or self.request.offset == 0
        return self.request.offset + len(ids) if has_seen_all and is_within else None

    def indexed(self) -> list[Condition]:
        """Return the conditions that bound the walk along an index, without status."""
        wanted = self.wanted
        conditions: list[Condition] = []
        if wanted.queue is not None:
            conditions.append(task.c.queue == wanted.queue)
        if wanted.created_after is not None:
            conditions.append(task.c.id >= identity.lower_bound(wanted.created_after))
        if wanted.created_before is not None:
            conditions.append(task.c.id < identity.lower_bound(wanted.created_before))
        return conditions

    def unindexed(self) -> list[Condition]:
        """Return the conditions that every row must be checked for."""
        wanted = self.wanted
        conditions: list[Condition] = []
        if wanted.type is not None:
            conditions.append(task.c.type == wanted.type)
        if wanted.name is not None:
            conditions.append(has_in_name(wanted.name))
        if wanted.lease is not None:
            conditions.append(task.c.lease_id == wanted.lease)
        if wanted.error is not None:
            conditions.append(sa.func.taskmill.error_shape(task.c.error) == wanted.error)
        if wanted.labels:
            labels = orjson.dumps(dict(wanted.labels)).decode()
            conditions.append(task.c.labels.contains(sa.cast(sa.literal(labels, sa.Text), JSONB)))
        return conditions

    def statuses(self) -> Sequence[Status]:
        """Return the statuses to walk one by one; none when the primary key alone gives the order."""
        if self.wanted.statuses:
            return sorted(self.wanted.statuses)
        return list(Status) if self.wanted.queue is not None else []

    def beyond(self, after: UUID | None) -> list[Condition]:
        """Return the condition that leaves out earlier pages."""
        if after is None:
            return []
        return [task.c.id > after if self.request.oldest_first else task.c.id < after]

    def up_to(self, last: UUID) -> Condition:
        """Return the condition that ends a chunk at `last`, inclusive."""
        return task.c.id <= last if self.request.oldest_first else task.c.id >= last

    def ordered(self, column: sa.ColumnElement[UUID]) -> sa.UnaryExpression[UUID]:
        """Return the order of the listing."""
        return column.asc() if self.request.oldest_first else column.desc()

    def ids(self, conditions: list[Condition], *, skip: int, limit: int) -> sa.Select[UUID]:
        """Select ids in order; with several statuses each is walked along its own index range."""
        statuses = self.statuses()
        if len(statuses) <= 1:
            own = [task.c.status == status for status in statuses]
            query = sa.select(task.c.id).where(*conditions, *own)
            return query.order_by(self.ordered(task.c.id)).offset(skip).limit(limit)
        walks = [
            sa.select(task.c.id)
            .where(*conditions, task.c.status == status)
            .order_by(self.ordered(task.c.id))
            .limit(skip + limit)
            .subquery()
            for status in statuses
        ]
        merged = sa.union_all(*(sa.select(walk.c.id) for walk in walks)).subquery()
        query = sa.select(merged.c.id).order_by(self.ordered(merged.c.id))
        return query.offset(skip).limit(limit)


async def _find_ids(connection: AsyncConnection, scan: _Scan) -> tuple[list[UUID], UUID | None]:
    """Return the page's ids in order, and where the next page begins."""
    if scan.needs_scan:
        return await _scan_for_ids(connection, scan)
    request = scan.request
    conditions = scan.indexed() + scan.beyond(request.after)
    query = scan.ids(conditions, skip=request.offset, limit=request.limit + 1)
    ids = list((await connection.execute(query)).scalars())
    if len(ids) <= request.limit:
        return ids, None
    return ids[: request.limit], ids[request.limit - 1]


async def _scan_for_ids(connection: AsyncConnection, scan: _Scan) -> tuple[list[UUID], UUID | None]:
    """Scan ever larger chunks until the page is full, or tasks or time run out."""
    request, loop = scan.request, asyncio.get_running_loop()
    enough = request.offset + request.limit + 1
    give_up_at = loop.time() + scan.budget_s
    found: list[UUID] = []
    after, chunk = request.after, _FIRST_CHUNK
    while True:
        bounds = scan.indexed() + scan.beyond(after)
        last = await connection.scalar(scan.ids(bounds, skip=chunk - 1, limit=1))
        within = [*bounds, *scan.unindexed()] + ([scan.up_to(last)] if last else [])
        query = scan.ids(within, skip=0, limit=enough - len(found))
        found.extend((await connection.execute(query)).scalars())
        if len(found) >= enough:
            return found[request.offset : enough - 1], found[enough - 2]
        if last is None:
            return found[request.offset :], None
        if loop.time() >= give_up_at:
            return found[request.offset :], last
        after, chunk = last, min(chunk * 2, _LARGEST_CHUNK)


async def _read(
    connection: AsyncConnection, scan: _Scan, ids: list[UUID], *, most_bytes: int | None = None
) -> tuple[list[Task], bool]:
    """Read the tasks, leaving out those that no longer match the filter.

    Also returns whether the last ones were left out because the ones before have `most_bytes` together.
    """
    if not ids:
        return [], False
    conditions = [task.c.id.in_(ids), *scan.unindexed()]
    if scan.wanted.statuses:
        conditions.append(task.c.status.in_(sorted(scan.wanted.statuses)))
    columns = _BRIEF_COLUMNS if scan.request.is_brief else _COLUMNS
    query = sa.select(*columns).select_from(_WITH_PROGRESS).where(*conditions)
    if most_bytes is not None:
        query = _cut(query, scan, most_bytes)
    rows = (await connection.execute(query)).mappings().all()
    by_id = {row["id"]: from_row(row) for row in rows}
    is_cut = most_bytes is not None and bool(rows) and len(rows) < rows[0]["fitting"]
    return [by_id[task_id] for task_id in ids if task_id in by_id], is_cut


def _cut(query: sa.Select[Any], scan: _Scan, most_bytes: int) -> sa.Select[Any]:
    """End the page when `most_bytes` are reached; `fitting` counts all that match."""
    sized = _SIZED if scan.request.is_brief else (*_SIZED, *_LARGE)
    size = sum((_size(task.c[name]) for name in sized), sa.literal(0))
    before = sa.func.sum(size).over(order_by=scan.ordered(task.c.id)) - size
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
        if wanted.queue in (None, queue)
        for status, tasks in counted.items()
        if not wanted.statuses or status in wanted.statuses
    )


async def _count(connection: AsyncConnection, scan: _Scan) -> int | None:
    """Count row by row within the time budget; None when that is too short."""
    conditions = scan.indexed() + scan.unindexed()
    if scan.wanted.statuses:
        conditions.append(task.c.status.in_(sorted(scan.wanted.statuses)))
    await connection.execute(
        sa.text(f"SET LOCAL statement_timeout = {max(round(scan.budget_s * 1000), 1)}")
    )
    try:
        total: int | None = await connection.scalar(
            sa.select(sa.func.count()).select_from(task).where(*conditions)
        )
    except DBAPIError as error:
        if faults.sqlstate(error) != faults.QUERY_CANCELED:
            raise
        await connection.rollback()
        return None
    return total
