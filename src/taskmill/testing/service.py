"""A service in memory for the real clients; the test decides when tasks run, and its time stands still meanwhile.

Requests are validated as in the API, with the contracts of the app's types. It serves what programs need to create
tasks and read them, and nothing for operators.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias, Unpack, overload
from uuid import UUID

import httpx

from taskmill.api.conditions import if_match_versions
from taskmill.api.listings import REPEATABLE, ListingQuery, page_pieces, page_response
from taskmill.api.queries import read_query, task_number
from taskmill.app import Taskmill, TaskType
from taskmill.client import AsyncTaskmillClient, TaskmillClient
from taskmill.client.enqueue import AsyncExecutes, Executes, is_async
from taskmill.client.json_text import read_json
from taskmill.client.reading import reader_of
from taskmill.client.views.tasks import TaskFields, TaskView
from taskmill.domain.errors import ContractRefused, InvalidInput, TaskmillError, VersionMismatch
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Task
from taskmill.testing.attempts import Attempted, attempt_now, attempt_of
from taskmill.testing.store import InMemoryStore, StoredTask
from taskmill.wire.basics import LINES_MEDIA_TYPE
from taskmill.wire.batches import (
    LineDraft,
    batch_created_json,
    line_created_json,
    line_drafts,
    line_refused_json,
    parse_batch,
)
from taskmill.wire.contracts.contract import Contract, compile_contract
from taskmill.wire.masking import plain
from taskmill.wire.problems import problem_for_status, problem_json
from taskmill.wire.rescheduling import to_rescheduling
from taskmill.wire.rules import DEFAULT_LIMITS
from taskmill.wire.strict_json import parse
from taskmill.wire.tasks import task_json, to_draft

_ADDRESS: Final = "http://taskmill.test"
_SHOWN: Final = reader_of(TaskView)
Action: TypeAlias = Callable[[InMemoryStore, Task, httpx.Request], httpx.Response]


class ServiceInMemory:
    """Tasks in memory, and the handlers of an app to run them with."""

    def __init__(self, app: Taskmill | None = None) -> None:
        self._app = app or Taskmill()
        self._store = InMemoryStore()
        self._limits = replace(DEFAULT_LIMITS, contracts=_contracts(self._app))

    def client(self) -> TaskmillClient:
        """Return a client of this service."""
        return TaskmillClient(_ADDRESS, retries=0, transport=httpx.MockTransport(self._respond))

    def async_client(self) -> AsyncTaskmillClient:
        """Return an asynchronous client of this service."""
        return AsyncTaskmillClient(
            _ADDRESS, retries=0, transport=httpx.MockTransport(self._respond)
        )

    @overload
    def enqueue(
        self, connection: AsyncExecutes, name: str, **fields: Unpack[TaskFields]
    ) -> Awaitable[UUID]: ...

    @overload
    def enqueue(self, connection: Executes, name: str, **fields: Unpack[TaskFields]) -> UUID: ...

    def enqueue(self, connection: Any, name: str, **fields: Unpack[TaskFields]) -> Any:
        """Do what `taskmill.enqueue` does, for a program whose database has no `taskmill.create_task`.

        Give it to the program in place of that one. The task exists at once, and a rollback does not remove it: of
        the connection only matters whether it is asynchronous.

        Raises:
            NotAccepted: as `taskmill.enqueue` does.
        """
        given: Any = {field: value for field, value in fields.items() if value is not None}
        with self.client() as client:
            task_id = client.create(name, **given).id
        return _awaited(task_id) if is_async(connection.execute) else task_id

    @property
    def now(self) -> datetime:
        """The service's time. It stands still until `run_all` reaches a task that is due later."""
        return self._store.now

    @property
    def tasks(self) -> list[TaskView]:
        """All tasks as they are now, in the order in which they were created."""
        stored = self._store.tasks.values()
        return [_SHOWN(read_json(task_json(plain(one.task)))) for one in stored]

    def attempts(self, task_id: UUID) -> list[Attempted]:
        """Return how a task's attempts ended, oldest first. Raises `TaskNotFound`."""
        return list(self._store.get(task_id).attempts)

    def run_all(self, *, most: int = 1000) -> list[TaskView]:
        """Run waiting tasks that have a handler, the longest due first, until there are none; return all tasks.

        Time moves on to tasks that are due later, so that retries run, too, and so do tasks that handlers create.

        Raises:
            RuntimeError: there were more than `most` attempts; or a handler is async and an event loop runs
                already: use `run_all_async`.
        """
        for stored, task_type in self._due(most):
            self._store.end(stored, attempt_now(task_type, stored.claimed()))
        return self.tasks

    async def run_all_async(self, *, most: int = 1000) -> list[TaskView]:
        """Do what `run_all` does, in the event loop that runs."""
        for stored, task_type in self._due(most):
            self._store.end(stored, await attempt_of(task_type, stored.claimed()))
        return self.tasks

    def _due(self, most: int) -> Iterator[tuple[StoredTask, "TaskType[..., Any]"]]:
        """Begin one task after the other; the caller ends each before it takes the next."""
        for _ in range(most):
            stored = self._next()
            task_type = None if stored is None else self._app.get(stored.task.type)
            if stored is None or task_type is None:
                return
            if self._store.begin(stored):
                yield stored, task_type
        if self._next() is not None:
            raise RuntimeError(f"tasks still wait after {most} attempts")

    def _next(self) -> StoredTask | None:
        waiting = [
            one
            for one in self._store.tasks.values()
            if one.task.status is Status.NEW and self._app.get(one.task.type) is not None
        ]
        return min(waiting, key=lambda one: (one.task.run_at, one.task.number), default=None)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        try:
            match request.method, path.strip("/").split("/"):
                case "POST", ["tasks"]:
                    return self._create(request)
                case "POST", ["tasks", "batch"]:
                    return self._create_many(request)
                case "GET", ["tasks"]:
                    return self._list(request)
                case method, ["tasks", task_id, *action] if (method, *action) in _ON_ONE:
                    number = task_number(task_id)
                    task = self._store.get(_id(task_id) if number is None else number).task
                    _check_version(request, task, *(action or [_NAMES[method]]))
                    return _ON_ONE[method, *action](self._store, task, request)
        except TaskmillError as error:
            return _response(problem_json(error, path))
        detail = "the service in memory does not have this address"
        return _response(problem_for_status(404, path, detail))

    def _create(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get("Idempotency-Key")
        body = parse(request.content)
        draft = to_draft(body, header_key=key, source="rest", limits=self._limits)
        task, is_new = self._store.create(draft)
        return _json(201 if is_new else 200, task_json(plain(task)))

    def _create_many(self, request: httpx.Request) -> httpx.Response:
        content_type = request.headers.get("Content-Type")
        found = parse_batch(content_type, request.content)
        if isinstance(found, list):
            return self._create_all(found)
        chunks = line_drafts(found, source="rest", limits=self._limits)
        body = b"".join(self._create_line(line) for chunk in chunks for line in chunk)
        return httpx.Response(200, content=body, headers={"content-type": LINES_MEDIA_TYPE})

    def _create_all(self, bodies: list[object]) -> httpx.Response:
        drafts = [to_draft(body, source="rest", limits=self._limits) for body in bodies]
        return _json(201, batch_created_json([task.id for task in self._store.create_all(drafts)]))

    def _create_line(self, line: LineDraft) -> bytes:
        try:
            if isinstance(line.result, TaskmillError):
                raise line.result
            task, is_new = self._store.create(line.result)
        except TaskmillError as error:
            return line_refused_json(line.number, error)
        return line_created_json(line.number, 201 if is_new else 200, task.id)

    def _list(self, request: httpx.Request) -> httpx.Response:
        scope = {"query_string": request.url.query}
        query = read_query(scope, ListingQuery, repeatable=REPEATABLE)
        wanted = query.filter()
        page = self._store.page(wanted, query.page_request(wanted))
        body = b"".join(page_pieces(query, wanted, page, list(map(plain, page.items))))
        response = page_response(query, wanted, page, body)
        return httpx.Response(response.status, headers=response.headers, content=response.body)


async def _awaited(task_id: UUID) -> UUID:
    return task_id


def _check_version(request: httpx.Request, task: Task, action: str) -> None:
    versions = if_match_versions({"headers": [(k.lower(), v) for k, v in request.headers.raw]})
    if versions is not None and task.version not in versions:
        raise VersionMismatch(task.id, task.version, action)


def _show(_: InMemoryStore, task: Task, __: httpx.Request) -> httpx.Response:
    return _json(200, task_json(plain(task)))


def _reschedule(store: InMemoryStore, task: Task, request: httpx.Request) -> httpx.Response:
    store.reschedule(task, to_rescheduling(parse(request.content)))
    return _json(200, task_json(plain(task)))


def _cancel(store: InMemoryStore, task: Task, _: httpx.Request) -> httpx.Response:
    store.cancel(task)
    return _json(200 if task.status is Status.CANCELLED else 202, task_json(plain(task)))


def _retry(store: InMemoryStore, task: Task, _: httpx.Request) -> httpx.Response:
    store.retry(task)
    return _json(200, task_json(plain(task)))


_NAMES: Final = {"GET": "read", "PATCH": "reschedule"}
_ON_ONE: Final[Mapping[tuple[str, ...], Action]] = {
    ("GET",): _show,
    ("PATCH",): _reschedule,
    ("POST", "cancel"): _cancel,
    ("POST", "retry"): _retry,
}


def _contracts(app: Taskmill) -> Mapping[str, Contract]:
    found = {}
    for task_type in app:
        # As in a worker, the handler alone checks what no contract can express.
        with suppress(ContractRefused):
            c = compile_contract(task_type.contract())
            found[c.type] = Contract(c.type, 1, c.schema, c.defaults)
    return found


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput.at("path:id", "a task's id", "something else") from None


def _json(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": "application/json"})


def _response(parts: tuple[int, dict[str, str], bytes]) -> httpx.Response:
    status, headers, body = parts
    return httpx.Response(status, headers=headers, content=body)
