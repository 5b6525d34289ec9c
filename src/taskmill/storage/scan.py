"""Where the tasks of a listing are found in the order of their ids, and the conditions that they meet.

What has ended has indexes of `task` by status; what has not is in `dispatch` or `running`. Where only some queues
are visible, each of them is walked along its index, and nothing else: neither where a page ends nor its cursor
depends on other queues. What has not ended is in small tables, which are read once for all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from taskmill.domain import identity
from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.name_search import name_pattern
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.domain.waiting import WaitingState
from taskmill.storage.schema import current_task, dispatch, running, task
from taskmill.storage.waiting_conditions import NEEDS_ATTEMPT, waiting_conditions

Condition = sa.ColumnElement[bool]
Walk = Callable[..., sa.Select[UUID]]


def has_in_name(needle: str, name: sa.ColumnElement[str]) -> Condition:
    """Return the condition that `needle` is in the name, ignoring case: see `domain/name_search.py`.

    The two ways: names of ASCII take 0.3 µs each, as ILIKE does, and others of 30 characters 1 to 2 (2026-11-28).
    """
    pattern = name_pattern(needle)
    expanded: sa.ColumnElement[str] = name
    for one, several in pattern.expanded.items():
        expanded = sa.func.replace(expanded, one, several)
    is_ascii = sa.func.octet_length(name) == sa.func.char_length(name)
    lower = sa.func.lower(sa.collate(name, "C"))
    return sa.case(
        (is_ascii, sa.func.strpos(lower, pattern.folded) > 0),
        else_=expanded.regexp_match(pattern.expression),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The ids of a page in order, where the next page begins, and how many match in all, where that is known.

    `seen` match at least, those before the page among them.
    """

    ids: list[UUID]
    next_after: UUID | None
    seen: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tasks are found in the order of their ids."""

    id: sa.ColumnElement[UUID]
    conditions: Sequence[Condition] = ()
    rest: sa.FromClause | None = None
    """What it does not say of its tasks by itself."""

    @classmethod
    def of(cls, status: Status) -> "Place":
        """Return the place of all tasks of a status."""
        match status:
            case Status.NEW:
                return cls(id=dispatch.c.task_id, rest=_of_task(dispatch.c.task_id))
            case Status.IN_PROGRESS:
                return cls(id=running.c.task_id, rest=_of_task(running.c.task_id))
            case _:
                return cls(id=task.c.id, conditions=[task.c.final_status == status])

    def has(self, name: str) -> bool:
        """Return whether it says this of its tasks by itself."""
        return name in self.id.table.c

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """Return what there is of this name."""
        columns = self.id.table.c if self.rest is None or self.has(name) else self.rest.c
        return columns[name]


def _of_task(task_id: sa.ColumnElement[UUID]) -> sa.FromClause:
    """Return what else is known of a task. LIMIT has it looked up for each: a join might read all tasks."""
    names = ("type", "name", "labels", "error", "attempt", "source", "priority")
    columns = (task.c[name] for name in names)
    return sa.select(*columns).where(task.c.id == task_id).limit(1).lateral()


ALL = Place(id=task.c.id)
CURRENT = Place(id=current_task.c.id)


def _names(queues: Iterable[str]) -> sa.ColumnElement[Any]:
    return sa.literal(sorted(queues), ARRAY(sa.Text))


def _has_failed(place: Place, error: str) -> list[Condition]:
    """Return the conditions of the index of the kind of error."""
    column = place.column("error")
    return [column.is_not(None), sa.func.taskmill.error_kind(column) == error]


def _waits(place: Place, state: WaitingState) -> list[Condition]:
    """Return the conditions of new tasks that wait for something."""
    return waiting_conditions(
        state,
        run_at=place.column("run_at"),
        attempt=place.column("attempt") if state in NEEDS_ATTEMPT else None,
        queue_name=place.column("queue"),
        task_type=place.column("type"),
    )


# What rows are checked for, and the columns that it takes.
_CHECKED: Final[Mapping[str, str]] = {
    **{name: name for name in ("type", "error", "name", "labels", "source", "priority")},
    "attempts_over": "attempt",
}


def _of_fields(place: Place, wanted: TaskFilter) -> list[Condition]:
    """Return the conditions on values without an index."""
    conditions: list[Condition] = []
    if wanted.id_end is not None:
        conditions.append(sa.cast(place.id, sa.Text).endswith(wanted.id_end, autoescape=True))
    if wanted.source is not None:
        conditions.append(place.column("source") == wanted.source)
    if wanted.priority is not None:
        conditions.append(place.column("priority") == wanted.priority)
    if wanted.attempts_over is not None:
        conditions.append(place.column("attempt") > wanted.attempts_over)
    if wanted.took_over is not None:
        conditions.append(_took(place) > wanted.took_over)
    return conditions


def _took(place: Place) -> sa.ColumnElement[Any]:
    """Return how long the attempt took that ended a task, or that runs; NULL of a task that waits."""
    table, now = place.id.table, sa.func.now()
    if table is dispatch:
        return sa.null()
    ended_at: sa.ColumnElement[Any] = now
    if table is not running:
        ended_at = place.column("finished_at")
    if table is current_task:
        ended_at = sa.case((current_task.c.lease_id.is_not(None), now), else_=ended_at)
    took: sa.ColumnElement[Any] = ended_at - place.column("started_at")
    return took


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A listing as conditions on tasks."""

    wanted: TaskFilter
    request: PageRequest

    @property
    def must_count(self) -> bool:
        """Whether the counters can't give the total."""
        counted = replace(self.wanted, statuses=frozenset(), queue=None, visible=None)
        return counted != TaskFilter()

    def going_on(self, after: UUID) -> "Scan":
        """Return the scan of what follows `after`."""
        return replace(self, request=replace(self.request, after=after, offset=0))

    def found(
        self, ids: list[UUID], *, is_all: bool, seen: int | None = None, total: int | None = None
    ) -> Found:
        """Return what was found from the offset on: `is_all` that matches, else one more than fits on the page.

        `seen` is how many match with those before the page, where these were counted.
        """
        request = self.request
        is_counted = seen is not None or bool(ids) or request.offset == 0
        if seen is None:
            seen = request.offset + len(ids) if is_counted else 0
        if is_all and total is None and request.after is None and is_counted:
            total = seen
        return Found(
            ids=ids[: request.limit],
            next_after=None if is_all else ids[request.limit - 1],
            seen=seen,
            total=total,
        )

    def places(self) -> Sequence[Place]:
        """Return the places to walk one by one: one for each status, unless there is an index without it."""
        wanted = self.wanted
        if wanted.waiting is not None:
            may_wait = sa.literal(Status.NEW in (wanted.statuses or Status))
            return [replace(Place.of(Status.NEW), conditions=[may_wait])]
        if wanted.lease is not None:
            may_run = sa.literal(Status.IN_PROGRESS in (wanted.statuses or Status))
            its_own = [running.c.lease_id == wanted.lease, may_run]
            return [replace(Place.of(Status.IN_PROGRESS), conditions=its_own)]
        if wanted.error is not None and wanted.visible is None:
            return [ALL if wanted.statuses <= TERMINAL else CURRENT]
        if wanted.statuses or wanted.queue or wanted.type or self._is_of_places:
            return [Place.of(status) for status in sorted(wanted.statuses or Status)]
        return [ALL]

    @property
    def _is_of_places(self) -> bool:
        """Whether the row of `task` alone does not say what is wanted, or is not where to look for it."""
        wanted = self.wanted
        given = (wanted.visible, wanted.took_over, wanted.attempts_over)
        return any(one is not None for one in given)

    def indexed(self, place: Place, of_one: sa.ColumnElement[str] | None = None) -> list[Condition]:
        """Return the conditions that bound the walk along an index of the place, `of_one` visible queue or of all.

        Of one, the list of all is left out: PostgreSQL would sort it for each.
        """
        wanted = self.wanted
        conditions: list[Condition] = []
        if of_one is not None:
            conditions.append(place.column("queue") == of_one)
        elif wanted.visible is not None:
            conditions.append(place.column("queue") == sa.any_(_names(wanted.visible)))
        elif wanted.error is not None:
            conditions += _has_failed(place, wanted.error)
        elif wanted.type is not None:
            conditions.append(place.column("type") == wanted.type)
        elif wanted.queue is not None:
            conditions.append(place.column("queue") == wanted.queue)
        if wanted.created_after is not None:
            conditions.append(place.id >= identity.lower_bound(wanted.created_after))
        if wanted.created_before is not None:
            conditions.append(place.id < identity.lower_bound(wanted.created_before))
        return conditions

    def checked(self, place: Place) -> list[Condition]:
        """Return the conditions that every row of the walk must be checked for."""
        wanted = self.wanted
        conditions: list[Condition] = []
        if wanted.visible is not None:
            conditions += self._of_those_visible(place)
        elif wanted.error is not None:
            conditions += self._of_those_that_failed(place)
        elif wanted.type is not None and wanted.queue is not None:
            conditions.append(place.column("queue") == wanted.queue)
        if wanted.waiting is not None:
            conditions += _waits(place, wanted.waiting)
        conditions += _of_fields(place, wanted)
        if wanted.name is not None:
            conditions.append(has_in_name(wanted.name, place.column("name")))
        if wanted.labels:
            given = orjson.dumps(dict(wanted.labels)).decode()
            labels = place.column("labels")
            conditions += [
                labels != sa.text("'{}'"),
                labels.contains(sa.cast(sa.literal(given, sa.Text), JSONB)),
            ]
        return conditions

    def _of_those_visible(self, place: Place) -> list[Condition]:
        """Return what the indexes of queues do not say of their tasks."""
        wanted = self.wanted
        conditions: list[Condition] = []
        if wanted.queue is not None:
            conditions.append(place.column("queue") == wanted.queue)
        if wanted.type is not None:
            conditions.append(place.column("type") == wanted.type)
        if wanted.error is not None:
            conditions += _has_failed(place, wanted.error)
        return conditions

    def _of_those_that_failed(self, place: Place) -> list[Condition]:
        """Return what the index of the kind of error does not say of its tasks."""
        wanted = self.wanted
        given = {name: getattr(wanted, name) for name in ("type", "queue")}
        conditions = [
            place.column(name) == value for name, value in given.items() if value is not None
        ]
        if wanted.statuses and wanted.lease is None:
            status = place.column("final_status" if place is ALL else "status")
            conditions.append(status.in_(sorted(wanted.statuses)))
        return conditions

    def all_conditions(self) -> list[Condition]:
        """Return what all tasks of the listing meet, as they are now."""
        conditions = [*self.indexed(CURRENT), *self.checked(CURRENT)]
        if self.wanted.statuses:
            conditions.append(current_task.c.status.in_(sorted(self.wanted.statuses)))
        if self.wanted.lease is not None:
            conditions.append(current_task.c.lease_id == self.wanted.lease)
        if self.wanted.waiting is not None:
            conditions.append(current_task.c.status == Status.NEW)
        return conditions

    def ordered(self, column: sa.ColumnElement[UUID]) -> sa.UnaryExpression[UUID]:
        """Return the order of the listing."""
        return column.asc() if self.request.oldest_first else column.desc()

    def walk(
        self,
        place: Place,
        *,
        after: UUID | None = None,
        upto: UUID | None = None,
        is_checked: bool = False,
        of_one: sa.ColumnElement[str] | None = None,
    ) -> sa.Select[UUID]:
        """Select the ids of a place between two ids, `of_one` visible queue or of all.

        With `is_checked` only those of tasks that meet all conditions.
        """
        oldest_first = self.request.oldest_first
        conditions = [*place.conditions, *self.indexed(place, of_one)]
        if is_checked:
            conditions += self.checked(place)
        if after is not None:
            conditions.append(place.id > after if oldest_first else place.id < after)
        if upto is not None:
            conditions.append(place.id <= upto if oldest_first else place.id >= upto)
        query = sa.select(place.id).select_from(place.id.table)
        filters = _CHECKED if is_checked else self._indexed_filters
        wanted = (name for name in filters if getattr(self.wanted, name) not in (None, ()))
        given = [_CHECKED[name] for name in wanted]
        if is_checked and self.wanted.waiting in NEEDS_ATTEMPT:
            given.append("attempt")
        if place.rest is not None and not all(map(place.has, given)):
            query = query.join(place.rest, sa.true())
        return query.where(*conditions)

    @property
    def _indexed_filters(self) -> Iterable[str]:
        return ("type", "error") if self.wanted.visible is None else ()

    def _first_of(self, place: Place, most: int, walk: Walk) -> sa.Subquery:
        """Select the first ids of a place, along its index if it has one in this order."""
        return walk(place).order_by(self.ordered(place.id)).limit(most).subquery()

    def _first_of_each(self, visible: Iterable[str], most: int, walk: Walk) -> sa.Subquery:
        """Select the first ids of what has ended, along the index of queues and statuses.

        All statuses are one walk: one for each took 36 ms to plan over 12 partitions, this one 2 (2026-11-30).
        """
        queue = sa.select(sa.func.unnest(_names(visible)).label("name")).subquery()
        status = sa.select(sa.func.unnest(_names(self._ended)).label("name")).subquery()
        place = Place(id=task.c.id, conditions=[task.c.final_status == status.c.name])
        of_one = walk(place, of_one=queue.c.name).order_by(self.ordered(place.id)).limit(most)
        [found] = (each := of_one.lateral()).c
        pairs = queue.join(status, sa.true()).join(each, sa.true())
        return (
            sa.select(found).select_from(pairs).order_by(self.ordered(found)).limit(most).subquery()
        )

    @property
    def _ended(self) -> list[Status]:
        """The terminal statuses that are wanted."""
        if self.wanted.lease is not None:
            return []
        return [one for one in sorted(self.wanted.statuses or Status) if one in TERMINAL]

    def ids(
        self,
        *,
        after: UUID | None,
        upto: UUID | None = None,
        is_checked: bool = False,
        skip: int = 0,
        limit: int,
    ) -> sa.Select[UUID]:
        """Select ids in order; each place is walked along its own index."""
        most, visible = skip + limit, self.wanted.visible
        walk = partial(self.walk, after=after, upto=upto, is_checked=is_checked)
        places = self.places()
        if visible is not None:
            # What has not ended is in small tables: they are read at once for all queues.
            places = [place for place in places if place.id.table is not task]
        walks = [self._first_of(place, most, walk) for place in places]
        if visible is not None and self._ended:
            walks.append(self._first_of_each(visible, most, walk))
        merged = sa.union_all(*(sa.select(*walk.c) for walk in walks)).subquery()
        [merged_id] = merged.c
        return sa.select(merged_id).order_by(self.ordered(merged_id)).offset(skip).limit(limit)
