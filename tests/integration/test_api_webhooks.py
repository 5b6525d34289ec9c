"""Webhooks over HTTP: subscribing, changing, what is shown, and what never is."""

import asyncio
from typing import Any

import pytest
from standardwebhooks import Webhook

from taskmill.domain.signing import MASKED, is_secret, secret_of
from taskmill.domain.webhooks import DeliveryState
from taskmill.settings import OutboundSettings
from taskmill.storage import webhooks as rows
from taskmill.wire.tasks import CreatedTaskView
from taskmill.wire.webhooks import CallbackView, DeliveryList, WebhookList, WebhookView
from tests.support.api import SETTINGS, LogLines, Served, serving
from tests.support.endpoint import an_endpoint
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_webhooks
from tests.support.webhooks import a_webhooks_role, done, settled

URL = "https://example.org/hooks?token=t0ken"
NOWHERE = "01970000-0000-7000-8000-000000000000"
MINE = secret_of(b"m" * 32)


async def subscribe(api: Served, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a webhook
    response = await api.post("/webhooks", {"url": URL, **fields})
    assert response.status_code == 201, response.text
    webhook: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/webhooks/{webhook['id']}"
    WebhookView.model_validate(webhook)
    return webhook


async def test_a_webhook_is_shown_as_it_was_made_but_for_its_secret(api: Served) -> None:
    made = await subscribe(api, queues=["b", "a", "b"], statuses=["failed"], description="d")
    assert is_secret(made["secret"])
    shown = (await api.get(f"/webhooks/{made['id']}")).json()
    assert shown == {**made, "secret": MASKED}
    assert (shown["queues"], shown["types"], shown["statuses"]) == (["b", "a"], [], ["failed"])
    assert (shown["state"], shown["disabled_reason"], shown["failing_since"]) == (
        "enabled",
        None,
        None,
    )
    second = await subscribe(api)
    assert second["statuses"] == ["cancelled", "failed", "succeeded"]
    listed = WebhookList.model_validate((await api.get("/webhooks")).json())
    assert [(str(one.id), one.secret) for one in listed.items] == [
        (made["id"], MASKED),
        (second["id"], MASKED),
    ]


async def test_an_address_that_is_not_called_is_accepted_with_a_warning(api: Served) -> None:
    made = await subscribe(api, url="http://127.0.0.1:9000/hooks")
    assert "TASKMILL_OUTBOUND__ALLOW=127.0.0.1" in made["warning"]
    shown = await api.get(f"/webhooks/{made['id']}")
    assert shown.json()["warning"] == made["warning"]
    changed = await api.http.patch(f"/webhooks/{made['id']}", json={"url": URL})
    assert "warning" not in changed.json()
    changed = await api.http.patch(f"/webhooks/{made['id']}", json={"url": "http://localhost/"})
    assert "localhost is not a public address" in changed.json()["warning"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["fast path", "framework"])
async def test_a_callback_that_is_not_called_is_accepted_with_a_warning(
    api: Served, headers: dict[str, str]
) -> None:
    body = {"name": "t", "callback_url": "http://127.0.0.1:9000/done"}
    made = await api.http.post("/tasks", json=body, headers=headers)
    assert made.status_code == 201, made.text
    CreatedTaskView.model_validate_json(made.content)
    assert "TASKMILL_OUTBOUND__ALLOW=127.0.0.1" in made.json()["warning"]
    assert "warning" not in (await api.get(f"/tasks/{made.json()['id']}")).json()
    well = await api.http.post("/tasks", json={"name": "t", "callback_url": URL})
    assert "warning" not in well.json()


async def test_an_allowed_network_causes_no_warning(stage: Stage) -> None:
    settings = SETTINGS.model_copy(update={"outbound": OutboundSettings(allow=("127.0.0.0/8",))})
    async with serving(stage.service, settings) as api:
        assert "warning" not in await subscribe(api, url="http://127.0.0.1:9000/hooks")


async def test_a_secret_may_be_brought_and_is_never_shown_again(
    api: Served, log_lines: LogLines
) -> None:
    made = await subscribe(api, secret=MINE)
    assert made["secret"] == MINE
    responses = [
        await api.get(f"/webhooks/{made['id']}"),
        await api.get("/webhooks"),
        await api.http.patch(f"/webhooks/{made['id']}", json={"description": "x"}),
        await api.get(f"/webhooks/{made['id']}/deliveries"),
        await api.post("/webhooks", {"url": URL, "secret": MINE[:-3]}),
        await api.post("/webhooks", {"url": 5, "secret": MINE, "statuses": []}),
    ]
    assert [a.status_code for a in responses] == [200, 200, 200, 200, 422, 422]
    assert all(MINE[:20] not in response.text for response in responses)
    [line] = log_lines.named("webhook.created")
    assert line["webhook_id"] == made["id"]
    assert MINE[6:] not in str(line)
    assert "t0ken" not in str(line)


async def test_a_rotated_secret_is_shown_once(api: Served) -> None:
    made = await subscribe(api)
    response = await api.http.patch(f"/webhooks/{made['id']}", json={"rotate_secret": True})
    rotated = response.json()["secret"]
    assert is_secret(rotated)
    assert rotated != made["secret"]
    assert (await api.get(f"/webhooks/{made['id']}")).json()["secret"] == MASKED


async def test_only_what_is_named_is_changed(api: Served) -> None:
    made = await subscribe(api, queues=["a"], description="d", types=["t"])
    url = f"/webhooks/{made['id']}"
    assert (await api.http.patch(url, json={})).json()["queues"] == ["a"]
    changed = (await api.http.patch(url, json={"state": "paused", "queues": []})).json()
    assert {name for name in made if changed[name] != made[name]} == {
        *("state", "queues", "secret", "updated_at")
    }
    assert (await api.http.patch(url, json={"description": None})).json()["description"] is None
    moved = (
        await api.http.patch(url, json={"url": "http://example.org/", "state": "enabled"})
    ).json()
    assert (moved["url"], moved["state"], moved["types"]) == (
        "http://example.org/",
        "enabled",
        ["t"],
    )


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/url"]),
        ({"url": "ftp://x"}, ["/url"]),
        ({"url": "http://u:p@h/"}, ["/url"]),
        ({"url": URL, "statuses": []}, ["/statuses"]),
        ({"url": URL, "statuses": ["done"]}, ["/statuses/0"]),
        ({"url": URL, "statuses": [1]}, ["/statuses/0"]),
        ({"url": URL, "queues": ["A"]}, ["/queues/0"]),
        ({"url": URL, "types": "a"}, ["/types"]),
        ({"url": URL, "queues": ["a"] * 101}, ["/queues"]),
        ({"url": URL, "state": "disabled"}, ["/state"]),
        ({"url": URL, "sectet": MINE}, ["/sectet"]),
        ({"url": URL, "secret": "whsec_short"}, ["/secret"]),
        ({"url": URL, "description": "x" * 10_001}, ["/description"]),
        ([], [""]),
    ],
)
async def test_a_bad_request_is_refused_where_it_is_wrong(
    api: Served, body: object, pointers: list[str]
) -> None:
    response = await api.post("/webhooks", body)
    assert response.status_code == (413 if len(str(body)) > 4096 else 422), response.text
    if response.status_code == 422:
        assert [error["pointer"] for error in response.json()["errors"]] == pointers
    assert (await api.get("/webhooks")).json() == {"items": []}


