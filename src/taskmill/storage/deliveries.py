"""How far the feed was delivered to places outside, and whose turn it is: one at a time, fenced."""

from typing import NamedTuple
from uuid import UUID

from taskmill.domain.feed import START, Cursor
from taskmill.storage import changes
from taskmill.storage.database import Database


class Turn(NamedTuple):
    """The right to deliver to a place, for `hold_s` seconds from each `move` on."""

    place: str
    holder: UUID
    hold_s: float


async def take(database: Database, turn: Turn) -> Cursor | None:
    """Take the turn and return the cursor to go on from; None while another holds it.

    A place to which nothing was ever delivered begins at the present.
    """
    begin = START
    if not await database.fetch_value("find_feed_delivery", turn.place):
        begin = (await changes.bounds(database)).latest or START
    rows = await database.fetch("take_feed_turn", *turn, *begin)
    return Cursor(rows[0]["position"], rows[0]["ordinal"]) if rows else None


async def move(database: Database, turn: Turn, cursor: Cursor) -> bool:
    """Note that all up to `cursor` was delivered, and keep the turn; False when it was lost."""
    return bool(await database.fetch("move_feed_delivery", *turn, *cursor))


async def leave(database: Database, turn: Turn) -> None:
    """Give the turn back."""
    await database.fetch("leave_feed_turn", turn.place, turn.holder)
