"""What the handlers of a task logged: which lines its page shows, and all of them as a file."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages.export import File
from taskmill.dashboard.stack import Stack, read_stack
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import EventType
from taskmill.domain.system import TaskEvent
from taskmill.domain.task_log import LineFilter, LineLevel, LinePosition, LogLine
from taskmill.runtime.http_scope import HEAD_ONLY, UNTIMED, set_deadline
from taskmill.wire.basics import format_timestamp
from taskmill.wire.wording import describe

MOST_LINES: Final = 200
_LINES_A_READ: Final = 1000
_LONGEST_TEXT: Final = 200
_CLAIM_NO: Final = re.compile(r"[1-9][0-9]{0,8}")
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A log line, its traceback, and its other fields as JSON."""

    line: LogLine
    traceback: Stack | None
    fields: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLines:
    """The last lines that match, and the claims by which they can be chosen."""

    wanted: LineFilter
    lines: Sequence[Line]
    claims: Mapping[int, TaskEvent]

    @property
    def are_cut(self) -> bool:
        """Whether there are probably more lines than are shown."""
        return len(self.lines) == MOST_LINES

    @property
    def are_filtered(self) -> bool:
        """Whether other lines than all are wanted."""
        return self.wanted != LineFilter()

    @property
    def have_headings(self) -> bool:
        """Whether lines of several claims are shown."""
        return len({one.line.claim_no for one in self.lines}) > 1

    @property
    def choices(self) -> Sequence[int]:
        """The claims that can be chosen, the latest first."""
        chosen = () if self.wanted.claim_no is None else (self.wanted.claim_no,)
        return sorted({*self.claims, *chosen}, reverse=True)

    @property
    def pairs(self) -> Pairs:
        """The query that shows these lines."""
        level = "" if self.wanted.level is LineLevel.DEBUG else str(self.wanted.level)
        claim = "" if self.wanted.claim_no is None else str(self.wanted.claim_no)
        pairs = [("level", level), ("claim", claim), ("text", self.wanted.text)]
        return [pair for pair in pairs if pair[1]]


async def shown_lines(view: View, task_id: UUID, events: Sequence[TaskEvent]) -> ShownLines:
    """Return the lines of a task that its page's query asks for. Raises `InvalidInput`."""
    wanted = _wanted(view.query)
    found = await view.context.service.logs.latest(task_id, wanted, MOST_LINES)
    claims = {one.claim_no: one for one in events if one.event_type is EventType.CLAIMED}
    return ShownLines(wanted=wanted, lines=[_line(line) for line in found], claims=claims)


async def download(view: View) -> Response:
    """Send the lines as a text file, oldest first."""
    task_id, wanted = view.id, _wanted(view.query)
    await view.context.service.reading.get(task_id)
    scope = view.request.scope
    scope[UNTIMED] = True
    set_deadline(scope, None)
    headers = {
        "content-disposition": f'attachment; filename="{task_id}.log"',
        "cache-control": "no-store",
    }
    media_type = "text/plain; charset=utf-8"
    if HEAD_ONLY in scope:
        return Response(headers=headers, media_type=media_type)
    return File(_body(view, task_id, wanted), headers=headers, media_type=media_type)


async def _body(view: View, task_id: UUID, wanted: LineFilter) -> AsyncIterator[bytes]:
    """Read page by page, each when the one before has been taken; the end of the session cuts it off."""
    after = LinePosition()
    while True:
        found = await view.context.service.logs.page(
            task_id, wanted, after=after, limit=_LINES_A_READ
        )
        yield "".join(map(_text_of, found)).encode()
        if not found.has_more:
            return
        after = found[-1].position
        await view.check_again()


def _text_of(line: LogLine) -> str:
    shown = _line(line)
    fields = "" if shown.fields is None else f" {shown.fields}"
    head = f"{format_timestamp(line.at)} {line.level.upper():8} {line.message}{fields}\n"
    below = "" if shown.traceback is None else shown.traceback.text
    return head + "".join(f"{_INDENT}{one}\n" for one in below.splitlines())


def _line(line: LogLine) -> Line:
    fields: dict[str, Any] = {} if line.fields is None else orjson.loads(line.fields)
    traceback = fields.pop("exception", None)
    return Line(
        line=line,
        traceback=None if traceback is None else read_stack(str(traceback)),
        fields=orjson.dumps(fields).decode() if fields else None,
    )


def _wanted(query: Pairs) -> LineFilter:
    level = one_of(LineLevel, first(query, "level") or LineLevel.DEBUG, "query:level")
    text = first(query, "text")
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput.at("query:text", f"at most {_LONGEST_TEXT} characters", "more")
    return LineFilter(claim_no=_claim_no(query), level=LineLevel(level), text=text)


def _claim_no(query: Pairs) -> int | None:
    text = first(query, "claim")
    if not text:
        return None
    if not _CLAIM_NO.fullmatch(text):
        expected = "a whole number from 1 to 999999999"
        raise InvalidInput.at("query:claim", expected, describe(text, reveal=True))
    return int(text)


ROUTES = [("GET", "/ui/tasks/{id}/logs.txt", download)]
