"""Many tasks in one request: a JSON array (all or nothing) or NDJSON (each line for itself).

It splits and parses bodies, and makes drafts. Operations store them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.errors import InvalidInput, TaskmillError, TooLarge, Violation
from taskmill.domain.task import TaskDraft
from taskmill.wire.array_items import PIECE_BYTES, array_items
from taskmill.wire.basics import LINES_MEDIA_TYPE
from taskmill.wire.encoding import Fragment, encode_json, encode_json_line
from taskmill.wire.first_fields import parse_request
from taskmill.wire.problems import problem_json
from taskmill.wire.rules import DEFAULT_LIMITS, InputLimits
from taskmill.wire.tasks import to_draft
from taskmill.wire.violations import MOST_VIOLATIONS

LINES_MEDIA_TYPES: Final = frozenset(
    {LINES_MEDIA_TYPE, "application/ndjson", "application/jsonl", "application/jsonlines"}
)
_MOST_WARNINGS: Final = 20

_NOT_BLANK: Final = re.compile(rb"\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of NDJSON: its number in the body (from 1), its bytes, its value, or what is wrong with it."""

    number: int
    size: int = 0
    value: object = None
    error: TaskmillError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDraft:
    """One line of NDJSON as a draft, or what is wrong with it."""

    number: int
    result: TaskDraft | TaskmillError


class TaskWarning(BaseModel):
    """Why nothing will be delivered to the callback_url of a task."""

    index: int = Field(description="which task of the array, from 0")
    warning: str


class BatchCreated(BaseModel):
    """The tasks of an array, in its order."""

    ids: list[UUID]
    warnings: list[TaskWarning] = Field(
        default=[],
        description="where it can be seen that nothing will be delivered to a callback_url, once for each host, "
        "20 at most; left out when there are none",
    )


def is_lines(content_type: str | None) -> bool:
    """Return whether a Content-Type means NDJSON; anything else counts as one JSON array."""
    media_type, _, _ = (content_type or "").partition(";")
    return media_type.strip().lower() in LINES_MEDIA_TYPES


def parse_batch(
    content_type: str | None, body: bytes, *, max_items: int = 10_000, line_bytes: int = 2**20
) -> list[object] | Iterator[Line]:
    """Return the items of an array, or an iterator that parses NDJSON's lines one by one.

    Raises:
        MalformedJson: An array's body is not strict JSON.
        InvalidInput: It is not an array, is empty, has over `max_items` items, or a text has a NUL or a
            lone surrogate.
    """
    if is_lines(content_type):
        return _lines(body, line_bytes)
    return list(chain.from_iterable(array_pieces(body, max_items=max_items, item_bytes=line_bytes)))


def array_pieces(
    body: bytes, *, max_items: int = 10_000, item_bytes: int = 2**20
) -> Iterator[list[object]]:
    """Yield the items of an array, a limited part of the body at a time; raises as `parse_batch`."""
    count = 0
    for items in array_items(body, item_bytes=item_bytes):
        count += len(items)
        if count > max_items:
            break
        yield items
    if not 0 < count <= max_items:
        got = f"{count} tasks" if len(body) <= PIECE_BYTES else "more"
        raise InvalidInput.at("", f"1 to {max_items} tasks", got)


def array_drafts(
    items: list[object],
    *,
    source: str,
    traceparent: str | None = None,
    limits: InputLimits = DEFAULT_LIMITS,
    item_bytes: int = 2**20,
    first: int = 0,
) -> list[TaskDraft]:
    """Return drafts of an array's items, counted from `first`; all get the `traceparent` of the request.

    Raises:
        InvalidInput: Any of them is not allowed (pointers start with its index, from 0), or has a
            payload over `item_bytes`.
    """
    drafts: list[TaskDraft] = []
    found: list[Violation] = []
    for index, item in enumerate(items, first):
        try:
            draft = to_draft(item, source=source, traceparent=traceparent, limits=limits)
            if draft.payload_error is not None:
                draft.payload_error = InvalidInput(_in_item(index, draft.payload_error))
            drafts.append(_of_size(draft, item_bytes))
        except InvalidInput as error:
            found.extend(_in_item(index, error))
            if len(found) >= MOST_VIOLATIONS:
                break
    if found:
        raise InvalidInput(tuple(found[:MOST_VIOLATIONS]))
    return drafts


