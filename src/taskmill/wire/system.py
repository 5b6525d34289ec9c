"""The shapes of what the system tells of itself: a task's history, workers and counts."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.lifecycle import Happening, Reason, Status
from taskmill.wire.fields import Timestamp
from taskmill.wire.tasks import TaskError


class EventView(BaseModel):
    """One change of a task."""

    task_id: UUID
    version: int = Field(description="the task's version after it: 1, 2, 3, … without gaps")
    at: Timestamp
    event: Happening
    status: Status = Field(description="the status after it")
    run: int
    attempt: int
    losses: int
    claim_no: int = Field(description="the claim that it belongs to; 0 before the first")
    worker: str | None
    reason: Reason | None
    error: TaskError | None
    run_at: Timestamp | None = Field(description="when the task is due next, if it waits")


class EventList(BaseModel):
    """A task's history, oldest first."""

    items: list[EventView]


class WorkerState(StrEnum):
    """Whether a worker's lease holds."""

    ALIVE = "alive"
    EXPIRED = "expired"
    CLOSED = "closed"


class WorkerView(BaseModel):
    """A worker process and its lease."""

    id: UUID = Field(description="the id of its lease")
    name: str
    queues: list[str] = Field(description="the queues that it serves; empty is every queue")
    types: list[str] = Field(description="the types that it has handlers for")
    slots: int
    running: int
    started_at: Timestamp
    renewed_at: Timestamp
    expires_at: Timestamp
    state: WorkerState


class WorkerList(BaseModel):
    """Workers, the latest started first."""

    items: list[WorkerView]


class StatsView(BaseModel):
    """The system in numbers."""

    total: int = Field(description="all tasks")
    by_status: dict[Status, int] = Field(description="every status is there")
    by_queue: dict[str, dict[Status, int]]
    workers_alive: int
    slots: int = Field(description="tasks that the live workers can run at once")
    running: int = Field(description="tasks that they run now")
