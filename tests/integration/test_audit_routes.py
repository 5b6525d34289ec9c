"""Each action over each entry point is recorded once: a table of all routes and commands that change something.

A new route or command that is not in it fails the tests: name its action, or the reason why it has none.
"""

import asyncio
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Mount

from taskmill.composition import one_shot
from taskmill.dashboard.app import _all_routes
from taskmill.domain.api_keys import ApiKeyDraft
from taskmill.domain.audit import Actor, ActorKind, AuditAction, AuditOutcome, TargetType
from taskmill.domain.error_kinds import kind_id, kind_of
from taskmill.domain.errors import InvalidInput
from taskmill.domain.grants import Grant, Scope
from taskmill.domain.jobs import JobRequest
from taskmill.domain.lifecycle import Failed
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.operations import api_keys
from taskmill.runtime.http_access import SAFE_METHODS
from taskmill.runtime.os_user import os_user
from taskmill.wire.messages import CreationMessage, refused_message
from tests.support.api import Served
from tests.support.audit import ended_entry
from tests.support.builders import ERROR
from tests.support.commands import Taskmill, taskmill
from tests.support.jobs import ended_job
from tests.support.key_files import a_key_file
from tests.support.pages import serving_pages
from tests.support.stage import Stage

__all__ = ["taskmill"]

