"""Login links: each logs one browser in, once, and nothing else uses it up."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from taskmill.dashboard.login_limit import MOST_TRIES
from taskmill.dashboard.visitors import PLAIN_COOKIE
from taskmill.domain.sessions import LINK_PATH, code_hash, token_hash
from taskmill.operations.api_keys import NewApiKey
from taskmill.settings import Settings
from taskmill.storage.api_keys import revoke
from tests.support.api import LIMITS, LogLines, Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.pages import serving_pages
from tests.support.stage import Stage

FORM = {"content-type": "application/x-www-form-urlencoded"}
NOTHING: Mapping[str, str] = MappingProxyType({})


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """API and pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


@pytest.fixture
async def key(stage: Stage) -> NewApiKey:
    return await a_new_key(stage.database, "tasks:read", name="mine")


async def a_link(served: Served, key: NewApiKey) -> dict[str, Any]:
    made = await served.post("/login-links", headers=shown(key))
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    link: dict[str, Any] = made.json()
    return link


async def a_code(served: Served, key: NewApiKey) -> str:
    path, _, code = (await a_link(served, key))["path"].partition("#")
    assert path == LINK_PATH
    return str(code)


async def use(served: Served, code: str, headers: Mapping[str, str] = NOTHING) -> httpx.Response:
    """Do what the button does, in a browser that has no cookies."""
    served.http.cookies.clear()
    return await served.post(
        LINK_PATH, urlencode({"code": code}).encode(), headers={**FORM, **headers}
    )


async def test_a_link_logs_a_browser_in_once(closed: Served, key: NewApiKey) -> None:
    code = await a_code(closed, key)
    page = await closed.get(LINK_PATH)
    assert page.status_code == 200
    assert code not in page.text
    entered = await use(closed, code)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    for part in ("HttpOnly", "SameSite=strict", f"{PLAIN_COOKIE}="):
        assert part in entered.headers["set-cookie"]
    shown_page = await closed.get("/ui/tasks")
    assert shown_page.status_code == 200
    assert "mine" in shown_page.text
    again = await use(closed, code)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    assert "has been used" in again.text


async def test_who_previews_or_prefetches_a_link_does_not_use_it_up(
    closed: Served, key: NewApiKey
) -> None:
    code = await a_code(closed, key)
    for method in ("HEAD", "GET", "GET"):
        # A browser would not even send the code; a careless program may, in all ways that there are.
        looked = await closed.http.request(
            method, f"{LINK_PATH}?code={code}", headers={"sec-purpose": "prefetch"}
        )
        assert looked.status_code == 200
        assert "set-cookie" not in looked.headers
        assert looked.headers["cache-control"] == "no-store"
        assert looked.headers["referrer-policy"] == "same-origin"
    foreign = await use(
        closed, code, {"sec-fetch-site": "cross-site", "origin": "https://evil.test"}
    )
    assert foreign.status_code == 403
    assert (await use(closed, code)).status_code == 303


async def test_a_link_expires_after_a_minute(closed: Served, stage: Stage, key: NewApiKey) -> None:
    code = await a_code(closed, key)
    lasts = await stage.sql.fetchval("SELECT ends_at - created_at FROM taskmill.session")
    assert lasts == timedelta(seconds=60)
    await stage.sql.execute(
        "UPDATE taskmill.session SET created_at = created_at - $1::interval, ends_at = ends_at - $1::interval",
        lasts,
    )
    assert (await use(closed, code)).status_code == 401
    assert len(await stage.maintenance_database.fetch("prune_sessions", 10)) == 1


async def test_of_two_that_use_a_link_at_once_one_is_logged_in(
    closed: Served, stage: Stage, key: NewApiKey
) -> None:
    for _ in range(5):
        code = await a_code(closed, key)
        async with asyncio.TaskGroup() as group:
            used = [group.create_task(use(closed, code)) for _ in range(2)]
        assert sorted(one.result().status_code for one in used) == [303, 401]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.session") == 5


