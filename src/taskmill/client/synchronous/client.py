"""The synchronous client; its requests, and how responses are read, are in `calls`."""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Unpack
from uuid import UUID

import httpx

from taskmill.client import calls, many
from taskmill.client.calls import AuditFilters, Filters, RejectionId, TaskId, WorkerId
from taskmill.client.chunks import Chunk, CreateResult
from taskmill.client.errors import ClientError
from taskmill.client.filters import reread
from taskmill.client.following import Following, Wanted
from taskmill.client.many import Tasks
from taskmill.client.synchronous.attention import AttentionCalls
from taskmill.client.synchronous.contracts import ContractCalls
from taskmill.client.synchronous.failures import FailureCalls
from taskmill.client.synchronous.jobs import JobCalls
from taskmill.client.synchronous.schedules import ScheduleCalls
from taskmill.client.synchronous.sessions import SessionCalls
from taskmill.client.synchronous.steering import SteeringCalls
from taskmill.client.synchronous.webhooks import WebhookCalls
from taskmill.client.views.audit import AuditEntryView
from taskmill.client.views.explanations import ExplanationView
from taskmill.client.views.feed import ChangeView
from taskmill.client.views.queues import QueueView
from taskmill.client.views.rejections import RejectionSummaryView, RejectionView
from taskmill.client.views.system import EventView, StatsView, WorkerView
from taskmill.client.views.task_log import LogLineView, LogPage
from taskmill.client.views.tasks import TaskFields, TaskList, TaskView
from taskmill.client.waiting import LONGEST_HOLD_S, Waiting


