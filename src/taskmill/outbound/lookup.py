"""Looks up the addresses of hosts without blocking the event loop, and returns only those that may be called.

The system's resolver has no timeout and can't be stopped: it runs in daemon threads that nobody joins. There is
one lookup of a host at a time, however many requests wait for it, and none if nobody waits any more. The number of
threads is limited, to many more than a process needs by default: a name whose servers are dead holds a thread for
half a minute.
"""

import asyncio
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.errors import AddressNotPublic, OwnServiceRefused, Unreachable
from taskmill.outbound.own_services import NONE, OwnServices

_MOST_AT_ONCE: Final = 256
# Addresses of each family that are used of a host: they are tried in parallel, and a name may have thousands.
_MOST_OF_A_FAMILY: Final = 4
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

Resolve = Callable[[str], Sequence[str]]


def resolve_by_system(host: str) -> list[str]:
    """Return all addresses of a host from the system's resolver. Blocks. Raises `OSError`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(slots=True)
class _Query:
    result: asyncio.Future[Sequence[str] | OSError]
    waiters: int = 0


class Lookup(AbstractResolver):
    """Resolves for the HTTP client: a connection goes to one of the addresses that were checked here."""

    def __init__(
        self,
        rules: AddressRules,
        *,
        own_services: OwnServices = NONE,
        resolve: Resolve = resolve_by_system,
    ) -> None:
        self._rules = rules
        self._own_services = own_services
        self._resolve = resolve
        self._queries: dict[str, _Query] = {}
        self._waiting: deque[str] = deque()
        self._threads = 0

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the library's
    ) -> list[ResolveResult]:
        """Return the addresses at which a host may be called.

        Raises:
            AddressRefused: none of its addresses may be called.
            Unreachable: it has no address, or the lookup failed.
        """
        host = host.lower().removesuffix(".")
        try:
            found = await self._found(host)
        except OSError as error:
            raise Unreachable(f"the name {host} was not found: {error.strerror or error}") from None
        if not found:
            raise Unreachable(f"the name {host} has no address")
        admitted = _first_of_each_family(self._admitted(host, found))
        others = await self._without_own(host, port, admitted)
        return [_result(host, address, port) for address in others]

    async def refuse_own(self, address: str, port: int) -> None:
        """Check that none of this installation's own services is at an address.

        Raises:
            OwnServiceRefused: one is.
            Unreachable: that could not be found out.
        """
        await self._without_own(address, port, [address])

    async def _without_own(self, host: str, port: int, addresses: Sequence[str]) -> list[str]:
        others, own = [], None
        for address in addresses:
            if found := await self._own_services.find(address, port, self._found):
                own = found
            else:
                others.append(address)
        if own is not None and not others:
            raise OwnServiceRefused(host, port, own.what)
        return others

    def _admitted(self, host: str, found: Sequence[str]) -> Sequence[str]:
        """Return the addresses that may be called. Raises `AddressNotPublic` if there are none."""
        if self._rules.allows_host(host):
            return found
        admitted = [
            text for text in found if self._rules.admits(ip_address(text.partition("%")[0]))
        ]
        if not admitted:
            raise AddressNotPublic(host)
        return admitted

    async def _found(self, host: str) -> Sequence[str]:
        """Return what the system's resolver returns. Raises `OSError`."""
        if host not in self._queries:
            self._queries[host] = _Query(asyncio.get_running_loop().create_future())
            self._waiting.append(host)
        query = self._queries[host]
        query.waiters += 1
        try:
            self._start_threads()
            # Not `await query.result`: a cancelled caller would cancel it for all others.
            await asyncio.wait([query.result])
        finally:
            query.waiters -= 1
        found = query.result.result()
        if isinstance(found, OSError):
            raise found
        return found

    def _start_threads(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._threads < _MOST_AT_ONCE:
            host = self._waiting.popleft()
            if not self._queries[host].waiters:
                del self._queries[host]
                continue
            thread = threading.Thread(
                target=self._resolve_in_thread, args=(loop, host), daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                self._queries.pop(host).result.set_result(OSError(str(error)))
            else:
                self._threads += 1

    def _resolve_in_thread(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        result: Sequence[str] | OSError
        try:
            result = self._resolve(host)
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else OSError(str(error))
        # The loop may be closed by now: then nobody waits for the result.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._resolved, host, result)

    def _resolved(self, host: str, result: Sequence[str] | OSError) -> None:
        self._threads -= 1
        self._queries.pop(host).result.set_result(result)
        self._start_threads()

    async def close(self) -> None:
        """Do nothing: threads that still run end by themselves, and their results are dropped."""


def _first_of_each_family(addresses: Sequence[str]) -> list[str]:
    """Return the first few addresses of each family, in the system's order of preference."""
    remaining = Counter({True: _MOST_OF_A_FAMILY, False: _MOST_OF_A_FAMILY})
    some = []
    for address in addresses:
        remaining[":" in address] -= 1
        if remaining[":" in address] >= 0:
            some.append(address)
    return some


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=_NUMERIC,
    )
