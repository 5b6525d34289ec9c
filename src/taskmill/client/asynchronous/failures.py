"""The methods for kinds of failures: list them."""

from collections.abc import AsyncIterator
from typing import Unpack

from taskmill.client import failures
from taskmill.client.asynchronous.sending import AsyncSender
from taskmill.client.failures import FailureFilters
from taskmill.wire.failures import FailureKindView


class AsyncFailureCalls(AsyncSender):
    """Kinds of failures."""

    async def failures(
        self, *, page_size: int = 50, **wanted: Unpack[FailureFilters]
    ) -> AsyncIterator[FailureKindView]:
        """Yield the kinds of what failed for good, by default most failures first, page by page."""
        cursor: str | None = None
        while True:
            page = await self._send(failures.page(wanted, cursor, page_size))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return
