"""Which requests go to the fast path and which to the app, seen from the connection alone."""

import asyncio
import gc
import weakref

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from taskmill.runtime.fast_path import FastRequest
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS
from taskmill.runtime.http_protocol import LARGEST_HEAD_BYTES, HttpProtocol

REQUEST = b"POST /quick HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


class Wire:
    """A transport that records what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _: str) -> None:
        return None

    def abort(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class App:
    """Has a fast path that accepts `/quick`, and responds late or not at all."""

    def __init__(self) -> None:
        self.fast_path = self
        self.begun: list[FastRequest] = []
        self.bodies: list[bytes] = []
        self.responded: list[bytes] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.is_willing = True

    def accepts(self, method: bytes, url: bytes) -> bool:
        return (method, url) == (b"POST", b"/quick")

    def begin(self, request: FastRequest) -> bool:
        if self.is_willing:
            self.begun.append(request)
            self.bodies.append(bytes(request.body))
        return self.is_willing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers.append(scope["headers"])
        self.responded.append((await receive())["body"])
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
        )
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def connection(app: App, wire: Wire) -> HttpProtocol:
    return connected(app, wire)


def connected(app: App, wire: Wire) -> HttpProtocol:
    config = uvicorn.Config(
        app, http=HttpProtocol, ws="none", lifespan="off", interface="asgi3", proxy_headers=False
    )
    config.load()
    protocol = HttpProtocol(config, ServerState(), {})
    protocol.connection_made(wire)
    return protocol


async def iterate(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_ordinary_request_goes_to_the_fast_path(
    app: App, wire: Wire, connection: HttpProtocol
) -> None:
    connection.data_received(REQUEST)
    [request] = app.begun
    assert (bytes(request.body), request.headers[0]) == (b"{}", (b"host", b"x"))
    request.respond(201, ((b"etag", b"1"),), b"done")
    always = b"".join(b"%s: %s\r\n" % header for header in DEFAULT_RESPONSE_HEADERS)
    own = b"etag: 1\r\ncontent-length: 4\r\n\r\ndone"
    assert wire.written == b"HTTP/1.1 201 Created\r\n" + always + own
    assert app.responded == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        REQUEST.replace(b"/quick", b"/other"),
        REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        REQUEST.replace(b"host: x", b"connection: close"),
        REQUEST.replace(b"host: x", b"expect: 100-continue"),
    ],
)
async def test_unusual_requests_go_to_the_app(
    app: App, connection: HttpProtocol, request_bytes: bytes
) -> None:
    connection.data_received(request_bytes)
    await iterate()
    assert (app.begun, app.responded) == ([], [b"{}"])


async def test_what_the_fast_path_refuses_goes_to_the_app(
    app: App, connection: HttpProtocol
) -> None:
    app.is_willing = False
    connection.data_received(REQUEST)
    await iterate()
    assert app.responded == [b"{}"]
    connection.data_received(REQUEST)
    await iterate()
    assert app.responded == [b"{}", b"{}"]


async def test_a_client_that_reads_no_responses_gets_none_by_the_fast_path(
    app: App, connection: HttpProtocol
) -> None:
    """The app waits until it does; responses of the fast path would pile up."""
    connection.pause_writing()
    connection.data_received(REQUEST)
    await iterate()
    assert app.begun == []
    connection.resume_writing()
    await iterate()
    assert app.responded == [b"{}"]


async def test_a_pipelined_request_waits_until_the_fast_path_has_responded(
    app: App, wire: Wire, connection: HttpProtocol
) -> None:
    connection.data_received(REQUEST + REQUEST)
    await iterate()
    assert (len(app.begun), app.responded, wire.written) == (1, [], b"")
    app.begun[0].respond(201, (), b"")
    await iterate()
    assert app.responded == [b"{}"]
    assert [line for line in wire.written.split(b"\r\n") if line.startswith(b"HTTP/")] == [
        b"HTTP/1.1 201 Created",
        b"HTTP/1.1 200 OK",
    ]


async def test_nothing_is_written_to_a_client_that_left(
    app: App, wire: Wire, connection: HttpProtocol
) -> None:
    connection.data_received(REQUEST)
    wire.close()
    connection.connection_lost(None)
    app.begun[0].respond(201, (), b"too late")
    assert wire.written == b""


async def test_when_the_server_stops_the_response_ends_the_connection(
    app: App, wire: Wire, connection: HttpProtocol
) -> None:
    connection.data_received(REQUEST)
    connection.shutdown()
    assert not wire.is_closed
    app.begun[0].respond(201, (), b"")
    assert b"connection: close\r\n" in wire.written
    assert wire.is_closed


@pytest.mark.parametrize("first", [REQUEST, REQUEST.replace(b"/quick", b"/other")])
@pytest.mark.parametrize(
    "behind",
    [
        b"no HTTP\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n",
        b"GET /%s HTTP/1.1\r\n" % (b"x" * LARGEST_HEAD_BYTES),
        b"GET http://[ HTTP/1.1\r\n\r\n",
        REQUEST.replace(b"content-length: 2", b"transfer-encoding: chunked"),
    ],
)
async def test_a_refusal_is_not_taken_for_the_response_to_an_earlier_request(
    app: App, wire: Wire, connection: HttpProtocol, first: bytes, behind: bytes
) -> None:
    connection.data_received(first)
    connection.data_received(behind)
    assert (wire.written, wire.is_closed) == (b"", False)
    for request in app.begun:
        request.respond(201, (), b"")
    await iterate()
    statuses = [line[9:12] for line in wire.written.split(b"\r\n") if line.startswith(b"HTTP/")]
    assert statuses[0] == (b"201" if app.begun else b"200")
    assert statuses[1:] in ([], [b"400"])
    assert app.responded == [b"{}"] * (not app.begun)


@pytest.mark.parametrize("path", [b"/quick", b"/other"])
async def test_several_upgrades_in_a_row_are_ignored(
    app: App, connection: HttpProtocol, path: bytes
) -> None:
    """Each request is parsed again from its head; the next one begins where that ends."""
    wish = REQUEST.replace(b"/quick", path).replace(
        b"host: x", b"host: x\r\nupgrade: h2c\r\nconnection: Upgrade"
    )
    connection.data_received(wish + wish.replace(b"{}", b"[]") + wish.replace(b"{}", b"12"))
    for request in app.begun:
        request.respond(201, (), b"")
    await iterate(50)
    bodies = [bytes(parts) for parts in app.bodies]
    assert [*bodies, *app.responded] == [b"{}", b"[]", b"12"]


async def test_a_served_request_is_freed_with_its_body_and_its_connection(
    app: App, wire: Wire
) -> None:
    """There may be many idle connections; objects in a reference cycle stay until the collector runs."""
    connection = connected(app, wire)
    connection.data_received(REQUEST)
    [request] = app.begun
    request.respond(201, (), b"")
    assert request.body == b""
    left = weakref.ref(connection)
    connection.connection_lost(None)
    gc.disable()
    try:
        del connection
        await iterate()
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("path", [b"/quick", b"/other"])
async def test_trailers_are_not_taken_for_headers(
    app: App, connection: HttpProtocol, path: bytes
) -> None:
    head, _, _ = REQUEST.replace(b"/quick", path).partition(b"content-length")
    whole = head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-late: 1\r\n\r\n"
    connection.data_received(whole)
    await iterate()
    names = [[name for name, _ in one] for one in (*(r.headers for r in app.begun), *app.headers)]
    assert names == [[b"host", b"transfer-encoding"]]


@pytest.mark.parametrize("endless", [b"1;", b"0\r\nx: "])
async def test_chunk_extensions_and_trailers_are_limited(
    wire: Wire, connection: HttpProtocol, endless: bytes
) -> None:
    head, _, _ = REQUEST.partition(b"content-length")
    connection.data_received(head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n" + endless)
    for _ in range(LARGEST_HEAD_BYTES // 1024):
        connection.data_received(b"x" * 1024)
    assert not wire.is_closed
    connection.data_received(b"x")
    assert (wire.written[9:12], wire.is_closed) == (b"431", True)


async def test_an_upgrade_request_may_close_the_connection(
    app: App, wire: Wire, connection: HttpProtocol
) -> None:
    wish = b"host: x\r\nupgrade: h2c\r\nconnection: Close, Upgrade"
    connection.data_received(REQUEST.replace(b"host: x", wish))
    await iterate()
    assert app.responded == [b"{}"]
    assert b"connection: close\r\n" in wire.written
    assert wire.is_closed
