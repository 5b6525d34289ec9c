"""Documents that are cached as bytes, and rendered anew when contracts have changed."""

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from taskmill.api.long_polling import matches
from taskmill.api.responses import JSON, RawResponse
from taskmill.operations.contracts import Contracts
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.encoding import encode_json

REVALIDATE: Final = b"no-cache"


class CachedDocument:
    """A document that is rendered anew when contracts have changed.

    `base` makes the document without types. It takes 0.3 s, so it is called by the first request and not at the
    start. A thread renders the document, for one request at a time: large contracts take long.
    """

    def __init__(
        self,
        base: Callable[[], dict[str, Any]],
        complete: Callable[[dict[str, Any], Iterable[Contract]], object],
    ) -> None:
        self._base = base
        self._complete = complete
        self._lock = asyncio.Lock()
        # Its revision, bytes and entity tag.
        self._cached: tuple[int | None, bytes, bytes] = (None, b"", b"")

    async def respond(self, request: Request, contracts: Contracts | None) -> Response:
        """Respond with the document, or 304 when the client has it."""
        async with self._lock:
            revision = 0 if contracts is None else contracts.revision
            if revision != self._cached[0]:
                types = () if contracts is None else tuple(contracts.by_type.values())
                await asyncio.to_thread(self._render, revision, types)
        _, document, tag = self._cached
        headers = ((b"etag", tag), (b"cache-control", REVALIDATE))
        if_none_match = request.headers.get("if-none-match", "").encode("latin-1")
        if matches(if_none_match, tag):
            return RawResponse(304, b"", headers).to_starlette()
        return RawResponse(200, document, (JSON, *headers)).to_starlette()

    def _render(self, revision: int, types: Iterable[Contract]) -> None:
        """Render and cache it, also when the client that requested it has left meanwhile."""
        document = encode_json(self._complete(self._base(), types))
        tag = f'"{sha256(document).hexdigest()[:16]}"'.encode()
        self._cached = (revision, document, tag)
