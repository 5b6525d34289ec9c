"""`PATCH /tasks/{id}`: what it changes, what it refuses, and whose key may do it."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.stage import Stage


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def patch(
    api: Served, task_id: object, body: object, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    response = await api.http.patch(f"/tasks/{task_id}", json=body, headers=headers)
    return response.status_code, response.json()


async def test_a_waiting_task_gets_another_queue_priority_and_due_time(api: Served) -> None:
    task = await api.create(queue="mail", delay_s=3600)
    body = {"queue": "urgent", "priority": 9, "run_at": "2090-01-31T09:00:00+03:00"}
    status, changed = await patch(api, task["id"], body)
    assert status == 200
    assert changed == {
        **task,
        "queue": "urgent",
        "priority": 9,
        "run_at": "2090-01-31T06:00:00.000000Z",
        "version": 2,
        "updated_at": changed["updated_at"],
    }
    status, at_once = await patch(api, task["number"], {"delay_s": 0})
    assert (status, at_once["version"]) == (200, 3)
    assert at_once["run_at"] == at_once["updated_at"]


async def test_a_delay_is_from_now_on(api: Served, stage: Stage) -> None:
    task = await api.create()
    _, changed = await patch(api, task["id"], {"delay_s": 90.5})
    due = datetime.fromisoformat(changed["run_at"])
    assert abs(due - stage.clock.now() - timedelta(seconds=90.5)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"queue": None}, ""),
        ([], ""),
        ({"queue": "No Such"}, "/queue"),
        ({"priority": 10}, "/priority"),
        ({"priority": "9"}, "/priority"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": "2090-01-31T09:00:00"}, "/run_at"),
        ({"delay_s": -1}, "/delay_s"),
        ({"delay_s": 0, "run_at": "2090-01-31T09:00:00Z"}, "/delay_s"),
        ({"delay_s": 7200}, "/delay_s"),
        ({"payload": {}}, "/payload"),
        ({"type": "other"}, "/type"),
    ],
)
async def test_what_does_not_fit_is_refused_where_it_is(
    api: Served, stage: Stage, body: object, pointer: str
) -> None:
    task = await stage.created(expires_at=stage.clock.now() + timedelta(hours=1))
    status, problem = await patch(api, task.id, body)
    assert (status, problem["type"]) == (422, "/problems/invalid-input")
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert await stage.task(task.id) == task


async def test_what_does_not_wait_is_a_conflict_and_an_unknown_task_is_not_there(
    api: Served, stage: Stage
) -> None:
    taken = await stage.running(await stage.open_lease())
    status, problem = await patch(api, taken.task.id, {"priority": 9})
    assert (status, problem["type"]) == (409, "/problems/transition-refused")
    assert problem["action"] == "reschedule"
    status, problem = await patch(api, stage.ids(), {"priority": 9})
    assert (status, problem["type"]) == (404, "/problems/task-not-found")


async def test_a_tag_of_another_version_changes_nothing(api: Served) -> None:
    task = await api.create()
    status, problem = await patch(api, task["id"], {"priority": 9}, {"if-match": '"2.0"'})
    assert (status, problem["type"]) == (412, "/problems/version-mismatch")
    status, changed = await patch(api, task["id"], {"priority": 9}, {"if-match": '"1.0"'})
    assert (status, changed["priority"]) == (200, 9)


async def test_a_key_changes_tasks_of_its_queues_and_moves_them_where_it_may_create_them(
    required: Served, stage: Stage
) -> None:
    mail, other = await stage.created(queue="mail"), await stage.created(queue="other")
    grants = ("tasks:read queue=mail", "tasks:operate queue=mail", "tasks:create queue=bulk")
    key = shown(await a_new_key(stage.database, *grants))
    reader = shown(await a_new_key(stage.database, "tasks:read queue=mail", name="reader"))
    found = [
        await patch(required, task.id, body, headers)
        for task, body, headers in (
            (mail, {"priority": 9}, reader),
            (other, {"priority": 9}, key),
            (mail, {"queue": "other"}, key),
            (mail, {"priority": 9, "queue": "mail"}, key),
            (mail, {"queue": "bulk"}, key),
        )
    ]
    assert [status for status, _ in found] == [403, 404, 403, 200, 200]
    assert found[2][1]["scope"] == "tasks:create"
    assert (await stage.task(mail.id)).queue == "bulk"
    assert await stage.task(other.id) == other


@pytest.mark.parametrize(
    "more",
    [("tasks:read-secret queue=bulk",), ("worker queue=bulk",), ("worker type=emulate",), ()],
)
async def test_a_key_moves_no_secrets_to_where_only_there_it_would_see_them(
    required: Served, stage: Stage, more: tuple[str, ...]
) -> None:
    secret = await stage.created(
        queue="mail", payload='{"token": "x"}', payload_secrets='["/token"]'
    )
    plain = await stage.created(queue="mail", payload='{"token": "x"}')
    grants = ("tasks:read queue=mail,bulk", "tasks:operate queue=mail", "tasks:create queue=bulk")
    key = shown(await a_new_key(stage.database, *grants, *more))
    status, problem = await patch(required, secret.id, {"queue": "bulk"}, key)
    assert (await patch(required, plain.id, {"queue": "bulk"}, key))[0] == 200
    if not more or "queue=bulk" not in more[0]:
        assert (status, (await stage.task(secret.id)).queue) == (200, "bulk")
        return
    assert (status, problem["scope"]) == (403, "tasks:read-secret")
    assert await stage.task(secret.id) == secret
    seeing = await a_new_key(stage.database, *grants, *more, "tasks:read-secret queue=mail")
    assert (await patch(required, secret.id, {"queue": "bulk"}, shown(seeing)))[0] == 200


async def test_the_audit_log_has_what_was_asked_for_and_what_came_of_it(api: Served) -> None:
    task = await api.create()
    await patch(api, task["id"], {"priority": 9})
    await patch(api, task["id"], {"priority": 10})
    [entry] = (await api.get("/audit?action=task.reschedule")).json()["items"]
    assert (entry["target"], entry["outcome"]) == ({"type": "task", "id": task["id"]}, "done")
    assert (entry["details"]["priority"], entry["details"]["queue"]) == (9, "default")
