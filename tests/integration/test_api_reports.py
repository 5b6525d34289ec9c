"""What workers report over HTTP: ends, progress and log lines, each only by who holds the claim."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from taskmill.settings import LimitSettings, Settings
from taskmill.wire.claims import ClaimEndView
from taskmill.wire.task_log import LogPage
from tests.support.api import LogLines, Served, serving
from tests.support.explanations import explained, facts_of
from tests.support.remote_work import closed, problem, report, take, taken
from tests.support.stage import Stage
from tests.support.verifying import found_in


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
    assert (response.json()["status"], response.json()["reason"]) == ("new", "retry_requested")
    lease = await take(api)
    fence = {"lease_id": lease["lease_id"], "claim_no": 2}
    assert lease["tasks"][0]["attempt"] == 2
    response = await report(api, task, "fail", {**fence, "error": {}, "permanent": True})
    assert (response.json()["status"], response.json()["reason"]) == ("failed", "permanent")
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert now["error"] == {"type": "Error", "message": ""}


async def test_a_retry_that_was_recorded_by_its_name_of_before_has_todays(
    api: Served, stage: Stage
) -> None:
    """In the response to the same report, in the history and in the explanation."""
    task, fence = await taken(api, max_attempts=5)
    body = {**fence, "error": {}, "retry_after_s": 100}
    response = (await report(api, task, "fail", body)).json()
    await stage.sql.execute(
        "UPDATE taskmill.task_event SET reason = 'retry_asked' WHERE reason = 'retry_requested'"
    )
    assert response["reason"] == "retry_requested"
    assert (await report(api, task, "fail", body)).json() == response
    events = await stage.service.reading.events(UUID(task["id"]))
    assert events[-1].reason == "retry_requested"
    facts = facts_of(await explained(api, task["id"]), "not_due")
    assert (facts["delay"], facts["reason"]) == ("backoff", "retry_requested")


async def test_only_a_requested_cancel_ends_the_task(api: Served, stage: Stage) -> None:
    task, fence = await taken(api)
    assert problem(await report(api, task, "cancelled", fence)) == (409, "cancel-not-requested")
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


async def test_the_log_has_a_tasks_transitions(api: Served, log_lines: LogLines) -> None:
    task, fence = await taken(api)
    await report(api, task, "fail", {**fence, "error": {"type": "Boom", "message": "secret"}})
    [claimed] = log_lines.named("task.claimed")
    [failed] = log_lines.named("task.failed")
    for line in (claimed, failed):
        assert (line["task_id"], line["worker"], line["claim_no"]) == (task["id"], "shell-1", 1)
    assert (failed["error_type"], failed["reason"]) == ("Boom", "error")
    assert "secret" not in orjson.dumps(failed).decode()
