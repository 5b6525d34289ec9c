"""Sends single requests over kept connections: no redirects, no proxies, no cookies, no more than was allowed.

A connection is made to an address that was judged, by its name's lookup or because it was given as an address, and
serves later requests to the same host. What an answer means is its reader's affair.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, NamedTuple

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from taskmill.outbound.addresses import Address, AddressRules
from taskmill.outbound.connection_limit import ConnectionLimit
from taskmill.outbound.connections import Connections
from taskmill.outbound.errors import AddressRefused, OutboundError, Unreachable
from taskmill.outbound.lookup import Lookup, Resolve, resolve_by_system
from taskmill.wire.urls import target_of

AGENT: Final = "Taskmill"
# Shorter than what most servers keep an idle connection for (5 s): so they rarely close one just as it is used.
_KEEP_ALIVE_S: Final = 4.0
_READ_AT_ONCE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundLimits:
    """What one process may take: connections in all and to one host, and bytes of an answer's body."""

    connections: int = 500
    connections_per_host: int = 100
    response_bytes: int = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Request:
    """A request to an address of the form that `wire.urls` takes."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Response:
    """An answer as it came: its body is not decompressed, and `is_cut` where it was longer than allowed."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    is_cut: bool


class Outbound:
    """What a process sends by. It is used in one event loop, and closed there."""

    def __init__(
        self,
        rules: AddressRules,
        limits: OutboundLimits,
        *,
        trust: ssl.SSLContext | None = None,
        resolve: Resolve = resolve_by_system,
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._trust = trust
        self._resolve = resolve
        self._session: aiohttp.ClientSession | None = None
        self._limit = ConnectionLimit(limits.connections, per_host=limits.connections_per_host)

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Send a request and return the answer, in `timeout_s` seconds with everything but waiting for its turn.

        Raises:
            AddressRefused: the address leads where nobody is to be called.
            Unreachable: there was no answer in time.
        """
        destination = self._checked(request.url)
        try:
            async with self._limit.slot(destination.origin), asyncio.timeout(timeout_s):
                return await self._exchange(destination.url, request)
        except TimeoutError:
            raise Unreachable(
                f"{destination.origin} did not answer within {timeout_s:g} s"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The library's words have the whole address: they are no cause that is told.
            raise Unreachable(f"{destination.origin}: {_cause(error)}") from None

    def _checked(self, text: str) -> "_Destination":
        try:
            destination = _read(text)
        except ValueError as error:
            raise Unreachable(f"what was to be called {error}") from None
        if destination.address is not None and not self._rules.admits(destination.address):
            raise AddressRefused(destination.host)
        return destination

    async def _exchange(self, url: URL, request: Request) -> Response:
        session = self._session or self._open()
        async with session.request(
            request.method,
            url,
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
        ) as incoming:
            body, is_cut = await self._read(incoming)
            return Response(
                status=incoming.status, headers=incoming.headers, body=body, is_cut=is_cut
            )

    async def _read(self, incoming: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """Read up to the limit; of a longer answer no more, and its connection is given up."""
        left = self._limits.response_bytes + 1
        parts = []
        while left and (part := await incoming.content.read(min(left, _READ_AT_ONCE))):
            parts.append(part)
            left -= len(part)
        body = b"".join(parts)
        if left:
            return body, False
        incoming.close()
        return body[:-1], True

    def _open(self) -> aiohttp.ClientSession:
        limits = self._limits
        connector = Connections(
            limit=limits.connections,
            limit_per_host=limits.connections_per_host,
            resolver=Lookup(self._rules, resolve=self._resolve),
            use_dns_cache=False,
            keepalive_timeout=_KEEP_ALIVE_S,
            ssl=self._trust or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=CIMultiDict({"User-Agent": AGENT, "Accept-Encoding": "identity"}),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
        )
        # The client would send GET, HEAD, PUT and DELETE once more over a connection that was cut, unasked.
        self._session._retry_connection = False  # noqa: SLF001 - there is no other way; its own tests do so
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _Destination(NamedTuple):
    """Where a request goes: as the client has it, the host, its address if it is one, and what may be told of it.

    The rest of an address may hold secrets.
    """

    url: URL
    host: str
    address: Address | None
    origin: str


@lru_cache(maxsize=1000)
def _read(text: str) -> _Destination:
    """Return where an address leads. Raises `ValueError` unless the client reads it as we do."""
    try:
        # As it is: what was signed or escaped by others must not be spelled anew.
        target, url = target_of(text), URL(text, encoded=True)
        read = replace(target, host=(url.raw_host or "").lower().removesuffix("."))
    except ValueError:
        raise ValueError("is no address") from None
    # A name is judged when the client looks that up.
    address = target.address
    if read.address != address or (address is None and read != target):
        raise ValueError("can be read in two ways")
    return _Destination(url, target.host, address, str(url.origin()))


def _cause(error: Exception) -> str:
    """Say what went wrong, without the address that the library's words may have."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate was not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "the connection was cut"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer is no HTTP"
        case _:
            return type(error).__name__


__all__ = ["AGENT", "Outbound", "OutboundError", "OutboundLimits", "Request", "Response"]
