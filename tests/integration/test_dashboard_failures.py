"""The pages of failures over HTTP: the list with its filters, and a page for each kind with its actions."""

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest

from taskmill.domain.error_kinds import kind_id
from taskmill.domain.failures import KindState
from taskmill.domain.lifecycle import Succeeded
from taskmill.storage import failures
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.audit import entries
from tests.support.failing import fail
from tests.support.pages import pages, serving_pages
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

__all__ = ["pages"]

KIND = "E in shop.call"
ID = kind_id(KIND)
PAGE = f"/ui/failures/{ID}"


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def text_of(pages: Served, path: str, **options: object) -> str:
    response = await pages.get(path, **options)
    assert response.status_code == 200, response.text
    return response.text


def shown_kinds(html: str) -> list[str]:
    return [unescape(kind) for kind in re.findall(r'title="([^"]*)"><code class="kind">', html)]


def without_tags(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", "", html)).split())


def compared(html: str) -> list[str]:
    """Return the rows of the table of differences."""
    rows = re.findall(r"<tr>\s*<td class=\"at-head\">.*?</tr>", html, re.DOTALL)
    return [without_tags(row) for row in rows]


async def succeed(stage: Stage, **parts: object) -> str:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, **parts)
    await stage.end(taken, lease_id, Succeeded())
    return str(taken.task.id)