@pytest.mark.parametrize(
    "body",
    [{"url": None}, {"state": "disabled"}, {"rotate_secret": 1}, {"secret": MINE}, {"id": 1}],
)
async def test_a_bad_change_is_refused(api: Served, body: dict[str, object]) -> None:
    made = await subscribe(api)
    response = await api.http.patch(f"/webhooks/{made['id']}", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{next(iter(body))}"]


async def test_unknown_ids_are_not_found_and_malformed_ones_refused(api: Served) -> None:
    made = await subscribe(api)
    for method, path in (
        *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")),
        ("POST", "/deliveries/1/resend"),
    ):
        body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        response = await api.http.request(method, f"/webhooks/{NOWHERE}{path}", **body)
        assert response.status_code == 404, path
        assert response.json()["type"] == "/problems/webhook-not-found"
        response = await api.http.request(method, f"/webhooks/x{path}", **body)
        assert response.status_code == 422, path
    for number, code in (("1", 404), ("9" * 18, 404), ("0", 422), ("9" * 19, 422), ("²", 422)):
        response = await api.post(f"/webhooks/{made['id']}/deliveries/{number}/resend")
        assert response.status_code == code, number
    assert (await api.get(f"/tasks/{NOWHERE}/deliveries")).status_code == 404
    assert (await api.get("/webhooks?a=b")).status_code == 422


async def test_a_deleted_webhook_is_gone(api: Served) -> None:
    made = await subscribe(api)
    response = await api.http.delete(f"/webhooks/{made['id']}")
    assert (response.status_code, response.content) == (204, b"")
    for method in ("GET", "DELETE"):
        response = await api.http.request(method, f"/webhooks/{made['id']}")
        assert response.status_code == 404
    assert (await api.get("/webhooks")).json() == {"items": []}


async def test_the_number_of_webhooks_is_limited(stage: Stage) -> None:
    webhooks = a_webhooks(stage.database, stage.ids, limit=2)
    async with serving(stage.service, webhooks=webhooks) as api:
        first = await subscribe(api)
        await subscribe(api)
        response = await api.post("/webhooks", {"url": URL})
        assert response.status_code == 422
        problem = response.json()
        assert (problem["type"], problem["limit"]) == ("/problems/webhook-limit-reached", 2)
        await api.http.delete(f"/webhooks/{first['id']}")
        await subscribe(api)


async def test_deliveries_are_listed_in_pages_the_newest_first(api: Served, stage: Stage) -> None:
    made = await subscribe(api)
    for _ in range(5):
        assert (await api.post(f"/webhooks/{made['id']}/test")).status_code == 202
    await stage.sql.execute(
        "UPDATE taskmill.webhook_delivery SET state = 'failed', finished_at = now() WHERE id % 2 = 0"
    )
    url: str | None = f"/webhooks/{made['id']}/deliveries?limit=2"
    found, cursor = [], None
    while url is not None:
        page = DeliveryList.model_validate((await api.get(url)).json())
        found += page.items
        cursor = page.next_cursor
        url = cursor and f"/webhooks/{made['id']}/deliveries?limit=2&cursor={cursor}"
    assert [one.id for one in found] == sorted((one.id for one in found), reverse=True)
    assert len(found) == 5
    failed = (await api.get(f"/webhooks/{made['id']}/deliveries?state=failed")).json()["items"]
    assert {one["state"] for one in failed} == {"failed"}
    assert len(failed) == sum(one.state is DeliveryState.FAILED for one in found)
    both = await api.get(f"/webhooks/{made['id']}/deliveries?state=failed&state=pending")
    assert len(both.json()["items"]) == 5
    for query, code in (
        *(("state=x", 422), ("limit=0", 422), ("limit=501", 422), ("a=b", 422)),
        *(("cursor=x", 400), ("cursor=AAAA", 400), ("state=", 422)),
    ):
        response = await api.get(f"/webhooks/{made['id']}/deliveries?{query}")
        assert response.status_code == code, query


async def test_nothing_is_sent_to_a_webhook_that_is_paused_or_disabled(
    api: Served, stage: Stage
) -> None:
    made = await subscribe(api, state="paused")
    delivery = (await api.post(f"/webhooks/{(await subscribe(api))['id']}/test")).json()
    for path in ("test", f"deliveries/{delivery['id']}/resend"):
        response = await api.post(f"/webhooks/{made['id']}/{path}")
        assert (response.status_code, response.json()["type"]) == (
            409,
            "/problems/webhook-inactive",
        )
    await rows.disable(stage.database, made["id"], "it is gone")
    shown = (await api.get(f"/webhooks/{made['id']}")).json()
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "it is gone")
    assert (await api.post(f"/webhooks/{made['id']}/test")).status_code == 409
    enabled = await api.http.patch(f"/webhooks/{made['id']}", json={"state": "enabled"})
    assert (enabled.json()["state"], enabled.json()["disabled_reason"]) == ("enabled", None)
    assert (await api.post(f"/webhooks/{made['id']}/test")).status_code == 202


