"""Requests and tasks that follow from each other are counted, so that a loop of them ends."""

import asyncio

import httpx
import orjson
import pytest
from aiohttp import web

from taskmill.app import Context
from taskmill.domain.webhooks import WebhookDraft
from tests.support.api import Served
from tests.support.endpoint import Received, an_endpoint, came
from tests.support.stage import Stage, a_webhooks
from tests.support.webhooks import a_webhooks_role, done, settled, subscribed
from tests.support.workers import WorkerOptions, a_worker

HOP = "taskmill-hop"


async def succeed(_: Context) -> object:
    return None


async def test_a_loop_of_a_webhook_that_creates_tasks_ends(stage: Stage, api: Served) -> None:
    """The receiver creates a task for each event, which ends, and has an event."""
    refused = asyncio.Event()
    statuses: list[int] = []

    async def create_another(received: Received) -> web.StreamResponse:
        headers = {"Taskmill-Hop": received.headers[HOP]}
        async with httpx.AsyncClient(base_url=api.url) as client:
            response = await client.post("/tasks", json={"name": "again"}, headers=headers)
        statuses.append(response.status_code)
        if response.status_code == 422:
            assert response.json()["errors"][0]["pointer"] == "header:Taskmill-Hop"
            refused.set()
        return web.Response()

    async with (
        an_endpoint(create_another) as endpoint,
        a_webhooks_role(stage),
        a_worker(stage, {"emulate": succeed}, WorkerOptions()),
    ):
        await subscribed(stage, endpoint.url)
        await api.create()
        async with asyncio.timeout(30):
            await refused.wait()
        await settled(stage, 6)
    assert [one.headers[HOP] for one in endpoint.received] == ["1", "2", "3", "4", "5", "6"]
    assert statuses == [201, 201, 201, 201, 201, 422]
    hops = await stage.sql.fetch(
        "SELECT labels ->> 'taskmill.hop' AS hop FROM taskmill.task ORDER BY id"
    )
    assert [row["hop"] for row in hops] == [None, "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(("labels", "hop"), [("{}", "1"), ('{"taskmill.hop": "3"}', "4")])
async def test_callbacks_and_webhooks_say_how_far_their_task_is(
    stage: Stage, labels: str, hop: str
) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        await subscribed(stage, f"{endpoint.url}/webhook")
        await done(stage, callback_url=f"{endpoint.url}/callback", labels=labels)
        await settled(stage, 2)
    assert {one.path: one.headers[HOP] for one in endpoint.received} == {
        "/webhook": hop,
        "/callback": hop,
    }


async def test_a_test_event_is_the_first_hop(stage: Stage) -> None:
    webhooks = a_webhooks(stage.database, stage.ids)
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        made, _ = await webhooks.create(WebhookDraft(url=endpoint.url), None)
        await webhooks.test(made.id)
        await came(endpoint, 1)
    assert endpoint.received[0].headers[HOP] == "1"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks", {"name": "x"}),
        ("/tasks/batch", [{"name": "x", "labels": {"a": "b"}}, {"name": "y"}]),
        ("/task_service/api/v1/task/", {"name": "x"}),
    ],
)
async def test_every_way_to_create_tasks_over_http_counts(
    stage: Stage, api: Served, path: str, body: object
) -> None:
    response = await api.post(path, body, headers={"Taskmill-Hop": "5"})
    assert response.status_code == 201, response.text
    rows = await stage.sql.fetch("SELECT labels ->> 'taskmill.hop' AS hop FROM taskmill.task")
    assert [row["hop"] for row in rows] == ["5"] * (len(body) if isinstance(body, list) else 1)
    response = await api.post(path, body, headers={"Taskmill-Hop": "6"})
    assert response.status_code == 422
    assert "loop" in response.text
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == len(rows)


async def test_lines_of_a_batch_count(stage: Stage, api: Served) -> None:
    lines = b'{"name": "x"}\nnonsense\n{"name": "y"}\n'
    headers = {"Content-Type": "application/x-ndjson", "Taskmill-Hop": "2"}
    response = await api.post("/tasks/batch", lines, headers=headers)
    results = [orjson.loads(line)["status"] for line in response.content.splitlines()]
    assert results == [201, 400, 201]
    rows = await stage.sql.fetch("SELECT labels ->> 'taskmill.hop' AS hop FROM taskmill.task")
    assert [row["hop"] for row in rows] == ["2", "2"]
    response = await api.post("/tasks/batch", lines, headers={**headers, "Taskmill-Hop": "6"})
    assert response.status_code == 422


async def test_a_repeated_request_is_the_same_one_however_far_it_is(api: Served) -> None:
    """The count is no part of the request that the key stands for."""
    key = {"Idempotency-Key": "once"}
    first = await api.post("/tasks", {"name": "x"}, headers={**key, "Taskmill-Hop": "1"})
    again = await api.post("/tasks", {"name": "x"}, headers={**key, "Taskmill-Hop": "2"})
    plain = await api.post("/tasks", {"name": "x"}, headers=key)
    assert [one.status_code for one in (first, again, plain)] == [201, 200, 200]
    assert {one.json()["id"] for one in (again, plain)} == {first.json()["id"]}
    assert first.json()["labels"] == {"taskmill.hop": "1"}


async def test_a_task_that_nothing_caused_has_no_count(api: Served) -> None:
    created = await api.create(labels={"a": "b"})
    assert created["labels"] == {"a": "b"}
