"""The calls for kinds of failures."""

from typing import TypedDict

from taskmill.client.calls import Call, got
from taskmill.wire.failures import FailureKindList


class FailureFilters(TypedDict, total=False):
    """Which kinds of failures are read, and in which order.

    `window` is 1h, 24h (the default), 7d or 30d; `label` is `key=value`; `text` is in the kind or its message.
    """

    window: str
    queue: str
    type: str
    label: str
    text: str
    state: str
    order: str


def page(wanted: FailureFilters, cursor: str | None, limit: int) -> Call[FailureKindList]:
    """Read a page of the kinds of failures."""
    return got("/failures", FailureKindList, **wanted, limit=limit, cursor=cursor)
