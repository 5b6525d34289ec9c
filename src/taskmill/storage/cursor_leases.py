"""How far the feed was delivered to its followers, RabbitMQ and webhooks; one process holds each cursor lease."""

from typing import NamedTuple
from uuid import UUID

from taskmill.domain.feed import START, Cursor
from taskmill.storage import changes
from taskmill.storage.database import Database


class CursorLease(NamedTuple):
    """The right to deliver to a follower, for `hold_s` seconds after `take` and after each `move`."""

    follower: str
    holder: UUID
    hold_s: float


async def take(database: Database, cursor_lease: CursorLease) -> Cursor | None:
    """Take the cursor lease and return the cursor to go on from; None while another process holds it.

    A follower to which nothing was ever delivered begins at the end of the feed.
    """
    begin = START
    is_held = await database.fetch_value(
        "find_feed_delivery", cursor_lease.follower, cursor_lease.holder
    )
    if is_held:
        return None
    if is_held is None:
        begin = (await changes.bounds(database)).latest or START
    rows = await database.fetch("take_cursor_lease", *cursor_lease, *begin)
    return Cursor(rows[0]["position"], rows[0]["ordinal"]) if rows else None


async def move(database: Database, cursor_lease: CursorLease, cursor: Cursor) -> bool:
    """Record that everything up to `cursor` was delivered, and renew the cursor lease; False when it was lost."""
    return bool(await database.fetch("move_feed_delivery", *cursor_lease, *cursor))


async def drop(database: Database, cursor_lease: CursorLease) -> None:
    """Give the cursor lease back."""
    await database.fetch("drop_cursor_lease", cursor_lease.follower, cursor_lease.holder)
