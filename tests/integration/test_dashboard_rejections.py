"""Rejected messages over HTTP: the list, one of them with any body, and sending it again."""

import html
import re
from uuid import UUID

import orjson
import pytest

from taskmill.domain.rejection import RefusedMessage
from tests.support.api import Served
from tests.support.stage import Stage

PROBLEM = {
    "type": "/problems/invalid-input",
    "title": "The request says something that is not allowed",
    "status": 422,
    "detail": "/priority: expected a whole number from 0 to 9, got the number 10",
    "errors": [
        {"pointer": "/priority", "expected": "a whole number from 0 to 9", "got": "the number 10"}
    ],
}


async def refused(stage: Stage, body: bytes, *, message_id: str | None = None) -> UUID:
    message = RefusedMessage(
        source="amqp",
        message_id=message_id,
        body=body,
        properties=orjson.dumps({"headers": {"x": "<b>"}, "content_type": "text/html"}).decode(),
        status=422,
        problem=orjson.dumps(PROBLEM).decode(),
    )
    [rejection_id] = await stage.service.rejections.store(
        stage.service.rejections.with_ids([message])
    )
    return rejection_id


async def test_the_list_is_empty_at_first_and_then_has_the_reason(
    pages: Served, stage: Stage
) -> None:
    assert "No message was rejected" in (await pages.get("/ui/rejections")).text
    await refused(stage, b'{"priority": 10}', message_id="<i>1</i>")
    response = (await pages.get("/ui/rejections")).text
    assert "expected a whole number from 0 to 9" in response
    assert "&lt;i&gt;1&lt;/i&gt;" in response
    assert "<i>1" not in response


async def test_the_list_goes_on_over_all_messages(pages: Served, stage: Stage) -> None:
    rejection_ids = [str(await refused(stage, str(number).encode())) for number in range(60)][::-1]
    first = (await pages.get("/ui/rejections")).text
    older = re.findall(r'rel="next" href="([^"]+)"', first)[0]
    second = (await pages.get(older)).text
    assert re.findall(r'<tr id="m([^"]+)"', first + second) == rejection_ids
    assert 'rel="next"' not in second
    assert 'href="/ui/rejections">Newest' in second


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": {"b": "<script>"}}', "&lt;script&gt;"),
        (b"", "The body is empty"),
        (b"\x00\x01\xff<b>", "00 01 ff 3c 62 3e"),
        (b"\x1b[31mred \xe2\x80\xae turned", "⟨U+001B⟩[31mred ⟨U+202E⟩ turned"),
        ("مهمة 🎉".encode(), "مهمة 🎉"),
        (b'{"a": 1, "a": 2}', '"a"'),
        (b"[" * 5000 + b"]" * 5000, "[[[["),
        (b"x" * 1_000_000, "only a part"),
        (b"\xff" * 1_000_000, "only a part"),
        ("й".encode() * 100_000, "only a part"),
    ],
    ids=lambda value: repr(value[:12]),
)
async def test_any_body_makes_a_page_and_nothing_of_it_becomes_markup(
    pages: Served, stage: Stage, body: bytes, words: str
) -> None:
    rejection_id = await refused(stage, body)
    response = await pages.get(f"/ui/rejections/{rejection_id}")
    assert response.status_code == 200
    assert words in response.text or words in html.unescape(response.text)
    assert "<script>" not in response.text
    assert "<b>\x00" not in response.text
    assert len(response.text) < 150_000
    for shown in ("/priority", "a whole number from 0 to 9", "amqp", "text/html", "&lt;b&gt;"):
        assert shown in response.text


async def test_a_message_that_fits_now_becomes_one_task(pages: Served, stage: Stage) -> None:
    rejection_id = await refused(stage, b'{"name": "fits now"}')
    page = f"/ui/rejections/{rejection_id}"
    for _ in range(2):
        response = await pages.post(f"{page}/resend")
        assert (response.status_code, response.headers["location"]) == (303, page)
    shown = (await pages.get(page)).text
    [task_id] = re.findall(r'<a class="button main" href="/ui/tasks/([^"]+)"', shown)
    assert (await stage.task(UUID(task_id))).name == "fits now"
    assert "/resend" not in shown
    assert "Sent again" in (await pages.get("/ui/rejections")).text


@pytest.mark.parametrize("body", [b'{"name": ""}', b"no json", b'{"name": "\\u0000"}', b"\xff"])
async def test_a_message_that_is_refused_again_says_why(
    pages: Served, stage: Stage, body: bytes
) -> None:
    rejection_id = await refused(stage, body)
    response = await pages.post(f"/ui/rejections/{rejection_id}/resend")
    assert response.status_code == 422
    assert "Refused again" in response.text
    assert f"/ui/rejections/{rejection_id}/resend" in response.text
