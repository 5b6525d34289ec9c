"""Examples for the OpenAPI document: a response for each model, and a problem for each status."""

from typing import Any, Final
from uuid import UUID

import orjson

from taskmill.api.attention_examples import ATTENTION
from taskmill.api.doctor_examples import DOCTOR
from taskmill.api.job_examples import JOBS
from taskmill.api.schedule_examples import SCHEDULES
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.errors import (
    ChangesForgotten,
    InvalidInput,
    MalformedJson,
    TaskNotFound,
    TooLarge,
    TransitionRefused,
    Unavailable,
    VersionMismatch,
)
from taskmill.domain.lifecycle import Status
from taskmill.domain.rate_limits import LimitedBy, RateLimitExceeded, RatePolicy, RateUsage
from taskmill.domain.signing import MASKED
from taskmill.domain.task_fields import SHOWN, TASK_FIELDS
from taskmill.wire.problems import problem_for_status, problem_json

Json = dict[str, Any]

TASK_ID: Final = str(TASK_FIELDS["id"].example)
_LEASE_ID: Final = "01a2104c-91d0-7000-8b1e-50f0c6ad9e55"
_CREATED: Final = "2026-11-25T01:23:32.820000Z"
_STARTED: Final = "2026-11-25T01:23:32.911000Z"
_FINISHED: Final = "2026-11-25T01:23:39.418000Z"
_COUNTS: Final = {"new": 3, "in_progress": 12, "succeeded": 840, "failed": 7, "cancelled": 1}

_TASK: Final[Json] = {field.name: field.example for field in SHOWN}
_EVENT: Final[Json] = {
    "task_id": TASK_ID,
    "version": 2,
    "at": _STARTED,
    "event": "claimed",
    "status": "in_progress",
    "run": 1,
    "attempt": 1,
    "losses": 0,
    "claim_no": 1,
    "worker": "node-1-4242",
    "reason": None,
    "error": None,
    "run_at": _CREATED,
}
_LINE: Final[Json] = {
    "claim_no": 1,
    "seq": 1,
    "at": _STARTED,
    "level": "info",
    "logger": None,
    "message": "report.rendered",
    "fields": {"pages": 12},
}
_QUEUE: Final[Json] = {
    "name": "reports",
    "paused": False,
    "paused_at": None,
    "created_at": _CREATED,
    "counts": _COUNTS,
    "oldest_due_at": _STARTED,
}
_AUDITED: Final[Json] = {
    "id": "01a2104c-a1b2-7000-9c1e-50f0c6ad9e55",
    "at": _STARTED,
    "action": "queue.pause",
    "actor": {
        "kind": "anonymous",
        "name": None,
        "key_id": None,
        "session": None,
        "address": "192.0.2.7",
    },
    "request_id": "de8fdb0b8f000006",
    "target": {"type": "queue", "id": "reports"},
    "outcome": "done",
    "reason": None,
    "ended_at": _STARTED,
    "details": {},
}
_TIMES: Final[Json] = {"tasks": 42, "mean_s": 6.512, "p50_s": 6.686, "p95_s": 9.974, "p99_s": 9.974}
_FLOW: Final[Json] = {
    "counts": {"created": 40, "claimed": 43, "succeeded": 38, "failed": 1, "retry_scheduled": 3},
    "waiting": {"tasks": 43, "mean_s": 0.0213, "p50_s": 0.01820, "p95_s": 0.0494, "p99_s": 0.0603},
    "running": _TIMES,
}
_RATED: Final[Json] = {**_FLOW, "per_second": {"created": 0.1212, "claimed": 0.1303}}
_ACTIVITY: Final[Json] = {
    "window": "5m",
    "queue": "reports",
    "type": None,
    "since": "2026-11-25T01:18:00.000000Z",
    "until": "2026-11-25T01:23:30.112000Z",
    "step_s": 60,
    "total": _RATED,
    "queues": [{**_RATED, "queue": "reports", "types": [{**_RATED, "type": "emulate"}]}],
    "points": [{**_FLOW, "at": "2026-11-25T01:18:00.000000Z"}],
}
_WORKER: Final[Json] = {
    "id": _LEASE_ID,
    "name": "node-1-4242",
    "queues": [],
    "types": ["emulate"],
    "slots": 1000,
    "running": 12,
    "started_at": _CREATED,
    "renewed_at": _STARTED,
    "expires_at": "2026-11-25T01:23:47.911000Z",
    "closed_at": None,
    "close_reason": None,
    "remote": False,
    "state": "alive",
}
_LEASE: Final[Json] = {
    "lease_id": _LEASE_ID,
    "worker": "shell-1",
    "expires_at": "2026-11-25T01:24:02.911000Z",
    "ttl_s": 30.0,
}
_RENEWED: Final[Json] = {name: value for name, value in _LEASE.items() if name != "worker"}
_LEASED_TASK: Final[Json] = {
    **{field.name: field.example for field in SHOWN if field.is_claimed and field.name != "retry"},
    "claim_no": 1,
    "traceparent": None,
}

