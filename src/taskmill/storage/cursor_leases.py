"""How far the feed was delivered to each destination, and who holds its cursor lease: one process, fenced."""

from typing import NamedTuple
from uuid import UUID

from taskmill.domain.feed import START, Cursor
from taskmill.storage import changes
from taskmill.storage.database import Database


class CursorLease(NamedTuple):
    """The right to deliver to a destination, for `hold_s` seconds after `take` and after each `move`."""

    destination: str
    holder: UUID
    hold_s: float


async def take(database: Database, cursor_lease: CursorLease) -> Cursor | None:
    """Take the cursor lease and return the cursor to go on from; None while another process holds it.

    A destination to which nothing was ever delivered begins at the end of the feed.
    """
    begin = START
    if not await database.fetch_value("find_feed_delivery", cursor_lease.destination):
        begin = (await changes.bounds(database)).latest or START
    rows = await database.fetch("take_cursor_lease", *cursor_lease, *begin)
    return Cursor(rows[0]["position"], rows[0]["ordinal"]) if rows else None


async def move(database: Database, cursor_lease: CursorLease, cursor: Cursor) -> bool:
    """Record that everything up to `cursor` was delivered, and renew the cursor lease; False when it was lost."""
    return bool(await database.fetch("move_feed_delivery", *cursor_lease, *cursor))


async def drop(database: Database, cursor_lease: CursorLease) -> None:
    """Give the cursor lease back."""
    await database.fetch("drop_cursor_lease", cursor_lease.destination, cursor_lease.holder)
