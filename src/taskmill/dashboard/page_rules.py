"""What each page and each action of the dashboard needs: one table. What has no rule is for `admin` only.

Everything that needs a right needs `tasks:read` for the same queues, too.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from taskmill.domain.grants import Scope


class Need(StrEnum):
    """What a visitor needs."""

    NOTHING = "nothing, not even a session"
    SESSION = "a session, or a key"
    ALL = "its scope for all queues"
    SOME = "its scope for any queue, of which the endpoint checks which; it shows only queues that may be read"
    VISIBLE = "its scope for any queue; it shows only what is in the queues of the key"
    QUEUE = "its scope for the queue in its path"
    TASK = (
        "its scope for the queue of the task in its path; a task that may not be read is not there"
    )
    SCHEDULE = (
        "its scope for the queue and the type of the schedule in its path; others are not there"
    )
    REJECTION = "its scope for the queue of the refused message in its path; others are not there"
    OWN = "its scope for any queue; a key for some queues has the webhooks of its name"
    WORKER = "its scope for a queue of the worker in its path; others are not there"
    WHOLE_WORKER = "its scope for all queues of the worker in its path"


class PageRule(NamedTuple):
    """What a page or an action needs."""

    scope: Scope
    need: Need


OPEN: Final = PageRule(Scope.TASKS_READ, Need.NOTHING)
SESSION: Final = PageRule(Scope.TASKS_READ, Need.SESSION)
ADMIN_ONLY: Final = PageRule(Scope.ADMIN, Need.ALL)
"""The rule of whatever the table does not have."""

_READ_VISIBLE: Final = PageRule(Scope.TASKS_READ, Need.VISIBLE)
_READ_TASK: Final = PageRule(Scope.TASKS_READ, Need.TASK)
_OPERATE_VISIBLE: Final = PageRule(Scope.TASKS_OPERATE, Need.VISIBLE)
_OPERATE_TASK: Final = PageRule(Scope.TASKS_OPERATE, Need.TASK)
_OPERATE_QUEUE: Final = PageRule(Scope.TASKS_OPERATE, Need.QUEUE)
_CREATE: Final = PageRule(Scope.TASKS_CREATE, Need.SOME)
_READ_SCHEDULE: Final = PageRule(Scope.TASKS_READ, Need.SCHEDULE)
_OPERATE_SCHEDULE: Final = PageRule(Scope.TASKS_OPERATE, Need.SCHEDULE)
_WEBHOOKS: Final = PageRule(Scope.WEBHOOKS, Need.OWN)
_CREATE_OF_SCHEDULE: Final = PageRule(Scope.TASKS_CREATE, Need.SCHEDULE)

PAGE_RULES: Final[Mapping[str, PageRule]] = {
    "GET /ui/login": OPEN,
    "POST /ui/login": OPEN,
    "GET /ui/login/link": OPEN,
    "POST /ui/login/link": OPEN,
    "POST /ui/logout": OPEN,
    "POST /ui/preferences": OPEN,
    "GET /ui/static/{digest}/{name:path}": OPEN,
    "GET /ui/sessions": SESSION,
    "POST /ui/sessions/{id}/end": SESSION,
    "GET /": _READ_VISIBLE,
    "GET /ui/live": _READ_VISIBLE,
    "GET /ui/search": _READ_VISIBLE,
    "GET /ui/search/tasks": _READ_VISIBLE,
    "GET /ui/views": _READ_VISIBLE,
    "POST /ui/views": _READ_VISIBLE,
    "POST /ui/views/delete": _READ_VISIBLE,
    "GET /ui/tasks": _READ_VISIBLE,
    "GET /ui/tasks/choices": _READ_VISIBLE,
    "GET /ui/tasks/export.csv": _READ_VISIBLE,
    "GET /ui/tasks/export.ndjson": _READ_VISIBLE,
    "GET /ui/tasks/{id}": _READ_TASK,
    "GET /ui/tasks/{id}/logs.txt": _READ_TASK,
    "POST /ui/tasks/{id}/retry": _OPERATE_TASK,
    "POST /ui/tasks/{id}/cancel": _OPERATE_TASK,
    "GET /ui/tasks/{id}/reschedule": _OPERATE_TASK,
    "POST /ui/tasks/{id}/reschedule": _OPERATE_TASK,
    "POST /ui/sweeps/preview": _OPERATE_VISIBLE,
    "POST /ui/sweeps": _OPERATE_VISIBLE,
    "GET /ui/jobs": _OPERATE_VISIBLE,
    "GET /ui/jobs/{id}": _OPERATE_VISIBLE,
    "POST /ui/jobs/{id}/stop": _OPERATE_VISIBLE,
    "GET /ui/attention/{id}": _READ_VISIBLE,
    "POST /ui/attention/{id}": _OPERATE_VISIBLE,
    "GET /ui/queues": _READ_VISIBLE,
    "GET /ui/queues/{name}": PageRule(Scope.TASKS_READ, Need.QUEUE),
    "POST /ui/queues/{name}/pause": _OPERATE_QUEUE,
    "POST /ui/queues/{name}/resume": _OPERATE_QUEUE,
    "POST /ui/queues/{name}/keep": ADMIN_ONLY,
    "POST /ui/queues/{name}/delete": _OPERATE_QUEUE,
    "GET /ui/workers": _READ_VISIBLE,
    "GET /ui/workers/{id}": PageRule(Scope.TASKS_READ, Need.WORKER),
    "POST /ui/workers/{id}/{what}": PageRule(Scope.TASKS_OPERATE, Need.WHOLE_WORKER),
    "GET /ui/failures": _READ_VISIBLE,
    "GET /ui/failures/{id}": _READ_VISIBLE,
    "POST /ui/failures/{id}/{decision}": PageRule(Scope.TASKS_OPERATE, Need.ALL),
    "GET /ui/events": _READ_VISIBLE,
    "GET /ui/events/stream": _READ_VISIBLE,
    "GET /ui/types": _READ_VISIBLE,
    "GET /ui/types/{name}": _READ_VISIBLE,
    "GET /ui/schedules": _READ_VISIBLE,
    "GET /ui/schedules/{name}": _READ_SCHEDULE,
    "POST /ui/schedules/{name}/pause": _OPERATE_SCHEDULE,
    "POST /ui/schedules/{name}/resume": _OPERATE_SCHEDULE,
    "POST /ui/schedules/{name}/run": _CREATE_OF_SCHEDULE,
    "GET /ui/schedules/{name}/backfill": _CREATE_OF_SCHEDULE,
    "POST /ui/schedules/{name}/backfill": _CREATE_OF_SCHEDULE,
    "GET /ui/schedules/{name}/edit": _CREATE_OF_SCHEDULE,
    "POST /ui/schedules/{name}/edit": _CREATE_OF_SCHEDULE,
    "GET /ui/schedules/{name}/delete": _CREATE_OF_SCHEDULE,
    "POST /ui/schedules/{name}/delete": _CREATE_OF_SCHEDULE,
    "GET /ui/new-schedule": _CREATE,
    "POST /ui/new-schedule": _CREATE,
    "POST /ui/new-schedule/preview": _CREATE,
    "GET /ui/webhooks": _WEBHOOKS,
    "GET /ui/webhooks/new": _WEBHOOKS,
    "POST /ui/webhooks/new": _WEBHOOKS,
    "GET /ui/webhooks/{id}": _WEBHOOKS,
    "GET /ui/webhooks/{id}/edit": _WEBHOOKS,
    "POST /ui/webhooks/{id}/edit": _WEBHOOKS,
    "POST /ui/webhooks/{id}/pause": _WEBHOOKS,
    "POST /ui/webhooks/{id}/enable": _WEBHOOKS,
    "POST /ui/webhooks/{id}/test": _WEBHOOKS,
    "POST /ui/webhooks/{id}/secret": _WEBHOOKS,
    "GET /ui/webhooks/{id}/delete": _WEBHOOKS,
    "POST /ui/webhooks/{id}/delete": _WEBHOOKS,
    "POST /ui/webhooks/{id}/deliveries/{delivery}/resend": _WEBHOOKS,
    "GET /ui/audit": ADMIN_ONLY,
    "GET /ui/keys": ADMIN_ONLY,
    "GET /ui/system": ADMIN_ONLY,
    "GET /ui/system/doctor": ADMIN_ONLY,
    "GET /ui/system/doctor/summary": ADMIN_ONLY,
    "GET /ui/create": _CREATE,
    "POST /ui/create": _CREATE,
    "POST /ui/create/payload": _CREATE,
    "POST /ui/create/snippets": _CREATE,
    "GET /ui/rejections": _READ_VISIBLE,
    "GET /ui/rejections/{id}": PageRule(Scope.TASKS_READ, Need.REJECTION),
    "POST /ui/rejections/resend": _OPERATE_VISIBLE,
    "POST /ui/rejections/{id}/resend": PageRule(Scope.TASKS_OPERATE, Need.REJECTION),
    "GET /ui/rejections/{id}/edit": PageRule(Scope.TASKS_OPERATE, Need.REJECTION),
    "POST /ui/rejections/{id}/edit": PageRule(Scope.TASKS_OPERATE, Need.REJECTION),
}
"""The rules by method and path, as the pages' routes are declared."""


def rule_of(method: str, path: str) -> PageRule:
    """Return the rule of a route."""
    return PAGE_RULES.get(f"{method} {path}", ADMIN_ONLY)
