"""Failures by kind of error. A trigger records each failure; `fold` adds them to rows by steps of time.

Each failure goes into one row of each length of step, so a window is read from one length alone; and into one of
its queue, for who may see some queues only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import orjson

from taskmill.domain.activity import AnyWindow, Window
from taskmill.domain.errors import Unavailable
from taskmill.domain.failures import (
    FailureKind,
    FailurePage,
    KindFilter,
    KindOrder,
    KindPosition,
    KindState,
    TrendPoint,
)
from taskmill.domain.identity import lower_bound
from taskmill.domain.time_ranges import FAILURE_DAYS
from taskmill.storage.database import Database
from taskmill.storage.statements import statement

# Handlers make up their errors, so there may be very many. A kind counts once for each type.
MOST_KINDS: Final = 500
# Rows are kept for each queue, so of one there are fewer. Others use up nothing of its number.
MOST_KINDS_OF_QUEUE: Final = 100
_STEPS: Final = {Window.HOUR: 600, Window.DAY: 3_600, Window.WEEK: 86_400, Window.MONTH: 86_400}
_MOST_TAKEN: Final = 10_000
_MOST_PRUNED: Final = 5_000
_MOST_OF_LABEL: Final = 2_000
_MOST_SAMPLED: Final = 1_000
_MOST_OF_SAMPLED: Final = 50
_LABEL_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class KindsOfLabel:
    """The kinds by which tasks with a label failed; of samples only, if the label is frequent."""

    kinds: Sequence[str]
    is_sampled: bool = False


async def fold(database: Database) -> bool:
    """Add what failed to the rows of its steps; True when there may be many more.

    While another process does it, nothing is done.
    """
    async with database.hot_transaction() as connection:
        if not await connection.fetchval(statement("lock_failures")):
            return False
        taken = await connection.fetchval(
            statement("fold_failures"),
            _MOST_TAKEN,
            MOST_KINDS,
            list(FAILURE_DAYS),
            MOST_KINDS_OF_QUEUE,
        )
    return bool(taken == _MOST_TAKEN)


async def prune(database: Database) -> bool:
    """Prune rows past their retention; True when there may be many more."""
    pruned = [
        rows
        for step, days in FAILURE_DAYS.items()
        for rows in (
            await database.fetch("prune_failures", step, days, _MOST_PRUNED),
            await database.fetch("prune_queue_failures", step, days, _MOST_PRUNED),
        )
    ]
    await database.fetch("prune_failure_kinds", max(FAILURE_DAYS.values()))
    return any(len(rows) == _MOST_PRUNED for rows in pruned)


def span_arguments(window: AnyWindow) -> tuple[int, float, datetime | None, datetime | None]:
    """Return the parameters of statements about a window: its step and how far back in s, or its ends."""
    if isinstance(window, Window):
        return _STEPS[window], window.length.total_seconds(), None, None
    return int(window.step.total_seconds()), 0.0, window.since, window.until


async def read(
    database: Database,
    wanted: KindFilter,
    order: KindOrder,
    *,
    limit: int,
    after: KindPosition | None = None,
    visible: Collection[str] | None = None,
    kinds: Sequence[str] | None = None,
) -> FailurePage:
    """Return a page of the kinds that failed in the `visible` queues (None: in all), only of `kinds` if given.

    It is current, and reads no task. Who sees some queues only is shown nothing that comes from others.
    """
    queues = queues_of(wanted, visible)
    step_s, length_s, *ends = span_arguments(wanted.window)
    rows = await database.fetch(
        "list_failures",
        step_s,
        length_s,
        limit + 1,
        _MOST_TAKEN,
        queues,
        wanted.type,
        wanted.text,
        wanted.state,
        order,
        None if after is None else after.value,
        None if after is None else after.id,
        visible is None,
        kinds,
        *ends,
    )
    found = [_kind(row) for row in rows if row["id"] is not None]
    return FailurePage(
        items=found[:limit],
        has_more=len(found) > limit,
        counts={KindState(name): n for name, n in orjson.loads(rows[0]["counts"]).items()},
        tasks=rows[0]["failures"],
        other_tasks=rows[0]["others"],
        steps=rows[0]["window_steps"],
    )


def queues_of(wanted: KindFilter, visible: Collection[str] | None) -> list[str] | None:
    """Return the queues whose failures count, None for all."""
    if wanted.queue is None:
        return None if visible is None else sorted(visible)
    return [wanted.queue] if visible is None or wanted.queue in visible else []


async def kinds_of_label(
    database: Database, wanted: KindFilter, visible: Collection[str] | None
) -> KindsOfLabel | None:
    """Return the kinds of up to 2,000 tasks that failed and have the label, created in the last 40 days.

    Of a label that very many tasks have only the newest tasks of each kind are looked at; not for who sees some
    queues only, as the tasks of others would count. None if that takes too long, too.
    """
    assert wanted.label is not None  # noqa: S101 - who calls it has one
    key, value = wanted.label
    label = orjson.dumps({key: value}).decode()
    oldest = await database.fetch_value("clock_now") - timedelta(days=max(FAILURE_DAYS.values()))
    arguments = (label, lower_bound(oldest), queues_of(wanted, visible))
    found = await _looked_up(database, statement("find_kinds_of_label"), *arguments, _MOST_OF_LABEL)
    if found is not None or visible is not None:
        return None if found is None else KindsOfLabel(kinds=found)
    limits = _MOST_SAMPLED, _MOST_OF_SAMPLED
    found = await _looked_up(
        database,
        statement("find_kinds_of_frequent_label"),
        *arguments,
        *limits,
        is_pinned=True,
    )
    return None if found is None else KindsOfLabel(kinds=found, is_sampled=True)


async def _looked_up(
    database: Database, query: str, *arguments: object, is_pinned: bool = False
) -> list[str] | None:
    """Return the kinds that a statement finds; None if it takes too long."""
    try:
        async with database.slow(timeout_s=_LABEL_S, is_pinned=is_pinned) as connection:
            rows = await connection.fetch(query, *arguments)
    except Unavailable as error:
        if isinstance(error.__cause__, asyncpg.QueryCanceledError):
            return None
        raise
    return [row["kind"] for row in rows]


def _kind(row: asyncpg.Record) -> FailureKind:
    points = zip(row["steps"], row["step_tasks"], strict=True)
    return FailureKind(
        id=row["id"],
        kind=row["error"],
        message=row["message"],
        types=row["types"],
        tasks=row["tasks"],
        growth=row["growth"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        task_id=row["task_id"],
        state=KindState(row["state"]),
        state_at=row["state_at"],
        state_by=row["state_by"],
        trend=[TrendPoint(at=at, tasks=tasks) for at, tasks in points],
        value=row["value"],
    )
