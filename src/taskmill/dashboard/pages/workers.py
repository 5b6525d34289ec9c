"""The workers: their liveness, capacity, tasks, and the requests to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import one_of
from taskmill.dashboard.pages import slices
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import WorkerNotFound
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import (
    Liveness,
    PageRequest,
    TaskFilter,
    WorkerRequest,
    WorkerState,
)

_MOST_TASKS: Final = 50
_SCAN_S: Final = 0.015
_RESUME: Final = "resume"
_STOP_WHEN_EMPTY: Final = "empty"


_REQUESTS: Final[Mapping[str, WorkerRequest | None]] = {
    WorkerRequest.QUIET: WorkerRequest.QUIET,
    _STOP_WHEN_EMPTY: WorkerRequest.STOP,
    WorkerRequest.STOP: WorkerRequest.STOP,
    _RESUME: None,
}


class Condition(StrEnum):
    """The condition of a worker."""

    WORKING = "working"
    QUIET = "quiet"
    STOPPING = "stopping"
    EMPTYING = "emptying"
    SILENT = "silent"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A worker as it is shown; one that pulls over HTTP is one row for all its `claims`."""

    worker: WorkerState
    condition: Condition
    claims: int

    @property
    def actions(self) -> list[str]:
        """The requests that can be made to it."""
        if self.worker.remote or self.worker.closed_at is not None:
            return []
        match self.worker.request:
            case None:
                return [WorkerRequest.QUIET, _STOP_WHEN_EMPTY, WorkerRequest.STOP]
            case WorkerRequest.QUIET if self.worker.stop_when_empty:
                return [_RESUME, WorkerRequest.STOP]
            case WorkerRequest.QUIET:
                return [_RESUME, _STOP_WHEN_EMPTY, WorkerRequest.STOP]
            case WorkerRequest.STOP:
                return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The capacity of live workers. A quiet one has no free slot."""

    workers: int
    slots: int
    running: int
    free: int


async def show_workers(view: View) -> Response:
    """Show the workers with the search text in their name."""
    name = slices.searched(view.query, "name")
    workers = await view.context.service.workers()
    rows = list(_rows(one for one in workers if name.lower() in one.name.lower()))
    return view.page(
        "workers.html",
        title=view.t("nav.workers"),
        part=slices.cut(rows, view.query),
        capacity=_capacity(workers),
        there_are_some=bool(workers),
        name=name,
        list_query=_list_query(view.query),
        grace_s=view.context.settings.worker.grace_s,
    )


async def show_worker(view: View) -> Response:
    """Show one, with its tasks."""
    worker_id = view.id
    found = await view.context.service.workers(only=worker_id)
    if not found:
        raise WorkerNotFound(worker_id)
    [worker] = found
    wanted = TaskFilter(statuses=frozenset({Status.IN_PROGRESS}), lease=worker_id)
    request = PageRequest(limit=_MOST_TASKS, is_brief=True, with_total=False, budget_s=_SCAN_S)
    page = await view.context.service.page(wanted, request)
    lost = await view.context.service.lost_tasks(worker_id) if worker.lost_tasks else []
    return view.page(
        "worker.html",
        title=worker.name,
        row=_row(worker, 1),
        tasks=page.items,
        is_cut=page.next_after is not None,
        lost=lost,
        grace_s=view.context.settings.worker.grace_s,
    )


async def set_worker_request(view: View) -> Response:
    """Ask it to be quiet, to stop (maybe when it is empty) or to go on, and lead back to the page."""
    worker_id = view.id
    await view.form()
    wanted = one_of(_REQUESTS, view.request.path_params["what"], "path:what")
    await view.context.service.set_worker_request(
        worker_id, _REQUESTS[wanted], when_empty=wanted == _STOP_WHEN_EMPTY
    )
    if ("from", "list") in view.query:
        return view.redirect("/ui/workers", _list_query(view.query))
    return view.redirect(f"/ui/workers/{worker_id}")


def _list_query(query: Pairs) -> Pairs:
    return [(name, value) for name, value in query if name in {"name", "page"} and value]


def _rows(workers: Iterable[WorkerState]) -> Iterable[Row]:
    """Return a row for each process, and for each name of those that pull."""
    pulling: dict[str, Row] = {}
    for worker in workers:
        if not worker.remote:
            yield _row(worker, 1)
        elif (known := pulling.get(worker.name)) is None:
            pulling[worker.name] = _row(worker, 1)
        else:
            pulling[worker.name] = _row(_joined(known.worker, worker), known.claims + 1)
    yield from pulling.values()


def _row(worker: WorkerState, claims: int) -> Row:
    return Row(worker=worker, condition=_condition(worker), claims=claims)


def _joined(one: WorkerState, other: WorkerState) -> WorkerState:
    """Return two claims as one worker: the sums, and the later heartbeat."""
    is_alive = Liveness.ALIVE in {one.state, other.state}
    # An open claim goes before one that has ended.
    base = one if one.closed_at is None else other
    return replace(
        base,
        slots=one.slots + other.slots,
        running=one.running + other.running,
        started_at=min(one.started_at, other.started_at),
        renewed_at=max(one.renewed_at, other.renewed_at),
        expires_at=max(one.expires_at, other.expires_at),
        state=Liveness.ALIVE if is_alive else base.state,
        lost_tasks=one.lost_tasks + other.lost_tasks,
    )


def _condition(worker: WorkerState) -> Condition:
    if worker.state is Liveness.CLOSED:
        return Condition.LOST if worker.is_lost else Condition.ENDED
    if worker.state is Liveness.EXPIRED:
        return Condition.SILENT
    match worker.request:
        case None:
            return Condition.WORKING
        case WorkerRequest.QUIET:
            return Condition.EMPTYING if worker.stop_when_empty else Condition.QUIET
        case WorkerRequest.STOP:
            return Condition.STOPPING


def _capacity(workers: Sequence[WorkerState]) -> Capacity:
    alive = [one for one in workers if one.state is Liveness.ALIVE]
    return Capacity(
        workers=len({one.name if one.remote else one.id for one in alive}),
        slots=sum(one.slots for one in alive),
        running=sum(one.running for one in alive),
        free=sum(
            max(one.slots - one.running, 0)
            for one in alive
            if one.request is None and not one.remote
        ),
    )


ROUTES = [
    ("GET", "/ui/workers", show_workers),
    ("GET", "/ui/workers/{id}", show_worker),
    ("POST", "/ui/workers/{id}/{what}", set_worker_request),
]
