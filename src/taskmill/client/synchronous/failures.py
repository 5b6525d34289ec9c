"""The methods for kinds of failures: list, read, sample, resolve, ignore, reopen."""

from collections.abc import Iterator
from typing import Unpack
from uuid import UUID

from taskmill.client import failures
from taskmill.client.failures import FailureFilters
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.failure_samples import FailureSampleView
from taskmill.client.views.failures import FailureKindDetails, FailureKindView


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

    def failure(self, kind_id: str, *, window: str = "24h") -> FailureKindDetails:
        """Read a kind, with how many failed by queue and by type within the window."""
        return self._send(failures.get(kind_id, window))

    def failure_sample(
        self, kind_id: str, *, window: str = "24h", task: UUID | str | None = None
    ) -> FailureSampleView:
        """Read what the newest tasks of a kind have in common that are still failed; `task` is the example."""
        return self._send(failures.sample(kind_id, window, task))

    def resolve_failure(self, kind_id: str) -> FailureKindDetails:
        """Note that a kind is resolved; if it fails again, it has come back."""
        return self._send(failures.decide(kind_id, "resolve"))

    def ignore_failure(self, kind_id: str) -> FailureKindDetails:
        """Note that a kind is to be ignored."""
        return self._send(failures.decide(kind_id, "ignore"))

    def reopen_failure(self, kind_id: str) -> FailureKindDetails:
        """Note that a kind is neither resolved nor ignored."""
        return self._send(failures.decide(kind_id, "reopen"))
