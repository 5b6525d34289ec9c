"""Builds requests, and reads their responses, for both clients; it sends nothing itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Protocol, TypeAlias, TypedDict, TypeVar
from uuid import UUID, uuid4

import httpx

from taskmill.client.errors import Unreachable
from taskmill.client.filters import Parameters, parameters_of
from taskmill.client.json_text import json_bytes
from taskmill.client.responses import NOT_MODIFIED, read_response, reader
from taskmill.client.view import View
from taskmill.client.views.audit import AuditEntryList
from taskmill.client.views.batches import BatchCreated
from taskmill.client.views.explanations import ExplanationView
from taskmill.client.views.queues import QueueList, QueueView
from taskmill.client.views.rejections import RejectionList, RejectionView
from taskmill.client.views.system import EventList, StatsView, WorkerList, WorkerView
from taskmill.client.views.task_log import LogPage
from taskmill.client.views.tasks import TaskFields, TaskList, TaskView
from taskmill.wire.basics import etag, format_duration

T = TypeVar("T")
TaskId: TypeAlias = UUID | str | int
RejectionId: TypeAlias = UUID | str
WorkerId: TypeAlias = UUID | str

LARGEST_LOG_PAGE: Final = 1000


class Rescheduled(TypedDict, total=False):
    """What to change of a waiting task, as in the body of `PATCH /tasks/{id}`; times need a zone."""

    queue: str | None
    priority: int | None
    run_at: datetime | str | None
    delay_s: float | None


class Filters(TypedDict, total=False):
    """Which tasks a listing shows; several values of one filter are alternatives.

    `label` is `key=value`; `name` is a part of the name; `error` is the `kind` of their latest error; `waiting` is
    ready, scheduled, retrying or held; `order` is `desc` (newest first) or `asc`.
    """

    status: str | Iterable[str]
    queue: str | Iterable[str]
    type: str | Iterable[str]
    label: str | Iterable[str]
    name: str
    error: str
    waiting: str
    created_after: datetime | str
    created_before: datetime | str
    order: str
    limit: int


class AuditFilters(TypedDict, total=False):
    """Which entries of the audit log are read; `actor` is a name or an address, `target` an id or a name."""

    action: str
    actor: str
    target: str
    since: datetime | str
    until: datetime | str


class OnResponse(Protocol):
    """Gets the response to a read that the service may hold."""

    def __call__(self, response: httpx.Response, *, is_newer: bool) -> None:
        """Take the response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how its response is read.

    `repeatable`: sending it twice has the effect of once. `is_probe`: it is about this moment, so it is sent only
    once. `hold_s`: how much longer than usual the response may take. `parts`: for a response that is read as it
    comes; called at its beginning, it returns a function that takes each part.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    repeatable: bool = True
    is_probe: bool = False
    hold_s: float = 0.0
    parts: Callable[[], Callable[[bytes], None]] | None = None
    parameters: Parameters = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def result(self, response: httpx.Response) -> T:
        """Read the response.

        Raises:
            NotAccepted: The service refused the request.
            Unexpected: It is not the response of a Taskmill service.
        """
        return read_response(response, self.read)


def create(name: str, fields: TaskFields) -> Call[TaskView]:
    """Create a task; without a key it gets a new one, so that a retry is safe."""
    key = str(uuid4()) if fields.get("idempotency_key") is None else None
    return Call(
        method="POST",
        path="/tasks",
        content=json_bytes({"name": name, **fields}),
        headers=_json_headers({"Idempotency-Key": key} if key else {}),
        read=reader(TaskView),
    )


_BATCH_TASK_S: Final = 0.003
"""How much longer the service may take for each task of a batch."""


def create_batch(tasks: Iterable[Mapping[str, Any]]) -> Call[Sequence[UUID]]:
    """Create all tasks or none; a task without a key gets a new one."""
    read = reader(BatchCreated)
    bodies = [keyed(task) for task in tasks]
    return Call(
        method="POST",
        path="/tasks/batch",
        content=json_bytes(bodies),
        headers=_json_headers({}),
        read=lambda response: read(response).ids,
        hold_s=len(bodies) * _BATCH_TASK_S,
    )


