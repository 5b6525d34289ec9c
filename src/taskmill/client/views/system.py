"""What the client returns of `taskmill.wire.system`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from taskmill.client.view import View
from taskmill.client.views.activity import ActivityView
from taskmill.client.views.tasks import TaskError
from taskmill.client.views.waiting import WaitingView
from taskmill.domain.lifecycle import EventType, Reason, Status

if TYPE_CHECKING:
    from taskmill.domain.system import BrokerPresence, Liveness, WorkerRequest

IMPORTED_LATER = {
    "BrokerPresence": "taskmill.domain.system",
    "Liveness": "taskmill.domain.system",
    "WorkerRequest": "taskmill.domain.system",
}


class EventView(View):
    """One change of a task."""

    task_id: UUID
    version: int
    """the task's version after it: 1, 2, 3, … without gaps"""
    at: datetime
    event: EventType
    """what happened"""
    status: Status
    """the status after it"""
    run: int
    """the task's run, from 1"""
    attempt: int
    """attempts of this run, the current one included"""
    losses: int
    """how often its worker was lost in this run"""
    claim_no: int
    """the claim that it belongs to; 0 before the first"""
    worker: str | None
    """whose claim it was"""
    reason: Reason | None
    """why, where the event alone does not show it"""
    error: TaskError | None
    """how the attempt failed"""
    run_at: datetime
    """when the task was, or is next, due"""


class EventList(View):
    """A task's history, oldest first."""

    items: list[EventView]
    next_cursor: str | None = None
    """null at its end"""


class BrokerView(View):
    """The broker as the responding process sees it."""

    state: BrokerPresence
    """
    ok; away: workers claim from PostgreSQL meanwhile, or wait, as the policy says; none: no broker is set, or
    the policy is postgres
    """
    trouble: str | None
    """why it is away"""
    policy: str
    """how workers learn of tasks: auto, rabbitmq or postgres"""


class StatsView(View):
    """The system in numbers."""

    total: int
    """all tasks"""
    by_status: dict[Status, int]
    """every status is there"""
    by_queue: dict[str, dict[Status, int]]
    waiting: WaitingView | None = None
    """what those wait for that are new, in all queues"""
    workers_alive: int
    slots: int
    """tasks that the live workers can run at once"""
    running: int
    """tasks that they run now"""
    broker: BrokerView
    activity: ActivityView | None = None
    """what happened over the requested `window`"""


class WorkerView(View):
    """A worker process and its lease."""

    id: UUID
    """the id of its lease"""
    name: str
    """its name in logs and history"""
    queues: list[str]
    """the queues that it serves; empty is every queue"""
    types: list[str]
    """the types that it runs; * is every type"""
    slots: int
    """tasks that it can run at once"""
    running: int
    """tasks that it runs; those whose end is being recorded take no slot and are not counted"""
    started_at: datetime
    renewed_at: datetime
    """when it last renewed its lease"""
    expires_at: datetime
    """until when its lease holds without a renewal"""
    closed_at: datetime | None
    """when its lease ended"""
    close_reason: str | None
    """why its lease ended"""
    request: WorkerRequest | None = None
    """quiet: it takes no more tasks; stop: its process ends when what runs has; null: neither"""
    remote: bool = False
    """it pulls over HTTP: this is one of its claims, and ends with it"""
    state: Liveness
    """whether its lease holds"""
    stop_when_empty: bool = False
    """its process ends when it, being quiet, runs nothing more"""
    lost_tasks: int = 0
    """tasks that it ran when it was lost, and that were taken back; counted up to 1,000"""


class WorkerList(View):
    """Workers, the latest started first."""

    items: list[WorkerView]
