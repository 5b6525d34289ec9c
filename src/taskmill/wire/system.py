"""The shapes of the system's state: a task's history, workers and counts.

The models are for the OpenAPI document and the client; what is shown often is written by hand, and tested with
them.
"""

from collections.abc import Iterable
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.lifecycle import EventType, Reason, Status
from taskmill.domain.system import (
    BrokerPresence,
    Counts,
    Liveness,
    Stats,
    TaskEvent,
    WorkerRequest,
    WorkerState,
)
from taskmill.wire.activity import ActivityView, activity_fields
from taskmill.wire.encoding import Fragment, encode_json, fast_timestamp, fields_of
from taskmill.wire.fields import Timestamp
from taskmill.wire.tasks import TaskError
from taskmill.wire.waiting import WaitingView, waiting_fields


class EventView(BaseModel):
    """One change of a task."""

    task_id: UUID
    version: int = Field(description="the task's version after it: 1, 2, 3, … without gaps")
    at: Timestamp
    event: EventType = Field(description="what happened")
    status: Status = Field(description="the status after it")
    run: int = Field(description="the task's run, from 1")
    attempt: int = Field(description="attempts of this run, the current one included")
    losses: int = Field(description="how often its worker was lost in this run")
    claim_no: int = Field(description="the claim that it belongs to; 0 before the first")
    worker: str | None = Field(description="whose claim it was")
    reason: Reason | None = Field(description="why, where the event alone does not show it")
    error: TaskError | None = Field(description="how the attempt failed")
    run_at: Timestamp = Field(description="when the task was, or is next, due")


class EventList(BaseModel):
    """A task's history, oldest first."""

    items: list[EventView]
    next_cursor: str | None = Field(default=None, description="null at its end")


class WorkerView(BaseModel):
    """A worker process and its lease."""

    id: UUID = Field(description="the id of its lease")
    name: str = Field(description="its name in logs and history")
    queues: list[str] = Field(description="the queues that it serves; empty is every queue")
    types: list[str] = Field(description="the types that it runs; * is every type")
    slots: int = Field(description="tasks that it can run at once")
    running: int = Field(
        description="tasks that it runs; those whose end is being recorded take no slot and are not counted"
    )
    started_at: Timestamp
    renewed_at: Timestamp = Field(description="when it last renewed its lease")
    expires_at: Timestamp = Field(description="until when its lease holds without a renewal")
    closed_at: Timestamp | None = Field(description="when its lease ended")
    close_reason: str | None = Field(description="why its lease ended")
    request: WorkerRequest | None = Field(
        default=None,
        description="quiet: it takes no more tasks; stop: its process ends when what runs has; null: neither",
    )
    remote: bool = Field(
        default=False, description="it pulls over HTTP: this is one of its claims, and ends with it"
    )
    state: Liveness = Field(description="whether its lease holds")
    stop_when_empty: bool = Field(
        default=False, description="its process ends when it, being quiet, runs nothing more"
    )
    lost_tasks: int = Field(
        default=0,
        description="tasks that it ran when it was lost, and that were taken back; counted up to 1,000",
    )


class WorkerList(BaseModel):
    """Workers, the latest started first."""

    items: list[WorkerView]


class BrokerView(BaseModel):
    """The broker as the responding process sees it."""

    state: BrokerPresence = Field(
        description="ok; away: workers claim from PostgreSQL meanwhile, or wait, as the policy says; "
        "none: no broker is set, or the policy is postgres"
    )
    trouble: str | None = Field(description="why it is away")
    policy: str = Field(description="how workers learn of tasks: auto, rabbitmq or postgres")


class StatsView(BaseModel):
    """The system in numbers."""

    total: int = Field(description="all tasks")
    by_status: dict[Status, int] = Field(description="every status is there")
    by_queue: dict[str, dict[Status, int]]
    waiting: WaitingView | None = Field(
        default=None, description="what those wait for that are new, in all queues"
    )
    workers_alive: int
    slots: int = Field(description="tasks that the live workers can run at once")
    running: int = Field(description="tasks that they run now")
    broker: BrokerView
    activity: ActivityView | None = Field(
        default=None, description="what happened over the requested `window`"
    )


def events_json(events: Iterable[TaskEvent], next_cursor: str | None) -> bytes:
    """Return a part of a history as an `EventList` in JSON."""
    items = [event_fields(event) for event in events]
    return encode_json({"items": items, "next_cursor": next_cursor})


def worker_json(worker: WorkerState) -> bytes:
    """Return one worker as JSON."""
    return encode_json(fields_of(WorkerView, worker))


def workers_json(workers: Iterable[WorkerState]) -> bytes:
    """Return workers as a `WorkerList` in JSON."""
    return encode_json({"items": [fields_of(WorkerView, worker) for worker in workers]})


def stats_json(stats: Stats) -> bytes:
    """Return the numbers as a `StatsView` in JSON."""
    by_queue = {name: every_status(counts) for name, counts in stats.queues.items()}
    by_status = {
        status: sum(counts[status] for counts in by_queue.values()) for status in map(str, Status)
    }
    return encode_json(
        {
            "total": sum(by_status.values()),
            "by_status": by_status,
            "by_queue": by_queue,
            "waiting": waiting_fields(stats.waiting),
            "workers_alive": stats.workers_alive,
            "slots": stats.slots,
            "running": stats.running,
            "broker": fields_of(BrokerView, stats.broker, state=stats.broker.presence),
            "activity": None if stats.activity is None else activity_fields(stats.activity),
        }
    )


def every_status(counts: Counts) -> dict[str, int]:
    """Return the counts with a number for each status, in the order of a task's life."""
    return {str(status): counts.get(status, 0) for status in Status}


def event_fields(event: TaskEvent) -> dict[str, object]:
    """Return an entry of a history as the fields of an `EventView`."""
    return {
        "task_id": event.task_id,
        "version": event.version,
        "at": fast_timestamp(event.at),
        "event": event.event_type,
        "status": event.status,
        "run": event.run,
        "attempt": event.attempt,
        "losses": event.losses,
        "claim_no": event.claim_no,
        "worker": event.worker,
        "reason": event.reason,
        "error": None if event.error is None else Fragment(event.error),
        "run_at": fast_timestamp(event.run_at),
    }
