"""The shape of what needs attention: notices, their sentences, and the pages of the dashboard that show them."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.attention import MORE, Attention, MarkState, Notice, NoticeKind, Severity
from taskmill.domain.attention_texts import action, sentence
from taskmill.domain.error_kinds import kind_id
from taskmill.wire.encoding import encode_json, fields_of, format_optional
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.violations import validated

Verdict = Literal["well", "warning", "trouble"]


class MarkView(BaseModel):
    """Who has seen to a notice."""

    state: MarkState = Field(
        description="acknowledged: until it ends; silenced: until a time. It does not count meanwhile"
    )
    by: str = Field(description="the name of the API key or user, else the address")
    at: Timestamp
    until: Timestamp | None = Field(description="when it ends by itself")
    note: str | None


class NoticeChange(BaseModel):
    """What to do with a notice."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"state": "acknowledged", "note": "the disk is ordered"}]},
    )

    state: Annotated[
        Literal["acknowledged", "silenced", "open"],
        Expected("acknowledged, silenced or open", reveal=True),
    ] = Field(description="acknowledged: until it ends; silenced: for an hour; open: neither")
    note: (
        Annotated[str, Field(max_length=500), Expected("a text of at most 500 characters")] | None
    ) = Field(default=None, description="shown with it")

    @property
    def mark(self) -> MarkState | None:
        """The state of the mark; None for open."""
        return None if self.state == "open" else MarkState(self.state)


class NoticeView(BaseModel):
    """Something that needs attention."""

    id: UUID = Field(description="stays the same as long as it lasts")
    kind: NoticeKind = Field(description="what it is; kinds may be added")
    severity: Severity = Field(
        description="trouble: something does not work; warning: soon something may not"
    )
    sentence: str = Field(description="it in words, which may change")
    action: str = Field(description="what ends it, in words")
    queue: str | None = Field(description="the queue that it is about; null: the whole service")
    since: Timestamp | None = Field(description="since when, where that is known")
    tasks: int | None = Field(description="how many tasks it touches, where that can be said")
    are_more: bool = Field(description="it touches more tasks than that")
    count: int = Field(
        description="how many things it stands for: the last one of a kind may stand for others"
    )
    page: str | None = Field(description="the page of the dashboard that shows it")
    mark: MarkView | None = Field(
        default=None, description="who has acknowledged or silenced it; null: it counts"
    )
    facts: dict[str, Any] = Field(
        description="what the sentence says, in fields; which ones depends on the kind"
    )


class AttentionView(BaseModel):
    """All that needs attention, the worst first."""

    at: Timestamp = Field(description="the moment of all facts, by the database's clock")
    verdict: Verdict = Field(description="well: nothing needs attention")
    count: int = Field(description="how many things need attention")
    well_since: Timestamp | None = Field(
        default=None,
        description="since when all is well, to the minute; null: it is not, or not known",
    )
    items: list[NoticeView] = Field(
        description="those that do not count, as they have a mark, are last"
    )


def attention_json(attention: Attention) -> bytes:
    """Return what needs attention as an `AttentionView` in JSON."""
    return encode_json(
        fields_of(
            AttentionView,
            attention,
            verdict=verdict(attention),
            well_since=format_optional(attention.well_since),
            items=[_fields(notice) for notice in attention.notices],
        )
    )


def notice_json(notice: Notice) -> bytes:
    """Return one notice as a `NoticeView` in JSON."""
    return encode_json(_fields(notice))


def to_notice_change(body: object) -> NoticeChange:
    """Return the requested change in a parsed body. Raises `InvalidInput`."""
    return validated(NoticeChange, body)


def verdict(attention: Attention) -> Verdict:
    """Return the verdict on all of it."""
    if attention.is_trouble:
        return "trouble"
    return "warning" if attention.count else "well"


def _fields(notice: Notice) -> dict[str, object]:
    return fields_of(
        NoticeView,
        notice,
        sentence=sentence(notice),
        action=action(notice),
        since=format_optional(notice.since),
        page=page_of(notice),
        mark=None if notice.mark is None else fields_of(MarkView, notice.mark),
        facts=dict(_facts(notice)),
    )


def _facts(notice: Notice) -> Iterator[tuple[str, object]]:
    """Yield the facts; a length of time as seconds, which its name says."""
    for name, value in notice.facts.items():
        match value:
            case timedelta():
                yield f"{name}_s", value.total_seconds()
            case datetime():
                yield name, format_optional(value)
            case _:
                yield name, value


_WORKER: Final = "/ui/workers/{subject}"
_WORKERS: Final = "/ui/workers"
_FAILED: Final = "/ui/tasks?status=failed"
_WAITING: Final = "/ui/tasks?status=new"

_PAGES: Final[Mapping[NoticeKind, str]] = {
    NoticeKind.NO_MAINTENANCE: _WORKERS,
    NoticeKind.NO_WORKERS: _WORKERS,
    NoticeKind.SLOTS_FULL: _WORKERS,
    NoticeKind.VERSIONS_DIFFER: _WORKERS,
    NoticeKind.WORKER_LOST: _WORKER,
    NoticeKind.WORKER_SILENT: _WORKER,
    NoticeKind.WORKER_STOPPING: _WORKER,
    NoticeKind.UNSERVED: _WAITING,
    NoticeKind.BACKLOG_GROWING: f"{_WAITING}&order=asc",
    NoticeKind.LATE: f"{_WAITING}&order=asc",
    NoticeKind.PAUSED: _WAITING,
    NoticeKind.LOSSES_EXHAUSTED: _FAILED,
    NoticeKind.FAILURES_UP: _FAILED,
    NoticeKind.FAILING: _FAILED,
    NoticeKind.EXPIRIES: _FAILED,
    NoticeKind.NEW_ERROR: "/ui/failures/{kind}",
    NoticeKind.ERROR_CAME_BACK: "/ui/failures/{kind}",
    NoticeKind.REFUSED: "/ui/rejections",
    NoticeKind.WEBHOOK_FAILING: "/ui/webhooks/{subject}",
    NoticeKind.DELIVERIES_LATE: "/ui/webhooks",
    NoticeKind.DELIVERIES_UNREAD: "/ui/webhooks",
    NoticeKind.SCHEDULE_REFUSED: "/ui/schedules/{subject}",
    NoticeKind.SCHEDULE_REQUEST_REFUSED: "/ui/schedules/{subject}",
    NoticeKind.SCHEDULE_UNREADABLE: "/ui/schedules/{subject}",
    NoticeKind.SCHEDULE_LATE: "/ui/schedules/{subject}",
    NoticeKind.SCHEDULE_SLOW: "/ui/schedules/{subject}",
}
_FILTERS: Final = ("queue", "type", "error")


def page_of(notice: Notice) -> str | None:
    """Return the page that shows what a notice is about; None when the dashboard has none."""
    path = _PAGES.get(notice.kind)
    if path is None:
        return None
    if notice.case == MORE:
        return path.partition("/{")[0]
    kind = kind_id(str(notice.facts.get("error")))
    path = path.format(subject=quote(notice.subject, safe=""), kind=kind)
    given = [(name, value) for name in _FILTERS if (value := notice.facts.get(name)) is not None]
    return f"{path}&{urlencode(given)}" if given and "?" in path else path
