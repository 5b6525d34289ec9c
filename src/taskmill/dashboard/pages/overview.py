"""The first page: the verdict and what needs attention, numbers of tasks, throughput, and workers."""

from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.notice_text import shown_notices
from taskmill.dashboard.pages import chart_marks, flow_charts, level_charts, windows
from taskmill.dashboard.view import View
from taskmill.domain.attention import Attention, NoticeKind
from taskmill.domain.figures import QueueFigures, SystemFigures
from taskmill.domain.grants import Scope
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Stats
from taskmill.operations.attention import MAX_AGE_S
from taskmill.runtime.gather import gather
from taskmill.wire.attention import verdict

_FIRST_NOTICES: Final = 6


async def show_overview(view: View) -> Response:
    """Show the page for a time window; who may not read all queues is led to the tasks."""
    if not view.may(Scope.TASKS_READ):
        return view.redirect("/ui/tasks")
    window = windows.window_of(view)
    service = view.context.service
    tasks = view.context.stats.get(
        view.context.change_ticker.change_count,
        service.stats,
        ttl_s=windows.TTL_S,
    )
    charts = gather(windows.counted_activity(view, window), windows.failed_groups(view, window))
    (attention, (counted, groups)), (stats, figures) = await gather(
        gather(_attention(view), charts), gather(tasks, service.figures.get())
    )
    activity = counted.activity
    levels = await level_charts.read_levels(view, counted)
    # The frame says the same as the page.
    return replace(view, attention=attention).page(
        "overview.html",
        title=view.t("nav.overview"),
        stats=stats,
        counts=_totals(stats),
        levels=levels,
        failures=level_charts.failure_chart(groups, activity),
        figures=figures,
        oldest=_oldest(figures),
        **_notices(view, attention),
        **windows.shown(view, window),
        charts=flow_charts.flow_charts(activity),
        marks=await chart_marks.read_marks(view, activity),
    )


async def _attention(view: View) -> Attention:
    """Return what needed attention lately; what is older than a second is read again for the next request."""
    attention = view.context.service.attention
    return await attention.recent(max_age_s=MAX_AGE_S) or await attention.read()


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


ROUTES = [("GET", "/", show_overview)]
