"""Stores saved views. What an address may be is not decided here."""

from taskmill.domain.saved_views import MOST, SavedView
from taskmill.storage.database import Database


async def of_owner(database: Database, owner: str) -> list[SavedView]:
    """Return the views of an owner, by name."""
    rows = await database.fetch("list_saved_views", owner)
    return [SavedView(name=row["name"], address=row["address"]) for row in rows]


async def save(database: Database, owner: str, view: SavedView) -> bool:
    """Store a view, in the place of one with the same name; False: the owner has too many others."""
    is_saved: bool = await database.fetch_value("save_view", owner, view.name, view.address, MOST)
    return is_saved


async def delete(database: Database, owner: str, name: str) -> None:
    """Delete a view, if it is there."""
    await database.fetch("delete_saved_view", owner, name)
