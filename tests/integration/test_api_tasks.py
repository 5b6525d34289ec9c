"""Tasks over HTTP: creating, reading, cancelling, retrying, and the headers."""

import asyncio

import httpx
import orjson
import pytest

from taskmill.domain.lifecycle import ErrorInfo, Failed, Succeeded
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS
from taskmill.wire.tasks import TaskView
from tests.support.api import Served
from tests.support.builders import AT_ONCE
from tests.support.safety import assert_safe
from tests.support.stage import Stage

UNKNOWN = "01970000-0000-7000-8000-000000000000"


async def test_the_response_to_a_created_task_has_its_address_and_its_tag(
    api: Served, stage: Stage
) -> None:
    created = await api.post("/tasks", {"name": "first", "labels": {"team": "a"}})
    assert created.status_code == 201
    task = TaskView.model_validate_json(created.content)
    assert created.headers["location"] == f"/tasks/{task.id}"
    assert created.headers["etag"] == '"1.0"'
    assert (task.name, task.status, task.source, task.labels) == (
        "first",
        "new",
        "rest",
        {"team": "a"},
    )
    read = await api.get(created.headers["location"])
    assert read.json() == created.json()
    await assert_safe(stage.sql)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.acme+json",
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "",
    ],
)
async def test_a_task_is_created_with_the_content_types_of_common_clients(
    api: Served, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = await api.post("/tasks", b'{"name":"first"}', headers=headers)
    assert response.status_code == 201, response.text


async def test_the_same_key_and_body_give_the_same_task_and_another_body_is_refused(
    api: Served, stage: Stage
) -> None:
    headers = {"idempotency-key": "order-1"}
    first = await api.post("/tasks", {"name": "a", "priority": 4}, headers=headers)
    again = await api.post("/tasks", b'{ "priority": 4, "name": "a" }', headers=headers)
    in_body = await api.post("/tasks", {"name": "a", "priority": 4, "idempotency_key": "order-1"})
    other = await api.post("/tasks", {"name": "b"}, headers=headers)
    assert [one.status_code for one in (first, again, in_body, other)] == [201, 200, 200, 422]
    assert first.json()["id"] == again.json()["id"] == in_body.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert other.json()["type"] == "/problems/idempotency-conflict"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1


async def test_requests_with_one_key_at_once_make_one_task(api: Served) -> None:
    async with asyncio.TaskGroup() as group:
        requests = [
            group.create_task(api.post("/tasks", {"name": "a", "idempotency_key": "k"}))
            for _ in range(20)
        ]
    responses = [request.result() for request in requests]
    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert len({response.json()["id"] for response in responses}) == 1


async def test_a_key_that_another_request_holds_is_waited_for_until_the_deadline(
    api: Served, stage: Stage
) -> None:
    async with stage.sql.transaction():
        await stage.sql.execute(
            "INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)"
            " VALUES ('rest', 'k', gen_random_uuid(), '\\x00', now() + interval '1 day')"
        )
        refused = await api.post("/tasks", {"name": "a", "idempotency_key": "k"})
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/key-in-flight"
    assert refused.headers["retry-after"] == "1"


async def test_an_unchanged_task_is_not_sent_again(api: Served) -> None:
    task = await api.create()
    path = f"/tasks/{task['id']}"
    for header in ('"1.0"', 'W/"1.0"', '"9.9", "1.0"', "*"):
        response = await api.get(path, headers={"if-none-match": header})
        assert (response.status_code, response.content, response.headers["etag"]) == (
            304,
            b"",
            '"1.0"',
        )
    for header in ('"2.0"', "1.0", "", "\xe9"):
        response = await api.get(path, headers={"if-none-match": header.encode("latin-1")})
        assert response.status_code == 200


async def test_head_is_served_like_get_without_the_body(api: Served) -> None:
    task = await api.create()
    for path in (f"/tasks/{task['id']}", "/tasks", "/healthz", "/openapi.json", "/docs"):
        head, get = await api.http.head(path), await api.get(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "content-encoding"):
            assert head.headers.get(name) == get.headers.get(name)


async def test_a_waiting_task_is_cancelled_at_once_and_a_finished_one_can_be_run_again(
    api: Served, stage: Stage
) -> None:
    task = await api.create()
    path = f"/tasks/{task['id']}"
    cancelled = await api.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.headers["etag"] == '"2.0"'
    again = await api.post(f"{path}/cancel")
    assert (again.status_code, again.json()["task_status"]) == (409, "cancelled")
    retried = await api.post(f"{path}/retry")
    assert (retried.status_code, retried.json()["status"], retried.json()["run"]) == (200, "new", 2)
    refused = await api.post(f"{path}/retry")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/transition-refused")
    events = (await api.get(f"{path}/events")).json()["items"]
    assert [event["event"] for event in events] == ["created", "cancelled", "run_again"]
    await assert_safe(stage.sql)


async def test_the_history_has_the_error_of_each_attempt(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    made = await stage.created(max_attempts=3, retry=AT_ONCE)
    for kind in ("First", "Second"):
        [taken] = await stage.take(lease_id)
        error = ErrorInfo(type=kind, message=f"the {kind.lower()} time")
        await stage.end(taken, lease_id, Failed(error=error))
    [taken] = await stage.take(lease_id)
    await stage.end(taken, lease_id, Succeeded())
    events = (await api.get(f"/tasks/{made.id}/events")).json()["items"]
    assert [(e["event"], e["attempt"], e["error"]) for e in events if e["event"] != "claimed"] == [
        ("created", 0, None),
        ("retry_scheduled", 1, {"type": "First", "message": "the first time"}),
        ("retry_scheduled", 2, {"type": "Second", "message": "the second time"}),
        ("succeeded", 3, None),
    ]
    assert (await api.get(f"/tasks/{made.id}")).json()["error"] is None


async def test_a_running_task_only_gets_a_cancel_request(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    path = f"/tasks/{taken.task.id}"
    header = await api.post(f"{path}/cancel")
    assert (header.status_code, header.json()["status"]) == (202, "in_progress")
    assert header.json()["cancel_requested"] is True
    await stage.end(taken, lease_id, Succeeded(result=orjson.dumps({"pages": 3}).decode()))
    finished = (await api.get(path)).json()
    assert (finished["status"], finished["result"]) == ("succeeded", {"pages": 3})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/tasks/{UNKNOWN}"),
        ("GET", f"/tasks/{UNKNOWN}/events"),
        ("POST", f"/tasks/{UNKNOWN}/cancel"),
        ("POST", f"/tasks/{UNKNOWN}/retry"),
    ],
)
async def test_an_unknown_task_is_not_found(api: Served, method: str, path: str) -> None:
    response = await api.http.request(method, path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["task_id"] == UNKNOWN


async def test_an_id_is_read_in_any_case_and_in_no_other_spelling(api: Served) -> None:
    task = await api.create()
    assert (await api.get(f"/tasks/{task['id'].upper()}")).json() == task
    bare = task["id"].replace("-", "")
    for spelled in (bare, f"{{{task['id']}}}", f"urn:uuid:{task['id']}", f"{bare}----"):
        response = await api.get(f"/tasks/{spelled}")
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "path:id")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"name":"a"}', {}),
        (b'{"nam":"a"}', {}),
        (b"not json", {}),
        (b'{"name":"a"}', {"content-type": "text/plain"}),
        (b'{"name":"a"}', {"content-type": "text/html"}),
        (b'{"name":"a"}', {"idempotency-key": "k" * 300}),
        (b"x" * 5000, {}),
    ],
)
async def test_the_frameworks_route_and_the_fast_path_have_the_same_responses(
    api: Served, body: bytes, headers: dict[str, str]
) -> None:
    transport = httpx.ASGITransport(api.app.framework)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as framework:
        routed = await framework.post("/tasks", content=body, headers=headers)
        hot = await api.post("/tasks", body, headers=headers)
        assert routed.status_code == hot.status_code
        of_layers = {
            "date",
            "x-request-id",
            *(name.decode() for name, _ in DEFAULT_RESPONSE_HEADERS),
        }
        assert sorted(routed.headers) == sorted(set(hot.headers) - of_layers)
        if hot.status_code != 201:
            assert routed.content == hot.content
            return
        path = hot.headers["location"]
        assert (await framework.get(path)).content == (await api.get(path)).content
        assert (await framework.get("/tasks/x")).content == (await api.get("/tasks/x")).content