async def test_a_new_link_takes_the_place_of_the_keys_unused_one(
    closed: Served, stage: Stage, key: NewApiKey
) -> None:
    other = await a_new_key(stage.database, "tasks:read")
    assert (await use(closed, await a_code(closed, key))).status_code == 303
    before, foreign, after = [await a_code(closed, one) for one in (key, other, key)]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.session") == 3
    found = [(await use(closed, code)).status_code for code in (before, foreign, after)]
    assert found == [401, 303, 303]


async def test_a_link_ends_with_its_key_and_holds_in_the_networks_of_the_key_only(
    closed: Served, stage: Stage, key: NewApiKey
) -> None:
    code = await a_code(closed, key)
    await revoke(stage.owner_database, key.key.id)
    assert (await use(closed, code)).status_code == 401
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.session") == 0
    near = await a_new_key(stage.database, "tasks:read", networks=("127.0.0.0/8",))
    code = await a_code(closed, near)
    await stage.sql.execute(
        "UPDATE taskmill.api_key SET networks = '{192.0.2.0/24}' WHERE id = $1", near.key.id
    )
    assert (await use(closed, code)).status_code == 401
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.session") == 0


async def test_a_code_is_no_token_and_only_its_hash_is_stored(
    closed: Served, stage: Stage, key: NewApiKey
) -> None:
    code = await a_code(closed, key)
    stored = await stage.sql.fetchval("SELECT token_hash FROM taskmill.session")
    assert stored == code_hash(code)
    assert stored != token_hash(code)
    closed.http.cookies.clear()
    cookie = {"cookie": f"{PLAIN_COOKIE}={code}"}
    assert (await closed.get("/ui/tasks", headers=cookie)).status_code == 303
    assert (await use(closed, "")).status_code == 401
    assert (await use(closed, "x" * 43)).status_code == 401


async def test_a_link_needs_a_key_that_may_read(closed: Served, stage: Stage) -> None:
    assert (await closed.post("/login-links")).status_code == 401
    blind = await a_new_key(stage.database, "tasks:create", "metrics")
    assert (await closed.post("/login-links", headers=shown(blind))).status_code == 403
    some = await a_new_key(stage.database, "tasks:read queue=mail")
    assert (await use(closed, await a_code(closed, some))).status_code == 303
    # A session makes none: the API takes no cookies.
    assert (await closed.post("/login-links")).status_code == 401


async def test_an_address_that_tries_too_many_codes_has_to_wait(
    closed: Served, key: NewApiKey
) -> None:
    code = await a_code(closed, key)
    for _ in range(MOST_TRIES):
        assert (await use(closed, "x" * 43)).status_code == 401
    refused = await use(closed, code)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_neither_code_nor_token_are_in_logs_and_pages(
    closed: Served, key: NewApiKey, log_lines: LogLines
) -> None:
    code = await a_code(closed, key)
    texts = [(await closed.get(f"{LINK_PATH}?code={code}")).text]
    token = (await use(closed, code)).headers["set-cookie"].partition("=")[2].partition(";")[0]
    texts += [(await closed.get("/")).text, (await use(closed, code)).text, log_lines.text()]
    assert log_lines.named("login_link.made")[0]["api_key"] == key.key.id
    assert log_lines.named("session.began")[0]["api_key"] == key.key.id
    assert log_lines.named("session.refused")
    for secret in (code, token):
        assert not any(secret in text for text in texts)


async def test_where_no_keys_are_required_the_link_is_the_dashboard(stage: Stage) -> None:
    async with serving_pages(stage, Settings(limits=LIMITS)) as opened:
        made = await opened.post("/login-links")
        assert (made.status_code, made.json()) == (201, {"path": "/", "expires_at": None})
        page = await opened.get(LINK_PATH)
        assert (page.status_code, page.headers["location"]) == (303, "/")
        assert (await use(opened, "x")).headers["location"] == "/"
        assert (await opened.get("/sessions")).json() == {"items": []}


async def test_without_a_dashboard_there_is_no_link(stage: Stage, key: NewApiKey) -> None:
    async with serving(stage.service, REQUIRED) as served:
        refused = await served.post("/login-links", headers=shown(key))
        assert (refused.status_code, refused.json()["type"]) == (404, "/problems/no-dashboard")
        assert (await served.get("/sessions", headers=shown(key))).json() == {"items": []}
