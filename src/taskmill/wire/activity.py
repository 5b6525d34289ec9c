"""The shape of recent activity: counts, rates and times by queue and type, and a series.

The models are for the OpenAPI document and the client; responses are built by hand, and tested with the models.
"""

from collections.abc import Mapping
from itertools import groupby

from pydantic import BaseModel, Field

from taskmill.domain.activity import COUNTED, OTHER_TYPES, Activity, Durations, Flow, Window
from taskmill.domain.lifecycle import EventType
from taskmill.wire.basics import format_timestamp
from taskmill.wire.fields import Timestamp


class DurationsView(BaseModel):
    """How long tasks took, in seconds. A percentile is off by 11 % at most; null when there are none."""

    tasks: int
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class FlowView(BaseModel):
    """What happened."""

    counts: dict[EventType, int] = Field(
        description="how often each happened, as in the history of a task (all but cancel_requested)"
    )
    waiting: DurationsView = Field(description="of claimed tasks: from when they were due")
    running: DurationsView = Field(description="of ended attempts: from their claim")


class RatedFlowView(FlowView):
    """What happened, also by second."""

    per_second: dict[EventType, float] = Field(description="the counts over the whole time")


class TypeActivityView(RatedFlowView):
    """What happened to the tasks of one type."""

    type: str = Field(
        description=f"{OTHER_TYPES}: the queue's other types, when there were too many"
    )


class QueueActivityView(RatedFlowView):
    """What happened to the tasks of one queue."""

    queue: str
    types: list[TypeActivityView]


class PointView(FlowView):
    """What happened within one step."""

    at: Timestamp = Field(description="where the step begins")


class ActivityView(BaseModel):
    """What happened over the requested window."""

    window: Window
    queue: str | None = Field(description="only this queue")
    type: str | None = Field(description="only this type")
    since: Timestamp = Field(description="the beginning of the step in which the window begins")
    until: Timestamp
    step_s: int = Field(description="seconds between two points")
    total: RatedFlowView
    queues: list[QueueActivityView] = Field(
        description="by name; without those where nothing happened"
    )
    points: list[PointView] = Field(
        description="every step from `since`; the last one still goes on"
    )


def activity_fields(activity: Activity) -> dict[str, object]:
    """Return what happened as the fields of an `ActivityView`."""
    request = activity.request
    over_s = (activity.until - activity.since).total_seconds()
    by_queue = groupby(activity.groups.items(), key=lambda group: group[0][0])
    return {
        "window": request.window,
        "queue": request.queue,
        "type": request.type,
        "since": format_timestamp(activity.since),
        "until": format_timestamp(activity.until),
        "step_s": int(request.window.step.total_seconds()),
        "total": _rated(activity.total, over_s),
        "queues": [
            _queue(name, {type_: flow for (_, type_), flow in groups}, over_s)
            for name, groups in by_queue
        ],
        "points": [{**_flow(flow), "at": format_timestamp(at)} for at, flow in activity.points],
    }


def _queue(name: str, types: Mapping[str, Flow], over_s: float) -> dict[str, object]:
    whole = Flow.total(list(types.values()))
    return {
        **_rated(whole, over_s),
        "queue": name,
        "types": [{**_rated(flow, over_s), "type": type_} for type_, flow in types.items()],
    }


def _rated(flow: Flow, over_s: float) -> dict[str, object]:
    rates = {str(one): _rounded(flow.counts.get(one, 0) / over_s) for one in COUNTED}
    return {**_flow(flow), "per_second": rates}


def _flow(flow: Flow) -> dict[str, object]:
    return {
        "counts": {str(one): flow.counts.get(one, 0) for one in COUNTED},
        "waiting": _durations(flow.waiting),
        "running": _durations(flow.running),
    }


def _durations(durations: Durations) -> dict[str, object]:
    p50_s, p95_s, p99_s = map(_rounded, durations.percentiles_s(0.5, 0.95, 0.99))
    return {
        "tasks": durations.tasks,
        "mean_s": _rounded(durations.mean_s),
        "p50_s": p50_s,
        "p95_s": p95_s,
        "p99_s": p99_s,
    }


def _rounded(value: float | None) -> float | None:
    """Round to four digits; more would suggest an accuracy that is not there."""
    return None if value is None else float(f"{value:.4g}")
