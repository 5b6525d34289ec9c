"""The methods for kinds of failures: list, read, sample, resolve, ignore, reopen."""

from collections.abc import AsyncIterator
from typing import Unpack
from uuid import UUID

from taskmill.client import failures
from taskmill.client.asynchronous.sending import AsyncSender
from taskmill.client.failures import FailureFilters
from taskmill.client.views.failure_samples import FailureSampleView
from taskmill.client.views.failures import FailureKindDetails, FailureKindView


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

    async def failure(self, kind_id: str, *, window: str = "24h") -> FailureKindDetails:
        """Read a kind, with how many failed by queue and by type within the window."""
        return await self._send(failures.get(kind_id, window))

    async def failure_sample(
        self, kind_id: str, *, window: str = "24h", task: UUID | str | None = None
    ) -> FailureSampleView:
        """Read what the newest tasks of a kind have in common that are still failed; `task` is the example."""
        return await self._send(failures.sample(kind_id, window, task))

    async def resolve_failure(self, kind_id: str) -> FailureKindDetails:
        """Note that a kind is resolved; if it fails again, it has come back."""
        return await self._send(failures.decide(kind_id, "resolve"))

    async def ignore_failure(self, kind_id: str) -> FailureKindDetails:
        """Note that a kind is to be ignored."""
        return await self._send(failures.decide(kind_id, "ignore"))

    async def reopen_failure(self, kind_id: str) -> FailureKindDetails:
        """Note that a kind is neither resolved nor ignored."""
        return await self._send(failures.decide(kind_id, "reopen"))
