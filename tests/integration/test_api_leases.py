"""Workers in any language, over HTTP: leases, renewals, ends, progress, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from taskmill.domain.lifecycle import Status
from taskmill.settings import LimitSettings, PullSettings, Settings
from taskmill.storage import leases
from taskmill.wire.claims import ClaimEndView
from taskmill.wire.leases import LeaseView, RenewedLeaseView, ReturnedLeaseView
from taskmill.wire.task_log import LogPage
from tests.support.api import LIMITS, LogLines, Served, serving
from tests.support.auditing import found_in
from tests.support.polling import eventually
from tests.support.stage import Stage

WORKER = {"worker": "shell-1", "types": ["emulate"]}


async def take(api: Served, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a request
    """Take the due tasks, waiting up to seconds for the first one."""
    response = await api.post("/leases", {**WORKER, "wait_s": 10, **fields})
    assert response.status_code == 201, response.text
    LeaseView.model_validate_json(response.content)
    lease: dict[str, Any] = response.json()
    return lease


async def taken(api: Served, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - see above
    """Create a task and take it; returns it as the lease has it, and its fence."""
    created = await api.create(**fields)
    lease = await take(api)
    [task] = lease["tasks"]
    assert task["id"] == created["id"]
    return task, {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}


async def report(api: Served, task: dict[str, Any], what: str, body: object) -> httpx.Response:
    return await api.post(f"/tasks/{task['id']}/{what}", body)


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].rpartition("/")[2]


async def closed(stage: Stage, lease_id: str) -> str | None:
    reason: str | None = await stage.sql.fetchval(
        "SELECT close_reason FROM taskmill.lease WHERE id = $1 AND closed_at IS NOT NULL",
        UUID(lease_id),
    )
    return reason


async def test_a_lease_has_the_task_and_all_that_is_needed_to_run_it(
    api: Served, stage: Stage
) -> None:
    task, fence = await taken(
        api,
        payload={"a": [1, {"b": "ü"}]},
        labels={"team": "x"},
        timeout_s=7.5,
        max_attempts=3,
        queue="reports",
    )
    assert task["payload"] == {"a": [1, {"b": "ü"}]}
    assert task["labels"] == {"team": "x"}
    assert (task["attempt"], task["max_attempts"], task["claim_no"]) == (1, 3, 1)
    assert (task["timeout_s"], task["queue"], task["type"]) == (7.5, "reports", "emulate")
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert (now["status"], now["attempt"]) == ("in_progress", 1)
    [worker] = (await api.get("/workers")).json()["items"]
    assert (worker["id"], worker["name"], worker["remote"]) == (fence["lease_id"], "shell-1", True)
    assert (worker["slots"], worker["running"]) == (1, 1)
    why = (await api.get(f"/tasks/{task['id']}/explain")).json()
    assert why["blocker"] == "running"
    assert why["summary"].startswith("It runs on shell-1")
    assert await found_in(stage.database) == {}


async def test_without_due_tasks_the_response_is_empty_and_leaves_no_lease(
    api: Served, stage: Stage
) -> None:
    await api.create(type="other")
    await api.create(delay_s=3600)
    response = await api.post("/leases", {**WORKER, "limit": 10})
    assert (response.status_code, response.content) == (204, b"")
    response = await api.post("/leases", {**WORKER, "wait_s": 0.05})
    assert response.status_code == 204
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.lease") == 0


async def test_success_is_recorded_once_however_often_it_is_reported(
    api: Served, stage: Stage
) -> None:
    task, fence = await taken(api)
    body = {**fence, "result": {"pages": [1, 2.50, "ü"]}}
    for _ in range(2):
        response = await report(api, task, "finish", body)
        assert response.status_code == 200, response.text
        ClaimEndView.model_validate_json(response.content)
        assert response.json() == {
            "task_id": task["id"],
            "claim_no": 1,
            "event": "succeeded",
            "status": "succeeded",
            "reason": None,
            "run_at": None,
        }
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert (now["status"], now["result"]) == ("succeeded", {"pages": [1, 2.5, "ü"]})
    assert await closed(stage, fence["lease_id"]) == "finished"
    events = (await api.get(f"/tasks/{task['id']}/events")).json()["items"]
    assert [(e["event"], e["worker"]) for e in events[1:]] == [
        ("claimed", "shell-1"),
        ("succeeded", "shell-1"),
    ]
    assert problem(await report(api, task, "fail", {**fence, "error": {}})) == (409, "stale-fence")
    assert await found_in(stage.database) == {}


async def test_the_same_end_reported_twice_at_once_gets_the_same_response(
    api: Served, stage: Stage
) -> None:
    task, fence = await taken(api)
    async with asyncio.TaskGroup() as group:
        reports = [group.create_task(report(api, task, "finish", {**fence})) for _ in range(8)]
        other = group.create_task(report(api, task, "fail", {**fence, "error": {}}))
    responses = {response.result().status_code for response in reports}
    assert {*responses, other.result().status_code} == {200, 409}, "one kind of end won"
    assert len(responses) == 1
    assert await found_in(stage.database) == {}


async def test_a_failure_is_tried_again_by_the_tasks_policy(api: Served, stage: Stage) -> None:
    retry = {"base_s": 100, "factor": 1, "max_s": 100, "jitter": 0}
    task, fence = await taken(api, max_attempts=2, retry=retry)
    body = {**fence, "error": {"type": "ExitStatus", "message": "status 1"}}
    response = (await report(api, task, "fail", body)).json()
    assert (response["event"], response["status"]) == ("retry_scheduled", "new")
    assert response["reason"] == "error"
    assert (await report(api, task, "fail", body)).json() == response, "reported again"
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert now["error"] == {"type": "ExitStatus", "message": "status 1"}
    due_in = datetime.fromisoformat(now["run_at"]) - datetime.fromisoformat(now["updated_at"])
    assert due_in.total_seconds() == 100
    assert response["run_at"] == now["run_at"]
    assert await found_in(stage.database) == {}


async def test_a_worker_may_set_the_next_attempt_or_rule_it_out(api: Served) -> None:
    task, fence = await taken(api, max_attempts=5)
    response = await report(api, task, "fail", {**fence, "error": {}, "retry_after_s": 0})
    assert (response.json()["status"], response.json()["reason"]) == ("new", "retry_asked")
    lease = await take(api)
    fence = {"lease_id": lease["lease_id"], "claim_no": 2}
    assert lease["tasks"][0]["attempt"] == 2
    response = await report(api, task, "fail", {**fence, "error": {}, "permanent": True})
    assert (response.json()["status"], response.json()["reason"]) == ("failed", "permanent")
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert now["error"] == {"type": "Error", "message": ""}


async def test_a_renewal_shows_what_runs_and_what_to_stop(api: Served, stage: Stage) -> None:
    created = [await api.create() for _ in range(3)]
    lease = await take(api, limit=3, ttl_s=5)
    ids = sorted(task["id"] for task in created)
    assert sorted(task["id"] for task in lease["tasks"]) == ids
    path = f"/leases/{lease['lease_id']}/renew"
    response = await api.post(path)
    assert response.status_code == 200, response.text
    RenewedLeaseView.model_validate_json(response.content)
    renewed = response.json()
    assert (sorted(renewed["tasks"]), renewed["cancel"]) == (ids, [])
    assert renewed["ttl_s"] == 5
    assert renewed["expires_at"] > lease["expires_at"]
    assert (await api.post(f"/tasks/{ids[0]}/cancel")).status_code == 202
    fence = {"lease_id": lease["lease_id"], "claim_no": 1}
    await api.post(f"/tasks/{ids[1]}/finish", fence)
    renewed = (await api.post(path, {"ttl_s": 60})).json()
    assert (sorted(renewed["tasks"]), renewed["cancel"]) == ([ids[0], ids[2]], [ids[0]])
    assert renewed["ttl_s"] == 60
    assert await stage.sql.fetchval("SELECT running FROM taskmill.lease") == 2


async def test_only_a_requested_cancel_ends_the_task(api: Served, stage: Stage) -> None:
    task, fence = await taken(api)
    assert problem(await report(api, task, "cancelled", fence)) == (409, "cancel-not-asked")
    await api.post(f"/tasks/{task['id']}/cancel")
    for _ in range(2):
        response = await report(api, task, "cancelled", fence)
        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert (await stage.task(UUID(task["id"]))).attempt == 1
    late, fence = await taken(api)
    await api.post(f"/tasks/{late['id']}/cancel")
    response = await report(api, late, "finish", fence)
    assert response.json()["status"] == "succeeded", "a success wins"
    retried, fence = await taken(api, max_attempts=5)
    await api.post(f"/tasks/{retried['id']}/cancel")
    for _ in range(2):
        response = await report(api, retried, "fail", {**fence, "error": {}})
        assert response.json()["status"] == "cancelled", "it is not tried again"
    assert await found_in(stage.database) == {}


async def test_a_lease_that_is_handed_back_costs_nothing(api: Served, stage: Stage) -> None:
    created = [await api.create(max_attempts=1, max_losses=0) for _ in range(2)]
    lease = await take(api, limit=2)
    path = f"/leases/{lease['lease_id']}"
    await api.post(f"/tasks/{created[0]['id']}/cancel")
    response = await api.http.delete(path)
    ReturnedLeaseView.model_validate_json(response.content)
    assert sorted(response.json()["handed_back"]) == sorted(task["id"] for task in created)
    cancelled, waiting = [await stage.task(UUID(task["id"])) for task in created]
    assert (cancelled.status, waiting.status) == (Status.CANCELLED, Status.NEW)
    assert (waiting.attempt, waiting.losses) == (0, 0)
    assert await closed(stage, lease["lease_id"]) == "stopped"
    again = await api.http.delete(path)
    assert (again.status_code, again.json()["handed_back"]) == (200, [])
    assert problem(await api.post(f"{path}/renew")) == (409, "lease-closed")
    fence = {"lease_id": lease["lease_id"], "claim_no": 1}
    assert problem(await report(api, created[1], "finish", fence)) == (409, "stale-fence")
    assert (await take(api))["tasks"][0]["claim_no"] == 2
    assert await found_in(stage.database) == {}


async def test_progress_is_shown_and_moves_only_the_second_part_of_the_tag(
    api: Served, stage: Stage
) -> None:
    task, fence = await taken(api)
    path = f"/tasks/{task['id']}"
    before = await api.get(path)
    assert (before.headers["etag"], before.json()["progress"]) == ('"2.0"', None)
    response = await report(api, task, "progress", {**fence, "share": 0.4, "message": "page 4"})
    assert (response.status_code, response.content) == (204, b"")
    after = await api.get(path, headers={"If-None-Match": '"2.0"'})
    assert (after.status_code, after.headers["etag"]) == (200, '"2.1"')
    shown = after.json()["progress"]
    assert (shown["share"], shown["message"]) == (0.4, "page 4")
    assert (await api.get(path, headers={"If-None-Match": '"2.1"'})).status_code == 304
    poll = await api.get(path, headers={"If-None-Match": '"2.0"', "Prefer": "wait=1"})
    assert (poll.status_code, poll.headers["preference-applied"]) == (200, "wait")
    await report(api, task, "fail", {**fence, "error": {}})
    ended = (await api.get(path)).json()
    assert (ended["status"], ended["progress"]["message"]) == ("failed", "page 4")
    assert problem(await report(api, task, "progress", {**fence, "share": 1})) == (
        409,
        "stale-fence",
    )
    listed = (await api.get("/tasks")).json()["items"]
    assert listed[0]["progress"] == ended["progress"]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_progress") == 1


async def test_lines_are_stored_once_with_their_claim(api: Served) -> None:
    task, fence = await taken(api)
    warning_line = {
        "message": "page 4 is blank",
        "level": "warning",
        "fields": {"page": 4, "w": 1.50},
    }
    lines = [{"message": "began"}, {"message": "said", "level": "debug"}, warning_line]
    for _ in range(2):
        response = await report(api, task, "logs", {**fence, "first": 1, "lines": lines})
        assert (response.status_code, response.json()) == (200, {"left_out": 1}), "of debug"
    await report(api, task, "logs", {**fence, "first": 4, "lines": [{"message": "x" * 600}]})
    shown = LogPage.model_validate((await api.get(f"/tasks/{task['id']}/logs")).json()).items
    assert [(one.seq, one.level, one.claim_no) for one in shown] == [
        (1, "info", 1),
        (3, "warning", 1),
        (4, "info", 1),
    ]
    assert (shown[0].message, shown[0].fields, shown[0].logger) == ("began", None, None)
    assert (shown[1].message, shown[1].fields) == (warning_line["message"], {"page": 4, "w": 1.5})
    assert shown[2].message == "x" * 499 + "…"


async def test_a_claim_logs_no_more_than_its_bounds(api: Served, stage: Stage) -> None:
    task, fence = await taken(api)

    async def left_out(first: int, count: int, size: int) -> int:
        lines = [{"message": "x" * size}] * count
        response = await report(api, task, "logs", {**fence, "first": first, "lines": lines})
        found: int = response.json()["left_out"]
        return found

    assert await left_out(1, 5, 450) == 1, "2,000 bytes"
    assert await left_out(1, 5, 450) == 1, "what is there takes no room again"
    assert await left_out(6, 7, 1) == 2, "10 lines"
    assert await left_out(2**31 - 1001, 1, 1) == 1
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_log") == 9


@pytest.mark.parametrize("what", ["finish", "fail", "cancelled", "progress", "logs"])
async def test_a_fence_that_does_not_hold_changes_nothing(
    api: Served, stage: Stage, what: str
) -> None:
    task, fence = await taken(api)
    bodies: dict[str, dict[str, Any]] = {
        "fail": {"error": {}},
        "progress": {"share": 0.5},
        "logs": {"first": 1, "lines": [{"message": "x"}]},
    }
    own = bodies.get(what, {})
    version = (await stage.task(UUID(task["id"]))).version
    wrongs: list[dict[str, Any]] = [{"claim_no": 2}, {"lease_id": str(uuid4())}]
    for wrong in wrongs:
        response = await report(api, task, what, {**fence, **own, **wrong})
        assert problem(response) == (409, "stale-fence")
        assert response.json()["task_id"] == task["id"]
    response = await api.post(f"/tasks/{uuid4()}/{what}", {**fence, **own})
    assert problem(response) == (404, "task-not-found")
    assert (await stage.task(UUID(task["id"]))).version == version


async def test_a_workers_own_lease_is_unknown_over_http(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    running = await stage.running(lease_id)
    path = f"/leases/{lease_id}"
    assert problem(await api.post(f"{path}/renew")) == (404, "lease-not-found")
    assert problem(await api.http.delete(path)) == (404, "lease-not-found")
    fence = {"lease_id": str(lease_id), "claim_no": running.task.claim_no}
    response = await api.post(f"/tasks/{running.task.id}/finish", fence)
    assert problem(response) == (409, "stale-fence")
    assert (await stage.task(running.task.id)).status is Status.IN_PROGRESS


async def test_a_lease_that_was_taken_over_is_lost(api: Served, stage: Stage) -> None:
    task, fence = await taken(api)
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now()")
    assert (await api.post(f"/leases/{fence['lease_id']}/renew")).status_code == 200, "not yet"
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now()")
    assert await leases.close_expired(stage.database) == [UUID(fence["lease_id"])]
    response = await api.post(f"/leases/{fence['lease_id']}/renew")
    assert problem(response) == (409, "lease-closed")
    assert "expired" in response.json()["detail"]
    # Nobody has taken the task back yet: as for any worker, its result still counts.
    assert (await report(api, task, "finish", fence)).status_code == 200


async def test_only_the_queues_and_types_that_were_named_are_taken(api: Served) -> None:
    await api.create(queue="a", type="x")
    await api.create(queue="b", type="x")
    await api.create(queue="b", type="y")
    fields: dict[str, Any] = {"limit": 10, "queues": ["b"], "types": ["x", "z"]}
    [task] = (await take(api, **fields))["tasks"]
    assert (task["queue"], task["type"]) == ("b", "x")
    assert (await api.post("/leases", {**WORKER, **fields})).status_code == 204


async def test_the_most_urgent_come_first_and_a_paused_queue_gives_nothing(api: Served) -> None:
    for priority in (1, 9, 5):
        await api.create(priority=priority)
    await api.create(queue="paused", priority=9)
    await api.http.patch("/queues/paused", content=b'{"paused": true}')
    priorities = [
        (await take(api, wait_s=5))["tasks"][0]["priority"],
        (await take(api, wait_s=5))["tasks"][0]["priority"],
        (await take(api, wait_s=5))["tasks"][0]["priority"],
    ]
    assert priorities == [9, 5, 1]
    assert (await api.post("/leases", WORKER)).status_code == 204


async def test_bounds_are_cut_to_the_settings(stage: Stage) -> None:
    pull = PullSettings(tasks=2, longest_ttl_s=3, wait_s=0.05)
    async with serving(stage.service, Settings(limits=LIMITS, pull=pull)) as api:
        for _ in range(3):
            await api.create()
        lease = await take(api, limit=50, ttl_s=600, wait_s=3600)
        assert (len(lease["tasks"]), lease["ttl_s"]) == (2, 3)
        renewed = await api.post(f"/leases/{lease['lease_id']}/renew", {"ttl_s": 600})
        assert renewed.json()["ttl_s"] == 3
        await take(api)
        assert (await api.post("/leases", {**WORKER, "wait_s": 3600})).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"types": ["x"]}, "/worker"),
        ({"worker": "w"}, "/types"),
        ({"worker": "w", "types": []}, "/types"),
        ({"worker": "w", "types": ["*"]}, "/types/0"),
        ({"worker": "w", "types": ["x"] * 101}, "/types"),
        ({"worker": "w", "types": ["x"], "queues": ["Nope"]}, "/queues/0"),
        ({"worker": "", "types": ["x"]}, "/worker"),
        ({"worker": "w\n", "types": ["x"]}, "/worker"),
        ({"worker": "\x1b[2J", "types": ["x"]}, "/worker"),
        ({"worker": "w" * 201, "types": ["x"]}, "/worker"),
        ({"worker": "w\x00", "types": ["x"]}, "/worker"),
        ({"worker": "w", "types": ["x"], "limit": 0}, "/limit"),
        ({"worker": "w", "types": ["x"], "limit": 1001}, "/limit"),
        ({"worker": "w", "types": ["x"], "ttl_s": 0.5}, "/ttl_s"),
        ({"worker": "w", "types": ["x"], "wait_s": -1}, "/wait_s"),
        ({"worker": "w", "types": ["x"], "wait": 1}, "/wait"),
        ([], ""),
    ],
)
async def test_a_request_for_tasks_that_does_not_fit_is_refused(
    api: Served, body: object, pointer: str
) -> None:
    response = await api.post("/leases", body)
    assert problem(response) == (422, "invalid-input")
    assert response.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("what", "parts", "pointer"),
    [
        ("finish", {"claim_no": 0}, "/claim_no"),
        ("finish", {"claim_no": 2**31}, "/claim_no"),
        ("finish", {"lease_id": "{01a2104c-91d0-7000-8b1e-50f0c6ad9e5}"}, "/lease_id"),
        ("finish", {"result": "a\x00b"}, "/result"),
        ("finish", {"output": 1}, "/output"),
        ("fail", {}, "/error"),
        ("fail", {"error": {"type": "x" * 201}}, "/error/type"),
        ("fail", {"error": {"message": "a\x00b"}}, "/error/message"),
        ("fail", {"error": {"kind": "x"}}, "/error/kind"),
        ("fail", {"error": {}, "permanent": True, "retry_after_s": 1}, "/retry_after_s"),
        ("fail", {"error": {}, "retry_after_s": -1}, "/retry_after_s"),
        ("progress", {}, ""),
        ("progress", {"share": 1.1}, "/share"),
        ("progress", {"message": "x" * 501}, "/message"),
        ("progress", {"message": "\x00"}, "/message"),
        ("logs", {"lines": [{"message": "x"}]}, "/first"),
        ("logs", {"first": 0, "lines": [{"message": "x"}]}, "/first"),
        ("logs", {"first": 1, "lines": []}, "/lines"),
        ("logs", {"first": 1, "lines": [{"message": "x", "level": "loud"}]}, "/lines/0/level"),
        ("logs", {"first": 1, "lines": [{"message": "\x00"}]}, "/lines/0/message"),
        ("logs", {"first": 1, "lines": [{"message": "x", "fields": [1]}]}, "/lines/0/fields"),
        ("logs", {"first": 1, "lines": [{"message": "x"}, "y"]}, "/lines/1"),
        ("logs", {"first": 1, "lines": [{"message": "x", "levle": "info"}]}, "/lines/0/levle"),
        (
            "logs",
            {"first": 1, "lines": [{"message": "x", "fields": {"a": "x" * 300}}]},
            "/lines/0/fields",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    api: Served, stage: Stage, what: str, parts: dict[str, Any], pointer: str
) -> None:
    task, fence = await taken(api)
    response = await report(api, task, what, {**fence, **parts})
    assert problem(response) == (422, "invalid-input")
    assert response.json()["errors"][0]["pointer"] == pointer
    assert (await stage.task(UUID(task["id"]))).version == 2


async def test_a_result_that_is_too_large_is_refused_and_its_worker_may_fail_it(
    stage: Stage,
) -> None:
    limits = LimitSettings(body_bytes=1000, result_bytes=2000)
    async with serving(stage.service, Settings(limits=limits)) as api:
        task, fence = await taken(api)
        response = await report(api, task, "finish", {**fence, "result": "x" * 2000})
        assert problem(response) == (422, "invalid-input")
        assert response.json()["errors"][0] == {
            "pointer": "/result",
            "expected": "at most 2000 bytes of JSON without spacing",
            "got": "2002 bytes",
        }
        response = await report(api, task, "finish", {**fence, "result": "x" * 10_000})
        assert problem(response) == (413, "too-large")
        response = await report(api, task, "finish", {**fence, "result": "x" * 1998})
        assert response.status_code == 200


async def test_unknown_parameters_and_methods_are_refused(api: Served) -> None:
    response = await api.post("/leases?limit=3", WORKER)
    assert problem(response) == (422, "invalid-input")
    response = await api.get("/leases")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    response = await api.http.delete("/leases/nonsense")
    assert response.json()["errors"][0]["pointer"] == "path:id"
    assert problem(await api.http.delete(f"/leases/{uuid4()}")) == (404, "lease-not-found")
    assert problem(await api.post(f"/leases/{uuid4()}/renew")) == (404, "lease-not-found")
    assert problem(await api.post(f"/leases/{uuid4()}/renew", [])) == (422, "invalid-input")


async def test_the_log_has_a_tasks_transitions(api: Served, log_lines: LogLines) -> None:
    task, fence = await taken(api)
    await report(api, task, "fail", {**fence, "error": {"type": "Boom", "message": "secret"}})
    [claimed] = log_lines.named("task.claimed")
    [failed] = log_lines.named("task.failed")
    for line in (claimed, failed):
        assert (line["task_id"], line["worker"], line["claim_no"]) == (task["id"], "shell-1", 1)
    assert (failed["error_type"], failed["reason"]) == ("Boom", "error")
    assert "secret" not in orjson.dumps(failed).decode()


@pytest.fixture
async def two(stage: Stage) -> AsyncIterator[tuple[Served, Served]]:
    """Two API processes' worth of servers over one database."""
    async with serving(stage.service) as first, serving(stage.service) as second:
        yield first, second


