"""An HTTP endpoint for tests: it responds as the test chooses, and records the requests."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.polling import eventually

Responder = Callable[["Received"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request that was received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: object


@dataclass(kw_only=True)
class Endpoint:
    """Its address, and the requests so far. `responds` may be changed at any time."""

    url: str
    responds: Responder
    received: list[Received] = field(default_factory=list)

    @property
    def connections(self) -> int:
        """How many connections the requests used."""
        return len({id(one.connection) for one in self.received})

    @property
    def ids(self) -> list[str]:
        """The ids of the received messages, in order."""
        return [one.headers["webhook-id"] for one in self.received]


async def ok(_: Received) -> web.StreamResponse:
    """Respond with success."""
    return web.json_response({"ok": True})


def status(code: int, **headers: str) -> Responder:
    """Respond with a status; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(status=code, headers=named)

    return respond


async def never(_: Received) -> web.StreamResponse:
    """Never respond."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


@asynccontextmanager
async def an_endpoint(
    responds: Responder = ok, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    """Serve on a free port of 127.0.0.1."""
    endpoint = Endpoint(url="", responds=responds)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        received = Received(
            method=request.method,
            path=request.path_qs,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            connection=request.transport,
        )
        endpoint.received.append(received)
        return await endpoint.responds(received)

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        _, port = runner.addresses[0][:2]
        endpoint.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        yield endpoint
    finally:
        await runner.cleanup()


async def came(endpoint: Endpoint, count: int, *, timeout_s: float = 15) -> None:
    """Wait until so many requests were received."""

    async def probe() -> bool:
        return len(endpoint.received) >= count

    await eventually(probe, f"{count} requests", timeout_s=timeout_s)
