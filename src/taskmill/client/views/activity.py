"""What the client returns of `taskmill.wire.activity`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from taskmill.client.view import View
from taskmill.domain.lifecycle import EventType

if TYPE_CHECKING:
    from taskmill.domain.activity import Window

IMPORTED_LATER = {"Window": "taskmill.domain.activity"}


class DurationsView(View):
    """How long tasks took, in seconds. A percentile is off by 11 % at most; null when there are none."""

    tasks: int
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class FlowView(View):
    """What happened."""

    counts: dict[EventType, int]
    """how often each happened, as in the history of a task (all but cancel_requested)"""
    waiting: DurationsView
    """of claimed tasks: from when they were due"""
    running: DurationsView
    """of ended attempts: from their claim"""


class PointView(FlowView):
    """What happened within one step."""

    at: datetime
    """where the step begins"""


class RatedFlowView(FlowView):
    """What happened, also by second."""

    per_second: dict[EventType, float]
    """the counts over the whole time"""


class TypeActivityView(RatedFlowView):
    """What happened to the tasks of one type."""

    type: str
    """*: the queue's other types, when there were too many"""


class QueueActivityView(RatedFlowView):
    """What happened to the tasks of one queue."""

    queue: str
    types: list[TypeActivityView]


class ActivityView(View):
    """What happened over the requested window."""

    window: Window
    queue: str | None
    """only this queue"""
    type: str | None
    """only this type"""
    since: datetime
    """the beginning of the step in which the window begins"""
    until: datetime
    step_s: int
    """seconds between two points"""
    total: RatedFlowView
    queues: list[QueueActivityView]
    """by name; without those where nothing happened"""
    points: list[PointView]
    """every step from `since`; the last one still goes on"""
