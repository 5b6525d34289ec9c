"""Listings over HTTP: their queries, cursors and pages. It does not find the tasks."""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2s
from typing import Annotated, Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import cursors
from taskmill.api.responses import JSON, RawResponse
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.domain.waiting import WaitingState
from taskmill.wire import fields
from taskmill.wire.basics import format_timestamp
from taskmill.wire.fields import Expected
from taskmill.wire.masking import ShownTask
from taskmill.wire.task_pages import tasks_page_pieces

REPEATABLE: Final = frozenset({"status", "label"})
LARGEST_PAGE: Final = 500
LARGEST_OFFSET: Final = 10_000

_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)


def whole_number(text: object) -> object:
    """Accept digits only; a default, which is a number already, stays."""
    if isinstance(text, str) and _DIGITS.fullmatch(text) is None:
        raise ValueError("not a whole number")
    return text


def _restored_plus(text: object) -> object:
    """Restore the plus of a time zone (`+03:00`), which an unencoded query turns into a space."""
    return text.replace(" ", "+") if isinstance(text, str) else text


QueryTime = Annotated[fields.RequestedTime, BeforeValidator(_restored_plus)]


class ListingQuery(BaseModel):
    """Which tasks to list, in which order, and which part of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[list[Status], Expected(f"one of {', '.join(Status)}", reveal=True)] = Field(
        default=[], description="only these statuses; may be repeated"
    )
    waiting: (
        Annotated[
            Literal["ready", "scheduled", "retrying", "held"],
            Expected(f"one of {', '.join(WaitingState)}", reveal=True),
        ]
        | None
    ) = Field(
        default=None,
        description="only new tasks that are `ready` (due, and served), `scheduled` (due later), `retrying` (due "
        "later, after a failed attempt) or `held` (due, but paused or unserved)",
    )
    queue: fields.Slug | None = Field(default=None, description="only this queue")
    type: fields.Slug | None = Field(default=None, description="only this type")
    label: Annotated[
        list[Annotated[str, Field(pattern=r"^[^=]{1,63}=[\s\S]{0,255}$")]],
        Expected("key=value, the key of 1 to 63 characters, the value of at most 255", reveal=True),
    ] = Field(default=[], description="only with this label, `key=value`; all that are repeated")
    name: (
        Annotated[
            str, Field(min_length=1, max_length=200), Expected("a text of 1 to 200 characters")
        ]
        | None
    ) = Field(default=None, description="only with this in the name, in any case")
    error: fields.FailureKind | None = Field(
        default=None,
        description="only tasks whose latest error is of this kind, the `kind` of `GET /failures`",
    )
    created_after: QueryTime | None = Field(default=None, description="from this time on")
    created_before: QueryTime | None = Field(default=None, description="up to, without, this time")
    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=50, description="tasks on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the page before; not with offset"
    )
    offset: Annotated[
        int,
        Field(ge=0, le=LARGEST_OFFSET),
        BeforeValidator(whole_number),
        Expected(
            f"a whole number from 0 to {LARGEST_OFFSET}; further on take the cursor", reveal=True
        ),
    ] = Field(default=0, description="tasks to leave out, for people; programs take the cursor")
    order: Annotated[Literal["desc", "asc"], Expected("asc or desc", reveal=True)] = Field(
        default="desc", description="by creation: newest first, or oldest first"
    )

    def filter(self) -> TaskFilter:
        """Return which tasks are wanted. Raises `InvalidInput` when labels contradict each other."""
        labels = sorted({_split(label) for label in self.label})
        if len({key for key, _ in labels}) < len(labels):
            raise InvalidInput.at("query:label", "one value for each key", "two for one key")
        return TaskFilter(
            statuses=frozenset(self.status),
            queue=self.queue,
            type=self.type,
            labels=tuple(labels),
            name=self.name,
            error=self.error,
            waiting=None if self.waiting is None else WaitingState(self.waiting),
            created_after=self.created_after,
            created_before=self.created_before,
        )

    def page_request(self, wanted: TaskFilter) -> PageRequest:
        """Return which part of them is wanted.

        Raises:
            BadCursor: the cursor is invalid, or belongs to another listing.
            InvalidInput: there are both a cursor and an offset.
        """
        oldest_first = self.order == "asc"
        after = None
        if self.cursor is not None:
            if self.offset:
                raise InvalidInput.at("query:offset", "either cursor or offset", "both")
            after = position(self.cursor, wanted, oldest_first=oldest_first)
        return PageRequest(
            limit=self.limit, after=after, offset=self.offset, oldest_first=oldest_first
        )


def _split(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value


def cursor(after: UUID, wanted: TaskFilter, *, oldest_first: bool) -> str:
    """Return the cursor to what follows `after`, which is valid in this listing only."""
    return cursors.encode(after, digest(wanted, oldest_first))


def position(text: str, wanted: TaskFilter, *, oldest_first: bool) -> UUID:
    """Return the id that a cursor has. Raises `BadCursor`."""
    return cursors.decode(text, digest(wanted, oldest_first))


def digest(wanted: TaskFilter, order: object) -> bytes:
    """Return a digest of a listing and its order: cursors of another listing do not have it."""
    times = (wanted.created_after, wanted.created_before)
    facts = (
        sorted(wanted.statuses),
        wanted.queue,
        wanted.type,
        wanted.labels,
        wanted.name,
        *([] if wanted.waiting is None else [wanted.waiting]),
        *([] if wanted.error is None else [("error", wanted.error)]),
        [time and format_timestamp(time) for time in times],
        order,
    )
    return blake2s(repr(facts).encode(), digest_size=cursors.DIGEST_BYTES).digest()


def page_pieces(
    query: ListingQuery, wanted: TaskFilter, page: TaskPage, items: Sequence[ShownTask]
) -> Iterator[bytes]:
    """Yield the body of the response with a page, and its `items` as they are shown, piece by piece."""
    return tasks_page_pieces(
        items,
        total=page.total,
        next_cursor=_next_cursor(query, wanted, page),
        total_at_least=page.total_at_least,
    )


def page_response(
    query: ListingQuery, wanted: TaskFilter, page: TaskPage, body: bytes
) -> RawResponse:
    """Respond with a page, whose `body` that is; its `Link` leads to the next one."""
    next_cursor = _next_cursor(query, wanted, page)
    if next_cursor is None:
        return RawResponse(200, body)
    return RawResponse(200, body, (JSON, (b"link", _link(query, next_cursor))))


def _next_cursor(query: ListingQuery, wanted: TaskFilter, page: TaskPage) -> str | None:
    if page.next_after is None:
        return None
    return cursor(page.next_after, wanted, oldest_first=query.order == "asc")


def _link(query: ListingQuery, next_cursor: str) -> bytes:
    parameters = query.model_dump(mode="json", exclude_unset=True, exclude={"cursor", "offset"})
    for name in ("created_after", "created_before"):
        if name in parameters:
            parameters[name] = format_timestamp(getattr(query, name))
    target = urlencode({**parameters, "cursor": next_cursor}, doseq=True)
    return f'</tasks?{target}>; rel="next"'.encode()
