"""Tasks as a file: all that match a filter, read page by page while the file is being sent."""

import asyncio
import codecs
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from taskmill.dashboard.form import first
from taskmill.dashboard.pages.filters import Filters
from taskmill.dashboard.view import View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.domain.task import Task
from taskmill.runtime.http_scope import ABORT, HEAD_ONLY, UNTIMED, set_deadline
from taskmill.wire.basics import format_timestamp
from taskmill.wire.masking import ShownTask
from taskmill.wire.tasks import task_json
from taskmill.wire.wording import describe

# So many tasks are in memory at once with payload and result; without these there may be more.
_WHOLE_ON_A_PAGE: Final = 50
_BRIEF_ON_A_PAGE: Final = 500
_CHUNK_BYTES: Final = 64 * 1024
# A browser may pause a download for a while.
_STALLED_S: Final = 120.0
_COLUMNS: Final = (
    "id",
    "number",
    "name",
    "type",
    "queue",
    "priority",
    "status",
    "run",
    "attempt",
    "max_attempts",
    "created_at",
    "run_at",
    "started_at",
    "finished_at",
    "updated_at",
    "source",
    "labels",
    "error",
)
# Spreadsheets take text that begins so for a formula, and run it.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - wide ones, too


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """A format: its first bytes, the bytes of each task, and how tasks are read for it."""

    ending: str
    media_type: str
    heading: bytes
    line: Callable[[ShownTask], bytes]
    request: PageRequest


async def export_csv(view: View) -> Response:
    """Send the tasks as CSV, without payloads and results; with `bom=1` it has the mark that Excel expects."""
    bom = first(view.query, "bom")
    if bom not in ("", "0", "1"):
        raise InvalidInput.at("query:bom", "0 or 1", describe(bom, reveal=True))
    return _file(view, _MARKED_CSV if bom == "1" else _CSV)


async def export_ndjson(view: View) -> Response:
    """Send the tasks as lines of JSON, as in `GET /tasks/{id}`."""
    return _file(view, _NDJSON)


def _file(view: View, form: _Format) -> Response:
    filters = Filters.of(view.query)
    if filters.complaints:
        name = next(iter(filters.complaints))
        raise InvalidInput.at(f"query:{name}", "a value that fits", "another one")
    scope = view.request.scope
    scope[UNTIMED] = True
    set_deadline(scope, None)
    wanted = filters.wanted(view.context.clock.now())
    request = replace(form.request, oldest_first=filters.oldest_first)
    headers = {
        "content-disposition": f'attachment; filename="tasks.{form.ending}"',
        "cache-control": "no-store",
    }
    if HEAD_ONLY in scope:
        return Response(headers=headers, media_type=form.media_type)
    body = _body(view, wanted, request, form)
    return File(body, headers=headers, media_type=form.media_type)


class File(StreamingResponse):
    """A file that is cut off when its reader stalls, as its data stays in memory meanwhile."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""

        async def sent(message: Message) -> None:
            async with asyncio.timeout(_STALLED_S):
                await send(message)

        try:
            await super().__call__(scope, receive, sent)
        except* TimeoutError:
            scope[ABORT]()
            while (await receive())["type"] != "http.disconnect":
                pass


async def _body(
    view: View, wanted: TaskFilter, request: PageRequest, form: _Format
) -> AsyncIterator[bytes]:
    """Read page by page, each when the one before has been taken.

    An outage cuts the file off, and so does the end of the session.
    """
    yield form.heading
    while True:
        page = await view.context.service.page(wanted, request)
        masking = view.context.service.masking
        items = await masking.show_all(view.key, page.items, is_page=True)
        for chunk in _chunks(map(form.line, items)):
            yield chunk
        if page.next_after is None:
            return
        await view.check_again()
        request = replace(request, after=page.next_after)


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join short lines into chunks, without copying a page of long ones at once."""
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _json_line(task: ShownTask) -> bytes:
    return task_json(task) + b"\n"


def _csv_line(task: Task) -> bytes:
    return _line([_cell(getattr(task, name)) for name in _COLUMNS])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_timestamp(value)
    shown = str(value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


_CSV: Final = _Format(
    ending="csv",
    media_type="text/csv; charset=utf-8",
    heading=_line(_COLUMNS),
    line=_csv_line,
    request=PageRequest(limit=_BRIEF_ON_A_PAGE, is_brief=True, with_total=False),
)
_MARKED_CSV: Final = replace(_CSV, heading=codecs.BOM_UTF8 + _CSV.heading)
_NDJSON: Final = _Format(
    ending="ndjson",
    media_type="application/x-ndjson",
    heading=b"",
    line=_json_line,
    request=PageRequest(limit=_WHOLE_ON_A_PAGE, with_total=False),
)

ROUTES = [
    ("GET", "/ui/tasks/export.csv", export_csv),
    ("GET", "/ui/tasks/export.ndjson", export_ndjson),
]
