"""What happens to tasks, as it happens: the latest events, and the stream that goes on from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from taskmill.dashboard.event_stream import EventRows, EventSource, WantedEvents
from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages.offers import offers
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.feed import Change, Cursor, FeedFilter
from taskmill.domain.lifecycle import EventType
from taskmill.operations.recent_changes import recent_changes, resumed
from taskmill.wire.fields import is_name
from taskmill.wire.wording import describe

_PATH = "/ui/events"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """The filter, as in the address; empty is any."""

    queue: str = ""
    type: str = ""
    event: str = ""

    @classmethod
    def of(cls, query: Pairs) -> "EventFilters":
        """Read a query. Raises `InvalidInput`."""
        event = first(query, "event")
        return cls(
            queue=_name(query, "queue"),
            type=_name(query, "type"),
            event=one_of(EventType, event, "query:event") if event else "",
        )

    @property
    def wanted(self) -> FeedFilter:
        """Which changes are wanted, but for their event type."""
        return FeedFilter(
            queues=frozenset([self.queue] if self.queue else []),
            types=frozenset([self.type] if self.type else []),
        )

    @property
    def event_types(self) -> frozenset[EventType]:
        """The event types that are wanted; none for all."""
        return frozenset([EventType(self.event)] if self.event else [])

    @property
    def pairs(self) -> Pairs:
        """The query for the same list, from its beginning on."""
        given = (("queue", self.queue), ("type", self.type), ("event", self.event))
        return [(name, value) for name, value in given if value]


async def show_events(view: View) -> Response:
    """Show the latest, or those before a cursor."""
    filters, before = EventFilters.of(view.query), _cursor(view.query, "before")
    found = await recent_changes(
        view.context.service.database, filters.wanted, filters.event_types, before
    )
    types, queues = await offers(view)
    return view.page(
        "events.html",
        title=view.t("nav.events"),
        filters=filters,
        rows=found.changes,
        event_types=list(EventType),
        types=types,
        queues=queues,
        stream=None if before else [*filters.pairs, ("after", str(found.latest))],
        newer=filters.pairs if before else None,
        older=[*filters.pairs, ("before", str(found.older))] if found.older else None,
        is_live=False,
    )


async def follow_events(view: View) -> Response:
    """Follow them from the cursor on that the page was rendered with, or that the reader has seen since."""
    filters = EventFilters.of(view.query)
    seen = view.request.headers.get("last-event-id", "")
    after = _parsed(seen, "header:Last-Event-ID") if seen else _cursor(view.query, "after")
    context = view.context
    return EventRows(
        EventSource(
            feed=context.feed,
            quota=context.stream_quota,
            owner=None if view.key is None else view.key.owner,
            check_again=view.check_again,
        ),
        WantedEvents(
            filter=filters.wanted,
            event_types=filters.event_types,
            after=None if after is None else await resumed(context.service.database, after),
        ),
        partial(_rows, view),
    )


def _rows(view: View, changes: Sequence[Change]) -> str:
    return view.rendered("event_rows.html", rows=changes)


def _name(query: Pairs, name: str) -> str:
    text = first(query, name)
    if text and not is_name(text):
        raise InvalidInput.at(f"query:{name}", "a name", describe(text, reveal=True))
    return text


def _cursor(query: Pairs, name: str) -> Cursor | None:
    text = first(query, name)
    return _parsed(text, f"query:{name}") if text else None


def _parsed(text: str, pointer: str) -> Cursor:
    try:
        found = Cursor.parse(text)
    except ValueError:
        raise InvalidInput.at(
            pointer, "a cursor of the feed", describe(text, reveal=True)
        ) from None
    return found


ROUTES = [
    ("GET", _PATH, show_events),
    ("GET", f"{_PATH}/stream", follow_events),
]
