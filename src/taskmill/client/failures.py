"""The calls for kinds of failures."""

from typing import TypedDict
from uuid import UUID

from taskmill.client.calls import Call, got, path_of
from taskmill.client.responses import reader
from taskmill.client.views.failure_samples import FailureSampleView
from taskmill.client.views.failures import FailureKindDetails, FailureKindList


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


def get(kind_id: str, window: str) -> Call[FailureKindDetails]:
    """Read a kind."""
    return got(path_of("failures", kind_id), FailureKindDetails, window=window)


def sample(kind_id: str, window: str, task: UUID | str | None) -> Call[FailureSampleView]:
    """Read what the tasks of a kind have in common, and one of them."""
    path = path_of("failures", kind_id, "sample")
    return got(path, FailureSampleView, window=window, task=task)


def decide(kind_id: str, decision: str) -> Call[FailureKindDetails]:
    """Resolve, ignore or reopen a kind."""
    path = path_of("failures", kind_id, decision)
    return Call(method="POST", path=path, read=reader(FailureKindDetails))
