"""Pages over a span of time: which one was asked for, and what happened over it."""

from collections.abc import Sequence
from typing import Final

from taskmill.dashboard.form import first
from taskmill.dashboard.view import View
from taskmill.domain.activity import Activity, ActivityRequest, QueueActivity, Window
from taskmill.domain.errors import InvalidInput
from taskmill.wire.wording import describe

HOLDS_S: Final = 0.9
_HOLDS_LONG_S: Final = 5.0
_LONG: Final = frozenset({Window.HOURS_6, Window.DAY, Window.WEEK, Window.MONTH})


def window_of(view: View, among: Sequence[Window] = tuple(Window)) -> Window:
    """Return the span that was asked for, an hour otherwise. Raises `InvalidInput`."""
    text = first(view.query, "window")
    if not text:
        return Window.HOUR
    if text not in among:
        expected = f"one of {', '.join(among)}"
        raise InvalidInput.at("query:window", expected, describe(text, reveal=True))
    return Window(text)


async def activity(view: View, window: Window) -> Activity:
    """Return what happened lately; what is short is read anew whenever there is news."""
    request = ActivityRequest(window=window, by_group=False)
    return await view.context.activities.get(
        (window, _news(view, window)),
        lambda: view.context.service.activity(request),
        holds_s=_holds_s(window),
    )


async def queue_activity(view: View, window: Window, queues: Sequence[str]) -> QueueActivity:
    """Return what happened in some queues lately, as fresh as `activity`."""
    return await view.context.queue_activities.get(
        (window, _news(view, window), *queues),
        lambda: view.context.service.queue_activity(window, queues),
        holds_s=_holds_s(window),
    )


def _news(view: View, window: Window) -> int | None:
    return None if window in _LONG else view.context.change_ticker.change_count


def _holds_s(window: Window) -> float:
    return _HOLDS_LONG_S if window in _LONG else HOLDS_S