_CHANGE: Final[Json] = {
    "cursor": "4712.1",
    **_EVENT,
    "run_at": _CREATED,
    "queue": "reports",
    "type": "emulate",
    "name": "monthly report",
    "labels": {"team": "finance"},
}
_NAME: Final = "a string of 1 to 200 characters, not only white space"
_NO_NAME: Final = problem_json(InvalidInput.at("/name", _NAME, "nothing"))[2]
_REJECTION: Final[Json] = {
    "id": "01a2104d-0554-7000-8f02-9a41d3c2b7e6",
    "created_at": _CREATED,
    "source": "amqp",
    "message_id": "order-4711",
    "status": 422,
    "problem": orjson.loads(_NO_NAME),
    "properties": {"content_type": "application/json", "headers": {"tenant": "north"}},
    "body_bytes": 19,
    "redeliveries": 0,
    "resent_at": None,
    "task_id": None,
}

_WEBHOOK_ID: Final = "01a213d4-54fa-7000-9361-8316373af781"
_WEBHOOK: Final[Json] = {
    "id": _WEBHOOK_ID,
    "url": "https://ops.example.org/hooks",
    "description": None,
    "queues": ["reports"],
    "types": [],
    "statuses": ["failed"],
    "state": "enabled",
    "disabled_reason": None,
    "failing_since": None,
    "secret": MASKED,
    "created_at": _CREATED,
    "updated_at": _CREATED,
}
_DELIVERY: Final[Json] = {
    "id": 4711,
    "webhook_id": _WEBHOOK_ID,
    "url": "https://ops.example.org/hooks",
    "event_id": "evt_9_1",
    "task_id": TASK_ID,
    "version": 3,
    "state": "delivered",
    "attempts": 1,
    "created_at": _FINISHED,
    "tried_at": _FINISHED,
    "next_at": None,
    "finished_at": _FINISHED,
    "response_status": 204,
    "trouble": None,
}
_CALLBACK: Final[Json] = {
    **_DELIVERY,
    "webhook_id": None,
    "url": "https://shop.example.org/done",
}

_GROUP: Final[Json] = {"queue": "reports", "type": "report", "tasks": 4000}
_BLOCKERS: Final[list[Json]] = [
    {
        "blocker": "finished",
        "state": "passed",
        "sentence": "It has not ended.",
        "todo": None,
        "facts": {},
    },
    {
        "blocker": "queue_paused",
        "state": "holds",
        "sentence": "Queue reports has been paused since 2026-11-25T01:23:32Z (2m 3s ago).",
        "todo": "`taskmill queue resume reports`",
        "facts": {"queue": "reports", "paused_at": _CREATED},
    },
    {
        "blocker": "not_claimed",
        "state": "not_reached",
        "sentence": "Not reached.",
        "todo": None,
        "facts": {},
    },
]
_PREVIEWED: Final[list[Json]] = [
    {"tick": "2026-10-24T00:30:00.000000Z", "local": "2026-10-24T02:30:00+02:00", "note": None},
    {
        "tick": "2026-10-25T00:30:00.000000Z",
        "local": "2026-10-25T02:30:00+02:00",
        "note": "fold_first",
    },
    {"tick": "2026-10-26T01:30:00.000000Z", "local": "2026-10-26T02:30:00+01:00", "note": None},
]
_CLOCK_CHANGE: Final[Json] = {
    "at": "2026-10-25T01:00:00.000000Z",
    "kind": "fold",
    "local_from": "2026-10-25T02:00:00",
    "local_until": "2026-10-25T03:00:00",
    "offset_before": "+02:00",
    "offset_after": "+01:00",
}

_SESSION: Final[Json] = {
    "id": "9b2d6f0e-5c1a-4f3b-8d7e-2a1c0b9f8e7d",
    "key_id": "5nXqk0bW2rTzYc8D",
    "key_name": "anna",
    "created_at": _CREATED,
    "used_at": _FINISHED,
    "ends_at": "2026-11-25T13:23:39.418000Z",
}

