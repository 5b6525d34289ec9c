"""Pages over a span of time: which one was asked for, and what happened over it."""

from collections.abc import Sequence
from typing import Final

from taskmill.dashboard.form import first
from taskmill.dashboard.view import View
from taskmill.domain.activity import Activity, ActivityRequest, Window
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
    is_long = window in _LONG
    request = ActivityRequest(window=window)
    return await view.context.activities.get(
        (window, None if is_long else view.context.pulse.news),
        lambda: view.context.service.activity(request),
        holds_s=_HOLDS_LONG_S if is_long else HOLDS_S,
    )
