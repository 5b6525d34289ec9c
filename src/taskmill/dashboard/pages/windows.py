"""The time window of a page, which its address has, and the activity over it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.view import View
from taskmill.dashboard.window_pairs import asked, ends_of, field_text
from taskmill.domain.activity import (
    Activity,
    ActivityRequest,
    AnyWindow,
    QueueActivity,
    Window,
)
from taskmill.domain.levels import CountedActivity, FailedGroups, WorkerSpans
from taskmill.domain.lifecycle import Status
from taskmill.domain.time_ranges import RETAINED_DAYS, TimeRange
from taskmill.operations.visibility import current_visibility
from taskmill.runtime.gather import gather

TTL_S: Final = 0.9
_LONG_TTL_S: Final = 5.0
# To report it by queue and type takes twice as long.
_GROUPS_TTL_S: Final = 2 * TTL_S
_LONG: Final = timedelta(hours=6)
MOST_GROUPS: Final = 6
"""Of how many queues, or types, a chart shows the failures; those of the others are one series."""


def window_of(
    view: View,
    among: Sequence[Window] = tuple(Window),
    *,
    retained_days: Mapping[int, int] = RETAINED_DAYS,
    usual: Window = Window.HOUR,
) -> AnyWindow:
    """Return the requested window or range, else the usual one; of windows the shortest that has all of it.

    Raises:
        InvalidInput: It is neither a window nor a range, or a range that is too long.
    """
    now = view.context.clock.now()
    if (ends := ends_of(view.query, now)) is not None:
        return TimeRange.between(*ends, now, retained_days)
    text = first(view.query, "window")
    if not text:
        return usual
    return covering(Window(one_of(Window, text, "query:window")), among)


def shown(
    view: View,
    window: AnyWindow,
    among: Sequence[Window] = tuple(Window),
) -> dict[str, Any]:
    """Return what templates show of a window: it, those to choose from, and the ends of a range to begin with.

    Of the failures another one is usual, so that what leads there names it in any case.
    """
    now = view.context.clock.now()
    pairs = asked(view.query, now)
    is_range = isinstance(window, TimeRange)
    since, until = now - window.length, now
    if isinstance(window, TimeRange):
        since, until = window.since, window.until
    return {
        "window": window,
        "windows": among,
        "window_pairs": pairs,
        "failure_pairs": pairs or [("window", window)],
        "is_range": is_range,
        "span_from": field_text(since),
        "span_to": field_text(until),
    }


def covering(window: AnyWindow, among: Sequence[Window]) -> Window:
    """Return the shortest of some windows that is as long as another one, else the longest."""
    return next((one for one in among if one.length >= window.length), among[-1])


async def activity(view: View, window: AnyWindow, *, queue: str | None = None) -> Activity:
    """Return the recent activity, without groups; a short window is read again whenever something has changed."""
    request = ActivityRequest(window=window, queue=queue, by_group=False)
    if current_visibility() is not None:
        return await view.context.service.activity(request)
    return await view.context.activities.get(
        (request, news(view, window)),
        lambda: view.context.service.activity(request),
        ttl_s=ttl_s(window),
    )


async def counted_activity(
    view: View, window: AnyWindow, *, queue: str | None = None
) -> CountedActivity:
    """Return the recent activity, and how many tasks wait and run: both of one moment, as fresh as `activity`."""
    request = ActivityRequest(window=window, queue=queue, by_group=False)
    service = view.context.service

    async def read() -> CountedActivity:
        found, states = await gather(service.activity(request), service.queues(is_brief=True))
        waiting, running = (
            sum(one.counts.get(status, 0) for one in states if queue in {None, one.name})
            for status in (Status.NEW, Status.IN_PROGRESS)
        )
        return CountedActivity(activity=found, waiting=waiting, running=running)

    if current_visibility() is not None:
        return await read()
    key = (request, news(view, window))
    return await view.context.counted_activities.get(key, read, ttl_s=ttl_s(window))


async def grouped_activity(view: View, window: AnyWindow) -> Activity:
    """Return the recent activity by queue and type, as fresh as `activity`; of what the visitor may see."""
    request = ActivityRequest(window=window)
    if current_visibility() is not None:
        return await view.context.service.activity(request)
    return await view.context.activities.get(
        (request, news(view, window)),
        lambda: view.context.service.activity(request),
        ttl_s=_LONG_TTL_S if _is_long(window) else _GROUPS_TTL_S,
    )


async def queue_activity(view: View, window: AnyWindow, queues: Sequence[str]) -> QueueActivity:
    """Return the recent activity of some queues, as fresh as `activity`."""
    return await view.context.queue_activities.get(
        (window, news(view, window), *queues),
        lambda: view.context.service.queue_activity(window, queues),
        ttl_s=ttl_s(window),
    )


async def failed_groups(
    view: View, window: AnyWindow, *, queue: str | None = None, type_: str | None = None
) -> FailedGroups:
    """Return the failures by queue, or by type of one queue, as fresh as `activity`."""
    request = ActivityRequest(window=window, queue=queue, type=type_, by_group=False)

    async def read() -> FailedGroups:
        return await view.context.service.failed_groups(request, most=MOST_GROUPS)

    if current_visibility() is not None:
        return await read()
    key = (request, news(view, window))
    return await view.context.failed_groups.get(key, read, ttl_s=ttl_s(window))


async def worker_spans(view: View, queue: str | None = None) -> WorkerSpans:
    """Return the workers of the last day, read again every few seconds."""
    if current_visibility() is not None:
        return await view.context.service.worker_spans(queue)
    return await view.context.worker_spans.get(
        queue, lambda: view.context.service.worker_spans(queue), ttl_s=_LONG_TTL_S
    )


def news(view: View, window: AnyWindow) -> int | None:
    """Return what changes when what is shared of a window is to be read again; None where its age decides."""
    return None if _is_long(window) else view.context.change_ticker.change_count


def ttl_s(window: AnyWindow) -> float:
    """Return for how long what is read of a window is shared, in s."""
    return _LONG_TTL_S if _is_long(window) else TTL_S


def _is_long(window: AnyWindow) -> bool:
    """Return whether a window changes little: a long one, or one that has ended, or soon will."""
    return isinstance(window, TimeRange) or window.length >= _LONG
