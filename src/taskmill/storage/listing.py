"""Lists tasks by any filter: with `search` the only place that composes SQL.

With a filter on status, queue or type, kind of error and time, the ids of a page come straight from an index.
With others (label, name, lease; queue and type together) they are searched for: a scan in that order, chunk by
chunk, finds what is frequent; what is rare is looked up by other indexes, see `search`. Where there is none, the
scan goes on for some time; the page then says where to go on. A page of large tasks ends before it has as many
as were requested.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from taskmill.storage import counts, faults, search
from taskmill.storage.database import Database
from taskmill.storage.schema import task, task_callback, task_progress
from taskmill.storage.tasks import from_row

BUDGET_S = 2.0
_COUNT_S = 0.25
_MOST_COUNTED = 2_000
_FIRST_CHUNK = 1_000
_LARGEST_CHUNK = 64_000
# Tasks are looked up when a full page would take a scan of more than so many; both take about 10 ms then.
_FEWEST_LOOKED_UP_IN = 10_000

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
    total: int | None = None
    async with database.listing(is_search=scan.must_count) as connection:
        while True:
            found = await _find_ids(connection, scan)
            items, is_cut = await _read(connection, scan, found.ids, most_bytes=request.most_bytes)
            if items or found.next_after is None or request.budget_s is not None:
                break
            # All of them have changed since they were found.
            scan = scan.going_on(found.next_after)
        at_least = scan.request.offset + len(found.ids) + bool(found.next_after)
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
    scan = _Scan(wanted=wanted, request=request)
    async with database.listing(is_search=scan.must_count) as connection:
        found = await _find_ids(connection, scan)
    return found.ids, found.next_after


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
class _Found:
    """The ids of a page in order, where the next page begins, and how many match in all, where that is known."""

    ids: list[UUID]
    next_after: UUID | None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """A listing as conditions on `task`."""

    wanted: TaskFilter
    request: PageRequest

    @property
    def must_count(self) -> bool:
        """Whether the counters can't give the total."""
        return replace(self.wanted, statuses=frozenset(), queue=None) != TaskFilter()

    def going_on(self, after: UUID) -> "_Scan":
        """Return the scan of what follows `after`."""
        return replace(self, request=replace(self.request, after=after, offset=0))

    def found(self, ids: list[UUID], *, is_all: bool, total: int | None = None) -> _Found:
        """Return what was found from the offset on: `is_all` that matches, else one more than fits on the page."""
        request = self.request
        if is_all and total is None and request.after is None and (ids or request.offset == 0):
            total = request.offset + len(ids)
        return _Found(
            ids=ids[: request.limit],
            next_after=None if is_all else ids[request.limit - 1],
            total=total,
        )

    def indexed(self) -> list[Condition]:
        """Return the conditions that bound the walk along an index, without status."""
        wanted = self.wanted
        conditions: list[Condition] = []
        if wanted.type is not None:
            conditions.append(task.c.type == wanted.type)
        elif wanted.queue is not None:
            conditions.append(task.c.queue == wanted.queue)
        if wanted.error is not None:
            conditions += [
                task.c.error.is_not(None),
                sa.func.taskmill.error_shape(task.c.error) == wanted.error,
            ]
        if wanted.created_after is not None:
            conditions.append(task.c.id >= identity.lower_bound(wanted.created_after))
        if wanted.created_before is not None:
            conditions.append(task.c.id < identity.lower_bound(wanted.created_before))
        return conditions

    def checked(self) -> list[Condition]:
        """Return the conditions that every row of the walk must be checked for."""
        wanted = self.wanted
        conditions: list[Condition] = []
        if wanted.type is not None and wanted.queue is not None:
            conditions.append(task.c.queue == wanted.queue)
        if wanted.name is not None:
            conditions.append(has_in_name(wanted.name))
        if wanted.lease is not None:
            conditions.append(task.c.lease_id == wanted.lease)
        if wanted.labels:
            labels = orjson.dumps(dict(wanted.labels)).decode()
            conditions += [
                task.c.labels != sa.text("'{}'"),
                task.c.labels.contains(sa.cast(sa.literal(labels, sa.Text), JSONB)),
            ]
        return conditions

    def all_conditions(self) -> list[Condition]:
        """Return what all tasks of the listing meet."""
        statuses = sorted(self.wanted.statuses)
        own = [task.c.status.in_(statuses)] if statuses else []
        return [*self.indexed(), *self.checked(), *own]

    def statuses(self) -> Sequence[Status]:
        """Return the statuses to walk one by one; none when an index without them gives the order."""
        if self.wanted.statuses:
            return sorted(self.wanted.statuses)
        if self.wanted.error is not None:
            return []
        return list(Status) if self.wanted.queue or self.wanted.type else []

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


