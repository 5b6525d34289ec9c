"""Saved views of the name of an API key, so that they outlive its rotation; where no keys are required, of all."""

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.errors import InvalidInput
from taskmill.domain.saved_views import LONGEST_NAME, MOST, SavedView, is_view_name
from taskmill.storage import saved_views
from taskmill.storage.database import Database

_EVERYBODY = ""


async def list_views(database: Database, key: ApiKey | None) -> list[SavedView]:
    """Return the views of who has this key, by name. Raises `Unavailable`."""
    return await saved_views.of_owner(database, _owner(key))


async def save_view(database: Database, key: ApiKey | None, view: SavedView) -> None:
    """Save a view, in the place of one with the same name.

    Raises:
        InvalidInput: the name is none, or there are too many.
        Unavailable: the database is away.
    """
    if not is_view_name(view.name):
        raise InvalidInput.at("/name", f"1 to {LONGEST_NAME} characters", f"{len(view.name)}")
    if not await saved_views.save(database, _owner(key), view):
        raise InvalidInput.at("/name", f"at most {MOST} saved views", "one more")


async def delete_view(database: Database, key: ApiKey | None, name: str) -> None:
    """Delete a view, if it is there. Raises `Unavailable`."""
    await saved_views.delete(database, _owner(key), name)


def _owner(key: ApiKey | None) -> str:
    return _EVERYBODY if key is None else key.draft.name
