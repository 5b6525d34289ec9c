"""Where keys are required: logging in to the dashboard, what a session may see, and when it ends."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest

from taskmill.dashboard.app import Dashboard, _all_routes
from taskmill.dashboard.login_limit import MOST_TRIES
from taskmill.dashboard.page_rules import PAGE_RULES, Need
from taskmill.dashboard.visitors import PLAIN_COOKIE, SECURE_COOKIE
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import format_key, parse_key
from taskmill.domain.grants import Scope
from taskmill.operations.api_keys import NewApiKey
from taskmill.operations.sessions import Sessions
from taskmill.storage.api_keys import revoke
from tests.support.api import LogLines, Served, raw_request
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.pages import HTMX, a_sessions, serving_pages
from tests.support.stage import Stage

HERE = "127.0.0.1"
FORM = {"content-type": "application/x-www-form-urlencoded"}
EVERYTHING_ELSE = tuple(scope for scope in Scope if scope is not Scope.ADMIN)


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


def sessions_of(pages: Served) -> Sessions:
    dashboard = pages.app._pages
    assert isinstance(dashboard, Dashboard)
    found = dashboard._context.sessions
    assert found is not None
    return found


async def try_to_log_in(
    pages: Served, key: NewApiKey | str, goal: str = "", headers: dict[str, str] | None = None
) -> httpx.Response:
    text = key if isinstance(key, str) else key.text
    form = {"key": text, **({"next": goal} if goal else {})}
    return await pages.post("/ui/login", urlencode(form).encode(), headers=FORM | (headers or {}))


async def log_in(pages: Served, key: NewApiKey) -> str:
    """Log in with a new cookie jar, and return the token."""
    pages.http.cookies.clear()
    response = await try_to_log_in(pages, key)
    assert response.status_code == 303, response.text
    return pages.http.cookies[PLAIN_COOKIE]


async def test_a_visitor_logs_in_and_lands_where_they_wanted_to_go(
    closed: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    asked = await closed.get("/ui/tasks?queue=mail")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/ui/login?next=%2Fui%2Ftasks%3Fqueue%3Dmail",
    )
    form = await closed.get(asked.headers["location"])
    assert form.status_code == 200
    assert 'name="next" value="/ui/tasks?queue=mail"' in form.text
    assert "<script" not in form.text
    entered = await try_to_log_in(closed, key, "/ui/tasks?queue=mail")
    assert (entered.status_code, entered.headers["location"]) == (303, "/ui/tasks?queue=mail")
    cookie = entered.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=604800", f"{PLAIN_COOKIE}="):
        assert part in cookie
    assert "Secure" not in cookie
    page = await closed.get("/ui/tasks")
    assert page.status_code == 200
    assert key.key.draft.name in page.text
    assert (await closed.get("/ui/login?next=/ui/queues")).headers["location"] == "/ui/queues"


async def test_over_https_the_cookie_is_bound_to_the_host(stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    async with serving_pages(stage, REQUIRED) as pages:
        app = pages.app

        async def over_https(scope: dict[str, object], receive: object, send: object) -> None:
            await app({**scope, "scheme": "https"}, receive, send)  # type: ignore[arg-type]  # ASGI's

        transport = httpx.ASGITransport(over_https)  # type: ignore[arg-type]  # ASGI's
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as http:
            body = urlencode({"key": key.text}).encode()
            entered = await http.post("/ui/login", content=body, headers=FORM)
            cookie = entered.headers["set-cookie"]
            assert cookie.startswith(f"{SECURE_COOKIE}=")
            assert "Secure" in cookie
            assert "Domain" not in cookie
            assert (await http.get("/ui/tasks")).status_code == 200
            token = http.cookies[SECURE_COOKIE]
            http.cookies.clear()
            plain = {"cookie": f"{PLAIN_COOKIE}={token}"}
            assert (await http.get("/ui/tasks", headers=plain)).status_code == 303


@pytest.mark.parametrize("goal", ["//evil.test", "\\\\evil.test", "https://evil.test", "https:"])
async def test_nobody_is_led_to_another_site(closed: Served, stage: Stage, goal: str) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    form = await closed.get("/ui/login?" + urlencode({"next": goal}))
    assert "evil" not in form.text
    assert (await try_to_log_in(closed, key, goal)).headers["location"] == "/"
    assert (await closed.get("/ui/login?" + urlencode({"next": goal}))).headers["location"] == "/"


async def test_a_link_of_another_site_leads_on_without_a_second_login(closed: Served) -> None:
    response = await closed.get(
        "/ui/login?next=/ui/tasks", headers={"sec-fetch-site": "cross-site"}
    )
    assert response.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/ui/tasks">' in response.text
    again = await closed.get("/ui/login?next=/ui/tasks", headers={"sec-fetch-site": "same-origin"})
    assert "refresh" not in again.text


async def bad_keys(stage: Stage) -> dict[str, NewApiKey | str]:
    database = stage.database
    revoked = await a_new_key(database, "admin")
    await revoke(stage.owner_database, revoked.key.id)
    expired = await a_new_key(database, "admin")
    await stage.sql.execute(
        "UPDATE taskmill.api_key SET expires_at = now() WHERE id = $1", expired.key.id
    )
    valid = await a_new_key(database, "admin")
    return {
        "nothing": "",
        "nonsense": "nonsense ключ",
        "unknown": format_key("live", "0" * 16, b"k" * 32),
        "wrong": format_key("live", valid.key.id, b"k" * 32),
        "elsewhere": await a_new_key(database, "admin", networks=("192.0.2.0/24",)),
        "expired": expired,
        "revoked": revoked,
    }


async def test_all_failed_logins_look_the_same(
    closed: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    fetch = stage.database.fetch

    async def counted(name: str, *arguments: object) -> object:
        looked_up.append(name)
        return await fetch(name, *arguments)

    monkeypatch.setattr(stage.database, "fetch", counted)
    responses = set()
    for state, key in (await bad_keys(stage)).items():
        looked_up.clear()
        response = await try_to_log_in(closed, key)
        assert response.status_code == 401, state
        assert "set-cookie" not in response.headers
        responses.add(response.text)
        # One lookup for each that has the form of a key: the time is that of all others.
        is_key = state not in {"nothing", "nonsense"}
        assert looked_up.count("get_api_key") == is_key, state
    assert len(responses) == 1


async def test_a_key_that_reads_nothing_gets_no_session(closed: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:create", "metrics")
    refused = await try_to_log_in(closed, key)
    assert refused.status_code == 403
    assert "tasks:read" in refused.text
    assert "set-cookie" not in refused.headers


async def test_an_address_that_tries_too_often_has_to_wait(closed: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    for _ in range(MOST_TRIES):
        assert (await try_to_log_in(closed, "wrong")).status_code == 401
    refused = await try_to_log_in(closed, key)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "set-cookie" not in refused.headers


def address_of(route: str) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    path = path.replace("{id}", str(uuid4())).replace("{name:path}", "no.js")
    return method, re.sub(r"\{\w+\}", "x", path)


def test_every_page_has_a_rule_and_every_rule_a_page() -> None:
    assert {f"{method} {path}" for method, path, _ in _all_routes()} == set(PAGE_RULES)


async def statuses(pages: Served, cookie: str | None) -> dict[str, int]:
    """The status of each page and action for a visitor; streams are left out when they begin."""
    pages.http.cookies.clear()
    headers = FORM if cookie is None else {**FORM, "cookie": f"{PLAIN_COOKIE}={cookie}"}
    found = {}
    for route, rule in PAGE_RULES.items():
        if rule.need is Need.NOTHING:
            continue
        method, path = address_of(route)
        async with pages.http.stream(method, path, headers=headers) as response:
            found[route] = response.status_code
    return found


@pytest.mark.slow
async def test_each_page_needs_a_session_with_its_scope(closed: Served, stage: Stage) -> None:
    database = stage.database
    reader = await a_new_key(database, "tasks:read")
    operator = await a_new_key(database, "tasks:read", "tasks:operate")
    creator = await a_new_key(database, "tasks:read", "tasks:create queue=a")
    narrow = await a_new_key(database, "tasks:read queue=a", *EVERYTHING_ELSE[3:], "tasks:create")
    revoked, expired = await a_new_key(database, "admin"), await a_new_key(database, "admin")
    admin = await a_new_key(database, "admin")
    names = ("reader", "operator", "creator", "narrow", "revoked", "expired", "admin")
    keys = (reader, operator, creator, narrow, revoked, expired, admin)
    tokens = {name: await log_in(closed, key) for name, key in zip(names, keys, strict=True)}
    await revoke(stage.owner_database, revoked.key.id)
    await stage.sql.execute(
        "UPDATE taskmill.session SET ends_at = now() WHERE key_id = $1", expired.key.id
    )
    sessions_of(closed).forget()
    refused = {name: await statuses(closed, tokens[name]) for name in ("revoked", "expired")}
    refused["none"] = await statuses(closed, None)
    refused["forged"] = await statuses(closed, "x" * 43)
    refused["malformed"] = await statuses(closed, "x")
    for name, found in refused.items():
        for route, status in found.items():
            is_page = route.startswith("GET") and not route.endswith(("/live", "/stream"))
            assert status == (303 if is_page else 401), (name, route)
    allowed = {
        "reader": {Scope.TASKS_READ},
        "operator": {Scope.TASKS_READ, Scope.TASKS_OPERATE},
        "creator": {Scope.TASKS_READ, Scope.TASKS_CREATE},
        "narrow": set(),
        "admin": set(Scope),
    }
    for name, scopes in allowed.items():
        for route, status in (await statuses(closed, tokens[name])).items():
            rule = PAGE_RULES[route]
            is_allowed = rule.need is Need.SESSION or rule.scope in scopes
            if (
                name == "narrow"
            ):  # it reads queue a only; what is about a queue here is about another one
                is_allowed = rule.need not in {Need.ALL, Need.QUEUE}
            assert (status != 403) is is_allowed, (name, route, status)
            is_led_on = route.startswith("POST") or (name == "narrow" and route == "GET /")
            assert status not in {303, 401} or is_led_on, (name, route, status)


async def test_what_a_key_may_not_do_is_not_drawn(closed: Served, stage: Stage) -> None:
    task = await stage.created(queue="mail", type="send")
    await log_in(closed, await a_new_key(stage.database, "tasks:read"))
    pages = ("/", "/ui/tasks", f"/ui/tasks/{task.id}", "/ui/queues", "/ui/workers", "/ui/failures")
    searches = {"search", "tasks", "queues", "workers", "failures"}
    allowed = {*searches, "preferences", "logout", "sweeps/preview"}
    for path in pages:
        text = (await closed.get(path)).text
        assert set(re.findall(r'action="/ui/([^"]+)"', text)) <= allowed, path
        assert "/ui/create" not in text, path
        assert 'name="what"' not in text, path
    await log_in(closed, await a_new_key(stage.database, "admin"))
    drawn = "".join([(await closed.get(path)).text for path in pages])
    for mark in ("/ui/create", "/pause", "/cancel", 'name="what"'):
        assert mark in drawn


async def test_a_refused_page_names_what_the_key_lacks(closed: Served, stage: Stage) -> None:
    await log_in(closed, await a_new_key(stage.database, "tasks:read queue=a"))
    refused = await closed.get("/ui/audit")
    assert refused.status_code == 403
    assert "Your key does not grant this" in refused.text
    assert "tasks:read for all queues" in refused.text
    assert "/ui/logout" in refused.text


async def test_a_task_is_created_only_where_the_key_may(closed: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:read", "tasks:create queue=a")
    await log_in(closed, key)

    async def create(**fields: str) -> httpx.Response:
        body = urlencode({"name": "x", "type": "emulate", "token": uuid4().hex, **fields})
        return await closed.post("/ui/create", body.encode(), headers=FORM)

    refused = await create(queue="b")
    assert refused.status_code == 403
    assert "tasks:create" in refused.text
    assert "outbound" in (await create(queue="a", callback_url="https://example.org/")).text
    made = await create(queue="a")
    assert made.status_code == 303, made.text
    [scope] = await stage.sql.fetch("SELECT scope FROM taskmill.idempotency")
    assert key.key.draft.name in scope["scope"]


async def test_a_cookie_counts_for_pages_only(closed: Served, stage: Stage) -> None:
    await log_in(closed, await a_new_key(stage.database, "admin"))
    assert (await closed.get("/ui/tasks")).status_code == 200
    for path in ("/tasks", "/queues", "/events", "/stats", "/metrics"):
        assert (await closed.get(path)).status_code == 401, path
    assert (await closed.post("/tasks", {"name": "x"})).status_code == 401


async def test_a_key_in_the_header_counts_for_pages_too(closed: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    assert (await closed.get("/ui/tasks/export.csv", headers=shown(key))).status_code == 200
    refused = await closed.get("/ui/tasks", headers=shown("wrong"))
    assert refused.status_code == 401
    await log_in(closed, key)
    assert (await closed.get("/ui/tasks", headers=shown("wrong"))).status_code == 401
    of_a_proxy = {"authorization": "Basic eDp5"}
    assert (await closed.get("/ui/tasks", headers=of_a_proxy)).status_code == 200


async def test_a_part_of_a_page_leads_to_the_form(closed: Served) -> None:
    refused = await closed.get("/ui/tasks?queue=a", headers=HTMX)
    assert refused.status_code == 401
    assert refused.headers["hx-redirect"] == "/ui/login?next=%2Fui%2Ftasks%3Fqueue%3Da"
    assert refused.text == ""


async def test_a_page_of_another_site_logs_nobody_in_or_out(closed: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    evil = {"origin": "https://evil.test"}
    assert (await try_to_log_in(closed, key, headers=evil)).status_code == 403
    await log_in(closed, key)
    assert (await closed.post("/ui/logout", headers=evil)).status_code == 403
    assert (await closed.get("/ui/tasks")).status_code == 200


async def test_logging_out_ends_the_session(closed: Served, stage: Stage) -> None:
    token = await log_in(closed, await a_new_key(stage.database, "tasks:read"))
    other = a_sessions(stage)
    assert (await other.verify(token, HERE)).key.permits(Scope.TASKS_READ)
    left = await closed.post("/ui/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/ui/login")
    assert PLAIN_COOKIE not in closed.http.cookies
    kept = {"cookie": f"{PLAIN_COOKIE}={token}"}
    assert (await closed.get("/ui/tasks", headers=kept)).status_code == 303
    assert (await closed.post("/ui/logout")).status_code == 303
    other.forget()
    with pytest.raises(NotAuthenticated):
        await other.verify(token, HERE)


async def test_a_stream_ends_with_its_session(closed: Served, stage: Stage) -> None:
    token = await log_in(closed, await a_new_key(stage.database, "tasks:read"))
    cookie = {"cookie": f"{PLAIN_COOKIE}={token}"}
    async with asyncio.timeout(15), closed.http.stream("GET", "/ui/live", headers=cookie) as live:
        lines = live.aiter_lines()
        while "event" not in await anext(lines):
            pass
        assert (await closed.post("/ui/logout")).status_code == 303
        await stage.created()
        dashboard = closed.app._pages
        assert isinstance(dashboard, Dashboard)
        async for line in lines:
            assert not line.startswith("event"), line


async def test_neither_key_nor_token_are_in_logs_pages_and_errors(
    closed: Served, stage: Stage, log_lines: LogLines
) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    token = await log_in(closed, key)
    texts = [(await closed.get(path)).text for path in ("/", "/ui/tasks/x", "/ui/nowhere")]
    wrong = format_key("live", key.key.id, b"w" * 32)
    texts.append((await try_to_log_in(closed, wrong)).text)
    body = f"key={key.text}%00".encode()
    texts.append((await closed.post("/ui/login", body, headers=FORM)).text)
    await stage.sql.execute("ALTER TABLE taskmill.session RENAME TO gone")
    sessions_of(closed).forget()
    broken = await closed.get("/ui/tasks")
    assert broken.status_code in {500, 503}
    failed = await try_to_log_in(closed, key)
    assert failed.status_code in {500, 503}
    host = closed.url.removeprefix("http://").encode()
    line = b"GET /ui/tasks HTTP/1.1\r\nhost: %b\r\ncookie: %b=%b\r\nconnection: close\r\n\r\n"
    texts += [broken.text, failed.text]
    texts.append(
        (
            await raw_request(closed.url, line % (host, PLAIN_COOKIE.encode(), token.encode()))
        ).decode("latin-1")
    )
    parsed = parse_key(key.text)
    assert parsed is not None
    everything = "\n".join([*texts, log_lines.text()])
    for secret in (parsed.secret, token, wrong[-49:]):
        assert secret not in everything
    assert log_lines.named("session.began")[0]["api_key"] == key.key.id
    assert log_lines.named("session.refused")