def line_drafts(
    lines: Iterator[Line],
    *,
    source: str,
    traceparent: str | None = None,
    limits: InputLimits = DEFAULT_LIMITS,
    chunk: int = 1000,
    chunk_bytes: int = 2**20,
) -> Iterator[list[LineDraft]]:
    """Yield drafts or errors for NDJSON's lines, in chunks of `chunk` lines or slightly over `chunk_bytes`.

    All drafts get the `traceparent` of the request.
    """
    drafts: list[LineDraft] = []
    size = 0
    for line in lines:
        drafts.append(_line_draft(line, source, traceparent, limits))
        size += line.size
        if len(drafts) == chunk or size >= chunk_bytes:
            yield drafts
            drafts, size = [], 0
    if drafts:
        yield drafts


def batch_created_json(ids: Sequence[UUID], warnings: Iterable[str | None] | None = None) -> bytes:
    """Return the response to an array as a `BatchCreated` in JSON; repeated warnings are shown once."""
    first: dict[str, int] = {}
    for index, warning in enumerate(warnings or ()):
        if warning is not None and len(first) < _MOST_WARNINGS:
            first.setdefault(warning, index)
    if not first:
        return encode_json({"ids": ids})
    shown = [{"index": index, "warning": warning} for warning, index in first.items()]
    return encode_json({"ids": ids, "warnings": shown})


def line_created_json(number: int, status: int, task_id: UUID, warning: str | None = None) -> bytes:
    """Return the response's line for a task that is new (201), or existed already (200)."""
    line: dict[str, object] = {"line": number, "status": status, "id": task_id}
    return encode_json_line(line if warning is None else {**line, "warning": warning})


def line_refused_json(number: int, error: Exception) -> bytes:
    """Return the response's line for a line that was refused, with its problem."""
    status, _, problem = problem_json(error)
    return encode_json_line({"line": number, "status": status, "problem": Fragment(problem)})


def _lines(body: bytes, line_bytes: int) -> Iterator[Line]:
    """Yield all lines but blank ones, without splitting the whole body."""
    start, number = 0, 1
    # A search skips millions of blank lines in the time of a few that are parsed.
    while (found := _NOT_BLANK.search(body, start)) is not None:
        begin = found.start()
        number += body.count(b"\n", start, begin)
        end = body.find(b"\n", begin)
        end = len(body) if end < 0 else end
        yield _line(number, body[begin:end].rstrip(), line_bytes)
        start, number = end + 1, number + 1


def _line(number: int, raw: bytes, line_bytes: int) -> Line:
    if len(raw) > line_bytes:
        return Line(number=number, size=len(raw), error=TooLarge(line_bytes))
    try:
        return Line(number=number, size=len(raw), value=parse_request(raw))
    except TaskmillError as error:
        return Line(number=number, size=len(raw), error=error)


def _line_draft(line: Line, source: str, traceparent: str | None, limits: InputLimits) -> LineDraft:
    if line.error is not None:
        return LineDraft(number=line.number, result=line.error)
    try:
        draft = to_draft(line.value, source=source, traceparent=traceparent, limits=limits)
    except InvalidInput as error:
        return LineDraft(number=line.number, result=error)
    return LineDraft(number=line.number, result=draft)


def _in_item(index: int, error: InvalidInput) -> tuple[Violation, ...]:
    return tuple(one.below(f"/{index}") for one in error.violations)


def _of_size(draft: TaskDraft, item_bytes: int) -> TaskDraft:
    if draft.payload is not None and len(draft.payload) > item_bytes:
        raise InvalidInput.at("/payload", f"at most {item_bytes} bytes", "more")
    return draft
