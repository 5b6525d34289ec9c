"""Charts of how much waits and how many slots are taken at a time, and of failures by queue or type."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from taskmill.dashboard.pages import windows
from taskmill.dashboard.pages.flow_charts import GROUP_COLOURS, Chart, chart
from taskmill.dashboard.view import View
from taskmill.domain.activity import Activity, Flow, Window
from taskmill.domain.levels import (
    OTHERS,
    CountedActivity,
    FailedGroups,
    Level,
    WorkerSpans,
    levels,
)
from taskmill.domain.time_ranges import RETAINED_DAYS
from taskmill.runtime.gather import gather

_KNOWN: Final = timedelta(days=max(RETAINED_DAYS.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureChart:
    """Failures by queue or type: the names of the series with their totals, and the chart; None without any."""

    totals: Sequence[tuple[str, int]]
    chart: Chart | None

    @property
    def total(self) -> int:
        """How many failed."""
        return sum(tasks for _, tasks in self.totals)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCharts:
    """How many tasks waited, and how many ran in how many slots; `waiting` and the others are of the last time."""

    waiting: int
    most_waiting: int
    grown: int
    running: int
    slots: int | None
    most_running: int
    backlog: Chart
    taken: Chart


async def read_levels(
    view: View, counted: CountedActivity, *, queue: str | None = None
) -> LevelCharts | None:
    """Return the charts of an activity, of one queue or of all; None when it began before all that is known."""
    window, until = counted.activity.request.window, counted.activity.until
    if view.context.clock.now() - counted.activity.since > _KNOWN:
        return None
    (latest, later), spans = await gather(
        _until_now(view, counted, queue), windows.worker_spans(view, queue)
    )
    found = levels(
        [*counted.activity.points, *later],
        until=latest.activity.until,
        waiting=latest.waiting,
        running=latest.running,
    )
    return _level_charts([one for one in found if one.at <= until], spans, window.step)


async def _until_now(
    view: View, counted: CountedActivity, queue: str | None
) -> tuple[CountedActivity, list[tuple[datetime, Flow]]]:
    """Return how many tasks wait and run now, and what has happened since an activity ended."""
    window = counted.activity.request.window
    # What is shared may have been read before its window ended: then its counts are of its end.
    if isinstance(window, Window) or counted.activity.until < window.until:
        return counted, []
    *ranges, last = window.ranges_since(view.context.clock.now())
    later = [await windows.activity(view, one, queue=queue) for one in ranges]
    latest = await windows.counted_activity(view, last, queue=queue)
    return latest, [(one.since, one.total) for one in [*later, latest.activity]]


def _level_charts(found: Sequence[Level], spans: WorkerSpans, step: timedelta) -> LevelCharts:
    waiting = [one.waiting for one in found]
    running = [one.running for one in found]
    times = [one.at for one in found]
    slots = spans.slots_at(times)
    return LevelCharts(
        waiting=waiting[-1],
        most_waiting=max(waiting),
        grown=waiting[-1] - waiting[0],
        running=running[-1],
        slots=slots[-1],
        most_running=max(running),
        backlog=chart("backlog", "count", times, [waiting], ("new",), step=step, filled=0),
        taken=chart(
            "slots",
            "count",
            times,
            [running, slots],
            ("in_progress", "late"),
            step=step,
            filled=0,
        ),
    )


def failure_chart(groups: FailedGroups, activity: Activity) -> FailureChart:
    """Return the chart of failures over the steps of an activity."""
    totals = [(name, groups.total(name)) for name in groups.counts]
    if not totals:
        return FailureChart(totals=(), chart=None)
    times = [at for at, _ in activity.points]
    return FailureChart(
        totals=totals,
        chart=chart(
            "failures",
            "count",
            times,
            [[counts.get(at, 0) for at in times] for counts in groups.counts.values()],
            [_colour(number, name) for number, name in enumerate(groups.counts)],
            step=activity.request.window.step,
            is_stacked=True,
        ),
    )


def _colour(number: int, name: str) -> str:
    return "cancelled" if name == OTHERS else GROUP_COLOURS[number % len(GROUP_COLOURS)]