def keyed(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a task with an idempotency key: its own, or a new one."""
    if task.get("idempotency_key") is not None:
        return task
    return {**task, "idempotency_key": str(uuid4())}


def get(task_id: TaskId) -> Call[TaskView]:
    """Read a task."""
    return got(_task_path(task_id), TaskView)


def get_newer(task: TaskView, *, hold_s: int, on_response: "OnResponse") -> Call[TaskView]:
    """Read a task as soon as it is newer than `task`, or after `hold_s`; `on_response` gets the response."""
    read = reader(TaskView)

    def newer(response: httpx.Response) -> TaskView:
        found = task if response.status_code == NOT_MODIFIED else read(response)
        on_response(response, is_newer=found.version != task.version)
        return found

    return Call(
        method="GET",
        path=_task_path(task.id),
        headers={"If-None-Match": f'"{task.version}.0"', "Prefer": f"wait={hold_s}"},
        hold_s=hold_s,
        read=newer,
    )


def page(filters: Filters, cursor: str | None) -> Call[TaskList]:
    """Read one page of a listing."""
    return got("/tasks", TaskList, **filters, cursor=cursor)


def events(task_id: TaskId, cursor: str | None) -> Call[EventList]:
    """Read a part of a task's history, oldest first."""
    return got(_task_path(task_id, "events"), EventList, cursor=cursor)


def explain(task_id: TaskId) -> Call[ExplanationView]:
    """Explain why a task is where it is."""
    return got(_task_path(task_id, "explain"), ExplanationView)


def logs(
    task_id: TaskId,
    *,
    claim: int | None,
    level: str | None,
    cursor: str | None,
    limit: int | None,
) -> Call[LogPage]:
    """Read one page of what a task's handlers logged."""
    path = _task_path(task_id, "logs")
    return got(path, LogPage, claim=claim, level=level, limit=limit, cursor=cursor)


def cancel(task_id: TaskId, version: int | None) -> Call[TaskView]:
    """Cancel a waiting task, or ask a running one to stop."""
    return _action(task_id, "cancel", version)


def retry(task_id: TaskId, version: int | None) -> Call[TaskView]:
    """Run a finished task again."""
    return _action(task_id, "retry", version)


def reschedule(task_id: TaskId, changes: Rescheduled, version: int | None) -> Call[TaskView]:
    """Change where and when a waiting task waits."""
    # Not repeatable: after success the task may run, and a second try is refused.
    call = sent("PATCH", _task_path(task_id), changes, TaskView, repeatable=False)
    if version is None:
        return call
    return replace(call, headers={**call.headers, "If-Match": etag(version)})


def stats(window: str | None, queue: str | None, type_: str | None) -> Call[StatsView]:
    """Read the system's numbers, and what happened over a window."""
    return got("/stats", StatsView, window=window, queue=queue, type=type_)


def queues() -> Call[Sequence[QueueView]]:
    """Read all queues, by name."""
    read = reader(QueueList)
    return Call(method="GET", path="/queues", read=lambda response: read(response).items)


def workers() -> Call[Sequence[WorkerView]]:
    """Read the workers, the latest started first."""
    read = reader(WorkerList)
    return Call(method="GET", path="/workers", read=lambda response: read(response).items)


def worker_request(lease_id: WorkerId, what: str, *, when_empty: bool = False) -> Call[WorkerView]:
    """Ask a worker to be quiet, to stop (maybe only `when_empty`) or to `resume`."""
    path = path_of("workers", str(lease_id), what)
    parameters = parameters_of({"when_empty": "true"} if when_empty else {})
    return Call(method="POST", path=path, parameters=parameters, read=reader(WorkerView))


def audit(wanted: AuditFilters, cursor: str | None, limit: int | None) -> Call[AuditEntryList]:
    """Read one page of the audit log."""
    return got("/audit", AuditEntryList, **wanted, limit=limit, cursor=cursor)


def rejections(cursor: str | None, limit: int | None) -> Call[RejectionList]:
    """Read one page of the refused messages."""
    return got("/rejections", RejectionList, limit=limit, cursor=cursor)


def rejection(rejection_id: RejectionId) -> Call[RejectionView]:
    """Read a refused message with its body."""
    return got(path_of("rejections", str(rejection_id)), RejectionView)


def resend(rejection_id: RejectionId) -> Call[TaskView]:
    """Send a refused message again; repeating it creates no second task."""
    path = path_of("rejections", str(rejection_id), "resend")
    return Call(method="POST", path=path, read=reader(TaskView))


def ready() -> Call[Mapping[str, str]]:
    """Check whether the service is ready."""
    read = reader(_Ready)
    return Call(
        method="GET",
        path="/readyz",
        read=lambda response: read(response).parts,
        is_probe=True,
    )


def delete_queue(name: str) -> Call[None]:
    """Remove an empty queue."""
    return deleted(path_of("queues", name))


def pause_queue(name: str, *, paused: bool) -> Call[QueueView]:
    """Stop or resume the dispatch of a queue's tasks."""
    path = path_of("queues", name)
    return sent("PATCH", path, {"paused": paused}, QueueView, repeatable=True)


def keep_tasks(name: str, keep: timedelta | str | None) -> Call[QueueView]:
    """Set how long a queue keeps its ended tasks."""
    given = format_duration(keep) if isinstance(keep, timedelta) else keep
    return sent("PATCH", path_of("queues", name), {"keep": given}, QueueView, repeatable=True)


def address(base_url: str) -> str:
    """Return the service's address without a slash at its end.

    Raises:
        Unreachable: It is not an address.
    """
    try:
        url = httpx.URL(base_url)
        url.raw_host.decode().encode("idna")  # what a connection would do to it
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Unreachable(base_url, f"this is not an address ({error})") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise Unreachable(base_url, "an address looks like http://127.0.0.1:8000")
    return base_url.rstrip("/")


def got(path: str, model: type[T], /, **parameters: object) -> Call[T]:
    """Read what is at a path."""
    return Call(method="GET", path=path, parameters=parameters_of(parameters), read=reader(model))


def deleted(path: str) -> Call[None]:
    """Delete what is at a path. Not repeatable: after success, a second try finds nothing."""
    return Call(method="DELETE", path=path, read=lambda _: None, repeatable=False)


def sent(
    method: str,
    path: str,
    body: object,
    model: type[T],
    *,
    repeatable: bool,
    more: Mapping[str, str] | None = None,
) -> Call[T]:
    """Send a value as JSON, with more headers."""
    return Call(
        method=method,
        path=path,
        content=json_bytes(body),
        headers=_json_headers(more or {}),
        read=reader(model),
        repeatable=repeatable,
    )


def _action(task_id: TaskId, action: str, version: int | None) -> Call[TaskView]:
    # Not repeatable: after success, a second try is refused, and a task could be run twice.
    path = _task_path(task_id, action)
    headers = {} if version is None else {"If-Match": etag(version)}
    return Call(method="POST", path=path, read=reader(TaskView), repeatable=False, headers=headers)


def _task_path(task_id: TaskId, *more: str) -> str:
    return path_of("tasks", str(task_id), *more)


def path_of(*segments: str) -> str:
    """Return the path of these segments, whatever is in them."""
    return "".join(f"/{_segment(segment)}" for segment in segments)


def _segment(text: str) -> str:
    """Quote a path segment, its slashes and a lone dot included."""
    quoted = "".join(
        c if (c.isalnum() and c.isascii()) or c in "-_~" else _percent(c) for c in text
    )
    return quoted or "%20"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))


def _json_headers(more: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", **more}


class _Ready(View):
    """The body of ``/readyz``."""

    parts: dict[str, str]
