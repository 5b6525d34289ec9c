"""How far the feed was delivered to places outside, and whose cursor_lease it is: one at a time, fenced."""

from typing import NamedTuple
from uuid import UUID

from taskmill.domain.feed import START, Cursor
from taskmill.storage import changes
from taskmill.storage.database import Database


class CursorLease(NamedTuple):
    """The right to deliver to a place, for `hold_s` seconds from each `move` on."""

    place: str
    holder: UUID
    hold_s: float


async def take(database: Database, cursor_lease: CursorLease) -> Cursor | None:
    """Take the cursor_lease and return the cursor to go on from; None while another holds it.

    A place to which nothing was ever delivered begins at the present.
    """
    begin = START
    if not await database.fetch_value("find_feed_delivery", cursor_lease.place):
        begin = (await changes.bounds(database)).latest or START
    rows = await database.fetch("take_cursor_lease", *cursor_lease, *begin)
    return Cursor(rows[0]["position"], rows[0]["ordinal"]) if rows else None


async def move(database: Database, cursor_lease: CursorLease, cursor: Cursor) -> bool:
    """Note that all up to `cursor` was delivered, and keep the cursor_lease; False when it was lost."""
    return bool(await database.fetch("move_feed_delivery", *cursor_lease, *cursor))


async def leave(database: Database, cursor_lease: CursorLease) -> None:
    """Give the cursor_lease back."""
    await database.fetch("drop_cursor_lease", cursor_lease.place, cursor_lease.holder)