async def test_all_kinds_are_reached_by_pages(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.dashboard.pages.failures.ON_A_PAGE", 2)
    for word in ("one", "two", "three", "four", "five"):
        await fail(stage, word)
    seen: list[str] = []
    address: str | None = "/ui/failures"
    while address is not None:
        html = await text_of(pages, address)
        assert "5 tasks failed · 5 kinds" in html
        seen += shown_kinds(html)
        following = re.search(r'rel="next" href="([^"]*)"', html)
        address = None if following is None else unescape(following[1])
    assert sorted(seen) == ["E: five", "E: four", "E: one", "E: three", "E: two"]


async def test_a_list_is_filtered_and_keeps_its_filter(pages: Served, stage: Stage) -> None:
    await fail(stage, "no route", queue="mail", type="send", labels='{"team":"a"}')
    await fail(stage, "declined", queue="mail", type="pay")
    await fail(stage, "other")
    for query, found in (
        ("queue=mail", ["E: declined", "E: no route"]),
        ("type=pay&queue=mail", ["E: declined"]),
        ("q=ROUTE", ["E: no route"]),
        ("label=team%3Da", ["E: no route"]),
        ("state=ignored", []),
    ):
        assert sorted(shown_kinds(await text_of(pages, f"/ui/failures?{query}"))) == found, query
    html = await text_of(pages, "/ui/failures?queue=mail&order=newest&q=o")
    for link in re.findall(r'<nav class="(?:chips|segments)".*?</nav>', html, re.DOTALL):
        assert all(
            "queue=mail" in one and "q=o" in one for one in re.findall(r'href="([^"]*)"', link)
        )


@pytest.mark.parametrize(
    "query",
    ["order=best", "state=gone", "queue=A%20b", "label=x", "after=1", "after=nan:0123456789abcdef"],
)
async def test_a_wrong_value_is_named(pages: Served, query: str) -> None:
    response = await pages.get(f"/ui/failures?{query}")
    assert response.status_code == 422
    assert query.partition("=")[0] in response.text


async def test_types_are_listed_with_the_kind_and_no_page_of_html_names_it(
    pages: Served, stage: Stage
) -> None:
    body = "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>"
    for type_ in ("a", "b", "c", "d", "e", "f"):
        await fail(stage, body, type=type_)
    html = await text_of(pages, "/ui/failures")
    assert shown_kinds(html) == ["E: # Bad Gateway"]
    assert "and 2 more" in html


async def test_a_kind_has_a_page_with_numbers_places_and_examples(
    pages: Served, stage: Stage
) -> None:
    ids = [
        await fail(stage, f"host {number}", place="shop.call", queue="mail", labels='{"zone":"eu"}')
        for number in range(3)
    ]
    await succeed(stage, type="pay", labels='{"zone":"us"}')
    await failures.fold(stage.maintenance_database)
    html = await text_of(pages, PAGE)
    assert KIND in html
    assert "Example 1 of 3" in html
    assert str(ids[2]) in html
    assert "host #" in html
    assert "zone=eu" in without_tags(html)
    assert "at most 200" in html
    older = re.search(r'rel="next" href="([^"]*)"', html)
    assert older is not None
    html = await text_of(pages, unescape(older[1]).partition("#")[0])
    assert "Example 2 of 3" in html
    assert str(ids[1]) in html
    assert str(ids[2]) in html  # the link back
    assert await text_of(pages, f"{PAGE}?window=7d&example={ids[0]}")


async def test_a_payload_is_shown_beside_that_of_a_task_that_succeeded(
    pages: Served, stage: Stage
) -> None:
    await succeed(stage, type="pay", payload='{"to":"bob","more":1}')
    await fail(stage, place="shop.call", payload='{"to":"ada","less":2}')
    html = await text_of(pages, PAGE)
    assert compared(html) == ['/to "ada" "bob"', "/less 2 absent", "/more absent 1"]


async def test_secret_values_stay_masked_where_payloads_are_compared(
    closed: Served, stage: Stage
) -> None:
    session = await visitor(closed, stage, "tasks:read")
    card = '["/card"]'
    await succeed(stage, type="pay", payload='{"card":"4242","to":"bob"}', payload_secrets=card)
    await fail(
        stage,
        place="shop.call",
        payload='{"card":"1111","to":"ada"}',
        payload_secrets=card,
    )
    html = await text_of(closed, PAGE, headers=session)
    assert "4242" not in html
    assert "1111" not in html
    # That the secret values differ is not shown, either.
    assert compared(html) == ['/to "ada" "bob"']


async def test_what_is_decided_is_shown_and_recorded(pages: Served, stage: Stage) -> None:
    await fail(stage, place="shop.call")
    for decision, state, offered in (
        ("resolve", KindState.RESOLVED, {"reopen"}),
        ("reopen", KindState.OPEN, {"resolve", "ignore"}),
        ("ignore", KindState.IGNORED, {"reopen"}),
    ):
        response = await pages.http.post(f"{PAGE}/{decision}", headers=FORM)
        assert (response.status_code, response.headers["location"]) == (303, PAGE)
        html = await text_of(pages, PAGE)
        assert set(re.findall(rf'action="{PAGE}/(\w+)"', html)) == offered
        assert (await stage.sql.fetchval("SELECT state FROM taskmill.failure_kind")) == state
    assert shown_kinds(await text_of(pages, "/ui/failures")) == []
    assert shown_kinds(await text_of(pages, "/ui/failures?state=ignored")) == [KIND]
    assert len(await entries(stage)) == 3
    assert (await pages.http.post(f"{PAGE}/forget", headers=FORM)).status_code == 422


async def test_an_unknown_kind_has_no_page(pages: Served) -> None:
    assert (await pages.get(PAGE)).status_code == 404
    assert (await pages.get("/ui/failures/nonsense")).status_code == 422


async def test_what_a_role_may_not_do_is_not_drawn_and_refused(
    closed: Served, stage: Stage
) -> None:
    await fail(stage, place="shop.call", queue="mail")
    reader = await visitor(closed, stage, "tasks:read")
    of_mail = await visitor(closed, stage, "tasks:read queue=mail", "tasks:operate queue=mail")
    operator = await visitor(closed, stage, "tasks:read", "tasks:operate")
    for session, may_retry, may_decide in (
        (reader, False, False),
        (of_mail, True, False),
        (operator, True, True),
    ):
        html = await text_of(closed, PAGE, headers=session)
        assert ('action="/ui/sweeps/preview"' in html) is may_retry
        assert (f'action="{PAGE}/resolve"' in html) is may_decide
        response = await closed.http.post(f"{PAGE}/resolve", headers=session | FORM)
        assert response.status_code == (303 if may_decide else 403)


async def test_a_kind_of_other_queues_has_no_page(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail")
    await fail(stage, "secret", place="shop.call", queue="secret")
    assert (await closed.get(PAGE, headers=session)).status_code == 404
    await fail(stage, "own", place="shop.call", queue="mail")
    before = await text_of(closed, PAGE, headers=session)
    await fail(stage, "secret", place="shop.call", queue="secret")
    await failures.fold(stage.maintenance_database)
    after = await text_of(closed, PAGE, headers=session)
    passing = r'data-now="[^"]*"|<time.*?</time>|data-points="[^"]*"'
    assert re.sub(passing, "", after) == re.sub(passing, "", before)
    assert "secret" not in after
