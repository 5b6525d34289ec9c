"""Limits a server's connections: a cap for all, one per address for unfinished requests, and which to close first.

It counts connections and chooses; it does not read what they send.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, Protocol

from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import (
    CONNECTIONS,
    CONNECTIONS_LIMITED,
    CONNECTIONS_UNFINISHED,
)

log = get_logger(__name__)

# Why a connection is closed or refused: a cap, a request that comes too slowly, or a response that is not read.
ALL: Final = "all"
ADDRESS: Final = "address"
SLOW_HANDSHAKE: Final = "slow_handshake"
SLOW_HEAD: Final = "slow_head"
SLOW_BODY: Final = "slow_body"
SLOW_RESPONSE: Final = "slow_response"

_LOG_INTERVAL_S: Final = 10.0
# Finding the oldest walks through all connections of an address, so it closes several at once.
_SHARE_CLOSED_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The caps of one server."""

    total: int = 10_000
    unfinished_per_address: int = 256


DEFAULT_LIMITS: Final = ConnectionLimits()


class Connection(Protocol):
    """A connection as it is counted."""

    address: str

    @property
    def eviction_order(self) -> tuple[int, float] | None:
        """The order in which it may be closed for a new one, the lowest first; None while it must not be."""
        ...

    def evict(self) -> None:
        """Close, to make room for a new connection."""
        ...


class Connections:
    """All connections of one server, named `server` in its log and metrics."""

    def __init__(self, server: str, limits: ConnectionLimits, now: Callable[[], float]) -> None:
        self._server = server
        self.limits = limits
        self._now = now
        self._open: defaultdict[str, set[Connection]] = defaultdict(set)
        self._count = 0
        # By address, each in the order in which the requests began.
        self._unfinished: defaultdict[str, dict[Connection, None]] = defaultdict(dict)
        self._counted_for: dict[Connection, str] = {}
        self._unlogged: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}
        CONNECTIONS.watch(self, Connections._sample_open)
        CONNECTIONS_UNFINISHED.watch(self, Connections._sample_unfinished)

    def open(self, connection: Connection) -> bool:
        """Count a new connection; False when it has to be refused."""
        has_room = self._count < self.limits.total or self._make_room(connection.address)
        self._open[connection.address].add(connection)
        self._count += 1
        if not has_room:
            self.report(ALL, connection.address)
        return has_room

    def close(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self.finish(connection)
        same = self._open[connection.address]
        if connection in same:
            same.remove(connection)
            self._count -= 1
        if not same:
            del self._open[connection.address]

    def begin(self, connection: Connection, address: str) -> bool:
        """Count a connection whose request has come in part; False when it has to be refused.

        It counts for `address` only: that of the client where a proxy has named it. When it has too many of them,
        the oldest that may be closed is closed.
        """
        if self._counted_for.get(connection, address) != address:
            self.finish(connection)
        same = self._unfinished[address]
        is_over = len(same) >= self.limits.unfinished_per_address and connection not in same
        if is_over:
            self.report(ADDRESS, address)
            oldest = next((one for one in same if one.eviction_order is not None), None)
            if oldest is None:
                return False
            self._evict(oldest)
        self._unfinished[address][connection] = None
        self._counted_for[connection] = address
        return True

    def finish(self, connection: Connection) -> None:
        """Record that the request has come completely."""
        address = self._counted_for.pop(connection, None)
        if address is not None:
            same = self._unfinished[address]
            del same[connection]
            if not same:
                del self._unfinished[address]

    def report(self, reason: str, address: str) -> None:
        """Count a closed or refused connection, and log the first of them within some seconds."""
        CONNECTIONS_LIMITED.add(1, (self._server, reason))
        self._unlogged[reason] += 1
        now = self._now()
        if now - self._logged_at.get(reason, -_LOG_INTERVAL_S) < _LOG_INTERVAL_S:
            return
        self._logged_at[reason] = now
        log.warning(
            "connections.limited",
            server=self._server,
            reason=reason,
            address=address,
            count=self._unlogged.pop(reason),
            open=self._count,
            limit=self.limits.total if reason == ALL else self.limits.unfinished_per_address,
        )

    def _make_room(self, address: str) -> bool:
        """Close the least important connections of an address that has at least as many as the new one's."""
        own = len(self._open.get(address, ()))
        for same in sorted(self._open.values(), key=len, reverse=True):
            if len(same) < own:
                break
            if self._close_oldest(same):
                return True
        return False

    def _close_oldest(self, same: set[Connection]) -> bool:
        found = [(order, one) for one in same if (order := one.eviction_order) is not None]
        found.sort(key=lambda item: item[0])
        closed = found[: max(1, len(found) // _SHARE_CLOSED_AT_ONCE)] if found else []
        for _, one in closed:
            self.report(ALL, one.address)
            self._evict(one)
        return bool(closed)

    def _evict(self, connection: Connection) -> None:
        self.close(connection)
        connection.evict()

    def _sample_open(self) -> dict[tuple[str, ...], float]:
        return {(self._server,): self._count}

    def _sample_unfinished(self) -> dict[tuple[str, ...], float]:
        return {(self._server,): sum(map(len, self._unfinished.values()))}


def address_group(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or the 64 bits of an IPv6 network."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
