"""The queues: how many tasks wait and run, how fast, how long; their pause, and how long they keep tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages import slices, windows
from taskmill.dashboard.pages.slices import Slice
from taskmill.dashboard.view import Pairs, View
from taskmill.dashboard.window_pairs import NAMES
from taskmill.domain.activity import Flow, QueueActivity
from taskmill.domain.errors import QueueNotFound
from taskmill.domain.grants import Scope
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import QueueState
from taskmill.operations.visibility import current_visibility
from taskmill.runtime.gather import gather
from taskmill.wire.fields import is_name
from taskmill.wire.queues import to_queue_change

_LIST_PARAMETERS: Final = frozenset({*NAMES, "name", "order", "page"})
_WIDTH: Final = 100.0
_HEIGHT: Final = 24.0
_LEAST_POINTS: Final = 3
_DIGITS: Final = 2

ORDERS: Final[Mapping[str, Callable[[QueueState], object]]] = {
    "name": lambda queue: queue.name,
    "waiting": lambda queue: (-queue.counts.get(Status.NEW, 0), queue.name),
    "oldest": lambda queue: (
        queue.oldest_due_at.timestamp() if queue.oldest_due_at else float("inf"),
        queue.name,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A queue, its activity, rates per minute, and the points of its sparkline (None: nothing ended)."""

    queue: QueueState
    flow: Flow
    created: float
    ended: float
    failed_share: float | None
    sparkline: str | None


async def show_queues(view: View) -> Response:
    """Show the requested queues."""
    window, order = windows.window_of(view), _order(view.query)
    name = slices.searched(view.query, "name")
    queues = await view.context.service.queues(is_brief=True)
    wanted = [queue for queue in queues if name.lower() in queue.name]
    part = await _part(view, wanted, order)
    counted, activity = await gather(
        view.context.service.with_waiting(part.items),
        windows.queue_activity(view, window, [queue.name for queue in part.items]),
    )
    return view.page(
        "queues.html",
        title=view.t("nav.queues"),
        rows=[_row(queue, activity) for queue in counted],
        part=part,
        paused=sum(queue.paused_at is not None for queue in wanted),
        there_are_some=bool(queues),
        name=name,
        order=order,
        orders=list(ORDERS),
        **windows.shown(view, window),
        list_query=_list_query(view.query),
    )


async def pause_queue(view: View) -> Response:
    """Pause it, and show the queues, or its own page if that asked for it."""
    return await _set_paused(view, paused=True)


async def resume_queue(view: View) -> Response:
    """Resume it, and show the queues, or its own page if that asked for it."""
    return await _set_paused(view, paused=False)


async def keep_tasks(view: View) -> Response:
    """Set how long it keeps its ended tasks, empty for what the settings say, and show its page."""
    name: str = view.request.path_params["name"]
    time = first(await view.form(), "keep")
    if not is_name(name):
        raise QueueNotFound(name)
    change = to_queue_change({"keep": time.upper() or None})
    await view.context.service.set_queue_keep(name, change.keep)
    return view.redirect(f"/ui/queues/{name}", view.carried)


async def remove_queue(view: View) -> Response:
    """Remove an empty queue, and show the others."""
    name = await _named(view)
    await view.context.service.remove_queue(name, with_keep=view.may(Scope.ADMIN))
    return view.redirect("/ui/queues", _list_query(view.query))


async def _set_paused(view: View, *, paused: bool) -> Response:
    name = await _named(view)
    await view.context.service.set_queue_paused(name, paused=paused)
    if first(view.query, "back") == "queue":
        return view.redirect(f"/ui/queues/{name}", view.carried)
    return view.redirect("/ui/queues", _list_query(view.query))


async def _named(view: View) -> str:
    """Return the queue that a form is about."""
    name: str = view.request.path_params["name"]
    await view.form()
    if not is_name(name):
        raise QueueNotFound(name)
    return name


def _list_query(query: Pairs) -> Pairs:
    """Return the parameters of the list that outlive an action."""
    return [(name, value) for name, value in query if name in _LIST_PARAMETERS and value]


def _order(query: Pairs) -> str:
    return one_of(ORDERS, first(query, "order") or "name", "query:order")


async def _part(view: View, wanted: Sequence[QueueState], order: str) -> Slice[QueueState]:
    """Return the queues of the page, each with its oldest due task, which is read for as few as possible."""
    if order == "oldest":
        oldest = await _oldest_due(view)
        known = [replace(one, oldest_due_at=oldest.get(one.name)) for one in wanted]
        return slices.cut(_sorted(known, order), view.query)
    part = slices.cut(_sorted(wanted, order), view.query)
    return replace(part, items=await view.context.service.with_oldest(part.items))


async def _oldest_due(view: View) -> Mapping[str, datetime | None]:
    """Return since when the oldest due task of each queue waits; requests share it for a moment."""
    service = view.context.service

    async def read() -> Mapping[str, datetime | None]:
        states = await service.with_oldest(await service.queues(is_brief=True))
        return {one.name: one.oldest_due_at for one in states}

    if current_visibility() is not None:
        return await read()
    return await view.context.oldest_due.get(None, read, ttl_s=windows.TTL_S)


def _sorted(queues: Sequence[QueueState], order: str) -> list[QueueState]:
    return sorted(queues, key=ORDERS[order])  # type: ignore[arg-type]


def _row(queue: QueueState, activity: QueueActivity) -> Row:
    minutes = max((activity.until - activity.since).total_seconds() / 60, 1.0)
    flow = activity.flows.get(queue.name, Flow())
    failed = flow.counts.get(EventType.FAILED, 0)
    ended = flow.counts.get(EventType.SUCCEEDED, 0) + failed
    return Row(
        queue=queue,
        flow=flow,
        created=round(flow.counts.get(EventType.CREATED, 0) / minutes, _DIGITS),
        ended=round(ended / minutes, _DIGITS),
        failed_share=failed / ended if ended else None,
        sparkline=sparkline(activity.ended.get(queue.name, {}), activity.steps),
    )


def sparkline(ended: Mapping[datetime, int], times: Sequence[datetime]) -> str | None:
    """Return the points of a chart of 100 by 24, for SVG; None when there is nothing to see."""
    # The last step is not over: it would always look like a drop.
    values = [ended.get(at, 0) for at in (times[:-1] if len(times) > _LEAST_POINTS else times)]
    highest = max(values, default=0)
    if not highest or len(values) == 1:
        return None
    step = _WIDTH / (len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{_HEIGHT - 1 - value / highest * (_HEIGHT - 2):.1f}"
        for number, value in enumerate(values)
    )


ROUTES = [
    ("GET", "/ui/queues", show_queues),
    ("POST", "/ui/queues/{name}/pause", pause_queue),
    ("POST", "/ui/queues/{name}/resume", resume_queue),
    ("POST", "/ui/queues/{name}/keep", keep_tasks),
    ("POST", "/ui/queues/{name}/delete", remove_queue),
]
