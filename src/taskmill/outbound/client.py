"""Sends single requests over pooled connections: without redirects, proxies and cookies, and within limits.

A connection goes only to an address that was checked, after the lookup of a name or because it was given as an
address; later requests to the same host reuse it. What a response means is up to the caller.
"""

import asyncio
import ssl
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from taskmill.outbound.addresses import Address, AddressRules
from taskmill.outbound.connections import Connections, send_once
from taskmill.outbound.errors import AddressNotPublic, AddressRefused, Unreachable
from taskmill.outbound.http_messages import Request, Response
from taskmill.outbound.lookup import Lookup, Resolve, resolve_by_system
from taskmill.outbound.own_services import NONE, OwnServices
from taskmill.runtime.slot_limit import SlotLimit
from taskmill.settings.outgoing import OutboundSettings
from taskmill.wire.urls import Target, target_of

AGENT: Final = "Taskmill"
# Less than the usual keep-alive of servers (5 s), so that they rarely close a connection just as it is used.
_KEEP_ALIVE_S: Final = 4.0
_READ_AT_ONCE: Final = 64 * 1024


class Outbound:
    """The HTTP client of a process. It must be used and closed in one event loop."""

    def __init__(
        self,
        rules: AddressRules,
        settings: OutboundSettings,
        *,
        own_services: OwnServices = NONE,
        trust: ssl.SSLContext | None = None,
        resolve: Resolve = resolve_by_system,
    ) -> None:
        self._rules = rules
        self._settings = settings
        self._trust = trust
        self._lookup = Lookup(rules, own_services=own_services, resolve=resolve)
        self._session: aiohttp.ClientSession | None = None
        self._limit = SlotLimit(settings.connections, per_key=settings.connections_per_host)

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Send a request and return the response, within `timeout_s` seconds after it got a connection slot.

        Raises:
            AddressRefused: the address may not be called.
            Unreachable: there was no response in time.
        """
        destination = self._checked(request.url)
        try:
            async with self._limit.slot(destination.origin), asyncio.timeout(timeout_s):
                if destination.address is not None:
                    await self._lookup.refuse_own(str(destination.address), destination.target.port)
                return await self._exchange(destination.url, request)
        except TimeoutError:
            raise Unreachable(
                f"{destination.origin} did not answer within {timeout_s:g} s"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The library's message contains the whole address: it must not be shown as the cause.
            raise Unreachable(f"{destination.origin}: {_cause(error)}") from None

    def _checked(self, text: str) -> "_Destination":
        try:
            destination = _read(text)
        except ValueError as error:
            raise Unreachable(f"what was to be called {error}") from None
        if (refusal := self._rules.refusal_of(destination.target)) is not None:
            raise AddressRefused(refusal)
        if destination.address is not None and not self._rules.admits(destination.address):
            raise AddressNotPublic(destination.target.host)
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
        """Read up to the limit; a longer body is cut, and its connection closed."""
        remaining = self._settings.response_bytes + 1
        parts = []
        while remaining and (part := await incoming.content.read(min(remaining, _READ_AT_ONCE))):
            parts.append(part)
            remaining -= len(part)
        body = b"".join(parts)
        if remaining:
            return body, False
        incoming.close()
        return body[:-1], True

    def _open(self) -> aiohttp.ClientSession:
        connector = Connections(
            limit=self._settings.connections,
            limit_per_host=self._settings.connections_per_host,
            resolver=self._lookup,
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
        send_once(self._session)
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _Destination(NamedTuple):
    """Where a request goes: the library's URL, what we read, the IP address if the host is one, and the origin.

    Only the origin may be shown: the rest of an address may contain secrets.
    """

    url: URL
    target: Target
    address: Address | None
    origin: str


@lru_cache(maxsize=1000)
def _read(text: str) -> _Destination:
    """Parse an address. Raises `ValueError` unless the library reads it as we do."""
    try:
        # Encoded as it is: what others signed or escaped must not be changed.
        target, url = target_of(text), URL(text, encoded=True)
        read = replace(target, host=(url.raw_host or "").lower().removesuffix("."))
    except ValueError:
        raise ValueError("is no address") from None
    # A name is checked when the library resolves it.
    address = target.address
    if read.address != address or (address is None and read != target):
        raise ValueError("can be read in two ways")
    return _Destination(url, target, address, str(url.origin()))


def _cause(error: Exception) -> str:
    """Return what went wrong, without the address that the library's message may contain."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate was not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "the connection was cut"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the response is not HTTP"
        case _:
            return type(error).__name__
