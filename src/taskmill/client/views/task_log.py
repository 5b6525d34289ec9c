"""What the client returns of `taskmill.wire.task_log`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from taskmill.client.view import View

if TYPE_CHECKING:
    from taskmill.domain.task_log import LineLevel

IMPORTED_LATER = {"LineLevel": "taskmill.domain.task_log"}


class LogLineView(View):
    """A line that a handler logged."""

    claim_no: int
    """the claim that it was written under, as in the history"""
    seq: int
    """its number among the lines of its claim, from 1"""
    at: datetime
    level: LineLevel
    logger: str | None
    """a logger of Python's logging; null: the context's own"""
    message: str
    fields: dict[str, Any] | None
    """what came with it"""


class LogPage(View):
    """Lines of a task, oldest first."""

    items: list[LogLineView]
    next_cursor: str
    """where to continue, also when this is all so far: a later request with it gets what came since"""
    has_more: bool = False
    """whether there are more of them already"""
