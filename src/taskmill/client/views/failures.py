"""What the client returns of `taskmill.wire.failures`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from taskmill.client.view import View

if TYPE_CHECKING:
    from taskmill.domain.failures import KindState

IMPORTED_LATER = {"KindState": "taskmill.domain.failures"}


class TrendPointView(View):
    """How many tasks failed in a step of time."""

    at: datetime
    """when the step begins; it lasts 10 minutes in `1h`, an hour in `24h`, else a day"""
    tasks: int


class FailureKindView(View):
    """What failures with one cause have in common, and how many there are."""

    id: str
    """16 hexadecimal digits; the same kind has the same id in every service"""
    kind: str
    """
    the fingerprint that handlers gave; else class and place of the errors, or class and first line of the
    message, with # for numbers and ids
    """
    message: str | None
    """that line of the first failure; empty if it is not known, null for a key for some queues"""
    types: list[str]
    """the types of the tasks"""
    tasks: int
    """how many failed so within the window; those that were retried since count, too"""
    growth: int
    """how many more in the second half of the window than in the first"""
    first_at: datetime
    """when it was ever seen first; for a key for some queues only, within the window"""
    last_at: datetime
    task_id: UUID
    """the task that failed last"""
    state: KindState
    """what operators decided; `came_back`: it was resolved, and has failed again since"""
    state_at: datetime | None
    """when they decided"""
    state_by: str | None
    """who decided: the name of a key or user, or an address"""
    trend: list[TrendPointView]
    """the steps of the window in which there were any"""


class CountOf(View):
    """How many failed of one of these."""

    name: str
    tasks: int


class FailureKindDetails(FailureKindView):
    """A kind of failures, and where they happened. `first_at` and `last_at` are of all that is known of it."""

    queue_counts: list[CountOf]
    """by queue, the most frequent first"""
    type_counts: list[CountOf]
    """by type, the most frequent first"""


class KindCounts(View):
    """How many kinds fit the filter, whatever their state; a state without any is left out."""

    open: int = 0
    came_back: int = 0
    resolved: int = 0
    ignored: int = 0


class FailureKindList(View):
    """A part of the kinds of failures."""

    items: list[FailureKindView]
    next_cursor: str | None
    """null on the last page"""
    counts: KindCounts
    tasks: int
    """how many tasks failed in all kinds that fit, whatever their state"""
    other_tasks: int
    """how many failed in kinds beyond the number that is counted separately, whatever the filter"""
    is_sampled: bool = False
    """the label is so frequent that only the newest 50 tasks of each kind were searched for it"""
