"""Limits the memory that request bodies take: a cap for all of them, and one for each address.

A body counts from its first part to the end of the request, because it may wait to be parsed and stored. Small
bodies are not counted, so clients that send only small ones are never refused.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import BODY_BYTES
from taskmill.runtime.connections import address_group
from taskmill.runtime.http_scope import BODY

log = get_logger(__name__)

_SMALL_BYTES: Final = 64 * 1024
_RETRY_AFTER_S: Final = 5.0
_LOG_INTERVAL_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The caps of one server, in bytes. A single body is accepted even when it is larger than a cap."""

    total: int = 512 * 1024**2
    per_address: int = 256 * 1024**2


class BodyMemory:
    """The bodies that one server holds."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._total = 0
        self._by_address: Counter[str] = Counter()
        self._unlogged = 0
        self._logged_at = -_LOG_INTERVAL_S
        BODY_BYTES.watch(self, BodyMemory._sample_total)

    def track(self, scope: Scope) -> "Body":
        """Start counting a request's body; release it when the request ends."""
        client = scope.get("client")
        body = scope[BODY] = Body(self, client[0] if client else "")
        return body

    def reserve(self, host: str, size: int, *, own: int) -> None:
        """Reserve `size` bytes for a body that has `own` already. Raises `Unavailable` when a cap is reached."""
        address, limits = address_group(host), self._limits
        of_address = self._by_address[address] + size
        is_over = (of_address > limits.per_address and of_address > own + size) or (
            self._total + size > limits.total and self._total > own
        )
        if is_over:
            self._report(address)
            raise Unavailable(_RETRY_AFTER_S, "the memory for one more large body")
        self._by_address[address] = of_address
        self._total += size

    def release(self, host: str, size: int) -> None:
        """Give back `size` bytes."""
        address = address_group(host)
        self._total -= size
        self._by_address[address] -= size
        if not self._by_address[address]:
            del self._by_address[address]

    def _report(self, address: str) -> None:
        self._unlogged += 1
        now = asyncio.get_running_loop().time()
        if now - self._logged_at < _LOG_INTERVAL_S:
            return
        log.warning(
            "bodies.limited",
            address=address,
            count=self._unlogged,
            bytes=self._total,
            of_address=self._by_address[address],
        )
        self._logged_at, self._unlogged = now, 0

    def _sample_total(self) -> dict[tuple[str, ...], float]:
        return {(): self._total}


class Body:
    """The memory of one request's body."""

    __slots__ = ("_counted", "_host", "_memory", "_size")

    def __init__(self, memory: BodyMemory, host: str) -> None:
        self._memory = memory
        self._host = host
        self._size = 0
        self._counted = 0

    def grow(self, size: int) -> None:
        """Count `size` more received bytes. Raises `Unavailable` when a cap is reached."""
        self._size += size
        if self._size > _SMALL_BYTES:
            self._memory.reserve(self._host, self._size - self._counted, own=self._counted)
            self._counted = self._size

    def release(self) -> None:
        """Give back all of it: the request has ended."""
        if self._counted:
            self._memory.release(self._host, self._counted)
            self._counted = 0


def count_body_bytes(scope: Scope, size: int) -> None:
    """Count `size` more received bytes of a request's body. Raises `Unavailable` when a cap is reached."""
    body: Body | None = scope.get(BODY)
    if body is not None:
        body.grow(size)
