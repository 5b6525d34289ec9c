"""One queue: what waits and runs, its charts, failures and slowest tasks, who serves it, and its pause."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.pages import chart_marks, flow_charts, level_charts, windows
from taskmill.dashboard.view import View
from taskmill.domain.activity import AnyWindow
from taskmill.domain.errors import QueueNotFound
from taskmill.domain.failures import WINDOWS, FailurePage, KindFilter, KindState
from taskmill.domain.slow_tasks import MOST_LOOKED_AT
from taskmill.domain.system import Liveness, QueueState, WorkerState
from taskmill.domain.time_ranges import FAILURE_DAYS
from taskmill.runtime.gather import gather
from taskmill.wire.fields import is_name

MOST_KINDS: Final = 5
MOST_WORKERS: Final = 20
MOST_SLOWEST: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenKinds:
    """The most frequent open kinds of failures, and over which window, if that is more than the page's."""

    page: FailurePage
    wider: AnyWindow | None


async def show_queue(view: View) -> Response:
    """Show one. Raises `QueueNotFound`."""
    name: str = view.request.path_params["name"]
    state = await _state(view, name)
    window = windows.window_of(view)
    service = view.context.service
    counted, (groups, workers) = await gather(
        windows.counted_activity(view, window, queue=name),
        gather(windows.failed_groups(view, window, queue=name), service.workers()),
    )
    activity = counted.activity
    levels, (kinds, slowest) = await gather(
        level_charts.read_levels(view, counted, queue=name),
        gather(
            open_kinds(view, window, queue=name),
            service.slowest(window, queue=name, limit=MOST_SLOWEST),
        ),
    )
    serving = one_each(_serving(workers, name))
    return view.page(
        "queue.html",
        title=name,
        queue=state,
        kinds=kinds,
        slowest=slowest,
        looked_at=MOST_LOOKED_AT,
        workers=serving[:MOST_WORKERS],
        worker_count=len(serving),
        charts=flow_charts.flow_charts(activity),
        marks=await chart_marks.read_marks(view, activity, queue=name, queues=[name]),
        levels=levels,
        failures=level_charts.failure_chart(groups, activity),
        **windows.shown(view, window),
    )


async def open_kinds(
    view: View, window: AnyWindow, *, queue: str | None = None, type_: str | None = None
) -> OpenKinds:
    """Return the most frequent open kinds of failures, over the shortest of their windows that has all of one."""
    counted = windows.window_of(view, WINDOWS, retained_days=FAILURE_DAYS)
    wanted = KindFilter(window=counted, queue=queue, type=type_, state=KindState.OPEN)
    return OpenKinds(
        page=await view.context.service.failures.page(wanted, limit=MOST_KINDS),
        wider=counted if counted.length > window.length else None,
    )


def one_each(workers: Sequence[WorkerState]) -> list[WorkerState]:
    """Return workers with those that pull over HTTP once, as their latest claim: each has a lease for each."""
    found: dict[object, WorkerState] = {}
    for one in workers:
        key = one.name if one.remote else one.id
        known = found.get(key)
        found[key] = (
            one
            if known is None
            else replace(known, slots=known.slots + one.slots, running=known.running + one.running)
        )
    return list(found.values())


async def _state(view: View, name: str) -> QueueState:
    """Return the queue with what waits in it."""
    service = view.context.service
    if not is_name(name):
        raise QueueNotFound(name)
    found = [one for one in await service.queues(is_brief=True) if one.name == name]
    if not found:
        raise QueueNotFound(name)
    [state] = await service.with_waiting(await service.with_oldest(found))
    return state


def _serving(workers: Sequence[WorkerState], name: str) -> list[WorkerState]:
    """Return the live workers that serve a queue."""
    return [
        one
        for one in workers
        if one.state is Liveness.ALIVE and (not one.queues or name in one.queues)
    ]


ROUTES = [("GET", "/ui/queues/{name}", show_queue)]
