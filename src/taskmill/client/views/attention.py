"""What the client returns of `taskmill.wire.attention`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from taskmill.client.view import View

if TYPE_CHECKING:
    from taskmill.domain.attention import MarkState, NoticeKind, Severity

IMPORTED_LATER = {
    "MarkState": "taskmill.domain.attention",
    "NoticeKind": "taskmill.domain.attention",
    "Severity": "taskmill.domain.attention",
}


class MarkView(View):
    """Who has seen to a notice."""

    state: MarkState
    """acknowledged: until it ends; silenced: until a time. It does not count meanwhile"""
    by: str
    """the name of the API key or user, else the address"""
    at: datetime
    until: datetime | None
    """when it ends by itself"""
    note: str | None


class NoticeView(View):
    """Something that needs attention."""

    id: UUID
    """stays the same as long as it lasts"""
    kind: NoticeKind
    """what it is; kinds may be added"""
    severity: Severity
    """trouble: something does not work; warning: soon something may not"""
    sentence: str
    """it in words, which may change"""
    action: str
    """what ends it, in words"""
    queue: str | None
    """the queue that it is about; null: the whole service"""
    since: datetime | None
    """since when, where that is known"""
    tasks: int | None
    """how many tasks it touches, where that can be said"""
    are_more: bool
    """it touches more tasks than that"""
    count: int
    """how many things it stands for: the last one of a kind may stand for others"""
    page: str | None
    """the page of the dashboard that shows it"""
    mark: MarkView | None = None
    """who has acknowledged or silenced it; null: it counts"""
    facts: dict[str, Any]
    """what the sentence says, in fields; which ones depends on the kind"""


class AttentionView(View):
    """All that needs attention, the worst first."""

    at: datetime
    """the moment of all facts, by the database's clock"""
    verdict: Literal["well", "warning", "trouble"]
    """well: nothing needs attention"""
    count: int
    """how many things need attention"""
    well_since: datetime | None = None
    """since when all is well, to the minute; null: it is not, or not known"""
    items: list[NoticeView]
    """those that do not count, as they have a mark, are last"""
