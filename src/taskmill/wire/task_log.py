"""The shapes of what handlers have logged."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from taskmill.domain.task_log import LineLevel, LogLine
from taskmill.wire.encoding import Fragment, encode_json, fields_of
from taskmill.wire.fields import Timestamp


class LogLineView(BaseModel):
    """A line that a handler logged."""

    claim_no: int = Field(description="the claim that it was written under, as in the history")
    seq: int = Field(description="its number among the lines of its claim, from 1")
    at: Timestamp
    level: LineLevel
    logger: str | None = Field(description="a logger of Python's logging; null: the context's own")
    message: str
    fields: dict[str, Any] | None = Field(description="what came with it")


class LogPage(BaseModel):
    """Lines of a task, oldest first."""

    items: list[LogLineView]
    next_cursor: str = Field(
        description="where to continue, also when this is all so far: a later request with it gets what came since"
    )
    has_more: bool = Field(default=False, description="whether there are more of them already")


def log_page_json(lines: Iterable[LogLine], next_cursor: str, *, has_more: bool) -> bytes:
    """Return lines as a `LogPage` in JSON."""
    items = [_line(line) for line in lines]
    return encode_json({"items": items, "next_cursor": next_cursor, "has_more": has_more})


def _line(line: LogLine) -> dict[str, object]:
    fields = None if line.fields is None else Fragment(line.fields)
    return fields_of(LogLineView, line, fields=fields)
