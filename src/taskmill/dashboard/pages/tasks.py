"""The list of tasks: filter, pages, live rows."""

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from uuid import UUID

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.ids import find_id
from taskmill.dashboard.pages import export, sweeps, task_choices
from taskmill.dashboard.pages.filters import PRIORITIES, ROWS, SINCE, SOURCES, Filters
from taskmill.dashboard.view import View
from taskmill.domain import identity
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import PageRequest, Sweep, TaskPage
from taskmill.domain.task import Task
from taskmill.domain.waiting import WaitingState

_MOST_NEWER: Final = 99
_LARGEST_ID: Final = 2**128 - 1
# How long tasks are scanned for a filter without an index: at first, and when the user goes on.
_FIRST_SCAN_S: Final = 0.015
_LONGER_SCAN_S: Final = 1.0
_EMPTY = TaskPage(items=[], total=0, total_at_least=None, next_after=None)


async def show_tasks(view: View) -> Response:
    """Show a page of the matching tasks."""
    filters = Filters.of(view.query)
    if (task_id := find_id(filters.name)) is not None and not view.wants_fragment:
        return view.redirect(f"/ui/tasks/{task_id}")
    top = _top(view, filters)
    page = _EMPTY if filters.complaints else await _page(view, filters, top)
    return view.page(
        "tasks.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if filters.complaints else HTTPStatus.OK,
        title=view.t("nav.tasks"),
        filters=filters,
        is_live=not (filters.complaints or filters.scans_longer or _is_searching(page)),
        page=page,
        newer=_newer(filters, page),
        older=_older(filters, page),
        go_on=_go_on(filters, page),
        is_newest=_is_newest(filters),
        newer_count=None if top is None else await _newer_count(view, filters, top),
        offered=_offered(filters, page),
        fits=_fits,
        statuses=list(Status),
        waiting_states=list(WaitingState),
        sweeps=list(Sweep),
        since=SINCE,
        sources=SOURCES,
        priorities=PRIORITIES,
        row_choices=ROWS,
        scanned_until=page.next_after and identity.created_at(page.next_after),
        job=find_id(first(view.query, "job")),
    )


def _is_searching(page: TaskPage) -> bool:
    """Whether nothing is found so far: the page then searches further by itself, and nothing else refreshes it."""
    return not page.items and page.next_after is not None


def _is_newest(filters: Filters) -> bool:
    """Whether new tasks appear on this page."""
    return not (filters.oldest_first or filters.after or filters.before)


def _top(view: View, filters: Filters) -> UUID | None:
    """Return the task that the page begins with, while the pointer is over its rows."""
    top = find_id(first(view.query, "top"))
    return top if view.wants_fragment and not filters.complaints and _is_newest(filters) else None


async def _newer_count(view: View, filters: Filters, top: UUID) -> str:
    """Return how many matching tasks have been created since, as far as they are counted."""
    request = PageRequest(
        limit=_MOST_NEWER,
        after=top,
        oldest_first=True,
        budget_s=_FIRST_SCAN_S,
        is_brief=True,
        with_total=False,
    )
    page = await view.context.service.page(filters.wanted(view.context.clock.now()), request)
    return f"{len(page.items)}{'+' if page.next_after else ''}"


async def _page(view: View, filters: Filters, top: UUID | None = None) -> TaskPage:
    """Read the page; with `before` it is read backwards from there."""
    is_back = filters.before is not None
    # A page begins after an id, with smaller ones: the first of them has to be `top`.
    above_top = None if top is None else UUID(int=min(top.int + 1, _LARGEST_ID))
    request = PageRequest(
        limit=filters.rows,
        after=above_top or (filters.before if is_back else filters.after),
        oldest_first=filters.oldest_first is not is_back,
        budget_s=_LONGER_SCAN_S if filters.scans_longer else _FIRST_SCAN_S,
        is_brief=True,
        with_total=filters.has_index,
    )
    page = await view.context.service.page(filters.wanted(view.context.clock.now()), request)
    return replace(page, items=page.items[::-1]) if is_back else page


def _offered(filters: Filters, page: TaskPage) -> list[Sweep]:
    """Return the actions for all matching tasks, except those that the page shows to apply to no task."""
    if filters.is_empty or filters.complaints:
        return []
    is_whole = page.next_after is None and filters.after is None and filters.before is None
    return [what for what in Sweep if _is_meant(what, filters, page.items if is_whole else None)]


def _is_meant(what: Sweep, filters: Filters, items: Sequence[Task] | None) -> bool:
    meant = (filters.statuses or what.usual) & what.statuses
    if items is None:
        return bool(meant)
    return any(one.status in meant and _fits(what, one) for one in items)


def _fits(what: Sweep, task: Task) -> bool:
    """Return whether an action applies to a task; a requested cancel need not be requested again."""
    return task.status in what.statuses and not (what is Sweep.CANCEL and task.cancel_requested)


def _newer(filters: Filters, page: TaskPage) -> list[tuple[str, str]] | None:
    """Return the query of the page before this one, None when this is the first."""
    is_there = filters.after is not None or (filters.before is not None and page.next_after)
    if not is_there:
        return None
    if filters.before is not None and page.next_after is not None:
        return _go_on(filters, page)
    return [*filters.pairs, *(("before", str(one.id)) for one in page.items[:1])]


def _older(filters: Filters, page: TaskPage) -> list[tuple[str, str]] | None:
    """Return the query of the page after this one, None when this is the last."""
    if filters.before is not None:
        return [*filters.pairs, ("after", str(page.items[-1].id))] if page.items else None
    return _go_on(filters, page)


def _go_on(filters: Filters, page: TaskPage) -> list[tuple[str, str]] | None:
    """Return the query that goes on where this page ends, in its direction; None when there is no more."""
    if page.next_after is None:
        return None
    longer = [] if len(page.items) == filters.rows else [("scan", "longer")]
    parameter = "after" if filters.before is None else "before"
    return [*filters.pairs, (parameter, str(page.next_after)), *longer]


ROUTES = [
    ("GET", "/ui/tasks", show_tasks),
    *task_choices.ROUTES,
    *export.ROUTES,
    *sweeps.ROUTES,
]