async def _find_ids(connection: AsyncConnection, scan: _Scan) -> _Found:
    """Find the tasks of the page."""
    if scan.checked():
        return await _search(connection, scan)
    request = scan.request
    conditions = scan.indexed() + scan.beyond(request.after)
    query = scan.ids(conditions, skip=request.offset, limit=request.limit + 1)
    ids = list((await connection.execute(query)).scalars())
    return scan.found(ids, is_all=len(ids) <= request.limit)


async def _search(connection: AsyncConnection, scan: _Scan) -> _Found:
    """Scan ever larger chunks until the page is full, or tasks or time run out; look up what is rare.

    It goes on until it has found something, unless the caller has set a budget.
    """
    request, now = scan.request, asyncio.get_running_loop().time
    enough = request.offset + request.limit + 1
    give_up_at = now() + (BUDGET_S if request.budget_s is None else request.budget_s)
    found: list[UUID] = []
    after, chunk, scanned, may_look_up = request.after, _FIRST_CHUNK, 0, True
    while True:
        bounds = scan.indexed() + scan.beyond(after)
        last = await connection.scalar(scan.ids(bounds, skip=chunk - 1, limit=1))
        within = [*bounds, *scan.checked()] + ([scan.up_to(last)] if last else [])
        query = scan.ids(within, skip=0, limit=enough - len(found))
        found.extend((await connection.execute(query)).scalars())
        if len(found) >= enough or last is None:
            return scan.found(found[request.offset :], is_all=len(found) < enough)
        scanned += chunk
        if may_look_up and _is_rare(len(found), scanned, enough):
            may_look_up = False
            rest = await _look_up(connection, scan, last, enough - len(found))
            if rest is not None:
                found.extend(rest.ids)
                is_all = len(found) < enough
                return scan.found(found[request.offset :], is_all=is_all, total=rest.total)
        # A transaction may not last as long as a search.
        await connection.rollback()
        is_empty = len(found) <= request.offset and request.budget_s is None
        if now() >= give_up_at and not is_empty:
            return _Found(ids=found[request.offset :], next_after=last)
        after, chunk = last, min(chunk * 2, _LARGEST_CHUNK)


def _is_rare(found: int, scanned: int, enough: int) -> bool:
    """Return whether the scan would take long to find enough, if it goes on as it began."""
    return (enough - found) * scanned > found * _FEWEST_LOOKED_UP_IN


async def _look_up(
    connection: AsyncConnection, scan: _Scan, after: UUID, limit: int
) -> search.Matches | None:
    """Return what follows `after`, if there is an index that has it, and it is not too much."""
    conditions, wanted = scan.all_conditions(), scan.wanted
    has_index = bool(wanted.labels)
    if wanted.type and wanted.queue:
        conditions.append(search.ended_or(wanted.statuses))
        has_index = True
    if wanted.name is not None:
        by_name = await search.name_condition(connection, wanted.name)
        if by_name is not None:
            conditions.append(by_name)
            has_index = True
    if not has_index:
        return None
    return await search.look_up(
        connection, conditions, after=after, oldest_first=scan.request.oldest_first, limit=limit
    )


async def _read(
    connection: AsyncConnection, scan: _Scan, ids: list[UUID], *, most_bytes: int | None = None
) -> tuple[list[Task], bool]:
    """Read the tasks, leaving out those that no longer match the filter.

    Also returns whether the last ones were left out because the ones before have `most_bytes` together.
    """
    if not ids:
        return [], False
    conditions = [task.c.id.in_(ids), *scan.all_conditions()]
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
    """Count row by row, up to one more than `_MOST_COUNTED`; None when the time is too short."""
    counting_s = _COUNT_S if scan.request.budget_s is None else scan.request.budget_s
    await connection.execute(
        sa.text(f"SET LOCAL statement_timeout = {max(round(counting_s * 1000), 1)}")
    )
    matching = sa.select(task.c.id).where(*scan.all_conditions()).limit(_MOST_COUNTED + 1)
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
