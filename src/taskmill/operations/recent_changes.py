"""The latest changes, newest first: what a page of the feed shows at first, before it follows the stream."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from taskmill.domain.feed import START, Change, Cursor, FeedFilter
from taskmill.domain.lifecycle import EventType
from taskmill.operations.visibility import current_visibility
from taskmill.storage import changes
from taskmill.storage.database import Database

_MOST_READ: Final = 300
_MOST_MISSED: Final = 1000
"""Positions: a reader that is further behind goes on at the present."""


class RecentChanges(NamedTuple):
    """Changes, newest first, the cursor after the newest that was read, and from which on there may be older ones.

    `older` is None where there are none.
    """

    changes: Sequence[Change]
    latest: Cursor
    older: Cursor | None


async def recent_changes(
    database: Database,
    wanted: FeedFilter,
    event_types: Collection[EventType] = (),
    before: Cursor | None = None,
) -> RecentChanges:
    """Return those that the filter admits among the latest 300, or the latest before a cursor.

    Of what this context may see; of any event type unless some are given. Raises `Unavailable`.
    """
    latest = before or await _end_of_feed(database)
    pairs = await changes.read_back(database, latest, _MOST_READ)
    seen = replace(wanted, visibility=current_visibility())
    found = await changes.of_pairs(database, pairs) if pairs else []
    has_more = len(pairs) == _MOST_READ
    return RecentChanges(
        [one for one in found if is_wanted(one, seen, event_types)],
        Cursor(pairs[0].position, pairs[0].ordinal) if pairs else START,
        Cursor(pairs[-1].position, pairs[-1].ordinal) if has_more else None,
    )


def is_wanted(change: Change, wanted: FeedFilter, event_types: Collection[EventType]) -> bool:
    """Return whether a filter admits a change, and it is of one of the event types, if some are given."""
    return (not event_types or change.event.event_type in event_types) and wanted.admits(change)


async def resumed(database: Database, after: Cursor) -> Cursor | None:
    """Return from where a reader goes on that has seen all up to a cursor; None: from the present on."""
    bounds = await changes.bounds(database)
    if bounds.latest is None or bounds.oldest is None:
        return None
    is_near = 0 <= bounds.latest.position - after.position <= _MOST_MISSED
    # The first batch ever has position 1.
    is_there = after.position >= 0 and bounds.oldest <= max(after.position, 1)
    return after if is_near and is_there else None


async def _end_of_feed(database: Database) -> Cursor:
    """Return the cursor before which everything is that there is."""
    latest = (await changes.bounds(database)).latest
    return START if latest is None else Cursor(latest.position + 1, 0)