RESPONSES: Final[dict[str, Json]] = {
    "TaskView": _TASK,
    "CreatedTaskView": _TASK,
    "TaskList": {"items": [_TASK], "total": 1, "next_cursor": None},
    "EventView": _EVENT,
    "ChangeView": _CHANGE,
    "CloudEventView": {
        "specversion": "1.0",
        "id": "4712.1",
        "source": "/taskmill",
        "type": "taskmill.task.claimed",
        "subject": TASK_ID,
        "time": _STARTED,
        "datacontenttype": "application/json",
        "data": _CHANGE,
    },
    "EventList": {"items": [_EVENT], "next_cursor": None},
    "LogLineView": _LINE,
    "LogPage": {
        "items": [_LINE],
        "next_cursor": "AAAAAAAAAAEAAAAAAAAAAbYuJyb1m33A",
        "has_more": False,
    },
    "QueueView": _QUEUE,
    "QueueList": {"items": [_QUEUE]},
    "WorkerView": _WORKER,
    "WorkerList": {"items": [_WORKER]},
    "LeasedTaskView": _LEASED_TASK,
    "LeaseView": {**_LEASE, "tasks": [_LEASED_TASK]},
    "RenewedLeaseView": {**_RENEWED, "tasks": [TASK_ID], "cancel": []},
    "ReturnedLeaseView": {"lease_id": _LEASE_ID, "handed_back": [TASK_ID]},
    "ClaimEndView": {
        "task_id": TASK_ID,
        "claim_no": 1,
        "event": "retry_scheduled",
        "status": "new",
        "reason": "error",
        "run_at": "2026-11-25T01:23:41.402000Z",
    },
    "ProgressView": {"share": 0.4, "message": "page 4 of 10", "at": _STARTED},
    "StatsView": {
        "total": sum(_COUNTS.values()),
        "by_status": _COUNTS,
        "by_queue": {"reports": _COUNTS},
        "workers_alive": 1,
        "slots": 1000,
        "running": 12,
        "broker": {"state": "ok", "trouble": None, "policy": "auto"},
        "activity": _ACTIVITY,
    },
    "Ready": {"status": "ready", "parts": {"database": "ok", "schema": "ok", "broker": "ok"}},
    "SweepView": {
        "matched": 4000,
        "changed": 3958,
        "cancel_requested": 42,
        "dry_run": False,
        "is_complete": False,
        "next_cursor": "AaIQTQVUcACqMX4XluP_BAGiEE0FVAAAAAAAAAAAAAAHfzQeMAAAAA==",
        "groups": None,
    },
    "TaskGroupView": _GROUP,
    "TaskGroupsView": {"items": [_GROUP], "more": 0, "running": 42, "are_complete": True},
    "BlockerView": _BLOCKERS[1],
    "ExplanationView": {
        "task_id": TASK_ID,
        "status": "new",
        "at": "2026-11-25T01:25:35.820000Z",
        "blocker": "queue_paused",
        "summary": _BLOCKERS[1]["sentence"],
        "todo": _BLOCKERS[1]["todo"],
        "blockers": _BLOCKERS,
    },
    "BatchCreated": {"ids": [TASK_ID]},
    "RejectionSummaryView": _REJECTION,
    "RejectionView": {**_REJECTION, "body_encoding": "utf-8", "body": '{"queue":"reports"}'},
    "RejectionList": {"items": [_REJECTION], "next_cursor": None},
    "AuditEntryView": _AUDITED,
    "AuditEntryList": {"items": [_AUDITED], "next_cursor": None},
    "ActorView": _AUDITED["actor"],
    "TargetView": _AUDITED["target"],
    "SessionView": _SESSION,
    "SessionList": {"items": [_SESSION]},
    "LoginLinkView": {
        "path": "/ui/login/link#oXfM5XzvGm1hVYb0Yk0WlX3n0Jm1n2a4h6V8c9d0e1f",
        "expires_at": "2026-11-25T01:24:32.820000Z",
    },
    **ATTENTION,
    **DOCTOR,
    **JOBS,
    **SCHEDULES,
    "SchedulePreviewView": {
        "words": "at 02:30 every day, Europe/Berlin",
        "zone": "Europe/Berlin",
        "tz_version": "2026f",
        "ticks": _PREVIEWED,
        "clock_changes": [_CLOCK_CHANGE],
    },
    "PreviewedTickView": _PREVIEWED[1],
    "ClockChangeView": _CLOCK_CHANGE,
    "WebhookView": _WEBHOOK,
    "WebhookList": {"items": [_WEBHOOK]},
    "DeliveryView": _DELIVERY,
    "DeliveryList": {"items": [_DELIVERY], "next_cursor": None},
    "CallbackView": {"callback_url": "https://shop.example.org/done", "items": [_CALLBACK]},
    "LegacyTask": {
        "id": 862,
        "uid": TASK_ID,
        "name": "monthly report",
        "description": None,
        "created_at": _CREATED,
        "status": "Завершена успешно",
    },
    "LegacyError": {"detail": "Not found"},
}
"""An example for each model, by its name."""

_REFUSED: Final = {
    400: MalformedJson("not JSON at character 9: Expecting value"),
    401: NotAuthenticated(),
    404: TaskNotFound(UUID(TASK_ID)),
    409: TransitionRefused(UUID(TASK_ID), Status.SUCCEEDED, "cancel"),
    412: VersionMismatch(UUID(TASK_ID), 3, "cancel"),
    410: ChangesForgotten("4711.3", 7),
    413: TooLarge(1024**2),
    422: InvalidInput.at(
        "/priority", "a whole number from 0 to 9 (the most urgent)", "the number 10"
    ),
    429: RateLimitExceeded(RateUsage(RatePolicy(LimitedBy.KEY, 50_000, 10.0), 0, 0.02)),
    503: Unavailable(1.0, "the database"),
}


def problem(status: int) -> Json:
    """Return an example of the problem that comes with a status."""
    error = _REFUSED.get(status)
    _, _, body = problem_for_status(status) if error is None else problem_json(error)
    example: Json = orjson.loads(body)
    return example
