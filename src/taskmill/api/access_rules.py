"""Which scope of an API key each route needs, and for what: one table. What has no rule is for `admin` only.

It names routes as the documents do. `authentication` applies it; endpoints whose check is `BODY` check the rest.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from taskmill.domain.grants import Scope


class Check(StrEnum):
    """For what a route needs its scope."""

    OPEN = "nothing is needed, not even a key"
    KEY = "a key is needed, whatever it grants"
    ALL = "for all queues"
    VISIBLE = "for any queue; it shows and changes only what is in the queues of the key"
    BODY = "for the queue and the type that its body names"
    QUEUE = "for the queue in its path"
    TASK = "for the queue and the type of the task in its path; else there is no such task"
    REJECTION = "for the queue of the refused message in its path; else there is no such message"
    WORKER = (
        "for all queues of the worker in its path; one that serves none of the key's is not there"
    )
    OWN = "for any queue; a key for some queues has the webhooks of its name, which get what is in its queues"
    TYPE = "for the type in its path and all queues, as a contract counts in all of them"
    CONTRACT = "for a type and the default queue of its contract; it shows these only"
    SCHEDULE = (
        "for the queue and the type of the schedule in its path; else there is no such schedule"
    )
    LEASE = "for the queues and the types of what runs under the lease in its path; else there is no such lease"


class Rule(NamedTuple):
    """What a route needs."""

    scope: Scope
    check: Check


_OPEN: Final = Rule(Scope.ADMIN, Check.OPEN)
_READ_VISIBLE: Final = Rule(Scope.TASKS_READ, Check.VISIBLE)
_READ_TASK: Final = Rule(Scope.TASKS_READ, Check.TASK)
_OPERATE_ALL: Final = Rule(Scope.TASKS_OPERATE, Check.ALL)
_OPERATE_WORKER: Final = Rule(Scope.TASKS_OPERATE, Check.WORKER)
_OPERATE_VISIBLE: Final = Rule(Scope.TASKS_OPERATE, Check.VISIBLE)
_OPERATE_TASK: Final = Rule(Scope.TASKS_OPERATE, Check.TASK)
_CREATE: Final = Rule(Scope.TASKS_CREATE, Check.BODY)
_READ_SCHEDULE: Final = Rule(Scope.TASKS_READ, Check.SCHEDULE)
_OF_SCHEDULE: Final = Rule(Scope.TASKS_CREATE, Check.SCHEDULE)
_RUN_TASK: Final = Rule(Scope.WORKER, Check.TASK)
_RUN_LEASE: Final = Rule(Scope.WORKER, Check.LEASE)
_TYPES: Final = Rule(Scope.TYPES, Check.TYPE)
_WEBHOOKS: Final = Rule(Scope.WEBHOOKS, Check.OWN)

ADMIN_ONLY: Final = Rule(Scope.ADMIN, Check.ALL)
"""The rule of every route that the table does not have."""

ANY_KEY: Final = Rule(Scope.ADMIN, Check.KEY)
"""The rule of what is about the key itself, and of a path at which there is nothing, or nothing for its method."""

RULES: Final[Mapping[str, Rule]] = {
    "GET /healthz": _OPEN,
    "GET /readyz": _OPEN,
    "GET /docs": _OPEN,
    "GET /redoc": _OPEN,
    "GET /openapi.json": _OPEN,
    "GET /asyncapi.json": _OPEN,
    "GET /": _OPEN,
    "GET /task_service/docs": _OPEN,
    "GET /task_service/openapi.json": _OPEN,
    "GET /metrics": Rule(Scope.METRICS, Check.ALL),
    "POST /tasks": _CREATE,
    "POST /tasks/batch": _CREATE,
    "GET /tasks": _READ_VISIBLE,
    "GET /tasks/batch": _READ_VISIBLE,
    "GET /tasks/cancel": _READ_VISIBLE,
    "GET /tasks/retry": _READ_VISIBLE,
    "GET /tasks/{id}": _READ_TASK,
    "GET /tasks/{id}/events": _READ_TASK,
    "GET /tasks/{id}/logs": _READ_TASK,
    "GET /tasks/{id}/deliveries": _READ_TASK,
    "GET /tasks/{id}/explain": _READ_TASK,
    "POST /tasks/cancel": _OPERATE_VISIBLE,
    "POST /tasks/retry": _OPERATE_VISIBLE,
    "POST /jobs": _OPERATE_VISIBLE,
    "GET /jobs": _OPERATE_VISIBLE,
    "GET /jobs/{id}": _OPERATE_VISIBLE,
    "POST /jobs/{id}/stop": _OPERATE_VISIBLE,
    "PATCH /tasks/{id}": _OPERATE_TASK,
    "POST /tasks/{id}/cancel": _OPERATE_TASK,
    "POST /tasks/{id}/retry": _OPERATE_TASK,
    "POST /leases": Rule(Scope.WORKER, Check.BODY),
    "POST /leases/{id}/renew": _RUN_LEASE,
    "DELETE /leases/{id}": _RUN_LEASE,
    "POST /tasks/{id}/finish": _RUN_TASK,
    "POST /tasks/{id}/fail": _RUN_TASK,
    "POST /tasks/{id}/cancelled": _RUN_TASK,
    "POST /tasks/{id}/progress": _RUN_TASK,
    "POST /tasks/{id}/logs": _RUN_TASK,
    "GET /events": _READ_VISIBLE,
    "GET /stats": _READ_VISIBLE,
    "GET /attention": _READ_VISIBLE,
    "PATCH /attention/{id}": _OPERATE_VISIBLE,
    "GET /queues": _READ_VISIBLE,
    "GET /workers": _READ_VISIBLE,
    "GET /failures": _READ_VISIBLE,
    "GET /failures/{id}": _READ_VISIBLE,
    "GET /failures/{id}/sample": _READ_VISIBLE,
    "POST /failures/{id}/resolve": _OPERATE_ALL,
    "POST /failures/{id}/ignore": _OPERATE_ALL,
    "POST /failures/{id}/reopen": _OPERATE_ALL,
    "GET /rejections": _READ_VISIBLE,
    "GET /rejections/{id}": Rule(Scope.TASKS_READ, Check.REJECTION),
    "POST /rejections/{id}/resend": Rule(Scope.TASKS_OPERATE, Check.REJECTION),
    "PATCH /queues/{name}": Rule(Scope.TASKS_OPERATE, Check.QUEUE),
    "DELETE /queues/{name}": Rule(Scope.TASKS_OPERATE, Check.QUEUE),
    "POST /workers/{id}/quiet": _OPERATE_WORKER,
    "POST /workers/{id}/stop": _OPERATE_WORKER,
    "POST /workers/{id}/resume": _OPERATE_WORKER,
    "GET /schedules": _READ_VISIBLE,
    "GET /schedules/{name}": _READ_SCHEDULE,
    "GET /schedules/{name}/fires": _READ_SCHEDULE,
    "PUT /schedules/{name}": _CREATE,
    "PATCH /schedules/{name}": Rule(Scope.TASKS_OPERATE, Check.SCHEDULE),
    "DELETE /schedules/{name}": _OF_SCHEDULE,
    "POST /schedules/{name}/run": _OF_SCHEDULE,
    "POST /schedules/{name}/backfill": _OF_SCHEDULE,
    "GET /audit": ADMIN_ONLY,
    "GET /doctor": ADMIN_ONLY,
    "GET /sessions": ANY_KEY,
    "DELETE /sessions/{id}": ANY_KEY,
    "POST /login-links": _READ_VISIBLE,
    "POST /schedules/preview": _READ_VISIBLE,
    "GET /types": Rule(Scope.TYPES, Check.CONTRACT),
    "GET /types/{name}": Rule(Scope.TYPES, Check.CONTRACT),
    "PUT /types/{name}": _TYPES,
    "DELETE /types/{name}": _TYPES,
    "GET /webhooks": _WEBHOOKS,
    "POST /webhooks": _WEBHOOKS,
    "GET /webhooks/{id}": _WEBHOOKS,
    "PATCH /webhooks/{id}": _WEBHOOKS,
    "DELETE /webhooks/{id}": _WEBHOOKS,
    "POST /webhooks/{id}/test": _WEBHOOKS,
    "GET /webhooks/{id}/deliveries": _WEBHOOKS,
    "POST /webhooks/{id}/deliveries/{delivery}/resend": _WEBHOOKS,
    "POST /task_service/api/v1/task/": _CREATE,
    "POST /task_service/api/v1/task": _CREATE,
    "GET /task_service/api/v1/task/": _READ_VISIBLE,
    "GET /task_service/api/v1/task": _READ_VISIBLE,
    "GET /task_service/api/v1/task/{uid}/": _READ_TASK,
    "GET /task_service/api/v1/task/{uid}": _READ_TASK,
    "GET /task_service/api/v1/worker/": _OPERATE_ALL,
    "GET /task_service/api/v1/worker": _OPERATE_ALL,
}
"""The rules by method and path, as routes are declared."""

_FILES: Final = "/static/"


class FoundRule(NamedTuple):
    """The rule of a request, and the text in the place of its path's first parameter, if it has one."""

    rule: Rule
    parameter: str = ""


def find_rule(method: str, path: str) -> FoundRule | None:
    """Return the rule of a request, None when the table has none."""
    if (exact := RULES.get(f"{method} {path}")) is not None:
        return FoundRule(exact)
    if path.startswith(_FILES):
        return FoundRule(_OPEN if method == "GET" else ANY_KEY)
    for pattern, rule in _PATTERNS.get(method, ()):
        if found := pattern.fullmatch(path):
            return FoundRule(rule, found[1])
    return None


def _patterns() -> dict[str, list[tuple[re.Pattern[str], Rule]]]:
    patterns: dict[str, list[tuple[re.Pattern[str], Rule]]] = {}
    for route, rule in RULES.items():
        method, _, path = route.partition(" ")
        if "{" in path:
            escaped = re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path))
            patterns.setdefault(method, []).append((re.compile(escaped), rule))
    return patterns


_PATTERNS: Final = _patterns()
