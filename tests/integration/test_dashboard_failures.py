"""The pages of failures over HTTP: the list with its filters, and a page for each kind with its actions."""

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest

from taskmill.domain.error_kinds import kind_id
from taskmill.domain.lifecycle import Succeeded
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.failing import fail
from tests.support.pages import pages, serving_pages
from tests.support.stage import Stage

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
