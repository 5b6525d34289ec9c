"""Many rejected messages over HTTP: the filter, the reasons, sending many again, and editing one."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.pages import serving_pages
from tests.support.refusals import refused_message
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

PRIORITY = b'{"name": "a", "priority": 12}'
NO_NAME = b'{"queue": "mail"}'
# It was refused once for a reason that is gone.
FITS = b'{"name": "fits", "queue": "mail"}'


async def refuse(stage: Stage, *bodies: bytes, queue: str | None = "mail") -> list[UUID]:
    """Store messages as refused: because the name is missing, or because the priority was too high once."""
    messages = [
        replace(
            refused_message(NO_NAME if body == NO_NAME else PRIORITY, f"message-{n}-{uuid4()}"),
            body=body,
            queue=queue,
        )
        for n, body in enumerate(bodies)
    ]
    service = stage.service.rejections
    return await service.store(service.with_ids(messages))


async def send(
    pages: Served,
    path: str,
    pairs: dict[str, str] | list[tuple[str, str]],
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    return await pages.post(path, urlencode(pairs).encode(), headers=FORM | (headers or {}))


def rows_of(page: str) -> list[str]:
    return re.findall(r'<tr id="m([^"]+)"', page)


def reasons_of(page: str) -> dict[str, str]:
    """The reasons and their addresses."""
    part = page.partition('id="reasons"')[2].partition("</section>")[0]
    found = re.findall(r'href="([^"]+)" lang="en" dir="auto"><bdi>([^<]*)</bdi>', part)
    return {html.unescape(reason): html.unescape(address) for address, reason in found}


async def test_messages_are_grouped_by_reason_and_filtered(pages: Served, stage: Stage) -> None:
    high = await refuse(stage, PRIORITY, PRIORITY.replace(b"12", b"-1"), queue="mail")
    [nameless] = await refuse(stage, NO_NAME, queue="news")
    page = (await pages.get("/ui/rejections")).text
    reasons = reasons_of(page)
    assert len(reasons) == 2
    [of_priority] = [one for one in reasons if "/priority" in one]
    assert "12" not in of_priority
    found = (await pages.get(reasons[of_priority])).text
    assert set(rows_of(found)) == {str(one) for one in high}
    for query, ids in (
        ("queue=news", [nameless]),
        ("text=PRIORITY", high[::-1]),
        ("text=message-0", [nameless, high[0]]),
        ("status=422&queue=mail", high[::-1]),
        ("state=resent", []),
        ("status=413", []),
    ):
        found = (await pages.get(f"/ui/rejections?{query}")).text
        assert rows_of(found) == [str(one) for one in ids], query
    assert "No message matches" in (await pages.get("/ui/rejections?queue=none")).text
    for query in ("queue=No!", "status=x", "status=12345", "state=lost", "before=x"):
        assert (await pages.get(f"/ui/rejections?{query}")).status_code == 422


async def test_a_filter_goes_on_through_thousands(pages: Served, stage: Stage) -> None:
    [wanted] = await refuse(stage, NO_NAME, queue="rare")
    await refuse(stage, *([PRIORITY] * 1001))
    page = (await pages.get("/ui/rejections?queue=rare")).text
    assert rows_of(page) == []
    assert "None of these 1,000" in page
    older = re.findall(r'rel="next" href="([^"]+)"', page)[0].replace("&amp;", "&")
    assert rows_of((await pages.get(older)).text) == [str(wanted)]


async def test_those_that_are_picked_are_sent_again(pages: Served, stage: Stage) -> None:
    ids = await refuse(stage, FITS, PRIORITY, FITS, FITS)
    picked = [("id", str(one)) for one in ids[:3]]
    done = await send(pages, "/ui/rejections/resend", picked)
    assert done.status_code == 200
    assert "2 messages became tasks" in done.text
    assert "1 was refused again" in done.text
    assert f"/ui/rejections/{ids[1]}" in done.text
    again = await send(pages, "/ui/rejections/resend", picked)
    assert again.status_code == 200
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 2
    resent = (await pages.get("/ui/rejections?state=resent")).text
    assert set(rows_of(resent)) == {str(ids[0]), str(ids[2])}
    for one in (ids[0], ids[2]):
        assert f'value="{one}"' not in resent
    nothing = await send(pages, "/ui/rejections/resend", {"queue": "mail"})
    assert (nothing.status_code, nothing.headers["location"]) == (303, "/ui/rejections?queue=mail")
    assert (await send(pages, "/ui/rejections/resend", {"id": "x"})).status_code == 422


async def test_all_that_match_are_sent_again_but_never_all_without_a_filter(
    pages: Served, stage: Stage
) -> None:
    await refuse(stage, *([FITS] * 60), PRIORITY, queue="mail")
    await refuse(stage, FITS, queue="news")
    refused = await send(pages, "/ui/rejections/resend", {"all": "1", "state": "open"})
    assert refused.status_code == 422
    assert "/ui/rejections/resend_all" not in (await pages.get("/ui/rejections")).text
    assert 'name="all"' not in (await pages.get("/ui/rejections")).text
    assert 'name="all"' in (await pages.get("/ui/rejections?queue=mail")).text
    done = await send(pages, "/ui/rejections/resend", {"all": "1", "queue": "mail"})
    assert "60 messages became tasks" in done.text
    assert "1 was refused again" in done.text
    assert 'name="before"' not in done.text
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 60


async def test_what_does_not_fit_into_a_request_is_left_and_can_be_gone_on_with(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refuse(stage, FITS, FITS, FITS)
    monkeypatch.setattr("taskmill.dashboard.pages.rejections._SHARE_OF_TIMEOUT", 0.0)
    done = await send(pages, "/ui/rejections/resend", {"all": "1", "queue": "mail"})
    # However slow the search was, there is one at least, and the way to the others.
    assert "1 message became a task" in done.text
    [before] = re.findall(r'name="before" value="([^"]+)"', done.text)
    monkeypatch.undo()
    form = {"all": "1", "queue": "mail", "before": before}
    done = await send(pages, "/ui/rejections/resend", form)
    assert "2 messages became tasks" in done.text
    assert 'name="before"' not in done.text
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 3


async def test_a_message_is_edited_and_becomes_one_task(pages: Served, stage: Stage) -> None:
    [wrong] = await refuse(stage, PRIORITY)
    page = f"/ui/rejections/{wrong}"
    assert f"{page}/edit" in (await pages.get(page)).text
    form = (await pages.get(f"{page}/edit")).text
    assert html.unescape(form).count(PRIORITY.decode()) == 1
    again = await send(pages, f"{page}/edit", {"body": '{"name": "<b>", "priority": 11}'})
    assert again.status_code == 422
    assert "Refused again" in again.text
    assert "&lt;b&gt;" in again.text
    for _ in range(2):
        sent = await send(pages, f"{page}/edit", {"body": '{"name": "edited", "priority": 2}'})
        assert (sent.status_code, sent.headers["location"]) == (303, page)
    [task] = await stage.sql.fetch("SELECT name, priority FROM taskmill.task")
    assert (task["name"], task["priority"]) == ("edited", 2)
    assert (await stage.service.rejections.get(wrong)).body == PRIORITY
    assert (await pages.get(f"{page}/edit")).headers["location"] == page
    assert "/edit" not in (await pages.get(page)).text
    details = await stage.sql.fetch("SELECT details FROM taskmill.audit_entry")
    assert {orjson.loads(row["details"])["edited"] for row in details} == {True}


async def test_an_edited_message_keeps_its_id_from_becoming_two_tasks(
    pages: Served, stage: Stage
) -> None:
    [wrong] = await refuse(stage, PRIORITY)
    message_id = (await stage.service.rejections.get(wrong)).summary.message_id
    sent = await send(pages, f"/ui/rejections/{wrong}/edit", {"body": '{"name": "edited"}'})
    assert sent.status_code == 303
    key = await stage.sql.fetchval("SELECT key FROM taskmill.idempotency")
    assert key == message_id


async def test_what_is_no_text_or_too_long_is_not_edited(pages: Served, stage: Stage) -> None:
    for body in (b"\xff\xfe", b'{"name": "' + b"x" * 70_000 + b'"}'):
        [one] = await refuse(stage, body, queue=None)
        page = f"/ui/rejections/{one}"
        assert f"{page}/edit" not in (await pages.get(page)).text
        assert (await pages.get(f"{page}/edit")).status_code == 413
        assert (await send(pages, f"{page}/edit", {"body": "{}"})).status_code == 413


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def test_messages_of_other_queues_are_neither_counted_nor_sent(
    closed: Served, stage: Stage
) -> None:
    grants = ("tasks:read queue=mail", "tasks:operate queue=mail", "tasks:create queue=mail")
    session = await visitor(closed, stage, *grants)
    [own] = await refuse(stage, FITS)
    foreign = await refuse(stage, FITS.replace(b"mail", b"news"), NO_NAME, queue="news")
    page = (await closed.get("/ui/rejections", headers=session)).text
    assert rows_of(page) == [str(own)]
    assert reasons_of(page) == {}
    form = [("id", str(one)) for one in (own, *foreign)]
    done = await send(closed, "/ui/rejections/resend", form, session)
    assert "1 message became a task" in done.text
    for one in foreign:
        for method in ("GET", "POST"):
            response = await closed.http.request(
                method, f"/ui/rejections/{one}/edit", headers=session | FORM
            )
            assert response.status_code == 404
    reader = await visitor(closed, stage, "tasks:read", "tasks:create")
    listed = (await closed.get("/ui/rejections?queue=news", headers=reader)).text
    assert set(rows_of(listed)) == {str(one) for one in foreign}
    assert "/ui/rejections/resend" not in listed.replace(
        'method="post" action="/ui/rejections/resend"', ""
    )
    for path in ("/ui/rejections/resend", f"/ui/rejections/{own}/edit"):
        assert (await send(closed, path, {"body": "{}"}, reader)).status_code == 403


async def test_who_edits_needs_to_see_the_body_and_to_be_allowed_what_it_asks_for(
    closed: Served, stage: Stage
) -> None:
    operator = ("tasks:read queue=mail,news", "tasks:operate queue=mail,news")
    seeing = "tasks:read-secret queue=mail"
    [one] = await refuse(stage, PRIORITY)
    page = f"/ui/rejections/{one}"
    blind = await visitor(closed, stage, *operator, "tasks:create")
    assert "/edit" not in (await closed.get(page, headers=blind)).text
    for response in (
        await closed.get(f"{page}/edit", headers=blind),
        await send(closed, f"{page}/edit", {"body": '{"name": "x"}'}, blind),
    ):
        assert response.status_code == 403
        assert "tasks:read-secret" in response.text
        assert "priority" not in response.text
    session = await visitor(closed, stage, *operator, seeing, "tasks:create queue=mail")
    refused = await send(
        closed, f"{page}/edit", {"body": '{"name": "x", "queue": "news"}'}, session
    )
    assert refused.status_code == 422
    assert "tasks:create" in refused.text
    sent = await send(closed, f"{page}/edit", {"body": '{"name": "x", "queue": "mail"}'}, session)
    assert sent.status_code == 303


async def test_a_message_that_a_contract_refuses_is_corrected(pages: Served, stage: Stage) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    await stage.service.contracts.register(
        TypeContract(type="send", schema=orjson.dumps(schema).decode()), by="test"
    )
    [one] = await refuse(stage, b'{"name": "a", "type": "send", "payload": {}}')
    body = '{"name": "a", "type": "send", "payload": {"to": "me"}}'
    assert (await send(pages, f"/ui/rejections/{one}/edit", {"body": body})).status_code == 303
