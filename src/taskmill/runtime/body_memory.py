"""How much memory bodies of requests take: a cap for all together, and one for those of each address.

A body counts from its first part to the end of the request: what was read of it may wait to be parsed, and be
stored after that. Small bodies are not counted, so that those who send no other are never refused.
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
    """The caps of one server, in bytes. A body that is alone has room, however large it is."""

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
        BODY_BYTES.watch(self, BodyMemory._held)

    def body_of(self, scope: Scope) -> "Body":
        """Return what a request's body is counted with; let go of it when the request ends."""
        client = scope.get("client")
        body = scope[BODY] = Body(self, client[0] if client else "")
        return body

    def take(self, host: str, size: int, *, own: int) -> None:
        """Count so many more bytes of one who has `own` already. Raises `Unavailable` when there is no room."""
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

    def give_back(self, host: str, size: int) -> None:
        """Count so many bytes less."""
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

    def _held(self) -> dict[tuple[str, ...], float]:
        return {(): self._total}


class Body:
    """What one request's body takes."""

    __slots__ = ("_counted", "_host", "_memory", "_size")

    def __init__(self, memory: BodyMemory, host: str) -> None:
        self._memory = memory
        self._host = host
        self._size = 0
        self._counted = 0

    def grow(self, size: int) -> None:
        """Note that so many bytes have come. Raises `Unavailable` when there is no room for them."""
        self._size += size
        if self._size > _SMALL_BYTES:
            self._memory.take(self._host, self._size - self._counted, own=self._counted)
            self._counted = self._size

    def let_go(self) -> None:
        """Note that the request has ended."""
        if self._counted:
            self._memory.give_back(self._host, self._counted)
            self._counted = 0


def grown(scope: Scope, size: int) -> None:
    """Note that so many bytes of a request's body have come. Raises `Unavailable` when there is no room."""
    body: Body | None = scope.get(BODY)
    if body is not None:
        body.grow(size)
