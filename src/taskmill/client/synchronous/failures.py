"""The methods for kinds of failures: list them."""

from collections.abc import Iterator
from typing import Unpack

from taskmill.client import failures
from taskmill.client.failures import FailureFilters
from taskmill.client.synchronous.sending import Sender
from taskmill.wire.failures import FailureKindView


class FailureCalls(Sender):
    """Kinds of failures."""

    def failures(
        self, *, page_size: int = 50, **wanted: Unpack[FailureFilters]
    ) -> Iterator[FailureKindView]:
        """Yield the kinds of what failed for good, by default most failures first, page by page."""
        cursor: str | None = None
        while True:
            page = self._send(failures.page(wanted, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return
