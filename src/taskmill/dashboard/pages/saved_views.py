"""Saved views: names for addresses. They are listed, saved and deleted here; an address is what can be shared."""

from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import Response

from taskmill.dashboard.form import first, parse_pairs
from taskmill.dashboard.navigation import LISTS
from taskmill.dashboard.own_paths import own_path
from taskmill.dashboard.view import View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.saved_views import SavedView
from taskmill.operations import saved_views
from taskmill.wire.wording import describe

# Where in a list somebody was is no part of a view.
_POSITIONS: Final = frozenset({"after", "before", "page", "scan", "job", "top"})


async def show_views(view: View) -> Response:
    """Show the visitor's views; with an `address`, also how to save it."""
    address = first(view.query, "address")
    found = await saved_views.list_views(view.context.service.database, view.key)
    values: dict[str, Any] = {"views": found, "address": _address(address) if address else None}
    if view.wants_fragment:
        return view.fragment("saved_view_list.html", **values)
    return view.page("saved_views.html", title=view.t("views.title"), is_live=False, **values)


async def save(view: View) -> Response:
    """Save an address under a name, and show it."""
    form = await view.form()
    address = _address(first(form, "address"))
    wanted = SavedView(name=first(form, "name"), address=address)
    await saved_views.save_view(view.context.service.database, view.key, wanted)
    return view.redirect(address)


async def delete(view: View) -> Response:
    """Delete one, and show the others."""
    form = await view.form()
    await saved_views.delete_view(view.context.service.database, view.key, first(form, "name"))
    address = first(form, "address")
    return view.redirect("/ui/views", [("address", _address(address))] if address else [])


def _address(text: str) -> str:
    """Return the address of a list without the place in it. Raises `InvalidInput` when it is none."""
    parts = urlsplit(own_path(text))
    if parts.path not in LISTS:
        raise InvalidInput.at("/address", "the address of a list", describe(text, reveal=True))
    pairs = [pair for pair in parse_pairs(parts.query.encode()) if pair[0] not in _POSITIONS]
    return parts.path + (f"?{urlencode(pairs)}" if pairs else "")


ROUTES = [
    ("GET", "/ui/views", show_views),
    ("POST", "/ui/views", save),
    ("POST", "/ui/views/delete", delete),
]
