"""What the charts of a page mark, in words and as JSON: pauses of queues, workers that started or were lost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from taskmill.dashboard.pages import windows
from taskmill.dashboard.view import View
from taskmill.dashboard.wording import Words, shortened
from taskmill.domain.activity import Activity
from taskmill.domain.levels import WorkerSpan
from taskmill.domain.marks import Mark, latest, worker_marks
from taskmill.domain.time_ranges import TimeRange
from taskmill.operations.visibility import current_visibility
from taskmill.runtime.gather import gather

_LONGEST_NAME: Final = 60
# Clocks differ a little.
_AHEAD: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMarks:
    """The marks in order, each with its time and text; `points` is all of it as JSON."""

    items: Sequence[tuple[datetime, str]]
    points: str


async def read_marks(
    view: View,
    activity: Activity,
    *,
    queue: str | None = None,
    queues: Collection[str] | None = None,
    type_: str | None = None,
) -> ShownMarks:
    """Return the marks of an activity's span: pauses of `queues` (None: of all), workers of a queue or a type.

    Who sees some queues only does not see who runs a type to whose visible tasks nothing happened.
    """
    is_range = isinstance(activity.request.window, TimeRange)
    # What is shared of a long window ended some seconds ago.
    until = activity.until if is_range else view.context.clock.now() + _AHEAD
    spans, pauses = await gather(
        windows.worker_spans(view, queue),
        view.context.service.pause_changes(activity.since, until, queues),
    )
    is_hidden = type_ is not None and not queues and current_visibility() is not None
    workers = worker_marks(
        [one for one in spans.items if _runs(one, type_) and not is_hidden],
        step=activity.request.window.step,
    )
    found = latest([*workers, *pauses], since=activity.since, until=until)
    items = [(one.at, _text(view.words, one)) for one in found]
    points = [[int(at.timestamp()), text] for at, text in items]
    return ShownMarks(items=items, points=orjson.dumps(points).decode())


def _runs(span: WorkerSpan, type_: str | None) -> bool:
    return type_ is None or "*" in span.types or type_ in span.types


def _text(words: Words, mark: Mark) -> str:
    return words.t(
        f"mark.{mark.kind}",
        n=mark.number,
        name=shortened(mark.name, _LONGEST_NAME),
        version=mark.version or "",
    )
