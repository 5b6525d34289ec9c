"""The first page: the verdict and what needs attention, numbers of tasks, throughput, and workers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson
from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.gather import gather
from taskmill.dashboard.notice_text import shown_notices
from taskmill.dashboard.pages import windows
from taskmill.dashboard.view import View
from taskmill.domain.activity import Activity, Flow, Window
from taskmill.domain.attention import Attention, NoticeKind
from taskmill.domain.figures import QueueFigures, SystemFigures
from taskmill.domain.grants import Scope
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import Stats
from taskmill.wire.attention import verdict

_FIRST_NOTICES: Final = 6
_LEAST_SHARE: Final = 0.2


async def show_overview(view: View) -> Response:
    """Show the page for a time window; who may not read all queues is led to the tasks."""
    if not view.may(Scope.TASKS_READ):
        return view.redirect("/ui/tasks")
    window = windows.window_of(view)
    service = view.context.service
    counted = view.context.stats.get(
        view.context.change_ticker.change_count,
        service.stats,
        ttl_s=windows.TTL_S,
    )
    (activity, attention), (stats, figures) = await gather(
        gather(windows.activity(view, window), service.attention.read()),
        gather(counted, service.figures.get()),
    )
    # The frame says the same as the page.
    return replace(view, attention=attention).page(
        "overview.html",
        title=view.t("nav.overview"),
        stats=stats,
        counts=_totals(stats),
        figures=figures,
        oldest=_oldest(figures),
        **_notices(view, attention),
        windows=list(Window),
        window=window,
        flow=activity.total,
        rates=_rates(activity),
        charts=_charts(activity),
    )


def _totals(stats: Stats) -> dict[Status, int]:
    return {
        status: sum(counts.get(status, 0) for counts in stats.queues.values()) for status in Status
    }


def _oldest(figures: SystemFigures | None) -> QueueFigures | None:
    """Return the queue whose oldest due task has waited longest."""
    queues = [] if figures is None else [one for one in figures.queues if one.oldest_due_s > 0]
    return max(queues, key=lambda one: one.oldest_due_s, default=None)


def _notices(view: View, attention: Attention) -> dict[str, Any]:
    """Return what is shown of it: the first ones, and all of them when these are requested."""
    shown = shown_notices(view.words, attention.notices)
    is_all = first(view.query, "attention") == "all"
    cut = len(shown) if is_all or len(shown) == _FIRST_NOTICES + 1 else _FIRST_NOTICES
    return {
        "verdict": verdict(attention),
        "things": attention.count,
        "well_since": attention.well_since,
        "notices": shown[:cut],
        "more_notices": sum(one.notice.count for one in shown[cut:]),
        "is_feed_behind": any(one.kind is NoticeKind.FEED_BEHIND for one in attention.notices),
    }


def _rates(activity: Activity) -> dict[str, float | None]:
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


def _charts(activity: Activity) -> dict[str, str]:
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


ROUTES = [("GET", "/", show_overview)]
