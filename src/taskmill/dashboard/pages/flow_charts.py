"""What happened over a window, as figures and as the points of charts."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import orjson

from taskmill.domain.activity import Activity, Flow
from taskmill.domain.lifecycle import EventType

_LEAST_SHARE: Final = 0.2


def rates(activity: Activity) -> dict[str, float | None]:
    """Return how many tasks ended and were created per minute, and the share of failures among the former."""
    minutes = max((activity.until - activity.since).total_seconds() / 60, 1.0)
    counts = activity.total.counts
    succeeded, failed = counts.get(EventType.SUCCEEDED, 0), counts.get(EventType.FAILED, 0)
    ended = succeeded + failed
    return {
        "per_minute": ended / minutes,
        "failed_share": failed / ended if ended else None,
        "created_per_minute": counts.get(EventType.CREATED, 0) / minutes,
    }


def charts(activity: Activity) -> dict[str, str]:
    """Return the points of both charts as JSON: times in seconds, then a list for each series."""
    points = list(_points(activity))
    times = [at.timestamp() for at, _, _ in points]
    types = (EventType.CREATED, EventType.SUCCEEDED, EventType.FAILED)
    throughput = [[_rate(flow, one, minutes) for _, flow, minutes in points] for one in types]
    waiting = [flow.waiting.percentiles_s(0.5, 0.95) for _, flow, _ in points]
    return {
        "throughput": _json(times, throughput),
        "waiting": _json(times, list(zip(*waiting, strict=True))),
    }


def _points(activity: Activity) -> Iterator[tuple[datetime, Flow, float]]:
    """Return the steps of the window: their start, their events, and their length so far in minutes.

    The last step is not over: counted as a whole one it would look like a drop, and one that has just begun is
    left out.
    """
    step = activity.request.window.step
    for at, flow in activity.points:
        length = min(step, activity.until - at)
        if length >= step * _LEAST_SHARE:
            yield at, flow, length.total_seconds() / 60


def _rate(flow: Flow, event_type: EventType, minutes: float) -> float:
    return round(flow.counts.get(event_type, 0) / minutes, 3)


def _json(times: Sequence[float], series: Sequence[Sequence[float | None]]) -> str:
    return orjson.dumps([times, *series]).decode()
