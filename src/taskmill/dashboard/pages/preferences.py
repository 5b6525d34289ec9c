"""Saves a user's preferences, and leads back to their page."""

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.preferences import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, YEAR_S
from taskmill.dashboard.texts import LANGUAGES
from taskmill.dashboard.view import View


async def save(view: View) -> Response:
    """Save a language or a theme in a cookie."""
    form = await view.form()
    response = view.redirect(_way_back(first(form, "back")))
    for name, cookie, known in (
        ("language", LANGUAGE_COOKIE, tuple(LANGUAGES)),
        ("theme", THEME_COOKIE, THEMES),
    ):
        if not (value := first(form, name)):
            continue
        response.set_cookie(
            cookie,
            one_of(known, value, f"/{name}"),
            max_age=YEAR_S,
            path=view.href("/"),
            httponly=True,
            samesite="lax",
        )
    return response


def _way_back(path: str) -> str:
    """Return the page to go back to: only one of ours, without the prefix, as others could lead anywhere."""
    is_ours = path == "/" or path.startswith(("/?", "/ui/"))
    return path if is_ours and path.isascii() and path.isprintable() and "\\" not in path else "/"


ROUTES = [("POST", "/ui/preferences", save)]
