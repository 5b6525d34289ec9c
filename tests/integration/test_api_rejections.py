"""Refused messages over HTTP: listing, showing, and sending again."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill.domain.errors import InvalidInput, TaskmillError, TooLarge
from taskmill.storage import rejections as rows
from taskmill.wire.messages import CreationMessage, MessageLimits, message_draft, refused_message
from taskmill.wire.rejections import RejectionList, RejectionView
from tests.support.api import Served
from tests.support.safety import assert_safe
from tests.support.stage import Stage

NOWHERE = "01970000-0000-7000-8000-000000000000"


async def refuse(stage: Stage, body: bytes, **parts: Any) -> UUID:  # noqa: ANN401 - the message's own
    """Store a message as the intake does."""
    message = CreationMessage(body=body, **parts)
    try:
        message_draft(message, MessageLimits(body_bytes=50))
    except TaskmillError as error:
        refused = refused_message(message, error)
    else:
        refused = refused_message(message, InvalidInput.at("/name", "another one", "this one"))
    service = stage.service.rejections
    [rejection_id] = await service.store(service.with_ids([refused]))
    return rejection_id


async def resend(api: Served, rejection_id: UUID | str) -> httpx.Response:
    return await api.post(f"/rejections/{rejection_id}/resend")


async def test_a_refused_message_is_shown_with_its_body_and_its_reason(
    api: Served, stage: Stage
) -> None:
    rejection_id = await refuse(
        stage,
        b'{"name":""}',
        message_id="order-1",
        priority=3,
        headers={"tenant": "north", "odd": b"\xff", "nul": "a\x00b"},
    )
    response = await api.get(f"/rejections/{rejection_id}")
    assert response.status_code == 200
    view = RejectionView.model_validate_json(response.content)
    assert (view.id, view.source, view.message_id) == (rejection_id, "amqp", "order-1")
    assert (view.status, view.problem.type) == (422, "/problems/invalid-input")
    assert (view.body, view.body_encoding, view.body_bytes) == ('{"name":""}', "utf-8", 11)
    assert view.properties["priority"] == 3
    assert view.properties["headers"]["tenant"] == "north"
    assert (view.redeliveries, view.resent_at, view.task_id) == (0, None, None)


async def test_a_list_goes_page_by_page_from_the_newest_on(api: Served, stage: Stage) -> None:
    made = [await refuse(stage, b"rubbish %d" % n) for n in range(5)]
    seen: list[UUID] = []
    cursor: str | None = None
    sizes = []
    while True:
        parameters = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        response = await api.get("/rejections", params=parameters)
        assert response.status_code == 200
        page = RejectionList.model_validate_json(response.content)
        seen += [item.id for item in page.items]
        sizes.append(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == made[::-1]
    assert sizes == [2, 2, 1]
    full = RejectionList.model_validate_json((await api.get("/rejections?limit=5")).content)
    assert full.next_cursor is None


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", f"/rejections/{NOWHERE}", 404, "rejection-not-found"),
        ("POST", f"/rejections/{NOWHERE}/resend", 404, "rejection-not-found"),
        ("GET", "/rejections/1", 422, "invalid-input"),
        ("POST", "/rejections/1/resend", 422, "invalid-input"),
        ("GET", f"/rejections/{NOWHERE}?x=1", 422, "invalid-input"),
        ("GET", "/rejections?limit=0", 422, "invalid-input"),
        ("GET", "/rejections?limit=501", 422, "invalid-input"),
        ("GET", "/rejections?status=400", 422, "invalid-input"),
        ("GET", "/rejections?cursor=rubbish", 400, "bad-cursor"),
        ("GET", "/rejections?cursor=", 400, "bad-cursor"),
    ],
)
async def test_requests_that_do_not_fit_are_refused(
    api: Served, method: str, path: str, status: int, kind: str
) -> None:
    response = await api.http.request(method, path)
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")


async def test_a_cursor_of_tasks_leads_to_no_refused_message(api: Served) -> None:
    await api.create()
    await api.create()
    cursor = (await api.get("/tasks?limit=1")).json()["next_cursor"]
    response = await api.get("/rejections", params={"cursor": cursor})
    assert response.json()["type"] == "/problems/bad-cursor"


async def test_what_is_right_now_becomes_one_task_however_often_it_is_sent(
    api: Served, stage: Stage
) -> None:
    rejection_id = await refuse(
        stage, b'{"name":"a","description":"%s"}' % (b"x" * 100), priority=8
    )
    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(resend(api, rejection_id)) for _ in range(5)]
    responses = [response.result() for response in sent]
    assert sorted(response.status_code for response in responses) == [200] * 4 + [201]
    assert len({response.json()["id"] for response in responses}) == 1
    task = responses[0].json()
    assert responses[0].headers["location"] == f"/tasks/{task['id']}"
    assert (task["source"], task["priority"]) == ("amqp", 8)
    assert (await resend(api, rejection_id)).status_code == 200
    view = (await api.get(f"/rejections/{rejection_id}")).json()
    assert view["task_id"] == task["id"]
    assert view["resent_at"] is not None
    await assert_safe(stage.sql)


async def test_the_message_id_of_a_message_that_is_sent_again_is_its_key(
    api: Served, stage: Stage
) -> None:
    body = b'{"name":"a","description":"%s"}' % (b"x" * 100)
    rejection_id = await refuse(stage, body, message_id="order-1")
    draft = message_draft(CreationMessage(body=body, message_id="order-1"), MessageLimits())
    task = (await stage.creation.create(draft)).task
    response = await resend(api, rejection_id)
    assert (response.status_code, response.json()["id"]) == (200, str(task.id))


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"rubbish", 400, "malformed-json"),
        (b'{"name":""}', 422, "invalid-input"),
        (b'{"name":"%s"}' % (b"x" * 2**20), 413, "too-large"),
    ],
)
async def test_what_is_still_wrong_is_refused_again_and_stays(
    api: Served, stage: Stage, body: bytes, status: int, kind: str
) -> None:
    rejection_id = await refuse(stage, body)
    response = await resend(api, rejection_id)
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")
    assert (await api.get(f"/rejections/{rejection_id}")).json()["resent_at"] is None


async def test_a_used_key_is_refused_again(api: Served, stage: Stage) -> None:
    first = message_draft(CreationMessage(body=b'{"name":"a"}', message_id="k"), MessageLimits())
    await stage.creation.create(first)
    rejection_id = await refuse(stage, b'{"name":"b"}', message_id="k")
    response = await resend(api, rejection_id)
    assert (response.status_code, response.json()["type"]) == (
        422,
        "/problems/idempotency-conflict",
    )


async def test_storing_the_same_messages_again_after_a_lost_reply_makes_no_second_row(
    stage: Stage,
) -> None:
    service = stage.service.rejections
    refused = [
        refused_message(CreationMessage(body=b"x", message_id=message_id), TooLarge(1))
        for message_id in (None, "one", "one", None)
    ]
    new = service.with_ids(refused)
    first = await service.store(new)
    again = await service.store(new)
    assert first == again
    assert first[1] == first[2]
    assert len(set(first)) == 3
    found = await stage.sql.fetch("SELECT redeliveries FROM taskmill.rejection ORDER BY 1")
    assert [row["redeliveries"] for row in found] == [0, 0, 1]


async def test_a_message_that_is_stored_twice_at_the_same_time_is_one(stage: Stage) -> None:
    service = stage.service.rejections
    messages = [
        refused_message(CreationMessage(body=b"x", message_id=f"{n}"), TooLarge(1))
        for n in range(20)
    ]
    async with asyncio.TaskGroup() as group:
        stored = [
            group.create_task(service.store(service.with_ids(order)))
            for order in (messages, messages[::-1]) * 3
        ]
    ids = {tuple(sorted(one.result())) for one in stored}
    assert len(ids) == 1
    found = await stage.sql.fetch("SELECT redeliveries FROM taskmill.rejection")
    assert [row["redeliveries"] for row in found] == [5] * 20


async def test_old_ones_are_deleted_and_recent_ones_are_not(stage: Stage) -> None:
    old = await refuse(stage, b"old")
    bound = stage.clock.now() + timedelta(milliseconds=1)
    assert await rows.prune(stage.maintenance_database, bound - timedelta(days=1), 10) == 0
    assert await rows.prune(stage.maintenance_database, bound, 10) == 1
    recent = await refuse(stage, b"young")
    assert await rows.prune(stage.maintenance_database, bound - timedelta(days=1), 10) == 0
    page = await stage.service.rejections.page(before=None, limit=10)
    assert [item.id for item in page] == [recent] != [old]


async def test_a_task_that_was_made_in_between_is_not_touched(api: Served, stage: Stage) -> None:
    task = await stage.created()
    rejection_id = await refuse(stage, b"rubbish")
    await stage.sql.execute(
        "UPDATE taskmill.rejection SET task_id = $1, resent_at = now()", task.id
    )
    response = await resend(api, rejection_id)
    assert (response.status_code, response.json()["id"]) == (200, str(task.id))
