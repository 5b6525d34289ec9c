"""The list of kinds of failures: which there are, how often, since when; filtered, in an order, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.pages import windows
from taskmill.dashboard.pages.failure_filters import ALL, STATES, FailureFilters, position_text
from taskmill.dashboard.pages.queues import sparkline
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.activity import Window
from taskmill.domain.failures import WINDOWS, FailureKind, FailurePage, KindOrder, KindState
from taskmill.domain.lifecycle import Status
from taskmill.domain.time_ranges import FAILURE_DAYS
from taskmill.operations.visibility import current_visibility

ON_A_PAGE: Final = 50
_TTL_S: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kind of failures, the points of its sparkline (None: all in one step), and the query for its tasks."""

    kind: FailureKind
    sparkline: str | None
    tasks: Pairs


async def show_failures(view: View) -> Response:
    """Show a page of the kinds that the filter admits."""
    window = windows.window_of(view, WINDOWS, retained_days=FAILURE_DAYS, usual=Window.DAY)
    shown = windows.shown(view, window, WINDOWS)
    filters = FailureFilters.of(view.query, window, shown["window_pairs"])
    page = await _read(view, filters)
    return view.page(
        "failures.html",
        title=view.t("nav.failures"),
        filters=filters,
        page=page,
        rows=[_row(kind, filters, page.steps) for kind in page.items],
        states=[(state, _count(page, state)) for state in STATES],
        orders=list(KindOrder),
        older=_older(filters, page),
        **shown,
    )


async def _read(view: View, filters: FailureFilters) -> FailurePage:
    """Return the failures that the visitor may see; those of all queues are shared by requests for a moment."""
    service = view.context.service.failures

    async def read() -> FailurePage:
        return await service.page(
            filters.wanted, filters.order, limit=ON_A_PAGE, after=filters.after
        )

    if current_visibility() is not None:
        return await read()
    key = (filters, view.context.change_ticker.change_count)
    return await view.context.failures.get(key, read, ttl_s=_TTL_S)


def _row(kind: FailureKind, filters: FailureFilters, steps: Sequence[datetime]) -> Row:
    trend = {point.at: point.tasks for point in kind.trend}
    tasks = [("status", Status.FAILED), ("error", kind.kind), *filters.of_tasks]
    return Row(kind=kind, sparkline=sparkline(trend, steps), tasks=tasks)


def _count(page: FailurePage, state: str) -> int:
    """Return how many kinds a choice of states shows; what has come back is open."""
    if state == ALL:
        return page.kinds
    came_back = page.counts.get(KindState.CAME_BACK, 0) if state == KindState.OPEN else 0
    return page.counts.get(KindState(state), 0) + came_back


def _older(filters: FailureFilters, page: FailurePage) -> Pairs | None:
    """Return the query of the next page, None when this is the last."""
    if not page.has_more:
        return None
    return [*filters.pairs, ("after", position_text(page.items[-1].position))]


ROUTES = [("GET", "/ui/failures", show_failures)]
