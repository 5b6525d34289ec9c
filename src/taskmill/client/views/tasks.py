"""What the client returns of `taskmill.wire.tasks`, which this is generated from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from taskmill.client.view import View
from taskmill.domain.lifecycle import Status


class TaskError(View):
    """Why a task's latest failed attempt failed."""

    type: str
    """a name for programs, such as that of the exception"""
    message: str
    """for people"""
    place: str | None = None
    """the innermost function of the handler's own code; absent if there is none"""
    fingerprint: str | None = None
    """the handler's own name for failures of this kind; absent if there is none"""


class ProgressView(View):
    """The latest progress report of a task's latest attempt. It stays when the attempt has ended."""

    share: float | None
    """how much of it is done, from 0 to 1"""
    message: str | None
    """what it does, in a few words"""
    at: datetime


class RetryView(View):
    """When a failed attempt is tried again, with all defaults filled in."""

    base_s: float
    """wait before the second attempt"""
    factor: float
    """growth of the wait from one attempt to the next"""
    max_s: float
    """longest wait"""
    jitter: float
    """the wait is spread by ± this part of itself"""


class TaskView(View):
    """A task as it is shown."""

    id: UUID
    """UUIDv7: its time is created_at"""
    number: int
    """a number for people"""
    name: str
    """its name, for people"""
    description: str | None
    type: str
    """which handler runs it"""
    payload: dict[str, Any] | None
    """what its handler gets"""
    payload_secrets: list[str] | None
    """what is secret in its payload, as JSON pointers"""
    queue: str
    """where it waits"""
    priority: int
    """0 to 9, the most urgent"""
    status: Status
    run: int
    """1, and 1 more for each retry by an operator"""
    attempt: int
    """attempts of this run, the current one included"""
    max_attempts: int
    """how often it may fail in a run, the last one included"""
    losses: int
    """how often its worker was lost in this run"""
    max_losses: int
    """how often it is run again after its worker was lost"""
    retry: RetryView | None
    """when a failed attempt is tried again; null for the service's policy"""
    timeout_s: float | None
    """how long an attempt may run, in seconds"""
    cancel_requested: bool
    """a cancel was requested; if it runs, its worker is to stop it"""
    run_at: datetime
    """when it was, or is next, due"""
    expires_at: datetime | None
    """if it has not begun by then, it fails"""
    created_at: datetime
    started_at: datetime | None
    """when its latest attempt began"""
    finished_at: datetime | None
    """when it came into a terminal status"""
    updated_at: datetime
    """when it changed last"""
    progress: ProgressView | None
    """the latest report of its latest attempt"""
    result: Any
    """what its handler returned, any JSON"""
    error: TaskError | None
    """why its latest failed attempt failed"""
    labels: dict[str, str]
    callback_url: str | None
    """where an event is posted when it has ended"""
    source: str
    """its entry point: rest, amqp or sql; or schedule"""
    version: int
    """1, and 1 more for each change"""


class TaskList(View):
    """Tasks of one page of a listing."""

    items: list[TaskView]
    total: int | None
    """null when counting would take too long"""
    total_at_least: int | None = None
    """how many were counted, when total is null"""
    next_cursor: str | None
    """null on the last page"""


class TaskFields(TypedDict, total=False):
    """The fields of a task beside its name, as in the body of `POST /tasks`; times need a zone."""

    description: str | None
    type: str
    payload: Mapping[str, Any] | None
    payload_secrets: Sequence[str] | None
    queue: str
    priority: int
    max_attempts: int
    max_losses: int
    retry: Mapping[str, Any] | None
    timeout_s: float | None
    run_at: datetime | str | None
    delay_s: float | None
    expires_at: datetime | str | None
    labels: Mapping[str, str]
    callback_url: str | None
    idempotency_key: str | None
