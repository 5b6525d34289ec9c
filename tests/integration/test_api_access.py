"""Which requests the API and the admin port allow: under which names, and from which pages."""

import asyncio

import pytest

from taskmill.admin.app import AdminApp
from taskmill.admin.server import AdminServer
from taskmill.domain.system import BrokerPresence, BrokerState, Readiness
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS, AccessRules
from taskmill.settings import ApiSettings, Settings
from tests.support.api import LIMITS, SETTINGS, LogLines, Served, raw_request, serving
from tests.support.stage import Stage

EVIL = {"host": "evil.test"}
ELSEWHERE = {"origin": "http://evil.test", "sec-fetch-site": "cross-site"}
APP = "http://localhost:5173"
OPEN = Settings(
    limits=LIMITS,
    api=ApiSettings(allowed_hosts=("api", "*.example.org"), allowed_origins=(APP,)),
)
LEGACY_WORKER = "/task_service/api/v1/worker"


async def operations(api: Served) -> list[tuple[str, str]]:
    """Every method and address that the documents describe, with something for its parameters."""
    found = []
    for path in ("/openapi.json", "/task_service/openapi.json"):
        document = (await api.get(path)).json()
        for address, methods in document["paths"].items():
            filled = address.replace("{", "").replace("}", "")
            found += [(method.upper(), filled) for method in methods]
    return found


async def test_under_a_foreign_name_only_probes_are_served(pages: Served) -> None:
    """As by a page whose name was made to resolve to this server."""
    more = [("GET", path) for path in ("/", "/docs", "/ui/tasks", "/nowhere", "/openapi.json")]
    for method, path in [*await operations(pages), *more, ("POST", "/ui/preferences")]:
        response = await pages.http.request(method, path, headers=EVIL)
        if path in {"/healthz", "/readyz"}:
            assert response.status_code == 200
        elif path.startswith("/task_service/"):
            assert (response.status_code, response.json().keys()) == (421, {"detail"}), path
        else:
            assert (response.status_code, response.json()["type"]) == (
                421,
                "/problems/unknown-host",
            )
            assert "evil.test" in response.json()["detail"]


async def test_the_refusal_has_an_id_and_a_log_line(api: Served, log_lines: LogLines) -> None:
    response = await api.get("/tasks", headers={**EVIL, "x-request-id": "r1"})
    assert response.headers["x-request-id"] == "r1"
    [line] = log_lines.named("request.served")
    assert (line["request_id"], line["status"]) == ("r1", 421)


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8000", "LOCALHOST."])
async def test_addresses_and_localhost_are_always_served(api: Served, host: str) -> None:
    task = await api.create()
    for path in ("/tasks", f"/tasks/{task['id']}", "/metrics"):
        assert (await api.get(path, headers={"host": host})).status_code == 200
    assert (await api.post("/tasks", {"name": "a"}, headers={"host": host})).status_code == 201


async def test_names_of_the_settings_are_served(stage: Stage) -> None:
    async with serving(stage.service, OPEN) as api:
        for host, status in (
            ("api:8000", 200),
            ("a.example.org", 200),
            ("localhost", 200),
            ("example.org", 421),
            ("api.evil.test", 421),
        ):
            assert (await api.get("/tasks", headers={"host": host})).status_code == status


def status_of(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /stats HTTP/1.1\r\n", 400),
        (b"GET /stats HTTP/1.0\r\n", 400),
        (b"GET /stats HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n", 400),
        (b"GET /stats HTTP/1.1\r\nhost: \r\n", 400),
        (b"GET /stats HTTP/1.1\r\nhost: a b\r\n", 400),
        (b"GET /stats HTTP/1.1\r\nhost: localhost:99999\r\n", 400),
        (b"GET /stats HTTP/1.1\r\nhost: [::1\r\n", 400),
        (b"GET /stats HTTP/1.0\r\nhost: evil.test\r\n", 421),
        (b"GET http://evil.test/stats HTTP/1.1\r\nhost: localhost\r\n", 421),
        (b"GET http://evil.test/stats HTTP/1.1\r\nhost: evil.test\r\n", 421),
        (b"GET http://localhost/stats HTTP/1.1\r\nhost: evil.test\r\n", 421),
        (b"GET http://localhost/stats HTTP/1.1\r\n", 400),
        (b"GET http://me@localhost/stats HTTP/1.1\r\nhost: localhost\r\n", 400),
        (b"GET http://localhost/stats HTTP/1.1\r\nhost: localhost\r\n", 200),
        (b"GET http://127.0.0.1/stats HTTP/1.0\r\nhost: 127.0.0.1\r\n", 200),
        (b"GET //evil.test/stats HTTP/1.1\r\nhost: localhost\r\n", 404),
        (b"POST http://evil.test/tasks HTTP/1.1\r\nhost: localhost\r\n", 421),
        (b"GET /healthz HTTP/1.0\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\n", 200),
        (b"GET /readyz HTTP/1.0\r\n", 200),
        (b"GET /readyz HTTP/1.1\r\nhost: evil.test\r\n", 200),
        (b"GET http://evil.test/readyz HTTP/1.1\r\nhost: evil.test\r\n", 200),
        (b"GET /healthz%2f..%2fstats HTTP/1.1\r\nhost: evil.test\r\n", 421),
        (b"GET /healthz/../stats HTTP/1.1\r\nhost: evil.test\r\n", 421),
    ],
)
async def test_odd_hosts_and_targets_are_refused(api: Served, head: bytes, expected: int) -> None:
    assert status_of(await raw_request(api.url, head + b"connection: close\r\n\r\n")) == expected


