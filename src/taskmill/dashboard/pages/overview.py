"""The first page: numbers of tasks, throughput, problems, and workers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from starlette.responses import Response

from taskmill.dashboard.gather import gather
from taskmill.dashboard.pages import windows
from taskmill.dashboard.view import View
from taskmill.domain.activity import Activity, Flow, Window
from taskmill.domain.figures import MOST_REFUSED, QueueFigures, SystemFigures
from taskmill.domain.grants import Scope
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import BrokerPresence, Stats

_MOST_PROBLEMS: Final = 8
_LATE_S: Final = 60.0
_LEAST_SHARE: Final = 0.2
_OVERDUE_LEASES: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that needs attention; its text is `problem.NAME`, with `values`, and `path` leads to details."""

    name: str
    values: Mapping[str, object]
    queue: str | None = None
    path: str | None = None
    is_severe: bool = False


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
    activity, (stats, figures) = await gather(
        windows.activity(view, window), gather(counted, service.figures.get())
    )
    return view.page(
        "overview.html",
        title=view.t("nav.overview"),
        stats=stats,
        counts=_totals(stats),
        figures=figures,
        oldest=_oldest(figures),
        problems=list(_problems(stats, figures))[:_MOST_PROBLEMS],
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


def _problems(stats: Stats, figures: SystemFigures | None) -> Iterator[Problem]:
    if stats.broker.presence is BrokerPresence.AWAY:
        yield Problem(name="broker_away", values={}, is_severe=stats.broker.policy == "rabbitmq")
    if figures is None:
        return
    if not stats.workers_alive:
        yield Problem(name="no_workers", values={}, is_severe=True)
    if figures.database.overdue_leases >= _OVERDUE_LEASES:
        values = {"n": figures.database.overdue_leases}
        yield Problem(name="overdue_leases", values=values, is_severe=True)
    yield from _problems_outside(figures)
    for queue in sorted(figures.queues, key=lambda one: -one.oldest_due_s):
        yield from _problems_of_queue(queue)


def _problems_outside(figures: SystemFigures) -> Iterator[Problem]:
    """Return the problems with producers of messages, and with endpoints."""
    if figures.refused:
        name = "refused" if figures.refused < MOST_REFUSED else "refused_many"
        yield Problem(name=name, values={"n": figures.refused}, path="/ui/rejections")
    deliveries = figures.deliveries
    if deliveries.failing:
        values = {"n": deliveries.failing}
        yield Problem(name="webhooks_failing", values=values, path="/webhooks")
    for name, seconds in (
        ("deliveries_late", deliveries.late_s),
        ("deliveries_unmade", deliveries.unread_s),
    ):
        if seconds >= _LATE_S:
            yield Problem(name=name, values={"seconds": seconds}, is_severe=True)


def _problems_of_queue(queue: QueueFigures) -> Iterator[Problem]:
    waiting = queue.counts.get(Status.NEW, 0)
    name: dict[str, object] = {"queue": queue.name}
    if queue.is_paused and waiting:
        yield Problem(name="paused", values={**name, "n": waiting}, queue=queue.name)
    if queue.unserved_types:
        values = {**name, "n": queue.unserved_types}
        yield Problem(name="unserved", values=values, queue=queue.name, is_severe=True)
    elif queue.oldest_due_s >= _LATE_S:
        values = {**name, "seconds": queue.oldest_due_s}
        yield Problem(name="late", values=values, queue=queue.name)


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
