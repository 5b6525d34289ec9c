"""The pages of webhooks over HTTP: the list, one of them with its deliveries, the forms, and the rights."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest

from taskmill.domain.lifecycle import Status
from taskmill.domain.webhooks import WebhookDraft, WebhookState
from tests.support.api import Served
from tests.support.api_keys import REQUIRED, a_new_key
from tests.support.pages import serving_pages
from tests.support.stage import Stage, a_webhooks
from tests.support.visitors import FORM, visitor
from tests.support.webhooks import deliveries, subscribed

URL = "https://hooks.example.org/in?token=x"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{30,}")
MAKE_DELIVERIES = """
INSERT INTO taskmill.webhook_delivery (
    endpoint, webhook_id, state, give_up_at, created_at, next_at, finished_at, attempts, response_status, trouble
)
SELECT
    'webhook:' || $1::uuid, $1::uuid, $2::text, now() + interval '1 day', now() - interval '3 min',
    now() - interval '2 min',
    CASE WHEN $2 <> 'pending' THEN now() - interval '7 min' END, 4,
    CASE $2 WHEN 'delivered' THEN 204 WHEN 'failed' THEN 500 END, CASE $2 WHEN 'failed' THEN '<b>down</b>' END
FROM generate_series(1, $3::integer)
"""


async def send(
    pages: Served,
    path: str,
    pairs: dict[str, str] | list[tuple[str, str]] | None = None,
    *,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    return await pages.post(path, urlencode(pairs or []).encode(), headers=FORM | (headers or {}))


async def make(stage: Stage, webhook_id: UUID, state: str, count: int = 1) -> None:
    await stage.sql.execute(MAKE_DELIVERIES, webhook_id, state, count)


def rows_of(html: str, letter: str) -> list[str]:
    return re.findall(rf'<tr id="{letter}([^"]+)"', html)


async def test_a_webhook_is_subscribed_and_its_secret_is_shown_once(
    pages: Served, stage: Stage
) -> None:
    assert "No webhooks" in (await pages.get("/ui/webhooks")).text
    form = [("url", URL), ("description", "<i>ours</i>"), ("queues", "mail, news  mail")]
    made = await send(pages, "/ui/webhooks/new", [*form, ("statuses", "failed")])
    assert made.status_code == 200, made.text
    assert len(set(SECRET.findall(made.text))) == 1
    assert made.headers["cache-control"] == "no-store"
    [webhook] = await a_webhooks(stage.database).all_of_them()
    assert webhook.draft == WebhookDraft(
        url=URL,
        description="<i>ours</i>",
        queues=("mail", "news"),
        statuses=(Status.FAILED,),
    )
    page = f"/ui/webhooks/{webhook.id}"
    assert f'href="{page}"' in made.text
    for path in ("/ui/webhooks", page, f"{page}/edit"):
        text = (await pages.get(path)).text
        assert "&lt;i&gt;ours" in text
        assert not SECRET.search(text)


async def test_what_is_wrong_with_a_form_is_shown_at_its_field(pages: Served, stage: Stage) -> None:
    refused = await send(
        pages, "/ui/webhooks/new", {"url": "ftp://example.org/", "queues": "mail No!", "types": "t"}
    )
    assert refused.status_code == 422
    for field in ("url", "queues", "statuses"):
        assert f'id="bad-{field}"' in refused.text
    assert 'value="ftp://example.org/"' in refused.text
    assert 'value="mail No!"' in refused.text
    assert await a_webhooks(stage.database).all_of_them() == []
    too_long = [("url", URL), ("queues", "x" * 100_000)]
    assert (await send(pages, "/ui/webhooks/new", too_long)).status_code == 413


async def test_the_list_says_how_each_does_and_has_trouble_first(
    pages: Served, stage: Stage
) -> None:
    well, failing, behind, paused = [
        (await subscribed(stage, f"https://{name}.example.org/"))[0].id
        for name in ("well", "failing", "behind", "paused")
    ]
    await a_webhooks(stage.database).change(
        paused, {"state": WebhookState.PAUSED}, rotates_secret=False
    )
    await stage.sql.execute(
        "UPDATE taskmill.webhook SET failing_since = now() - interval '2 h' WHERE id = $1", failing
    )
    await make(stage, well, "delivered")
    await make(stage, behind, "pending")
    html = (await pages.get("/ui/webhooks")).text
    assert rows_of(html, "h") == [str(one) for one in (failing, well, behind, paused)]
    rows = dict(zip(rows_of(html, "h"), html.split('<tr id="h')[1:], strict=True))
    for one, words in (
        (well, ("Working", "7\u00a0min ago")),
        (failing, ("Failing", "2\u00a0h ago")),
        (behind, ("Behind", "3\u00a0min")),
        (paused, ("Paused",)),
    ):
        assert [word for word in words if word not in rows[str(one)]] == []
    found = (await pages.get("/ui/webhooks?text=BEHIND.example")).text
    assert rows_of(found, "h") == [str(behind)]
    assert "No webhook matches" in (await pages.get("/ui/webhooks?text=nowhere")).text


async def test_deliveries_are_filtered_paged_and_sent_again(pages: Served, stage: Stage) -> None:
    webhook, _ = await subscribed(stage, URL)
    page = f"/ui/webhooks/{webhook.id}"
    await make(stage, webhook.id, "delivered", 60)
    await make(stage, webhook.id, "failed")
    ids = [str(row["id"]) for row in await deliveries(stage.sql)][::-1]
    first = (await pages.get(page)).text
    older = re.findall(r'rel="next" href="([^"]+)"', first)[0]
    second = (await pages.get(older)).text
    assert rows_of(first, "d") + rows_of(second, "d") == ids
    failed = (await pages.get(f"{page}?state=failed")).text
    assert rows_of(failed, "d") == ids[:1]
    assert "&lt;b&gt;down" in failed
    resent = await send(pages, f"{page}/deliveries/{ids[0]}/resend?state=failed&other=1")
    assert (resent.status_code, resent.headers["location"]) == (303, f"{page}?state=failed")
    row = await stage.sql.fetchrow(
        "SELECT state, finished_at FROM taskmill.webhook_delivery WHERE id = $1", int(ids[0])
    )
    assert row is not None
    assert (row["state"], row["finished_at"]) == ("pending", None)
    pending = (await pages.get(f"{page}?state=pending")).text
    assert rows_of(pending, "d") == ids[:1]
    # What is about to be tried is followed; what is over is not.
    assert ("every 2s" in pending, "every 2s" in second) == (True, False)


async def test_a_webhook_is_paused_enabled_tested_changed_and_deleted(
    pages: Served, stage: Stage
) -> None:
    webhook, _ = await subscribed(stage, URL, queues=("mail",))
    webhooks, page = a_webhooks(stage.database), f"/ui/webhooks/{webhook.id}"
    paused = await send(pages, f"{page}/pause")
    assert (paused.status_code, paused.headers["location"]) == (303, page)
    html = (await pages.get(page)).text
    assert (f"{page}/enable" in html, f"{page}/test" in html) == (True, False)
    assert (await send(pages, f"{page}/test")).status_code == 409
    await send(pages, f"{page}/enable")
    assert (await webhooks.get(webhook.id)).draft.state is WebhookState.ENABLED
    await send(pages, f"{page}/test")
    assert len(rows_of((await pages.get(page)).text, "d")) == 1
    form = [("url", URL), ("queues", ""), ("types", "a b")]
    form += [("statuses", str(one)) for one in webhook.draft.statuses]
    changed = await send(pages, f"{page}/edit", form)
    assert (changed.status_code, changed.headers["location"]) == (303, page)
    draft = (await webhooks.get(webhook.id)).draft
    assert (draft.queues, draft.types, draft.url) == ((), ("a", "b"), URL)
    entry = await stage.sql.fetchval(
        "SELECT details FROM taskmill.audit_entry ORDER BY id DESC LIMIT 1"
    )
    assert '"fields":["queues","types"]' in entry.replace(" ", "")
    assert "1 delivery still waits" in (await pages.get(f"{page}/delete")).text
    deleted = await send(pages, f"{page}/delete")
    assert (deleted.status_code, deleted.headers["location"]) == (303, "/ui/webhooks")
    assert (await pages.get(page)).status_code == 404


async def test_a_new_secret_is_shown_in_the_response_only(pages: Served, stage: Stage) -> None:
    webhook, before = await subscribed(stage, URL)
    page = f"/ui/webhooks/{webhook.id}"
    rotated = await send(pages, f"{page}/secret")
    [secret] = set(SECRET.findall(rotated.text))
    assert secret != before
    assert secret not in (await pages.get(page)).text
    assert (await pages.get(f"{page}/secret")).status_code == 405


async def test_addresses_that_are_none_are_refused(pages: Served, stage: Stage) -> None:
    webhook, _ = await subscribed(stage, URL)
    page = f"/ui/webhooks/{webhook.id}"
    for path, status in (
        ("/ui/webhooks/x", 422),
        (f"/ui/webhooks/{uuid4()}", 404),
        (f"{page}?state=lost", 422),
        (f"{page}?before=x", 422),
        (f"{page}?before={'9' * 30}", 422),
        ("/ui/webhooks?text=" + "x" * 201, 422),
    ):
        assert (await pages.get(path)).status_code == status, path
    for delivery, status in (("1", 404), ("x", 422)):
        assert (await send(pages, f"{page}/deliveries/{delivery}/resend")).status_code == status


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def test_a_key_for_some_queues_has_the_webhooks_of_its_name(
    closed: Served, stage: Stage
) -> None:
    grants = ("tasks:read queue=mail", "webhooks queue=mail", "outbound host=hooks.example.org")
    session = await visitor(closed, stage, *grants)
    foreign, _ = await subscribed(stage, URL)
    made = await send(closed, "/ui/webhooks/new", _form(queues="mail"), headers=session)
    assert made.status_code == 200, made.text
    [own] = set(re.findall(r'href="/ui/webhooks/([\w-]{36})"', made.text))
    listed = (await closed.get("/ui/webhooks", headers=session)).text
    assert rows_of(listed, "h") == [own]
    page = f"/ui/webhooks/{foreign.id}"
    for method, path in (
        ("GET", page),
        ("GET", f"{page}/edit"),
        ("GET", f"{page}/delete"),
        *(("POST", f"{page}/{what}") for what in ("pause", "enable", "test", "secret", "delete")),
        ("POST", f"{page}/edit"),
        ("POST", f"{page}/deliveries/1/resend"),
    ):
        response = await closed.http.request(method, path, headers=session | FORM)
        assert response.status_code == 404, path
    for name, value in (("queues", "other"), ("url", "https://elsewhere.example.org/")):
        refused = await send(
            closed, "/ui/webhooks/new", _form(**{"queues": "mail", name: value}), headers=session
        )
        assert refused.status_code == 403, value
        assert "does not grant" in refused.text
    await a_webhooks(stage.database).get(foreign.id)


def _form(**fields: str) -> list[tuple[str, str]]:
    return [*({"url": URL} | fields).items(), ("statuses", "failed")]


async def test_deliveries_of_other_queues_change_nothing_that_is_shown(
    closed: Served, stage: Stage
) -> None:
    grants = ("tasks:read queue=mail", "webhooks queue=mail", "outbound host=hooks.example.org")
    session = await visitor(closed, stage, *grants)
    made = await send(closed, "/ui/webhooks/new", _form(), headers=session)
    [own] = set(re.findall(r'href="/ui/webhooks/([\w-]{36})"', made.text))
    foreign = await stage.created(queue="other")
    await make(stage, UUID(own), "pending")
    await stage.sql.execute(
        "UPDATE taskmill.webhook_delivery SET task_id = $1, version = 1, position = 1, ordinal = 1",
        foreign.id,
    )
    page = await closed.get(f"/ui/webhooks/{own}", headers=session)
    assert "Behind" not in page.text
    assert rows_of(page.text, "d") == []
    own_task = await stage.created(queue="mail")
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET task_id = $1", own_task.id)
    assert "Behind" in (await closed.get(f"/ui/webhooks/{own}", headers=session)).text


async def test_of_many_that_wait_a_key_for_some_queues_sees_that_there_are_more(
    closed: Served, stage: Stage
) -> None:
    grants = ("tasks:read queue=mail", "webhooks queue=mail", "outbound host=hooks.example.org")
    session = await visitor(closed, stage, *grants)
    made = await send(closed, "/ui/webhooks/new", _form(), headers=session)
    [own] = set(re.findall(r'href="/ui/webhooks/([\w-]{36})"', made.text))
    for count, shown in ((19, "19"), (30, "20+")):
        await stage.sql.execute("DELETE FROM taskmill.webhook_delivery")
        await make(stage, UUID(own), "pending", count)
        page = await closed.get(f"/ui/webhooks/{own}", headers=session)
        assert f'<dd class="num">{shown} <span' in page.text


async def test_who_has_no_right_to_webhooks_sees_no_way_to_them(
    closed: Served, stage: Stage
) -> None:
    await subscribed(stage, URL)
    await stage.sql.execute("UPDATE taskmill.webhook SET failing_since = now() - interval '2 h'")
    for grants, is_led in ((("tasks:read",), False), (("tasks:read", "webhooks"), True)):
        session = await visitor(closed, stage, *grants)
        overview = (await closed.get("/", headers=session)).text
        assert "hooks.example.org" in overview
        assert ("/ui/webhooks" in overview) is is_led
        status = (await closed.get("/ui/webhooks", headers=session)).status_code
        assert status == (200 if is_led else 403)
    only_webhooks = await a_new_key(stage.database, "webhooks")
    refused = await send(closed, "/ui/login", {"key": only_webhooks.text})
    assert refused.status_code == 403