async def test_two_servers_never_give_one_task_twice(
    two: tuple[Served, Served], stage: Stage
) -> None:
    for _ in range(5):
        await two[0].post("/tasks/batch", [{"name": "n"}] * 40)
    got: list[str] = []

    async def work(api: Served) -> None:
        while True:
            response = await api.post("/leases", {**WORKER, "limit": 7, "wait_s": 0.3})
            if response.status_code == 204:
                return
            lease = response.json()
            got.extend(task["id"] for task in lease["tasks"])
            for task in lease["tasks"]:
                fence = {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}
                other = two[0] if api is two[1] else two[1]
                assert (await report(other, task, "finish", fence)).status_code == 200

    async with asyncio.TaskGroup() as group:
        for api in two * 4:
            group.create_task(work(api))
    assert len(got) == len(set(got)) == 200
    assert (
        await stage.sql.fetchval("SELECT count(*) FROM taskmill.lease WHERE closed_at IS NULL") == 0
    )
    assert await found_in(stage.database) == {}


async def test_a_new_task_goes_to_a_waiting_call(api: Served, stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(take(api, wait_s=10))

        async def is_waiting() -> bool:
            return len(api.app._context.pull._claims._calls) == 1

        await eventually(is_waiting, "the call to wait")
        await stage.created()
        lease = await waiting
    assert len(lease["tasks"]) == 1
