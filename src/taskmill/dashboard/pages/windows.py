"""The time window of a page, and the activity over it."""

from collections.abc import Sequence
from typing import Final

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.view import View
from taskmill.domain.activity import Activity, ActivityRequest, QueueActivity, Window
from taskmill.operations.visibility import current_visibility

TTL_S: Final = 0.9
_LONG_TTL_S: Final = 5.0
# To report it by queue and type takes twice as long.
_GROUPS_TTL_S: Final = 2 * TTL_S
_LONG: Final = frozenset({Window.HOURS_6, Window.DAY, Window.WEEK, Window.MONTH})


def window_of(view: View, among: Sequence[Window] = tuple(Window)) -> Window:
    """Return the requested window, else an hour. Raises `InvalidInput`."""
    text = first(view.query, "window")
    return Window(one_of(among, text, "query:window")) if text else Window.HOUR


async def activity(view: View, window: Window) -> Activity:
    """Return the recent activity; a short window is read again whenever something has changed."""
    request = ActivityRequest(window=window, by_group=False)
    return await view.context.activities.get(
        (window, _news(view, window)),
        lambda: view.context.service.activity(request),
        ttl_s=_ttl_s(window),
    )


async def grouped_activity(view: View, window: Window) -> Activity:
    """Return the recent activity by queue and type, as fresh as `activity`; of what the visitor may see."""
    request = ActivityRequest(window=window)
    if current_visibility() is not None:
        return await view.context.service.activity(request)
    return await view.context.activities.get(
        ("groups", window, _news(view, window)),
        lambda: view.context.service.activity(request),
        ttl_s=_LONG_TTL_S if window in _LONG else _GROUPS_TTL_S,
    )


async def queue_activity(view: View, window: Window, queues: Sequence[str]) -> QueueActivity:
    """Return the recent activity of some queues, as fresh as `activity`."""
    return await view.context.queue_activities.get(
        (window, _news(view, window), *queues),
        lambda: view.context.service.queue_activity(window, queues),
        ttl_s=_ttl_s(window),
    )


def _news(view: View, window: Window) -> int | None:
    return None if window in _LONG else view.context.change_ticker.change_count


def _ttl_s(window: Window) -> float:
    return _LONG_TTL_S if window in _LONG else TTL_S