async def test_another_webhooks_delivery_is_not_sent_again(api: Served) -> None:
    first, second = await subscribe(api), await subscribe(api)
    delivery = (await api.post(f"/webhooks/{first['id']}/test")).json()
    response = await api.post(f"/webhooks/{second['id']}/deliveries/{delivery['id']}/resend")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/delivery-not-found")


async def test_a_task_with_a_callback_url_shows_its_deliveries(api: Served, stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        task = await api.create(callback_url=f"{endpoint.url}/done", delay_s=1000)
        path = f"/tasks/{task['id']}/deliveries"
        assert (await api.get(path)).json() == {"callback_url": f"{endpoint.url}/done", "items": []}
        assert task["callback_url"] == f"{endpoint.url}/done"
        await api.post(f"/tasks/{task['id']}/cancel")
        await settled(stage, 1)
        shown = CallbackView.model_validate((await api.get(path)).json())
        [delivery] = shown.items
        assert (delivery.state, delivery.response_status, delivery.version) == ("delivered", 200, 2)
        assert delivery.webhook_id is None
        [received] = endpoint.received
        assert received.path == "/done"
    plain = await api.create()
    response = await api.get(f"/tasks/{plain['id']}/deliveries")
    assert response.json() == {"callback_url": None, "items": []}


async def test_callbacks_of_a_batch_and_of_a_repeated_key(api: Served, stage: Stage) -> None:
    tasks = [{"name": "x", "callback_url": f"http://example.org/{n}"} for n in range(3)]
    made = await api.post("/tasks/batch", [*tasks, {"name": "y"}])
    assert made.status_code == 201
    body = {"name": "z", "idempotency_key": "k", "callback_url": "http://example.org/k"}
    assert (await api.post("/tasks", body)).status_code == 201
    assert (await api.post("/tasks", body)).status_code == 200
    changed = {**body, "callback_url": "http://example.org/other"}
    assert (await api.post("/tasks", changed)).status_code == 422
    rows = await stage.sql.fetch("SELECT url FROM taskmill.task_callback ORDER BY url")
    assert [row["url"] for row in rows] == [f"http://example.org/{n}" for n in (0, 1, 2, "k")]


async def test_two_changes_of_a_webhook_at_once_both_take_effect(api: Served) -> None:
    made = await subscribe(api)
    url = f"/webhooks/{made['id']}"
    async with asyncio.TaskGroup() as group:
        for change in ({"queues": ["a"]}, {"types": ["b"]}, {"description": "c"}):
            group.create_task(api.http.patch(url, json=change))
    shown = (await api.get(url)).json()
    assert (shown["queues"], shown["types"], shown["description"]) == (["a"], ["b"], "c")


async def test_a_webhooks_deliveries_can_be_verified(api: Served, stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        response = await api.post("/webhooks", {"url": endpoint.url, "secret": MINE})
        assert response.status_code == 201
        task = await done(stage)
        await settled(stage, 1)
        await assert_safe(stage.sql)
        [received] = endpoint.received
        assert Webhook(MINE).verify(received.body, received.headers)["subject"] == str(task.id)