async def test_a_page_of_another_site_changes_nothing_at_any_address(
    pages: Served, stage: Stage
) -> None:
    await pages.create()
    before = await stage.sql.fetchval("SELECT count(*) FROM taskmill.change_batch")
    writes = [one for one in await operations(pages) if one[0] != "GET"]
    assert len(writes) > 20
    for method, path in [*writes, ("POST", "/ui/preferences"), ("POST", "/ui/sweeps")]:
        for headers in (ELSEWHERE, {"origin": "null"}, {"sec-fetch-site": "same-site"}):
            response = await pages.http.request(method, path, content=b"{}", headers=headers)
            assert response.status_code == 403, (method, path)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.change_batch") == before


@pytest.mark.parametrize(
    "path", [LEGACY_WORKER, LEGACY_WORKER + "/", "/task%5fservice/api/v1/worker"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_legacy_address_starts_no_worker_for_a_page_of_another_site(
    stage: Stage, path: str, method: str
) -> None:
    starts: list[None] = []
    async with serving(stage.service, drain=lambda: starts.append(None)) as api:
        for headers in (ELSEWHERE, {"sec-fetch-site": "same-site"}, {"origin": "null"}):
            refused = await api.http.request(method, path, headers=headers)
            assert refused.status_code == 403
        assert starts == []
        for fine in ({}, {"sec-fetch-site": "none"}, {"sec-fetch-site": "same-origin"}):
            assert (await api.http.request(method, path, headers=fine)).status_code == 200
        assert len(starts) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost:3000"},
    ],
)
async def test_programs_and_own_pages_may_write_with_any_content_type(
    api: Served, headers: dict[str, str]
) -> None:
    if "origin" in headers:
        headers = {**headers, "host": "127.0.0.1:8000"}
    for content_type in ({}, {"content-type": "text/plain;charset=UTF-8"}):
        response = await api.post("/tasks", b'{"name":"a"}', headers={**headers, **content_type})
        assert response.status_code == 201, response.text


async def test_responses_have_default_headers_for_browsers(api: Served) -> None:
    task = await api.create()
    expected = {name.decode(): value.decode() for name, value in DEFAULT_RESPONSE_HEADERS}
    assert expected.keys() == {"x-content-type-options", "referrer-policy", "cache-control"}
    for response in (
        await api.get(f"/tasks/{task['id']}"),
        await api.get(f"/tasks/{task['id']}", headers={"if-none-match": '"9.9"'}),
        await api.get("/tasks"),
        await api.post("/tasks", {"name": "a"}),
        await api.post("/tasks", {"nam": "a"}),
        await api.get("/nowhere"),
        await api.get("/stats", headers=EVIL),
        await api.post("/tasks", {"name": "a"}, headers=ELSEWHERE),
        await api.get("/healthz"),
        await api.get("/task_service/api/v1/task/"),
    ):
        several = response.headers.get_list
        assert {name: several(name) for name in expected} == {n: [v] for n, v in expected.items()}
    # Responses that may be cached set the header themselves.
    assert (await api.get("/openapi.json")).headers.get_list("cache-control") == ["no-cache"]


async def test_pages_of_allowed_origins_may_send_requests_and_read(stage: Stage) -> None:
    preflight_headers = {
        "origin": APP,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,idempotency-key",
    }
    writes = {"origin": APP, "sec-fetch-site": "same-site"}
    async with serving(stage.service, OPEN) as api:
        preflight = await api.http.options("/tasks", headers=preflight_headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == APP
        assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
        made = await api.post("/tasks", {"name": "a"}, headers=writes)
        assert (made.status_code, made.headers["access-control-allow-origin"]) == (201, APP)
        assert "Location" in made.headers["access-control-expose-headers"]
        assert "Origin" in made.headers["vary"]
        for other in ("http://localhost:5174", "http://evil.test", "null"):
            refused = await api.http.options(
                "/tasks", headers={**preflight_headers, "origin": other}
            )
            assert "access-control-allow-origin" not in refused.headers
            read = await api.get("/tasks", headers={"origin": other})
            assert "access-control-allow-origin" not in read.headers
    async with serving(stage.service, SETTINGS) as api:
        assert (await api.http.options("/tasks", headers=preflight_headers)).status_code == 405


async def ready() -> Readiness:
    broker = BrokerState(presence=BrokerPresence.NONE, policy="auto", trouble=None)
    return Readiness(parts={"database": None}, broker=broker)


async def admin_statuses(access: AccessRules, *requests: bytes) -> list[int]:
    server, stop = (
        AdminServer(AdminApp(ready, lambda: False, access=access), host="127.0.0.1", port=0),
        asyncio.Event(),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        try:
            tail = b"connection: close\r\n\r\n"
            return [status_of(await raw_request(server.url or "", one + tail)) for one in requests]
        finally:
            stop.set()


async def test_a_scrape_of_the_admin_port_needs_an_address_or_a_known_name() -> None:
    """As Prometheus scrapes the containers of a service: by address, or by the service's name."""
    requests = (
        b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:8001\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: 172.18.0.5:8001\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: worker:8001\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: localhost:8001\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: evil.test\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: worker\r\nhost: worker\r\n",
        b"GET /metrics HTTP/1.0\r\n",
        b"GET http://evil.test/metrics HTTP/1.1\r\nhost: worker\r\n",
        b"GET /healthz HTTP/1.0\r\n",
        b"GET /readyz HTTP/1.1\r\nhost: anything.test\r\n",
    )
    found = await admin_statuses(AccessRules(["worker"]), *requests)
    assert found == [200, 200, 200, 200, 421, 400, 400, 421, 200, 200]
