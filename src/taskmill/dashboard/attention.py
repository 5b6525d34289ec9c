"""Reads what needs attention for every page: the title, the icon of its tab and the menu show it."""

import asyncio
from dataclasses import replace
from typing import Final

import asyncpg

from taskmill.dashboard.guard import SAFE_METHODS
from taskmill.dashboard.view import View
from taskmill.domain.errors import Unavailable
from taskmill.domain.grants import Scope
from taskmill.runtime.http_scope import ROUTE

# A page that needs the database says itself that it is away; others wait no longer than this.
_TIMEOUT_S: Final = 1.0
_NO_PAGES: Final = (
    *(
        "/ui/static/",
        "/ui/live",
        "/ui/search/",
        "/ui/events/stream",
        "/ui/login",
        "/ui/tasks/export",
        "/ui/tasks/choices",
    ),
)


async def with_attention(view: View) -> View:
    """Return the view with what needs attention, where it is of a page; without it when that can't be read."""
    route: str = view.request.scope[ROUTE]
    is_page = view.request.method in SAFE_METHODS and not route.startswith(_NO_PAGES)
    if not is_page or not view.may_some(Scope.TASKS_READ):
        return view
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return replace(view, attention=await view.context.service.attention.recent())
    except (TimeoutError, Unavailable, asyncpg.PostgresError):
        return view
