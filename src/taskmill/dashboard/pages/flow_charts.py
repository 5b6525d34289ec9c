"""What happened over a window, as figures and as the points of charts.

A figure above a chart is of the whole window, and says so; beside it are the latest and the highest value that the
chart shows, so that the two never contradict each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from taskmill.domain.activity import Activity, Flow
from taskmill.domain.lifecycle import EventType

GROUP_COLOURS: Final = ("failed", "late", "accent", "fourth", "fifth", "sixth")
"""Of the names in a chart, the most frequent first; the rest of them is grey."""

_LEAST_SHARE: Final = 0.2
_DIGITS: Final = 5

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart: its points as JSON, times in s and then a list for each series, and how they are drawn.

    `unit` is what they are: a `rate`, a `time`, a `count`. `colours` are those of the styles. Series that are
    `is_stacked` add up. The area under the series with the number `filled` is coloured.
    """

    name: str
    unit: str
    points: str
    colours: Sequence[str]
    step_s: int
    is_stacked: bool = False
    filled: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often something happened per minute: on average, in the latest step, and at most in one."""

    average: float
    latest: float | None
    most: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCharts:
    """What happened over a window: rates, the share of failures among what ended, and charts."""

    flow: Flow
    ended: Rate
    created: Rate
    failed_share: float | None
    throughput: Chart
    waiting: Chart
    running: Chart


def flow_charts(activity: Activity) -> FlowCharts:
    """Return the figures and charts of an activity."""
    points = list(steps_of(activity))
    counts = activity.total.counts
    failed = counts.get(EventType.FAILED, 0)
    ended = counts.get(EventType.SUCCEEDED, 0) + failed
    return FlowCharts(
        flow=activity.total,
        ended=_rate(activity, points, EventType.SUCCEEDED, EventType.FAILED),
        created=_rate(activity, points, EventType.CREATED),
        failed_share=failed / ended if ended else None,
        throughput=_throughput(activity, points),
        waiting=_times(activity, "waiting", points, (0.5, 0.95, 0.99)),
        running=_times(activity, "running", points, (0.5, 0.95)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a window: its start, its events, and its length so far in minutes."""

    at: datetime
    flow: Flow
    minutes: float

    def rate(self, *event_types: EventType) -> float:
        """Return how often something happened per minute."""
        return sum(self.flow.counts.get(one, 0) for one in event_types) / self.minutes


def steps_of(activity: Activity) -> Iterator[Step]:
    """Return the steps of the window.

    The last step may not be over: counted as a whole one it would look like a drop, and one that has just begun is
    left out.
    """
    step = activity.request.window.step
    for at, flow in activity.points:
        length = min(step, activity.until - at)
        if length >= step * _LEAST_SHARE:
            yield Step(at=at, flow=flow, minutes=length.total_seconds() / 60)


def chart(
    name: str,
    unit: str,
    times: Sequence[datetime],
    series: Sequence[Values],
    colours: Sequence[str],
    *,
    step: timedelta,
    is_stacked: bool = False,
    filled: int | None = None,
) -> Chart:
    """Return a chart of series, each with a value for each time, or None where there is none."""
    shown = [[_rounded(value) for value in values] for values in series]
    return Chart(
        name=name,
        unit=unit,
        points=orjson.dumps([[int(at.timestamp()) for at in times], *shown]).decode(),
        colours=colours,
        step_s=int(step.total_seconds()),
        is_stacked=is_stacked,
        filled=filled,
    )


def _throughput(activity: Activity, points: Sequence[Step]) -> Chart:
    types = (EventType.CREATED, EventType.SUCCEEDED, EventType.FAILED)
    return chart(
        "throughput",
        "rate",
        [one.at for one in points],
        [[one.rate(event_type) for one in points] for event_type in types],
        ("new", "succeeded", "failed"),
        step=activity.request.window.step,
        filled=1,
    )


def _times(activity: Activity, name: str, points: Sequence[Step], shares: Sequence[float]) -> Chart:
    """Return a chart of percentiles of how long tasks waited, or ran."""
    found = [getattr(one.flow, name).percentiles_s(*shares) for one in points]
    return chart(
        name,
        "time",
        [one.at for one in points],
        [[values[number] for values in found] for number in range(len(shares))],
        ("accent", "late", "failed")[: len(shares)],
        step=activity.request.window.step,
    )


def _rate(activity: Activity, points: Sequence[Step], *event_types: EventType) -> Rate:
    minutes = max((activity.until - activity.since).total_seconds() / 60, 1.0)
    rates = [one.rate(*event_types) for one in points]
    total = sum(activity.total.counts.get(one, 0) for one in event_types)
    return Rate(
        average=total / minutes,
        latest=rates[-1] if rates else None,
        most=max(rates, default=None),
    )


def _rounded(value: float | None) -> float | None:
    """Return a value with as many digits as a chart shows, and some more."""
    return value if value is None or isinstance(value, int) else float(f"{value:.{_DIGITS}g}")
