"""Documents that are sent as bytes, and made anew when the contracts that they show have changed."""

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from taskmill.api.answers import JSON, Answer
from taskmill.api.holding import matches
from taskmill.operations.contracts import Contracts
from taskmill.wire.answers import answer_json
from taskmill.wire.contracts.contract import Contract

ASKED_AGAIN: Final = b"no-cache"


class CachedDocument:
    """A document of the moment: made anew when contracts have changed, and otherwise kept as bytes.

    `base` makes the document without types. It is called when the document is asked for: its 0.3 s are none of the
    start. A thread makes all of it, for one request at a time: large contracts take long.
    """

    def __init__(
        self,
        base: Callable[[], dict[str, Any]],
        complete: Callable[[dict[str, Any], Iterable[Contract]], object],
    ) -> None:
        self._base = base
        self._complete = complete
        self._making = asyncio.Lock()
        # Of which revision it is, its bytes and its tag.
        self._kept: tuple[int | None, bytes, bytes] = (None, b"", b"")

    async def answer(self, request: Request, contracts: Contracts | None) -> Response:
        """Show the document, unless the client has it."""
        async with self._making:
            revision = 0 if contracts is None else contracts.revision
            if revision != self._kept[0]:
                types = () if contracts is None else tuple(contracts.by_type.values())
                await asyncio.to_thread(self._make, revision, types)
        _, document, tag = self._kept
        kept = ((b"etag", tag), (b"cache-control", ASKED_AGAIN))
        asked = request.headers.get("if-none-match", "").encode("latin-1")
        if matches(asked, tag):
            return Answer(304, b"", kept).response()
        return Answer(200, document, (JSON, *kept)).response()

    def _make(self, revision: int, types: Iterable[Contract]) -> None:
        """Make it anew; it is kept also when whoever asked for it has gone meanwhile."""
        document = answer_json(self._complete(self._base(), types))
        tag = f'"{sha256(document).hexdigest()[:16]}"'.encode()
        self._kept = (revision, document, tag)
