"""The types and queues that a form suggests; others can be typed."""

from typing import Final

from taskmill.dashboard.view import View
from taskmill.domain.errors import Unavailable
from taskmill.domain.grants import Scope
from taskmill.domain.system import Liveness
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.operations.visibility import current_visibility, visible_queues
from taskmill.storage.queues import types_in
from taskmill.wire.push import TYPE as PUSH

_MOST_OFFERED: Final = 500


async def offers(view: View) -> tuple[list[str], list[str]]:
    """Return the types and queues to suggest; others can be typed."""
    service = view.context.service
    if current_visibility() is not None:
        return await _visible_offers(view)
    known = (one for one in service.contracts.by_type if may_know_type(view, one))
    types = {DEFAULT_TYPE, PUSH, *known}
    try:
        workers = await service.workers()
    except Unavailable:
        return sorted(types), []
    for worker in workers:
        if worker.state is Liveness.ALIVE:
            types.update(one for one in worker.types if one != "*")
    figures = await service.figures.get()
    queues = [] if figures is None else [one.name for one in figures.queues]
    return sorted(types)[:_MOST_OFFERED], sorted(queues)[:_MOST_OFFERED]


def may_know_type(view: View, name: str) -> bool:
    """Return whether the visitor may know of a type's contract: by creating its tasks, or reading contracts."""
    key = view.key
    return key is None or any(
        key.permits_type(scope, name) for scope in (Scope.TASKS_CREATE, Scope.TYPES)
    )


async def _visible_offers(view: View) -> tuple[list[str], list[str]]:
    """Return the queues that the visitor may see, and the types that tasks in these have."""
    database = view.context.service.database
    try:
        queues = await visible_queues(database) or frozenset[str]()
        types = {DEFAULT_TYPE, PUSH} | await types_in(database, queues)
    except Unavailable:
        return [DEFAULT_TYPE, PUSH], []
    return sorted(types)[:_MOST_OFFERED], sorted(queues)[:_MOST_OFFERED]
