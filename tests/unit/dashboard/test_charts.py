"""The charts of the Overview."""

from datetime import UTC, datetime, timedelta

import orjson

from taskmill.dashboard.pages.flow_charts import charts
from taskmill.domain.activity import Activity, ActivityRequest, Flow, Window
from taskmill.domain.lifecycle import EventType

BEGIN = datetime(2026, 11, 25, tzinfo=UTC)


def created_per_minute(until: timedelta) -> list[float]:
    """Chart three minutes with 60 new tasks each, the last one as far as it has come."""
    flow = Flow(counts={EventType.CREATED: 60})
    activity = Activity(
        request=ActivityRequest(window=Window.HOUR, by_group=False),
        since=BEGIN,
        until=BEGIN + until,
        total=flow,
        groups={},
        points=[(BEGIN + timedelta(minutes=number), flow) for number in range(3)],
    )
    _, created, _, _ = orjson.loads(charts(activity)["throughput"])
    return list(created)


def test_a_minute_that_is_not_over_is_no_drop() -> None:
    assert created_per_minute(timedelta(minutes=2, seconds=30)) == [60, 60, 120]
    assert created_per_minute(timedelta(minutes=2, seconds=60)) == [60, 60, 60]


def test_a_minute_that_has_just_begun_has_no_rate() -> None:
    assert created_per_minute(timedelta(minutes=2, seconds=11)) == [60, 60]
