"""The API behind proxies that are trusted: limits and log lines are about their clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Receive, Scope, Send

from taskmill.api.server import ApiServer
from taskmill.domain.errors import Unavailable
from taskmill.observability.metrics import CONNECTIONS_LIMITED
from taskmill.runtime.body_memory import BodyLimits, BodyMemory, count_body_bytes
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.forwarded import TrustedProxies
from taskmill.runtime.http_server import HttpServer
from tests.support.api import LogLines, Served
from tests.support.attackers import ATTACKER, raw_connections
from tests.support.polling import eventually

PROXY = "127.0.0.1"
CLIENT = "198.51.100.7"
OTHER = "198.51.100.8"
MEGABYTE = 1024**2
SIZE = 2 * MEGABYTE


class App:
    """Responds with who sent the request; it reads bodies within a limit for each address."""

    def __init__(self, per_address: int = 4 * MEGABYTE) -> None:
        self._memory = BodyMemory(BodyLimits(per_address=per_address))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self._memory.track(scope)
        status = 200
        try:
            while (message := await receive())["type"] == "http.request":
                count_body_bytes(scope, len(message["body"]))
                if not message["more_body"]:
                    break
        except Unavailable:
            status = 503
        finally:
            body.release()
        found = orjson.dumps({"client": scope["client"], "scheme": scope["scheme"]})
        headers = [(b"content-length", b"%d" % len(found))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": found})


@asynccontextmanager
async def serving(server: HttpServer[Any]) -> AsyncIterator[str]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        try:
            yield str(server.url)
        finally:
            stop.set()


def a_server(app: App | None = None, **limits: int) -> HttpServer[Any]:
    return HttpServer(
        app or App(),
        host="127.0.0.1",
        port=0,
        limits=ConnectionLimits(**limits),
        proxies=TrustedProxies([PROXY]),
    )


def from_address(url: str, address: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=url, transport=transport)


async def seen(url: str, headers: dict[str, str], address: str = PROXY) -> tuple[str, str]:
    async with from_address(url, address) as http:
        response = await http.get("/", headers=headers)
    found = response.json()
    return found["client"][0], found["scheme"]


async def test_what_a_trusted_proxy_says_is_believed() -> None:
    async with serving(a_server()) as url:
        assert await seen(url, {"forwarded": f"for={CLIENT};proto=https"}) == (CLIENT, "https")
        assert await seen(url, {"x-forwarded-for": CLIENT}) == (CLIENT, "http")
        assert await seen(url, {}) == (PROXY, "http")


async def test_what_others_say_is_ignored() -> None:
    async with serving(a_server()) as url:
        headers = {"forwarded": f"for={CLIENT};proto=https", "x-forwarded-for": CLIENT}
        assert await seen(url, headers, ATTACKER) == (ATTACKER, "http")


async def test_without_trusted_proxies_nobody_is_believed() -> None:
    async with serving(HttpServer(App(), host="127.0.0.1", port=0)) as url:
        headers = {"x-forwarded-for": CLIENT, "x-forwarded-proto": "https"}
        assert await seen(url, headers) == (PROXY, "http")


async def test_each_request_of_a_connection_has_its_own_client() -> None:
    async with serving(a_server()) as url, httpx.AsyncClient(base_url=url) as http:
        for client in (CLIENT, OTHER, None, CLIENT):
            headers = {} if client is None else {"x-forwarded-for": client}
            found = (await http.get("/", headers=headers)).json()
            assert found["client"][0] == (client or PROXY)


async def test_a_request_that_asks_for_an_upgrade_has_its_client() -> None:
    async with serving(a_server()) as url:
        upgrade = {"connection": "upgrade", "upgrade": "h2c", "x-forwarded-for": CLIENT}
        assert await seen(url, upgrade) == (CLIENT, "http")


async def test_log_lines_name_the_client_on_the_fast_path_and_in_the_layers(
    api: Served, log_lines: LogLines
) -> None:
    server = ApiServer(api.app, host="127.0.0.1", port=0, proxies=TrustedProxies([PROXY]))
    async with serving(server) as url:
        async with httpx.AsyncClient(base_url=url) as http:
            for headers in ({"x-forwarded-for": CLIENT}, {"x-forwarded-for": "nonsense"}, {}):
                assert (await http.post("/tasks", json={"name": "a"}, headers=headers)).is_success
                assert (await http.get("/tasks", headers=headers)).is_success
        async with from_address(url, ATTACKER) as http:
            await http.post("/tasks", json={"name": "a"}, headers={"x-forwarded-for": CLIENT})
    lines = log_lines.named("request.served")
    assert [line["client"] for line in lines] == [CLIENT, CLIENT, *[PROXY] * 4, ATTACKER]


async def test_log_lines_name_no_client_where_no_proxy_is_trusted(
    api: Served, log_lines: LogLines
) -> None:
    await api.create()
    await api.get("/tasks", headers={"x-forwarded-for": CLIENT})
    assert all("client" not in line for line in log_lines.named("request.served"))


async def test_the_memory_for_bodies_is_limited_for_each_client_of_a_proxy(
    log_lines: LogLines,
) -> None:
    part = b"x" * (MEGABYTE * 3 // 4)
    async with (
        serving(a_server(App(per_address=MEGABYTE))) as url,
        raw_connections(url, 1, unfinished(CLIENT) + part, address=PROXY),
        raw_connections(url, 1, unfinished(OTHER) + part, address=PROXY) as [other],
        raw_connections(url, 1, unfinished(CLIENT) + part, address=PROXY) as [second],
    ):
        assert (await second.reader.readline()).startswith(b"HTTP/1.1 503 ")
        assert other.is_open
    [line] = log_lines.named("bodies.limited")
    assert line["address"] == CLIENT


def unfinished(client: str) -> bytes:
    """A request of this client, by a proxy, whose body does not come."""
    head = ("POST / HTTP/1.1", "host: a", f"x-forwarded-for: {client}", f"content-length: {SIZE}")
    return "\r\n".join((*head, "", "")).encode()


async def test_incomplete_bodies_count_for_the_client() -> None:
    before = CONNECTIONS_LIMITED.value("http", "address")
    async with (
        serving(a_server(unfinished_per_address=2)) as url,
        raw_connections(url, 2, unfinished(CLIENT), address=PROXY),
        raw_connections(url, 2, unfinished(OTHER), address=PROXY) as others,
    ):
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/")).is_success
        assert CONNECTIONS_LIMITED.value("http", "address") == before
        async with raw_connections(url, 1, unfinished(CLIENT), address=PROXY) as [third]:
            assert (await third.read_to_end()).startswith(b"HTTP/1.1 503 ")
        assert all(one.is_open for one in others)
        await others[0].send(b"x" * SIZE)
        assert (await others[0].reader.readline()).startswith(b"HTTP/1.1 200 ")
        # Its place is free again.
        async with raw_connections(url, 1, unfinished(OTHER) + b"x" * SIZE, address=PROXY) as [
            more
        ]:
            assert (await more.reader.readline()).startswith(b"HTTP/1.1 200 ")
    assert CONNECTIONS_LIMITED.value("http", "address") == before + 1


async def test_incomplete_heads_count_for_the_proxy() -> None:
    async with (
        serving(a_server(unfinished_per_address=2)) as url,
        raw_connections(url, 3, unfinished(CLIENT)[:-2], address=PROXY) as heads,
    ):

        async def is_one_closed() -> bool:
            return [one.is_open for one in heads].count(True) == 2

        await eventually(is_one_closed, "the oldest one is closed")


@pytest.mark.parametrize("value", ["\xff", '"', "for=;", ",", "for=" + "x" * 20_000])
async def test_malformed_headers_are_no_error(api: Served, value: str) -> None:
    server = ApiServer(api.app, host="127.0.0.1", port=0, proxies=TrustedProxies([PROXY]))
    async with serving(server) as url, httpx.AsyncClient(base_url=url) as http:
        for name in ("forwarded", "x-forwarded-for", "x-forwarded-proto"):
            headers = {name.encode(): value.encode("latin-1")}
            created = await http.post("/tasks", json={"name": "a"}, headers=headers)
            assert created.status_code == 201
            assert (await http.get("/tasks", headers=headers)).status_code == 200
