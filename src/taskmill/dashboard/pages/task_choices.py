"""What the list of tasks can be filtered by: queues, types and workers, with how many tasks each has."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.pages import windows
from taskmill.dashboard.pages.filters import CHOSEN, Filters
from taskmill.dashboard.view import View
from taskmill.domain.activity import OTHER_TYPES, Activity, Window
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import EventType
from taskmill.domain.system import Liveness, QueueState, WorkerState
from taskmill.runtime.gather import gather

_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A value, its name, and how many tasks it has."""

    value: str
    name: str
    tasks: int


async def show_choices(view: View) -> Response:
    """Show the values; the query has those that are chosen."""
    filters = Filters.of(view.query)
    if bad := [name for name in CHOSEN if name in filters.complaints]:
        raise InvalidInput.at(f"query:{bad[0]}", "a value that fits", "another")
    service = view.context.service
    (queues, workers), (activity, types) = await gather(
        gather(service.queues(is_brief=True), service.workers()),
        gather(windows.grouped_activity(view, Window.DAY), view.context.quick_search.task_types()),
    )
    return view.fragment(
        "task_choices.html",
        filters=filters,
        queues=_of_queues(queues),
        types=_of_types(activity, types),
        workers=_of_workers(workers),
    )


def _of_queues(queues: Sequence[QueueState]) -> list[Choice]:
    """Return the queues, with all of their tasks."""
    return [
        Choice(value=one.name, name=one.name, tasks=sum(one.counts.values()))
        for one in queues[:_MOST]
    ]


def _of_types(activity: Activity, types: Iterable[str]) -> list[Choice]:
    """Return all types of tasks, with those that were created lately."""
    created = Counter(dict.fromkeys(types, 0))
    for (_, name), flow in activity.groups.items():
        if name != OTHER_TYPES:
            created[name] += flow.counts.get(EventType.CREATED, 0)
    return [Choice(value=name, name=name, tasks=created[name]) for name in sorted(created)[:_MOST]]


def _of_workers(workers: Sequence[WorkerState]) -> list[Choice]:
    """Return the live workers, with the tasks that they run."""
    alive = [one for one in workers if one.state is Liveness.ALIVE]
    by_name = sorted(alive, key=lambda one: (one.name, one.id))
    return [Choice(value=str(one.id), name=one.name, tasks=one.running) for one in by_name[:_MOST]]


ROUTES = [("GET", "/ui/tasks/choices", show_choices)]