class TaskmillClient(
    WebhookCalls,
    ContractCalls,
    SessionCalls,
    ScheduleCalls,
    AttentionCalls,
    FailureCalls,
    JobCalls,
    SteeringCalls,
):
    """A connection pool to one Taskmill service; close it, or use it in a `with`.

    Safe to share between threads, and across a fork.

    A call that fails on the way is tried again if that is safe: up to `retries` times, with pauses of 0.1 s, 0.3 s
    and so on.

    Every method raises a `ClientError`: `Unreachable`, `Unexpected`, or `NotAccepted` (which says what was wrong,
    and where). Each reason has a class of its own, such as `TaskNotFound`, `InvalidInput` and
    `ServiceUnavailable`.
    """

    def create(self, name: str, **fields: Unpack[TaskFields]) -> TaskView:
        """Create a task; the same `idempotency_key` gives the same task again."""
        return self._send(calls.create(name, fields))

    def create_batch(self, tasks: Iterable[Mapping[str, Any]]) -> Sequence[UUID]:
        """Create up to 10,000 tasks in one transaction, all or none; returns their ids in order."""
        return self._send(calls.create_batch(tasks))

    def create_many(self, tasks: Tasks) -> Sequence[UUID]:
        """Create any number of tasks, independently of each other; returns their ids in order.

        They are sent in requests of some thousand lines. A request is repeated until the result of each task is
        known; no task is created twice.

        Raises:
            NotAllCreated: Some were refused, or the service went away after some were created. It names them.
            ValueError: One is not JSON; those of earlier requests are created.
        """
        found = many.Collected()
        cutter = many.Cutter(self.base_url, self._retries, many.MOST_LINES)
        for part in many.chunks(tasks, cutter):
            try:
                self._settle(part)
            except ClientError as error:
                found.add(part)
                if not found:
                    raise
                raise found.cut() from error
            found.add(part)
        return found.ids()

    def create_each(self, tasks: Tasks, *, chunk: int = many.MOST_LINES) -> Iterator[CreateResult]:
        """Create any number of tasks as they come, and yield the outcome of each, in order.

        Up to `chunk` tasks are sent in one request; no more are in memory at once. When an error ends it, tasks
        whose outcome was not yielded may still have been created.
        """
        cutter = many.Cutter(self.base_url, self._retries, chunk)
        for part in many.chunks(tasks, cutter):
            try:
                self._settle(part)
            except ClientError:
                for outcome in part.outcomes():
                    yield outcome
                raise
            for outcome in part.outcomes():
                yield outcome

    def get(self, task_id: TaskId) -> TaskView:
        """Read a task."""
        return self._send(calls.get(task_id))

    def page(self, *, cursor: str | None = None, **filters: Unpack[Filters]) -> TaskList:
        """Read one page of at most `limit` (50, up to 500) tasks."""
        return self._send(calls.page(filters, cursor))

    def list(self, **filters: Unpack[Filters]) -> Iterator[TaskView]:
        """Yield all tasks, newest first, page by page; `limit` is the size of a page."""
        cursor: str | None = None
        wanted = reread(filters)
        while True:
            page = self.page(cursor=cursor, **wanted)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def events(self, task_id: TaskId) -> Sequence[EventView]:
        """Read a task's history, oldest first."""
        found: list[EventView] = []
        cursor: str | None = None
        while True:
            page = self._send(calls.events(task_id, cursor))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    def explain(self, task_id: TaskId) -> ExplanationView:
        """Explain why a task is where it is, and what to do."""
        return self._send(calls.explain(task_id))

    def stats(
        self,
        *,
        window: str | None = None,
        queue: str | None = None,
        type: str | None = None,  # noqa: A002 - the field's name
    ) -> StatsView:
        """Read the system's numbers.

        With a `window` (5m, 15m, 1h, 6h, 24h, 7d, 30d) also what happened lately, of a queue or a type if given.
        """
        return self._send(calls.stats(window, queue, type))

    def log_page(
        self,
        task_id: TaskId,
        *,
        claim: int | None = None,
        level: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> LogPage:
        """Read one page of at most `limit` (100, up to 1,000) lines that a task's handlers logged.

        Its `next_cursor` also works after the last line so far: later it gives the lines that came since.
        """
        return self._send(calls.logs(task_id, claim=claim, level=level, cursor=cursor, limit=limit))

    def logs(
        self, task_id: TaskId, *, claim: int | None = None, level: str | None = None
    ) -> Iterator[LogLineView]:
        """Yield all lines that a task's handlers logged so far, oldest first; if given, of `level` and above."""
        cursor: str | None = None
        while True:
            page = self.log_page(
                task_id, claim=claim, level=level, cursor=cursor, limit=calls.LARGEST_LOG_PAGE
            )
            yield from page.items
            if not page.has_more:
                return
            cursor = page.next_cursor

    def queues(self) -> Sequence[QueueView]:
        """Read all queues, by name."""
        return self._send(calls.queues())

    def ready(self) -> Mapping[str, str]:
        """Check once whether the service is ready: returns the state of its parts, else `ServiceUnavailable`."""
        return self._send(calls.ready())

    def pause_queue(self, name: str) -> QueueView:
        """Stop handing out a queue's tasks; running ones go on."""
        return self._send(calls.pause_queue(name, paused=True))

    def resume_queue(self, name: str) -> QueueView:
        """Hand out a queue's tasks again."""
        return self._send(calls.pause_queue(name, paused=False))

    def keep_tasks(self, name: str, keep: timedelta | str | None) -> QueueView:
        """Set how long a queue keeps its ended tasks, such as `P3D`; None for as long as the settings say.

        Those that ended longer ago are deleted soon, with their history. It needs a key with the scope `admin`.
        """
        return self._send(calls.keep_tasks(name, keep))

    def delete_queue(self, name: str) -> None:
        """Remove a queue in which nothing waits or runs; its ended tasks stay. A later task makes it again."""
        self._send(calls.delete_queue(name))

    def workers(self) -> Sequence[WorkerView]:
        """Read the workers, the latest started first."""
        return self._send(calls.workers())

    def quiet_worker(self, worker_id: WorkerId) -> WorkerView:
        """Ask a worker to take no more tasks; the id is that of its lease."""
        return self._send(calls.worker_request(worker_id, "quiet"))

    def stop_worker(self, worker_id: WorkerId, *, when_empty: bool = False) -> WorkerView:
        """Ask a worker to end its tasks and then its process; with `when_empty`, to only end once it is idle."""
        return self._send(calls.worker_request(worker_id, "stop", when_empty=when_empty))

    def resume_worker(self, worker_id: WorkerId) -> WorkerView:
        """Ask a quiet worker to take tasks again."""
        return self._send(calls.worker_request(worker_id, "resume"))

    def audit(
        self, *, page_size: int = 50, **wanted: Unpack[AuditFilters]
    ) -> Iterator[AuditEntryView]:
        """Yield the entries of the audit log, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self._send(calls.audit(wanted, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def rejections(self, *, page_size: int = 50) -> Iterator[RejectionSummaryView]:
        """Yield all messages that were refused, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self._send(calls.rejections(cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def rejection(self, rejection_id: RejectionId) -> RejectionView:
        """Read a refused message with its body, and why it was refused."""
        return self._send(calls.rejection(rejection_id))

    def resend(self, rejection_id: RejectionId) -> TaskView:
        """Send a refused message again; repeating it gives the same task."""
        return self._send(calls.resend(rejection_id))

    def wait(self, task_id: TaskId, timeout_s: float | None = None) -> TaskView:
        """Return the task once it is terminal; without `timeout_s`, wait for ever.

        After the first response the service may go away; it waits until the service is back.

        Raises:
            StillRunning: The time is over.
        """
        waiting = Waiting(timeout_s)
        task = self.get(task_id)
        while (pause := waiting.pause_after(task)) is not None:
            time.sleep(pause)
            try:
                task = self._send(waiting.poll_once(task))
            except ClientError as error:
                waiting.note_trouble(error)
        return task

    def watch(self, task_id: TaskId, *, hold_s: float = LONGEST_HOLD_S) -> Iterator[TaskView]:
        """Yield a task at once, at each change and at least every `hold_s` seconds; the last one is terminal."""
        waiting = Waiting(None, hold_s=hold_s)
        task = self.get(task_id)
        while True:
            yield task
            pause = waiting.pause_after(task)
            if pause is None:
                return
            time.sleep(pause)
            task = self._send(waiting.poll(task))

    def feed(
        self, *, after: str | None = None, follow: bool = True, **wanted: Unpack[Wanted]
    ) -> Generator[ChangeView, None, None]:
        """Yield changes of tasks as they happen, each once and in order.

        It begins after the cursor `after` (`0`: with the oldest change there is), without one with the present.
        It reconnects for as long as it takes, and misses nothing. Without `follow` it ends at the present. Each
        change's `cursor` is where another reader can go on.

        Raises:
            NotAccepted: Status 410: changes after the cursor are deleted already.
        """
        following = Following(
            self.base_url, wanted, after=after, follow=follow, retries=self._retries
        )
        while not following.has_ended():
            call = following.call
            try:
                with (
                    self._pools.borrowed() as http,
                    http.stream(
                        call.method,
                        self.base_url + call.path,
                        params=call.parameters or None,
                        headers=call.headers,
                        timeout=following.timeout,
                    ) as response,
                ):
                    if following.accepts(response):
                        for data in response.iter_bytes():
                            yield from following.read(data)
                            if following.has_ended():
                                return
                    else:
                        response.read()
                pause_s = following.pause_after(response)
            except httpx.RequestError as error:
                pause_s = following.pause_after_loss(error)
            time.sleep(pause_s)

    def _settle(self, part: Chunk) -> None:
        """Send tasks until the outcome of each is known."""
        pause_s: float | None = 0.0
        while pause_s is not None:
            time.sleep(pause_s)
            call = part.call
            try:
                response = self._request(call, self.base_url + call.path)
            except httpx.RequestError as error:
                pause_s = part.pause_after_loss(error)
            else:
                pause_s = part.pause_after(call, response)
