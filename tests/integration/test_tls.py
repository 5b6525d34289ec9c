"""HTTPS: what is served over HTTP is served over TLS, within the same limits, by a certificate that may change."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from taskmill.api.server import ApiServer
from taskmill.observability.metrics import CONNECTIONS_LIMITED, HANDSHAKES_FAILED
from taskmill.runtime.certificates import ServerCertificate
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.http_server import HttpServer
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace
from tests.support.api import LogLines, Served
from tests.support.attackers import raw_connections
from tests.support.certificates import Authority
from tests.support.polling import eventually

SIZE = 32 * 1024**2
HELLO = b"\x16\x03\x01"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def a_certificate(authority: Authority) -> ServerCertificate:
    return ServerCertificate(authority.issue(), SystemClock().now)


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with what was sent, or with very much."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    if scope["path"] == "/scheme":
        body = scope["scheme"].encode()
    if scope["path"] == "/large":
        body = b"x" * SIZE
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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


def a_server(
    certificate: ServerCertificate, pace: Pace = DEFAULT_PACE, **limits: int
) -> HttpServer[Any]:
    return HttpServer(
        large,
        host="127.0.0.1",
        port=0,
        pace=pace,
        limits=ConnectionLimits(**limits),
        certificate=certificate,
    )


@asynccontextmanager
async def connected(
    url: str, authority: Authority
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", urlsplit(url).port, ssl=authority.trust()
    )
    try:
        yield reader, writer
    finally:
        writer.close()


def serial_of(writer: asyncio.StreamWriter) -> str:
    return str(writer.get_extra_info("peercert")["serialNumber"])


async def test_the_api_is_served_over_tls_by_the_fast_path_and_by_the_layers(
    api: Served, authority: Authority
) -> None:
    server = ApiServer(api.app, host="127.0.0.1", port=0, certificate=a_certificate(authority))
    async with (
        serving(server) as url,
        httpx.AsyncClient(base_url=url, verify=authority.trust()) as http,
    ):
        assert url.startswith("https://127.0.0.1:")
        created = await http.post("/tasks", json={"name": "a"})
        assert created.status_code == 201
        read = await http.get(f"/tasks/{created.json()['id']}")
        assert read.json()["name"] == "a"
        assert "strict-transport-security" not in read.headers
        batch = await http.post("/tasks/batch", json=[{"name": "b"}] * 40)
        assert batch.status_code == 201
        many = await asyncio.gather(  # noqa: TID251 - a test
            *(http.post("/tasks", json={"name": f"{number}"}) for number in range(40))
        )
        assert {response.status_code for response in many} == {201}
        assert (await http.get("/tasks", params={"limit": 100})).status_code == 200


async def test_bodies_and_responses_of_any_size_come_whole(authority: Authority) -> None:
    async with (
        serving(a_server(a_certificate(authority))) as url,
        httpx.AsyncClient(base_url=url, verify=authority.trust(), timeout=60) as http,
    ):
        for size in (0, 1, 16_383, 16_384, 16_385, 5_000_000):
            sent = b"0123456789" * (size // 10) + b"x" * (size % 10)
            assert (await http.post("/", content=sent)).content == sent
        assert len((await http.get("/large")).content) == SIZE
        assert (await http.get("/scheme")).text == "https"


async def test_pipelined_requests_are_answered_in_order(authority: Authority) -> None:
    async with (
        serving(a_server(a_certificate(authority))) as url,
        connected(url, authority) as (reader, writer),
    ):
        request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n%d"
        writer.write(b"".join(request % number for number in range(9)))
        for number in range(9):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(1) == b"%d" % number


async def test_requests_in_small_pieces_are_put_together(authority: Authority) -> None:
    async with (
        serving(a_server(a_certificate(authority))) as url,
        connected(url, authority) as (reader, writer),
    ):
        for byte in b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab":
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"ab"


def received_to_the_end(url: str, trust: ssl.SSLContext) -> int:
    """Read a large response slowly; without the notice that it ends, or cut off, it raises."""
    plain = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))
    received = 0
    with trust.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
        tls.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        while part := tls.recv(16_384):
            received += len(part)
    return received


async def test_a_connection_is_closed_with_notice_when_all_is_sent(authority: Authority) -> None:
    async with serving(a_server(a_certificate(authority))) as url:
        # Not asyncio's: uvloop's loses what has come before the end (0.23).
        received = await asyncio.to_thread(received_to_the_end, url, authority.trust())
    assert received > SIZE


async def test_a_new_certificate_is_for_new_connections_only(authority: Authority) -> None:
    certificate = a_certificate(authority)
    async with (
        serving(a_server(certificate)) as url,
        connected(url, authority) as (reader, writer),
    ):
        authority.issue()
        await certificate.refresh()
        writer.write(b"GET /scheme HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await reader.readuntil(b"https")).startswith(b"HTTP/1.1 200 ")
        async with connected(url, authority) as (_, later):
            assert serial_of(later) != serial_of(writer)


async def test_plain_http_gets_no_response(authority: Authority) -> None:
    before = HANDSHAKES_FAILED.value()
    async with (
        serving(a_server(a_certificate(authority))) as url,
        raw_connections(url, 1, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n") as [plain],
    ):
        assert b"HTTP" not in await plain.read_to_end()
    assert HANDSHAKES_FAILED.value() == before + 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_old_versions_of_tls_are_refused(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.trust()
    context.minimum_version, context.maximum_version = version, version
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with serving(a_server(a_certificate(authority))) as url:
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", urlsplit(url).port, ssl=context)


async def test_tls_1_2_is_spoken(authority: Authority) -> None:
    context = authority.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with (
        serving(a_server(a_certificate(authority))) as url,
        httpx.AsyncClient(base_url=url, verify=context) as http,
    ):
        assert (await http.post("/", content=b"a" * 100_000)).content == b"a" * 100_000


@pytest.mark.parametrize("sent", [b"", HELLO], ids=["nothing", "a part"])
async def test_a_handshake_that_does_not_come_is_cut_off(
    authority: Authority, log_lines: LogLines, sent: bytes
) -> None:
    before = CONNECTIONS_LIMITED.value("http", "slow_handshake")
    async with (
        serving(a_server(a_certificate(authority), Pace(head_s=0.3))) as url,
        raw_connections(url, 3, sent) as attack,
    ):
        assert [await one.read_to_end() for one in attack] == [b""] * 3
    assert CONNECTIONS_LIMITED.value("http", "slow_handshake") == before + 3
    [line] = log_lines.named("connections.limited")
    assert (line["reason"], line["address"]) == ("slow_handshake", "127.0.0.2")


async def test_handshakes_count_as_incomplete_requests_of_their_address(
    authority: Authority,
) -> None:
    patient = Pace(head_s=60)  # so that it is the limit which closes them
    server = a_server(a_certificate(authority), patient, unfinished_per_address=4)
    async with serving(server) as url, raw_connections(url, 9, HELLO) as attack:

        async def are_few() -> bool:
            return sum(one.is_open for one in attack) == 4

        await eventually(are_few, "4 are open")


async def test_connections_without_a_handshake_give_way_to_others(authority: Authority) -> None:
    server = a_server(a_certificate(authority), total=4)
    async with (
        serving(server) as url,
        raw_connections(url, 4, b"") as attack,
        httpx.AsyncClient(base_url=url, verify=authority.trust()) as http,
    ):
        assert (await http.get("/scheme")).status_code == 200
        assert sum(one.is_open for one in attack) == 3


async def test_a_server_stops_at_once_while_handshakes_are_open(authority: Authority) -> None:
    async with (
        asyncio.timeout(5),
        serving(a_server(a_certificate(authority))) as url,
        raw_connections(url, 3, HELLO),
    ):
        pass


async def test_what_is_not_tls_after_the_handshake_ends_the_connection(
    authority: Authority,
) -> None:
    async with (
        serving(a_server(a_certificate(authority))) as url,
        raw_connections(url, 1, b"") as [plain],
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await plain.send(outgoing.read())
                incoming.write(await plain.reader.read(65536))
        await plain.send(outgoing.read() + b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await plain.read_to_end()


@pytest.mark.parametrize("close", [b"connection: close\r\n", b""], ids=["closing", "keep-alive"])
async def test_a_client_that_reads_nothing_of_its_response_is_disconnected(
    authority: Authority, close: bytes
) -> None:
    before = CONNECTIONS_LIMITED.value("http", "slow_response")
    async with (
        serving(a_server(a_certificate(authority), Pace(response_stall_s=0.4))) as url,
        connected(url, authority) as (_, writer),
    ):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it has it
        writer.write(b"GET /large HTTP/1.1\r\nhost: a\r\n%b\r\n" % close)

        async def is_disconnected() -> bool:
            return CONNECTIONS_LIMITED.value("http", "slow_response") == before + 1

        await eventually(is_disconnected, "it is cut off")


@pytest.mark.parametrize(
    "check",
    [
        test_bodies_and_responses_of_any_size_come_whole,
        test_pipelined_requests_are_answered_in_order,
        test_a_connection_is_closed_with_notice_when_all_is_sent,
        test_a_new_certificate_is_for_new_connections_only,
        test_plain_http_gets_no_response,
        test_connections_without_a_handshake_give_way_to_others,
        test_a_server_stops_at_once_while_handshakes_are_open,
        partial(test_a_client_that_reads_nothing_of_its_response_is_disconnected, close=b""),
    ],
)
def test_the_same_holds_on_uvloop_whose_transports_are_others(
    authority: Authority, check: Callable[[Authority], Coroutine[Any, Any, None]]
) -> None:
    uvloop.run(check(authority))
