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
from taskmill.wire.contracts.door import DoorContract

ASKED_AGAIN: Final = b"no-cache"


class KeptDocument:
    """A document of the moment: made anew when contracts have changed, and otherwise kept as bytes.

    `base` makes the document without types. It is called in a thread, when the document is asked for: it takes
    some 0.3 s, which a start need not wait for.
    """

    def __init__(
        self,
        base: Callable[[], dict[str, Any]],
        complete: Callable[[dict[str, Any], Iterable[DoorContract]], object],
    ) -> None:
        self._base = base
        self._complete = complete
        self._revision: int | None = None
        self._bytes = b""
        self._tag = b""

    async def answer(self, request: Request, contracts: Contracts | None) -> Response:
        """Show the document, unless the client has it."""
        revision = 0 if contracts is None else contracts.revision
        if revision != self._revision:
            base = await asyncio.to_thread(self._base)
            revision = 0 if contracts is None else contracts.revision
            types = () if contracts is None else contracts.by_type.values()
            self._bytes = answer_json(self._complete(base, types))
            self._tag = f'"{sha256(self._bytes).hexdigest()[:16]}"'.encode()
            self._revision = revision
        kept = ((b"etag", self._tag), (b"cache-control", ASKED_AGAIN))
        asked = request.headers.get("if-none-match", "").encode("latin-1")
        if matches(asked, self._tag):
            return Answer(304, b"", kept).response()
        return Answer(200, self._bytes, (JSON, *kept)).response()
