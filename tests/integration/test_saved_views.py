"""Saved views: names for addresses of lists, of whoever has an API key of one name."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

import pytest

from taskmill.domain.saved_views import MOST, is_view_name
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.pages import HTMX, serving_pages
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

FAILED = "/ui/tasks?status=failed&queue=mail&rows=100"


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def sent(
    pages: Served, path: str, session: dict[str, str] | None = None, **fields: str
) -> tuple[int, str]:
    response = await pages.post(path, urlencode(fields).encode(), headers=(session or {}) | FORM)
    return response.status_code, response.headers.get("location", "")


async def views(pages: Served, session: dict[str, str] | None = None) -> dict[str, str]:
    html = (await pages.get("/ui/views", headers=session or {})).text
    found = re.findall(r'<li><a href="([^"]+)"[^>]*>(?:<bdi>)?([^<]+)', html)
    return {name: address.replace("&amp;", "&") for address, name in found}


async def test_a_view_is_saved_opened_replaced_and_deleted(pages: Served) -> None:
    assert await views(pages) == {}
    assert await sent(pages, "/ui/views", name="Failed mail", address=FAILED) == (303, FAILED)
    await sent(pages, "/ui/views", name="All of it", address="/ui/failures")
    assert await views(pages) == {"All of it": "/ui/failures", "Failed mail": FAILED}
    other = "/ui/queues?order=oldest"
    await sent(pages, "/ui/views", name="Failed mail", address=other + "&page=3")
    assert (await views(pages))["Failed mail"] == other
    listed = await pages.get(f"/ui/views?address={quote(other)}", headers=HTMX)
    assert "<html" not in listed.text
    assert 'aria-current="true"' in listed.text
    assert (await sent(pages, "/ui/views/delete", name="Failed mail"))[0] == 303
    assert await views(pages) == {"All of it": "/ui/failures"}


async def test_views_belong_to_the_name_of_a_key(closed: Served, stage: Stage) -> None:
    first = await visitor(closed, stage, "tasks:read queue=mail")
    second = await visitor(closed, stage, "tasks:read")
    await sent(closed, "/ui/views", first, name="Mine", address=FAILED)
    await stage.sql.execute("INSERT INTO taskmill.saved_view VALUES ('', 'Everybody', '/ui/tasks')")
    owners = [
        row["owner"] for row in await stage.sql.fetch("SELECT owner FROM taskmill.saved_view")
    ]
    names = [row["name"] for row in await stage.sql.fetch("SELECT name FROM taskmill.api_key")]
    assert set(owners) <= {"", *names}
    assert len(set(names)) == len(names) > 1
    assert await views(closed, second) == {}
    await sent(closed, "/ui/views/delete", second, name="Mine")
    assert await views(closed, first) == {"Mine": FAILED}


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/",
        "/ui/login",
        "//evil.test/",
        "https://evil.test/ui/tasks",
        "/ui/tasks\\x",
        "/ui/create",
    ],
)
async def test_only_addresses_of_lists_are_saved(pages: Served, address: str) -> None:
    assert (await sent(pages, "/ui/views", name="Bad", address=address))[0] == 422
    assert await views(pages) == {}


async def test_where_somebody_was_in_a_list_is_not_saved(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    there = f"/ui/tasks?queue=mail&after={task.id}&scan=longer&job={task.id}"
    assert await sent(pages, "/ui/views", name="There", address=there) == (
        303,
        "/ui/tasks?queue=mail",
    )


async def test_an_owner_has_a_hundred_views_at_most(pages: Served, stage: Stage) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.saved_view SELECT '', 'v' || n, '/ui/tasks' FROM generate_series(1, $1::int) n",
        MOST,
    )
    assert (await sent(pages, "/ui/views", name="One more", address=FAILED))[0] == 422
    assert (await sent(pages, "/ui/views", name="v7", address=FAILED))[0] == 303


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("Mine", True),
        ("x" * 80, True),
        ("x" * 81, False),
        ("", False),
        (" a", False),
        ("a\nb", False),
    ],
)
def test_a_name_is_short_and_in_one_line(name: str, *, is_one: bool) -> None:
    assert is_view_name(name) is is_one


async def test_every_list_offers_its_views(pages: Served) -> None:
    for path in ("/ui/tasks?queue=mail", "/ui/failures", "/ui/queues", "/ui/rejections"):
        assert f"/ui/views?address={quote(path, safe='')}" in (await pages.get(path)).text
    assert "/ui/views?address" not in (await pages.get("/ui/create")).text