CREATES: Final = "it creates tasks: their history says so"
WORKER: Final = "a worker does its work: the history of its tasks says so"
READS: Final = "it changes nothing"
AS_SCHEDULES: Final = "what it calls is recorded, as for the routes of schedules"
SCHEDULE: Final = {"cron": "@daily", "task": {"name": "a"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """How a route is called, and what is recorded then; `target` names a thing of the `world`."""

    action: AuditAction
    target: str | None = None
    body: object = None


def form(**fields: str) -> bytes:
    """Return a form's body."""
    return "&".join(f"{name}={value}" for name, value in fields.items()).encode()


ROUTES: Final[dict[tuple[str, str], Recorded | str]] = {
    ("POST", "/tasks"): CREATES,
    ("POST", "/tasks/batch"): CREATES,
    ("POST", "/tasks/cancel"): Recorded(action=AuditAction.TASKS_CANCEL, body={"queue": "mail"}),
    ("POST", "/tasks/retry"): Recorded(action=AuditAction.TASKS_RETRY, body={"queue": "mail"}),
    ("POST", "/jobs"): Recorded(
        action=AuditAction.TASKS_CANCEL, body={"action": "cancel", "queue": "mail"}
    ),
    ("POST", "/jobs/{id}/stop"): Recorded(action=AuditAction.JOB_STOP, target="job"),
    ("PATCH", "/tasks/{id}"): Recorded(
        action=AuditAction.TASK_RESCHEDULE, target="waiting", body={"priority": 9}
    ),
    ("POST", "/tasks/{id}/cancel"): Recorded(action=AuditAction.TASK_CANCEL, target="waiting"),
    ("POST", "/tasks/{id}/retry"): Recorded(action=AuditAction.TASK_RETRY, target="failed"),
    ("PATCH", "/queues/{name}"): Recorded(
        action=AuditAction.QUEUE_PAUSE, target="queue", body={"paused": True}
    ),
    ("PATCH", "/attention/{id}"): Recorded(
        action=AuditAction.NOTICE_SILENCE, target="notice", body={"state": "silenced"}
    ),
    ("DELETE", "/queues/{name}"): Recorded(action=AuditAction.QUEUE_DELETE, target="empty"),
    ("POST", "/workers/{id}/quiet"): Recorded(action=AuditAction.WORKER_QUIET, target="worker"),
    ("POST", "/workers/{id}/stop"): Recorded(action=AuditAction.WORKER_STOP, target="worker"),
    ("POST", "/workers/{id}/resume"): Recorded(action=AuditAction.WORKER_RESUME, target="worker"),
    ("POST", "/schedules/preview"): READS,
    ("PUT", "/types/{name}"): Recorded(
        action=AuditAction.TYPE_REGISTER, target="free", body={"payload_schema": {"type": "object"}}
    ),
    ("DELETE", "/types/{name}"): Recorded(action=AuditAction.TYPE_DROP, target="type"),
    ("POST", "/webhooks"): Recorded(
        action=AuditAction.WEBHOOK_CREATE, body={"url": "https://example.org/"}
    ),
    ("PATCH", "/webhooks/{id}"): Recorded(
        action=AuditAction.WEBHOOK_CHANGE, target="webhook", body={"description": "d"}
    ),
    ("DELETE", "/webhooks/{id}"): Recorded(action=AuditAction.WEBHOOK_DELETE, target="webhook"),
    ("POST", "/webhooks/{id}/test"): Recorded(action=AuditAction.WEBHOOK_TEST, target="webhook"),
    ("POST", "/webhooks/{id}/deliveries/{delivery}/resend"): Recorded(
        action=AuditAction.DELIVERY_RESEND, target="delivery"
    ),
    ("POST", "/failures/{id}/resolve"): Recorded(action=AuditAction.FAILURE_RESOLVE, target="kind"),
    ("POST", "/failures/{id}/ignore"): Recorded(action=AuditAction.FAILURE_IGNORE, target="kind"),
    ("POST", "/failures/{id}/reopen"): Recorded(action=AuditAction.FAILURE_REOPEN, target="kind"),
    ("POST", "/rejections/{id}/resend"): Recorded(
        action=AuditAction.REJECTION_RESEND, target="rejection"
    ),
    ("PUT", "/schedules/{name}"): Recorded(
        action=AuditAction.SCHEDULE_PUT, target="schedule", body=SCHEDULE
    ),
    ("PATCH", "/schedules/{name}"): Recorded(
        action=AuditAction.SCHEDULE_PAUSE, target="schedule", body={"paused": True}
    ),
    ("DELETE", "/schedules/{name}"): Recorded(
        action=AuditAction.SCHEDULE_DELETE, target="schedule"
    ),
    ("POST", "/schedules/{name}/run"): Recorded(action=AuditAction.SCHEDULE_RUN, target="schedule"),
    ("POST", "/schedules/{name}/backfill"): Recorded(
        action=AuditAction.SCHEDULE_BACKFILL,
        target="schedule",
        body={"from": "2030-01-01T00:00:00Z", "to": "2030-01-02T00:00:00Z"},
    ),
    ("POST", "/leases"): WORKER,
    ("POST", "/leases/{id}/renew"): WORKER,
    ("DELETE", "/leases/{id}"): WORKER,
    ("POST", "/tasks/{id}/finish"): WORKER,
    ("POST", "/tasks/{id}/fail"): WORKER,
    ("POST", "/tasks/{id}/cancelled"): WORKER,
    ("POST", "/tasks/{id}/progress"): WORKER,
    ("POST", "/tasks/{id}/logs"): WORKER,
    ("POST", "/task_service/api/v1/task/"): CREATES,
    ("POST", "/task_service/api/v1/task"): CREATES,
    ("GET", "/task_service/api/v1/worker/"): Recorded(action=AuditAction.WORKER_START),
    ("GET", "/task_service/api/v1/worker"): Recorded(action=AuditAction.WORKER_START),
    ("POST", "/ui/preferences"): "it sets a cookie",
    ("POST", "/ui/views"): "it is a bookmark of the reader's own",
    ("POST", "/ui/views/delete"): "as above",
    (
        "POST",
        "/ui/login",
    ): "what the session does is recorded as done by it; failed tries are counted",
    ("POST", "/ui/login/link"): "as above",
    ("POST", "/login-links"): "its use begins a session, as above",
    ("POST", "/ui/logout"): "it is recorded where there are sessions (test_sessions)",
    ("POST", "/ui/sessions/{id}/end"): "as above",
    ("DELETE", "/sessions/{id}"): "as above",
    ("POST", "/ui/create"): CREATES,
    ("POST", "/ui/create/payload"): READS,
    ("POST", "/ui/create/snippets"): READS,
    ("POST", "/ui/sweeps/preview"): READS,
    ("POST", "/ui/sweeps"): Recorded(
        action=AuditAction.TASKS_CANCEL, body=form(what="cancel", queue="mail")
    ),
    ("POST", "/ui/jobs/{id}/stop"): Recorded(action=AuditAction.JOB_STOP, target="job"),
    ("POST", "/ui/tasks/{id}/reschedule"): Recorded(
        action=AuditAction.TASK_RESCHEDULE, target="waiting", body=form(now="1")
    ),
    ("POST", "/ui/tasks/{id}/cancel"): Recorded(action=AuditAction.TASK_CANCEL, target="waiting"),
    ("POST", "/ui/tasks/{id}/retry"): Recorded(action=AuditAction.TASK_RETRY, target="failed"),
    ("POST", "/ui/attention/{id}"): Recorded(
        action=AuditAction.NOTICE_ACKNOWLEDGE, target="notice", body=form(state="acknowledged")
    ),
    ("POST", "/ui/queues/{name}/pause"): Recorded(action=AuditAction.QUEUE_PAUSE, target="queue"),
    ("POST", "/ui/queues/{name}/resume"): Recorded(action=AuditAction.QUEUE_RESUME, target="queue"),
    ("POST", "/ui/queues/{name}/keep"): Recorded(action=AuditAction.QUEUE_KEEP, target="queue"),
    ("POST", "/ui/queues/{name}/delete"): Recorded(action=AuditAction.QUEUE_DELETE, target="empty"),
    ("POST", "/ui/workers/{id}/{what}"): Recorded(action=AuditAction.WORKER_QUIET, target="worker"),
    ("POST", "/ui/failures/{id}/{decision}"): Recorded(
        action=AuditAction.FAILURE_RESOLVE, target="kind"
    ),
    ("POST", "/ui/schedules/{name}/pause"): Recorded(
        action=AuditAction.SCHEDULE_PAUSE, target="schedule"
    ),
    ("POST", "/ui/schedules/{name}/resume"): Recorded(
        action=AuditAction.SCHEDULE_RESUME, target="schedule"
    ),
    ("POST", "/ui/schedules/{name}/run"): AS_SCHEDULES,
    ("POST", "/ui/schedules/{name}/backfill"): AS_SCHEDULES,
    ("POST", "/ui/schedules/{name}/edit"): AS_SCHEDULES,
    ("POST", "/ui/schedules/{name}/delete"): AS_SCHEDULES,
    ("POST", "/ui/new-schedule"): AS_SCHEDULES,
    ("POST", "/ui/new-schedule/preview"): READS,
    ("POST", "/ui/rejections/{id}/resend"): Recorded(
        action=AuditAction.REJECTION_RESEND, target="rejection"
    ),
    ("POST", "/ui/rejections/resend"): "each message that it sends again is recorded, as below",
    ("POST", "/ui/rejections/{id}/edit"): Recorded(
        action=AuditAction.REJECTION_RESEND, target="rejection", body=form(body='{"name":"a"}')
    ),
    ("POST", "/ui/webhooks/new"): Recorded(
        action=AuditAction.WEBHOOK_CREATE,
        body=b"url=https://example.org/&statuses=failed",
    ),
    **{
        ("POST", f"/ui/webhooks/{{id}}/{what}"): Recorded(action=action, target="webhook")
        for what, action in (
            ("pause", AuditAction.WEBHOOK_CHANGE),
            ("enable", AuditAction.WEBHOOK_CHANGE),
            ("secret", AuditAction.WEBHOOK_CHANGE),
            ("test", AuditAction.WEBHOOK_TEST),
            ("delete", AuditAction.WEBHOOK_DELETE),
        )
    },
    ("POST", "/ui/webhooks/{id}/edit"): Recorded(
        action=AuditAction.WEBHOOK_CHANGE,
        target="webhook",
        body=b"url=https://example.org/&statuses=failed",
    ),
    ("POST", "/ui/webhooks/{id}/deliveries/{delivery}/resend"): Recorded(
        action=AuditAction.DELIVERY_RESEND, target="delivery"
    ),
}

COMMANDS: Final[tuple[tuple[AuditAction, tuple[str, ...]], ...]] = (
    (AuditAction.BROKER_REBUILD, ("broker", "rebuild")),
    (AuditAction.CALLBACK_KEY_SHOW, ("webhook", "callback-key")),
    (AuditAction.SECRETS_ENCRYPT, ("secrets", "encrypt")),
    (AuditAction.SECRETS_DECRYPT, ("secrets", "decrypt")),
    (AuditAction.KEY_CREATE, ("key", "create", "new", "--grant", "tasks:read")),
    (AuditAction.KEY_ROTATE, ("key", "rotate", "old")),
    (AuditAction.KEY_REVOKE, ("key", "revoke", "old")),
)
"""What commands do on the database by themselves; all others go over HTTP."""

FUNCTIONS: Final = {
    "send_hints": "recorded",
    "callback_key": "recorded",
    "convert_secrets": "recorded",
    "on_api_keys": "recorded, if it changes keys",
    "list_hint_queues": READS,
    "verify_database": READS,
}
"""By which functions they do it."""

# Where the table has no route: counted at the edge, and recorded by a service; only where keys are required.
ELSEWHERE: Final = {AuditAction.ACCESS_REFUSE, AuditAction.SESSION_END}
# It has the same route as another one.
SAME_ROUTE: Final = {
    AuditAction.QUEUE_RESUME,
    AuditAction.SCHEDULE_RESUME,
    AuditAction.NOTICE_REOPEN,
}

TARGETS: Final = {
    "waiting": TargetType.TASK,
    "failed": TargetType.TASK,
    "job": TargetType.JOB,
    "queue": TargetType.QUEUE,
    "empty": TargetType.QUEUE,
    "worker": TargetType.WORKER,
    "free": TargetType.TYPE,
    "type": TargetType.TYPE,
    "webhook": TargetType.WEBHOOK,
    "delivery": TargetType.DELIVERY,
    "kind": TargetType.FAILURE,
    "rejection": TargetType.REJECTION,
    "schedule": TargetType.SCHEDULE,
    "notice": TargetType.NOTICE,
}
RECORDED: Final = [(*route, how) for route, how in ROUTES.items() if isinstance(how, Recorded)]


async def forget_entries(stage: Stage) -> None:
    """Delete what was recorded until here."""
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute("DELETE FROM taskmill.audit_outcome; DELETE FROM taskmill.audit_entry")
    await stage.sql.execute("SET session_replication_role = origin")


async def a_world(stage: Stage, api: Served) -> dict[str, str]:
    """Make one of everything; return their ids and names."""
    lease = await stage.open_lease()
    taken = await stage.running(lease, queue="mail")
    await stage.end(taken, lease, Failed(error=ERROR))
    waiting = await stage.created(queue="mail")
    await stage.service.creation.queues.make("unused")
    webhook = (await api.post("/webhooks", {"url": "https://example.org/"})).json()
    delivery = (await api.post(f"/webhooks/{webhook['id']}/test")).json()
    await api.http.put("/types/held", content=orjson.dumps({"payload_schema": {"type": "object"}}))
    await api.http.put("/schedules/nightly", content=orjson.dumps(SCHEDULE))
    service = stage.service.rejections
    message = CreationMessage(body=b'{"name": "a"}')
    refused = refused_message(message, InvalidInput.at("/name", "another one", "this one"))
    [rejection] = await service.store(service.with_ids([refused]))
    notice = (await stage.service.attention.read()).notices[0]
    job = await ended_job(stage, JobRequest(action=Sweep.CANCEL, wanted=TaskFilter(queue="none")))
    await forget_entries(stage)
    return {
        "waiting": str(waiting.id),
        "failed": str(taken.task.id),
        "queue": "mail",
        "empty": "unused",
        "worker": str(lease),
        "free": "free",
        "type": "held",
        "webhook": webhook["id"],
        "delivery": str(delivery["id"]),
        "kind": kind_id(kind_of(ERROR)),
        "rejection": str(rejection),
        "schedule": "nightly",
        "notice": str(notice.id),
        "job": str(job.id),
    }


def changing_routes(api: Served) -> set[tuple[str, str]]:
    """Return all routes that may change something: those with other methods, and one GET of the legacy API."""
    found = {(method, path) for method, path, _ in _all_routes()}
    for prefix, app in (("", api.app.framework), *mounted(api)):
        for context in iter_route_contexts(app.routes):
            if isinstance(route := context.original_route, APIRoute):
                found |= {(method, prefix + route.path) for method in route.methods or ()}
    changing = {(method, path) for method, path in found if method not in SAFE_METHODS}
    return changing | {
        (method, path) for method, path in found if path.rstrip("/").endswith("/worker")
    }


def mounted(api: Served) -> list[tuple[str, Any]]:
    """Return the legacy API, and where it is."""
    return [
        (route.path, route.app)
        for route in api.app.framework.routes
        if isinstance(route, Mount)
        and hasattr(route.app, "routes")
        and "task_service" in route.path
    ]


async def test_every_route_that_may_change_something_is_in_the_table(api: Served) -> None:
    assert changing_routes(api) == set(ROUTES)


def test_every_action_is_in_the_table() -> None:
    over_http = {how.action for how in ROUTES.values() if isinstance(how, Recorded)}
    by_command = {action for action, _ in COMMANDS}
    assert over_http | by_command | ELSEWHERE | SAME_ROUTE == set(AuditAction)


@pytest.mark.parametrize(("method", "path", "how"), RECORDED)
async def test_what_a_route_does_is_recorded_once(
    stage: Stage, method: str, path: str, how: Recorded
) -> None:
    async with serving_pages(stage, drain=lambda: None) as api:
        world = await a_world(stage, api)
        here = path.replace("{id}", world["webhook"]) if "{delivery}" in path else path
        target = world.get(how.target or "", "")
        for parameter in ("{id}", "{name}", "{delivery}"):
            here = here.replace(parameter, target)
        here = here.replace("{what}", "quiet").replace("{decision}", "resolve")
        body = (
            how.body if how.body is None or isinstance(how.body, bytes) else orjson.dumps(how.body)
        )
        response = await api.http.request(
            method, here, content=body, headers={"x-request-id": "mine"}
        )
        assert response.status_code < 400, response.text
        entry = await ended_entry(stage)
        assert (entry.action, entry.outcome) == (how.action, AuditOutcome.DONE)
        assert entry.origin.actor == Actor(kind=ActorKind.ANONYMOUS, address="127.0.0.1")
        assert entry.origin.request_id == "mine"
        if how.target is not None:
            assert (entry.target_type, entry.target_id) == (TARGETS[how.target], target)


def test_every_command_on_the_database_is_in_the_table() -> None:
    found = {
        name
        for name, function in inspect.getmembers(one_shot, inspect.isfunction)
        if function.__module__ == one_shot.__name__ and not name.startswith("_")
    }
    assert found == set(FUNCTIONS)


@pytest.fixture
def with_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a key file for stored secrets in the settings."""
    path = a_key_file(tmp_path / "keys", b"k" * 32)
    monkeypatch.setenv("TASKMILL_SECRETS_KEY_FILE", str(path))


@pytest.mark.usefixtures("with_key_file")
@pytest.mark.parametrize(("action", "command"), COMMANDS)
async def test_what_a_command_does_is_recorded_as_this_user(
    taskmill: Taskmill, stage: Stage, action: AuditAction, command: tuple[str, ...]
) -> None:
    draft = ApiKeyDraft(name="old", grants=(Grant(scope=Scope.TASKS_READ),))
    await api_keys.create(stage.owner_database, draft, environment="test")
    await forget_entries(stage)
    status, _, err = await asyncio.to_thread(taskmill, *command, "--database-url", stage.url)
    assert status == 0, err
    entry = await ended_entry(stage)
    assert (entry.action, entry.outcome) == (action, AuditOutcome.DONE)
    assert entry.origin.actor == Actor(kind=ActorKind.MACHINE, name=os_user())
    assert entry.origin.request_id is None
