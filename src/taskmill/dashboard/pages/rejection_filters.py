"""The filter of the list of rejected messages: from a query and back. It finds nothing."""

from dataclasses import dataclass
from typing import Final

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages import slices
from taskmill.dashboard.view import Pairs
from taskmill.domain.errors import InvalidInput
from taskmill.domain.rejection import RejectionFilter
from taskmill.wire.fields import is_name
from taskmill.wire.wording import describe

STATES: Final = ("open", "resent")
"""The values of `state`: those that have become no task, and those that have."""

_LONGEST_REASON: Final = 1000
_STATUS_DIGITS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionFilters:
    """What to list. Each value is as in the address; empty is any."""

    state: str = ""
    queue: str = ""
    status: str = ""
    text: str = ""
    reason: str = ""

    @classmethod
    def of(cls, query: Pairs) -> "RejectionFilters":
        """Read a query. Raises `InvalidInput`."""
        state, queue, status = (first(query, name) for name in ("state", "queue", "status"))
        if queue and not is_name(queue):
            raise InvalidInput.at("query:queue", "a name", describe(queue, reveal=True))
        is_number = status.isascii() and status.isdigit() and len(status) == _STATUS_DIGITS
        if status and not is_number:
            raise InvalidInput.at("query:status", "a status", describe(status, reveal=True))
        return cls(
            state=one_of(STATES, state, "query:state") if state else "",
            queue=queue,
            status=status,
            text=slices.searched(query, "text"),
            reason=first(query, "reason")[:_LONGEST_REASON],
        )

    @property
    def wanted(self) -> RejectionFilter:
        """Which messages to list."""
        return RejectionFilter(
            queue=self.queue or None,
            status=int(self.status) if self.status else None,
            text=self.text or None,
            reason=self.reason or None,
            is_open=None if not self.state else self.state == STATES[0],
        )

    @property
    def pairs(self) -> Pairs:
        """The query for the same list, from its beginning on."""
        names = ("state", "queue", "status", "text", "reason")
        return [(name, value) for name in names if (value := getattr(self, name))]

    def with_other(self, name: str, value: str) -> Pairs:
        """Return the query with another value of a parameter; empty: without it."""
        others = [pair for pair in self.pairs if pair[0] != name]
        return [*others, (name, value)] if value else others
