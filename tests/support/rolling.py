"""Compares the roll-up with the history, and adds events at other times."""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import pytest

from taskmill.domain.activity import COUNTED, Activity, ActivityRequest, Durations, Window
from taskmill.domain.lifecycle import EventType
from taskmill.storage import minutes
from tests.support.stage import Stage

EventCounts = dict[tuple[str, str, str], int]


async def read_activity(
    stage: Stage,
    window: str = "1h",
    *,
    queue: str | None = None,
    type: str | None = None,  # noqa: A002 - as everywhere
) -> Activity:
    request = ActivityRequest(window=Window(window), queue=queue, type=type)
    return await minutes.read(stage.database, request)


def counts_of(activity: Activity) -> EventCounts:
    return {
        (queue, type_, str(event_type)): count
        for (queue, type_), flow in activity.groups.items()
        for event_type, count in flow.counts.items()
        if count
    }


async def counted(stage: Stage) -> EventCounts:
    """The counts by the history."""
    rows = await stage.sql.fetch(
        """
        SELECT t.queue, t.type, e.event, count(*)
        FROM taskmill.task_history AS e JOIN taskmill.current_task AS t ON t.id = e.task_id
        WHERE e.event = ANY($1::text[])
        GROUP BY 1, 2, 3
        """,
        [str(event_type) for event_type in COUNTED],
    )
    return {(row[0], row[1], row[2]): row[3] for row in rows}


async def durations(stage: Stage) -> tuple[list[float], list[float]]:
    """How long claimed tasks had waited, and how long ended attempts ran, by the history."""
    rows = await stage.sql.fetch("""
        SELECT
            e.event = 'claimed' AS has_waited,
            date_part('epoch', e.at - CASE WHEN e.event = 'claimed' THEN e.run_at ELSE c.at END)
        FROM taskmill.task_history AS e
        LEFT JOIN taskmill.task_history AS c
            ON c.task_id = e.task_id AND c.claim_no = e.claim_no AND c.event = 'claimed'
        WHERE e.event <> 'cancel_requested' AND e.lease_id IS NOT NULL
    """)
    return [row[1] for row in rows if row[0]], [row[1] for row in rows if not row[0]]


async def assert_matches_history(stage: Stage, window: str = "1h") -> None:
    """Compare with the history: by queue and type, in total, along the series, and the times."""
    activity, events = await read_activity(stage, window), await counted(stage)
    assert counts_of(activity) == events
    for flows in ([flow for _, flow in activity.points], [activity.total]):
        happened = Counter()  # type: ignore[var-annotated]
        for flow in flows:
            happened.update({str(name): count for name, count in flow.counts.items() if count})
        expected = Counter()  # type: ignore[var-annotated]
        for (_, _, event_type), count in events.items():
            expected[event_type] += count
        assert happened == expected
    waited, ran = await durations(stage)
    assert_times(activity.total.waiting, waited)
    assert_times(activity.total.running, ran)


def assert_times(shown: Durations, real: list[float]) -> None:
    assert shown.tasks == len(real)
    assert shown.seconds == pytest.approx(sum(real))
    for share in (0.5, 0.95, 0.99):
        exact = max(sorted(real)[math.ceil(share * len(real)) - 1], 0.001)
        assert shown.percentiles_s(share) == [pytest.approx(exact, rel=0.11)]


async def add_events(
    stage: Stage,
    at: datetime,
    event_type: str = "created",
    *,
    tasks: int = 1,
    seconds: Iterable[float] = (),
    queue: str = "mail",
    type_: str = "send",
) -> None:
    """Record events of some other time."""
    if seconds:
        await stage.sql.executemany(
            "INSERT INTO taskmill.task_minute_delta "
            "VALUES ($1, $2, $3, $4, taskmill.duration_bucket($5), 1, $5)",
            [(at, queue, type_, event_type, value) for value in seconds],
        )
    else:
        await stage.sql.execute(
            "INSERT INTO taskmill.task_minute_delta VALUES ($1, $2, $3, $4, NULL, $5, NULL)",
            at, queue, type_, event_type, tasks,
        )  # fmt: skip


async def settle(stage: Stage) -> None:
    """Roll up until everything is carried as far as it can be."""
    for _ in range(6):
        await minutes.roll_up(stage.maintenance_database)


async def now(stage: Stage) -> datetime:
    moment: datetime = await stage.sql.fetchval("SELECT now()")
    return moment


async def rows_of(stage: Stage, step_s: int) -> list[tuple[object, ...]]:
    rows = await stage.sql.fetch(
        "SELECT at, created, carried FROM taskmill.task_minute WHERE step_s = $1 ORDER BY at",
        step_s,
    )
    return [tuple(row) for row in rows]


async def total(stage: Stage, window: str, event_type: EventType = EventType.CREATED) -> int:
    return (await read_activity(stage, window)).total.counts[event_type]
