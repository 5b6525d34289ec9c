"""The charts of the Overview."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from taskmill.dashboard.pages.flow_charts import FlowCharts, flow_charts
from taskmill.domain.activity import Activity, ActivityRequest, Flow, Window
from taskmill.domain.lifecycle import EventType

BEGIN = datetime(2026, 11, 25, tzinfo=UTC)


def charts_of(counts: list[int], until: timedelta) -> FlowCharts:
    """Chart minutes with so many new tasks each, the last one as far as it has come."""
    flows = [Flow(counts={EventType.CREATED: count}) for count in counts]
    activity = Activity(
        request=ActivityRequest(window=Window.HOUR, by_group=False),
        since=BEGIN,
        until=BEGIN + until,
        total=Flow.total(flows),
        groups={},
        points=[(BEGIN + timedelta(minutes=number), flow) for number, flow in enumerate(flows)],
    )
    return flow_charts(activity)


def created_per_minute(until: timedelta) -> list[float]:
    _, created, _, _ = orjson.loads(charts_of([60, 60, 60], until).throughput.points)
    return list(created)


def test_a_minute_that_is_not_over_is_no_drop() -> None:
    assert created_per_minute(timedelta(minutes=2, seconds=30)) == [60, 60, 120]
    assert created_per_minute(timedelta(minutes=2, seconds=60)) == [60, 60, 60]


def test_a_minute_that_has_just_begun_has_no_rate() -> None:
    assert created_per_minute(timedelta(minutes=2, seconds=11)) == [60, 60]


def test_figures_beside_an_average_are_those_that_the_chart_shows() -> None:
    shown = charts_of([0, 0, 60_000, 30_000], timedelta(minutes=3, seconds=30))
    _, created, _, _ = orjson.loads(shown.throughput.points)
    assert (shown.created.latest, shown.created.most) == (created[-1], max(created))
    assert (shown.created.latest, shown.created.most) == (60_000, 60_000)
    assert shown.created.average == pytest.approx(90_000 / 3.5)


def test_without_a_step_there_is_only_an_average() -> None:
    shown = charts_of([], timedelta(minutes=3))
    assert (shown.created.latest, shown.created.most) == (None, None)
